"""Files of node events: when nodes join, leave, change what they offer, and are cordoned."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from kscale.errors import InputError
from kscale.traces import NODE_EVENT_KINDS, NODE_EVENTS, Options
from kscale.traces.common import files, specs
from kscale.traces.common.checks import LARGEST_SECONDS, LONGEST_NAME, Checker, Field, Rule
from kscale.traces.common.columns import batches, optional

_KINDS = ", ".join(NODE_EVENT_KINDS)
#: Columns of the file; an alternative stands behind the column that it replaces.
EVENT_FIELDS = (
    optional("time_us", pl.Int64, "When it happens, in microseconds from the start of the trace."),
    optional("time", pl.Float64, "The same in seconds.", high=LARGEST_SECONDS),
    Field("node", pl.String, high=LONGEST_NAME, doc="The node; one of the node list."),
    Field("event", pl.String, doc=f"What happens: {_KINDS}."),
    optional("cpu_milli", pl.Int64, "Allocatable cpu from then on (join, update); empty: as before."),
    optional("cpu", pl.String, "The same as a quantity: 96."),
    optional("memory_bytes", pl.Int64, "Allocatable memory from then on (join, update); empty: as before."),
    optional("memory", pl.String, "The same as a quantity: 512Gi."),
)
#: Kinds of events that may say what a node offers.
_WITH_AMOUNTS = ("join", "update")


def read_node_events(path: Path, options: Options) -> pl.DataFrame:
    """Return the node events of a file in the order of time, with the columns of ``NODE_EVENTS``.

    Events of one instant stay in the order of the file. Raises InputError.
    """
    check = Checker(path, options)
    frames = []
    for batch in batches(path, EVENT_FIELDS, check):
        if "time_us" not in batch.columns:
            raise InputError("the column is missing", file=path, field="time_us", expected="time_us, or time")
        frames.append(check.drop(specs.conform(batch, {files.ROW: pl.Int64} | NODE_EVENTS), _rules()))
    events = pl.concat(frames)
    if not events.height:
        raise InputError("has no events", file=path, expected="a row an event")
    return events.drop(files.ROW).sort("time_us", maintain_order=True)


def _rules() -> list[Rule]:
    silent = ~pl.col("event").is_in(_WITH_AMOUNTS)
    return [
        Rule(pl.col("time_us").is_null(), "time_us", "is missing", "a time"),
        Rule(~pl.col("event").is_in(NODE_EVENT_KINDS), "event", "'{value}' is no event", f"one of {_KINDS}"),
        *(
            Rule(silent & pl.col(name).is_not_null(), name, "says nothing with this event", "an amount with an update")
            for name in ("cpu_milli", "memory_bytes")
        ),
    ]
