"""The ledger: what became of every pod, gathered from the compiled loop's buffers, and told as tables."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from kscale.engine.outputs import LIVING_OUTPUTS, OUTPUTS, STATUSES
from kscale.engine.pods import EVICTED, FINISHED, GONE, REMOVED, RUNNING, STATUS_RUNNING, STATUS_WAITING, UNUSED
from kscale.engine.scratch import Rows, Scratch, as_bytes, stretches
from kscale.state.tables import Cluster

_FIELDS: dict[str, Any] = {
    "status": np.uint8, "node": np.int32, "devices": np.uint64, "decision": np.int64, "failed_us": np.int64,
    "bound_us": np.int64, "started_us": np.int64, "ended_us": np.int64, "attempts": np.int32, "diagnosis": np.int32,
}  # fmt: skip
#: What preemption did, kept for the pods that it concerned: most runs have none.
_EVICTION_FIELDS: dict[str, Any] = {"victims": np.int32, "preemptor": np.int64, "eviction": np.int64}
#: What a field says of a pod that was not told of; all others say -1.
_UNTOLD = {"status": 255, "devices": 0, "attempts": 0, "victims": 0}
#: Columns of ``pods`` that the fingerprint digests, in this order.
FINGERPRINTED = (
    "name", "namespace", "status", "node", "devices", "decision", "arrived_us", "bound_us", "started_us", "ended_us",
    "attempts", "reason",
)  # fmt: skip

Fields = dict[str, np.ndarray[Any, Any]]


@dataclass(frozen=True)
class Supply:
    """What all nodes that are there offer, from each of the times on; the first is not after the start of the run.

    Attributes:
        time_us: int64 (change,), ascending.
        allocatable: int64 (change, resource).
        devices: int64 (change,).
    """

    time_us: np.ndarray[Any, Any]
    allocatable: np.ndarray[Any, Any]
    devices: np.ndarray[Any, Any]


class Ledger:
    """What became of each pod, by its row in the trace. Pods that are done are kept on disk, 65 bytes each.

    ``reasons`` are the texts of the diagnoses by number, made once each by ``tell``.
    """

    def __init__(self, pods: int, tell: Callable[[dict[int, int], int], str], scratch: Scratch | None = None) -> None:
        self.pods = pods
        self.scratch = scratch or Scratch()
        self.reasons: list[str] = []
        self.timeline: list[Fields] = []
        self._told = Rows(self.scratch, "told", _FIELDS)
        self._evictions: Rows | None = None
        self._tell = tell

    def drain(self, cluster: Cluster) -> None:
        """Take what the loop has written, and empty its buffers."""
        rows = int(cluster.ledger_rows[0])
        if rows:
            columns = {name: cluster.columns[f"ledger_{name}"][:rows] for name in _FIELDS | _EVICTION_FIELDS}
            self._add(cluster, cluster.ledger_trace_row[:rows], columns)
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

    def _add(self, cluster: Cluster, places: np.ndarray[Any, Any], columns: Fields) -> None:
        self._told.add(places, columns)
        if not cluster.cluster_evictions[0]:
            return
        if self._evictions is None:
            self._evictions = Rows(self.scratch, "evictions", _EVICTION_FIELDS)
        concerned = np.flatnonzero((columns["victims"] != 0) | (columns["preemptor"] >= 0))
        self._evictions.add(places[concerned], {name: columns[name][concerned] for name in _EVICTION_FIELDS})

    def close(self, cluster: Cluster) -> None:
        """Take the pods that still live at the end of the run."""
        self.drain(cluster)
        state = cluster.pod_state
        live = np.flatnonzero(~np.isin(state, (UNUSED, GONE, EVICTED, REMOVED, FINISHED)))
        running = state[live] == RUNNING
        names = [name for name in _FIELDS | _EVICTION_FIELDS if name != "status"]
        columns = {name: cluster.columns[f"pod_{name}"].take(live) for name in names}
        # A try that is not over has taken room, but its pod is not bound.
        columns["devices"][~running] = 0
        columns["status"] = np.where(running, STATUS_RUNNING, STATUS_WAITING)
        self._add(cluster, cluster.pod_trace_row[live], columns)

    def rows(self, first: int, last: int) -> Fields:
        """Return each field of the pods in a stretch of the trace; the status of one that did not arrive is 255."""
        result = _scattered(self._told, _FIELDS, first, last)
        return result if self._evictions is None else result | _scattered(
            self._evictions, _EVICTION_FIELDS, first, last
        )  # fmt: skip

    @property
    def fields(self) -> Fields:
        """Each field of all pods of the trace at once."""
        parts = [self.rows(first, last) for first, last in stretches(self.pods)]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def preemptors(self) -> np.ndarray[Any, Any]:
        """Return the rows in the trace of the pods that others were evicted for, ascending."""
        if self._evictions is None:
            return np.empty(0, np.int64)
        parts = [self._evictions.read(first, last)["preemptor"] for first, last in stretches(self.pods)]
        found = np.unique(np.concatenate(parts))
        return found[found >= 0]

    def timeline_frame(self, resources: list[str], supply: Supply, *, devices: bool) -> pl.DataFrame:
        """Return the table ``timeline``; ``supply`` is what all nodes offered, ``devices`` whether there are GPUs."""
        names = ("time_us", "arrived_pods", "running_pods", "waiting_pods")
        joined = {name: np.concatenate([part[name] for part in self.timeline]) for name in self.timeline[0]}
        frame = {name: joined[name] for name in names}
        offered = np.searchsorted(supply.time_us, joined["time_us"], side="right") - 1
        for row, resource in enumerate(resources):
            key = column_name(resource)
            frame[f"allocatable_{key}"] = supply.allocatable[offered, row]
            frame[f"requested_{key}"] = joined["requested"][:, row]
        if devices:
            frame["arrived_gpu_milli"] = joined["arrived_gpu_milli"]
            frame["used_gpu_milli"] = joined["used_gpu_milli"]
            frame["idle_gpu_milli"] = 1000 * supply.devices[offered] - joined["used_gpu_milli"]
            frame["fragmented_gpu_milli"] = joined["fragmented_gpu_milli"]
        return pl.DataFrame(frame)


def _scattered(rows: Rows, fields: dict[str, Any], first: int, last: int) -> Fields:
    found = rows.read(first, last)
    untold = np.array([(0, *(_UNTOLD.get(name, -1) for name in fields))], found.dtype)
    # Rows are put in their places as so many bytes: field by field, each would be looked up once for every field.
    whole = np.repeat(as_bytes(untold), last - first)
    whole[found["place"].astype(np.int64) - first] = as_bytes(found)
    placed = whole.view(found.dtype)
    return {name: placed[name].copy() for name in fields}


class PodTable:
    """Makes the table ``pods`` stretch by stretch: one row for each pod that arrived, in the order of the trace.

    Nodes are codes, and become texts where the table is written (``kscale.engine.runfolder.write_table``).
    ``reasons`` are the texts of the diagnoses by number. ``preemptors`` are the rows in the trace of the pods that
    others were evicted for, ascending, and ``preemptor_names`` what they are called, as namespace/name.
    """

    def __init__(
        self,
        node_names: Sequence[str],
        reasons: list[str],
        preemptors: np.ndarray[Any, Any],
        preemptor_names: pl.Series,
    ) -> None:
        self._nodes = pl.Series(node_names, dtype=node_type(node_names))
        self._reasons = pl.Series(reasons, dtype=pl.String)
        self._statuses = pl.Series(STATUSES, dtype=pl.Enum(STATUSES))
        self._preemptors, self._preemptor_names = preemptors, preemptor_names

    def frame(self, known: pl.DataFrame, fields: Fields) -> pl.DataFrame:
        """Return the table of a stretch.

        ``known`` has the columns of ``kscale.traces.PODS``, with the arrivals as they were replayed, and ``fields`` are
        what the ledger has of the same rows.
        """
        rows = np.flatnonzero(fields["status"] != 255)
        if len(rows) < known.height:
            known, fields = known[rows], {name: values[rows] for name, values in fields.items()}
        return pl.DataFrame(
            {
                "name": known["name"],
                "namespace": known["namespace"],
                "status": _words(fields["status"], self._statuses),
                "node": _words(fields["node"], self._nodes),
                "devices": _device_lists(fields["devices"]),
                "decision": _known(fields["decision"]),
                "arrived_us": known["arrival_us"],
                "bound_us": _known(fields["bound_us"]),
                "started_us": _known(fields["started_us"]),
                "ended_us": _known(fields["ended_us"]),
                "attempts": pl.Series(fields["attempts"].astype(np.int64)),
                "reason": _words(fields["diagnosis"], self._reasons),
                "first_failed_us": _known(fields["failed_us"]),
                "template": known["spec"].cast(pl.Int32),
                **self._evictions(fields),
            }
        )

    def _evictions(self, fields: Fields) -> dict[str, pl.Series]:
        """Return for each pod the pod that it was evicted for, as namespace/name, and how many were evicted for it."""
        if "eviction" not in fields:
            rows = len(fields["status"])
            return {
                "preempted_by": pl.repeat(None, rows, dtype=pl.String, eager=True),
                "victims": pl.repeat(0, rows, dtype=pl.Int64, eager=True),
            }
        preemptor = fields["preemptor"]
        number = np.where(preemptor >= 0, np.searchsorted(self._preemptors, preemptor), -1)
        return {
            "preempted_by": _words(number, self._preemptor_names),
            "victims": pl.Series(fields["victims"].astype(np.int64)),
        }


def node_type(names: Sequence[str]) -> pl.Enum:
    """Return the type of columns of nodes that are codes; ``names`` are those of the nodes."""
    return pl.Enum(list(dict.fromkeys(names)))


def column_name(resource: str) -> str:
    """Return how a resource stands in column names: as it is, ``-``, ``.`` and ``/`` as ``_``."""
    return "".join(c if c.isalnum() else "_" for c in resource)


def _known(values: np.ndarray[Any, Any]) -> pl.Series:
    """Return numbers; -1 is null."""
    series = pl.Series(values)
    if not (values == -1).any():
        return series
    return pl.select(pl.when(series != -1).then(series)).to_series()


def _words(codes: np.ndarray[Any, Any], words: pl.Series) -> pl.Series:
    """Return words by code; a negative code is null."""
    return words.gather(_known(codes.astype(np.int64)))


def _device_lists(masks: np.ndarray[Any, Any]) -> pl.Series:
    if not masks.any():
        return pl.Series([[]], dtype=pl.List(pl.UInt8)).new_from_index(0, len(masks))
    distinct, codes = np.unique(masks, return_inverse=True)
    lists = [[bit for bit in range(64) if int(mask) >> bit & 1] for mask in distinct]
    return pl.Series(lists, dtype=pl.List(pl.UInt8)).gather(pl.Series(codes.astype(np.int64)))


class Fingerprint:
    """The SHA-256 of the decoded values of ``pods`` in trace order; of no bytes, paths or wall times.

    Each column is digested in portions of as many rows, however the rows come.
    """

    _PORTION = 1 << 18

    def __init__(self) -> None:
        self._digests = {name: hashlib.sha256() for name in FINGERPRINTED}
        self._rest = pl.DataFrame()

    def add(self, pods: pl.DataFrame) -> None:
        """Take the next rows."""
        rest = pods.select(FINGERPRINTED)
        rest = pl.concat([self._rest, rest]) if self._rest.height else rest
        while rest.height >= self._PORTION:
            self._feed(rest.head(self._PORTION))
            rest = rest.slice(self._PORTION)
        self._rest = rest

    def _feed(self, portion: pl.DataFrame) -> None:
        for name, digest in self._digests.items():
            _feed(digest, portion[name])

    def text(self) -> str:
        """Return the digest of all rows."""
        if self._rest.height:
            self._feed(self._rest)
            self._rest = self._rest.clear()
        whole = hashlib.sha256()
        for name, digest in self._digests.items():
            whole.update(name.encode() + digest.digest())
        return whole.hexdigest()


def fingerprint(pods: pl.DataFrame) -> str:
    """Return the fingerprint of a whole table ``pods``."""
    result = Fingerprint()
    result.add(pods)
    return result.text()


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
    return {output.name: output.dtype for output in (OUTPUTS | LIVING_OUTPUTS)[table] if "*" not in output.name}
