"""The actions of a scenario as thin numbered lines on figures over time."""

from __future__ import annotations

import polars as pl
from matplotlib.axes import Axes

from kscale.report import style
from kscale.report.summary import Summary

#: Points of the drawing that a letter of a label takes.
LETTER = 5.4
#: Room between two labels, and how far a label may stand out to the right of the axes.
_GAP, _BEYOND = 5.0, 12.0


def draw(axes: Axes, summary: Summary, start_us: float = 0) -> None:
    """Draw the actions that fall into the axes, whose zero is at ``start_us``.

    Actions whose numbers would lie on one another share a line at the first of them and a span of numbers.
    """
    if summary.living is None:
        return
    low, high = axes.get_xlim()
    at = pl.col("at")
    shifted = summary.living.actions.select((pl.col("time_us") - start_us).alias("at"), "action")
    found = shifted.filter((at >= low) & (at <= high)).iter_rows()
    figure = axes.get_figure(root=True)
    assert figure is not None
    wide = axes.get_position().width * figure.get_size_inches()[0] * 72
    points = wide / (high - low)
    for x, label_at, numbers in grouped([((place - low) * points, number) for place, number in found], wide):
        axes.axvline(low + x / points, color=style.MUTED, linewidth=0.8, dashes=(1, 2), zorder=1.5)
        axes.annotate(
            span(numbers), (low + label_at / points, 1), (0, 1.5), xycoords=("data", "axes fraction"),
            textcoords="offset points", ha="center", fontsize=8.5, color=style.MUTED,
        )  # fmt: skip


def sentence(summary: Summary) -> str:
    """Return what a figure with actions says of their lines, after a space; nothing where there are none."""
    if summary.living is None or summary.living.actions.is_empty():
        return ""
    return " Thin upright lines with numbers are the actions of the scenario, which a table below names."


def span(numbers: list[int]) -> str:
    """Return numbers as one label: the only one, or the first and the last."""
    first, last = min(numbers), max(numbers)
    return str(first) if first == last else f"{first}–{last}"


def grouped(placed: list[tuple[float, int]], wide: float) -> list[tuple[float, float, list[int]]]:
    """Return where lines and the middles of their labels stand, in points, and their numbers.

    ``wide`` is how wide the axes are. No two labels touch each other, and none ends far beyond the axes.
    """
    if not placed:
        return []
    label = LETTER * (2 * max(len(str(number)) for _, number in placed) + 1)
    out: list[tuple[float, float, list[int]]] = []
    for x, number in sorted(placed):
        middle = min(x, wide + _BEYOND - label / 2)
        if out and middle - out[-1][1] < label + _GAP:
            out[-1][2].append(number)
        else:
            out.append((x, middle, [number]))
    return out
