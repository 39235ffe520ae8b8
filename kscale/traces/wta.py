"""Workflow Trace Archive, schema 1.0 (Versluis et al., TPDS'20): Parquet tables of tasks in workflows.

A trace is a folder with ``tasks/schema-1.0`` and perhaps ``resources/schema-1.0``; a file of tasks alone is taken too.
Times are milliseconds, -1 is unknown. The format says MB of disk and GB of a resource's memory, but nothing of the
unit of a task's memory.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import polars as pl

from kscale.errors import InputError
from kscale.state.quantities import LARGEST
from kscale.traces import Options, Portions, Reader, Rest
from kscale.traces.common import files, parquets, specs
from kscale.traces.common.checks import Checker, Field, Rule, rounded_up
from kscale.traces.common.shapes import MAX_DEVICES, Shape, parse_unit

_SCHEMA = "schema-1.0"
_MILLISECONDS = LARGEST // 1000
_INT64 = 2.0**63
_TASKS = (
    Field("id", low=-_INT64, high=_INT64),
    Field("workflow_id", low=-_INT64, high=_INT64),
    Field("ts_submit", low=-1, high=_MILLISECONDS),
    Field("runtime", low=-1, high=_MILLISECONDS),
    Field("resource_amount_requested", pl.Float64, low=-1, high=1e7),
    Field("resource_type", pl.String, required=False, nullable=True),
    Field("wait_time", required=False, nullable=True, low=-1, high=_MILLISECONDS),
    Field("memory_requested", pl.Float64, required=False, nullable=True, low=-1, high=2.0**58),
    Field("disk_space_requested", pl.Float64, required=False, nullable=True, low=-1, high=1e11),
)
_RESOURCES = (
    Field("id", low=-_INT64, high=_INT64),
    Field("num_resources", pl.Float64, low=-1, high=1e7),
    Field("memory", pl.Float64, nullable=True, low=-1, high=1e8),
    Field("disk_space", pl.Float64, required=False, nullable=True, low=-1, high=1e8),
)


def _detects(path: Path, head: bytes) -> bool:
    if not parquets.is_parquet(head):
        return False
    try:
        return {"ts_submit", "runtime", "workflow_id", "resource_amount_requested"} <= set(files.parquet_schema(path))
    except InputError:  # damaged: another reader tells how
        return False


def _tasks(path: Path) -> list[Path]:
    return parquets.parts(path, "tasks", _SCHEMA)


def _portions(path: Path, options: Options) -> Portions:
    parts = _tasks(path)
    if not parts:
        raise InputError("has no tasks", file=path, expected=f"Parquet files in tasks/{_SCHEMA}")
    check = Checker(parts[0], options)
    present = parquets.columns(parts)
    check.columns(present, _TASKS)
    fields = [field for field in _TASKS if field.name in present]
    unit = parse_unit(options.machine_unit, "cpu_milli") if options.machine_unit else Shape(cpu_milli=1000)
    origin = parquets.least(parts, "ts_submit", _MILLISECONDS)
    seen: Counter[str] = Counter()
    for part, raw in parquets.batches(parts, [field.name for field in fields], options):
        check.path = part
        frame = check.fresh(check.typed(raw, fields), "id")
        yield _pods(_known(check.drop(frame, [_too_many_gpus(frame)]), seen), origin, unit)
    nodes = _nodes(path, options, check.dropped, seen) if path.is_dir() else None
    return Rest(_notes(seen, origin, unit, options), nodes, check.dropped)


def _gpu(tasks: pl.DataFrame) -> pl.Expr:
    """Return which tasks ask for GPUs; there are few types, so each is looked at once."""
    if "resource_type" not in tasks.columns:
        return pl.lit(False)
    kinds = [kind for kind in tasks["resource_type"].unique().drop_nulls() if "gpu" in kind.lower()]
    return pl.col("resource_type").is_in(kinds).fill_null(False) if kinds else pl.lit(False)


def _too_many_gpus(tasks: pl.DataFrame) -> Rule:
    """Return the rule that no task asks for more GPUs than a pod can hold."""
    bad = _gpu(tasks) & (pl.col("resource_amount_requested") > MAX_DEVICES)
    return Rule(bad, "resource_amount_requested", "'{value}' GPUs are too many", f"at most {MAX_DEVICES}")


def _known(tasks: pl.DataFrame, seen: Counter[str]) -> pl.DataFrame:
    """Return the tasks that ran, with every column; count the others by what is not known of them."""
    lacking = [pl.lit(-1.0).alias(f.name) for f in _TASKS[6:] if f.name not in tasks.columns]
    tasks = tasks.with_columns(lacking).with_columns(pl.col([f.name for f in _TASKS[6:]]).fill_null(-1))
    submitted = tasks.filter(pl.col("ts_submit") >= 0)
    ran = submitted.filter(pl.col("runtime") >= 0)
    seen["tasks"] += tasks.height
    seen["unsubmitted"] += tasks.height - submitted.height
    seen["unrun"] += submitted.height - ran.height
    seen["pods"] += ran.height
    seen["unstated"] += ran.filter(pl.col("resource_amount_requested") < 0).height
    seen["memory"] += ran.filter(pl.col("memory_requested") >= 0).height
    return ran


def _pods(tasks: pl.DataFrame, origin: int, unit: Shape) -> pl.DataFrame:
    amount = pl.col("resource_amount_requested")
    stated = amount >= 0
    gpu = _gpu(tasks)
    arrival = (pl.col("ts_submit") - origin) * 1000
    runtime = pl.col("runtime") * 1000
    memory = pl.when(pl.col("memory_requested") >= 0).then(pl.col("memory_requested") * (unit.memory_bytes or 0))
    disk = pl.when(pl.col("disk_space_requested") >= 0).then(pl.col("disk_space_requested") * 1e6)
    workflow = pl.lit("workflow-") + pl.col("workflow_id").cast(pl.String)
    devices = pl.when(gpu & stated).then(rounded_up(amount)).otherwise(0)
    return tasks.select(
        name=pl.lit("task-") + pl.col("id").cast(pl.String),
        namespace=pl.lit("default"),
        owner=pl.when(pl.col("workflow_id") != -1).then(workflow),
        arrival_us=arrival,
        duration_us=runtime,
        end_us=pl.when(pl.col("wait_time") >= 0).then(arrival + pl.col("wait_time").cast(pl.Int64) * 1000 + runtime),
        cpu_milli=rounded_up(pl.when(stated & ~gpu).then(amount * (unit.cpu_milli or 0))),
        memory_bytes=rounded_up(memory) if unit.memory_bytes else pl.lit(None, pl.Int64),
        ephemeral_storage_bytes=rounded_up(disk),
        gpu_count=devices,
        gpu_milli=pl.when(devices > 0).then(1000).otherwise(0),
    )


def _notes(seen: Counter[str], origin: int, unit: Shape, options: Options) -> tuple[str, ...]:
    what = f"1.0 of resource_amount_requested is {(unit.cpu_milli or 0) / 1000:g} cpu, of a gpu one GPU"
    if unit.memory_bytes:
        memory = f"1.0 of memory_requested is the memory of {options.machine_unit}"
    else:
        memory = (
            f"the format does not state the unit of memory_requested ({seen['memory']:,} tasks have some): memory is "
            "left out; --machine-unit 1cpu,1Gi says what 1.0 of both is"
        )
    return (
        f"wta: {seen['pods']:,} of {seen['tasks']:,} tasks are pods, {seen['unstated']:,} of them without an amount; "
        f"left out are {seen['unsubmitted']:,} without a submission and {seen['unrun']:,} without a run time.",
        f"wta: {what}; {memory}; disk_space_requested (MB) is ephemeral storage.",
        f"wta: times are counted from the first submission, at {origin:,} ms.",
        f"wta: resources with cores and memory are nodes ({seen['nodes']:,}), {seen['unsized']:,} others are left out.",
        "wta: dependencies are not modelled: a task arrives when it was submitted; sites, users, input and output, "
        "energy, states of tasks and what a task used are not used.",
    )


def _nodes(path: Path, options: Options, dropped: dict[str, int], seen: Counter[str]) -> pl.DataFrame | None:
    """Return the resources that say how large they are, or None where there are none."""
    parts = parquets.parts(path, "resources", _SCHEMA)
    if not parts:
        return None
    check = Checker(parts[0], options, dropped)
    present = parquets.columns(parts)
    check.columns(present, _RESOURCES)
    fields = [field for field in _RESOURCES if field.name in present]
    frames = []
    for part, raw in parquets.batches(parts, [field.name for field in fields], options):
        check.path = part
        frames.append(check.fresh(check.typed(raw, fields), "id"))
    found = pl.concat(frames)
    sized = found.filter((pl.col("num_resources") > 0) & (pl.col("memory") > 0))
    seen["nodes"], seen["unsized"] = sized.height, found.height - sized.height
    disk = pl.when(pl.col("disk_space") >= 0).then(pl.col("disk_space")) if "disk_space" in present else pl.lit(None)
    nodes = sized.select(
        name=pl.lit("resource-") + pl.col("id").cast(pl.String),
        cpu_milli=rounded_up(pl.col("num_resources") * 1000),
        memory_bytes=rounded_up(pl.col("memory") * 1e9),
        ephemeral_storage_bytes=rounded_up(disk.cast(pl.Float64) * 1e9),
    )
    return specs.conform_nodes(nodes) if nodes.height else None


READER = Reader(
    name="wta",
    doc="Workflow Trace Archive 1.0: Parquet tables of tasks in workflows.",
    detects=_detects,
    detects_folder=lambda path: bool(_tasks(path)),
    read=specs.reading("wta", _portions),
    portions=_portions,
)
