"""Google cluster trace 2019 (clusterdata-2019, v3): eight cells of Borg, as events of instances and machines.

A folder with the tables of one cell as BigQuery writes them out: JSON lines or CSV with a header, in one file or many
(``instance_events-000000000000.json.gz``); or one file of ``instance_events`` by itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import msgspec
import polars as pl

from kscale.errors import InputError
from kscale.traces import Options, Portions, Reader, Rest
from kscale.traces.common import borg, chronological, files, jsonlines, specs
from kscale.traces.common.attributes import ABSENT
from kscale.traces.common.checks import Checker, Field
from kscale.traces.common.lifecycles import Lifecycles
from kscale.traces.common.machines import ADD, REMOVE, UPDATE

#: What 1.0 of a machine is. The largest machine of the trace is not published; kscale's preset ``borg`` takes the same.
MACHINE_UNIT = "128cpu,512Gi"

_CONSTRAINT = {"constraint": ("name", "value", "relation")}


def _fraction(name: str) -> Field:
    return Field(name, pl.Float64, required=False, nullable=True, high=borg.LARGEST_FRACTION)


_INSTANCES = (
    borg.time_field("time"),
    Field("type", high=10),
    Field("collection_id"),
    Field("instance_index", high=1 << 40),
    Field("missing_type", required=False, nullable=True),
    Field("collection_type", required=False, nullable=True, high=1),
    Field("priority", pl.Float64, required=False, nullable=True, high=1 << 20),
    Field("alloc_collection_id", required=False, nullable=True, low=-1),
    _fraction("resource_request.cpus"),
    _fraction("resource_request.memory"),
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
_CONSTRAINTS = (Field("name", pl.String), borg.text_field("value"), Field("relation", high=ABSENT))
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


def _table(check: Checker, fields: Sequence[Field], lists: jsonlines.Lists | None = None) -> Iterator[pl.DataFrame]:
    """Yield a table in batches with the columns ``fields`` and ``lists``, null where the file has none, and ``ROW``."""
    missing = [pl.lit(None, f.dtype).alias(f.name) for f in fields if not f.required]
    batches = (
        jsonlines.batches(check, fields, lists)
        if _is_json(check.path, files.head(check.path))
        else _csv(check, fields, lists or {})
    )
    for batch in batches:
        yield batch.with_columns(column for column in missing if column.meta.output_name() not in batch.columns)


def _csv(check: Checker, fields: Sequence[Field], lists: jsonlines.Lists) -> Iterator[pl.DataFrame]:
    """Yield a CSV table; a nested column is ``capacity.cpus`` or ``capacity_cpus``, a list is a text of JSON."""
    there = files.csv_columns(files.head(check.path))
    names = {f.name: flat for f in fields if (flat := f.name.replace(".", "_")) in there and f.name not in there}
    texts = [Field(name, pl.String, required=False, nullable=True) for name in lists]
    wanted = [*(replace(f, name=names.get(f.name, f.name)) for f in fields), *texts]
    for batch in check.csv(wanted):
        frame = batch.rename({flat: name for name, flat in names.items()})
        for name, members in lists.items():
            frame = _decoded(frame, check, name, members)
        yield frame


def _decoded(frame: pl.DataFrame, check: Checker, name: str, texts: Sequence[str]) -> pl.DataFrame:
    """Return ``frame`` with the lists that a column of texts holds as JSON; null where there is no such column."""
    dtype = jsonlines.list_type(texts)
    if name not in frame.columns:
        return frame.with_columns(pl.lit(None, dtype).alias(name))
    frame = check.parsed(frame, name, partial(jsonlines.decoded, texts=texts))
    distinct = frame[name].unique().drop_nulls()
    lists = pl.Series("#list", [jsonlines.decoded(text, texts) for text in distinct], dtype=dtype)
    known = pl.DataFrame([distinct, lists])
    return frame.join(known, on=name, how="left", maintain_order="left").drop(name).rename({"#list": name})


def _events(reading: borg.Reading, paths: Sequence[Path]) -> Iterator[pl.DataFrame]:
    """Yield the events of instances with the columns that ``Lifecycles`` takes."""
    for path in paths:
        check = reading.check(path)
        for batch in _table(check, _INSTANCES, _CONSTRAINT):
            batch = reading.within(batch, check, "time")
            reading.synthesised += int((batch["missing_type"] > 0).sum())
            yield batch.join(_terms(reading, check, batch), on=files.ROW, how="left", maintain_order="left").select(
                pl.col("type").cast(pl.Int8).alias("kind"),
                "time",
                "priority",
                "term",
                job="collection_id",
                index="instance_index",
                cpu="resource_request.cpus",
                memory="resource_request.memory",
                reserved=pl.col("collection_type").cast(pl.Float64),
                flag=pl.col("alloc_collection_id") > 0,
            )


def _terms(reading: borg.Reading, check: Checker, batch: pl.DataFrame) -> pl.DataFrame:
    """Return the numbers of the terms that the constraints of rows make, by ``ROW``."""
    rows = batch.select(files.ROW, "constraint").filter(pl.col("constraint").list.len() > 0)
    one = check.typed(rows.explode("constraint").unnest("constraint"), _CONSTRAINTS)
    reading.constraints += one.height
    return reading.terms.numbers(one.rename({"relation": "comparison"}), [files.ROW])


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
        f"google2019: {reading.constraints:,} constraints are required node affinity on labels "
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
