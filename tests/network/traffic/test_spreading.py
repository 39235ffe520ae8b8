"""Spreading: what is drawn for many connections at once is what they come to one by one."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale.engine.load import Constant
from kscale.network.balancing.common.inputs import Changes, Connections, Endpoints, Lives, Settings
from kscale.network.balancing.common.running import algorithm_of, balance
from kscale.network.traffic import spreading
from kscale.network.traffic.clients import Clients, Open, Stream
from kscale.network.traffic.durations import phases
from kscale.network.traffic.spreading import Hash, Segment, Turns
from kscale.network.traffic.views import BEFORE_US, Version, Where, spans
from tests.network.traffic import plain

NOWHERE = Where(np.full(plain.NODES, -1))
WHERES = st.builds(
    lambda zones, local: Where(np.array(zones), local),
    st.lists(st.sampled_from([-1, 0, 1]), min_size=plain.NODES, max_size=plain.NODES), st.booleans(),
)  # fmt: skip


def stream_of(clients: Clients, millis: int = 1_000_000) -> Stream:
    return Stream(Constant(millis), clients, Open(phases(0, 0.0)))


def segment_of(versions: list[Version], where: Where = NOWHERE, begin_us: int = 100, end_us: int = 900) -> Segment:
    return Segment(begin_us, end_us, versions, where, np.arange(plain.ROWS))


class Given:
    """A generator whose Poisson draws are given, one list after the other."""

    def __init__(self, draws: list[list[int]]) -> None:
        self.draws = draws

    def poisson(self, means: Any) -> Any:
        return np.where(np.asarray(means) > 0, np.array(self.draws.pop(0)), 0)


@settings(deadline=None)
@given(plain.versions())
def test_nodes_go_by_the_latest_version_that_they_have(versions: list[Version]) -> None:
    begin, end = spans(versions, np.arange(plain.NODES), 100, 900)
    for node in range(plain.NODES):
        held: Counter[int] = Counter()
        for low, high, version in plain.pieces(versions, node, 100, 900):
            held[version.serial] += high - low
        assert {one.serial: held[one.serial] for one in versions} == {
            one.serial: int(end[row, node] - begin[row, node]) for row, one in enumerate(versions)
        }


@settings(deadline=None, max_examples=120)
@given(plain.versions(), plain.clients(), WHERES)
def test_means_of_a_random_choice(versions: list[Version], clients: Clients, where: Where) -> None:
    found, refused = spreading.evenly(segment_of(versions, where), stream_of(clients))
    wanted, lost = np.zeros((2, plain.ROWS)), 0.0
    for node in clients.node.tolist():
        for low, high, version in plain.pieces(versions, node, 100, 900):
            expected = (high - low) * 1e-3 / len(clients.node)
            rows = plain.usable(version, node, where)
            for row in rows:
                ready = bool(version.ready[np.flatnonzero(version.row == row)[0]])
                wanted[0 if ready else 1, row] += expected / len(rows)
            lost += 0.0 if rows else expected
    np.testing.assert_allclose(found.ready, wanted[0], atol=1e-12)
    np.testing.assert_allclose(found.draining, wanted[1], atol=1e-12)
    assert abs(refused - lost) < 1e-12


@settings(deadline=None, max_examples=120)
@given(st.data(), plain.versions(), plain.clients(), WHERES, st.booleans())
def test_turns_are_taken_one_by_one(
    data: st.DataObject, versions: list[Version], clients: Clients, where: Where, dials: bool
) -> None:
    nodes = clients.nodes.tolist()
    draws = [data.draw(st.lists(st.integers(0, 12), min_size=len(nodes), max_size=len(nodes))) for _ in versions]
    gone = np.array(data.draw(st.lists(st.booleans(), min_size=plain.ROWS, max_size=plain.ROWS)))
    begun = data.draw(st.lists(st.integers(0, plain.ROWS), min_size=plain.NODES, max_size=plain.NODES))
    turns = Turns(np.array(begun), dials, np.full(plain.NODES, -1) if dials else None)
    begin, end = spans(versions, clients.nodes, 100, 900)
    wanted, refused, turn = np.zeros(plain.ROWS, np.int64), 0, list(begun)
    for number, version in enumerate(versions):
        for place, node in enumerate(nodes):
            count = draws[number][place] if end[number, place] > begin[number, place] else 0
            rows = plain.usable(version, node, where)
            if dials and count:
                turn[node] = 0
                rows = [row for row in rows if not gone[row]] or rows
            for _ in range(count):
                if not rows:
                    refused += 1
                    continue
                row = next((one for one in rows if one >= turn[node]), rows[0])
                wanted[row] += 1
                turn[node] = row + 1
    found = spreading.in_turn(
        segment_of(versions, where), stream_of(clients), Given([list(one) for one in draws]), turns, gone  # type: ignore[arg-type]
    )  # fmt: skip
    assert (found.ready + found.draining).tolist() == wanted.tolist()
    assert found.refused == refused
    used = [node for node in nodes if turn[node] != begun[node]]
    assert [turns.row[node] for node in used] == [turn[node] for node in used]


@pytest.mark.parametrize("name", ["sh", "mh", "dh"])
def test_hashes_send_a_client_where_ipvs_does(name: str) -> None:
    clients = Clients(np.arange(50) * 7 + 3, np.arange(50) % plain.NODES)
    versions = [plain.version(0, [0, 1, 2, 4], [BEFORE_US] * plain.NODES)]
    draws, hash_ = np.arange(50) % 5, Hash(algorithm_of(name), compiled=False)
    generator: Any = Given([draws.tolist()])
    found = spreading.by_hash(segment_of(versions), stream_of(clients), generator, hash_)
    client = np.repeat(clients.serial, draws)
    zeros = np.zeros(len(client), np.int64)
    done = balance(name, Connections(zeros, zeros, client=client), Endpoints([1] * 4), np.random.default_rng(3),
                   settings=Settings(compiled=False))  # fmt: skip
    assert found.ready.tolist() == np.insert(np.bincount(done.endpoint, minlength=4), 3, 0).tolist()


def test_a_random_choice_loses_what_connections_one_by_one_lose() -> None:
    """An endpoint of ten is dead from 0.2 s on, and off the list of one node at 0.5 s, of the other at 0.8 s."""
    rate, seen = 10_000, [500_000, 800_000]
    versions = [plain.version(0, range(10), [BEFORE_US] * 2), plain.version(1, range(1, 10), seen)]
    stream = stream_of(Clients(np.array([7, 8]), np.array([0, 1])), rate * 1000)
    generator = np.random.default_rng(11)
    after = Segment(200_000, 1_000_000, versions, Where(np.full(2, -1)), np.arange(10))
    drawn = np.array([spreading.at_random(after, stream, generator).ready for _ in range(200)])
    lost = []
    for node in (0, 1):
        for _ in range(20):
            times = np.sort(generator.integers(200_000, 1_000_000, generator.poisson(0.8 * rate / 2)))
            done = balance(
                "iptables", Connections(times, np.zeros_like(times)), Endpoints([1] * 10), generator,
                changes=Changes([seen[node]], [0], [-1]), lives=Lives([0], [0], [200_000]),
            )  # fmt: skip
            lost.append(int(done.lost[0]))
    one_by_one = np.mean(lost[:20]) + np.mean(lost[20:])
    mean = rate / 2 / 10 * (0.3 + 0.6)
    assert abs(drawn[:, 0].mean() - mean) < 4 * np.sqrt(mean / 200)
    assert abs(one_by_one - mean) < 4 * np.sqrt(mean / 20)
    # Counts vary as those of a Poisson process do, and do not move together.
    assert 0.75 < drawn[:, 0].var() / mean < 1.3
    assert abs(np.corrcoef(drawn[:, 0], drawn[:, 5])[0, 1]) < 0.25
