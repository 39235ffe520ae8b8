"""Nodes, and what happens to them, from what a trace sees of its machines one time after the other."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from kscale.errors import InputError
from kscale.traces import NODE_EVENTS
from kscale.traces.common import specs
from kscale.traces.common.shapes import Shape

_AMOUNTS = ("cpu_milli", "memory_bytes", "ephemeral_storage_bytes")
#: Those of them that events tell of.
_CHANGING = ("cpu_milli", "memory_bytes")


@dataclass(frozen=True)
class History:
    """What becomes of machines.

    Attributes:
        nodes: one row a machine, in the order in which they are first seen in the file; the columns of ``NODES``.
        events: what happens to them after that, with the columns of ``NODE_EVENTS``, in the order of time.
        joined: how many come after the start of the trace.
        closed: how many take no new pods at first.
        unknown: how many never say what they have.
    """

    nodes: pl.DataFrame
    events: pl.DataFrame
    joined: int
    closed: int
    unknown: int

    def node_list(self, path: Path) -> pl.DataFrame:
        """Return the nodes of a file that is read for them alone. Raises InputError when it has none."""
        if not self.nodes.height:
            raise InputError("has no nodes", file=path, expected="a row a machine")
        return self.nodes


def history(seen: pl.DataFrame, unit: Shape) -> History:
    """Return the history of machines of which ``seen`` has a row each time.

    Its columns: node, time_us (not below 0), cpu_milli, memory_bytes, ephemeral_storage_bytes, labels, closed (whether
    it takes no new pods).
    A machine joins when it is first seen after 0. What a row does not say of amounts is as it was before, or as it is
    later; machines that never say it are one ``unit``.
    """
    seen = seen.with_columns(place=pl.int_range(pl.len()))
    seen = seen.with_columns(first=pl.col("place").min().over("node")).sort("first", "time_us", "place")
    seen = seen.with_columns(pl.col(_AMOUNTS).forward_fill().backward_fill().over("node"))
    unknown = seen.filter(pl.any_horizontal(pl.col(_CHANGING).is_null()))["node"].n_unique()
    seen = seen.with_columns(pl.col(name).fill_null(pl.lit(getattr(unit, name), pl.Int64)) for name in _AMOUNTS)
    firsts = seen.unique("node", keep="first", maintain_order=True)
    nodes = specs.conform_nodes(firsts.select(*_AMOUNTS, "labels", name="node", unschedulable="closed"))
    joined, closed = firsts.filter(pl.col("time_us") > 0).height, int(firsts["closed"].sum())
    return History(nodes, _events(seen), joined, closed, unknown)


def _events(seen: pl.DataFrame) -> pl.DataFrame:
    """Return the events, from rows that are sorted by machine and time."""
    again = (pl.col("node") == pl.col("node").shift()).fill_null(False)
    amounts = pl.col(_CHANGING)
    seen = seen.with_columns(
        joined=~again & (pl.col("time_us") > 0),
        updated=again & pl.any_horizontal(amounts != amounts.shift()),
        turned=again & (pl.col("closed") != pl.col("closed").shift()),
    )
    same = pl.lit(None, pl.Int64)
    parts = [
        seen.filter("joined").with_columns(event=pl.lit("join")),
        seen.filter("updated").with_columns(event=pl.lit("update")),
        seen.filter("turned").with_columns(
            event=pl.when("closed").then(pl.lit("cordon")).otherwise(pl.lit("uncordon")),
            cpu_milli=same,
            memory_bytes=same,
        ),
    ]
    return pl.concat(part.select(*NODE_EVENTS) for part in parts).sort("time_us", maintain_order=True)
