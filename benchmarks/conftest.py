"""Gathers the figures of the rows and prints them when all are run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from benchmarks.table import figures_table

_ROWS = pytest.StashKey[list[tuple[Any, dict[str, float]]]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_ROWS] = []


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.option.markexpr:
        return
    chosen = [item for item in items if "slow" not in item.keywords]
    config.hook.pytest_deselected(items=[item for item in items if "slow" in item.keywords])
    items[:] = chosen


@pytest.fixture
def shown(request: pytest.FixtureRequest) -> Iterator[list[tuple[Any, dict[str, float]]]]:
    """The rows that the table at the end will show."""
    yield request.config.stash[_ROWS]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    rows = config.stash[_ROWS]
    if rows:
        terminalreporter.section("figures, the least of the runs; the limit and the share of it beside")
        for text in figures_table(rows):
            terminalreporter.write_line(text)
