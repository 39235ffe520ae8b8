"""Restarts: the figures of the back-off's own tests, and when a container that crashes is started anew."""

from __future__ import annotations

import numpy as np

from kscale.kernels import plain_form
from kscale.node.chance import bits_of, exponential
from kscale.node.containers import next_backoff
from kscale.state.lives import ContainerLife, PodLife
from tests.node.world import SECOND, Kubelets


def test_slow_backoff() -> None:
    seen, backoff = [], 0
    for step in range(10):
        seen.append(backoff)
        backoff = plain_form(next_backoff)(backoff, step, step, 1, 50)
    assert seen == [0, 1, 2, 4, 8, 16, 32, 50, 50, 50]


def test_a_backoff_is_forgotten_after_twice_the_most() -> None:
    assert plain_form(next_backoff)(5, 0, 11, 1, 5) == 1
    assert plain_form(next_backoff)(5, 0, 6, 1, 5) == 5


def crashing(**parameters: int) -> Kubelets:
    life = PodLife((ContainerLife(run_us=0, exit_code=1),))
    return Kubelets(life, relist_us=1, watch_us=0, **parameters)


def starts_of(kubelets: Kubelets, until: int) -> list[int]:
    kubelets.bind()
    starts = []
    while kubelets.now < until:
        restarts = kubelets.read("life_restarts", 0)
        kubelets.run(int(kubelets.cluster.life_due_us[0]))
        if kubelets.read("life_restarts", 0) > restarts:
            starts.append(kubelets.now)
    return starts


def test_the_first_restart_is_at_once_then_10_20_40_80_160_300_300_seconds() -> None:
    starts = starts_of(crashing(requeue_us=0), 1500 * SECOND)
    assert (np.diff([0, *starts]) // SECOND).tolist()[:9] == [0, 10, 20, 40, 80, 160, 300, 300, 300]


def test_a_sync_that_failed_is_tried_each_ten_to_fifteen_seconds() -> None:
    starts = starts_of(crashing(), 700 * SECOND)
    for wait, backoff in zip(np.diff(starts), (10, 20, 40, 80, 160), strict=False):
        assert backoff * SECOND <= wait <= (backoff + 15) * SECOND
    assert any(int(wait) % SECOND for wait in np.diff(starts))


def test_long_runs_forget_the_backoff() -> None:
    life = PodLife((ContainerLife(run_us=601 * SECOND, exit_code=1),))
    kubelets = Kubelets(life, relist_us=1, watch_us=0)
    starts = starts_of(kubelets, 3000 * SECOND)
    assert np.diff(starts).tolist() == [601 * SECOND] * (len(starts) - 1) and len(starts) >= 3


def test_memory_that_grows_over_its_limit_ends_a_container() -> None:
    life = ContainerLife(memory=100, growth=10, limit=1099)
    assert life.oom_us() == 100 * SECOND
    kubelets = Kubelets(PodLife((life,)), relist_us=1, watch_us=0)
    kubelets.bind()
    kubelets.run(101 * SECOND)
    assert (kubelets.read("life_exit_code", 0), kubelets.read("life_restarts", 0)) == (137, 1)


def test_chance_is_as_likely_as_it_says() -> None:
    seed = np.array([7], np.uint64)
    with np.errstate(over="ignore"):
        bits = [int(plain_form(bits_of)(row, count, 1, seed)) for row in range(100) for count in range(40)]
    assert len(set(bits)) == len(bits)
    drawn = np.array([plain_form(exponential)(one, 3_600 * SECOND) for one in bits]) / (3_600 * SECOND)
    assert abs(drawn.mean() - 1) < 0.05
    assert abs((drawn > 1).mean() - np.exp(-1)) < 0.025
