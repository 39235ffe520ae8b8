"""The endpoints that nodes use, for many pairs at once, as kube-proxy goes through them one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale.network.usable import Endpoints, usable
from tests.twin import usable as twin

ZONES = [0, 0, 1, -1]
READY, DRAINING, NEITHER = (True, False), (False, True), (False, False)


def endpoint(state: tuple[bool, bool], node: int, zone_hint: int = -1, node_hint: int = -1) -> twin.Endpoint:
    return twin.Endpoint(node, *state, zone_hint, node_hint)


def columns(services: list[list[twin.Endpoint]]) -> Endpoints:
    count = np.array([len(found) for found in services], np.int64)
    flat = [one for found in services for one in found]

    def column(name: str, dtype: Any = np.int64) -> Any:
        return np.array([getattr(one, name) for one in flat], dtype)

    return Endpoints(
        np.cumsum(count) - count, count, np.arange(len(flat)), column("node"), column("ready", bool),
        column("draining", bool), column("zone_hint"), column("node_hint"),
    )  # fmt: skip


def used(services: list[list[twin.Endpoint]], service: int, node: int) -> tuple[list[int], list[int]]:
    """Return the places of endpoints that a node uses with both policies."""
    endpoints = columns(services)
    found = usable(endpoints, np.array([service]), np.array([node]), np.array([ZONES[node]]))
    places = found.endpoint - endpoints.first[service]
    return places[found.cluster].tolist(), places[found.local].tolist()


@pytest.mark.parametrize(
    ("endpoints", "cluster", "local"),
    [
        ([endpoint(READY, 0), endpoint(READY, 1), endpoint(NEITHER, 0)], [0, 1], [0]),
        # Those that are being deleted serve where no ready one is left, by each policy for itself.
        ([endpoint(DRAINING, 0), endpoint(READY, 1)], [1], [0]),
        ([endpoint(DRAINING, 0), endpoint(DRAINING, 1), endpoint(NEITHER, 0)], [0, 1], [0]),
        # Hints are followed where all ready ones have some and one is for this node, or its zone.
        ([endpoint(READY, 0, 0), endpoint(READY, 1, 1)], [0], [0]),
        ([endpoint(READY, 0, 0), endpoint(READY, 1)], [0, 1], [0]),
        ([endpoint(READY, 2, 1), endpoint(READY, 2, 1)], [0, 1], []),
        ([endpoint(READY, 0, 1), endpoint(READY, 2, 0)], [1], [0]),
        ([endpoint(READY, 0, 0, 0), endpoint(READY, 1, 0, 1)], [0], [0]),
        ([endpoint(READY, 1, 0, 1), endpoint(READY, 2, 1, 2)], [0], []),
        ([endpoint(READY, 0, 0), endpoint(DRAINING, 1), endpoint(NEITHER, 2)], [0], [0]),
    ],
)  # fmt: skip
def test_what_the_first_node_uses(endpoints: list[twin.Endpoint], cluster: list[int], local: list[int]) -> None:
    assert used([[endpoint(READY, 3)], endpoints], 1, 0) == (cluster, local)


def test_a_node_without_a_zone_follows_no_hint_for_zones() -> None:
    assert used([[endpoint(READY, 0, 0), endpoint(READY, 1, 0)]], 0, 3) == ([0, 1], [])


one_ = st.builds(
    endpoint, st.sampled_from([READY, READY, DRAINING, NEITHER]), st.integers(0, 3), st.sampled_from([0, 0, 1, -1]),
    st.sampled_from([0, 1, 2, -1]),
)  # fmt: skip
zonal = st.builds(endpoint, st.just(READY), st.integers(0, 3), st.integers(0, 1), st.just(-1))


@settings(deadline=None, max_examples=150)
@given(
    st.lists(st.lists(one_, max_size=6) | st.lists(zonal, max_size=4), min_size=1, max_size=4),
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=8),
)
def test_many_pairs_at_once_as_each_by_itself(
    services: list[list[twin.Endpoint]], pairs: list[tuple[int, int]]
) -> None:
    pairs = [(service % len(services), node) for service, node in pairs]
    endpoints = columns(services)
    service, node = (np.array([pair[place] for pair in pairs], np.int64) for place in (0, 1))
    found = usable(endpoints, service, node, np.array(ZONES)[node])
    flat = [one for its in services for one in its]
    for place, (of, at) in enumerate(pairs):
        mine = found.pair == place
        cluster = [flat[row] for row in found.endpoint[mine & found.cluster].tolist()]
        local = [flat[row] for row in found.endpoint[mine & found.local].tolist()]
        assert (cluster, local) == (twin.cluster(services[of], at, ZONES[at]), twin.local(services[of], at))
