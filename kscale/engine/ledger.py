"""The ledger: what became of every pod, gathered from the compiled loop's buffers, and told as tables."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl

from kscale.engine.outputs import EVENT_KINDS, OUTPUTS, STATUSES
from kscale.engine.pods import EVICTED, GONE, RUNNING, STATUS_RUNNING, STATUS_WAITING, UNUSED
from kscale.state.tables import Cluster

_FIELDS: dict[str, Any] = {
    "status": np.uint8, "node": np.int32, "devices": np.uint64, "decision": np.int64, "failed_us": np.int64,
    "bound_us": np.int64, "started_us": np.int64, "ended_us": np.int64, "attempts": np.int32, "diagnosis": np.int32,
}  # fmt: skip
#: Fields of what preemption did: taken from the first eviction on, since most runs have none.
_EVICTION_FIELDS: dict[str, Any] = {"victims": np.int32, "preemptor": np.int64, "eviction": np.int64}
#: Columns of ``pods`` that the fingerprint digests, in this order.
FINGERPRINTED = (
    "name", "namespace", "status", "node", "devices", "decision", "arrived_us", "bound_us", "started_us", "ended_us",
    "attempts", "reason",
)  # fmt: skip


class Ledger:
    """What became of each pod, by its row in the trace; 61 bytes a pod, 81 when pods were evicted.

    ``reasons`` are the texts of the diagnoses by number, made once each by ``tell``.
    """

    def __init__(self, pods: int, tell: Callable[[dict[int, int], int], str]) -> None:
        self.fields = {
            name: np.full(pods, 0 if name == "devices" else -1, dtype)
            for name, dtype in _FIELDS.items()
            if name != "status"
        }
        self.fields["status"] = np.full(pods, 255, np.uint8)
        self.fields["attempts"][:] = 0
        self.reasons: list[str] = []
        self.timeline: list[dict[str, np.ndarray[Any, Any]]] = []
        self._tell = tell

    def drain(self, cluster: Cluster) -> None:
        """Take what the loop has written, and empty its buffers."""
        if cluster.cluster_evictions[0] and "eviction" not in self.fields:
            for name, dtype in _EVICTION_FIELDS.items():
                self.fields[name] = np.full(len(self.fields["status"]), 0 if name == "victims" else -1, dtype)
        rows = int(cluster.ledger_rows[0])
        if rows:
            places = cluster.ledger_trace_row[:rows]
            for name, values in self.fields.items():
                values[places] = cluster.columns[f"ledger_{name}"][:rows]
            cluster.ledger_rows[0] = 0
        told = int(cluster.diagnosis_rows[0])
        for row in range(told):
            counts = {reason: int(n) for reason, n in enumerate(cluster.diagnosis_count[row]) if n}
            self.reasons.append(self._tell(counts, int(cluster.diagnosis_description[row])))
        cluster.diagnosis_base[0] += told
        cluster.diagnosis_rows[0] = 0
        rows = int(cluster.timeline_rows[0])
        if rows:
            names = [name for name in cluster.tables["timeline"].columns if name != "rows"]
            self.timeline.append({name: cluster.columns[f"timeline_{name}"][:rows].copy() for name in names})
            cluster.timeline_rows[0] = 0

    def close(self, cluster: Cluster) -> None:
        """Take the pods that still live at the end of the run."""
        self.drain(cluster)
        live = np.flatnonzero(~np.isin(cluster.pod_state, (UNUSED, GONE, EVICTED)))
        places = cluster.pod_trace_row[live]
        for name, values in self.fields.items():
            if name != "status":
                values[places] = cluster.columns[f"pod_{name}"][live]
        # A try that is not over has taken room, but its pod is not bound.
        self.fields["devices"][places[cluster.pod_state[live] != RUNNING]] = 0
        self.fields["status"][places] = np.where(cluster.pod_state[live] == RUNNING, STATUS_RUNNING, STATUS_WAITING)

    def arrived(self) -> np.ndarray[Any, Any]:
        """Return the trace rows of the pods that arrived, ascending."""
        return np.flatnonzero(self.fields["status"] != 255)

    def pods(self, trace_pods: pl.DataFrame, node_names: list[str]) -> pl.DataFrame:
        """Return the table ``pods``: one row for each pod that arrived, in trace order.

        ``trace_pods`` has the columns of ``kscale.traces.PODS``, with the arrivals as they were replayed.
        """
        rows = self.arrived()
        taken = {name: values[rows] for name, values in self.fields.items()}
        known = trace_pods if len(rows) == trace_pods.height else trace_pods[rows]

        def time(name: str) -> pl.Series:
            return pl.Series(taken[name]).replace(-1, None)

        return pl.DataFrame(
            {
                "name": known["name"],
                "namespace": known["namespace"],
                "status": _words(taken["status"], list(STATUSES), pl.Enum(STATUSES)),
                "node": _words(taken["node"], node_names, pl.String),
                "devices": _device_lists(taken["devices"]),
                "decision": time("decision"),
                "arrived_us": known["arrival_us"],
                "bound_us": time("bound_us"),
                "started_us": time("started_us"),
                "ended_us": time("ended_us"),
                "attempts": pl.Series(taken["attempts"].astype(np.int64)),
                "reason": _words(taken["diagnosis"], self.reasons, pl.String),
                "first_failed_us": time("failed_us"),
                "template": known["spec"].cast(pl.Int32),
                **self._evictions(rows, trace_pods),
            }
        )

    def _evictions(self, rows: np.ndarray[Any, Any], trace_pods: pl.DataFrame) -> dict[str, pl.Series]:
        """Return for each pod the pod that it was evicted for, as namespace/name, and how many were evicted for it."""
        if "eviction" not in self.fields:
            return {
                "preempted_by": pl.repeat(None, len(rows), dtype=pl.String, eager=True),
                "victims": pl.repeat(0, len(rows), dtype=pl.Int64, eager=True),
            }
        names = trace_pods.select(pl.concat_str("namespace", pl.lit("/"), "name")).to_series()
        preemptor = pl.Series(self.fields["preemptor"][rows]).replace(-1, None)
        return {
            "preempted_by": names.gather(preemptor),
            "victims": pl.Series(self.fields["victims"][rows].astype(np.int64)),
        }

    def timeline_frame(self, resources: list[str], allocatable: list[int], devices: int | None) -> pl.DataFrame:
        """Return the table ``timeline``; ``allocatable`` per resource, ``devices`` of all nodes, None without GPUs."""
        names = ("time_us", "arrived_pods", "running_pods", "waiting_pods")
        joined = {name: np.concatenate([part[name] for part in self.timeline]) for name in self.timeline[0]}
        frame = {name: joined[name] for name in names}
        for row, resource in enumerate(resources):
            key = column_name(resource)
            frame[f"allocatable_{key}"] = np.full(len(joined["time_us"]), allocatable[row], np.int64)
            frame[f"requested_{key}"] = joined["requested"][:, row]
        if devices is not None:
            frame["arrived_gpu_milli"] = joined["arrived_gpu_milli"]
            frame["used_gpu_milli"] = joined["used_gpu_milli"]
            frame["idle_gpu_milli"] = devices * 1000 - joined["used_gpu_milli"]
            frame["fragmented_gpu_milli"] = joined["fragmented_gpu_milli"]
        return pl.DataFrame(frame)


def column_name(resource: str) -> str:
    """Return how a resource stands in column names: as it is, ``-``, ``.`` and ``/`` as ``_``."""
    return "".join(c if c.isalnum() else "_" for c in resource)


def _words(codes: np.ndarray[Any, Any], words: list[str], dtype: Any) -> pl.Series:
    """Return words by code; a negative code is null."""
    known = pl.Series(words, dtype=dtype)
    index = pl.Series(codes.astype(np.int64)).replace(-1, None)
    return known.gather(index)


def _device_lists(masks: np.ndarray[Any, Any]) -> pl.Series:
    distinct, codes = np.unique(masks, return_inverse=True)
    lists = [[bit for bit in range(64) if int(mask) >> bit & 1] for mask in distinct]
    return pl.Series(lists, dtype=pl.List(pl.UInt8)).gather(pl.Series(codes.astype(np.int64)))


#: The kinds of events in the order in which they come within an instant, as in the loop: ends before arrivals.
_EVENT_ORDER = ("Succeeded", "Deleted", "Arrived", "FailedScheduling", "Refused", "Scheduled", "Started", "Evicted")


def events(pods: pl.DataFrame) -> pl.DataFrame:
    """Return the table ``events`` of a table ``pods``: changes of state only, by time, then kind, then trace order.

    The kinds are laid one after the other and sorted by time alone, stably, in integers (2 s for ten million rows
    where a sort of frames by three columns takes 12); the texts are looked up last.
    """
    status = pods["status"].to_physical().to_numpy()
    stamps = {
        name: pods[name].fill_null(-1).to_numpy()
        for name in ("arrived_us", "first_failed_us", "bound_us", "started_us", "ended_us")
    }
    refused, failed, evicted = (status == STATUSES.index(word) for word in ("refused", "failed", "evicted"))
    happened = {
        "Succeeded": (stamps["ended_us"], ~failed & ~evicted), "Deleted": (stamps["ended_us"], failed),
        "Evicted": (stamps["ended_us"], evicted),
        "Arrived": (stamps["arrived_us"], None), "FailedScheduling": (stamps["first_failed_us"], ~refused),
        "Refused": (stamps["first_failed_us"], refused), "Scheduled": (stamps["bound_us"], None),
        "Started": (stamps["started_us"], None),
    }  # fmt: skip
    rows = {
        kind: np.flatnonzero((times >= 0) if condition is None else (times >= 0) & condition).astype(np.uint32)
        for kind, (times, condition) in happened.items()
    }
    times = np.concatenate([happened[kind][0][rows[kind]] for kind in _EVENT_ORDER])
    order = np.argsort(times, kind="stable")
    lengths = [len(rows[kind]) for kind in _EVENT_ORDER]
    codes = np.repeat(np.array([EVENT_KINDS.index(kind) for kind in _EVENT_ORDER], np.uint8), lengths)
    kind, pod = codes[order], np.concatenate([rows[k] for k in _EVENT_ORDER])[order]
    concerned = np.isin(kind, [EVENT_KINDS.index(word) for word in ("Scheduled", "Started", "Succeeded", "Evicted")])
    explained = np.isin(kind, [EVENT_KINDS.index(word) for word in ("FailedScheduling", "Refused", "Deleted")])
    index = pl.Series(pod)
    return pl.DataFrame(
        {
            "time_us": times[order],
            "kind": pl.Series(EVENT_KINDS, dtype=pl.Enum(EVENT_KINDS)).gather(pl.Series(kind)),
            "object": pods.select(pl.concat_str("namespace", pl.lit("/"), "name"))["namespace"].gather(index),
            "node": _gather_where(pods["node"], pod, concerned),
            "reason": _gather_where(pods["reason"], pod, explained),
        }
    )


def _gather_where(texts: pl.Series, rows: np.ndarray[Any, Any], wanted: np.ndarray[Any, Any]) -> pl.Series:
    """Return the texts of these rows, null where they are not wanted."""
    index = pl.Series(rows)
    return texts.gather(pl.select(pl.when(pl.Series(wanted)).then(index)).to_series())


def fingerprint(pods: pl.DataFrame) -> str:
    """Return the SHA-256 of the decoded values of ``pods`` in trace order; of no bytes, paths or wall times."""
    digest = hashlib.sha256()
    for name in FINGERPRINTED:
        column = hashlib.sha256()
        for start in range(0, pods.height, 1 << 18):
            _feed(column, pods[name].slice(start, 1 << 18))
        digest.update(name.encode() + column.digest())
    return digest.hexdigest()


def _feed(digest: Any, values: pl.Series) -> None:
    if values.dtype == pl.List(pl.UInt8):
        digest.update(values.list.len().cast(pl.Int64).to_numpy().tobytes())
        digest.update(values.explode(empty_as_null=False).drop_nulls().to_numpy().tobytes())
    elif values.dtype == pl.Int64:
        digest.update(values.fill_null(-(1 << 62)).to_numpy().tobytes())
    else:
        texts = values.cast(pl.String)
        digest.update(texts.str.len_bytes().cast(pl.Int64).fill_null(-1).to_numpy().tobytes())
        digest.update((texts.str.join("").item() or "").encode())


def dtypes(table: str) -> dict[str, Any]:
    """Return the data types of an output table's fixed columns."""
    return {output.name: output.dtype for output in OUTPUTS[table] if "*" not in output.name}
