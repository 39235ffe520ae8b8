"""Google cluster trace 2011 (clusterdata-2011-2, v2.1): a cell of Borg over 29 days, as events of tasks and machines.

A folder of tables, each a folder of CSV parts without header (``task_events/part-00000-of-00500.csv.gz``); or one file
of the table ``task_events`` by itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from kscale.errors import InputError
from kscale.traces import Options, Portions, Reader, Rest
from kscale.traces.common import borg, chronological, files, specs
from kscale.traces.common.checks import Field
from kscale.traces.common.lifecycles import Lifecycles
from kscale.traces.common.machines import ADD, REMOVE, UPDATE

#: What 1.0 of a machine is. The largest machine of the trace is not published; this is a usual server of its time.
MACHINE_UNIT = "32cpu,128Gi"

_TASKS = (
    "timestamp", "missing info", "job ID", "task index", "machine ID", "event type", "user", "scheduling class",
    "priority", "CPU request", "memory request", "disk space request", "different machines restriction",
)  # fmt: skip
_TASK_FIELDS = (
    borg.time_field("timestamp"),
    Field("missing info", nullable=True, high=7),
    Field("job ID"),
    Field("task index", high=1 << 40),
    Field("event type", high=8),
    Field("priority", nullable=True, high=1 << 20),
    Field("CPU request", pl.Float64, nullable=True, high=borg.LARGEST_FRACTION),
    Field("memory request", pl.Float64, nullable=True, high=borg.LARGEST_FRACTION),
    Field("different machines restriction", nullable=True, high=1),
)
#: The kinds of ``lifecycles`` for SUBMIT, SCHEDULE, EVICT, FAIL, FINISH, KILL, LOST, UPDATE_PENDING, UPDATE_RUNNING.
_KINDS = [0, 3, 4, 5, 6, 7, 8, 9, 10]
_CONSTRAINTS = ("timestamp", "job ID", "task index", "comparison operator", "attribute name", "attribute value")
_CONSTRAINT_FIELDS = (
    borg.time_field("timestamp"),
    Field("job ID"),
    Field("task index", high=1 << 40),
    Field("comparison operator", high=3),
    borg.text_field("attribute name"),
    borg.text_field("attribute value"),
)
_MACHINES = ("timestamp", "machine ID", "event type", "platform ID", "CPUs", "Memory")
_MACHINE_FIELDS = (
    borg.time_field("timestamp"),
    Field("machine ID"),
    Field("event type", high=2),
    borg.text_field("platform ID"),
    Field("CPUs", pl.Float64, nullable=True, high=borg.LARGEST_FRACTION),
    Field("Memory", pl.Float64, nullable=True, high=borg.LARGEST_FRACTION),
)
_ATTRIBUTES = ("timestamp", "machine ID", "attribute name", "attribute value", "attribute deleted")
_ATTRIBUTE_FIELDS = (
    borg.time_field("timestamp"),
    Field("machine ID"),
    Field("attribute name", pl.String),
    borg.text_field("attribute value"),
    Field("attribute deleted", pl.Boolean, nullable=True),
)


def _detects(path: Path, head: bytes) -> bool:
    if b"\x00" in head:
        return False
    lines = head.decode(errors="replace").splitlines()
    whole = lines[:-1] if len(lines) > 1 and len(head) == files.HEAD else lines
    row = re.compile(
        r"\d+,[0-2]?,\d+,\d+,(?:-?\d+)?,[0-8],[^,]*,[0-3]?,(?:\d+)?(?:,[-+.\deE]*){3},(?:[01]|true|false)?", re.ASCII
    )
    return bool(whole) and all(row.fullmatch(line) for line in whole[:100])


def _detects_folder(path: Path) -> bool:
    return bool(files.parts(path, "task_events"))


def _portions(path: Path, options: Options) -> Portions:
    reading = borg.Reading("google2011", path, options, MACHINE_UNIT)
    tasks = reading.parts("task_events") if path.is_dir() else [path]
    if not tasks:
        raise InputError("has no table task_events", file=path, expected="task_events/part-*.csv.gz")
    constraints = reading.parts("task_constraints")
    beside = _Constraints(reading, constraints)
    lives = Lifecycles(borg.ASKED)
    apart = pods = 0
    for events in chronological.instants(
        _events(reading, tasks), "time", sort=not chronological.in_order(tasks), path=path
    ):
        ended = lives.add(beside.joined(events))
        apart, pods = apart + int(ended["flag"].sum()), pods + ended.height
        yield reading.pods(ended, "job")
    ended = lives.end()
    apart, pods = apart + int(ended["flag"].sum()), pods + ended.height
    yield reading.pods(ended, "job")
    nodes, happens, said = _nodes(reading)
    notes = (
        *reading.notes(lives.counts, pods),
        *said,
        *beside.notes(),
        f"google2011: {apart:,} pods want a machine of their own within their job, which is not modelled; disk "
        "requests, scheduling classes, users and job_events are not used.",
    )
    return Rest(notes, nodes, reading.dropped, node_events=happens)


def _events(reading: borg.Reading, paths: list[Path]) -> Iterator[pl.DataFrame]:
    """Yield the events of tasks with the columns that ``Lifecycles`` takes, without ``term``."""
    kinds = pl.Series(_KINDS, dtype=pl.Int8)
    for path in paths:
        check = reading.check(path)
        for batch in check.csv(_TASK_FIELDS, _TASKS):
            batch = reading.within(batch, check, "timestamp")
            reading.synthesised += batch.height - batch["missing info"].null_count()
            yield batch.select(
                kinds.gather(batch["event type"]).alias("kind"),
                pl.col("priority").cast(pl.Float64),
                time="timestamp",
                job="job ID",
                index="task index",
                cpu="CPU request",
                memory="memory request",
                flag=pl.col("different machines restriction") == 1,
            )


class _Constraints:
    """The constraints of tasks, read beside the events at whose times they stand."""

    def __init__(self, reading: borg.Reading, paths: list[Path]) -> None:
        self._reading, self._paths = reading, paths
        self._rows = self._found = 0
        sort = bool(paths) and not chronological.in_order(paths)
        self._batches = chronological.instants(self._read(), "time", sort=sort, path=reading.path)
        self._rest: pl.DataFrame | None = None

    def _read(self) -> Iterator[pl.DataFrame]:
        for path in self._paths:
            check = self._reading.check(path)
            for batch in check.csv(_CONSTRAINT_FIELDS, _CONSTRAINTS):
                batch = self._reading.within(batch, check, "timestamp")
                self._rows += batch.height
                yield batch.select(
                    pl.col("attribute name").fill_null("").alias("name"),
                    time="timestamp",
                    job="job ID",
                    index="task index",
                    comparison="comparison operator",
                    value="attribute value",
                )

    def joined(self, events: pl.DataFrame) -> pl.DataFrame:
        """Return events with ``term``, the number of the constraints that stand at their time; they come in order."""
        last = events["time"][-1]
        held = [] if self._rest is None else [self._rest]
        while not held or held[-1]["time"][-1] <= last:
            batch = next(self._batches, None)
            if batch is None:
                break
            held.append(batch)
        if not held:
            return events.with_columns(term=pl.lit(None, pl.Float64))
        rows = pl.concat(held)
        cut = int(rows["time"].search_sorted(last, "right"))
        self._rest = rows[cut:] if cut < rows.height else None
        by = ["job", "index", "time"]
        here = rows[:cut].join(events.select(by).unique(), on=by, how="semi")
        self._found += here.height
        terms = self._reading.terms.numbers(here, by)
        return events.join(terms, on=by, how="left", maintain_order="left")

    def notes(self) -> list[str]:
        """Return what became of them; read to the end."""
        for _ in self._batches:
            pass
        if not self._rows:
            return ["google2011: there is no table task_constraints: pods go to any node."]
        return [
            f"google2011: {self._rows:,} constraints are required node affinity on labels {borg.PREFIX}<attribute>; "
            f"{self._rows - self._found:,} stand beside no event of their task and are left out, and "
            f"{self._reading.terms.inexpressible:,} that compare with what is no number."
        ]


def _nodes(reading: borg.Reading) -> tuple[pl.DataFrame | None, pl.DataFrame | None, list[str]]:
    """Return the nodes, their events and the sentences about both."""
    events = []
    for path in reading.parts("machine_events"):
        check = reading.check(path)
        batches = list(check.csv(_MACHINE_FIELDS, _MACHINES))
        frame = reading.within(pl.concat(batches), check, "timestamp")
        events.append(
            frame.select(
                pl.Series([ADD, REMOVE, UPDATE], dtype=pl.Int8).gather(frame["event type"]).alias("kind"),
                time="timestamp",
                machine="machine ID",
                platform="platform ID",
                cpu="CPUs",
                memory="Memory",
            )
        )
    if not events:
        return None, None, ["google2011: there is no table machine_events: give nodes, such as 32cpu,128Gi:12500."]
    attributes, seen, later = reading.first_attributes(_attributes(reading))
    nodes, happens, said = reading.nodes(pl.concat(events), ["platform"], attributes)
    return nodes, happens, [said, (
        f"google2011: {seen:,} records of attributes are labels {borg.PREFIX}<attribute> of nodes, so is platform; "
        f"{later:,} later values of an attribute are left out, since labels stay."
    )]  # fmt: skip


def _attributes(reading: borg.Reading) -> Iterator[pl.DataFrame]:
    for path in reading.parts("machine_attributes"):
        check = reading.check(path)
        for batch in check.csv(_ATTRIBUTE_FIELDS, _ATTRIBUTES):
            yield reading.within(batch, check, "timestamp").select(
                time="timestamp",
                machine="machine ID",
                name="attribute name",
                value="attribute value",
                deleted="attribute deleted",
            )


READER = Reader(
    name="google2011",
    doc="Google 2011 (clusterdata-2011-2): a folder of CSV parts with events of tasks and machines.",
    detects=_detects,
    detects_folder=_detects_folder,
    read=specs.reading("google2011", _portions),
    portions=_portions,
)
