"""Round robin of the userspace mode: retries, and what they cost."""

from __future__ import annotations

import numpy as np

from kscale.network.balancing.common.inputs import Changes, Connections, Endpoints, Lives, Settings
from kscale.network.balancing.common.running import Balanced, balance

NEVER = 1 << 62


def run(arrival: list[int], lives: Lives, weights: list[int], changes: Changes | None = None, **more: int) -> Balanced:
    rows = len(arrival)
    return balance(
        "userspace", Connections(arrival, [10] * rows), Endpoints(weights), np.random.default_rng(0),
        lives=lives, changes=changes, settings=Settings(compiled=False, **more),
    )  # fmt: skip


def test_endpoints_take_turns() -> None:
    assert run([0, 0, 1, 1, 2], Lives(), [1, 1, 1]).endpoint.tolist() == [0, 1, 2, 0, 1]


def test_a_dead_endpoint_costs_the_first_timeout_and_the_next_one_is_tried() -> None:
    result = run([5, 6, 7], Lives([1], [0], [5]), [1, 1, 1])
    assert result.endpoint.tolist() == [0, 2, 0]
    assert result.wait_us.tolist() == [0, 250_000, 0]
    assert (result.retried.tolist(), result.lost.tolist()) == ([0, 1, 0], [0, 0, 0])


def test_where_nobody_answers_four_dials_are_lost() -> None:
    result = run([5], Lives([0, 1, 2], [0] * 3, [1] * 3), [1, 1, 1])
    assert result.retried.tolist() == [1, 1, 1]
    assert (result.endpoint.tolist(), result.lost.tolist()) == ([0], [1, 0, 0])
    assert result.lost_first_us.tolist() == [5 + 1_750_000, -1, -1]
    assert result.wait_us.tolist() == [-1]


def test_an_endpoint_that_comes_back_while_others_are_dialled_answers() -> None:
    result = run([0], Lives([0, 1], [200_000, 250_000], [NEVER, NEVER]), [1, 1])
    assert (result.endpoint.tolist(), result.wait_us.tolist()) == ([1], [250_000])


def test_a_client_moves_on_from_an_endpoint_that_does_not_answer() -> None:
    result = run([0, 10, 20], Lives([0], [-5], [5]), [1, 1], affinity_us=1_000)
    assert result.endpoint.tolist() == [0, 1, 1]
    assert result.wait_us.tolist() == [0, 250_000, 0]


def test_a_change_begins_the_list_again() -> None:
    result = run([0, 1, 2, 3], Lives(), [1, 1, 1], Changes([2], [2], [-1]))
    assert result.endpoint.tolist() == [0, 1, 0, 1]
