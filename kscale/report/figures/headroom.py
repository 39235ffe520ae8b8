"""Headroom at the peak: a bullet bar per pool and resource, smallest headroom first."""

from __future__ import annotations

import polars as pl
from matplotlib.figure import Figure as Drawing

from kscale.report import style, text
from kscale.report.figures import Figure
from kscale.report.summary import Summary
from kscale.report.tables import Table

BARS = 14


def _rows(summary: Summary) -> pl.DataFrame:
    """Return the rows of all nodes together, then those of the pools where there are several."""
    pools = summary.pools
    several = pools.headroom["pool"].n_unique() > 1
    return pl.concat([pools.together, pools.headroom]) if several else pools.headroom


def _finding(summary: Summary) -> str | None:
    rows = summary.pools.headroom
    if rows.is_empty() or not summary.arrived:
        return None
    first = rows.row(0, named=True)
    where = ""
    if rows["pool"].n_unique() > 1:
        where = f" of pool {text.clean(first['pool'], 50)} ({text.plural(first['nodes'], 'node')})"
    name = text.capital(text.label(first["resource"]))
    if first["peak"] >= 99.95:
        return f"{name}{where} runs out: 100 % requested at its peak"
    return f"{name}{where} has the least headroom: {text.percent(100 - first['peak'])} left at its peak"


def _reading(summary: Summary) -> str:
    mean = "its arrivals" if summary.inflate else "the run"
    return (
        "Each bar is one resource, of all nodes and of each pool of like nodes, filled to its fullest moment; the "
        f"white line is the mean over {mean}. The dark tick says how full it may be so that the pool could still lose "
        "one node: a bar that passes its tick (orange) has no node to spare."
    )


def _draw(summary: Summary, wide: bool) -> Drawing:
    rows = _rows(summary).head(BARS)
    each = 38
    figure = style.canvas(wide, 30 + each * rows.height + 30)
    w = style.width(wide)
    axes = style.place(figure, 16, 8, w - 78, each * rows.height + 10)
    axes.grid(axis="y", visible=False)
    axes.grid(axis="x", color=style.GRID, linewidth=0.8)
    axes.set_xlim(0, 100)
    axes.set_ylim(rows.height, -0.2)
    axes.set_yticks([])
    ticks = [0, 25, 50, 75, 100]
    axes.set_xticks(ticks, [f"{t} %" for t in ticks])
    axes.set_xlabel("requested, in % of allocatable")
    most = rows["peak"].max()
    for k, row in enumerate(rows.iter_rows(named=True)):
        tight = row["spare"] is not None and row["peak"] > row["spare"]
        colour = style.ORANGE if tight else style.BLUE
        y = k + 0.66
        axes.barh(y, 100, height=0.3, color=style.TRACK)
        axes.barh(y, row["peak"], height=0.3, color=colour)
        if 0 < row["mean"] < row["peak"]:
            axes.plot([row["mean"]] * 2, [y - 0.15, y + 0.15], color=style.PAPER, linewidth=1.6)
        if row["spare"] is not None:
            axes.plot([row["spare"]] * 2, [y - 0.24, y + 0.24], color=style.INK, linewidth=2)
        nodes = text.plural(row["nodes"], "node")
        name = f"{text.capital(text.label(row['resource']))} · {style.words(row['pool'], 60 if wide else 28)}"
        axes.text(0, k + 0.36, f"{style.words(name, 90)} · {nodes}", fontsize=10, va="baseline")
        axes.annotate(
            text.percent(row["peak"]), (1, y), (8, 0), xycoords=("axes fraction", "data"),
            textcoords="offset points", va="center", fontsize=10.5, weight="bold" if row["peak"] == most else "normal",
        )  # fmt: skip
    return figure


def _table(summary: Summary) -> Table:
    rows = _rows(summary)
    cells = [
        (
            text.label(row["resource"]),
            row["pool"],
            text.number(row["nodes"]),
            text.percent(row["peak"]),
            text.percent(row["mean"]),
            text.amount(row["free"], row["resource"]),
            text.percent(row["spare"]),
        )
        for row in rows.head(40).iter_rows(named=True)
    ]
    columns = ("resource", "pool", "nodes", "peak", "mean", "free at the peak", "limit to lose a node")
    note = f"40 of {rows.height} rows, smallest headroom first." if rows.height > 40 else ""
    return Table(columns, cells, (2, 3, 4, 5, 6), note)


FIGURE = Figure("headroom", 4, "Headroom at the peak", _finding, _reading, _draw, _table)
