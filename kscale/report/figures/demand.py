"""Demand against supply: one panel per resource, requested and asked for against allocatable."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing

from kscale.report import marks, style, text
from kscale.report.figures import Figure
from kscale.report.reading import Resource
from kscale.report.summary import Summary
from kscale.report.tables import Table, spaced

PANELS = 6
#: Demand above this share of the supply is cut off, and said.
MOST = 200.0
SMALL = 20.0


def _shown(summary: Summary) -> list[Resource]:
    peaks = summary.supply.peaks
    ranked = sorted(summary.resources, key=lambda r: -max(peaks[r.key].percent, 1e-9))[:PANELS]
    return [r for r in summary.resources if r in ranked]


def _finding(summary: Summary) -> str | None:
    supply = summary.supply
    if not supply.peaks or not summary.arrived or supply.frame.height < 2:
        return None
    first = summary.verdict.binding
    assert first is not None
    peak = supply.peaks[first.key]
    if peak.percent == 0:
        return "Nothing was requested in any sample"
    place = text.at(supply.axis.kind, peak.x)
    words = f"{text.capital(first.label)} is the fullest resource: {text.percent(peak.percent)} requested {place}"
    worst = max(summary.resources, key=lambda r: supply.peaks[r.key].demand / (supply.peaks[r.key].allocatable or 1))
    asked = supply.peaks[worst.key]
    over = 100 * asked.demand / (asked.allocatable or 1)
    if over > 100.5:
        words += f"; pods asked for up to {text.percent(over)} of the {worst.label}"
    return words


def _reading(summary: Summary) -> str:
    axis = "from left to right time passes" if summary.supply.axis.kind == "time" else "from left to right pods arrive"
    more = (
        "The orange line adds what waiting pods ask for: where it rises above 100 %, demand is larger than the cluster."
        if not summary.inflate
        else "The orange line is what all pods that had arrived ask for, the refused ones too."
    )
    told = marks.sentence(summary) if summary.supply.axis.kind == "time" else ""
    frame = summary.supply.frame
    moves = any(frame[f"allocatable:{r.key}"].n_unique() > 1 for r in _shown(summary))
    most = "the dark line, which moves as nodes do; 100 % is the most there was" if moves else "the dark line at 100 %"
    return (
        f"One panel per resource; {axis}. Blue is what placed pods requested, in percent of what the nodes have "
        f"({most}); the pale band between them is room left. {more}{told}"
    )


def _draw(summary: Summary, wide: bool) -> Drawing:
    shown = _shown(summary)
    columns = 2 if wide and len(shown) > 1 else 1
    rows = math.ceil(len(shown) / columns)
    high, gap, top = 118, 68, 74 if wide else 92
    figure = style.canvas(wide, top + rows * (high + gap) - 8)
    items = [(style.BLUE, "requested by placed pods"), (style.PALE, "room left"), (style.INK, "allocatable")]
    if summary.supply.demand is not None:
        items.insert(1, (style.ORANGE, "asked for in all"))
    style.legend_line(figure, items, 8, 4)
    each = (style.width(wide) - 8) / columns
    for k, resource in enumerate(shown):
        row, column = divmod(k, columns)
        axes = style.place(figure, 8 + column * each + 42, top + row * (high + gap), each - 58, high)
        _panel(axes, summary, resource, wide and columns == 1)
        if row == rows - 1 or k + columns >= len(shown):
            axes.set_xlabel(summary.supply.axis.label if len(summary.supply.axis.label) < 45 else "arrived GPU share")
    return figure


def _panel(axes: Axes, summary: Summary, resource: Resource, roomy: bool) -> None:
    supply = summary.supply
    frame, peak = supply.frame, supply.peaks[resource.key]
    x = frame["x"].to_numpy()
    allocatable = frame[f"allocatable:{resource.key}"].to_numpy()
    full = allocatable.max() or 1.0
    used, room = 100 * frame[f"used:{resource.key}"].to_numpy() / full, 100 * allocatable / full
    top = float(used.max())
    edge, level = style.corners(x, room)
    axes.fill_between(edge, 0, level, step="post", color=style.PALE, linewidth=0)
    axes.fill_between(x, 0, used, color=style.LIGHT, linewidth=0)
    cut = ""
    if supply.demand is not None:
        asked = 100 * supply.demand[f"demand:{resource.key}"].to_numpy() / full
        xs = supply.demand["x"].to_numpy()
        if asked.max() > MOST:
            cut = f", up to {text.percent(float(asked.max()))} asked for"
        top = max(top, min(MOST, float(asked.max()) * 1.04))
        axes.plot(xs, np.minimum(asked, MOST), color=style.ORANGE, linewidth=1.2)
    axes.plot(x, used, color=style.BLUE, linewidth=1.4)
    axes.step(edge, level, where="post", color=style.INK, linewidth=1.2)
    # Where little is used, 100 % is left out of the picture, and that is said.
    most = style.nice(1.1 * top) if 0.01 <= top < SMALL else max(102.0, top)
    if most < 100:
        cut = f"; scale ends at {most:g} %"
    style.percent_axis(axes, most)
    style.run_axis(axes, supply.axis, float(x[0]), float(x[-1]), roomy, label=False)
    if supply.axis.kind == "time":
        marks.draw(axes, summary)
    name = style.words(text.capital(resource.label), 30)
    axes.annotate(
        name, (0, 1), (-36, 26), xycoords="axes fraction", textcoords="offset points", weight="bold", fontsize=11
    )
    detail = f"peak {text.percent(peak.percent)} of {text.amount(peak.allocatable, resource.key)}{cut}"
    axes.annotate(
        detail,
        (0, 1),
        (-36, 12),
        xycoords="axes fraction",
        textcoords="offset points",
        fontsize=9.5,
        color=style.MUTED,
    )
    at = int(np.divide(used, room, out=np.zeros_like(used), where=room > 0).argmax())
    axes.plot([x[at]], [used[at]], marker="o", markersize=4.5, color=style.BLUE, markeredgecolor=style.PAPER)


def _table(summary: Summary) -> Table:
    shown, frame, kind = _shown(summary), summary.supply.frame, summary.supply.axis.kind
    rows = []
    for k in spaced(frame.height, 25):
        row = frame.row(k, named=True)
        cells = [text.place_on(kind, row["x"]), text.number(row["running_pods"]), text.number(row["waiting_pods"])]
        for r in shown:
            used, of = row[f"used:{r.key}"], row[f"allocatable:{r.key}"]
            cells.append(f"{100 * used / of:.1f} %" if of else "–")
        rows.append(cells)
    first = {"time": "time", "gpu": "GPUs asked for", "pods": "pods arrived"}[kind]
    note = f"{len(rows)} of {frame.height} points; every sample is in timeline.parquet." if frame.height > 25 else ""
    columns = (first, "running", "waiting", *(text.capital(r.label) for r in shown))
    return Table(columns, rows, tuple(range(len(columns))), note)


FIGURE = Figure("demand", 3, "Demand against supply", _finding, _reading, _draw, _table)
