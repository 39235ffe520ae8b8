"""The folder that ``kscale proxy curve --out`` writes: the table, the parameters, and figures in the report's style."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from kscale.engine.runfolder import machine_errors
from kscale.errors import InputError
from kscale.report import style

#: A mode has a colour, and each of its variants a line.
_COLOURS = (style.BLUE, style.GREEN, style.ORANGE, style.PURPLE, style.SKY, style.RED)
_LINES: tuple[Any, ...] = ("solid", (0, (5, 2)), (0, (1.2, 1.6)), (0, (6, 1.6, 1.2, 1.6)))
#: An axis with fewer powers of ten begins at one more.
_FEW_POWERS = 3
_HIGH, _LEGEND_ROW, _PANEL = 300, 17, 340


def write(out: Path, frame: pl.DataFrame, parameters: str, advice: str = "", now: int = 0) -> None:
    """Write the folder ``out``; files of the same names are replaced, each when it is whole.

    ``advice`` is written beside the table, where there is one; ``now`` is a number of Services that figures mark.
    Raises InputError where the name is taken by a file, MachineError where it cannot be written.
    """
    if out.exists() and not out.is_dir():
        raise InputError("is a file", file=out, field="--out", expected="a folder, or a new name")
    with machine_errors(out, writing=True):
        out.mkdir(parents=True, exist_ok=True)
        aside = out / f".partial-{os.getpid()}"
        aside.mkdir()
        try:
            frame.write_csv(aside / "curve.csv")
            frame.write_parquet(aside / "curve.parquet")
            (aside / "parameters.json").write_text(parameters, encoding="utf-8")
            if advice:
                (aside / "advice.json").write_text(advice, encoding="utf-8")
            for name, svg in figures(frame, now).items():
                (aside / f"{name}.svg").write_text(svg, encoding="utf-8")
            for path in sorted(aside.iterdir()):
                path.replace(out / path.name)
        finally:
            shutil.rmtree(aside, ignore_errors=True)


def figures(frame: pl.DataFrame, now: int = 0) -> dict[str, str]:
    """Return every figure as an SVG that stands alone, by name: for the first number of endpoints.

    ``now`` is a number of Services that is marked; 0 marks none.
    """
    endpoints = float(frame["endpoints"][0])
    frame = frame.filter(pl.col("endpoints") == endpoints)
    of = f"{round(endpoints, 1):,g} endpoint{'' if endpoints == 1 else 's'} each"
    found, looks = {}, _looks(frame)
    with style.style():
        for name, title, draw, columns in (
            ("first-packet", "First packets: median, and 1 to 99 of 100", _packets, ("first_us_p01", "first_us_p99")),
            ("syncs", "CPU time of syncs", _syncs, ("full_sync_s", "change_sync_s")),
            ("cores", "CPU of a node at the rates given", _cores, ("cores", "cores_sync")),
            ("memory", "Memory", _memory, ("kernel_bytes", "client_peak_bytes")),
        ):
            title = f"{title}; {of}"
            figure = draw(frame, _telling(frame, looks, columns))
            for axes in figure.axes if now else ():
                _mark(axes, now)
            found[name] = style.with_title(style.to_svg(figure, name), title)
    return found


def overview(frame: pl.DataFrame) -> str:
    """Return one figure of what Services cost as an SVG: first packets, and to write everything.

    ``frame`` has one number of endpoints, and one variant of each mode.
    """
    looks = _looks(frame)
    with style.style():
        figure, (left, right) = _sheet(looks, 2)
        _bands(left, frame, looks)
        _scales(left, "first packet: median, and 1 to 99 of 100", lambda value: _seconds(value * 1e-6))
        _lines(right, frame, "full_sync_s", looks, "s")
        right.texts[0].set_text("to write everything, CPU")
        return style.with_title(style.to_svg(figure, "proxy-curve"), "What Services cost in each mode of kube-proxy")


def _looks(frame: pl.DataFrame) -> dict[str, tuple[str, Any]]:
    """Return colour and line of each variant."""
    looks, seen = {}, dict.fromkeys(frame["mode"], 0)
    colours = dict(zip(seen, _COLOURS * (1 + len(seen) // len(_COLOURS)), strict=False))
    for variant, mode in frame.select("variant", "mode").unique(maintain_order=True).iter_rows():
        looks[variant] = (colours[mode], _LINES[seen[mode] % len(_LINES)])
        seen[mode] += 1
    return looks


def _telling(
    frame: pl.DataFrame, looks: dict[str, tuple[str, Any]], columns: Sequence[str]
) -> dict[str, tuple[str, Any]]:
    """Return the looks of variants that differ: an option that has no part in what is drawn would hide its like."""
    values = {name: frame.filter(pl.col("variant") == name).select(columns) for name in looks}
    told: dict[str, tuple[str, Any]] = {}
    for name, look in looks.items():
        if not any(looks[other][0] == look[0] and values[other].equals(values[name]) for other in told):
            told[name] = look
    return told


def _sheet(looks: dict[str, tuple[str, Any]], panels: int) -> tuple[Figure, list[Axes]]:
    """Return a drawing with panels side by side above a legend of the variants."""
    rows = -(-len(looks) // 4)
    figure = style.canvas(True, _HIGH + 46 + _LEGEND_ROW * rows)
    w, h = figure.get_size_inches() * 72
    wide = (w - 70) if panels == 1 else _PANEL - 40
    axes = [style.place(figure, 56 + k * (_PANEL + 30), 14, wide, _HIGH - 14) for k in range(panels)]
    handles = [Line2D([], [], color=colour, linestyle=line, label=name) for name, (colour, line) in looks.items()]
    figure.legend(
        handles=handles, loc="lower left", bbox_to_anchor=(0.05, 2 / h), ncols=4, frameon=False, fontsize=9.5,
        labelcolor=style.MUTED, handlelength=2.6, borderaxespad=0, labelspacing=0.35,
    )  # fmt: skip
    return figure, axes


def _lines(axes: Axes, frame: pl.DataFrame, column: str, looks: dict[str, tuple[str, Any]], unit: str) -> None:
    for variant, (colour, line) in looks.items():
        rows = frame.filter(pl.col("variant") == variant)
        axes.plot(rows["services"], rows[column], color=colour, linestyle=line, label=variant)
    _scales(axes, unit, _seconds if unit == "s" else style.short)


def _scales(axes: Axes, label: str, write: Callable[[float], str]) -> None:
    """Give axes log scales with plain numbers."""
    axes.set_xscale("log")
    axes.set_yscale("log")
    low, high = np.log10(axes.get_ylim())
    if np.floor(high) - np.ceil(low) + 1 < _FEW_POWERS:
        axes.set_ylim(bottom=10 ** np.floor(low))
    axes.set_xlabel("service ports")
    axes.text(0, 1.01, label, transform=axes.transAxes, fontsize=10, color=style.MUTED, va="bottom")
    for axis, form in ((axes.xaxis, style.short), (axes.yaxis, write)):
        axis.set_major_locator(LogLocator(10, numticks=12))
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(FuncFormatter(_formatter(form)))


def _mark(axes: Axes, now: int) -> None:
    """Draw where a cluster is today; its Services may have several ports."""
    axes.set_xlabel("Services")
    axes.axvline(now, color=style.MUTED, linewidth=1, linestyle=(0, (2, 2)), zorder=1)
    left = np.log10(now) < np.log10(axes.get_xlim()).mean()
    axes.annotate(
        f"{now:,} now", (now, 1), xycoords=("data", "axes fraction"), xytext=(4 if left else -4, -2),
        textcoords="offset points", ha="left" if left else "right", va="top", fontsize=9.5, color=style.MUTED,
    )  # fmt: skip


def _formatter(form: Callable[[float], str]) -> Callable[[float, int], str]:
    return lambda value, _: form(value)


def _seconds(value: float) -> str:
    """Return seconds in the unit that suits them."""
    for size, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "us")):
        if value >= size * (1 - 1e-9):
            return f"{style.short(value / size)} {unit}"
    return f"{value:g} s"


def _packets(frame: pl.DataFrame, looks: dict[str, tuple[str, Any]]) -> Figure:
    figure, (axes,) = _sheet(looks, 1)
    _bands(axes, frame, looks)
    _scales(axes, "time, one way", lambda value: _seconds(value * 1e-6))
    return figure


def _bands(axes: Axes, frame: pl.DataFrame, looks: dict[str, tuple[str, Any]]) -> None:
    """Draw the first packet's median of every variant, and the band around that of each mode."""
    for variant in _usual(looks):
        rows = frame.filter(pl.col("variant") == variant)
        axes.fill_between(
            rows["services"], rows["first_us_p01"], rows["first_us_p99"], color=looks[variant][0], alpha=0.13
        )
    for variant, (colour, line) in looks.items():
        rows = frame.filter(pl.col("variant") == variant)
        axes.plot(rows["services"], rows["first_us_p50"], color=colour, linestyle=line)


def _usual(looks: dict[str, tuple[str, Any]]) -> Sequence[str]:
    """Return the first variant of each mode: a band for every one would hide them all."""
    return list({colour: name for name, (colour, _) in reversed(looks.items())}.values())


def _syncs(frame: pl.DataFrame, looks: dict[str, tuple[str, Any]]) -> Figure:
    figure, (left, right) = _sheet(looks, 2)
    _lines(left, frame, "full_sync_s", looks, "s")
    _lines(right, frame, "change_sync_s", looks, "s")
    for axes, words in ((left, "to write everything"), (right, "to write one change")):
        axes.texts[0].set_text(words)
    low = min(axes.get_ylim()[0] for axes in (left, right))
    high = max(axes.get_ylim()[1] for axes in (left, right))
    for axes in (left, right):
        axes.set_ylim(low, high)
    return figure


def _cores(frame: pl.DataFrame, looks: dict[str, tuple[str, Any]]) -> Figure:
    figure, (left, right) = _sheet(looks, 2)
    packets = frame.with_columns(packets=pl.col("cores_first") + pl.col("cores_later"))
    syncs = frame.with_columns(syncs=pl.col("cores_sync") + pl.col("cores_periodic"))
    _lines(left, packets, "packets", looks, "for packets, cores")
    _lines(right, syncs, "syncs", looks, "for syncs, cores")
    return figure


def _memory(frame: pl.DataFrame, looks: dict[str, tuple[str, Any]]) -> Figure:
    figure, (left, right) = _sheet(looks, 2)
    _lines(left, frame, "kernel_bytes", looks, "")
    _lines(right, frame, "client_peak_bytes", looks, "")
    for axes, words in (
        (left, "in the kernel, bytes"),
        (right, "of the program that writes there, at its peak, bytes"),
    ):
        axes.texts[0].set_text(words)
    return figure
