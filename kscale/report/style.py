"""How figures look, and how a drawing becomes an SVG that is safe, small and the same each time."""

from __future__ import annotations

import io
import re
import textwrap
import warnings
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from kscale.report import text
from kscale.report.supply import Axis

WIDE, NARROW = 760, 350
#: Okabe and Ito's colours, which colour-blind people can tell apart, the light ones a little darker.
BLUE, ORANGE, GREEN, RED, PURPLE, SKY, GREY = (
    "#0072b2",
    "#e08a00",
    "#009e73",
    "#d55e00",
    "#b5579a",
    "#56b4e9",
    "#9aa5b1",
)
SERIES = (BLUE, ORANGE, GREEN, PURPLE, SKY, RED, GREY, "#6b7785")
#: Room left, things in use as an area, and the track of a bar.
PALE, LIGHT, TRACK = "#dcedf7", "#94c3e0", "#eef2f6"
INK, MUTED, GRID, PAPER = "#1f2a37", "#5a6876", "#e3e8ee", "#ffffff"
#: Colours that follow the page when it is dark.
_VARIABLES = {
    INK: "ink",
    MUTED: "muted",
    GRID: "grid",
    PAPER: "paper",
    BLUE: "blue",
    PALE: "pale",
    LIGHT: "light",
    TRACK: "track",
}
_FONT = "'DejaVu Sans', Verdana, 'Segoe UI', sans-serif"
_RC: Any = {
    "svg.fonttype": "none",
    "svg.image_inline": True,
    "text.parse_math": False,
    "text.usetex": False,
    "axes.formatter.use_mathtext": False,
    "font.family": ["DejaVu Sans"],
    "font.size": 10.5,
    "text.color": INK,
    "axes.edgecolor": GRID,
    "axes.labelcolor": MUTED,
    "axes.labelsize": 10,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "xtick.color": GRID,
    "ytick.color": GRID,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.labelsize": 10,
    "ytick.labelsize": 10,
    "xtick.major.size": 3,
    "ytick.major.size": 0,
    "lines.linewidth": 1.8,
    "lines.solid_capstyle": "round",
    "patch.linewidth": 0,
    "path.simplify": True,
    "path.simplify_threshold": 0.2,
    "figure.dpi": 72,
    "image.interpolation": "nearest",
    "axes.unicode_minus": True,
}


def width(wide: bool) -> int:
    """Return the width of a drawing in its own units (points)."""
    return WIDE if wide else NARROW


def canvas(wide: bool, height: float) -> Figure:
    """Return an empty drawing of the given height in points."""
    figure = Figure(figsize=(width(wide) / 72, height / 72), dpi=72, facecolor="none")
    FigureCanvasSVG(figure)
    return figure


def place(figure: Figure, left: float, top: float, wide: float, high: float) -> Axes:
    """Return axes whose frame is at ``left`` and ``top`` (from the upper left corner) with this size, in points."""
    w, h = figure.get_size_inches() * 72
    axes = figure.add_axes((left / w, 1 - (top + high) / h, wide / w, high / h), facecolor="none")
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.spines["left"].set_visible(False)
    return axes


def style() -> Any:
    """Return the context in which every figure is drawn and written."""
    return mpl.rc_context(_RC)


def words(value: object, limit: int) -> str:
    """Return untrusted text for a figure: cleaned and cut."""
    return text.clean(value, limit)


def percent_axis(
    axes: Axes,
    top: float,
    *,
    steps: tuple[float, ...] = (
        0.0005,
        0.005,
        0.05,
        0.1,
        0.25,
        0.5,
        1,
        2.5,
        5,
        10,
        25,
        50,
        100,
        200,
        500,
        1000,
        10_000,
    ),
) -> None:
    """Give the y axis a scale from 0 % to ``top`` with a few round ticks."""
    step = next((s for s in steps if top / s <= 5), steps[-1])
    ticks = np.arange(0, top + step / 100, step)
    axes.set_ylim(0, top)
    axes.set_yticks(ticks, [f"{t:g} %" for t in ticks])


def count_axis(axes: Axes, top: float, which: str = "y") -> None:
    """Give an axis a scale from 0 to ``top`` with round ticks, thousands as k, millions as M."""
    top = max(top, 1)
    step = nice(top / 4)
    ticks = np.arange(0, top + step / 100, step)
    labels = [short(t) for t in ticks]
    if which == "y":
        axes.set_ylim(0, top)
        axes.set_yticks(ticks, labels)
    else:
        axes.set_xlim(0, top)
        axes.set_xticks(ticks, labels)


def nice(step: float) -> float:
    """Return the next round number (1, 2, 5 times a power of ten) that is no smaller."""
    power = 10.0 ** np.floor(np.log10(max(step, 1e-12)))
    return float(next(power * m for m in (1, 2, 5, 10) if power * m >= step * (1 - 1e-9)))


def short(value: float) -> str:
    """Return a count in few characters: ``950``, ``1.2k``, ``3M``."""
    for limit, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= limit:
            return f"{value / limit:.3g}{suffix}"
    return f"{value:.3g}"


_TIME_STEPS = [
    s * 10**6
    for s in (1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 432000)
] + [d * 86400 * 10**6 for d in (7, 14, 28, 56, 182, 364, 728, 3640, 36400)]


def run_axis(axes: Axes, axis: Axis, low: float, high: float, wide: bool, *, label: bool = True) -> None:
    """Give the x axis the scale of the run: time, arrived GPU share or arrived pods."""
    high = high if high > low else low + 1
    most = 7 if wide else 4
    axes.set_xlim(low, high)
    if axis.kind == "time":
        step = next((s for s in _TIME_STEPS if (high - low) / s <= most), nice((high - low) / most))
        if high - low < 10**6:
            step = nice((high - low) / most)
        ticks = np.arange(np.ceil(low / step) * step, high + step / 100, step)
        axes.set_xticks(ticks, [text.duration(t) for t in ticks])
    else:
        step = nice((high - low) / most)
        ticks = np.arange(np.ceil(low / step) * step, high + step / 100, step)
        axes.set_xticks(ticks, [f"{t:g} %" if axis.kind == "gpu" else short(t) for t in ticks])
    for tick, word in zip(ticks, axes.get_xticklabels(), strict=True):
        if high - tick < 0.05 * (high - low):
            word.set_horizontalalignment("right")  # centred, the last one would be cut off
    if label:
        axes.set_xlabel(axis.label)


def legend_line(figure: Figure, items: list[tuple[str, str]], left: float, top: float) -> float:
    """Write a legend of (colour, words) from ``left``, ``top`` in points, wrapping; return its height."""
    w, h = figure.get_size_inches() * 72
    x, y = left, top
    for colour, label in items:
        needed = 18 + 6.1 * len(label)
        if x > left and x + needed > w - 4:
            x, y = left, y + 17
        figure.patches.append(_swatch(figure, colour, x / w, 1 - (y + 9) / h, 10 / w, 9 / h))
        figure.text((x + 15) / w, 1 - (y + 9) / h, label, fontsize=10, color=MUTED, va="baseline")
        x += needed + 12
    return y + 17 - top


def legend_block(figure: Figure, items: list[tuple[str, str]], left: float, top: float, letters: int) -> float:
    """Write a legend with one entry a line, long ones on two lines of ``letters`` letters; return its height."""
    y = top
    for colour, label in items:
        lines = textwrap.wrap(label, letters, max_lines=2, placeholder=" …") or [""]
        legend_line(figure, [(colour, lines[0])], left, y)
        if len(lines) > 1:
            legend_line(figure, [("none", lines[1])], left, y + 14)
        y += 17 + 14 * (len(lines) - 1)
    return y - top


def corners(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return only the points of a step line where it changes, and its ends."""
    keep = np.concatenate([[True], y[1:] != y[:-1]])
    keep[-1] = True
    return x[keep], y[keep]


def _swatch(figure: Figure, colour: str, x: float, y: float, wide: float, high: float) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((x, y), wide, high, facecolor=colour, transform=figure.transFigure, figure=figure)


def to_svg(figure: Figure, salt: str) -> str:
    """Return the drawing as an ``svg`` element for a page: no width, no height, no marks of time or program."""
    out = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with mpl.rc_context({"svg.hashsalt": salt}), warnings.catch_warnings():
        # A viewer has other fonts: a letter that matplotlib's own lacks is still written as text.
        warnings.filterwarnings("ignore", message=".*[Gg]lyph.*", category=UserWarning)
        figure.savefig(out, format="svg", metadata=nothing)
    w, h = figure.get_size_inches() * 72
    return _tidy(out.getvalue(), f"{w:g}", f"{h:g}")


def _tidy(svg: str, w: str, h: str) -> str:
    body = svg[svg.index(">", svg.index("<svg")) + 1 : svg.rindex("</svg>")]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, count=1, flags=re.DOTALL)
    body = re.sub(r"<!--.*?-->", "", body, flags=re.DOTALL)
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', body))
    body = re.sub(r'(<[a-zA-Z]+) id="([^"]*)"', lambda m: m[0] if m[2] in used else m[1], body)
    body = body.replace("'DejaVu Sans'", _FONT)
    for colour, name in _VARIABLES.items():
        body = re.sub(rf"((?:fill|stroke): ?){colour}", rf"\1var(--{name}, {colour})", body)
    body = re.sub(r"\n\s*", "\n", body).strip()
    # A hundredth of a point is finer than any screen.
    body = re.sub(r' d="[^"]*"', lambda m: re.sub(r"(\.\d\d)\d+", r"\1", m[0]).replace("\n", " "), body)
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="0 0 {w} {h}">\n{body}\n</svg>'
    )


def with_title(svg: str, title: str) -> str:
    """Return a wide SVG that stands alone: the finding written above the drawing on white paper."""
    head = re.match(r'<svg [^>]*viewBox="0 0 (\S+) (\S+)">', svg)
    assert head is not None
    lines = textwrap.wrap(text.clean(title, 200), 84)
    w, h, band = float(head[1]), float(head[2]), 16 + 20 * len(lines)
    look = f"font: 600 15px {_FONT}; fill: {INK}"
    shown = "".join(
        f'<text x="12" y="{26 + 20 * k - band}" style="{look}">{text.escape_html(line)}</text>'
        for k, line in enumerate(lines)
    )
    start = (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'width="{w:g}" height="{h + band:g}" viewBox="0 {-band} {w:g} {h + band:g}">\n'
        f'<rect y="{-band}" width="100%" height="100%" fill="{PAPER}"/>{shown}\n'
    )
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{start}{svg[head.end() :]}\n'
