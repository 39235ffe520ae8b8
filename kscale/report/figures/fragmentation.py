"""GPU fragmentation: used, idle and usable, idle but of no use to a typical pod."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure as Drawing

from kscale.report import style, text
from kscale.report.figures import Figure
from kscale.report.summary import Summary
from kscale.report.tables import Table, spaced

_FRAGMENT = "#e8a33d"


def _finding(summary: Summary) -> str | None:
    gpu = summary.supply.gpu
    if gpu is None or not summary.arrived or gpu.height < 2 or gpu["fragmented"].null_count() == gpu.height:
        return None
    numbers = summary.headline
    frag, of_idle = numbers["fragmented_gpu_percent"], numbers["fragmented_idle_gpu_percent"]
    used = numbers["end_gpu_percent"]
    if summary.inflate:
        return (
            f"{text.percent(used)} of the GPUs are in use at the end; {text.percent(frag)} are idle fragments, "
            f"{text.percent(of_idle)} of all that is idle"
        )
    worst = numbers["fragmented_gpu_peak_percent"]
    return f"At most {text.percent(worst)} of the GPU share was fragmented, {text.percent(frag)} at the end"


def _reading(summary: Summary) -> str:
    axis = (
        "To the right pods arrive and ask for more and more GPUs; the dashed line is what a cluster without any loss "
        "would hand out. The first pods are refused about where the pale part is used up."
        if summary.supply.axis.kind == "gpu"
        else "Time runs to the right."
    )
    return (
        "The stack is all GPU share of the cluster: blue is in use, orange is idle but of no use to a typical pod of "
        "this trace (too small a rest on its device, or too little CPU beside it), pale is idle and usable. "
        f"{axis}"
    )


def _draw(summary: Summary, wide: bool) -> Drawing:
    gpu, axis = summary.supply.gpu, summary.supply.axis
    assert gpu is not None
    top = 44 if wide else 60
    figure = style.canvas(wide, top + 290)
    items = [(style.LIGHT, "in use"), (_FRAGMENT, "idle, fragmented"), (style.PALE, "idle, usable")]
    if axis.kind == "gpu":
        items.append((style.INK, "dashed: no loss"))
    style.legend_line(figure, items, 8, 4)
    axes = style.place(figure, 50, top, style.width(wide) - 66, 245)
    x, used, idle = (gpu[c].to_numpy() for c in ("x", "used", "idle"))
    fragmented = np.nan_to_num(gpu["fragmented"].to_numpy())
    total = np.maximum(used + idle, 1)
    a, b = 100 * used / total, 100 * (used + fragmented) / total
    axes.fill_between(x, 0, a, color=style.LIGHT, linewidth=0)
    axes.plot(x, a, color=style.BLUE, linewidth=1.4)
    axes.fill_between(x, a, b, color=_FRAGMENT, linewidth=0)
    axes.fill_between(x, b, 100, color=style.PALE, linewidth=0)
    style.percent_axis(axes, 100)
    style.run_axis(axes, axis, float(x[0]), float(x[-1]), wide)
    axes.set_ylabel("GPU share of the cluster")
    if axis.kind == "gpu":
        end = min(100.0, float(x[-1]))
        axes.plot([0, end], [0, end], color=style.INK, linewidth=1.2, dashes=(4, 3))
    refused = summary.supply.refused_at
    if refused is not None and axis.kind == "gpu":
        axes.axvline(refused, color=style.INK, linewidth=1)
        label = f"first refusal at {text.percent(round(refused, 1))}"
        late = refused > 0.7 * float(x[-1])
        axes.annotate(
            label, (refused, 100), (4 if late else -4, 5), textcoords="offset points",
            ha="right" if late else "left", fontsize=10, color=style.INK,
        )  # fmt: skip
    return figure


def _table(summary: Summary) -> Table:
    gpu, kind = summary.supply.gpu, summary.supply.axis.kind
    assert gpu is not None
    rows = []
    for k in spaced(gpu.height, 25):
        row = gpu.row(k, named=True)
        total = (row["used"] + row["idle"]) or 1
        frag = row["fragmented"]
        shares = [f"{100 * row['used'] / total:.2f} %", f"{100 * row['idle'] / total:.2f} %"]
        loss = "–" if frag is None else f"{100 * frag / total:.2f} %"
        rate = f"{100 * frag / row['idle']:.2f} %" if frag is not None and row["idle"] else "–"
        rows.append((text.place_on(kind, row["x"]), *shares, loss, rate))
    first = "GPUs asked for" if kind == "gpu" else "time"
    note = "Shares of all GPUs; every sample, unrounded, is in timeline.parquet."
    return Table((first, "in use", "idle", "fragmented", "fragmented, of idle"), rows, (0, 1, 2, 3, 4), note)


FIGURE = Figure("fragmentation", 12, "GPU fragmentation", _finding, _reading, _draw, _table)
