"""Waiting pods over time, stacked by the reason for which they wait."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure as Drawing

from kscale.report import marks, style, text
from kscale.report.figures import Figure
from kscale.report.summary import Summary
from kscale.report.supply import AXES
from kscale.report.tables import Table, spaced
from kscale.report.waits import TURN


def _finding(summary: Summary) -> str | None:
    waits = summary.waits
    if waits is None or not waits.reasons or not waits.peak:
        return None
    return (
        f"Up to {text.plural(waits.peak, 'pod')} waited at once ({text.at('time', waits.peak_at)}), "
        f"mostly for: {text.clean(waits.main or TURN, 90)}"
    )


def _reading(summary: Summary) -> str:
    return (
        "The height of the stack is the number of pods that had arrived and were not placed, at the worst moment of "
        "each short interval; each colour is the reason that kube-scheduler gives, listed from the largest down. "
        "A stack that does not fall "
        f"again means pods that never find room. {speed(summary)}{marks.sentence(summary)}"
    )


def speed(summary: Summary) -> str:
    """Return the sentence that stands beside every waiting time: how fast the scheduler was taken to be."""
    us = summary.run.scheduler_us_per_pod
    if us <= 0:
        return "Scheduler speed in this run: a decision takes no time (0 us per pod)."
    rate = text.number(float(f"{1e6 / us:.3g}"))
    return f"Scheduler speed in this run: {text.number(float(us))} us per pod ({rate} pods/s)."


def _draw(summary: Summary, wide: bool) -> Drawing:
    waits = summary.waits
    assert waits is not None
    names = list(waits.reasons)
    rows = [(style.SERIES[k % len(style.SERIES)], style.words(name, 200)) for k, name in enumerate(names)]
    letters = 104 if wide else 46
    top = 22 + sum(17 + 14 * (len(name) > letters) for _, name in rows)
    figure = style.canvas(wide, top + 250)
    style.legend_block(figure, rows, 8, 4, letters)
    axes = style.place(figure, 46, top, style.width(wide) - 62, 205)
    hours = waits.times.astype(float)
    base = np.zeros(len(hours))
    for (colour, _), name in zip(rows, names, strict=True):
        above = base + waits.reasons[name]
        axes.fill_between(hours, base, above, step="post", color=colour, linewidth=0, alpha=0.85)
        base = above
    style.count_axis(axes, waits.peak * 1.18)
    style.run_axis(axes, AXES["time"], 0, float(hours[-1]), wide)
    marks.draw(axes, summary)
    axes.set_ylabel("waiting pods")
    right = waits.peak_at > hours[-1] / 2
    axes.annotate(
        f"{text.plural(waits.peak, 'pod')} {text.at('time', waits.peak_at)}",
        (waits.peak_at, waits.peak),
        (-8 if right else 8, 5),
        textcoords="offset points",
        ha="right" if right else "left",
        fontsize=10,
    )
    axes.plot([waits.peak_at], [waits.peak], marker="o", markersize=4, color=style.INK)
    return figure


def _table(summary: Summary) -> Table:
    waits = summary.waits
    assert waits is not None
    rows = [
        (text.duration(int(waits.times[k])), *(text.number(int(v[k])) for v in waits.reasons.values()))
        for k in spaced(len(waits.times), 25)
    ]
    note = "Of the time from each of these moments to the next column of the figure, when most waited."
    return Table(("time", *waits.reasons), rows, tuple(range(len(waits.reasons) + 1)), note)


FIGURE = Figure("waiting", 6, "Waiting pods and why", _finding, _reading, _draw, _table)
