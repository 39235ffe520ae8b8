"""Huawei-East-1 (Sheng et al., VMAgent): VMs of one region over a month, as events of creation and deletion.

A VM is a pod from its creation to its deletion; one that is not deleted outlives the trace.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from kscale.traces import Options, Portions, Reader, Rest
from kscale.traces.common import files, specs
from kscale.traces.common.checks import LARGEST_SECONDS, LONGEST_NAME, Checker, Field, Rule, microseconds, rounded_up

_CREATE, _DELETE = 0, 1
_GIB = 1 << 30
_FIELDS = (
    Field("vmid", pl.String, high=LONGEST_NAME),
    Field("cpu", pl.Float64, high=1e6),
    Field("memory", pl.Float64, high=float(1 << 29)),
    Field("time", pl.Float64, high=LARGEST_SECONDS),
    Field("type", high=_DELETE),
)
_ALIVE = {files.ROW: pl.Int64, "vmid": pl.String, "cpu": pl.Float64, "memory": pl.Float64, "time": pl.Float64}
_PODS = {
    "name": pl.String, "namespace": pl.String, "arrival_us": pl.Int64, "duration_us": pl.Int64, "end_us": pl.Int64,
    "cpu_milli": pl.Int64, "memory_bytes": pl.Int64,
}  # fmt: skip


def _detects(path: Path, head: bytes) -> bool:
    return {"vmid", "cpu", "memory", "time", "type"} <= files.csv_columns(head)


def _portions(path: Path, options: Options) -> Portions:
    check = Checker(path, options)
    alive = pl.DataFrame(schema=_ALIVE)
    created = deleted = unknown = 0
    for batch in check.csv(_FIELDS):
        births = check.fresh(batch.filter(pl.col("type") == _CREATE), "vmid")
        deaths = batch.filter(pl.col("type") == _DELETE)
        alive = pl.concat([alive, births.select(*_ALIVE)])
        ended, strange = _ended(deaths, alive, check)
        created, deleted, unknown = created + births.height, deleted + ended.height, unknown + strange
        yield _pods(ended)
        alive = alive.join(ended, on="vmid", how="anti", maintain_order="left")
    yield _pods(alive.with_columns(end=pl.lit(None, pl.Float64)))
    return Rest(
        (
            f"huaweieast1: {created:,} creations and {deleted:,} deletions: a VM is a pod, its memory is in GiB.",
            f"huaweieast1: {alive.height:,} VMs are not deleted: they never end.",
            f"huaweieast1: {unknown:,} deletions of a VM that is not there are left out.",
            "huaweieast1: pods stand in the order of their ends; what a deletion says of cpu and memory is not used.",
            "huaweieast1: the trace has no nodes; its authors' experiments have 80cpu,180Gi:50 (two sockets of 40 cpu "
            "and 90 GiB each, which are one node here).",
        ),
        dropped=check.dropped,
    )


def _ended(deaths: pl.DataFrame, alive: pl.DataFrame, check: Checker) -> tuple[pl.DataFrame, int]:
    """Return the VMs that ``deaths`` end, with ``end``, in the order of deaths; and how many deaths end none."""
    born = alive.rename({files.ROW: "born", "time": "created"})
    known = deaths.select(files.ROW, "vmid", "time").join(born, on="vmid", how="inner", maintain_order="left")
    known = known.filter(pl.col(files.ROW) > pl.col("born"))
    early = pl.col("time") < pl.col("created")
    # What follows the deletion that ends a VM finds it gone, however the batches are cut.
    ending = pl.col(files.ROW).filter(~early).min().over("vmid")
    there = known.filter((pl.col(files.ROW) <= ending).fill_null(True))
    ended = check.drop(there, [Rule(early, "time", "'{value}' is before the creation", "a later time")])
    strange = deaths.height - there.height
    return ended.rename({"time": "end", "created": "time"}), strange


def _pods(frame: pl.DataFrame) -> pl.DataFrame:
    start, end = microseconds(pl.col("time")), microseconds(pl.col("end"))
    return frame.select(
        name="vmid",
        namespace=pl.lit("default"),
        arrival_us=start,
        duration_us=end - start,
        end_us=end,
        cpu_milli=rounded_up(pl.col("cpu") * 1000),
        memory_bytes=rounded_up(pl.col("memory") * _GIB),
    ).cast(pl.Schema(_PODS))


READER = Reader(
    name="huaweieast1",
    doc="Huawei-East-1: CSV of VMs created and deleted; no nodes.",
    detects=_detects,
    read=specs.reading("huaweieast1", _portions),
    portions=_portions,
)
