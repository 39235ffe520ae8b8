"""Network programming latency: over time, as a distribution against the limit, and what kube-proxies take for it."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing

from kscale.report import marks, style, text
from kscale.report.figures import Figure
from kscale.report.programming import LIMIT_US, Programming
from kscale.report.summary import Summary
from kscale.report.supply import AXES
from kscale.report.tables import Table

_QUANTILES = (("p50_us", "half", style.SKY), ("p99_us", "99 of 100", style.BLUE), ("most_us", "the last", style.ORANGE))
_TIME, _CPU, _SPREAD, _BETWEEN = 170, 70, 170, 64
#: Axes of latencies reach down to here at least.
_LEAST_US = 10_000.0


def _found(summary: Summary) -> Programming:
    assert summary.living is not None and summary.living.programming is not None
    return summary.living.programming


def _finding(summary: Summary) -> str | None:
    if summary.living is None or summary.living.programming is None:
        return None
    found = summary.living.programming
    most, longest = (text.duration(found.quantile_us(share)) for share in (0.99, 1.0))
    where = f"{found.mode} on {text.plural(found.nodes, 'node')}"
    changes = text.plural(found.changes, "change")
    return f"{changes} of Services: 99 of 100 were in a node's rules within {most}, the last after {longest} ({where})"


def _reading(summary: Summary) -> str:
    return (
        "Network programming latency: from what happened (a pod became ready, was deleted) until a node's kube-proxy "
        "has it in its rules. Above, all nodes and all changes written in an interval: when half of them knew, 99 of "
        "100, and the last. In the middle, the CPU of an average node's syncs. Below, the share of all changes on all "
        "nodes that had arrived by then, and as kube-proxy's own metric counts them in its buckets, which leaves "
        "deletions out (circles); the dashed line is the 30 s that Kubernetes' scalability tests ask of 99 of 100."
        f"{marks.sentence(summary)}"
    )


def _draw(summary: Summary, wide: bool) -> Drawing:
    found = _found(summary)
    top = 42 if wide else 60
    figure = style.canvas(wide, top + _TIME + 18 + _CPU + _BETWEEN + _SPREAD + 46)
    style.legend_line(figure, [(colour, words) for _, words, colour in _QUANTILES], 8, 4)
    left, across = 64, style.width(wide) - 82
    end = float(max(summary.run.horizon_us, 1))
    upper = style.place(figure, left, top, across, _TIME)
    _over_time(upper, found)
    cpu = style.place(figure, left, top + _TIME + 18, across, _CPU)
    x = np.append(found.over_time["time_us"], end).astype(float)
    cores = np.append(found.over_time["cores"], found.over_time["cores"][-1]) * 1000
    cpu.fill_between(x, 0, cores, step="post", color=style.LIGHT, linewidth=0)
    style.count_axis(cpu, max(1.08 * float(cores.max()), 1))
    cpu.set_ylabel("CPU, milli")
    for axes in (upper, cpu):
        style.run_axis(axes, AXES["time"], 0, end, wide, label=axes is cpu)
    upper.tick_params(axis="x", labelbottom=False)
    marks.draw(upper, summary)
    _spread(style.place(figure, left, top + _TIME + 18 + _CPU + _BETWEEN, across, _SPREAD), found, wide)
    return figure


def _over_time(axes: Axes, found: Programming) -> None:
    """Draw quantiles of each interval in which something was written, on a logarithmic scale."""
    rows = found.over_time.filter(found.over_time["changes"] > 0)
    x = rows["time_us"].to_numpy().astype(float)
    size = 2.6 if len(x) > 120 else 4.0
    for name, _, colour in _QUANTILES:
        axes.plot(x, rows[name].to_numpy(), color=colour, marker="o", markersize=size, linestyle="none")
    low = min(float(rows["p50_us"].min()), _LEAST_US)  # type: ignore[arg-type]
    axes.set_yscale("log")
    axes.set_ylim(max(low, 100.0) / 1.5, max(float(rows["most_us"].max()), 10 * low) * 1.6)  # type: ignore[arg-type]
    places = [t for t in _decades() if axes.get_ylim()[0] <= t <= axes.get_ylim()[1]]
    axes.set_yticks(places, [text.duration(t) for t in places])
    axes.set_yticks([], minor=True)
    axes.set_ylabel("latency")


def _decades() -> list[float]:
    return [*(10.0**power for power in range(2, 8)), 60e6, 600e6, 3600e6]


def _spread(axes: Axes, found: Programming, wide: bool) -> None:
    """Draw the shares of latencies up to a time: exact ones as a line, the metric's buckets as circles."""
    latency, share = found.quantiles["latency_us"].to_numpy(), found.quantiles["share"].to_numpy()
    low = max(min(float(latency[0]), _LEAST_US), 100.0) / 1.5
    high = max(float(latency[-1]), LIMIT_US) * 1.4
    # Nothing is faster than the fastest: the line begins at the bottom.
    axes.step(np.append(latency[0], latency), 100 * np.append(0, share), where="post", color=style.BLUE)
    if found.measured:
        below = found.buckets["metric"].shift(1).fill_null(0.0)
        rows = found.buckets.filter((found.buckets["le_us"] > low) & (found.buckets["le_us"] <= high) & (below < 1))
        axes.plot(
            rows["le_us"].to_numpy(), 100 * rows["metric"].to_numpy(), color=style.GREEN, marker="o", markersize=3.2,
            linestyle="none", markerfacecolor="none",
        )  # fmt: skip
    axes.axvline(LIMIT_US, color=style.MUTED, linewidth=0.9, dashes=(4, 2.5))
    axes.axhline(99, color=style.MUTED, linewidth=0.9, dashes=(4, 2.5))
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    style.percent_axis(axes, 104)
    places = [t for t in _decades() if low <= t <= high][:: 1 if wide else 2]
    axes.set_xticks(places, [text.duration(t) for t in places])
    axes.set_xticks([], minor=True)
    axes.set_xlabel("latency, all changes on all nodes")


def _table(summary: Summary) -> Table:
    found = _found(summary)
    rows = [
        (
            f"{row['namespace']}/{row['service']}",
            *(text.number(row[name]) for name in ("changes", "endpoints")),
            *(text.duration(round(row[name])) for name in ("p50_us", "p99_us", "most_us")),
        )
        for row in found.services.iter_rows(named=True)
    ]
    within = text.percent(float(f"{100 * found.within:.4g}"))
    syncs, full = (text.number(float(f"{value:.4g}")) for value in (found.syncs, found.full_syncs))
    mean, most = (text.number(float(f"{1000 * cores:.3g}")) for cores in (found.cores, found.most_cores))
    note = (
        f"{within} of all within {text.duration(LIMIT_US)}. A node made {syncs} syncs on average, {full} of them of "
        f"everything, and took {mean} milli CPU for them (at most {most})."
    )
    if found.service_count > len(rows):
        note = f"The {len(rows)} slowest of {text.number(found.service_count)} Services. {note}"
    columns = ("Service", "changes", "endpoints", "half of the nodes, mean", "99 of 100, mean", "last node, longest")
    return Table(columns, rows, (1, 2, 3, 4, 5), note)


FIGURE = Figure("programming", 10, "Network: when nodes know", _finding, _reading, _draw, _table)
