"""Cost and waste: node-hours by pool, requested, free beside pods, and idle."""

from __future__ import annotations

from matplotlib.figure import Figure as Drawing

from kscale.report import style, text
from kscale.report.figures import Figure
from kscale.report.summary import Summary
from kscale.report.tables import Table

BARS = 10


def _unit(summary: Summary) -> str:
    return "nodes" if summary.inflate else "node-hours"


def _totals(summary: Summary) -> tuple[float, float, float]:
    hours = summary.pools.hours
    return float(hours["requested"].sum()), float(hours["free"].sum()), float(hours["idle"].sum())


def _finding(summary: Summary) -> str | None:
    total = sum(_totals(summary))
    if not total or not summary.arrived:
        return None
    requested, _, idle = _totals(summary)
    return (
        f"{text.percent(100 * requested / total)} of {text.number(float(f'{total:.4g}'))} {_unit(summary)} were "
        f"requested; {text.percent(100 * idle / total)} held no pod at all"
    )


def _reading(summary: Summary) -> str:
    unit = (
        "A node counts as one."
        if summary.inflate
        else "A node-hour is one node for one hour of virtual time, whether it was used or not."
    )
    return (
        f"One bar per pool of like nodes. {unit} Dark blue is the share that was requested, by the fullest resource of "
        "each node; pale blue is what was free beside pods; grey is nodes without any pod. Requests are what pods "
        "asked for, not what they really used. Prices are not known, so there is no money here."
    )


def _draw(summary: Summary, wide: bool) -> Drawing:
    rows = summary.pools.hours.head(BARS)
    each, w = 38, style.width(wide)
    top = 24
    figure = style.canvas(wide, top + each * rows.height + 50)
    style.legend_line(figure, [(style.BLUE, "requested"), (style.LIGHT, "free"), (style.GREY, "no pod")], 8, 4)
    axes = style.place(figure, 12, top, w - 38, each * rows.height + 4)
    axes.grid(axis="y", visible=False)
    axes.grid(axis="x", color=style.GRID, linewidth=0.8)
    axes.set_ylim(rows.height, -0.1)
    axes.set_yticks([])
    most = 0.0
    for k, row in enumerate(rows.iter_rows(named=True)):
        left = 0.0
        for part, colour in (("requested", style.BLUE), ("free", style.LIGHT), ("idle", style.GREY)):
            axes.barh(k + 0.68, row[part], left=left, height=0.34, color=colour)
            left += row[part]
        most = max(most, left)
        share = text.percent(float(f"{100 * row['requested'] / left:.3g}")) if left else "–"
        label = (
            f"{style.words(row['pool'], 70 if wide else 26)} · {text.plural(row['nodes'], 'node')} · {share} requested"
        )
        axes.text(0, k + 0.4, label, fontsize=10 if wide else 9.5, va="baseline")
    style.count_axis(axes, most, "x")
    axes.set_xlabel(_unit(summary))
    return figure


def _table(summary: Summary) -> Table:
    rows = []
    for row in summary.pools.hours.head(40).iter_rows(named=True):
        parts = [row["requested"], row["free"], row["idle"]]
        rows.append((row["pool"], text.number(row["nodes"]), *(text.number(float(f"{v:.4g}")) for v in parts)))
    unit = _unit(summary)
    columns = ("pool", "nodes", f"requested, {unit}", f"free, {unit}", f"without pods, {unit}")
    note = f"40 of {summary.pools.hours.height} pools." if summary.pools.hours.height > 40 else ""
    return Table(columns, rows, (1, 2, 3, 4), note)


FIGURE = Figure("cost", 14, "What it cost in nodes", _finding, _reading, _draw, _table)
