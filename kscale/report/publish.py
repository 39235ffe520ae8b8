"""Writes the report into a run folder: figures, page, Markdown."""

from __future__ import annotations

import shutil
from pathlib import Path

from kscale.engine.runfolder import machine_errors
from kscale.report import markdown, page, style
from kscale.report.figures import all_figures
from kscale.report.summary import Summary


def publish(folder: Path, summary: Summary) -> dict[str, float | int | None]:
    """Draw every figure that has data and write the files; figures of an earlier report are removed first.

    Raises MachineError when the machine refuses a file.
    """
    drawn = []
    with style.style():
        for figure in all_figures():
            finding = figure.finding(summary)
            if finding is not None:
                wide = style.to_svg(figure.draw(summary, True), f"{figure.name}-wide")
                narrow = style.to_svg(figure.draw(summary, False), f"{figure.name}-narrow")
                drawn.append((figure, finding, wide, narrow))
    with machine_errors(folder):
        pictures = folder / "figures"
        if pictures.exists():
            shutil.rmtree(pictures)
        pictures.mkdir()
        for figure, finding, wide, _ in drawn:
            (pictures / f"{figure.name}.svg").write_text(style.with_title(wide, finding), encoding="utf-8")
        (folder / "report.html").write_text(page.html(summary, drawn), encoding="utf-8")
        shown = [(figure, finding) for figure, finding, _, _ in drawn]
        (folder / "report.md").write_text(markdown.markdown(summary, shown), encoding="utf-8")
    return summary.headline
