"""Random: every device that fits with equal chance; the choice of the node is the cycle's."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale.scheduler.plugins.random_choice import RANDOM, below, take_any
from tests.engine.columns import call, small
from tests.scheduler.states import State, states


def taken(free: list[int], count: int, milli: int, *draws: int) -> list[list[int]]:
    """Return the devices that each draw gives."""
    made = small(node=1, device=len(free))
    made.node_device_count[0], made.node_device_free[0] = len(free), free
    made.template_device_count[0], made.template_device_milli[0] = count, milli
    found = [int(call(take_any, made, 0, 0, draw)) for draw in draws]
    return [[device for device in range(64) if bits >> device & 1] for bits in found]


def test_a_share_goes_to_the_drawn_one_of_the_devices_that_fit() -> None:
    free = [1000, 200, 500, 700]
    # Three devices have 500 free: 0, 2, 3.
    assert taken(free, 1, 500, 0, 1, 2, 3) == [[0], [2], [3], [0]]
    assert taken(free, 1, 600, 1) == [[3]]


def test_whole_devices_are_the_first() -> None:
    free = [900, 1000, 1000, 1000]
    assert taken(free, 1, 1000, 0, 1, 5) == [[1]] * 3
    assert taken(free, 2, 1000, 0, 1, 5) == [[1, 2]] * 3


def test_below_is_even() -> None:
    counts = Counter(below(draw, 7) for draw in range(7000))
    assert counts == dict.fromkeys(range(7), 1000)


def test_draws_are_uniform_over_devices() -> None:
    draws = np.random.default_rng(5).integers(0, 1 << 63, 3000)
    counts = Counter(device for (device,) in taken([1000, 100, 500, 700], 1, 500, *draws.tolist()))
    # 1000 each, standard deviation sqrt(3000 * 1/3 * 2/3) = 25.8: within five of them.
    assert counts.keys() == {0, 2, 3}
    assert all(abs(count - 1000) < 130 for count in counts.values())


@settings(deadline=None)
@given(states(), st.data())
def test_what_is_taken_fits(state: State, data: st.DataObject) -> None:
    spec, draw = data.draw(st.integers(0, len(state.specs) - 1)), data.draw(st.integers(0, (1 << 63) - 1))
    wanted = state.specs[spec]
    for node in state.scores("BestFit", spec):
        devices = state.devices(RANDOM, spec, node, draw) if wanted.gpu_count else ()
        assert len(devices) == wanted.gpu_count
        assert all(state.nodes[node].devices[device] >= wanted.gpu_milli for device in devices)
