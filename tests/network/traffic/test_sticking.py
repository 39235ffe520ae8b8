"""Affinity: clients stay where they went, as connections one by one do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale.engine.load import Constant
from kscale.network.balancing.common.inputs import Connections, Endpoints, Settings
from kscale.network.balancing.common.running import algorithm_of, balance
from kscale.network.traffic.choosing import Choice
from kscale.network.traffic.clients import Clients, Open, Stream
from kscale.network.traffic.durations import phases
from kscale.network.traffic.spreading import Segment
from kscale.network.traffic.views import BEFORE_US, Version, Where
from tests.network.traffic import plain

NOWHERE = Where(np.full(plain.NODES, -1))


def choice_of(name: str, affinity_us: int, seed: int = 4) -> Choice:
    return Choice(algorithm_of(name), plain.NODES, np.random.default_rng(seed), affinity_us, compiled=False)


def stream_of(clients: Clients, per_second: int) -> Stream:
    return Stream(Constant(per_second * 1000), clients, Open(phases(0, 0.0)))


def segment_of(begin_us: int, end_us: int, versions: list[Version], size: int, where: Where = NOWHERE) -> Segment:
    return Segment(begin_us, end_us, versions, where, np.arange(size))


@pytest.mark.parametrize("name", ["iptables", "rr", "sh", "userspace"])
@settings(deadline=None, max_examples=40)
@given(st.data())
def test_a_client_moves_only_when_its_endpoint_is_off_the_list(name: str, data: st.DataObject) -> None:
    clients = Clients(np.arange(6), np.array(data.draw(st.lists(st.integers(0, plain.NODES - 1), min_size=6,
                                                                max_size=6))))  # fmt: skip
    choice, stream = choice_of(name, 10_000_000), stream_of(clients, 10_000_000)
    gone = np.zeros(plain.ROWS, bool)
    for begin_us in range(0, 3000, 1000):
        versions, before = data.draw(plain.versions()), stream.stuck.copy()
        found = choice.spread(segment_of(begin_us, begin_us + 1000, versions, plain.ROWS), stream, gone)
        went = found.ready + found.draining
        for client, node in enumerate(clients.node.tolist()):
            lists = [plain.usable(one, node, NOWHERE) for _, _, one in
                     plain.pieces(versions, node, begin_us, begin_us + 1000)]  # fmt: skip
            if all(before[client] in one for one in lists):
                assert stream.stuck[client] == before[client]
            if stream.stuck[client] != before[client]:
                assert any(stream.stuck[client] in one for one in lists)
                assert went[stream.stuck[client]] > 0


@pytest.mark.parametrize("name", ["iptables", "rr"])
def test_a_client_that_rests_is_forgotten_as_often_as_one_by_one(name: str) -> None:
    """Every client connects once a second on average, and is remembered for a second: of e pauses one is longer."""
    clients, seconds, size = 300, 60, 40
    stream = stream_of(Clients(np.arange(clients), np.zeros(clients, np.int64)), clients)
    choice, versions = choice_of(name, 1_000_000), [plain.version(0, range(size), [BEFORE_US] * plain.NODES)]
    moved = np.zeros(clients)
    for begin_us in range(0, seconds * 1_000_000, 500_000):
        before = stream.stuck.copy()
        choice.spread(segment_of(begin_us, begin_us + 500_000, versions, size), stream, np.zeros(size, bool))
        moved += (stream.stuck != before) & (before >= 0)
    generator = np.random.default_rng(6)
    times = np.sort(generator.integers(0, seconds * 1_000_000, generator.poisson(clients * seconds)))
    client = generator.integers(0, clients, len(times))
    done = balance(
        name, Connections(times, np.zeros_like(times), client=client), Endpoints([1] * size), generator,
        settings=Settings(affinity_us=1_000_000, compiled=False),
    )  # fmt: skip
    plainly = 0
    for one in range(clients):
        plainly += int((np.diff(done.endpoint[client == one]) != 0).sum())
    assert plainly > 4000
    assert abs(moved.sum() - plainly) < 5 * np.sqrt(2 * plainly)


def test_new_clients_take_turns() -> None:
    clients = Clients(np.arange(8), np.array([0, 0, 0, 0, 0, 1, 1, 1]))
    stream, choice = stream_of(clients, 1_000_000), choice_of("rr", 10_000_000)
    versions = [plain.version(0, range(3), [BEFORE_US] * plain.NODES)]
    choice.spread(segment_of(0, 10_000, versions, 3), stream, np.zeros(3, bool))
    counts: Any = [np.bincount(stream.stuck[clients.node == node], minlength=3).tolist() for node in (0, 1)]
    assert counts == [[2, 2, 1], [1, 1, 1]]
