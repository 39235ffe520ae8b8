"""Alibaba GPU cluster trace 2020 (PAI; Weng et al., NSDI'22): training and inference on 6,742 GPUs for two months.

A folder of tables without headers, or one of tasks or instances: pai_job_table, pai_task_table, pai_instance_table,
pai_group_tag_table, pai_machine_spec. Numbers are floats, and may be missing.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl

from kscale.errors import InputError
from kscale.traces import Options, Portions, Reader, Rest
from kscale.traces.common import specs, tables
from kscale.traces.common.checks import LARGEST_SECONDS, LONGEST_NAME, Checker, Field, Rule, microseconds, rounded_up
from kscale.traces.common.shapes import MAX_DEVICES, MODEL_LABEL
from kscale.traces.common.work import Work

_LARGEST_GB = float((1 << 59) >> 30)
_TIME, _NUMBER, _WORD = r"-?(\d+(\.\d*)?)?", r"(\d+(\.\d*)?)?", r"[A-Z][a-z]+"


def _name(name: str, *, nullable: bool = True) -> Field:
    return Field(name, pl.String, nullable=nullable, high=LONGEST_NAME)


def _time(name: str) -> Field:
    return Field(name, pl.Float64, nullable=True, low=-LARGEST_SECONDS, high=LARGEST_SECONDS)


def _number(name: str, high: float, *, nullable: bool = True) -> Field:
    return Field(name, pl.Float64, nullable=nullable, high=high)


JOBS = tables.Table(
    "pai_job_table",
    ("job_name", "inst_id", "user", "status", "start_time", "end_time"),
    (_name("job_name", nullable=False), _name("inst_id"), _time("start_time")),
    {"status": _WORD, "start_time": _TIME, "end_time": _TIME},
)
TASKS = tables.Table(
    "pai_task_table",
    (
        "job_name", "task_name", "inst_num", "status", "start_time", "end_time", "plan_cpu", "plan_mem", "plan_gpu",
        "gpu_type",
    ),
    (
        _name("job_name"), _name("task_name"), _number("inst_num", 1e7), _name("status"), _time("start_time"),
        _time("end_time"), _number("plan_cpu", 1e9), _number("plan_mem", _LARGEST_GB),
        _number("plan_gpu", 100.0 * 1024),
    ),
    {"status": _WORD, "start_time": _TIME, "end_time": _TIME, "inst_num": _NUMBER, "plan_cpu": _NUMBER},
    rules=(Rule(pl.col("inst_num") % 1 != 0, "inst_num", "'{value}' is not a whole number", "a number of instances"),),
)  # fmt: skip
INSTANCES = tables.Table(
    "pai_instance_table",
    (
        "job_name", "task_name", "inst_name", "worker_name", "inst_id", "status", "start_time", "end_time", "machine",
    ),
    (
        _name("job_name"), _name("task_name"), _name("inst_id"), _name("status"), _time("start_time"),
        _time("end_time"),
    ),
    {"status": _WORD, "start_time": _TIME, "end_time": _TIME},
)  # fmt: skip
TAGS = tables.Table(
    "pai_group_tag_table",
    ("inst_id", "user", "gpu_type_spec", "group", "workload"),
    (_name("inst_id", nullable=False), _name("gpu_type_spec")),
    {},
    labels=("gpu_type_spec",),
)
MACHINES = tables.Table(
    "pai_machine_spec",
    ("machine", "gpu_type", "cap_cpu", "cap_mem", "cap_gpu"),
    (
        _name("machine", nullable=False), _name("gpu_type"), _number("cap_cpu", 1e6, nullable=False),
        _number("cap_mem", _LARGEST_GB, nullable=False), Field("cap_gpu", high=MAX_DEVICES),
    ),
    {"gpu_type": r"[A-Z][A-Za-z0-9]*", "cap_cpu": _NUMBER, "cap_mem": _NUMBER, "cap_gpu": _NUMBER},
    rules=(
        Rule(
            (pl.col("cap_gpu") > 0) & pl.col("gpu_type").is_null(), "gpu_type", "is missing", "the model of the GPUs"
        ),
    ),
    labels=("gpu_type",),
)  # fmt: skip
_WORK = (TASKS, INSTANCES)

_GPUS = (pl.col("plan_gpu") / 100).fill_null(0.0)
#: What an instance of a task asks for: plan_cpu and plan_gpu are percent of a core and of a GPU.
_REQUESTS = {
    "cpu_milli": rounded_up(pl.col("plan_cpu") * 10),
    "memory_bytes": rounded_up(pl.col("plan_mem") * (1 << 30)),
    "gpu_count": rounded_up(_GPUS),
    "gpu_milli": pl.when(_GPUS > 1).then(1000).otherwise(rounded_up(_GPUS * 1000)).cast(pl.Int64),
}


class _Jobs:
    """What the tables of jobs and of tags say of a pod: when its job was handed in, and the GPUs it must have."""

    def __init__(self, found: dict[str, list[Path]], options: Options, dropped: dict[str, int]) -> None:
        self.asked = self.bound = 0
        self.tags = tables.Lookup({"gpu_models": pl.String})
        for tags in tables.rows(TAGS, found.get(TAGS.name, []), options, dropped):
            self.tags.add([tags["inst_id"]], tags.select(gpu_models="gpu_type_spec"))
        self.tags.seal()
        self.jobs = tables.Lookup({"created_us": pl.Int64, "gpu_models": pl.String})
        for jobs in tables.rows(JOBS, found.get(JOBS.name, []), options, dropped):
            created = jobs.select(created_us=microseconds(pl.col("start_time").clip(0)))
            self.jobs.add([jobs["job_name"]], created.hstack(self.tags.find([jobs["inst_id"].fill_null("")])))
        self.jobs.seal()

    def joined(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return rows of tasks or instances with ``created_us`` and ``gpu_models``, where they ask for GPUs."""
        said = self.jobs.find([frame["job_name"].fill_null("")])
        if "inst_id" in frame.columns:
            said = said.with_columns(self.tags.find([frame["inst_id"].fill_null("")]))
        frame = frame.hstack(said).with_columns(pl.col("gpu_count", "gpu_milli").fill_null(0))
        some = pl.col("gpu_count") > 0
        self.asked += frame["gpu_models"].len() - frame["gpu_models"].null_count()
        frame = frame.with_columns(pl.when(some).then("gpu_models"))
        self.bound += frame["gpu_models"].len() - frame["gpu_models"].null_count()
        return frame


def _portions(path: Path, options: Options) -> Portions:
    found = tables.find(path, (*_WORK, JOBS, MACHINES, TAGS) if path.is_dir() else _WORK)
    if not set(found) & {table.name for table in _WORK}:
        raise InputError("has no tasks and no instances", file=path, expected=f"{TASKS.name}, {INSTANCES.name}")
    dropped: dict[str, int] = {}
    notes: list[str] = []
    jobs = _Jobs(found, options, dropped)
    yield from replace(_BATCH, joined=jobs.joined).pods(found, options, dropped, notes)
    notes += _notes(found, jobs)
    nodes = _nodes(found[MACHINES.name], options, dropped) if MACHINES.name in found else None
    if nodes is not None:
        notes.append(f"{MACHINES.name}: {nodes.height:,} machines, which are there all the time; GB are taken as GiB.")
    return Rest(tuple(f"pai2020: {note}" for note in notes), nodes, dropped)


def _notes(found: dict[str, list[Path]], jobs: _Jobs) -> list[str]:
    if JOBS.name in found:
        notes = [
            f"a pod arrives when its job was handed in, the start_time of {JOBS.name}: {jobs.jobs.height:,} jobs; "
            f"{jobs.jobs.repeated:,} rows name a job again, and are not used.",
        ]
    else:
        notes = [f"there is no {JOBS.name}: a pod arrives when it started."]
    if TAGS.name in found:
        notes.append(
            f"gpu_type_spec of {TAGS.name} is the model that a pod must have: it is given for {jobs.asked:,} pods, of "
            f"which {jobs.bound:,} ask for GPUs; the others have no use for it. {jobs.tags.repeated:,} rows name an "
            "instance again, and are not used."
        )
    return [
        *notes,
        "plan_cpu and plan_gpu are percent of a core and of a GPU: above 100, plan_gpu is whole GPUs, rounded up; "
        "plan_mem is taken as GiB; what a task does not plan is not stated, or no GPU.",
        "gpu_type is where a task ended up, and not used; neither are users, groups, workloads, usage and metrics. "
        "Gangs are not modelled: the pods of a task start one by one.",
    ]


def _nodes(paths: list[Path], options: Options, dropped: dict[str, int]) -> pl.DataFrame:
    table = tables.whole(MACHINES, paths, options, dropped)
    some = pl.col("cap_gpu") > 0
    check = Checker(paths[0], options, dropped)
    table = check.unique(table, ["machine"])
    if not table.height:
        raise InputError("has no nodes", file=paths[0], expected="a row a machine")
    model = pl.when(some).then("gpu_type")
    return specs.conform_nodes(
        table.select(
            name="machine",
            cpu_milli=rounded_up(pl.col("cap_cpu") * 1000),
            memory_bytes=rounded_up(pl.col("cap_mem") * (1 << 30)),
            gpu_count="cap_gpu",
            gpu_model=model,
            labels=pl.lit(f"{MODEL_LABEL}=") + model,
        )
    )


_BATCH = Work(TASKS, INSTANCES, _REQUESTS, count="inst_num")

READER = Reader(
    name="pai2020",
    doc="Alibaba GPU 2020 (PAI): tasks and instances that share GPUs, CSV tables without headers.",
    detects=lambda path, head: any(table.matches(head) for table in _WORK),
    detects_folder=lambda path: tables.known(_WORK, path),
    read=specs.reading("pai2020", _portions),
    portions=_portions,
    read_nodes=lambda path, options: _nodes([path], options, {}),
    detects_nodes=lambda path, head: MACHINES.matches(head),
)
