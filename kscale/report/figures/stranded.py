"""Where capacity is stranded: every node over time, beside two resources of the nodes at one moment."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure as Drawing

from kscale.report import style, text
from kscale.report.figures import Figure
from kscale.report.pools import FULL, Heat, Stranded
from kscale.report.summary import Summary
from kscale.report.supply import Axis
from kscale.report.tables import Table

LABELLED = 9
_MAP, _COUNTS = "Blues", "YlGnBu"


def _finding(summary: Summary) -> str | None:
    stranded = summary.pools.stranded
    if stranded is None or not summary.arrived or not (stranded.pair or summary.pools.heat):
        return None
    moment = (
        "At the end of the run"
        if stranded.at is None
        else f"At {text.duration(stranded.at)}, the fullest sample of the nodes,"
    )
    lost = {k: v for k, v in stranded.percent.items() if v >= 0.05 and k != "pods"}
    if not lost:
        return f"{moment} nothing is stranded: no node is full in one resource and free in another"
    worst = sorted(lost, key=lambda key: -lost[key])[:2]
    words = text.listed(f"{text.percent(lost[key])} of the {text.label(key)}" for key in worst)
    why = f" behind full {text.label(stranded.blocker)}" if stranded.blocker else ""
    return f"{moment} {words} {'is' if len(worst) == 1 else 'are'} stranded{why}"


def _reading(summary: Summary) -> str:
    stranded = summary.pools.stranded
    heat = summary.pools.heat
    parts = []
    if heat is not None:
        run = "more pods have arrived to the right" if summary.inflate else "time runs to the right"
        size = "one node" if heat.largest_group == 1 else f"up to {heat.largest_group} like nodes"
        parts.append(
            f"In the map each row is {size} and {run}; the darker, the fuller the resource of which least is left."
        )
    if stranded is not None and stranded.pair:
        x, y = (text.label(r.key) for r in stranded.pair)
        parts.append(
            f"In the honeycomb a cell's colour counts the nodes with that much {x} and {y} requested: nodes near the "
            "upper right corner are well used, nodes near one edge only have the other resource left over."
        )
    parts.append(f"Stranded is what is free on nodes where another resource is at least {FULL:g} % requested.")
    return " ".join(parts)


def _draw(summary: Summary, wide: bool) -> Drawing:
    heat, stranded = summary.pools.heat, summary.pools.stranded
    honey = stranded is not None and bool(stranded.pair)
    if wide:
        figure = style.canvas(True, 350)
        map_width = 410 if honey else 640
        if heat is not None:
            _map(figure, heat, summary.supply.axis, (118, 30, map_width - 70, 262), 22)
        if honey and stranded is not None:
            left = 522 if heat is not None else 60
            _honeycomb(figure, stranded, (left, 30, 225 if heat is not None else 320, 262))
        return figure
    figure = style.canvas(False, 350 * ((heat is not None) + honey))
    if heat is not None:
        _map(figure, heat, summary.supply.axis, (100, 30, 238, 262), 19)
    if honey and stranded is not None:
        _honeycomb(figure, stranded, (50, 30 + 350 * (heat is not None), 270, 262))
    return figure


def _map(figure: Drawing, heat: Heat, axis: Axis, box: tuple[float, float, float, float], letters: int) -> None:
    axes = style.place(figure, *box)
    axes.grid(visible=False)
    rows = heat.percent.shape[0]
    extent = (heat.edges[0], heat.edges[-1] or 1, rows, 0)
    colours = mpl.colormaps[_MAP].with_extremes(bad="#ffffff00")
    axes.imshow(heat.percent, aspect="auto", cmap=colours, vmin=0, vmax=100, extent=extent)
    style.run_axis(axes, axis, float(heat.edges[0]), float(heat.edges[-1]), False, label=False)
    axes.set_xlabel({"time": "virtual time", "gpu": "arrived GPU share", "pods": "arrived pods"}[axis.kind])
    axes.set_ylim(rows, 0)
    _pool_labels(axes, heat, rows, letters)
    _bar(
        figure,
        (box[0], box[1] - 22, box[2], 8),
        "of fullest resource" if letters < 20 else "of fullest resource requested",
    )


def _pool_labels(axes: Axes, heat: Heat, rows: int, letters: int) -> None:
    ticks, labels, last = [], [], -1e9
    largest = sorted(heat.pools, key=lambda p: p[1] - p[2])[:LABELLED]
    for name, first, end in sorted(largest, key=lambda p: p[1]):
        middle = (first + end) / 2
        if (middle - last) / rows * 262 >= 13:
            ticks.append(middle)
            labels.append(style.words(name, letters))
            last = middle
    axes.set_yticks(ticks, labels, fontsize=8.5)
    for _, first, _ in heat.pools[1:]:
        axes.axhline(first, color=style.PAPER, linewidth=0.8)


def _bar(figure: Drawing, box: tuple[float, float, float, float], label: str) -> None:
    """Draw the scale of the map: a strip of its colours from 0 to 100 %."""
    axes = style.place(figure, box[0], box[1], 90, box[3])
    axes.imshow(np.linspace(0, 1, 64)[None, :], aspect="auto", cmap=_MAP, vmin=0, vmax=1)
    axes.set_axis_off()
    for x, words, side in ((-4, "0 %", "right"), (94, f"100 %  {label}", "left")):
        axes.annotate(
            words, (0, 0.5), (x, 0), xycoords="axes fraction", textcoords="offset points",
            ha=side, va="center", fontsize=9, color=style.MUTED,
        )  # fmt: skip


def _honeycomb(figure: Drawing, stranded: Stranded, box: tuple[float, float, float, float]) -> None:
    axes = style.place(figure, *box)
    # Light on a dark page too, since the fullest cells are dark.
    axes.set_facecolor("#f8fafc")
    axes.grid(axis="both", color=style.GRID, linewidth=0.8)
    points = stranded.points
    x, y, nodes = (points[c].to_numpy() for c in ("x", "y", "nodes"))
    cells = axes.hexbin(
        x, y, C=nodes, reduce_C_function=np.sum, gridsize=16, extent=(0, 100, 0, 100), cmap=_COUNTS,
        linewidths=0.3, edgecolors=style.PAPER, mincnt=0,
    )  # fmt: skip
    counts = cells.get_array()
    most = float(counts.max()) if counts is not None and len(counts) else 1.0
    cells.set_norm(LogNorm(0.3, max(most, 2)))
    axes.set_xlim(-4, 104)
    axes.set_ylim(-4, 104)
    ticks = [0, 25, 50, 75, 100]
    names = [f"{t} %" for t in ticks]
    axes.set_xticks(ticks, names)
    axes.set_yticks(ticks, names)
    first, second = stranded.pair
    axes.set_xlabel(f"{style.words(text.capital(first.label), 30)} requested")
    axes.set_ylabel(f"{style.words(second.label, 30)} requested", labelpad=2)
    _counts(figure, box, most)


def _counts(figure: Drawing, box: tuple[float, float, float, float], most: float) -> None:
    """Write the legend of the honeycomb: what a few colours count."""
    steps = sorted({1, *(int(10**k) for k in range(1, 7) if 10**k < most), int(most)})
    steps = steps if len(steps) <= 4 else [*steps[:1], steps[len(steps) // 2], steps[-1]]
    colours, norm = mpl.colormaps[_COUNTS], LogNorm(0.3, max(most, 2))
    items = [(mpl.colors.to_hex(colours(norm(n))), style.short(n)) for n in steps]
    items[-1] = (items[-1][0], items[-1][1] + (" node" if steps[-1] == 1 else " nodes"))
    style.legend_line(figure, items, box[0], box[1] - 24)


def _table(summary: Summary) -> Table:
    stranded = summary.pools.stranded
    assert stranded is not None
    rows = []
    for r in summary.resources:
        if r.key != "pods":
            amount = stranded.amounts[r.key]
            rows.append((text.capital(r.label), text.percent(stranded.percent[r.key]), text.amount(amount, r.key)))
    columns = ("resource", "stranded, of allocatable", "stranded")
    at = "at the end of the run" if stranded.at is None else f"at {text.duration(stranded.at)}"
    return Table(columns, rows, (1, 2), f"Nodes {at}; the map's data is in node_timeline.parquet.")


FIGURE = Figure("stranded", 11, "Where capacity is stranded", _finding, _reading, _draw, _table)
