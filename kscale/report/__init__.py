"""The capacity report: what a run folder says, as tables, figures and one page.

Importing this module is cheap; polars and matplotlib come with the first call.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kscale.engine.runfolder import Run
    from kscale.report.summary import Summary

__all__ = ["headline", "hold", "rewrite", "summarize", "write"]


def summarize(folder: Path, run: Run) -> Summary:
    """Return everything that the report says about the run in ``folder``; see ``summary.Summary``."""
    from kscale.report.summary import summarize as compute

    return compute(folder, run)


def hold(summary: Summary, limits: dict[str, dict[str, float]]) -> Summary:
    """Return the summary with the limits of a budget among its checks; see ``budget.read``."""
    from kscale.report.summary import hold as add

    return add(summary, limits)


def headline(run: Run, folder: Path) -> dict[str, float | int | None]:
    """Return the run's numbers by stable names (``docs/report.md`` lists them with their units)."""
    return summarize(folder, run).headline


def write(folder: Path, run: Run, summary: Summary | None = None) -> dict[str, float | int | None]:
    """Write ``figures/*.svg``, ``report.html`` and ``report.md`` into ``folder`` and return the headline numbers.

    ``summary`` may be given where it was computed already. Raises MachineError when the machine refuses a file.
    """
    from kscale.report.publish import publish

    return publish(folder, summary if summary is not None else summarize(folder, run))


def rewrite(folder: Path, run: Run, summary: Summary) -> None:
    """Write ``report.html`` and ``report.md`` of a sealed run folder again, and seal it again.

    Raises MachineError when the machine refuses a file.
    """
    from kscale.report.publish import republish

    republish(folder, run, summary)
