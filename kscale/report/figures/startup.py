"""Start-up time by step: what the steps cost on average, and how they are spread."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing

from kscale.report import style, text
from kscale.report.figures import Figure
from kscale.report.startup import Startup
from kscale.report.summary import Summary
from kscale.report.supply import AXES
from kscale.report.tables import Table

_ROW = 40
_MARKS = (("p50_us", "o", 5.0), ("p90_us", "D", 4.6), ("p99_us", "s", 5.0))


def _startup(summary: Summary) -> Startup:
    assert summary.living is not None and summary.living.startup is not None
    return summary.living.startup


def _finding(summary: Summary) -> str | None:
    if summary.living is None or summary.living.startup is None:
        return None
    started = summary.living.startup
    row = started.steps.row(started.largest, named=True)
    words = f"A pod took {text.duration(started.mean_us)} to start on average"
    if not started.mean_us:
        return words
    share = text.percent(100 * row["share_us"] / started.mean_us)
    return f"{words}; {text.clean(row['step'], 60)} costs most: {text.duration(row['share_us'])} ({share})"


def _reading(summary: Summary) -> str:
    count = text.plural(_startup(summary).pods, "pod")
    return (
        f"Above, the mean start-up of {count} by step, in the order in which a pod goes through them. Below, one row "
        "per step with the times within which half (circle), 90 % (diamond) and 99 % (square) of the pods that took it "
        "were through, on a logarithmic scale. They are read from a histogram whose bars double in width, so they are "
        "estimates."
    )


def _draw(summary: Summary, wide: bool) -> Drawing:
    steps, w = _startup(summary).steps, style.width(wide)
    rows, colours = steps.height, style.SERIES
    high, top = _ROW * rows, 118
    figure = style.canvas(wide, top + high + 74)
    bar = style.place(figure, 12, 28, w - 40, 26)
    _stack(bar, _startup(summary), colours, wide)
    _heading(bar, "Mean, added up", 0)
    axes = style.place(figure, 12, top, w - 40, high)
    _heading(axes, "Half, 90 % and 99 % of the pods, by step", 6)
    _spread(axes, _startup(summary), colours, wide)
    items = ((marker, share) for (_, marker, _), share in zip(_MARKS, ("p50", "p90", "p99"), strict=True))
    size = figure.get_size_inches() * 72
    for k, (marker, share) in enumerate(items):
        x, y = (14 + 56 * k) / size[0], 14 / size[1]
        key = figure.add_axes((x, y, 1e-6, 1e-6))
        key.axis("off")
        key.plot([0], [0], marker=marker, markersize=5, color=style.MUTED, clip_on=False)
        figure.text(x + 8 / size[0], y - 3.5 / size[1], share, fontsize=10, color=style.MUTED)
    return figure


def _heading(axes: Axes, words: str, up: float) -> None:
    axes.annotate(
        words, (0, 1), (-4, 8 + up), xycoords="axes fraction", textcoords="offset points", weight="bold", fontsize=10.5
    )


def _stack(axes: Axes, started: Startup, colours: tuple[str, ...], wide: bool) -> None:
    axes.grid(axis="y", visible=False)
    axes.set_yticks([])
    left = 0.0
    for share, colour in zip(started.steps["share_us"], colours, strict=False):
        axes.barh(0, share, left=left, height=0.8, color=colour)
        left += share
    axes.set_ylim(-0.5, 0.5)
    style.run_axis(axes, AXES["time"], 0, max(left, 1.0), wide, label=False)


def _spread(axes: Axes, started: Startup, colours: tuple[str, ...], wide: bool) -> None:
    steps = started.steps
    axes.grid(axis="y", visible=False)
    axes.grid(axis="x", color=style.GRID, linewidth=0.8)
    axes.set_yticks([])
    axes.set_ylim(steps.height, -0.1)
    axes.set_xscale("log")
    low = max(min(*steps["p50_us"].to_list(), 1e6), 100.0)
    most = max(*steps["p99_us"].to_list(), 10 * low)
    axes.set_xlim(low / 1.6, most * 1.6)
    for k, row in enumerate(steps.iter_rows(named=True)):
        places = [max(row[name], low / 1.4) for name, _, _ in _MARKS]
        axes.plot(places, [k + 0.72] * 3, color=colours[k], linewidth=2.6, alpha=0.5)
        for place, (_, marker, size) in zip(places, _MARKS, strict=True):
            axes.plot([place], [k + 0.72], marker=marker, markersize=size, color=colours[k], linestyle="none")
        share = text.percent(float(f"{100 * row['share_us'] / (started.mean_us or 1):.3g}"))
        label = f"{style.words(row['step'], 60 if wide else 22)} · {share} · mean {text.duration(row['mean_us'])}"
        axes.annotate(
            label, (0, k + 0.4), xycoords=("axes fraction", "data"), fontsize=10 if wide else 9.5, va="baseline"
        )
    _log_ticks(axes, low / 1.6, most * 1.6, 9 if wide else 4)
    axes.set_xlabel("virtual time in the step")


def _log_ticks(axes: Axes, low: float, high: float, most: int) -> None:
    """Name round times on a logarithmic axis, at most so many."""
    rounds = [u * 10**6 for u in (60, 600, 3600, 36_000, 360_000, 3_600_000)]
    ticks = [t for t in [*(10.0**k for k in range(2, 8)), *rounds] if low <= t <= high]
    step = -(-len(ticks) // most) or 1
    axes.set_xticks(ticks[::step], [text.duration(t) for t in ticks[::step]])
    axes.set_xticks([], minor=True)


def _table(summary: Summary) -> Table:
    started = _startup(summary)
    rows = [
        (
            row["step"],
            text.number(row["pods"]),
            *(text.duration(row[name]) for name in ("mean_us", "p50_us", "p90_us", "p99_us")),
            text.percent(float(f"{100 * row['share_us'] / (started.mean_us or 1):.3g}")),
        )
        for row in started.steps.iter_rows(named=True)
    ]
    whole = ("whole start-up", text.number(started.pods), text.duration(started.mean_us), "–", "–")
    rows.append((*whole, text.duration(started.p99_us), "100 %"))
    columns = ("step", "pods", "mean", "p50", "p90", "p99", "share of the mean start-up")
    note = "The p99 of a whole start-up is what it would be if a pod's steps were independent of each other."
    return Table(columns, rows, (1, 2, 3, 4, 5, 6), note)


FIGURE = Figure("startup", 8, "Start-up time by step", _finding, _reading, _draw, _table)
