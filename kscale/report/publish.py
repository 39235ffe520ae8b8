"""Writes the report into a run folder: figures, page, Markdown."""

from __future__ import annotations

import shutil
from pathlib import Path

from kscale.engine.runfolder import Run, machine_errors, replace_files
from kscale.report import markdown, page, style
from kscale.report.figures import Figure, all_figures
from kscale.report.summary import Summary


def publish(folder: Path, summary: Summary) -> dict[str, float | int | None]:
    """Draw every figure that has data and write the files; figures of an earlier report are removed first.

    Raises MachineError when the machine refuses a file.
    """
    drawn = _draw(summary)
    with machine_errors(folder):
        pictures = folder / "figures"
        if pictures.exists():
            shutil.rmtree(pictures)
        pictures.mkdir()
        for figure, finding, wide, _ in drawn:
            (pictures / f"{figure.name}.svg").write_text(style.with_title(wide, finding), encoding="utf-8")
        for name, words in _pages(summary, drawn).items():
            (folder / name).write_text(words, encoding="utf-8")
    return summary.headline


def republish(folder: Path, run: Run, summary: Summary) -> None:
    """Write page and Markdown of a sealed run folder again, and seal it again; the figures stay.

    Raises MachineError when the machine refuses a file.
    """
    replace_files(folder, run, _pages(summary, _draw(summary)))


def _draw(summary: Summary) -> list[tuple[Figure, str, str, str]]:
    """Return figure, finding, wide SVG and narrow SVG of every figure that has data."""
    drawn = []
    with style.style():
        for figure in all_figures():
            finding = figure.finding(summary)
            if finding is not None:
                wide = style.to_svg(figure.draw(summary, True), f"{figure.name}-wide")
                narrow = style.to_svg(figure.draw(summary, False), f"{figure.name}-narrow")
                drawn.append((figure, finding, wide, narrow))
    return drawn


def _pages(summary: Summary, drawn: list[tuple[Figure, str, str, str]]) -> dict[str, str]:
    shown = [(figure, finding) for figure, finding, _, _ in drawn]
    return {"report.html": page.html(summary, drawn), "report.md": markdown.markdown(summary, shown)}
