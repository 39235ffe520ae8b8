"""Probes: their rules by the figures of pkg/kubelet/prober, and closed forms against running each probe."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale.engine.clock import NEVER
from kscale.kernels import plain_form
from kscale.node.probes import failed_often, first_success, tick
from kscale.state.lives import Probe
from tests.twin.kubelet import Results


@pytest.mark.parametrize(
    ("success", "failure", "first", "runs", "results"),
    [
        (1, 3, "Failure", "SSSFFF", ["Success"] * 5 + ["Failure"]),
        (3, 1, "Failure", "SSSF", ["Failure", "Failure", "Success", "Failure"]),
        (1, 3, "Unknown", "FFF", ["Unknown", "Unknown", "Failure"]),
    ],
)
def test_thresholds(success: int, failure: int, first: str, runs: str, results: list[str]) -> None:
    worker = Results(Probe(success=success, failure=failure), first)
    seen = []
    for run in runs:
        worker.add(run == "S")
        seen.append(worker.result)
    assert seen == results


def by_runs(worker: int, period: int, timeout: int, failure: int, begin: int, healthy: int, hang: int) -> list[int]:
    """Run each probe until far behind everything: when the first succeeded, when so many had failed in a row."""
    well, often, row, at = NEVER, NEVER, 0, worker
    while at < 500:
        if at >= begin:
            good = healthy <= at < hang
            row = 0 if good else row + 1
            if good:
                well = min(well, at)
            if row >= failure:
                often = min(often, at + (timeout if at >= hang else 0))
        at += period
    return [well, often]


@settings(max_examples=300, deadline=None)
@given(
    st.integers(0, 20), st.integers(1, 12), st.integers(0, 3), st.integers(1, 4), st.integers(0, 60),
    st.integers(0, 100), st.integers(0, 120) | st.just(NEVER),
)  # fmt: skip
def test_closed_forms(
    worker: int, period: int, timeout: int, failure: int, begin: int, healthy: int, hang: int
) -> None:
    well = plain_form(first_success)(worker, period, begin, healthy, hang)
    often = plain_form(failed_often)(worker, period, timeout, failure, begin, healthy, hang)
    assert [well, often] == by_runs(worker, period, timeout, failure, begin, healthy, hang)


def test_ticks_are_counted_from_the_beginning_of_the_worker() -> None:
    ticks = [plain_form(tick)(3, 10, at) for at in (0, 3, 4, 13, 14, NEVER)]
    assert ticks == [3, 3, 13, 13, 23, NEVER]
