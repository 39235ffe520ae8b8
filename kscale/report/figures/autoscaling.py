"""Autoscaling against load: what the target was asked to do, and the pods that were asked for and there."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing

from kscale.report import marks, style, text
from kscale.report.figures import Figure
from kscale.report.living import Autoscaler
from kscale.report.summary import Summary
from kscale.report.supply import AXES
from kscale.report.tables import Table, spaced

_UPPER, _LOWER, _BETWEEN, _EACH = 72, 104, 16, 278


def _shown(summary: Summary) -> tuple[Autoscaler, ...]:
    return summary.living.autoscalers if summary.living else ()


def _finding(summary: Summary) -> str | None:
    shown = _shown(summary)
    if not shown or summary.living is None:
        return None
    first = shown[0]
    low, high = min(first.rows["wanted"].to_list()), max(first.rows["wanted"].to_list())
    named = text.clean(f"{first.namespace}/{first.name}", 70)
    asked = f"always asked for {text.plural(low, 'pod')}" if low == high else f"asked for {low:,} to {high:,} pods"
    full = f", for {text.duration(first.at_most_us)} as many as it may" if first.at_most_us else ""
    others = summary.living.autoscaler_count - 1
    return f"Autoscaler {named} {asked}{full}" + (f"; {text.plural(others, 'other autoscaler')}" if others else "")


def _reading(summary: Summary) -> str:
    more = marks.sentence(summary)
    return (
        "Two panels per autoscaler, of those whose wishes moved most. Above is the load: what its target was asked to "
        "do, in cores. Below are the pods that the autoscaler asked for and those that were there, between the fewest "
        f"and the most that it may ask for (dashed).{more}"
    )


def _draw(summary: Summary, wide: bool) -> Drawing:
    shown = _shown(summary)
    top = 64
    figure = style.canvas(wide, top + _EACH * len(shown) - 26)
    items = [
        (style.ORANGE, "load"),
        (style.BLUE, "pods asked for"),
        (style.GREEN, "pods there"),
        (style.MUTED, "bounds"),
    ]
    style.legend_line(figure, items, 8, 4)
    left, across = 52, style.width(wide) - 70
    for k, scaler in enumerate(shown):
        y = top + k * _EACH
        upper = style.place(figure, left, y, across, _UPPER)
        lower = style.place(figure, left, y + _UPPER + _BETWEEN, across, _LOWER)
        _panels(upper, lower, summary, scaler, wide)
        name = style.words(f"{scaler.namespace}/{scaler.name}", 84 if wide else 40)
        upper.annotate(
            name, (0, 1), (-left + 10, 16), xycoords="axes fraction", textcoords="offset points", weight="bold",
            fontsize=11,
        )  # fmt: skip
    return figure


def _panels(upper: Axes, lower: Axes, summary: Summary, scaler: Autoscaler, wide: bool) -> None:
    rows = scaler.rows
    end = float(max(summary.run.horizon_us, rows["time_us"][-1], 1))
    x = np.append(rows["time_us"].to_numpy(), end).astype(float)
    values = {name: np.append(rows[name], rows[name][-1]).astype(float) for name in rows.columns[1:]}
    load = values["load"] / 1000
    upper.fill_between(x, 0, load, step="post", color=style.ORANGE, alpha=0.22, linewidth=0)
    upper.step(x, load, where="post", color=style.ORANGE, linewidth=1.4)
    _cores(upper, float(load.max()))
    top = max(values["wanted"].max(), values["pods"].max())
    for name in ("least", "most"):
        # A bound that is far above everything would leave no room for what happened.
        if values[name].max() <= 3 * max(top, 1):
            lower.step(x, values[name], where="post", color=style.MUTED, linewidth=0.9, dashes=(4, 2.5))
            top = max(top, values[name].max())
    lower.step(x, values["pods"], where="post", color=style.GREEN, linewidth=1.8)
    lower.step(x, values["wanted"], where="post", color=style.BLUE, linewidth=1.4)
    style.count_axis(lower, 1.08 * top)
    for axes in (upper, lower):
        style.run_axis(axes, AXES["time"], 0, end, wide, label=axes is lower)
    upper.tick_params(axis="x", labelbottom=False)
    upper.set_ylabel("cores")
    lower.set_ylabel("pods")
    marks.draw(upper, summary)


def _cores(axes: Axes, most: float) -> None:
    """Give the y axis a scale from 0 to ``most`` cores with a few round ticks."""
    top = 1.08 * most if most > 0 else 1.0
    step = style.nice(top / 4)
    ticks = np.arange(0, top + step / 100, step)
    axes.set_ylim(0, top)
    axes.set_yticks(ticks, [style.short(t) for t in ticks])


def _table(summary: Summary) -> Table:
    shown = _shown(summary)
    rows = []
    for scaler in shown:
        for k in spaced(scaler.rows.height, 36 // len(shown)):
            row = scaler.rows.row(k, named=True)
            amounts = (text.number(row[name]) for name in ("wanted", "pods", "least", "most"))
            name = f"{scaler.namespace}/{scaler.name}"
            rows.append((name, text.duration(row["time_us"]), text.amount(row["load"], "cpu"), *amounts))
    columns = ("autoscaler", "time", "load", "asked for", "there", "fewest", "most")
    count = summary.living.autoscaler_count if summary.living else 0
    note = "Some moments of each; every change is in rollouts.parquet."
    if count > len(shown):
        note = f"{len(shown)} of {text.number(count)} autoscalers. {note}"
    return Table(columns, rows, (1, 2, 3, 4, 5, 6), note)


FIGURE = Figure("autoscaling", 6, "Autoscaling against load", _finding, _reading, _draw, _table)
