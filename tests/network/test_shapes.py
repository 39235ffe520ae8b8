"""Services in another number, and those that a trace suggests: held against loops over Services and moments."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale.network.ports import Ports
from kscale.network.shapes import Shape, endpoints_at_the_busiest

SERVICES = st.lists(st.lists(st.tuples(st.integers(0, 9), st.booleans()), min_size=1, max_size=3), max_size=8)


def made(services):
    rows = [(number, *row) for number, ports in enumerate(services) for row in ports]
    return Ports.of(
        np.array([row[1] for row in rows], np.int64), affinity=np.array([row[2] for row in rows], bool),
        service=np.array([row[0] for row in rows], np.int64),
    )  # fmt: skip


def plain(ports):
    """Return the services with their ports, one list each, in the order of rows."""
    found: dict[int, list[tuple[int, bool]]] = {}
    for service, endpoints, affinity in zip(
        ports.service.tolist(), ports.endpoints.tolist(), ports.affinity.tolist(), strict=True
    ):
        found.setdefault(service, []).append((endpoints, affinity))
    return list(found.values())


@settings(max_examples=100, deadline=None)
@given(SERVICES.filter(len), st.integers(1, 30))
def test_every_service_is_taken_equally_often(services, count):
    shape = Shape(made(services))
    assert shape.services == len(services)
    found = plain(shape.at(count))
    ordered = sorted(
        services, key=lambda ports: (sum(row[0] for row in ports), len(ports), sum(row[1] for row in ports))
    )
    # The middle of each of so many stretches.
    places = [int((Fraction(k) + Fraction(1, 2)) * len(services) / count) for k in range(count)]
    assert found == (services if count == len(services) else [ordered[place] for place in places])
    often = Counter(places)
    assert max(often.values()) - min(often[place] for place in range(len(services))) <= 1
    assert shape.at(len(services)) is shape.ports
    assert len(shape.at(0)) == 0


def test_some_of_many_services_are_like_all_of_them():
    # Every tenth as it stands would have no endpoints.
    ports = Ports.of(np.arange(1_000) % 10, affinity=np.arange(1_000) % 4 == 0)
    few = Shape(ports).at(100)
    assert few.endpoints.sum() == ports.endpoints.sum() / 10
    assert few.affinity.sum() == pytest.approx(ports.affinity.sum() / 10, abs=1)


def test_nothing_is_nothing():
    assert Shape(Ports.uniform(0, 0)).services == 0
    counts, moment = endpoints_at_the_busiest(*[np.zeros(0, np.int64)] * 3)
    assert (counts.tolist(), moment) == ([], 0)


def slow(pods):
    """Look at every moment at which something happens; the first at which most owners have pods."""
    best, found, when = -1, [], 0
    for moment in sorted({time for _, start, end in pods for time in (start, end)}):
        there = Counter(owner for owner, start, end in pods if start <= moment < end)
        if len(there) > best:
            best, found, when = len(there), [there[owner] for owner in sorted(there)], moment
    return found, when


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 12), st.integers(0, 8)), min_size=1, max_size=25))
def test_the_busiest_moment_is_that_of_a_look_at_each(pods):
    pods = [(owner, start, start + lasts) for owner, start, lasts in pods]
    columns = (np.array(column, np.int64) for column in zip(*pods, strict=True))
    counts, moment = endpoints_at_the_busiest(*columns)
    assert (counts.tolist(), moment) == slow(pods)


def test_pods_that_never_end_stay():
    never = np.iinfo(np.int64).max
    counts, moment = endpoints_at_the_busiest(
        np.array([0, 0, 1, 2]), np.array([0, 5, 5, 9]), np.array([never, never, never, never])
    )
    assert (counts.tolist(), moment) == ([2, 1, 1], 9)
