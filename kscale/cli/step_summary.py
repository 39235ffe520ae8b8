"""The step summary of a CI job: a file that holds one mebibyte at most, shared by all that a step appends."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from kscale.cli.terminal import tell
from kscale.engine.runfolder import machine_errors
from kscale.report import text

if TYPE_CHECKING:
    from kscale.report.summary import Summary

_CUT = "\n\n*Cut here: a step summary may hold 1 MiB.*\n"


def add(words: str) -> None:
    """Append Markdown to the step summary of the CI job that this is part of, if any. Raises MachineError."""
    if file := os.environ.get("GITHUB_STEP_SUMMARY"):
        append(Path(file), words)


def add_report(summary: Summary) -> None:
    """Append the top of a run's report, where the run was held to a budget: verdict, checks, key figures."""
    if summary.budget:
        from kscale.report import markdown

        add(markdown.top(summary))


def append(file: Path, words: str, limit: int = text.SUMMARY_LIMIT) -> None:
    """Append Markdown to a step summary, cut at a line's end to what is left of ``limit`` bytes, saying so.

    Where not even that has room, nothing is written and standard error says so. Raises MachineError.
    """
    with machine_errors(file):
        room = limit - (file.stat().st_size if file.exists() else 0)
        if len(words.encode()) > room < len(_CUT.encode()):
            tell(f"{file}: full: a step summary may hold {limit:,} bytes; nothing is added", stderr=True)
            return
        with file.open("a", encoding="utf-8") as out:
            out.write(text.cut(words, room, _CUT))
