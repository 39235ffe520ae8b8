"""Connection by connection: segments one after another are what one balancing of all of it is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale.engine.load import Constant, Points
from kscale.network.balancing.common.inputs import Changes, Connections, Endpoints, Lives, Settings
from kscale.network.balancing.common.running import algorithm_of, balance
from kscale.network.traffic.clients import Clients, Open, Stream
from kscale.network.traffic.durations import phases
from kscale.network.traffic.spreading import Segment
from kscale.network.traffic.stepping import Stepping, _Drawn
from kscale.network.traffic.views import BEFORE_US, NEVER_US, Version, Where
from tests.network.traffic import plain

NAMES = ["lc", "wlc", "sed", "nq", "lblc", "lblcr"]
SIZE, LENGTH, SEGMENTS = 6, 1000, 4
NOWHERE = Where(np.full(1, -1))


def stream_of(clients: Clients, millis: int = 1) -> Stream:
    return Stream(Constant(millis), clients, Open(phases(0, 0.0)))


@st.composite
def stories(draw: st.DrawFn) -> tuple[list[list[int]], list[int], list[int], list[tuple[int, int, int]]]:
    """Lists of endpoints, when the node has each, when each endpoint dies (a segment), connections of one node."""
    lists = [sorted(draw(st.sets(st.integers(0, SIZE - 1), min_size=1))) for _ in range(draw(st.integers(1, 5)))]
    seen = sorted(draw(st.lists(st.integers(0, SEGMENTS * LENGTH - 1), min_size=len(lists) - 1,
                                max_size=len(lists) - 1, unique=True)))  # fmt: skip
    dies = draw(st.lists(st.sampled_from([1, 2, SEGMENTS, SEGMENTS]), min_size=SIZE, max_size=SIZE))
    one = st.tuples(st.integers(0, SEGMENTS * LENGTH - 1), st.integers(0, 1500), st.integers(0, 3))
    return lists, seen, dies, sorted(draw(st.lists(one, max_size=60)))


@pytest.mark.parametrize("affinity_us", [0, 700])
@pytest.mark.parametrize("name", NAMES)
@settings(deadline=None, max_examples=40)
@given(stories())
def test_segments_add_up_to_one_balancing(name: str, affinity_us: int, story: Any) -> None:
    lists, seen, dies, connections = story
    arrival, duration, client = np.array(connections, np.int64).reshape(-1, 3).T
    whole = _at_once(name, affinity_us, story)
    made = Stepping(algorithm_of(name), np.random.default_rng(1), affinity_us, compiled=False)
    stream = stream_of(Clients(np.array([7]), np.array([0])))
    versions: list[Version] = [
        plain.version(number, rows, [BEFORE_US if number == 0 else seen[number - 1]])
        for number, rows in enumerate(lists)
    ]
    targets, rows = [], np.empty(0, np.int64)
    for number in range(SEGMENTS):
        begin, end = number * LENGTH, (number + 1) * LENGTH
        within = (arrival >= begin) & (arrival < end)
        listed = {row for one, first in zip(lists, [-1, *seen], strict=True) if first < end for row in one}
        # Those that are dead and on no list from now on are forgotten, as a Service forgets them.
        ends = [*seen, SEGMENTS * LENGTH]
        used = {row for one, last in zip(lists, ends, strict=True) if last > begin for row in one}
        rows = np.array(sorted(row for row in listed if row in used or dies[row] > number), np.int64)
        known = [one for one, last in zip(versions, ends, strict=True) if one.seen_us[0] < end and last > begin]
        drawn = _Drawn(arrival[within], duration[within], client[within], np.zeros(int(within.sum()), np.int64))
        made._draw = lambda segment, streams, node, drawn=drawn: drawn  # type: ignore[method-assign]
        segment = Segment(begin, end, known, NOWHERE, rows)
        gone = np.array([dies[row] <= number for row in rows.tolist()])
        (found,) = made.spread(segment, [stream], gone)
        targets.append(rows[made._sessions[0].columns["connection_endpoint"]])
        assert found.refused == 0
        assert (found.ready + found.draining).tolist() == [int((targets[-1] == row).sum()) for row in rows.tolist()]
    assert np.concatenate(targets).tolist() == whole.tolist()


def _at_once(name: str, affinity_us: int, story: Any) -> Any:
    """Return where one balancing sends all connections."""
    lists, seen, dies, connections = story
    arrival, duration, client = np.array(connections, np.int64).reshape(-1, 3).T
    weights = [np.isin(np.arange(SIZE), rows).astype(int) for rows in lists]
    changes = [
        (at, row, int(weights[number + 1][row]))
        for number, at in enumerate(seen) for row in np.flatnonzero(weights[number] != weights[number + 1]).tolist()
    ]  # fmt: skip
    time, endpoint, weight = np.array(changes, np.int64).reshape(-1, 3).T
    mortal = [row for row in range(SIZE) if dies[row] < SEGMENTS]
    done = balance(
        name, Connections(arrival, duration, client=client), Endpoints(weights[0]), np.random.default_rng(1),
        changes=Changes(time, endpoint, weight),
        lives=Lives(np.array(mortal, np.int64), np.zeros(len(mortal), np.int64),
                    np.array([dies[row] * LENGTH for row in mortal], np.int64)),
        settings=Settings(affinity_us=affinity_us, compiled=False),
    )  # fmt: skip
    return done.endpoint


def test_times_follow_the_rate() -> None:
    clients = Clients(np.array([3, 4, 5]), np.array([0, 0, 1]))
    curve = Points(((0, 0), (500_000, 6_000_000)))
    stream = Stream(curve, clients, Open(phases(10_000, 2.0)))
    made = Stepping(algorithm_of("lc"), np.random.default_rng(2), 0, compiled=False)
    segment = Segment(0, 1_000_000, [plain.version(0, [0], [BEFORE_US] * 2)], Where(np.full(2, -1)), np.array([0]))
    drawn = made._draw(segment, [stream], 0)
    # Half a second of 6,000 a second, of which two of three clients are here.
    assert abs(len(drawn.arrival_us) - 2000) < 5 * np.sqrt(2000)
    assert drawn.arrival_us.min() > 480_000
    assert (np.diff(drawn.arrival_us) >= 0).all()
    assert set(drawn.client.tolist()) == {3, 4}
    assert 8_000 < drawn.duration_us.mean() < 13_000


def test_without_endpoints_all_is_refused() -> None:
    made = Stepping(algorithm_of("lc"), np.random.default_rng(2), 0, compiled=False)
    stream = stream_of(Clients(np.array([3]), np.array([0])), 1_000_000)
    late = plain.version(1, [0], [NEVER_US])
    segment = Segment(0, 100_000, [plain.version(0, [], [BEFORE_US]), late], NOWHERE, np.array([0]))
    (found,) = made.spread(segment, [stream], np.array([False]))
    assert found.refused > 50
    assert found.ready.sum() == found.draining.sum() == 0
