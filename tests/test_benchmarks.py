"""The benchmarks' own rules: rows are whole, and the gate fails on what is slower, not on noise."""

from __future__ import annotations

import json

import numpy as np
import pytest

from benchmarks import gate
from benchmarks.gate import Measured, judge, ratio
from benchmarks.workloads import WORKLOADS

COUNTS = {"attempts_per_pod": 1.0, "work_per_pod": 100.0}
STORED = Measured(3.0, COUNTS)


def timings(rng: np.random.Generator, factor: float, runs: int = 7) -> list[tuple[float, float]]:
    """Return a noisy machine's times: up to three times too long; the workload takes 3 x the reference."""
    noise = 1.0 + rng.exponential(0.25, (runs, 2)).clip(0, 2)
    return [(0.3 * factor * work, 0.1 * reference) for work, reference in noise]


def test_rows_have_names_of_their_own_a_sentence_and_something_to_assert() -> None:
    names = [row.name for row in WORKLOADS]
    assert len(set(names)) == len(names)
    for row in WORKLOADS:
        assert row.doc.endswith((".", "?")), row.name
        assert row.measure == "help" or row.expected.counts, row.name


def test_every_row_on_published_data_has_a_made_sibling() -> None:
    made = {row.name for row in WORKLOADS if not row.published}
    for row in WORKLOADS:
        if row.published and row.measure != "read":
            assert row.name.replace("openb", "like-openb").replace("replay-jobs", "replay-like-jobs") in made, row.name


def test_the_baseline_covers_the_gate() -> None:
    stored = json.loads(gate.BASELINE.read_text())
    assert set(stored) == set(gate.ROWS) <= {row.name for row in WORKLOADS}
    assert all(known["ratio"] > 0 and known["counts"] for known in stored.values())


def test_the_least_of_each_counts() -> None:
    assert ratio([(0.9, 0.1), (0.4, 0.3), (0.5, 0.2)]) == pytest.approx(0.4 / 0.1)


@pytest.mark.parametrize("seed", range(10))
def test_unchanged_runs_pass(seed: int) -> None:
    rng = np.random.default_rng(seed)
    assert not judge("row", STORED, lambda: (timings(rng, 1.0), COUNTS)).failures


@pytest.mark.parametrize("seed", range(10))
def test_a_slowdown_of_forty_percent_fails_and_is_named(seed: int) -> None:
    rng = np.random.default_rng(seed)
    (failure,) = judge("row", STORED, lambda: (timings(rng, 1.4, runs=30), COUNTS)).failures
    assert failure.startswith("row takes +")


def test_a_bad_first_measurement_is_taken_once_more() -> None:
    answers = iter([[(0.6, 0.1)] * 7, [(0.3, 0.1)] * 7])
    assert not judge("row", STORED, lambda: (next(answers), COUNTS)).failures


def test_counts_may_move_by_fifteen_percent() -> None:
    for work, failed in ((114.0, False), (116.0, True)):
        counts = {"attempts_per_pod": 1.0, "work_per_pod": work}
        verdict = judge("row", STORED, lambda counts=counts: ([(0.3, 0.1)], counts))  # type: ignore[misc]
        assert bool(verdict.failures) is failed
