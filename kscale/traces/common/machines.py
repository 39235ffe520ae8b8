"""Machines that come, go and change, as nodes and events of nodes."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from kscale.traces import NODE_EVENTS
from kscale.traces.common import specs
from kscale.traces.common.attributes import label_text

#: Kinds of events, in the order in which those of one machine at one time follow from each other.
REMOVE, ADD, UPDATE = range(3)


def machines(
    events: pl.DataFrame, labels: Sequence[str], attributes: pl.DataFrame | None
) -> tuple[pl.DataFrame, pl.DataFrame, dict[str, int]]:
    """Return nodes, what happens to them (``NODE_EVENTS``), and what was counted.

    ``events`` has the columns ``time_us``, ``machine`` (Int64), ``kind`` (Int8), ``cpu_milli``, ``memory_bytes`` (null:
    not said) and the texts ``labels``, which become labels of these names. A machine is there from the start when its
    first event has the time 0. ``attributes`` are further labels by machine. Counted are machines ``without_capacity``,
    which are left out, and events that change ``nothing``.
    """
    amounts = ["cpu_milli", "memory_bytes"]
    known = events.sort("machine", "time_us", "kind", maintain_order=True).with_columns(
        pl.col(*amounts, *labels).forward_fill().over("machine"),
        *(pl.col(name).alias(f"said_{name}") for name in amounts),
    )
    first = known.group_by("machine", maintain_order=True).agg(pl.col(*amounts, *labels).drop_nulls().first())
    nodes = first.drop_nulls(amounts)
    of_nodes = known.join(nodes.select("machine"), on="machine", how="semi", maintain_order="left")
    there = pl.col("kind").shift(1, fill_value=REMOVE).over("machine") != REMOVE
    same = pl.all_horizontal(pl.col(amounts).eq_missing(pl.col(amounts).shift(1).over("machine")))
    what = (
        pl.when(pl.col("kind") == REMOVE)
        .then(pl.when(there).then(pl.lit("leave")))
        .otherwise(pl.when(~there).then(pl.lit("join")).otherwise(pl.when(~same).then(pl.lit("update"))))
    )
    begins = (pl.col("machine") != pl.col("machine").shift(1)).fill_null(True)
    told = of_nodes.with_columns(event=what, start=begins & (pl.col("time_us") == 0))
    counts = {"without_capacity": first.height - nodes.height, "nothing": told["event"].null_count()}
    node = pl.lit("machine-") + pl.col("machine").cast(pl.String)
    happens = told.drop_nulls("event").filter(~pl.col("start")).sort("time_us", "machine", "kind", maintain_order=True)
    happens = happens.with_columns(
        node=node, **{name: pl.when(pl.col("event") != "leave").then(pl.col(f"said_{name}")) for name in amounts}
    )
    return _nodes(nodes, node, labels, attributes), specs.conform(happens, NODE_EVENTS), counts


def _nodes(nodes: pl.DataFrame, node: pl.Expr, labels: Sequence[str], attributes: pl.DataFrame | None) -> pl.DataFrame:
    """Return nodes with the columns of ``NODES``, in the order of their numbers."""
    written = [
        pl.lit(f"{name}=")
        + pl.col(name).replace_strict(texts, pl.Series([label_text(text) for text in texts], dtype=pl.String))
        for name in labels
        if len(texts := nodes[name].drop_nulls().unique())
    ]
    if attributes is not None:
        nodes = nodes.join(attributes, on="machine", how="left", maintain_order="left")
        written.append(pl.col("labels"))
    joined = pl.concat_str(written, separator=",", ignore_nulls=True) if written else pl.lit("")
    frame = nodes.select("cpu_milli", "memory_bytes", name=node, labels=joined.replace("", None))
    return specs.conform_nodes(frame)
