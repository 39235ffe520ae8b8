"""Fabricated run folders with their reports, made once per session."""

from __future__ import annotations

from pathlib import Path

import pytest

from kscale import report
from tests.report import make_run, stories


@pytest.fixture(scope="session")
def folders(tmp_path_factory) -> dict[str, Path]:
    """Return a run folder with its report for every story."""
    base = tmp_path_factory.mktemp("runs")
    out = {}
    for name, story in stories.ALL.items():
        run = make_run.make(base / name, story(), seal=False)
        report.write(base / name, run)
        make_run.runfolder.seal(base / name, run)
        out[name] = base / name
    return out


@pytest.fixture(scope="session")
def summaries(folders):
    """Return what every story's run says."""
    return {name: report.summarize(folder, make_run.runfolder.load(folder)) for name, folder in folders.items()}
