"""Runs as a whole: wrong input, affinity, limits, deaths, and batches that do not show."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kscale.errors import InputError
from kscale.network.balancing import found
from kscale.network.balancing.common import running
from kscale.network.balancing.common.inputs import Changes, Connections, Endpoints, Lives, Settings
from kscale.network.balancing.common.parameters import CLIENT_AFFINITY
from kscale.network.balancing.common.running import Balanced, balance
from tests.network.balancing.worlds import ARRAYS, run, world

HOUR = 3_600_000_000


def of(name: str, connections: Connections, weights: Any, limit: Any = None, **more: Any) -> Balanced:
    given = {key: more.pop(key) for key in ("lives", "changes") if key in more}
    settings = Settings(compiled=False, **more)
    return balance(name, connections, Endpoints(weights, limit), np.random.default_rng(0), settings=settings, **given)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: of("llc", Connections([], []), [1]), "no algorithm is called 'llc'; did you mean 'lblc'?"),
        (lambda: of("rr", Connections([2, 1], [0, 0]), [1]), "row 2, field 'arrival_us': comes before the row above"),
        (lambda: of("rr", Connections([1], [-1]), [1]), "field 'duration_us': holds -1 to -1"),
        (lambda: of("rr", Connections([1], [1, 2]), [1]), "field 'duration_us': has 2 values; expected 1"),
        (lambda: of("rr", Connections([0.5], [1]), [1]), "field 'arrival_us': is no list of whole numbers"),
        (lambda: of("rr", Connections([1], [1], client=[-4]), [1]), "field 'client': holds -4 to -4"),
        (lambda: of("rr", Connections([1], [1]), [65_536]), "field 'weight': holds 65536 to 65536"),
        (lambda: of("rr", Connections([1], [1]), [1], [-1]), "field 'limit': holds -1 to -1"),
        (lambda: of("rr", Connections([1, 1], [(1 << 60) - 1] * 2), [1]), "all durations together are too long"),
        (lambda: of("rr", Connections([1], [1]), [1], changes=Changes([1], [1], [1])), "field 'endpoint': holds 1"),
        (lambda: of("rr", Connections([1], [1]), [1], lives=Lives([0], [4], [4])), "dies before it is born"),
        (lambda: of("rr", Connections([1], [1]), [1], lives=Lives([0, 0], [1, 3], [4, 5])), "has two lives at once"),
        (lambda: of("rr", Connections([1], [1]), [1], affinity_us=-1), "field 'affinity_us': holds -1 to -1"),
        (
            lambda: of("lblc", Connections([1], [1], destination=[(1 << 31) - 1]), [1]),
            "node x destination come to 2.15e+09 values",
        ),
    ],
)  # fmt: skip
def test_wrong_input_is_told(call: Any, words: str) -> None:
    with pytest.raises(InputError) as told:
        call()
    assert words in str(told.value)


@pytest.mark.parametrize("name", sorted(found()))
def test_nothing_comes_and_nobody_is_there(name: str) -> None:
    assert of(name, Connections([], []), [1, 1]).connections.tolist() == [0, 0]
    assert of(name, Connections([1, 2], [1, 1]), []).refused == 2


def test_a_client_sticks_for_three_hours_after_its_last_connection() -> None:
    arrival = [0, 1, 3 * HOUR, 6 * HOUR, 9 * HOUR + 1]
    connections = Connections(arrival, [1] * 5, client=[7, 8, 7, 7, 7])
    result = of("rr", connections, [1, 1, 1], affinity_us=CLIENT_AFFINITY.whole)
    assert result.endpoint.tolist() == [0, 1, 0, 0, 2]


def test_a_client_leaves_an_endpoint_that_drains_and_nodes_know_nothing_of_each_other() -> None:
    connections = Connections([0, 1, 2, 3, 4], [1] * 5, client=[7] * 5, node=[0, 0, 1, 0, 1])
    result = of("rr", connections, [1, 1], changes=Changes([3], [0], [0]), affinity_us=HOUR)
    assert result.endpoint.tolist() == [0, 0, 0, 1, 1]


def test_a_limit_makes_connections_wait_their_turn() -> None:
    result = of("rr", Connections([0, 0, 0, 5], [10, 20, 10, 10]), [1], [2])
    assert result.wait_us.tolist() == [0, 0, 10, 15]
    assert (result.most_active.tolist(), result.busy_us.tolist()) == ([4], [50])


def test_a_death_cuts_off_what_is_served_and_what_waits() -> None:
    result = of("rr", Connections([0, 1, 9], [20, 20, 20]), [1], [1], lives=Lives([0], [-5], [10]))
    assert (result.broken.tolist(), result.busy_us.tolist()) == ([3], [10])
    assert result.wait_us.tolist() == [0, -1, -1]


def test_an_endpoint_is_slow_after_its_birth() -> None:
    result = of(
        "rr", Connections([0, 100], [10, 10]), [1], lives=Lives([0], [0], [1 << 62]), slow_start_us=100,
        slow_start_milli=2_550,
    )  # fmt: skip
    assert result.busy_us.tolist() == [25 + 10]


@pytest.mark.parametrize("name", ["iptables", "userspace", "lblc"])
def test_batches_do_not_show(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = [run(name, world(seed), seed) for seed in range(10)]
    monkeypatch.setattr(running, "_BATCH", 7)
    for seed, expected in enumerate(whole):
        again = run(name, world(seed), seed)
        for array in ARRAYS:
            assert (getattr(again, array) == getattr(expected, array)).all()


def test_room_is_made_for_as_many_as_are_open() -> None:
    result = of("dh", Connections(np.arange(300), np.full(300, 1_000)), [1, 1])
    assert sorted(result.most_active.tolist()) == [0, 300]
