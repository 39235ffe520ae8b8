"""Helios 2020 (Hu et al., SC'21): jobs of a SenseTime cluster, and how many GPUs each virtual cluster has day by day.

A cluster is a folder with ``cluster_log.csv`` and ``cluster_gpu_number.csv``; the log alone is read too. A virtual
cluster has nodes of its own: its jobs run on no others.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from kscale.errors import InputError
from kscale.traces import NODE_EVENTS, Options, Portions, Reader, Rest
from kscale.traces.common import clock, files, joblogs, specs
from kscale.traces.common.checks import LONGEST_NAME, Checker, Field
from kscale.traces.common.shapes import MAX_NODES, Shape, parse_unit

#: GPUs of a node.
GPUS = 8
#: What a node has besides; the trace does not say it.
MACHINE_UNIT = "48cpu,376Gi"
#: The label that tells a node's virtual cluster.
LABEL = "vc"
_LOG, _NUMBERS = "cluster_log", "cluster_gpu_number"
_FIELDS = (*joblogs.FIELDS, Field("vc", pl.String, nullable=True, high=LONGEST_NAME))


@dataclass(frozen=True)
class _Quota:
    """GPUs of each virtual cluster by day: ``days`` in microseconds since 1970, ascending; ``nodes`` a row a day."""

    days: list[int]
    names: list[str]
    nodes: np.ndarray[tuple[int, int], np.dtype[np.int64]]
    rounded: int


def _detects(path: Path, head: bytes) -> bool:
    return {"job_id", "vc", "gpu_num", "node_num", "submit_time"} <= files.csv_columns(head)


def _detects_folder(path: Path) -> bool:
    found = files.parts(path, _LOG)
    return len(found) == 1 and _detects(found[0], files.head(found[0]))


def _portions(path: Path, options: Options) -> Portions:
    unit_text = options.machine_unit or MACHINE_UNIT
    unit = parse_unit(unit_text, "cpu_milli", "memory_bytes")
    quota = None
    if path.is_dir():
        numbers = files.part(path, _NUMBERS)
        path, quota = files.part(path, _LOG), _quota(numbers, options)
    check, tally = Checker(path, options), joblogs.Tally()
    homeless = 0
    for pods in joblogs.portions(path, options, check, _FIELDS, tally):
        known = pods["vc"].is_in(quota.names if quota else []).fill_null(False)
        homeless += int((~known).sum())
        yield pods.select(
            "name", "owner", "arrival_us", "duration_us", "end_us", "cpu_milli", "gpu_count", "gpu_milli",
            namespace=pl.col("vc").fill_null("default"),
            node_selector=pl.when(known).then(pl.lit(f"{LABEL}=") + pl.col("vc")),
        )  # fmt: skip
    notes = (*tally.notes("helios"), "helios: the namespace is the virtual cluster; memory is not stated.")
    if quota is None:
        advice = f"helios: the log has no nodes: read the folder with {_NUMBERS}.csv, or give some, such as"
        return Rest((*notes, f"{advice} {MACHINE_UNIT},{GPUS}xV100:133"), dropped=check.dropped)
    nodes, events = _nodes(quota, unit, tally.start)
    more = (
        f"helios: a node has {GPUS} GPUs and, as --machine-unit says, {unit_text}; the label {LABEL} tells its virtual "
        f"cluster, and jobs select it ({homeless:,} pods of a virtual cluster without nodes select none).",
        f"helios: {nodes.height:,} nodes; they join and leave at midnight as the GPUs of their virtual cluster change "
        f"({events.height:,} events); {quota.rounded:,} counts are no multiple of {GPUS} and are rounded up.",
    )
    return Rest((*notes, *more), nodes, check.dropped, node_events=events)


def _quota(path: Path, options: Options) -> _Quota:
    check = Checker(path, options)
    raw = files.csv_table(path, options, check.dropped)
    names = [name for name in raw.columns if name not in ("date", "total", files.ROW)]
    fields = [Field("date", pl.String, high=64), *(Field(name, high=GPUS * MAX_NODES) for name in names)]
    check.columns(raw.columns, fields)
    frame = check.unique(check.typed(raw, fields), ["date"])
    frame = clock.timed(frame.with_columns(pl.col("date") + " 00:00:00"), ["date"], check).sort("date")
    if not frame.height or not names:
        raise InputError("has no days or no virtual clusters", file=path, expected="a row a day")
    gpus = frame.select(names).to_numpy().astype(np.int64)
    if int((-(-gpus // GPUS)).max(axis=0).sum()) > MAX_NODES:
        raise InputError("has too many GPUs", file=path, expected=f"at most {MAX_NODES:,} nodes of {GPUS}")
    return _Quota(frame["date"].to_list(), names, -(-gpus // GPUS), int((gpus % GPUS > 0).sum()))


def _nodes(quota: _Quota, unit: Shape, start: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return all nodes that are there at some time, and how they come and go after the start of the trace."""
    first = max(int(np.searchsorted(quota.days, start, side="right")) - 1, 0)
    days, counts = quota.days[first:], quota.nodes[first:]
    most = counts.max(axis=0)
    frame = pl.DataFrame({LABEL: np.repeat(quota.names, most), "place": _places(most)})
    nodes = frame.select(
        name=_name(),
        cpu_milli=pl.lit(unit.cpu_milli, pl.Int64),
        memory_bytes=pl.lit(unit.memory_bytes, pl.Int64),
        pods=pl.lit(unit.pods, pl.Int64),
        gpu_count=pl.lit(GPUS, pl.Int64),
        gpu_model=pl.lit("GPU"),
        labels=pl.lit(f"{LABEL}=") + pl.col(LABEL),
    )
    changes = list(_changes(quota.names, days, counts, start))
    events = pl.concat([pl.DataFrame(schema=NODE_EVENTS), *changes])
    return specs.conform_nodes(nodes), events


def _changes(
    names: list[str], days: list[int], counts: np.ndarray[tuple[int, int], np.dtype[np.int64]], start: int
) -> Iterator[pl.DataFrame]:
    """Yield what happens on each day on which something does: first who leaves, then who joins."""
    for day, before, after in zip(days[1:], counts[:-1], counts[1:], strict=True):
        for kind, low, high in (("leave", after, before), ("join", before, after)):
            more = np.maximum(high - low, 0)
            if not more.any():
                continue
            place = _places(more) + np.repeat(low, more)
            moved = pl.DataFrame({LABEL: np.repeat(names, more), "place": place}).select(
                time_us=pl.lit(day - start, pl.Int64), node=_name(), event=pl.lit(kind)
            )
            yield specs.conform(moved, NODE_EVENTS)


def _places(counts: np.ndarray[tuple[int], np.dtype[np.int64]]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return 0, 1 … for each of the counts, one after the other."""
    return np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)


def _name() -> pl.Expr:
    return pl.concat_str(LABEL, pl.lit("-"), pl.col("place").cast(pl.String).str.zfill(3))


READER = Reader(
    name="helios",
    doc="Helios 2020: CSV of jobs with GPUs, and the GPUs of virtual clusters by day.",
    detects=_detects,
    detects_folder=_detects_folder,
    read=specs.reading("helios", _portions),
    portions=_portions,
)
