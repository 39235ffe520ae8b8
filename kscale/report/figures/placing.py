"""Time to place: the share of pods that waited no longer, by class."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing

from kscale.report import style, text
from kscale.report.figures import Figure
from kscale.report.figures.waiting import speed
from kscale.report.summary import Summary
from kscale.report.tables import Table
from kscale.report.waits import QUANTILES, Placing

#: Where the scale of shares may begin, with the parts it is then divided in.
_BASES = ((0.9999, 5), (0.999, 5), (0.99, 5), (0.95, 5), (0.9, 5), (0.8, 4), (0.5, 5))


def _finding(summary: Summary) -> str | None:
    overall = summary.waits.overall if summary.waits else None
    if overall is None or overall.placed == overall.at_once:
        return None
    q = overall.quantiles
    if q[0.99] == 0:
        at_once = text.percent(100 * overall.at_once / overall.placed)
        return f"{at_once} of the placed pods did not wait; the longest wait was {text.duration(q[1.0])}"
    half = "did not wait" if q[0.5] == 0 else f"waited at most {text.duration(q[0.5])}"
    return f"Half of the placed pods {half}; 1 in 100 waited {text.duration(q[0.99])} or longer"


def _reading(summary: Summary) -> str:
    left = summary.unplaced.pods
    without = f" Pods never placed ({text.number(left)}) are not in it." if left else ""
    return (
        "Follow a line to the right: its height is the share of pods that were placed within that time of their "
        "arrival. Where it starts is the share placed at once. The scale of time is logarithmic, and the dots mark "
        f"50, 90, 99 and 99.9 % of the pods.{without} {speed(summary)}"
    )


def _classes(summary: Summary) -> list[Placing]:
    assert summary.waits is not None and summary.waits.overall is not None
    return summary.waits.classes or [summary.waits.overall]


def _draw(summary: Summary, wide: bool) -> Drawing:
    classes = _classes(summary)
    items = [
        (style.SERIES[k], f"{p.name}, n = {text.number(p.placed)}, {text.percent(100 * p.at_once / p.placed)} at once")
        for k, p in enumerate(classes)
    ]
    top = 17 * len(items) + 36
    figure = style.canvas(wide, top + 258)
    style.legend_block(figure, items, 8, 4, 104 if wide else 54)
    axes = style.place(figure, 50, top, style.width(wide) - 66, 215)
    late = [p.curve[0] for p in classes if len(p.curve[0])]
    low, high = min(float(c[0]) for c in late), max(float(c[-1]) for c in late)
    low, high = low / 1.6, max(high * 1.6, low * 10)
    lowest = min(1.0, *(p.at_once / p.placed for p in classes))
    slowest = max(classes, key=lambda p: p.quantiles[0.99])
    for (colour, _), p in zip(items, classes, strict=True):
        _line(axes, p, colour, low, high, named=p is slowest)
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    _time_ticks(axes, low, high, 8 if wide else 4)
    base, parts = next(((b, n) for b, n in _BASES if b <= lowest), (0.0, 4))
    axes.set_ylim(base, 1 + (1 - base) * 0.03)
    ticks = np.linspace(base, 1, parts + 1)
    axes.set_yticks(ticks, [f"{100 * t:.6g} %" for t in ticks])
    axes.annotate(
        "share of placed pods", (0, 1), (-42, 8), xycoords="axes fraction", textcoords="offset points",
        fontsize=9.5, color=style.MUTED,
    )  # fmt: skip
    axes.set_xlabel("time from arrival to placement")
    return figure


def _line(axes: Axes, p: Placing, colour: str, low: float, high: float, *, named: bool) -> None:
    edges, shares = p.curve
    x = np.concatenate([[low], edges, [high]])
    y = np.concatenate([[p.at_once / p.placed], shares, [1.0]])
    axes.step(x, y, where="post", color=colour)
    last = 0.0
    for q in QUANTILES:
        at = p.quantiles[q]
        if at <= 0:
            continue
        axes.plot([at], [q], marker="o", markersize=5, color=colour, markeredgecolor=style.PAPER)
        if named and (not last or np.log(at / last) > 0.13 * np.log(high / low)):
            late = at > low * (high / low) ** 0.9
            axes.annotate(
                f"p{100 * q:g}", (at, q), (-4 if late else 6, -13), textcoords="offset points",
                ha="right" if late else "left", fontsize=9.5,
            )  # fmt: skip
            last = at


def _time_ticks(axes: Axes, low: float, high: float, most: int) -> None:
    second = 10**6
    steps = [10**k for k in range(6)] + [second, 10 * second, 60 * second, 600 * second]
    steps += [3600 * second, 6 * 3600 * second, 86400 * second, 7 * 86400 * second, 70 * 86400 * second]
    inside = [s for s in steps if low <= s <= high]
    if len(inside) < 3:
        # A narrow range: halve the steps between the marks.
        near = sorted({s * m for s in steps for m in (1, 2, 3, 4, 5)})
        inside = [s for s in near if low <= s <= high] or [low, high]
    while len(inside) > most:
        inside = inside[::2]
    axes.set_xticks(inside, [text.duration(s) for s in inside])
    axes.minorticks_off()


def _table(summary: Summary) -> Table:
    assert summary.waits is not None and summary.waits.overall is not None
    rows = []
    for p in [*summary.waits.classes, summary.waits.overall]:
        quantiles = (text.duration(p.quantiles[q]) for q in (*QUANTILES, 1.0))
        rows.append((p.name, text.number(p.placed), text.percent(100 * p.at_once / p.placed), *quantiles))
    columns = ("pods", "placed", "at once", "p50", "p90", "p99", "p99.9", "longest")
    return Table(columns, rows, tuple(range(1, 8)), speed(summary))


FIGURE = Figure("placing", 8, "Time to place", _finding, _reading, _draw, _table)
