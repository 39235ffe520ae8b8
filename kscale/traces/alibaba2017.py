"""Alibaba cluster trace 2017: containers and batch tasks that share some 1,300 machines for twelve hours.

A folder of tables without headers, or one of them: server_event, container_event, batch_task and batch_instance. Memory
and disk are fractions of a machine. A time that is not after 0 lies before the trace.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from kscale.errors import InputError
from kscale.traces import Options, Portions, Reader, Rest
from kscale.traces.common import specs, tables
from kscale.traces.common.checks import LARGEST_SECONDS, LONGEST_NAME, Field, Rule, rounded_up
from kscale.traces.common.history import History, history
from kscale.traces.common.shapes import Shape, parse_unit
from kscale.traces.common.work import Work

#: What 1.0 of a machine is: the machines of the trace have 64 processors; their memory and disk are not published, and
#: 4 GiB per processor is the usual server of its time.
MACHINE_UNIT = "64cpu,256Gi"
_TIME, _WORD, _NUMBER = r"-?\d*(\.\d*)?", r"[A-Z][a-z]+", r"[-+.\deE]*"
_ERRORS = ("softerror", "harderror")
_SERVER_EVENTS = ("add", *_ERRORS)
_CONTAINER_EVENTS = ("Create", "Remove")


def _name(name: str) -> Field:
    return Field(name, pl.String, nullable=True, high=LONGEST_NAME)


def _time(name: str) -> Field:
    return Field(name, nullable=True, low=-LARGEST_SECONDS, high=LARGEST_SECONDS)


def _amount(name: str, high: float = 1e3) -> Field:
    return Field(name, pl.Float64, nullable=True, high=high)


def _events(kinds: tuple[str, ...]) -> Rule:
    unknown = ~pl.col("event_type").is_in(kinds)
    return Rule(unknown, "event_type", "'{value}' is no event of the table", f"one of {', '.join(kinds)}")


SERVERS = tables.Table(
    "server_event",
    ("timestamp", "machine_id", "event_type", "event_detail", "cpus", "memory", "disk"),
    (
        _time("timestamp"), Field("machine_id", pl.String, high=LONGEST_NAME), Field("event_type", pl.String),
        _amount("cpus", 1e6), _amount("memory"), _amount("disk"),
    ),
    {"timestamp": _TIME, "event_type": "|".join(_SERVER_EVENTS)},
    rules=(_events(_SERVER_EVENTS),),
)  # fmt: skip
CONTAINERS = tables.Table(
    "container_event",
    ("timestamp", "event_type", "instance_id", "machine_id", "cpus", "memory", "disk", "cpu_ids"),
    (
        _time("timestamp"), Field("event_type", pl.String), Field("instance_id", pl.String, high=LONGEST_NAME),
        _amount("cpus", 1e6), _amount("memory"), _amount("disk"),
    ),
    {"timestamp": _TIME, "event_type": "|".join(_CONTAINER_EVENTS)},
    rules=(_events(_CONTAINER_EVENTS),),
)  # fmt: skip
TASKS = tables.Table(
    "batch_task",
    ("start_time", "end_time", "job_name", "task_name", "instance_num", "status", "plan_cpu", "plan_mem"),
    (
        _time("start_time"), _time("end_time"), _name("job_name"), _name("task_name"),
        Field("instance_num", nullable=True, high=10**7), _name("status"), _amount("plan_cpu", 1e6),
        _amount("plan_mem"),
    ),
    {"start_time": _TIME, "end_time": _TIME, "instance_num": _TIME, "status": _WORD, "plan_mem": _NUMBER},
)  # fmt: skip
INSTANCES = tables.Table(
    "batch_instance",
    (
        "start_time", "end_time", "job_name", "task_name", "machine_id", "status", "seq_no", "total_seq_no",
        "cpu_max", "cpu_avg", "mem_max", "mem_avg",
    ),
    (_time("start_time"), _time("end_time"), _name("job_name"), _name("task_name"), _name("status")),
    {"start_time": _TIME, "end_time": _TIME, "status": _WORD, "seq_no": r"\d*"},
)  # fmt: skip
_WORK = (CONTAINERS, TASKS, INSTANCES)


def _requests(cpu: str, unit: Shape, memory: str, disk: str | None = None) -> dict[str, pl.Expr]:
    """Return what is asked for: ``cpu`` in cores, the others as fractions of a machine."""
    found = {
        "cpu_milli": rounded_up(pl.col(cpu) * 1000),
        "memory_bytes": rounded_up(pl.col(memory) * (unit.memory_bytes or 0)),
    }
    if unit.ephemeral_storage_bytes:
        stored = rounded_up(pl.col(disk) * unit.ephemeral_storage_bytes) if disk else pl.lit(None, pl.Int64)
        found["ephemeral_storage_bytes"] = stored
    return found


def _portions(path: Path, options: Options) -> Portions:
    text = options.machine_unit or MACHINE_UNIT
    unit = parse_unit(text, "cpu_milli", "memory_bytes")
    found = tables.find(path, (*_WORK, SERVERS) if path.is_dir() else _WORK)
    if set(found) == {SERVERS.name}:
        raise InputError("has machines and no work", file=path, expected=", ".join(table.name for table in _WORK))
    dropped: dict[str, int] = {}
    disk = "and disk are fractions" if unit.ephemeral_storage_bytes else "is a fraction"
    notes = [f"1.0 of a machine is {text} (--machine-unit): memory {disk} of it, cpus are cores."]
    if not unit.ephemeral_storage_bytes:
        notes.append("disk is not used, unless the machine unit says how large one is, as in 64cpu,256Gi,4Tidisk.")
    nodes = events = None
    if SERVERS.name in found:
        servers, said = _servers(found[SERVERS.name], unit, options, dropped)
        nodes, events, notes = servers.nodes, servers.events, notes + said
    if CONTAINERS.name in found:
        yield _containers(found[CONTAINERS.name], unit, options, dropped, notes)
    work = Work(
        TASKS, INSTANCES, _requests("plan_cpu", unit, "plan_mem"),
        namespace="batch", prefixes=("job-", "task-"), created=True,
    )  # fmt: skip
    yield from work.pods(found, options, dropped, notes)
    notes += [
        "batch pods arrive when their task was created, or where it is not known when they start; they run as long as "
        "their instance did. They are in the namespace batch, containers in the namespace containers.",
        "usage, event details, allocated processors, where things ran, and the order of tasks are not used; gangs are "
        "not modelled.",
    ]
    return Rest(tuple(f"alibaba2017: {note}" for note in notes), nodes, dropped, node_events=events)


def _servers(paths: list[Path], unit: Shape, options: Options, dropped: dict[str, int]) -> tuple[History, list[str]]:
    """Return the machines, and what to say of them."""
    table = tables.whole(SERVERS, paths, options, dropped)
    error = pl.col("event_type") != "add"
    # An error says nothing of what the machine has.
    amounts = {name: pl.when(~error).then(amount) for name, amount in _requests("cpus", unit, "memory", "disk").items()}
    added = table.filter(~error)["machine_id"].unique()
    seen = table.filter(pl.col("machine_id").is_in(added.implode())).select(
        node=pl.lit("machine-") + pl.col("machine_id"),
        time_us=pl.col("timestamp").fill_null(0).clip(0) * 10**6,
        labels=pl.lit(None, pl.String),
        closed=error,
        **{"ephemeral_storage_bytes": pl.lit(None, pl.Int64)} | amounts,
    )
    found = history(seen, unit)
    cordons = found.events.filter(pl.col("event") == "cordon").height
    said = [
        f"server_event: {table.height:,} rows are {found.nodes.height:,} machines; {found.joined:,} join later, and "
        f"{table.height - seen.height:,} rows of errors are about machines that were never added.",
        f"server_event: soft and hard errors mean that a machine takes no new pods until it is added again, and what "
        f"is there goes on: {cordons:,} cordons.",
    ]
    if found.unknown:
        said.append(f"server_event: {found.unknown:,} machines never say what they have: they are one machine unit.")
    return found, said


def _containers(
    paths: list[Path], unit: Shape, options: Options, dropped: dict[str, int], notes: list[str]
) -> pl.DataFrame:
    """Return the containers: a pod from its creation until it is removed."""
    table = tables.whole(CONTAINERS, paths, options, dropped)
    before = pl.col("event_type").shift().over("instance_id")
    table = table.with_columns(
        time_us=pl.col("timestamp").fill_null(0).clip(0) * 10**6, place=pl.int_range(pl.len())
    ).sort("time_us", "place")
    created = pl.col("event_type") == "Create"
    # Of creations, and of removals, that follow each other without the other one, the first counts.
    told = table.filter(before.ne_missing(pl.col("event_type")) & (created | before.is_not_null()))
    told = told.with_columns(
        end_us=pl.col("time_us").shift(-1).over("instance_id"), life=created.cum_sum().over("instance_id")
    )
    pods = told.filter(created).sort("place")
    early = pods.filter(pl.col("time_us") == 0).height
    ended = pods.height - pods["end_us"].null_count()
    notes.append(
        f"container_event: {table.height:,} rows are {pods.height:,} containers, each a pod without owner from "
        f"the event, the end of its creation: {early:,} were there at 0; {ended:,} are removed, the others never end. "
        f"{table.height - told.height:,} rows create what is there, or remove what is not, and are left out."
    )
    return pods.select(
        name=pl.concat_str(pl.lit("container"), "instance_id", "life", separator="-"),
        namespace=pl.lit("containers"),
        owner=pl.lit(None, pl.String),
        arrival_us="time_us",
        duration_us=pl.col("end_us") - pl.col("time_us"),
        end_us="end_us",
        **_requests("cpus", unit, "memory", "disk"),
    )


def _read_nodes(path: Path, options: Options) -> pl.DataFrame:
    unit = parse_unit(options.machine_unit or MACHINE_UNIT, "cpu_milli", "memory_bytes")
    return _servers([path], unit, options, {})[0].node_list(path)


READER = Reader(
    name="alibaba2017",
    doc="Alibaba 2017: containers and batch work on shared machines, CSV tables without headers.",
    detects=lambda path, head: any(table.matches(head) for table in _WORK),
    detects_folder=lambda path: tables.known(_WORK, path),
    read=specs.reading("alibaba2017", _portions),
    portions=_portions,
    read_nodes=_read_nodes,
    detects_nodes=lambda path, head: SERVERS.matches(head),
)
