"""The actions of a scenario as thin numbered lines on figures over time."""

from __future__ import annotations

import polars as pl
from matplotlib.axes import Axes

from kscale.report import style

#: Points of the drawing that a letter of a number takes, and the room between two numbers.
_LETTER, _GAP = 5.4, 6.0
SENTENCE = "Thin upright lines with numbers are the actions of the scenario, which a table below names."


def draw(axes: Axes, actions: pl.DataFrame | None, start_us: float = 0) -> bool:
    """Draw the actions that fall into the axes, ``start_us`` being where they begin; return whether there were any.

    Actions whose numbers would lie on one another share a line at the first of them and a span of numbers.
    """
    if actions is None or actions.is_empty():
        return False
    low, high = axes.get_xlim()
    at = pl.col("at")
    found = actions.select((pl.col("time_us") - start_us).alias("at"), "action").filter((at >= low) & (at <= high))
    figure = axes.get_figure(root=True)
    assert figure is not None
    points = axes.get_position().width * figure.get_size_inches()[0] * 72 / (high - low)
    for x, numbers in _grouped([((a - low) * points, number) for a, number in found.rows()]):
        at_x = low + x / points
        axes.axvline(at_x, color=style.MUTED, linewidth=0.8, dashes=(1, 2), zorder=1.5)
        axes.annotate(
            _span(numbers), (at_x, 1), (0, 1.5), xycoords=("data", "axes fraction"), textcoords="offset points",
            ha="right" if at_x - low > 0.9 * (high - low) else "center", fontsize=8.5, color=style.MUTED,
        )  # fmt: skip
    return found.height > 0


def _span(numbers: list[int]) -> str:
    first, last = min(numbers), max(numbers)
    return str(first) if first == last else f"{first}–{last}"


def _grouped(placed: list[tuple[float, int]]) -> list[tuple[float, list[int]]]:
    """Return where lines stand, in points, and their numbers; no two numbers touch each other."""
    out: list[tuple[float, list[int]]] = []
    for x, number in sorted(placed):
        if out:
            before, numbers = out[-1]
            wide = _LETTER * (len(_span([*numbers, number])) + len(str(number))) / 2 + _GAP
            if x - before < wide:
                numbers.append(number)
                continue
        out.append((x, [number]))
    return out
