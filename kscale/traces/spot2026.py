"""Alibaba spot GPU trace 2026: jobs of high priority and spot jobs on 10,412 GPUs, and the nodes.

job_info_df.csv and node_info_df.csv, each with a header; the trace is the folder, or the first of them alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from kscale.errors import InputError
from kscale.state.labels import parse_labels
from kscale.traces import Options, Portions, Reader, Rest
from kscale.traces.common import files, specs, tables
from kscale.traces.common.checks import LARGEST_SECONDS, LONGEST_NAME, Checker, Field, Rule, microseconds, rounded_up
from kscale.traces.common.shapes import MAX_DEVICES, MODEL_LABEL, parse_unit

#: Memory of a node: the trace has none, neither of nodes nor of jobs.
MACHINE_UNIT = "1Ti"
#: The priorities of the two types of jobs; a spot job may be preempted by the others.
PRIORITIES = {"HP": 100, "Spot": 0}
_JOB_TABLE, _NODE_TABLE = "job_info_df", "node_info_df"

_JOBS = (
    Field("job_name", pl.String, high=LONGEST_NAME),
    Field("organization", pl.String, required=False, nullable=True, high=LONGEST_NAME),
    Field("gpu_model", pl.String, nullable=True),
    Field("cpu_request", pl.Float64, high=1e6),
    Field("gpu_request", pl.Float64, high=1024),
    Field("worker_num", pl.Float64, high=1e7),
    Field("submit_time", pl.Float64, high=LARGEST_SECONDS),
    Field("duration", pl.Float64, nullable=True, high=LARGEST_SECONDS),
    Field("job_type", pl.String),
)
_NODES = (
    Field("node_name", pl.String, high=LONGEST_NAME),
    Field("gpu_model", pl.String, nullable=True),
    Field("gpu_capacity_num", pl.Float64, high=MAX_DEVICES),
    Field("cpu_num", pl.Float64, high=1e6),
)


def _detects(path: Path, head: bytes) -> bool:
    columns = files.csv_columns(head)
    return {"worker_num", "job_type"} <= columns or {"job_name", "submit_time", "gpu_request"} <= columns


def _detects_nodes(path: Path, head: bytes) -> bool:
    columns = files.csv_columns(head)
    return "gpu_capacity_num" in columns or {"node_name", "gpu_model", "cpu_num"} <= columns


def _detects_folder(path: Path) -> bool:
    return any(_detects(one, files.head(one)) for one in tables.in_folder(path, _JOB_TABLE)[:1])


def _label(text: str) -> None:
    parse_labels(f"{MODEL_LABEL}={text}")


class _Counts:
    """What becomes of jobs, for the notes."""

    jobs = pods = endless = hollow = 0


def _pods(path: Path, options: Options, dropped: dict[str, int], counts: _Counts) -> Iterator[pl.DataFrame]:
    check = Checker(path, options, dropped)
    types = list(PRIORITIES)
    workers = pl.col("worker_num")
    rules = [
        Rule(~pl.col("job_type").is_in(types), "job_type", "'{value}' is no type of jobs", " or ".join(types)),
        Rule(workers != workers.floor(), "worker_num", "'{value}' is not a whole number", "a number of workers"),
    ]
    for batch in check.csv(_JOBS):
        jobs = check.parsed(check.fresh(check.drop(batch, rules), "job_name"), "gpu_model", _label)
        counts.jobs += jobs.height
        counts.endless += jobs["duration"].null_count()
        counts.hollow += int((jobs["worker_num"] == 0).sum())
        gpus = pl.col("gpu_request")
        jobs = jobs.select(
            "worker_num",
            namespace=pl.lit("default"),
            owner="job_name",
            arrival_us=microseconds(pl.col("submit_time")),
            duration_us=microseconds(pl.col("duration")),
            cpu_milli=rounded_up(pl.col("cpu_request") * 1000),
            gpu_count=rounded_up(gpus),
            gpu_milli=pl.when(gpus > 1).then(1000).otherwise(rounded_up(gpus * 1000)),
            gpu_models=pl.when(gpus > 0).then("gpu_model"),
            priority=pl.col("job_type").replace_strict(PRIORITIES, return_dtype=pl.Int64),
        )
        for chunk in tables.repeated(jobs, jobs["worker_num"]):
            counts.pods += chunk.height
            name = pl.concat_str("owner", pl.lit("-"), "index")
            yield chunk.with_columns(name=name).drop("worker_num", "index")


def _nodes(path: Path, options: Options, dropped: dict[str, int]) -> pl.DataFrame:
    unit = parse_unit(options.machine_unit or MACHINE_UNIT, "memory_bytes")
    check = Checker(path, options, dropped)
    raw = files.csv_table(path, options, dropped)
    check.columns(raw.columns, _NODES)
    some = pl.col("gpu_capacity_num") > 0
    rules = [
        Rule(some & pl.col("gpu_model").is_null(), "gpu_model", "is missing", "the model of the GPUs"),
        Rule(pl.col("gpu_capacity_num") % 1 != 0, "gpu_capacity_num", "'{value}' is not a whole number", "GPUs"),
    ]
    table = check.parsed(check.drop(check.typed(raw, _NODES), rules), "gpu_model", _label)
    table = check.unique(table, ["node_name"])
    if not table.height:
        raise InputError("has no nodes", file=path, expected="a row a node")
    model = pl.when(some).then("gpu_model")
    return specs.conform_nodes(
        table.select(
            name=pl.lit("node-") + pl.col("node_name"),
            cpu_milli=rounded_up(pl.col("cpu_num") * 1000),
            memory_bytes=pl.lit(unit.memory_bytes, pl.Int64),
            gpu_count=pl.col("gpu_capacity_num").cast(pl.Int64),
            gpu_model=model,
            labels=pl.lit(f"{MODEL_LABEL}=") + model,
        )
    )


def _portions(path: Path, options: Options) -> Portions:
    folder = path.is_dir()
    jobs = tables.in_folder(path, _JOB_TABLE) if folder else [path]
    machines = tables.in_folder(path, _NODE_TABLE) if folder else []
    if len(jobs) != 1 or len(machines) > 1:
        expected = f"one {_JOB_TABLE}.csv, and at most one {_NODE_TABLE}.csv"
        raise InputError(f"holds {len(jobs)} tables of jobs and {len(machines)} of nodes", file=path, expected=expected)
    counts = _Counts()
    dropped: dict[str, int] = {}
    yield from _pods(jobs[0], options, dropped, counts)
    notes = [
        f"{counts.jobs:,} jobs are {counts.pods:,} pods, one a worker, each with what the job requests and as long as "
        f"it; {counts.endless:,} jobs without a duration never end, {counts.hollow:,} have no workers.",
        f"jobs of type HP have priority {PRIORITIES['HP']} and may preempt those of type Spot, {PRIORITIES['Spot']}; a "
        "pod must have the model of its job.",
        "gpu_request is GPUs of a worker; below 1 it is a share of one, between whole numbers it is rounded up.",
        "gangs are not modelled: the workers of a job start one by one; the organization is not used.",
    ]
    nodes = None
    if machines:
        nodes = _nodes(machines[0], options, dropped)
        notes.append(
            f"{nodes.height:,} nodes; their memory is not known, nor what pods need of it, which is not stated: a node "
            f"has {options.machine_unit or MACHINE_UNIT} (--machine-unit)."
        )
    else:
        notes.append("the file has no nodes: they are in node_info_df.csv.")
    return Rest(tuple(f"spot2026: {note}" for note in notes), nodes, dropped)


READER = Reader(
    name="spot2026",
    doc="Alibaba spot GPU 2026: CSV of jobs of high priority and spot jobs, and of nodes.",
    detects=_detects,
    detects_folder=_detects_folder,
    read=specs.reading("spot2026", _portions),
    portions=_portions,
    read_nodes=lambda path, options: _nodes(path, options, {}),
    detects_nodes=_detects_nodes,
)
