"""How the nodes were filled: nodes by their fullest resource, and those that no pod ever used."""

from __future__ import annotations

from matplotlib.figure import Figure as Drawing

from kscale.report import style, text
from kscale.report.figures import Figure
from kscale.report.summary import Summary
from kscale.report.tables import Table


def _finding(summary: Summary) -> str | None:
    pools = summary.pools
    if not pools.nodes or not summary.arrived:
        return None
    never = pools.nodes - pools.nodes_used
    if never:
        return f"{text.number(never)} of {text.plural(pools.nodes, 'node')} never held a pod"
    if summary.inflate:
        return f"All {text.plural(pools.nodes, 'node')} held pods at the end"
    idle = text.percent(pools.idle_percent)
    return f"All {text.plural(pools.nodes, 'node')} were used; they stood idle {idle} of the time"


def _reading(summary: Summary) -> str:
    when = "at the end of the run" if summary.inflate else "on average over the run"
    return (
        f"Each bar counts the nodes whose fullest resource was that full {when}. Bars on the right are nodes in good "
        "use; the grey bar on the left are nodes that no pod was ever placed on, the first that could be given back."
    )


def _draw(summary: Summary, wide: bool) -> Drawing:
    fill = dict(summary.pools.fill.select("from", "nodes").iter_rows())
    figure = style.canvas(wide, 250)
    axes = style.place(figure, 50, 24, style.width(wide) - 66, 175)
    most = max(fill.values(), default=1)
    for k in range(11):
        low = -1 if k == 0 else (k - 1) * 10
        nodes = fill.get(low, 0)
        axes.bar(k, nodes, width=0.82, color=style.GREY if k == 0 else style.BLUE)
        if nodes:
            axes.annotate(style.short(nodes), (k, nodes), (0, 3), textcoords="offset points", ha="center", fontsize=9.5)
    style.count_axis(axes, most * 1.05)
    labels = ["none"] + [f"{10 * k}–{10 * k + 10}" if wide else f"{10 * k}" for k in range(10)]
    axes.set_xticks(range(11), labels)
    axes.set_xlim(-0.6, 10.6)
    when = "end" if summary.inflate else "mean"
    axes.set_xlabel(f"fullest resource, % requested ({when})" if wide else f"fullest resource, from % ({when})")
    axes.set_ylabel("nodes")
    return figure


def _table(summary: Summary) -> Table:
    total = summary.pools.nodes
    rows = [
        (
            "no pod ever" if low < 0 else f"{low} to {low + 10} %",
            text.number(nodes),
            text.percent(float(f"{100 * nodes / total:.3g}")),
        )
        for low, nodes in summary.pools.fill.select("from", "nodes").iter_rows()
    ]
    return Table(("fullest resource", "nodes", "of all"), rows, (1, 2), "Each node is in nodes.parquet.")


FIGURE = Figure("nodes", 13, "How the nodes were filled", _finding, _reading, _draw, _table)
