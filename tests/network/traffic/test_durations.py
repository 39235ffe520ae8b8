"""Durations: means and tails, and what is open after a time."""

from __future__ import annotations

import numpy as np
import pytest

from kscale.network.traffic.clients import Open
from kscale.network.traffic.durations import phases, still_open


def test_without_a_duration_there_is_no_phase() -> None:
    assert len(phases(0, 0.0).share) == 0


def test_an_exponential_duration_is_one_phase() -> None:
    made = phases(2000, 0.0)
    assert (made.share.tolist(), made.mean_us.tolist()) == ([1.0], [2000.0])


@pytest.mark.parametrize(("tail", "error"), [(1.2, 0.06), (1.5, 1e-3), (2.0, 1e-3), (3.0, 2e-3), (5.0, 1e-2)])
def test_a_heavy_tail_is_a_pareto_one(tail: float, error: float) -> None:
    made = phases(1_000_000, tail)
    assert abs(made.share.sum() - 1) < 1e-12
    assert abs((made.share * made.mean_us).sum() - 1e6) < 1e-3
    for times in (0.1, 1.0, 10.0, 100.0, 1000.0):
        longer = (made.share * np.exp(-times * 1e6 * (tail - 1) / made.mean_us)).sum()
        # The slowest phases are left out; what is left has the mean, and so is a little longer where these had much.
        assert abs(longer / (1 + times) ** -tail - 1) < error, times


def test_what_came_evenly_ends_as_connections_one_by_one_do() -> None:
    generator = np.random.default_rng(5)
    mean, span = 1000.0, 1500.0
    began = generator.random(400_000) * span
    lasts = generator.exponential(mean, 400_000)
    old, new = still_open(np.array([mean]), np.array([span]))
    assert abs((began + lasts > span).mean() - new[0]) < 0.003
    assert abs((lasts > span).mean() - old[0]) < 0.003
    assert [float(one[0]) for one in still_open(np.array([mean]), np.array([0.0]))] == [1.0, 1.0]


def test_open_connections_come_to_rate_times_duration() -> None:
    open_, generator = Open(phases(500_000, 1.5)), np.random.default_rng(2)
    open_.fit(2, 0)
    for second in range(1, 200):
        open_.add(np.array([1000, 0]))
        found = open_.settle(np.arange(2), second * 1_000_000, generator)
    # Little's law: 1,000 a second for half a second each; of the longest some are still to come.
    assert 420 < found[0] < 580
    assert found[1] == 0
    open_.clear(np.array([0]))
    assert open_.settle(np.arange(2), 200_000_000, generator).tolist() == [0, 0]
