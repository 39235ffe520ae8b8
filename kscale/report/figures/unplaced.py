"""Why not placed: the kinds of pods that never found a node, and the nearest thing to a fit."""

from __future__ import annotations

import textwrap

from matplotlib.figure import Figure as Drawing

from kscale.report import style, text
from kscale.report.figures import Figure
from kscale.report.summary import Summary
from kscale.report.tables import Table

BARS = 8


def _finding(summary: Summary) -> str | None:
    left = summary.unplaced
    if not left.pods:
        return None
    reason, pods = left.reasons[0]
    return (
        f"{text.plural(left.pods, 'pod')} of {text.plural(left.templates, 'kind')} never found a node; "
        f"{text.percent(100 * pods / left.pods)} of them for: {text.clean(reason, 90)}"
    )


def _reading(summary: Summary) -> str:
    hours = "" if summary.inflate else " Pod-hours are the time that they waited in all, until the run ended."
    return (
        "One bar per kind of pod (pods that ask for the same), with how many never found a node, and below it the "
        "reason in kube-scheduler's own words. The table names the node that came nearest and what it lacks."
        f"{hours}"
    )


def _draw(summary: Summary, wide: bool) -> Drawing:
    rows = summary.unplaced.rows.head(BARS)
    each, w = 60 if wide else 76, style.width(wide)
    figure = style.canvas(wide, each * rows.height + 52)
    axes = style.place(figure, 12, 6, w - 94, each * rows.height + 4)
    axes.grid(axis="y", visible=False)
    axes.grid(axis="x", color=style.GRID, linewidth=0.8)
    axes.set_ylim(rows.height, -0.1)
    axes.set_yticks([])
    style.count_axis(axes, float(rows["unplaced"].max() or 1), "x")  # type: ignore[arg-type]
    axes.set_xlabel("pods never placed")
    for k, row in enumerate(rows.iter_rows(named=True)):
        middle = k + 30 / each
        axes.barh(middle, row["unplaced"], height=12 / each, color=style.RED if row["oversized"] else style.BLUE)
        axes.text(0, k + 18 / each, style.words(row["spec"], 100 if wide else 46), fontsize=10.5, va="baseline")
        why = f"{'More than any node has: ' if row['oversized'] else ''}{style.words(row['plain'], 240)}"
        lines = textwrap.wrap(why, 112 if wide else 50, max_lines=1 if wide else 2, placeholder=" …")
        for n, line in enumerate(lines):
            axes.text(0, k + (50 + 14 * n) / each, line, fontsize=9.5, color=style.MUTED, va="baseline")
        label = text.number(row["unplaced"])
        axes.annotate(label, (row["unplaced"], middle), (6, 0), textcoords="offset points", va="center", fontsize=10.5)
    return figure


def _table(summary: Summary) -> Table:
    left = summary.unplaced
    rows = [
        (
            row["spec"],
            text.number(row["unplaced"]),
            text.number(row["pods"]),
            "–" if summary.inflate else text.number(float(f"{row['pod_hours']:.3g}")),
            row["reason"],
            row["sample"] or "–",
            f"{row['nearest_node']} lacks {row['nearest_lacks']}" if row["nearest_node"] else "–",
        )
        for row in left.rows.iter_rows(named=True)
    ]
    columns = ("what its pods ask for", "never placed", "of", "pod-hours", "reason", "a pod of it", "nearest to a fit")
    note = f"{len(rows)} of {left.templates} kinds; all are in templates.parquet." if left.templates > len(rows) else ""
    return Table(columns, rows, (1, 2, 3), note)


FIGURE = Figure("unplaced", 7, "Why not placed", _finding, _reading, _draw, _table)
