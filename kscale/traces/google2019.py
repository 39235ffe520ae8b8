"""Google cluster trace 2019 (clusterdata-2019, v3): eight cells of Borg, as events of instances and machines.

A folder with the tables of one cell as BigQuery writes them out: JSON lines or CSV with a header, in one file or many
(``instance_events-000000000000.json.gz``); or one file of ``instance_events`` by itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import msgspec
import polars as pl

from kscale.errors import InputError
from kscale.traces import Options, Portions, Reader, Rest
from kscale.traces.common import borg, chronological, files, jsonlines, specs
from kscale.traces.common.attributes import ABSENT, EQUAL, Constraint
from kscale.traces.common.checks import Checker, Field
from kscale.traces.common.lifecycles import Lifecycles
from kscale.traces.common.machines import ADD, REMOVE, UPDATE

#: What 1.0 of a machine is. The largest machine of the trace is not published; kscale's preset ``borg`` takes the same.
MACHINE_UNIT = "128cpu,512Gi"


def _fraction(name: str) -> Field:
    return Field(name, pl.Float64, required=False, nullable=True, high=borg.LARGEST_FRACTION)


_INSTANCES = (
    borg.time_field("time"),
    Field("type", high=10),
    Field("collection_id"),
    Field("instance_index", high=1 << 40),
    Field("missing_type", required=False, nullable=True),
    Field("collection_type", required=False, nullable=True, high=1),
    Field("priority", required=False, nullable=True, high=1 << 20),
    Field("alloc_collection_id", required=False, nullable=True, low=-1),
    _fraction("resource_request.cpus"),
    _fraction("resource_request.memory"),
    Field("constraint", pl.String, required=False, nullable=True),
)
_COLLECTIONS = (
    borg.time_field("time"),
    Field("type", high=10),
    Field("max_per_machine", required=False, nullable=True),
    Field("max_per_switch", required=False, nullable=True),
    Field("scheduler", required=False, nullable=True),
)
_MACHINES = (
    borg.time_field("time"),
    Field("machine_id", nullable=True, low=-1),
    Field("type", low=1, high=3),
    borg.text_field("switch_id", required=False),
    borg.text_field("platform_id", required=False),
    _fraction("capacity.cpus"),
    _fraction("capacity.memory"),
)
_ATTRIBUTES = (
    borg.time_field("time"),
    Field("machine_id", nullable=True, low=-1),
    Field("name", pl.String),
    borg.text_field("value", required=False),
    Field("deleted", pl.Boolean, required=False, nullable=True),
)
#: The time in a line of JSON.
_TIME = r'"time"\s*:\s*"?(\d+)'


def _is_json(path: Path, head: bytes) -> bool:
    return head.lstrip().startswith(b"{") or ".json" in path.name


def _detects(path: Path, head: bytes) -> bool:
    wanted = {"time", "type", "collection_id", "instance_index"}
    if not _is_json(path, head):
        return wanted <= files.csv_columns(head)
    try:
        first = msgspec.json.decode(head.lstrip().split(b"\n", 1)[0])
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return False
    return wanted <= set(first)


def _detects_folder(path: Path) -> bool:
    return bool(files.parts(path, "instance_events"))


def _portions(path: Path, options: Options) -> Portions:
    reading = borg.Reading("google2019", path, options, MACHINE_UNIT)
    paths = reading.parts("instance_events") if path.is_dir() else [path]
    if not paths:
        raise InputError("has no table instance_events", file=path, expected="instance_events-*.json.gz")
    lives = Lifecycles((*borg.ASKED, "reserved"))
    pods = inside = reserved = 0
    instants = chronological.instants(_events(reading, paths), "time", sort=not _in_order(paths), path=path)
    for ended in _ended(lives, instants):
        outside = ended.filter(~pl.col("flag"))
        inside += ended.height - outside.height
        reserved += int((outside["reserved"] == 1).sum())
        pods += outside.height
        yield reading.pods(outside, "collection")
    nodes, happens, said = _nodes(reading)
    notes = (
        *reading.notes(lives.counts, pods + inside),
        f"google2019: {reserved:,} pods are alloc instances, which reserve what they ask for; {inside:,} pods that run "
        "in alloc sets are left out, since their requests are within these.",
        _constraints_note(reading),
        *said,
        *_collections(reading),
        "google2019: priority is Google's (0 free, 100 best-effort batch, 116 mid, 120 production, 360 monitoring, "
        "each and above); usage, users, parents and what a collection waits for are not used.",
    )
    return Rest(notes, nodes, reading.dropped, node_events=happens)


def _ended(lives: Lifecycles, instants: Iterator[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """Yield pods as they end, then those that are left."""
    for events in instants:
        yield lives.add(events)
    yield lives.end()


def _in_order(paths: Sequence[Path]) -> bool:
    """Return whether the events of files that may be read as they stand are in the order of time."""
    heads = {path: files.head(path) for path in paths}
    json = [_is_json(path, head) for path, head in heads.items()]
    if all(json):
        return chronological.in_order(paths, _TIME)
    first = all(head.removeprefix(b"\xef\xbb\xbf").startswith(b"time,") for head in heads.values())
    return first and not any(json) and chronological.in_order(paths)


def _table(check: Checker, fields: Sequence[Field]) -> Iterator[pl.DataFrame]:
    """Yield a table in batches with the columns ``fields``, null where the file has none, and ``ROW``.

    A nested column of a CSV file is ``capacity.cpus`` or ``capacity_cpus``; a list is a text of JSON.
    """
    head = files.head(check.path)
    if _is_json(check.path, head):
        yield from jsonlines.batches(check, fields)
        return
    if head.startswith(b"PAR1"):
        raise InputError("is Parquet", file=check.path, expected="JSON lines or CSV, as BigQuery writes them too")
    there = files.csv_columns(head)
    names = {f.name: flat for f in fields if (flat := f.name.replace(".", "_")) in there and f.name not in there}
    missing = [pl.lit(None, f.dtype).alias(f.name) for f in fields if names.get(f.name, f.name) not in there]
    for batch in check.csv([replace(f, name=names.get(f.name, f.name)) for f in fields]):
        yield batch.rename({flat: name for name, flat in names.items()}).with_columns(missing)


class _Constraint(msgspec.Struct):
    """A constraint as the trace has it."""

    name: str
    relation: int | str
    value: int | str | None = None


@lru_cache(1 << 16)
def _constraints(text: str) -> tuple[Constraint, ...]:
    """Return the constraints that a text holds as JSON. Raises InputError without a place."""
    expected = f"a list of name, value, and relation from 0 to {ABSENT}"
    try:
        found = msgspec.json.decode(text, type=list[_Constraint])
        told = tuple((one.name, int(one.relation), str("" if one.value is None else one.value)) for one in found)
    except (msgspec.DecodeError, RecursionError, UnicodeError, ValueError):
        raise InputError(f"'{text[:80]}' is no list of constraints", expected=expected) from None
    if not all(EQUAL <= comparison <= ABSENT for _, comparison, _ in told):
        raise InputError(f"'{text[:80]}' has an unknown relation", expected=expected)
    return told


def _events(reading: borg.Reading, paths: Sequence[Path]) -> Iterator[pl.DataFrame]:
    """Yield the events of instances with the columns that ``Lifecycles`` takes."""
    for path in paths:
        check = reading.check(path)
        for batch in _table(check, _INSTANCES):
            batch = check.parsed(reading.within(batch, check, "time"), "constraint", _constraints)
            reading.synthesised += int((batch["missing_type"] > 0).sum())
            yield batch.select(
                pl.col("type").cast(pl.Int8).alias("kind"),
                pl.col("priority").cast(pl.Float64),
                reading.terms.of_lists(batch["constraint"], _constraints),
                "time",
                job="collection_id",
                index="instance_index",
                cpu="resource_request.cpus",
                memory="resource_request.memory",
                reserved=pl.col("collection_type").cast(pl.Float64),
                flag=pl.col("alloc_collection_id") > 0,
            )


def _nodes(reading: borg.Reading) -> tuple[pl.DataFrame | None, pl.DataFrame | None, list[str]]:
    """Return the nodes, their events and the sentences about both."""
    events, nameless = [], 0
    for path in reading.parts("machine_events"):
        check = reading.check(path)
        frame = reading.within(pl.concat(_table(check, _MACHINES)), check, "time")
        named = frame.filter(pl.col("machine_id") > 0)
        nameless += frame.height - named.height
        events.append(
            named.select(
                pl.Series([0, ADD, REMOVE, UPDATE], dtype=pl.Int8).gather(named["type"]).alias("kind"),
                "time",
                machine="machine_id",
                switch="switch_id",
                platform="platform_id",
                cpu="capacity.cpus",
                memory="capacity.memory",
            )
        )
    if not events:
        return None, None, ["google2019: there is no table machine_events: give nodes, such as 75cpu,171Gi:10000."]
    attributes, seen, later = reading.first_attributes(_attributes(reading))
    nodes, happens, said = reading.nodes(pl.concat(events), ["switch", "platform"], attributes)
    return nodes, happens, [said, (
        f"google2019: {nameless:,} machine events name no machine; {seen:,} records of attributes are labels "
        f"{borg.PREFIX}<attribute> of nodes, switch and platform are some too; {later:,} later values of an attribute "
        "are left out, since labels stay."
    )]  # fmt: skip


def _attributes(reading: borg.Reading) -> Iterator[pl.DataFrame]:
    for path in reading.parts("machine_attributes"):
        check = reading.check(path)
        for batch in _table(check, _ATTRIBUTES):
            named = reading.within(batch, check, "time").filter(pl.col("machine_id") > 0)
            yield named.select("time", "name", "value", "deleted", machine="machine_id")


def _constraints_note(reading: borg.Reading) -> str:
    return (
        f"google2019: {reading.terms.constraints:,} constraints are required node affinity on labels "
        f"{borg.PREFIX}<attribute>; {reading.terms.inexpressible:,} that compare with what is no number are left out."
    )


def _collections(reading: borg.Reading) -> list[str]:
    """Return what the submissions of collections say that is not modelled."""
    asked = dict.fromkeys(("submitted", "max_per_machine", "max_per_switch", "scheduler"), 0)
    for path in (paths := reading.parts("collection_events")):
        check = reading.check(path)
        for batch in _table(check, _COLLECTIONS):
            batch = reading.within(batch, check, "time").filter(pl.col("type") == 0)
            asked["submitted"] += batch.height
            for name in list(asked)[1:]:
                asked[name] += int((batch[name] > 0).sum())
    if not paths:
        return []
    return [
        f"google2019: of {asked['submitted']:,} submissions of collections {asked['max_per_machine']:,} bound the "
        f"instances of a machine and {asked['max_per_switch']:,} those of a switch, which is not modelled; "
        f"{asked['scheduler']:,} went through the batch queue: its pods arrive when they are enabled."
    ]


READER = Reader(
    name="google2019",
    doc="Google 2019 (v3): a folder of JSON lines or CSV with events of instances and machines.",
    detects=_detects,
    detects_folder=_detects_folder,
    read=specs.reading("google2019", _portions),
    portions=_portions,
)
