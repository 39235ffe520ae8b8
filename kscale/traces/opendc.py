"""OpenDC's workloads: Parquet tables of tasks, and of fragments that say what a task used over time.

A trace is a folder with ``tasks.parquet`` and perhaps ``fragments.parquet``, or the file of tasks alone. Times are
milliseconds (submissions since 1970), memory is MB, the speed of processors MHz.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import polars as pl

from kscale.errors import InputError
from kscale.state.quantities import LARGEST
from kscale.traces import Options, Portions, Reader, Rest
from kscale.traces.common import files, parquets, specs
from kscale.traces.common.checks import LONGEST_NAME, Checker, Field, Rule
from kscale.traces.common.shapes import MAX_DEVICES

_MILLISECONDS = LARGEST // 1000
_MB = 10**6
_TASKS = (
    Field("submission_time", high=_MILLISECONDS),
    Field("duration", high=_MILLISECONDS),
    Field("cpu_count", high=10**7),
    Field("cpu_capacity", pl.Float64, required=False, nullable=True, high=1e12),
    Field("mem_capacity", high=LARGEST // _MB),
    Field("gpu_count", required=False, nullable=True, high=MAX_DEVICES),
)
_NUMBER = Field("id", low=-(2.0**63), high=2.0**63)
_TEXT = Field("id", pl.String, high=LONGEST_NAME)


def _detects(path: Path, head: bytes) -> bool:
    return parquets.is_parquet(head) and _holds_tasks(path)


def _holds_tasks(path: Path) -> bool:
    try:
        return {"submission_time", "cpu_count", "mem_capacity"} <= set(files.parquet_schema(path))
    except InputError:  # damaged: another reader tells how
        return False


def _detects_folder(path: Path) -> bool:
    parts = parquets.parts(path, "tasks")
    return bool(parts) and _holds_tasks(parts[0])


def _portions(path: Path, options: Options) -> Portions:
    parts = parquets.parts(path, "tasks")
    if not parts:
        raise InputError("has no tasks", file=path, expected="tasks.parquet, or a folder that holds it")
    check = Checker(parts[0], options)
    present = parquets.columns(parts)
    check.columns(present, (_TEXT, *_TASKS))
    id_field = _NUMBER if present["id"].is_integer() else _TEXT
    fields = [id_field, *(field for field in _TASKS if field.name in present)]
    origin = parquets.least(parts, "submission_time", _MILLISECONDS)
    seen: Counter[str] = Counter()
    for part, raw in parquets.batches(parts, [field.name for field in fields], options):
        check.path = part
        frame = check.drop(check.typed(raw, fields), [_NO_PROCESSOR])
        pods = _pods(check.fresh(frame, "id"), origin)
        seen["pods"] += pods.height
        yield pods
    used = len(parquets.parts(path, "fragments")) if path.is_dir() else 0
    notes = (
        f"opendc: {seen['pods']:,} tasks are pods, each alone; mem_capacity is MB (10^6 bytes), a processor is 1 cpu.",
        f"opendc: times are counted from the first submission, at {origin:,} ms since 1970.",
        "opendc: the speed of processors and GPUs, deferral, deadlines, parents and children are not modelled."
        + (f" {used:,} tables of fragments (use over time) are not read." if used else ""),
    )
    return Rest(notes, dropped=check.dropped)


_NO_PROCESSOR = Rule(pl.col("cpu_count") < 1, "cpu_count", "'{value}' is no processor", "1 or more")


def _pods(tasks: pl.DataFrame, origin: int) -> pl.DataFrame:
    devices = pl.col("gpu_count").fill_null(0) if "gpu_count" in tasks.columns else pl.lit(0, pl.Int64)
    return tasks.select(
        name=pl.lit("task-") + pl.col("id").cast(pl.String),
        namespace=pl.lit("default"),
        owner=pl.lit(None, pl.String),
        arrival_us=(pl.col("submission_time") - origin) * 1000,
        duration_us=pl.col("duration") * 1000,
        end_us=pl.lit(None, pl.Int64),
        cpu_milli=pl.col("cpu_count") * 1000,
        memory_bytes=pl.col("mem_capacity") * _MB,
        gpu_count=devices,
        gpu_milli=pl.when(devices > 0).then(1000).otherwise(0),
    )


READER = Reader(
    name="opendc",
    doc="OpenDC: Parquet table of tasks with processors and memory.",
    detects=_detects,
    detects_folder=_detects_folder,
    read=specs.reading("opendc", _portions),
    portions=_portions,
)
