"""The ledger: what became of every pod, gathered from the compiled loop's buffers, and told as tables."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl

from kscale.engine.outputs import EVENT_KINDS, OUTPUTS, STATUSES
from kscale.engine.pods import GONE, RUNNING, STATUS_RUNNING, STATUS_WAITING, UNUSED
from kscale.state.tables import Cluster

_FIELDS: dict[str, Any] = {
    "status": np.uint8, "node": np.int32, "devices": np.uint64, "decision": np.int64, "failed_us": np.int64,
    "bound_us": np.int64, "started_us": np.int64, "ended_us": np.int64, "attempts": np.int32, "diagnosis": np.int32,
}  # fmt: skip
#: Columns of ``pods`` that the fingerprint digests, in this order.
FINGERPRINTED = (
    "name", "namespace", "status", "node", "devices", "decision", "arrived_us", "bound_us", "started_us", "ended_us",
    "attempts", "reason",
)  # fmt: skip


class Ledger:
    """What became of each pod, by its row in the trace; 61 bytes a pod.

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
        live = np.flatnonzero((cluster.pod_state != UNUSED) & (cluster.pod_state != GONE))
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
        """Return the table ``pods``: one row for each pod that arrived, in trace order."""
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
            }
        )

    def timeline_frame(self, resources: list[str], allocatable: list[int], devices: int | None) -> pl.DataFrame:
        """Return the table ``timeline``; ``allocatable`` per resource, ``devices`` over all nodes, None without GPUs."""
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


def events(pods: pl.DataFrame) -> pl.LazyFrame:
    """Return the table ``events`` of a table ``pods``: changes of state only, by time, then kind, then trace order."""
    kinds = {
        "Arrived": (pl.col("arrived_us"), None),
        "FailedScheduling": (pl.col("first_failed_us"), pl.col("status") != "refused"),
        "Refused": (pl.col("first_failed_us"), pl.col("status") == "refused"),
        "Scheduled": (pl.col("bound_us"), None),
        "Started": (pl.col("started_us"), None),
        "Succeeded": (pl.col("ended_us"), pl.col("status") == "succeeded"),
        "Deleted": (pl.col("ended_us"), pl.col("status") == "failed"),
    }
    # The end of a pod comes first at its instant, as in the loop; the sort is on integers, the texts are joined after it.
    order = ("Succeeded", "Deleted", "Arrived", "FailedScheduling", "Refused", "Scheduled", "Started")
    rows = pods.lazy().with_row_index("pod")
    parts = []
    for kind in order:
        time, condition = kinds[kind]
        part = rows.filter(time.is_not_null() if condition is None else time.is_not_null() & condition)
        parts.append(part.select(time.alias("time_us"), pl.lit(order.index(kind), pl.UInt8).alias("order"), "pod"))
    stamps = pl.concat(parts).sort("time_us", "order", "pod", maintain_order=True)
    enum = pl.Enum(EVENT_KINDS)
    told = (
        pods.lazy()
        .with_row_index("pod")
        .select("pod", object=pl.concat_str("namespace", pl.lit("/"), "name"), node_name="node", why="reason")
    )
    bound = pl.col("order").is_in([order.index("Scheduled"), order.index("Started"), order.index("Succeeded")])
    failed = pl.col("order").is_in([order.index("FailedScheduling"), order.index("Refused"), order.index("Deleted")])
    return stamps.join(told, on="pod", how="left", maintain_order="left").select(
        "time_us",
        kind=pl.col("order").replace_strict(list(range(len(order))), list(order), return_dtype=enum),
        object="object",
        node=pl.when(bound).then("node_name"),
        reason=pl.when(failed).then("why"),
    )


def fingerprint(pods: pl.DataFrame) -> str:
    """Return the SHA-256 of the decoded values of ``pods`` in trace order: no file bytes, paths, versions, wall times."""
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
        digest.update("".join(texts.drop_nulls().to_list()).encode())


def dtypes(table: str) -> dict[str, Any]:
    """Return the data types of an output table's fixed columns."""
    return {output.name: output.dtype for output in OUTPUTS[table] if "*" not in output.name}
