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
_HIGH, _LEGEND_ROW, _PANEL = 300, 17, 340


def write(out: Path, frame: pl.DataFrame, parameters: str) -> None:
    """Write the folder ``out``; files of the same names are replaced, each when it is whole.

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
            for name, svg in figures(frame).items():
                (aside / f"{name}.svg").write_text(svg, encoding="utf-8")
            for path in sorted(aside.iterdir()):
                path.replace(out / path.name)
        finally:
            shutil.rmtree(aside, ignore_errors=True)


def figures(frame: pl.DataFrame) -> dict[str, str]:
    """Return every figure as an SVG that stands alone, by name: for the first number of endpoints."""
    endpoints = int(frame["endpoints"][0])
    frame = frame.filter(pl.col("endpoints") == endpoints)
    of = f"{endpoints:,} endpoint{'' if endpoints == 1 else 's'} each"
    found = {}
    with style.style():
        for name, title, draw in (
            ("first-packet", f"First packet of a connection: median, and 1 to 99 of 100; Services with {of}", _packets),
            ("syncs", f"CPU time to write everything, and to write one change; Services with {of}", _syncs),
            ("cores", f"CPU of a node at the rates given; Services with {of}", _cores),
            ("memory", f"Memory in the kernel, and of kube-proxy; Services with {of}", _memory),
        ):
            found[name] = style.with_title(style.to_svg(draw(frame), name), title)
    return found


def _looks(frame: pl.DataFrame) -> dict[str, tuple[str, Any]]:
    """Return colour and line of each variant."""
    looks, seen = {}, dict.fromkeys(frame["mode"], 0)
    colours = dict(zip(seen, _COLOURS * (1 + len(seen) // len(_COLOURS)), strict=False))
    for variant, mode in frame.select("variant", "mode").unique(maintain_order=True).iter_rows():
        looks[variant] = (colours[mode], _LINES[seen[mode] % len(_LINES)])
        seen[mode] += 1
    return looks


def _sheet(frame: pl.DataFrame, panels: int) -> tuple[Figure, list[Axes], dict[str, tuple[str, Any]]]:
    """Return a drawing with panels side by side above a legend of all variants."""
    looks = _looks(frame)
    rows = -(-len(looks) // 4)
    figure = style.canvas(True, _HIGH + 56 + _LEGEND_ROW * rows)
    w, h = figure.get_size_inches() * 72
    wide = (w - 70) if panels == 1 else _PANEL - 40
    axes = [style.place(figure, 56 + k * (_PANEL + 30), 14, wide, _HIGH - 14) for k in range(panels)]
    handles = [Line2D([], [], color=colour, linestyle=line, label=name) for name, (colour, line) in looks.items()]
    figure.legend(
        handles=handles, loc="lower left", bbox_to_anchor=(0.05, 2 / h), ncols=4, frameon=False, fontsize=9.5,
        labelcolor=style.MUTED, handlelength=2.6, borderaxespad=0, labelspacing=0.35,
    )  # fmt: skip
    return figure, axes, looks


def _lines(axes: Axes, frame: pl.DataFrame, column: str, looks: dict[str, tuple[str, Any]], unit: str) -> None:
    for variant, (colour, line) in looks.items():
        rows = frame.filter(pl.col("variant") == variant)
        axes.plot(rows["services"], rows[column], color=colour, linestyle=line, label=variant)
    _scales(axes, unit, _seconds if unit == "s" else style.short)


def _scales(axes: Axes, label: str, write: Callable[[float], str]) -> None:
    """Give axes log scales with plain numbers."""
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("service ports")
    axes.text(0, 1.01, label, transform=axes.transAxes, fontsize=10, color=style.MUTED, va="bottom")
    for axis, form in ((axes.xaxis, style.short), (axes.yaxis, write)):
        axis.set_major_locator(LogLocator(10, numticks=12))
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(FuncFormatter(_formatter(form)))


def _formatter(form: Callable[[float], str]) -> Callable[[float, int], str]:
    return lambda value, _: form(value)


def _seconds(value: float) -> str:
    """Return seconds in the unit that suits them."""
    for size, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "us")):
        if value >= size * (1 - 1e-9):
            return f"{style.short(value / size)} {unit}"
    return f"{value:g} s"


def _packets(frame: pl.DataFrame) -> Figure:
    figure, (axes,), looks = _sheet(frame, 1)
    for variant in _usual(looks):
        rows = frame.filter(pl.col("variant") == variant)
        axes.fill_between(
            rows["services"], rows["first_us_p01"], rows["first_us_p99"], color=looks[variant][0], alpha=0.13
        )
    for variant, (colour, line) in looks.items():
        rows = frame.filter(pl.col("variant") == variant)
        axes.plot(rows["services"], rows["first_us_p50"], color=colour, linestyle=line)
    _scales(axes, "time, one way", lambda value: _seconds(value * 1e-6))
    return figure


def _usual(looks: dict[str, tuple[str, Any]]) -> Sequence[str]:
    """Return the first variant of each mode: a band for every one would hide them all."""
    return list({colour: name for name, (colour, _) in reversed(looks.items())}.values())


def _syncs(frame: pl.DataFrame) -> Figure:
    figure, (left, right), looks = _sheet(frame, 2)
    _lines(left, frame, "full_sync_s", looks, "s")
    _lines(right, frame, "change_sync_s", looks, "s")
    for axes, words in ((left, "everything"), (right, "one change")):
        axes.texts[0].set_text(words)
    low = min(axes.get_ylim()[0] for axes in (left, right))
    high = max(axes.get_ylim()[1] for axes in (left, right))
    for axes in (left, right):
        axes.set_ylim(low, high)
    return figure


def _cores(frame: pl.DataFrame) -> Figure:
    figure, (left, right), looks = _sheet(frame, 2)
    packets = frame.with_columns(packets=pl.col("cores_first") + pl.col("cores_later"))
    syncs = frame.with_columns(syncs=pl.col("cores_sync") + pl.col("cores_periodic"))
    _lines(left, packets, "packets", looks, "for packets, cores")
    _lines(right, syncs, "syncs", looks, "for syncs, cores")
    return figure


def _memory(frame: pl.DataFrame) -> Figure:
    figure, (left, right), looks = _sheet(frame, 2)
    _lines(left, frame, "kernel_bytes", looks, "")
    _lines(right, frame, "kube_proxy_bytes", looks, "")
    for axes, words in ((left, "in the kernel, bytes"), (right, "of kube-proxy itself, bytes (all modes alike)")):
        axes.texts[0].set_text(words)
        axes.set_ylim(bottom=float(np.exp(np.log(axes.get_ylim()[0]))))
    return figure
