"""Figures of ``kscale trace info --out`` in the report's style: arrivals, requests, durations, the load on nodes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from kscale.cli.files import write
from kscale.engine.runfolder import machine_errors
from kscale.errors import InputError
from kscale.report import style, text
from kscale.report.supply import AXES
from kscale.traces.common.digest import Digest
from kscale.traces.common.info import asked, load, offered_of

Numbers = np.ndarray[Any, Any]
#: Steps of a line: more are not seen.
_POINTS = 400
_PANELS = 6
_HIGH, _GAP, _TOP, _LEFT = 150, 88, 36, 62
#: How the report calls the resources of a trace.
_KEYS = {
    "cpu_milli": "cpu", "memory_bytes": "memory", "ephemeral_storage_bytes": "ephemeral_storage", "gpu_milli": "GPU",
}  # fmt: skip


#: By amount: how its axis is marked, what a unit of the axis is, and its name.
_SCALES = {
    "cpu_milli": ("count", 1000.0, "cores"), "memory_bytes": ("bytes", 1.0, "bytes"),
    "ephemeral_storage_bytes": ("bytes", 1.0, "bytes"), "gpu_milli": ("count", 1000.0, "GPUs"),
}  # fmt: skip
#: Marks on an axis of durations, in microseconds.
_SECOND = 1e6
_TIMES = [1.0, 1e3, *(_SECOND * s for s in (1, 10, 60, 600, 3600, 21_600, 86_400, 864_000, 8_640_000, 86_400_000))]


def write_figures(out: Path, digest: Digest, nodes: pl.DataFrame | None) -> list[Path]:
    """Write the figures that the trace has something for to the folder ``out``; return their names.

    Raises InputError where the name is taken by a file, MachineError where it cannot be written.
    """
    if out.exists() and not out.is_dir():
        raise InputError("is a file", file=out, field="--out", expected="a folder, or a new name")
    with machine_errors(out, writing=True):
        out.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, svg in figures(digest, nodes).items():
        paths.append(out / f"{name}.svg")
        write(paths[-1], svg)
    return paths


def figures(digest: Digest, nodes: pl.DataFrame | None = None) -> dict[str, str]:
    """Return every figure as an SVG that stands alone, by name."""
    drawn: list[tuple[str, str, Callable[[], Figure]]] = []
    if digest.timed and digest.pods:
        span = text.duration(digest.last_us - digest.first_us)
        title = f"Arrivals: {text.plural(digest.pods, 'pod')} over {span}"
        drawn.append(("arrivals", title, lambda: _arrivals(digest)))
    names = [name for name in digest.names if len(asked(digest, name)[0])][:_PANELS]
    if names:
        title = f"Requests: share of pods that ask for no more; {text.plural(len(digest.pods_of), 'distinct spec')}"
        drawn.append(("requests", title, lambda: _requests(digest, names)))
    if digest.timed and digest.durations.count:
        title = f"Durations: share of {text.plural(digest.durations.count, 'pod')} that run no longer"
        title += f"; {text.number(digest.never_end)} never end" if digest.never_end else ""
        drawn.append(("durations", title, lambda: _durations(digest)))
    if nodes is not None and digest.timed and names:
        offered = [name for name in names if offered_of(nodes, name)]
        title = f"Load on {text.plural(nodes.height, 'node')} if no pod waited"
        drawn.append(("load", title, lambda: _load(digest, nodes, offered)))
    with style.style():
        return {name: style.with_title(style.to_svg(draw(), name), title) for name, title, draw in drawn}


def _panels(count: int) -> tuple[Figure, list[Axes]]:
    """Return a drawing with so many panels, two in a row."""
    columns = min(count, 2)
    rows = -(-count // columns)
    figure = style.canvas(True, _TOP + rows * (_HIGH + _GAP) - 24)
    wide = style.width(True) / columns
    places = [divmod(k, columns) for k in range(count)]
    return figure, [
        style.place(figure, column * wide + _LEFT, _TOP + row * (_HIGH + _GAP), wide - _LEFT - 22, _HIGH)
        for row, column in places
    ]


def _head(axes: Axes, words: str, detail: str = "") -> None:
    """Write what a panel shows above it."""
    for line, y, weight, colour in ((words, 24, "bold", style.INK), (detail, 11, "normal", style.MUTED)):
        axes.annotate(
            line, (0, 1), (-_LEFT + 12, y), xycoords="axes fraction", textcoords="offset points", fontsize=10,
            weight=weight, color=colour,
        )  # fmt: skip


def _amount(value: float, name: str) -> str:
    if name == "gpu_milli":
        return text.plural(value / 1000, "GPU") if value % 1000 == 0 else f"{value / 1000:g} GPU"
    return text.amount(value, _KEYS.get(name, "pods"))


def _label(name: str) -> str:
    return text.clean(text.capital(text.label(_KEYS[name]) if name in _KEYS else name.removeprefix("resource.")), 40)


def _thin(values: Numbers, how: Any) -> Numbers:
    """Merge neighbours so that at most _POINTS are left."""
    each = -(-len(values) // _POINTS)
    found: Numbers = how.reduceat(values, np.arange(0, len(values), each))
    return found


def _arrivals(digest: Digest) -> Figure:
    """Draw pods, and the cpu and GPUs that they ask for, per part of time."""
    times, sums = digest.arrivals, digest.arrivals.sums
    rows = [(0, "pods")]
    rows += [(1 + digest.names.index(name), name) for name in ("cpu_milli", "gpu_milli")]
    rows = [(row, name) for row, name in rows if row == 0 or sums[row].any()]
    each = -(-sums.shape[1] // _POINTS)
    width = each * times.width
    edges = (times.first + each * np.arange(-(-sums.shape[1] // each) + 1)) * times.width
    figure = style.canvas(True, _TOP + len(rows) * (_HIGH + _GAP) - 24)
    for k, (row, name) in enumerate(rows):
        axes = style.place(figure, _LEFT, _TOP + k * (_HIGH + _GAP), style.width(True) - _LEFT - 22, _HIGH)
        unit = 1.0 if name == "pods" else 1000.0
        values = _thin(sums[row], np.add) / unit
        axes.stairs(values, edges, fill=True, color=style.LIGHT, linewidth=0)
        axes.stairs(values, edges, color=style.BLUE, linewidth=1.0, baseline=None)
        style.count_axis(axes, float(values.max()) * 1.06)
        style.run_axis(axes, AXES["time"], float(edges[0]), float(edges[-1]), True, label=False)
        what = {"pods": "Pods", "cpu_milli": "Cores asked for", "gpu_milli": "GPUs asked for"}[name]
        _head(axes, f"{what} that arrive", f"in each {text.duration(width)}, at most {style.short(values.max())}")
        axes.set_xlabel("time since the start of the trace")
    return figure


def _marks(low: float, high: float, kind: str) -> list[float]:
    """Return round places on a logarithmic axis: six, or nine of ``time``, whose axis is wider; at most.

    ``kind`` may also be ``bytes`` or ``count``.
    """
    if kind == "time":
        candidates = _TIMES
    elif kind == "bytes":
        candidates = [2.0**power for power in range(63)]
    else:
        powers = [10.0**power for power in range(-3, 19)]
        few = high / low < 300
        candidates = [factor * power for power in powers for factor in ((1, 2, 5) if few else (1,))]
    found = [value for value in candidates if low <= value <= high]
    return found[:: max(-(-len(found) // (9 if kind == "time" else 6)), 1)]


def _steps(axes: Axes, values: Numbers, shares: Numbers, kind: str, told: Callable[[float], str]) -> None:
    """Draw which share of the pods is no larger than a value, on a logarithmic axis, with its median and 99 %."""
    if len(values) > _POINTS * 4:
        kept = np.unique(np.searchsorted(shares, np.linspace(0, 1, _POINTS * 4)).clip(0, len(values) - 1))
        values, shares = values[kept], shares[kept]
    low, high = float(values[0]), float(values[-1])
    pad = max((high / low) ** 0.04, 1.3)
    axes.set_xscale("log")
    axes.set_xlim(low / pad, high * pad)
    x = np.concatenate([[low / pad], values, [high * pad]])
    y = 100 * np.concatenate([[0.0], shares, [1.0]])
    axes.step(x, y, where="post", color=style.BLUE, linewidth=1.6)
    style.percent_axis(axes, 100.0, steps=(25,))
    axes.set_ylim(0, 104)
    axes.xaxis.set_minor_locator(NullLocator())
    ticks = _marks(low / pad, high * pad, kind)
    axes.set_xticks(ticks, [told(tick) for tick in ticks])
    for share in (0.5, 0.99):
        at = float(values[np.searchsorted(shares, share).clip(0, len(values) - 1)])
        axes.plot([at], [100 * share], marker="o", markersize=4.5, color=style.ORANGE, markeredgecolor=style.PAPER)


def _requests(digest: Digest, names: list[str]) -> Figure:
    figure, panels = _panels(len(names))
    for axes, name in zip(panels, names, strict=True):
        amounts, pods = asked(digest, name)
        kind, unit, label = _SCALES.get(name, ("count", 1.0, "units"))
        values, shares = amounts / unit, pods / pods[-1]

        def told(value: float, kind: str = kind, name: str = name) -> str:
            return text.amount(value, _KEYS[name]) if kind == "bytes" else f"{value:g}"

        _steps(axes, values, shares, kind, told)
        half, most = (
            _amount(float(amounts[np.searchsorted(shares, share).clip(0, len(amounts) - 1)]), name)
            for share in (0.5, 0.99)
        )
        _head(axes, _label(name), f"half ask for at most {half}, 99 % for {most}")
        some = "" if pods[-1] == digest.pods else f", of the {text.plural(int(pods[-1]), 'pod')} that ask for some"
        axes.set_xlabel(f"{label} a pod{some}")
    return figure


def _durations(digest: Digest) -> Figure:
    values, shares = digest.durations.curve()
    figure = style.canvas(True, _TOP + _HIGH + _GAP)
    axes = style.place(figure, _LEFT, _TOP, style.width(True) - _LEFT - 22, _HIGH + 20)
    # A logarithmic axis has no 0: what ends at once stands at a microsecond.
    values = np.maximum(values, 1).astype(np.float64)
    _steps(axes, values, shares, "time", text.duration)
    found = [text.duration(value) for value in digest.durations.quantiles((0.5, 0.99))]
    _head(axes, "How long pods run", f"half at most {found[0]}, 99 % at most {found[1]}")
    axes.set_xlabel("from start to end")
    return figure


def _load(digest: Digest, nodes: pl.DataFrame, names: list[str]) -> Figure:
    """Draw what running pods hold over time, in percent of what all nodes offer."""
    held, times = digest.standing()
    peaks = {row["resource"]: row for row in load(digest, nodes).iter_rows(named=True)}
    figure = style.canvas(True, _TOP + len(names) * (_HIGH + _GAP) - 24)
    each = -(-len(times) // _POINTS)
    at = times[np.minimum(np.arange(0, len(times), each) + each - 1, len(times) - 1)].astype(np.float64)
    for k, name in enumerate(names):
        axes = style.place(figure, _LEFT, _TOP + k * (_HIGH + _GAP), style.width(True) - _LEFT - 22, _HIGH)
        capacity = offered_of(nodes, name)
        share = 100 * _thin(held[1 + digest.names.index(name)], np.maximum) / capacity
        begin = float(digest.first_us)
        x, y = np.concatenate([[begin], at]), np.concatenate([[0.0], share])
        axes.fill_between(x, 0, y, color=style.LIGHT, linewidth=0)
        axes.plot(x, y, color=style.BLUE, linewidth=1.4)
        axes.axhline(100, color=style.INK, linewidth=1.2)
        top = max(104.0, 1.04 * float(y.max()))
        style.percent_axis(axes, top if top < 500 else style.nice(top))
        style.run_axis(axes, AXES["time"], begin, float(x[-1]), True, label=False)
        row = peaks[name]
        peak, mean = text.percent(100 * row["peak_share"]), row["mean_share"]
        more = f", mean {text.percent(100 * mean)}" if mean is not None else ""
        _head(axes, _label(name), f"peak {peak}{more} of {_amount(capacity, name)}")
        axes.set_xlabel("time since the start of the trace")
    return figure
