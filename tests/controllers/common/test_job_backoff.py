"""Back-off of Jobs, by the figures of upstream's tests."""

from __future__ import annotations

import numpy as np
import pytest

from kscale.controllers.common.job_backoff import consecutive, remaining

SECOND = 1_000_000
NOW = 10_000 * SECOND


@pytest.mark.parametrize(
    ("failures", "ago", "left"),
    [(0, 0, 0), (1, 0, 5), (1, 1, 4), (1, 5, 0), (1, 6, 0), (3, 0, 20), (8, 0, 640), (9, 0, 700), (200, 0, 700)],
)
def test_what_is_left_to_wait(failures: int, ago: int, left: int) -> None:
    found = remaining(np.array([failures]), np.array([NOW - ago * SECOND]), NOW, 5 * SECOND, 700 * SECOND)
    assert found.tolist() == [left * SECOND]


def test_two_failures_of_an_index_wait_twenty_seconds() -> None:
    assert remaining(np.array([2]), np.array([NOW]), NOW).tolist() == [20 * SECOND]


@pytest.mark.parametrize(
    ("stored", "ends", "count"),
    [(0, "F", 1), (0, "FF", 2), (0, "FFS", 0), (0, "FFSFF", 2), (2, "F", 3), (0, "=", 0), (2, "S", 0)],
)
def test_consecutive_failures(stored: int, ends: str, count: int) -> None:
    failures = [at for at, end in enumerate(ends) if end in "F="]
    successes = [at for at, end in enumerate(ends) if end in "S="]
    places = [(np.zeros(len(times), np.int64), np.array(times, np.int64)) for times in (failures, successes)]
    found, last = consecutive(np.array([stored]), np.array([-1]), *places)
    assert found.tolist() == [count]
    assert last.tolist() == [max(failures, default=-1)]
