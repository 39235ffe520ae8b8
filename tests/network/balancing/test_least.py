"""lc, wlc, sed, nq: what they are for, and what they fall for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kscale.network.balancing.common.inputs import Changes, Connections, Endpoints, Lives, Settings
from kscale.network.balancing.common.measures import wait_quantiles
from kscale.network.balancing.common.running import Balanced, balance

SECOND = 1_000_000


def heavy(seed: int, rows: int = 4_000, endpoints: int = 20) -> Connections:
    """Connections of a heavy tail (Pareto, 1.3) that keep the endpoints busy for seven tenths."""
    rng = np.random.default_rng(seed)
    duration = np.minimum((1 + rng.pareto(1.3, rows)) * 1_000, 1_000_000).astype(np.int64)
    gap = duration.mean() / endpoints / 0.7
    return Connections(np.cumsum(rng.exponential(gap, rows)).astype(np.int64), duration)


def run(name: str, connections: Connections, weights: Any, limit: Any = None, **more: Any) -> Balanced:
    given = {key: more.pop(key) for key in ("lives", "changes") if key in more}
    settings = Settings(compiled=False, **more)
    return balance(
        name, connections, Endpoints(weights, limit), np.random.default_rng(1), settings=settings, **given
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", ["lc", "wlc", "sed", "nq"])
def test_least_connections_are_never_worse_than_random_on_heavy_tails(name: str, seed: int) -> None:
    connections = heavy(seed)
    least = run(name, connections, [1] * 20, [1] * 20, inactive_us=0)
    chance = run("iptables", connections, [1] * 20, [1] * 20)
    assert least.most_active.max() < chance.most_active.max()
    for mine, other in zip(*(wait_quantiles(one, (0.5, 0.9, 0.99, 0.999)) for one in (least, chance)), strict=True):
        assert mine <= other
    assert wait_quantiles(least, (0.99,))[0] < wait_quantiles(chance, (0.99,))[0]


def test_the_first_row_is_taken_on_ties() -> None:
    together = Connections([0] * 5, [100] * 5)
    assert run("lc", together, [1, 1, 1]).endpoint.tolist() == [0, 1, 2, 0, 1]


def test_weights_count_as_the_kernel_counts_them() -> None:
    together = Connections([0] * 8, [100] * 8)
    assert run("lc", together, [1, 3]).endpoint.tolist() == [0, 1] * 4  # lc does not look at weights
    assert run("wlc", together, [1, 3]).endpoint.tolist() == [0, 1, 1, 1, 0, 1, 1, 1]
    assert run("sed", together, [1, 3]).endpoint.tolist() == [1, 1, 0, 1, 1, 1, 0, 1]
    assert run("nq", together, [1, 3]).endpoint.tolist() == [0, 1, 1, 1, 1, 1, 0, 1]


def test_closed_connections_count_a_256th_for_two_minutes() -> None:
    arrival = [0, 10, 20, 30, 120 * SECOND + 11]
    assert run("lc", Connections(arrival, [1] * 5), [1, 1]).endpoint.tolist() == [0, 1, 0, 1, 0]
    assert run("lc", Connections(arrival, [1] * 5), [1, 1], inactive_us=0).endpoint.tolist() == [0] * 5
    # 256 closed ones weigh as much as an open one, and one less does not.
    many = Connections([*range(0, 1024, 2), 2000, 2001], [1] * 512 + [9, 9])
    assert run("lc", many, [1, 1]).endpoint.tolist()[-2:] == [0, 1]


def test_a_new_endpoint_is_flooded_and_a_slow_start_makes_its_clients_wait() -> None:
    rows = 3_000
    connections = Connections(np.arange(rows) * 10, np.full(rows, 2_000))  # 200 open, 20 on each of ten
    lives, changes = Lives([10], [20_000], [1 << 62]), Changes([20_000], [10], [1])
    given = {"lives": lives, "changes": changes, "inactive_us": 0}
    weights, limit = [1] * 10 + [-1], [0] * 10 + [20]
    least = run("lc", connections, weights, limit, **given)
    chance = run("iptables", connections, weights, limit, lives=lives, changes=changes)
    next_ones = slice(2_000, 2_015)
    assert (least.endpoint[next_ones] == 10).all()
    assert (chance.endpoint[next_ones] == 10).sum() < 6
    assert least.wait_us.max() == 0
    slow = run("lc", connections, weights, limit, slow_start_us=5_000, slow_start_milli=4_000, **given)
    assert slow.most_active[10] > 0
    assert slow.busy_us[10] > 0
    taken = slow.endpoint[2_000:2_500] == 10
    assert 0 < taken.sum() < (least.endpoint[2_000:2_500] == 10).sum()  # its connections last, so that it gets fewer


def test_a_dead_endpoint_swallows_what_least_connections_send() -> None:
    rows = 1_000
    connections, lives = Connections(np.arange(rows) * 10, np.full(rows, 5_000)), Lives([3], [-10], [2_000])
    swallowed = run("lc", connections, [1] * 10, lives=lives, inactive_us=0)
    chance = run("iptables", connections, [1] * 10, lives=lives)
    assert swallowed.lost[3] > 700  # it never has anything open
    assert 50 < chance.lost[3] < 120
    assert swallowed.lost_first_us[3] == 2_000
    assert swallowed.lost_last_us[3] == 9_990
    listed_off = run("lc", connections, [1] * 10, lives=lives, changes=Changes([4_000], [3], [-1]), inactive_us=0)
    assert listed_off.lost_last_us[3] < 4_000
