"""Two runs on one page that stands alone: what differs, the first decision that does, and both runs' figures.

Each figure has one panel per run; both have the same axes, so that heights can be held against each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from matplotlib.figure import Figure as Drawing

from kscale.report import page, style, text
from kscale.report.comparing import Comparison
from kscale.report.summary import Summary
from kscale.report.supply import Axis
from kscale.report.tables import Table

RESOURCES = 4
_SIDES = ("first", "second")


Line = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Panel:
    """One measure of both runs: its title, whether it is a percentage, and for each run ``x`` and ``y``."""

    title: str
    percent: bool
    lines: tuple[Line, Line]


def html(folders: tuple[Path, Path], summaries: tuple[Summary, Summary], found: Comparison) -> str:
    """Return the page."""
    words = "The runs are the same" if found.equal else "The runs are not the same"
    names = " · ".join(f"{side}: {text.escape_html(folder, 200)}" for side, folder in zip(_SIDES, folders, strict=True))
    differ = found.numbers.filter(pl.col("first").ne_missing(pl.col("second")))
    lead = (
        f"Both have fingerprint {found.fingerprints['first'][0][:16]}."
        if found.equal
        else f"{text.plural(differ.height, 'headline number')} of {found.numbers.height} "
        f"differ{'s' if differ.height == 1 else ''}; differences are second minus first."
    )
    body = [
        f'<header><p class="eyebrow">Two runs compared</p><p class="meta">{names}</p></header>\n',
        f"<h1>{words}</h1>\n",
        f'<p class="lead">{text.escape_html(lead)}</p>\n',
        _section("What went in and differs", _words(found.inputs), "Every input, option and seed is the same."),
        _section("The first decision that differs", _words(found.divergence), "No pod was decided otherwise."),
        _section("Numbers that differ", _numbers(differ), "Every headline number is the same."),
        *_figures(summaries),
        "<section><h2>All numbers</h2>",
        f"<details><summary>Show all</summary>{_numbers(found.numbers).html()}</details></section>\n",
        "<footer>All times are virtual. Speeds of a run (run_*) depend on the machine.</footer>\n",
    ]
    return page.document(f"Two runs compared: {words}", body)


def _section(title: str, table: Table, none: str) -> str:
    inside = table.html() if table.rows else f"<p>{none}</p>"
    return f'<section class="close"><h2>{title}</h2>{inside}</section>\n'


def _words(frame: pl.DataFrame) -> Table:
    """Return rows of ``what``, ``first`` and ``second``; what ends with ``_us`` is written as a duration."""
    rows = []
    for name, *values in frame.iter_rows():
        timed = name.endswith("_us") and not name.startswith("option ")
        cells = ["–" if v is None else text.duration(int(v)) if timed else v for v in values]
        rows.append((name.removesuffix("_us") if timed else name, *cells))
    return Table(("what", *_SIDES), rows)


def _numbers(frame: pl.DataFrame) -> Table:
    columns = ("metric", "first", "second", "difference", "unit", "better")
    rows = [
        (name, *(text.number(v) for v in values), unit, better)
        for name, *values, unit, better in frame.select(columns).iter_rows()
    ]
    return Table(columns, rows, (1, 2, 3))


def _figures(summaries: tuple[Summary, Summary]) -> list[str]:
    axis, other = (summary.supply.axis for summary in summaries)
    if axis != other:
        return ["<section><h2>Figures</h2><p>One run has times and the other has none: no axes fit both.</p></section>"]
    out = []
    with style.style():
        for number, panel in enumerate(_panels(summaries)):
            drawn = "".join(
                f'<div class="{kind}" role="img" aria-label="{text.escape_html(panel.title)}">'
                f"{style.to_svg(_draw(panel, axis, kind == 'wide'), f'compare-{number}-{kind}')}</div>"
                for kind in ("wide", "narrow")
            )
            title = text.escape_html(panel.title)
            out.append(f"<section><h2>Side by side</h2><h3>{title}</h3><figure>{drawn}</figure></section>\n")
    return out


def _panels(summaries: tuple[Summary, Summary]) -> list[Panel]:
    """Return the measures that both runs have: the fullest resources, then pods running and waiting."""
    frames = [summary.supply.frame for summary in summaries]
    if min(frame.height for frame in frames) < 2:
        return []
    peaks = [summary.supply.peaks for summary in summaries]
    shared = [r for r in summaries[0].resources if r.key in peaks[1]]
    ranked = sorted(shared, key=lambda r: -max(peak[r.key].percent for peak in peaks))[:RESOURCES]
    out = [
        Panel(
            f"{text.capital(resource.label)} requested, of what the nodes have", True,
            _lines(frames, 100 * pl.col(f"used:{resource.key}") / pl.col(f"allocatable:{resource.key}")),
        )
        for resource in shared if resource in ranked
    ]  # fmt: skip
    for column, title in (("running_pods", "Running pods"), ("waiting_pods", "Waiting pods")):
        lines = _lines(frames, pl.col(column))
        if max(y.max() for _, y in lines):
            out.append(Panel(title, False, lines))
    return out


def _lines(frames: list[pl.DataFrame], y: pl.Expr) -> tuple[Line, Line]:
    shown = [frame.select("x", y=y.cast(pl.Float64).fill_nan(0).fill_null(0)) for frame in frames]
    first, second = ((frame["x"].to_numpy(), frame["y"].to_numpy()) for frame in shown)
    return first, second


def _draw(panel: Panel, axis: Axis, wide: bool) -> Drawing:
    """Draw both runs: side by side, or one above the other on a narrow screen; the scales are the same."""
    high, left, top = 170, 50, 30
    each = (style.WIDE if wide else style.NARROW) / (2 if wide else 1)
    figure = style.canvas(wide, 240 if wide else 480)
    low, last = min(x[0] for x, _ in panel.lines), max(x[-1] for x, _ in panel.lines)
    most = max(float(y.max()) for _, y in panel.lines)
    for k, ((x, y), side, colour) in enumerate(zip(panel.lines, _SIDES, (style.BLUE, style.ORANGE), strict=True)):
        row, column = (0, k) if wide else (k, 0)
        axes = style.place(figure, column * each + left, row * 240 + top, each - left - 16, high)
        axes.fill_between(x, 0, y, color=colour, alpha=0.22, linewidth=0)
        axes.plot(x, y, color=colour, linewidth=1.4)
        if panel.percent:
            style.percent_axis(axes, style.nice(1.1 * most) if most < 20 else max(102.0, most))
        else:
            style.count_axis(axes, 1.1 * most)
        style.run_axis(axes, axis, float(low), float(last), False)
        peak = text.percent(float(y.max())) if panel.percent else text.number(float(y.max()))
        axes.annotate(
            f"{side}: at most {peak} in a sample", (0, 1), (-left + 8, 10), xycoords="axes fraction",
            textcoords="offset points", weight="bold", fontsize=10.5,
        )  # fmt: skip
    return figure
