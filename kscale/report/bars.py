"""A plain figure of one bar per name, its count beside it."""

from __future__ import annotations

from matplotlib.figure import Figure as Drawing

from kscale.report import style, text

_EACH = 34


def draw(rows: list[tuple[str, int]], label: str, wide: bool) -> Drawing:
    """Draw names (untrusted) and counts, the largest first; ``label`` says what is counted."""
    figure = style.canvas(wide, _EACH * len(rows) + 52)
    axes = style.place(figure, 12, 6, style.width(wide) - 94, _EACH * len(rows) + 4)
    axes.grid(axis="y", visible=False)
    axes.grid(axis="x", color=style.GRID, linewidth=0.8)
    axes.set_ylim(len(rows), -0.1)
    axes.set_yticks([])
    style.count_axis(axes, max(count for _, count in rows), "x")
    axes.set_xlabel(label)
    for k, (name, count) in enumerate(rows):
        axes.text(0, k + 0.4, style.words(name, 96 if wide else 44), fontsize=10, va="baseline")
        axes.barh(k + 0.68, count, height=0.32, color=style.BLUE)
        axes.annotate(
            text.number(count), (count, k + 0.68), (6, 0), textcoords="offset points", va="center", fontsize=10
        )
    return figure
