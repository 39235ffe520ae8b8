"""Traffic: connections that went wrong over time, how even the load was, and for how long rules had dead endpoints."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing

from kscale.report import marks, style, text
from kscale.report.figures import Figure
from kscale.report.summary import Summary
from kscale.report.supply import AXES
from kscale.report.tables import Table
from kscale.report.traffic import WRONG, Traffic

_WAYS = (
    ("refused", "refused", style.GREY), ("gone", "to a pod that is gone", style.RED),
    ("not_ready", "to one not ready", style.PURPLE), ("terminating", "to one terminating", style.SKY),
    ("cut", "cut off", style.ORANGE),
)  # fmt: skip
_STATES = {"gone": style.RED, "not ready": style.PURPLE, "terminating": style.SKY}
_LINES = (style.BLUE, style.GREEN, style.ORANGE, style.PURPLE)
_WRONG, _EVEN, _HOLES, _BETWEEN = 150, 110, 110, 34
#: The axis of durations reaches down to here at least.
_LEAST_US = 10_000.0


def _found(summary: Summary) -> Traffic:
    assert summary.living is not None and summary.living.traffic is not None
    return summary.living.traffic


def _finding(summary: Summary) -> str | None:
    if summary.living is None or summary.living.traffic is None:
        return None
    found = summary.living.traffic
    words = f"Of {text.plural(found.connections, 'connection')} {_share(found.astray, found)} went to pods that should"
    words += " get none"
    if found.longest_us is not None and found.astray:
        words += f", for up to {text.duration(found.longest_us)}"
    told = {"refused": "refused", "cut": "cut off"}
    more = [f"{_share(found.wrong[name], found)} {way}" for name, way in told.items() if found.wrong[name]]
    return words + (f"; {' and '.join(more)}" if more else "")


def _share(count: int, found: Traffic) -> str:
    """Return a part of all connections in words."""
    if not count:
        return "none"
    return f"{text.number(count)} ({text.percent(float(f'{100 * count / found.connections:.3g}'))})"


def _reading(summary: Summary) -> str:
    return (
        "Above, new connections that went wrong, as a share of all in the same time: rules had no endpoint, or "
        "sent them to a pod that does not run any more, is not ready, or is being deleted (it may serve them yet); and "
        "open ones that ended with their pod. In the middle, how much more the endpoint with most connections got than "
        "the mean of those that served all through a step: 1 is even. Few connections are never even by chance. Below, "
        "one dot for each pod that should get nothing more: for how long the last node with clients still had it."
        f"{marks.sentence(summary)}"
    )


def _draw(summary: Summary, wide: bool) -> Drawing:
    found = _found(summary)
    head = 26 if wide else 44
    names = [(colour, style.words(name, 60 if wide else 28)) for colour, (name, _) in zip(_LINES, found.even,
                                                                                         strict=False)]  # fmt: skip
    middle = 17 * len(names) + 8
    height = head + _WRONG + _BETWEEN + middle + _EVEN + _BETWEEN + _HOLES + 46
    figure = style.canvas(wide, height)
    style.legend_line(figure, [(colour, words) for _, words, colour in _WAYS], 8, 4)
    left, across, end = 64, style.width(wide) - 82, float(max(summary.run.horizon_us, 1))
    top = head + 12
    upper = style.place(figure, left, top, across, _WRONG)
    _wrong(upper, found)
    top += _WRONG + _BETWEEN - 12
    style.legend_block(figure, names, 8, top, 60)
    top += middle
    even = style.place(figure, left, top, across, _EVEN)
    _even(even, found)
    holes = style.place(figure, left, top + _EVEN + _BETWEEN, across, _HOLES)
    _holes(holes, found)
    for axes in (upper, even, holes):
        style.run_axis(axes, AXES["time"], 0, end, wide, label=axes is holes)
    marks.draw(upper, summary)
    return figure


def _wrong(axes: Axes, found: Traffic) -> None:
    """Draw shares of what went wrong on top of each other, step by step."""
    rows = found.over_time
    x, whole = rows["time_us"].to_numpy().astype(float), np.maximum(rows["connections"].to_numpy(), 1)
    below = np.zeros(len(x))
    for name, _, colour in _WAYS:
        above = below + 100 * rows[name].to_numpy() / whole
        axes.fill_between(x, below, above, step="post", color=colour, linewidth=0)
        # A thin spike is wider than its step in no drawing: an outline keeps it in sight.
        some = np.repeat(above > below, 2)[:-1]
        edge_x, edge = np.repeat(x, 2)[1:], np.repeat(above, 2)[:-1]
        axes.plot(np.where(some, edge_x, np.nan), np.where(some, edge, np.nan), color=colour, linewidth=1.2)
        below = above
    style.percent_axis(axes, max(1.08 * float(below.max()), 0.001))
    axes.set_ylabel("connections")


def _even(axes: Axes, found: Traffic) -> None:
    most = 1.1
    for colour, (_, rows) in zip(_LINES, found.even, strict=False):
        values = rows["most_over_mean"].to_numpy()
        most = max(most, float(values.max(initial=1.0)))
        size = 1.6 if len(values) > 120 else 3.0
        axes.plot(rows["time_us"].to_numpy().astype(float), values, color=colour, marker="o", markersize=size,
                  linewidth=0.9)  # fmt: skip
    top = 1 + 1.08 * (most - 1)
    step = style.nice((top - 1) / 4)
    ticks = np.arange(1, top + step / 100, step)
    axes.set_ylim(1, top)
    axes.set_yticks(ticks, [f"{tick:.4g}" for tick in ticks])
    axes.set_ylabel("most / mean")


def _holes(axes: Axes, found: Traffic) -> None:
    """Draw for how long rules had each pod too long, on a logarithmic scale."""
    rows = found.stale
    lasted = np.maximum(rows["lasted_us"].to_numpy().astype(float), 1000.0)
    for state, colour in _STATES.items():
        some = rows["why"].to_numpy() == state
        axes.plot(rows["since_us"].to_numpy()[some].astype(float), lasted[some], color=colour, marker="o",
                  markersize=2.8, linestyle="none")  # fmt: skip
    low = min(float(lasted.min(initial=_LEAST_US)), _LEAST_US)
    high = max(float(lasted.max(initial=1e6)), 1e6)
    axes.set_yscale("log")
    axes.set_ylim(low / 1.5, high * 1.6)
    places = [t for t in (1e3, 1e4, 1e5, 1e6, 1e7, 60e6, 600e6, 3600e6) if low / 1.5 <= t <= high * 1.6]
    axes.set_yticks(places, [text.duration(t) for t in places])
    axes.set_yticks([], minor=True)
    axes.set_ylabel("in rules for")


def _table(summary: Summary) -> Table:
    found = _found(summary)
    rows = [
        (
            f"{row['namespace']}/{row['service']}", text.number(row["connections"]),
            *(text.number(row[name]) for name in WRONG), *(_figure(row[name]) for name in _EVENNESS),
            "–" if row["longest_us"] is None else text.duration(row["longest_us"]),
        )
        for row in found.services.iter_rows(named=True)
    ]  # fmt: skip
    note = f"{text.plural(found.stale_count, 'pod')} stayed in rules too long"
    note += f", half of them for {text.duration(found.typical_us)} or less." if found.typical_us is not None else "."
    if found.service_count > len(rows):
        note = f"The {len(rows)} of {text.number(found.service_count)} Services with most connections. {note}"
    columns = (
        "Service", "connections", "refused", "to terminating", "to not ready", "to gone", "cut off", "most / mean",
        "variation", "Jain", "longest in rules",
    )  # fmt: skip
    return Table(columns, rows, tuple(range(1, len(columns))), note)


_EVENNESS = ("most_over_mean", "variation", "jain")


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


FIGURE = Figure("traffic", 10, "Network: what became of connections", _finding, _reading, _draw, _table)
