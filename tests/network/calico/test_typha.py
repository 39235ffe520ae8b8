"""Typha: fan-out, limits, snapshots, and who is dropped when."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale.errors import InputError
from kscale.network.calico.parameters import values
from kscale.network.calico.typha import burst_messages, connection_limit, dropped_us, falls_behind_us, fan_out, snapshot


def test_what_typha_spares_the_api_server():
    without, found = fan_out(5000, 0), fan_out(5000, 25)
    assert (without.watches, without.events_per_change, without.messages_per_change) == (65_000, 5000, 0)
    assert (found.watches, found.events_per_change, found.messages_per_change) == (25 * 13, 25, 5000)
    assert set(found.connections.tolist()) == {200}


@pytest.mark.parametrize(
    ("nodes", "typhas", "limit"),
    [(100, 1, 10_000), (100, 3, 400), (1000, 3, 601), (5000, 3, 3001), (5000, 25, 400), (50_000, 3, 10_000)],
)
def test_limits_of_connections(nodes, typhas, limit):
    assert connection_limit(nodes, typhas) == limit


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 60_000), st.integers(1, 40))
def test_everyone_is_served_or_refused(nodes, typhas):
    found = fan_out(nodes, typhas)
    assert found.connections.sum() + found.refused == nodes
    assert found.connections.max() - found.connections.min() <= 1
    assert found.connections.max() <= found.limit <= 10_000
    # With one Typha gone, the others can take all, unless the upper limit forbids it.
    if typhas > 1 and found.limit < 10_000:
        assert found.limit * (typhas - 1) >= nodes


def test_too_many_for_the_upper_limit_are_told():
    assert fan_out(25_000, 2).refused == 5000


def test_snapshots():
    found = snapshot(100_001, 200, {"typha_object_bytes": 500, "typha_bytes_per_s": 50_000_000})
    assert (found.batches, found.bytes_each) == (1001, 50_000_500)
    assert found.last_us == 200_002_000
    assert snapshot(0, 5).last_us == 0
    assert [burst_messages(changes, 200) for changes in (0, 1, 100, 101)] == [0, 200, 200, 400]


@pytest.mark.parametrize(("comes", "taken"), [(100, 50), (10, 9), (7, 0)])
def test_a_slow_client_is_dropped_when_it_is_five_minutes_behind(comes, taken):
    now = 0
    while now - now * taken / comes < 300:
        now += 1
    assert abs(falls_behind_us(comes, taken) / 1e6 - now) <= 1
    assert falls_behind_us(5, 5) == float("inf")


def test_a_silent_client_is_dropped_at_a_ping():
    second = 1_000_000
    assert dropped_us(np.array([0, 9, 10, 69]) * second).tolist() == [
        70 * second,
        70 * second,
        80 * second,
        130 * second,
    ]
    for silent in range(0, 35, 4):
        pings = range(0, 200, 10)
        last = max(ping for ping in pings if ping <= silent)
        dropped = next(ping for ping in pings if ping - last > 60)
        assert dropped_us(np.array([silent * second])).tolist() == [dropped * second]


def test_what_cannot_be():
    with pytest.raises(InputError, match="expected"):
        fan_out(-1, 2)
    assert values()["typha_ping_us"] == 10_000_000
