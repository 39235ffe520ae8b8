"""lblc and lblcr: a destination's own endpoints, overload, a day without use, too many destinations."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kscale.network.balancing.common.inputs import Changes, Connections, Endpoints, Lives, Settings
from tests.network.balancing.twin import DAY, MINUTE
from tests.network.balancing.worlds import same


def made(arrival: Any, duration: Any, weights: list[int], destination: Any = None) -> dict[str, Any]:
    return {
        "connections": Connections(arrival, duration, destination=destination), "endpoints": Endpoints(weights),
        "changes": Changes(), "lives": Lives(), "settings": Settings(inactive_us=0, compiled=False),
    }  # fmt: skip


@pytest.mark.parametrize("name", ["lblc", "lblcr"])
def test_one_address_stays_with_one_endpoint_until_it_is_overloaded(name: str) -> None:
    calm = same(name, made(np.arange(50) * 10, [9] * 50, [1] * 4), 0)
    assert calm.connections.tolist() == [50, 0, 0, 0]
    # With weight 1 a second open connection is too many, while another endpoint has none.
    busy = same(name, made([0, 1, 2, 3], [99] * 4, [1] * 4), 0)
    assert busy.endpoint.tolist() == [0, 0, 1, 1]


def test_a_set_is_shared_and_a_replaced_endpoint_is_not() -> None:
    arrival, duration = [0, 1, 2, 20, 21, 22], [10, 10, 30, 1, 1, 1]
    replaced = same("lblc", made(arrival, duration, [1] * 4), 0)
    shared = same("lblcr", made(arrival, duration, [1] * 4), 0)
    assert replaced.endpoint.tolist() == [0, 0, 1, 1, 1, 1]
    assert shared.endpoint.tolist() == [0, 0, 1, 0, 0, 0]


def test_a_set_that_has_not_changed_for_a_day_loses_its_most_loaded_endpoint() -> None:
    arrival = [0, 1, 2, DAY, DAY + 1, 2 * DAY, 2 * DAY + 4 * MINUTE]
    result = same("lblcr", made(arrival, [9, 9, 3 * DAY, 1, 1, 1, 1], [1] * 3), 0)
    assert result.endpoint.tolist() == [0, 0, 1, 0, 0, 0, 0]


@pytest.mark.parametrize("name", ["lblc", "lblcr"])
def test_destinations_are_forgotten_where_there_are_too_many(name: str) -> None:
    """Of 17,000 destinations in seven minutes, those idle for six are cut down to below 16,384 again."""
    count = 17_000
    first = np.arange(count) * (30_000_000 // count)
    later = np.concatenate([[6 * MINUTE + 59_000_000, 7 * MINUTE + 1], 7 * MINUTE + np.arange(2, 400)])
    world = made(
        np.concatenate([first, later]), np.ones(count + 400, np.int64), [1, 2, 1],
        np.concatenate([np.arange(count), np.arange(400)]),
    )  # fmt: skip
    same(name, world, 0)
