"""How the cost grows: ``python -m benchmarks.growth`` measures, draws docs/figures/cost-*.svg and fills docs/cost.md.

Pods per second against nodes, templates and live pods; where the time of a whole command goes; and the floor.
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.ticker import FixedLocator, NullLocator

from benchmarks import floor
from benchmarks.jobs import job
from benchmarks.measuring import advanced, placed
from benchmarks.objects import Objects
from benchmarks.table import markdown, number
from benchmarks.workloads import WORKLOADS
from kscale.report import style

DOCS = Path(__file__).parent.parent / "docs"
PAGE, FIGURES = DOCS / "cost.md", DOCS / "figures"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
_PODS = 20_000


@dataclass(frozen=True)
class Line:
    """One line of a figure: its words, and pods per second by x."""

    words: str
    points: dict[int, float]


@dataclass(frozen=True)
class Sweep:
    """A figure: what is varied, and the clusters of each of its lines by x."""

    name: str
    x: str
    title: str
    lines: dict[str, dict[int, Objects]]


def _over_nodes(kind: str, counts: Sequence[int]) -> dict[int, Objects]:
    return {nodes: Objects(kind, nodes, _PODS, 20) for nodes in counts}


_COUNTS = (1_000, 5_000, 20_000)
SWEEPS = (
    Sweep("nodes", "nodes", "Pods per second against nodes, 20 templates, 20,000 pods", {
        "resources alone": _over_nodes("simple", (*_COUNTS, 100_000)),
        "hard spread": _over_nodes("hard-spread", _COUNTS),
        "soft spread": _over_nodes("soft-spread", _COUNTS), "pod anti-affinity": _over_nodes("anti-affinity", _COUNTS),
        "preferred pod affinity": _over_nodes("preferred-pods", _COUNTS)}),
    Sweep("classes", "templates", "Pods per second against templates, 5,000 nodes, 20,000 pods", {
        "resources alone": {
            **{count: Objects("simple", 5_000, _PODS, count) for count in (1, 5, 20, 100, 500, 2_000)},
            _PODS: Objects("own", 5_000, _PODS, 20)}}),
    Sweep("live", "pods there before", "Pods per second against live pods, 5,000 nodes, 20 templates", {
        "resources alone": {
            bound: Objects("simple", 5_000, _PODS // 2, 20, bound=bound)
            for bound in (1_000, 5_000, 20_000, 50_000, 140_000)}}),
)  # fmt: skip


def rate(source: Objects, runs: int = 5) -> float:
    """Return pods per second, from the first arrival to the last bind: the best of several runs."""
    least = float("inf")
    for _ in range(runs):
        least = min(least, advanced(placed(source)))
        if least > 2:
            break
    return source.pods / least


def measure(sweep: Sweep) -> list[Line]:
    """Return the lines of a figure."""
    found = []
    for words, clusters in sweep.lines.items():
        points = {}
        for x, source in clusters.items():
            points[x] = rate(source)
            print(f"{sweep.name}: {words}, {x:,} {sweep.x}: {points[x]:,.0f} pods/s", file=sys.stderr)
        found.append(Line(words, points))
    return found


def draw(sweep: Sweep, lines: Sequence[Line]) -> str:
    """Return a figure as SVG that stands alone: both axes logarithmic, a line a kind of pods."""
    with style.style():
        figure = style.canvas(True, 330)
        axes = style.place(figure, 62, 44, 676, 230)
        items = []
        for colour, marker, line in zip(style.SERIES, "osD^vP", lines, strict=False):
            axes.plot(list(line.points), list(line.points.values()), color=colour, marker=marker, markersize=5)
            items.append((colour, line.words))
        axes.set_xscale("log")
        axes.set_yscale("log")
        ticks = sorted({x for line in lines for x in line.points})
        values = [value for line in lines for value in line.points.values()]
        axes.set_ylim(*_decades(values))
        for axis, at in ((axes.xaxis, ticks), (axes.yaxis, _rounds(*axes.get_ylim()))):
            axis.set_major_locator(FixedLocator(at))
            axis.set_minor_locator(NullLocator())
            axis.set_major_formatter(lambda value, _: style.short(value))
        axes.set_xlabel(sweep.x)
        figure.text(62 / 760, 1 - 36 / 330, "pods/s", fontsize=10, color=style.MUTED, va="baseline")
        style.legend_line(figure, items, 62, 4)
        svg = style.to_svg(figure, sweep.name)
    return style.with_title(svg, sweep.title)


def _decades(values: Iterable[float]) -> tuple[float, float]:
    """Return limits that leave some room on both sides."""
    known = list(values)
    return min(known) / 1.6, max(known) * 1.6


def _rounds(low: float, high: float) -> list[float]:
    """Return 1, 2 and 5 times powers of ten between two numbers."""
    every = [step * 10.0**power for power in range(-1, 10) for step in (1, 2, 5)]
    return [value for value in every if low <= value <= high]


def tables(sweep: Sweep, lines: Sequence[Line]) -> list[str]:
    """Return the figure's numbers as a table: a row a kind of pods, a column an x."""
    every = sorted({x for line in lines for x in line.points})
    rows = [[line.words, *(number(line.points.get(x)) for x in every)] for line in lines]
    return markdown(("pods/s", *(f"{x:,}" for x in every)), rows)


def stages(name: str = "replay-like-jobs") -> list[str]:
    """Return where the time of a whole command goes, as a table."""
    work = job(next(row for row in WORKLOADS if row.name == name))
    work.once()
    work.once()
    work.finish()
    known = {words: seconds for words, seconds in work.figures().items() if words.startswith("stage_")}
    whole = work.figures()["seconds"]
    rows = [
        [words.removeprefix("stage_").replace("_", " "), number(seconds), f"{seconds / whole:.0%}"]
        for words, seconds in known.items()
    ]
    rest = whole - sum(known.values())
    rows.append(["the rest: start, writing, report", number(rest), f"{rest / whole:.0%}"])
    return markdown(("stage", "seconds", "share"), [*rows, ["the whole command", number(whole), "100%"]])


def floors(found: floor.Floor, reached: float) -> list[str]:
    """Return what the machine allows beside what was reached at 5,000 nodes and 20 templates, as lines of the page."""
    rows = [
        ["all 5,000 nodes, for every pod", number(found.pods_per_second(5_000))],
        ["one changed node for each of 20 templates", number(found.pods_per_second(20))],
        ["one node", number(found.pods_per_second(1))],
    ]
    return [
        f"One core reads {found.far / 1e9:.1f} GB/s from memory and {found.near / 1e9:.1f} GB/s from cache, and makes "
        f"{found.divisions / 1e9:.2f} thousand million divisions a second. Scoring a node for cpu and memory reads "
        f"{floor.BYTES} bytes and divides {floor.DIVISIONS} times. If a pod cost only that, a core would place:",
        "",
        *markdown(("each pod looks at", "pods/s at most"), rows),
        "",
        f"Reached at 5,000 nodes with 20 templates: {number(reached)} pods/s, queue, books and ledger included.",
    ]


def fill(page: str, lines: Sequence[str]) -> str:
    """Return the page with what stands between its marks replaced. Raises ValueError where a mark is missing."""
    head, begin, rest = page.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page lacks {BEGIN} and {END}")
    return head + BEGIN + "\n\n" + "\n".join(lines) + "\n\n" + END + tail


def main() -> None:
    """Measure, draw, and fill the page."""
    FIGURES.mkdir(exist_ok=True)
    lines = [f"Measured on {os.cpu_count()} cores ({platform.machine()}), Python {platform.python_version()}, the best "
             "of five runs, code compiled before."]  # fmt: skip
    reached = 0.0
    for sweep in SWEEPS:
        found = measure(sweep)
        (FIGURES / f"cost-{sweep.name}.svg").write_text(draw(sweep, found))
        lines += ["", f"## Against {sweep.x}", "", f"![{sweep.title}](figures/cost-{sweep.name}.svg)", ""]
        lines += tables(sweep, found)
        if sweep.name == "classes":
            reached = found[0].points[20]
    lines += ["", "## Where the time goes", "", "A made job list of 200,000 pods on 4,000 nodes, report included:", ""]
    lines += [*stages(), "", "## The floor", "", *floors(floor.measure(), reached)]
    PAGE.write_text(fill(PAGE.read_text(), lines))
    print(f"{PAGE}: filled")


if __name__ == "__main__":
    main()
