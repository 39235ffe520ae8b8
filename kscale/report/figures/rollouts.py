"""Rollouts: the course of those that matter, against the bounds on their pods."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing

from kscale.report import marks, style, text
from kscale.report.figures import Figure
from kscale.report.rollouts import Rollouts
from kscale.report.summary import Summary
from kscale.report.supply import Axis
from kscale.report.tables import Table

_SINCE = Axis("time", "virtual time since it began")
_LINES = (("updated", style.ORANGE, 1.4), ("ready", style.GREEN, 1.4), ("available", style.BLUE, 1.8))


def _rollouts(summary: Summary) -> Rollouts:
    assert summary.living is not None
    return summary.living.rollouts


def _finding(summary: Summary) -> str | None:
    if summary.living is None or not summary.living.rollouts.changes:
        return None
    rolled = summary.living.rollouts
    first = rolled.rows.row(0, named=True)
    named = text.clean(f"{first['kind']} {first['namespace']}/{first['name']}", 70)
    if rolled.unfinished:
        words = f"{text.plural(rolled.unfinished, 'rollout')} of {text.number(rolled.finished + rolled.unfinished)} "
        return words + f"did not finish{_broken(rolled)}; first of all {named}"
    if not rolled.finished:
        return f"No rollout; {text.plural(rolled.changes, 'time')} a workload was not as wanted, first of all {named}"
    longest = text.duration(rolled.longest_us)
    words = f"{text.plural(rolled.finished, 'rollout')} finished, the longest in {longest}{_broken(rolled)}"
    return f"{words}; longest below what was wanted: {named}" if first["below_us"] else words


def _broken(rolled: Rollouts) -> str:
    whose = "its" if rolled.broken == 1 else "their"
    return f", {text.number(rolled.broken)} broke the bounds on {whose} pods" if rolled.broken else ""


def _reading(summary: Summary) -> str:
    more = marks.sentence(summary)
    return (
        "One panel per workload that was not as wanted for a while: it was created, got a new template, was scaled, or "
        "lost pods; what did not finish or broke its bounds comes first, then what had too few available pods for "
        "longest. All panels have the same scale of time, from the moment at which it began. Dashed lines are "
        "the most pods and the fewest available ones that a rollout may have; a bound that is made tighter holds from "
        f"when it is first met. Red is what lies beyond a bound.{more}"
    )


def _draw(summary: Summary, wide: bool) -> Drawing:
    rolled = _rollouts(summary)
    columns = 2 if wide and len(rolled.courses) > 1 else 1
    rows = math.ceil(len(rolled.courses) / columns)
    high, gap, top = 122, 72, 76 if wide else 92
    figure = style.canvas(wide, top + rows * (high + gap) - 10)
    items = [(colour, name) for name, colour, _ in _LINES]
    items += [(style.INK, "wanted"), (style.MUTED, "bounds"), (style.RED, "beyond a bound")]
    style.legend_line(figure, items, 8, 4)
    ends = [_end(course, row) for course, row in zip(rolled.courses, rolled.rows.iter_rows(named=True), strict=False)]
    span = 1.05 * max([*ends, 1])
    each = (style.width(wide) - 8) / columns
    for k, course in enumerate(rolled.courses):
        row, column = divmod(k, columns)
        axes = style.place(figure, 8 + column * each + 42, top + row * (high + gap), each - 58, high)
        _panel(axes, summary, course, rolled.rows.row(k, named=True), (span, wide and columns == 1))
        if k + columns >= len(rolled.courses):
            axes.set_xlabel(_SINCE.label)
    return figure


def _end(course: pl.DataFrame, row: dict[str, Any]) -> int:
    """Return how long after its start the last thing happened."""
    return int(row["duration_us"]) if row["end_us"] is not None else int(course["time_us"][-1] - row["start_us"])


def _panel(axes: Axes, summary: Summary, course: pl.DataFrame, row: dict[str, Any], shape: tuple[float, bool]) -> None:
    span, roomy = shape
    low = -0.05 * span
    x = np.append(course["time_us"].to_numpy() - row["start_us"], span).astype(float)
    x[0] = min(x[0], 0) if x[0] >= low else low
    if row["end_us"] is None:
        # It stays as it is until the run ends.
        x[-1] = min(span, row["duration_us"])
    values = {
        name: np.append(course[name].fill_null(0).to_numpy(), course[name].fill_null(0)[-1]).astype(float)
        for name in course.columns[1:]
    }
    top = max(values[name].max() for name in ("wanted", "pods", "available", "updated"))
    # A bound that is not known is not drawn, nor one so far above everything that it would leave no room.
    known = [name for name in ("least", "most") if not course[name].null_count()]
    bounds = {name: values[name] for name in known if values[name].max() <= 3 * max(top, 1)}
    top = max([top, *(bound.max() for bound in bounds.values())])
    for bound in bounds.values():
        axes.step(x, bound, where="post", color=style.MUTED, linewidth=0.9, dashes=(4, 2.5))
    axes.step(x, values["wanted"], where="post", color=style.INK, linewidth=0.9)
    axes.fill_between(x, 0, values["available"], step="post", color=style.PALE, linewidth=0)
    for name, colour, thick in _LINES:
        axes.step(x, values[name], where="post", color=colour, linewidth=thick)
    _beyond(axes, x, values)
    style.count_axis(axes, 1.08 * top)
    style.run_axis(axes, _SINCE, low, span, roomy, label=False)
    marks.draw(axes, summary, row["start_us"])
    _titles(axes, row, 84 if roomy else 40)


def _beyond(axes: Axes, x: np.ndarray, values: dict[str, np.ndarray]) -> None:
    """Mark what lies beyond the bounds: the room between, and the worst moment."""
    for amount, bound, base, sign in (("short", "least", "available", -1), ("over", "most", "pods", 1)):
        beyond = values[amount]
        if not beyond.any():
            continue
        edge = values[bound]
        axes.fill_between(x, edge, edge + sign * beyond, step="post", color=style.RED, alpha=0.55, linewidth=0)
        worst = int(beyond.argmax())
        axes.plot([x[worst]], [values[base][worst]], marker="v" if sign < 0 else "^", markersize=6, color=style.RED)


def _titles(axes: Axes, row: dict[str, Any], letters: int) -> None:
    name = style.words(f"{row['kind']} {row['namespace']}/{row['name']}", letters)
    took = f"took {text.duration(row['duration_us'])}" if row["end_us"] is not None else "not finished"
    words = f"{row['cause']} {text.at('time', row['start_us'])} · {took}"
    bold: dict[str, Any] = {"weight": "bold", "fontsize": 10.5}
    plain: dict[str, Any] = {"fontsize": 9.5, "color": style.MUTED}
    for label, up, look in ((name, 28, bold), (words, 14, plain)):
        axes.annotate(label, (0, 1), (-36, up), xycoords="axes fraction", textcoords="offset points", **look)


def _table(summary: Summary) -> Table:
    rolled = _rollouts(summary)
    rows = [
        (
            f"{row['kind']} {row['namespace']}/{row['name']}",
            row["cause"],
            text.duration(row["start_us"]),
            "not finished" if row["end_us"] is None else text.duration(row["end_us"]),
            text.duration(row["duration_us"]),
            text.duration(row["below_us"]),
            text.number(row["wanted"]),
            f"{text.number(row['lowest'])} (≥ {text.number(row['least'])})",
            f"{text.number(row['highest'])} (≤ {text.number(row['most'])})",
            "broken" if row["broken"] else "kept",
        )
        for row in rolled.rows.iter_rows(named=True)
    ]
    more = "lowest available (bound)", "most pods (bound)", "bounds"
    columns = ("workload", "what began it", "start", "end", "duration", "below what was wanted", "wanted", *more)
    note = f"{len(rows)} of {text.number(rolled.changes)}." if rolled.changes > len(rows) else ""
    return Table(columns, rows, (2, 3, 4, 5, 6, 7, 8), note)


FIGURE = Figure("rollouts", 5, "Rollouts", _finding, _reading, _draw, _table)
