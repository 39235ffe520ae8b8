"""The job list derived from Alibaba's cluster trace 2017 (FC-Li/CloudSimPy): a row is a task of many instances.

A pod is an instance: 31,756 tasks are 2,551,075 pods. Memory is a fraction of a machine, processors are cores.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from kscale.errors import InputError
from kscale.traces import Options, Reader, Trace
from kscale.traces.common import files, specs
from kscale.traces.common.checks import LARGEST_SECONDS, Checker, Field, microseconds, rounded_up
from kscale.traces.common.shapes import parse_unit

#: What 1.0 of a machine is: the machines of the 2017 trace have 64 processors; their memory is not published, and
#: 4 GiB per processor is the usual server of its time.
MACHINE_UNIT = "64cpu,256Gi"

_FIELDS = (
    Field("submit_time", pl.Float64, high=LARGEST_SECONDS),
    Field("duration", pl.Float64, high=LARGEST_SECONDS),
    Field("cpu", pl.Float64, high=1e6),
    Field("memory", pl.Float64, high=1e3),
    Field("job_id"),
    Field("task_id"),
    Field("instances_num"),
)


def _detects(path: Path, head: bytes) -> bool:
    columns = files.csv_columns(head)
    return "instances_num" in columns or {"submit_time", "job_id", "task_id"} <= columns


def _read(path: Path, options: Options) -> Trace:
    unit_text = options.machine_unit or MACHINE_UNIT
    machine = parse_unit(unit_text, "memory_bytes").memory_bytes or 0
    check = Checker(path, options)
    raw = files.csv_table(path, options, check.dropped)
    check.columns(raw.columns, _FIELDS)
    tasks = check.unique(check.typed(raw, _FIELDS), ["job_id", "task_id"])
    tasks = tasks.select(
        "job_id",
        "task_id",
        "instances_num",
        arrival_us=microseconds(pl.col("submit_time")),
        duration_us=microseconds(pl.col("duration")),
        cpu_milli=rounded_up(pl.col("cpu") * 1000),
        memory_bytes=rounded_up(pl.col("memory") * machine),
    )
    table = specs.SpecTable()
    tasks = tasks.with_columns(table.add(tasks)).drop("cpu_milli", "memory_bytes")
    try:
        pods, index = specs.repeated(tasks, tasks["instances_num"], options.max_input // specs.POD_BYTES)
    except InputError as error:
        raise InputError(error.problem, file=path, field="instances_num", expected=error.expected) from None
    job = pl.lit("job-") + pl.col("job_id").cast(pl.String)
    pods = pods.with_columns(
        name=pl.concat_str(job, pl.lit("-task-"), "task_id", pl.lit("-"), index),
        namespace=pl.lit("default"),
        owner=job,
    )
    notes = (
        f"jobs2017: 1.0 of a machine is {unit_text} (--machine-unit): memory is a fraction of it, cpu is in cores.",
        f"jobs2017: {tasks.height:,} tasks are {pods.height:,} pods, one an instance, each as long as its task.",
        "jobs2017: gangs and the order of tasks are not modelled; disk is not used.",
    )
    return Trace("jobs2017", specs.conform(pods, specs.PODS), table.frame(), None, notes, check.dropped)


READER = Reader(
    name="jobs2017",
    doc="Task list derived from Alibaba 2017: CSV of tasks with their number of instances.",
    detects=_detects,
    read=_read,
)
