"""Alibaba cluster trace 2018: long-running containers and batch tasks that share 4,034 machines for eight days.

A folder of tables without headers, or one of them: machine_meta, container_meta, batch_task and batch_instance. What a
machine of the trace is in bytes was not published; amounts of memory are percent of a machine. -1 and 101 are marks of
invalid values.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from kscale.errors import InputError
from kscale.traces import Options, Portions, Reader, Rest
from kscale.traces.common import specs, tables
from kscale.traces.common.checks import LARGEST_SECONDS, LONGEST_NAME, Field, rounded_up
from kscale.traces.common.history import History, history
from kscale.traces.common.shapes import Shape, parse_unit
from kscale.traces.common.work import Work

#: What 1.0 of a machine is: the machines of the trace have 96 processors; their memory is not published, and 4 GiB per
#: processor is the usual server of its time.
MACHINE_UNIT = "96cpu,384Gi"
#: The status of a machine that takes work.
USING = "USING"
#: The status of a container that has ended.
STOPPED = "stopped"
_TIME, _WORD = r"-?\d*(\.\d*)?", r"[A-Z][a-z]+"
#: Most instances of a task.
_MOST = 10**7


def _name(name: str, *, nullable: bool = False) -> Field:
    return Field(name, pl.String, nullable=nullable, high=LONGEST_NAME)


def _time(name: str) -> Field:
    return Field(name, nullable=True, low=-LARGEST_SECONDS, high=LARGEST_SECONDS)


def _amount(name: str) -> Field:
    return Field(name, pl.Float64, nullable=True, low=-1, high=1e9)


def _percent(name: str) -> Field:
    return Field(name, pl.Float64, nullable=True, low=-1, high=1e4)


MACHINES = tables.Table(
    "machine_meta",
    ("machine_id", "time_stamp", "failure_domain_1", "failure_domain_2", "cpu_num", "mem_size", "status"),
    (
        _name("machine_id"), _time("time_stamp"), _name("failure_domain_1", nullable=True),
        _name("failure_domain_2", nullable=True), _amount("cpu_num"), _percent("mem_size"),
        _name("status", nullable=True),
    ),
    {"machine_id": r"m_\d+", "time_stamp": _TIME, "status": r"[A-Z_]*"},
    labels=("failure_domain_1", "failure_domain_2"),
)  # fmt: skip
CONTAINERS = tables.Table(
    "container_meta",
    ("container_id", "machine_id", "time_stamp", "app_du", "status", "cpu_request", "cpu_limit", "mem_size"),
    (
        _name("container_id"), _time("time_stamp"), _name("app_du", nullable=True), _name("status", nullable=True),
        _amount("cpu_request"), _percent("mem_size"),
    ),
    {"time_stamp": _TIME, "status": r"[a-z]*", "machine_id": r"(m_\d+)?", "container_id": r"c_\d+"},
)  # fmt: skip
TASKS = tables.Table(
    "batch_task",
    (
        "task_name", "instance_num", "job_name", "task_type", "status", "start_time", "end_time", "plan_cpu",
        "plan_mem",
    ),
    (
        _name("task_name", nullable=True), Field("instance_num", nullable=True, high=_MOST),
        _name("job_name", nullable=True), _name("status", nullable=True), _time("start_time"), _time("end_time"),
        _amount("plan_cpu"), _percent("plan_mem"),
    ),
    {"status": _WORD, "start_time": _TIME, "end_time": _TIME, "instance_num": _TIME},
)  # fmt: skip
INSTANCES = tables.Table(
    "batch_instance",
    (
        "instance_name", "task_name", "job_name", "task_type", "status", "start_time", "end_time", "machine_id",
        "seq_no", "total_seq_no", "cpu_avg", "cpu_max", "mem_avg", "mem_max",
    ),
    (
        _name("task_name", nullable=True), _name("job_name", nullable=True), _name("status", nullable=True),
        _time("start_time"), _time("end_time"),
    ),
    {"status": _WORD, "start_time": _TIME, "end_time": _TIME},
)  # fmt: skip
_WORK = (CONTAINERS, TASKS, INSTANCES)


def _valid(name: str, *, percent: bool = False) -> pl.Expr:
    """Return an amount, null where it is marked as invalid; 101 is such a mark where amounts are percent."""
    invalid = (pl.col(name) < 0) | ((pl.col(name) == 101) & percent)
    return pl.when(~invalid).then(pl.col(name))


def _requests(cpu: str, memory: str, unit: Shape) -> dict[str, pl.Expr]:
    """Return what is asked for: ``cpu`` in hundredths of a core, ``memory`` in percent of a machine."""
    return {"cpu_milli": rounded_up(_valid(cpu) * 10), "memory_bytes": _memory(memory, unit)}


def _memory(name: str, unit: Shape) -> pl.Expr:
    return rounded_up(_valid(name, percent=True) * (unit.memory_bytes or 0) / 100)


def _portions(path: Path, options: Options) -> Portions:
    text = options.machine_unit or MACHINE_UNIT
    unit = parse_unit(text, "cpu_milli", "memory_bytes")
    found = tables.find(path, (*_WORK, MACHINES) if path.is_dir() else _WORK)
    if set(found) == {MACHINES.name}:
        raise InputError("has machines and no work", file=path, expected=", ".join(table.name for table in _WORK))
    dropped: dict[str, int] = {}
    notes = [f"1.0 of a machine is {text} (--machine-unit): memory is given in percent of a machine."]
    nodes = events = None
    if MACHINES.name in found:
        machines, said = _machines(found[MACHINES.name], unit, options, dropped)
        nodes, events, notes = machines.nodes, machines.events, notes + said
    if CONTAINERS.name in found:
        yield _containers(found[CONTAINERS.name], unit, options, dropped, notes)
    work = Work(TASKS, INSTANCES, _requests("plan_cpu", "plan_mem", unit), namespace="batch")
    yield from work.pods(found, options, dropped, notes)
    notes += [
        "an amount that is empty, -1, or 101 percent is invalid, and not stated.",
        "batch pods are in the namespace batch, owned by their job, and arrive when they start, since nothing else is "
        "known; containers are in the namespace containers, owned by their app_du.",
        "usage, limits, where things ran, task types, and the order of tasks (in their names) are not used; gangs are "
        "not modelled.",
    ]
    return Rest(tuple(f"alibaba2018: {note}" for note in notes), nodes, dropped, node_events=events)


def _machines(paths: list[Path], unit: Shape, options: Options, dropped: dict[str, int]) -> tuple[History, list[str]]:
    """Return the machines, and what to say of them."""
    table = tables.whole(MACHINES, paths, options, dropped)
    found = history(
        table.select(
            node="machine_id",
            time_us=pl.col("time_stamp").fill_null(0).clip(0) * 10**6,
            cpu_milli=rounded_up(_valid("cpu_num") * 1000),
            memory_bytes=_memory("mem_size", unit),
            ephemeral_storage_bytes=pl.lit(None, pl.Int64),
            labels=_labels("failure_domain_1", "failure_domain_2"),
            closed=pl.col("status").fill_null(USING) != USING,
        ),
        unit,
    )
    said = [
        f"machine_meta: {table.height:,} rows are {found.nodes.height:,} machines; {found.joined:,} join at their "
        "first row. Further rows are signs of life, and count where capacity or status change.",
        f"machine_meta: {found.closed:,} machines begin with a status other than {USING}: no pods until they have it.",
        "machine_meta: failure domains are labels, failure-domain-1 and -2; containers are not made to spread.",
    ]
    if found.unknown:
        said.append(f"machine_meta: {found.unknown:,} machines never say what they have: they are one machine unit.")
    return found, said


def _labels(*names: str) -> pl.Expr:
    """Return columns as labels of their names, null where there is none."""
    parts = [pl.lit(name.replace("_", "-") + "=") + pl.col(name) for name in names]
    return pl.concat_str(parts, separator=",", ignore_nulls=True).replace("", None)


def _containers(
    paths: list[Path], unit: Shape, options: Options, dropped: dict[str, int], notes: list[str]
) -> pl.DataFrame:
    """Return the containers: a pod from the first row until the status says that it has stopped for good."""
    table = tables.whole(CONTAINERS, paths, options, dropped)
    table = table.with_columns(
        time_us=pl.col("time_stamp").fill_null(0).clip(0) * 10**6,
        place=pl.int_range(pl.len()),
        cpu_request=_valid("cpu_request"),
        mem_size=_valid("mem_size", percent=True),
    ).sort("time_us", "place")
    asked = pl.col("cpu_request", "mem_size")
    lives = pl.col("status").ne_missing(STOPPED)
    life = table.group_by("container_id").agg(
        pl.col("place").min(),
        pl.col("app_du").drop_nulls().first(),
        asked.filter(lives).drop_nulls().first(),
        changed=pl.any_horizontal(asked.filter(lives).drop_nulls().n_unique() > 1),
        start_us=pl.col("time_us").filter(lives).first(),
        # The rows behind the last one in which it lives say that it has stopped.
        end_us=pl.col("time_us").filter(lives.reverse().cum_sum().reverse() == 0).first(),
    )
    life = life.sort("place")
    ran = life.filter(pl.col("start_us").is_not_null())
    early, changed = (ran.filter(rows).height for rows in (pl.col("start_us") == 0, pl.col("changed")))
    ended = ran.height - ran["end_us"].null_count()
    stopped = life.height - ran.height
    notes += [
        f"container_meta: {table.height:,} rows are {ran.height:,} containers, each a pod from its first row; "
        f"{early:,} were there at 0. {ended:,} end where their status turns to {STOPPED}, the others never.",
        f"container_meta: {stopped:,} containers are only seen {STOPPED}, and left out; {changed:,} ask for something "
        "else later, which is not used.",
    ]
    return ran.select(
        name="container_id",
        namespace=pl.lit("containers"),
        owner="app_du",
        arrival_us="start_us",
        duration_us=pl.col("end_us") - pl.col("start_us"),
        end_us="end_us",
        **_requests("cpu_request", "mem_size", unit),
    )


def _read_nodes(path: Path, options: Options) -> pl.DataFrame:
    unit = parse_unit(options.machine_unit or MACHINE_UNIT, "cpu_milli", "memory_bytes")
    return _machines([path], unit, options, {})[0].node_list(path)


READER = Reader(
    name="alibaba2018",
    doc="Alibaba 2018: containers and batch work on shared machines, CSV tables without headers.",
    detects=lambda path, head: any(table.matches(head) for table in _WORK),
    detects_folder=lambda path: tables.known(_WORK, path),
    read=specs.reading("alibaba2018", _portions),
    portions=_portions,
    read_nodes=_read_nodes,
    detects_nodes=lambda path, head: MACHINES.matches(head),
)
