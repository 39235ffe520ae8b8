"""A Service from change to change, by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from kscale.engine.flows import Flow
from kscale.engine.load import Constant, Points
from kscale.network.balancing.common.running import algorithm_of
from kscale.network.traffic.choosing import Choice
from kscale.network.traffic.clients import Clients
from kscale.network.traffic.endpoints import GONE, NOT_READY, SERVES, TERMINATING
from kscale.network.traffic.service import Listing, Served
from kscale.network.traffic.views import BEFORE_US, Where

SECOND, NODES = 1_000_000, 4
KEY = (None, ("Service", "default", "web"))
ALL = Clients(np.arange(NODES), np.arange(NODES))


def listing(serials: Sequence[int], going: Sequence[int] = (), state: int = SERVES) -> Listing:
    """Ready endpoints; those that are ``going`` drain."""
    count = len(serials)
    drains = np.isin(serials, going)
    any_ = np.full(count, -1)
    states = np.where(drains, TERMINATING, state)
    return Listing(
        np.array(serials, np.int64), np.array(serials, np.int64) % NODES, ~drains, drains, any_, any_, states
    )


def served(
    name: str = "iptables", seed: int = 1, *, local: bool = False, affinity_us: int = 0, compiled: bool = False
) -> Served:  # fmt: skip
    choice = Choice(algorithm_of(name), NODES, np.random.default_rng(seed), affinity_us, compiled)
    return Served(choice, Where(np.full(NODES, -1), local), 10 * SECOND)


def after(*seconds: float) -> Any:
    return np.array([round(one * SECOND) for one in seconds])


def flow(per_second: float, duration_us: int = 0, tail: float = 0.0) -> Flow:
    return Flow(Constant(round(per_second * 1000)), duration_us, tail)


ROLLING = after(22, 22.5, 23, 23.5)


def roll(made: Served) -> Served:
    """Pod 1 of 0 to 3 is asked to go at 21 s, is told of at 21.1 s, known by nodes up to 23.5 s, ends at 23 s."""
    made.list_endpoints(listing([0, 1, 2, 3]), 0, np.full(NODES, BEFORE_US))
    made.flow(KEY, flow(1000, 200_000), ALL, 5 * SECOND)
    made.advance(15 * SECOND)
    made.tell_states(np.array([1]), np.array([TERMINATING]), 21 * SECOND)
    made.list_endpoints(listing([0, 1, 2, 3], going=[1]), 21_100_000, ROLLING)
    made.tell_states(np.array([1]), np.array([GONE]), 23 * SECOND)
    made.list_endpoints(listing([0, 2, 3]), 24 * SECOND, ROLLING + 3 * SECOND)
    return made


@pytest.mark.parametrize("name", ["iptables", "rr", "mh", "lc", "lblc"])
def test_connections_go_wrong_only_between_the_end_and_the_rules(name: str) -> None:
    outcome = roll(served(name)).finish(60 * SECOND)
    assert [step.time_us // SECOND for step in outcome.steps] == [0, 10, 20, 30, 40, 50]
    wrong = [step.terminating + step.not_ready + step.gone for step in outcome.steps]
    assert [count > 0 for count in wrong] == [False, False, True, False, False, False]
    (stale,) = outcome.stale
    assert (stale.serial, stale.why, stale.since_us, stale.until_us, stale.nodes) == (
        1, TERMINATING, 21 * SECOND, 23_500_000, NODES
    )  # fmt: skip
    assert (stale.terminating, stale.gone) == (outcome.steps[2].terminating, outcome.steps[2].gone)
    if name in ("iptables", "rr"):
        # 1000 a second over four nodes and four endpoints: while it ends, nodes have it for 1, 1.5, 2 and 2 s of 2 s,
        # and the last node for half a second more.
        for count, seconds in ((stale.terminating, 6.5), (stale.gone, 0.5)):
            mean = 1000 / 4 / 4 * seconds
            assert abs(count - mean) < 5 * np.sqrt(mean)


def test_all_connections_are_somewhere() -> None:
    outcome = roll(served()).finish(60 * SECOND)
    shares = sum(share.connections for share in outcome.shares)
    assert sum(step.connections - step.refused for step in outcome.steps) == shares
    assert abs(shares - 55_000) < 5 * np.sqrt(55_000)
    (gone,) = [share for share in outcome.shares if share.last_us is not None]
    assert (gone.serial, gone.first_us, gone.last_us) == (1, 0, 26_500_000)


def test_what_was_open_is_cut_off() -> None:
    outcome = roll(served()).finish(60 * SECOND)
    cut = [step.cut for step in outcome.steps]
    # It had fewer and fewer: of the last node alone, 62.5 a second for 0.2 s each.
    assert cut[2] > 0
    assert sum(cut) == cut[2] == outcome.stale[0].cut
    # Little's law: 1000 a second for 0.2 s each.
    assert all(100 < step.open < 320 for step in outcome.steps)


def test_how_even_a_step_is() -> None:
    step = roll(served("rr")).finish(60 * SECOND).steps[1]
    assert step.even == 4
    assert step.shared == step.connections
    # Each node takes turns: endpoints differ by one each at most.
    assert step.most - step.shared / 4 <= NODES
    assert step.squares >= step.shared**2 / 4


def test_without_an_endpoint_connections_are_refused() -> None:
    made = served()
    made.flow(KEY, flow(100), ALL, 0)
    made.list_endpoints(listing([0]), 20 * SECOND, after(22, 22, 24, 24))
    outcome = made.finish(40 * SECOND)
    first, second, third, _ = outcome.steps
    assert first.refused == first.connections > 800
    assert second.refused == second.connections
    assert 0 < third.refused < third.connections
    assert abs(third.refused - 100 * (2 + 4) / 2) < 100


def test_one_that_drains_is_used_where_no_other_is_left() -> None:
    made = served()
    made.list_endpoints(listing([0]), 0, np.full(NODES, BEFORE_US))
    made.flow(KEY, flow(100), ALL, 0)
    made.tell_states(np.array([0]), np.array([TERMINATING]), 10 * SECOND)
    made.list_endpoints(listing([0], going=[0]), 10 * SECOND, np.full(NODES, 12 * SECOND))
    made.tell_states(np.array([0]), np.array([GONE]), 30 * SECOND)
    made.list_endpoints(listing([]), 31 * SECOND, np.full(NODES, 33 * SECOND))
    outcome = made.finish(60 * SECOND)
    # Rules have it as ready for 2 s; then it is used on purpose, until it ends 3 s before rules know.
    told = [(step.terminating > 0, step.gone > 0, step.refused > 0) for step in outcome.steps]
    assert told == [
        (False, False, False), (True, False, False), (False, False, False), (False, True, True),
        (False, False, True), (False, False, True),
    ]  # fmt: skip
    (stale,) = outcome.stale
    assert (stale.since_us, stale.until_us) == (10 * SECOND, 33 * SECOND)
    assert abs(stale.terminating - 200) < 75
    assert abs(stale.gone - 300) < 90


def test_one_that_is_ready_again_was_stale_until_then() -> None:
    made = served()
    made.list_endpoints(listing([0, 1]), 0, np.full(NODES, BEFORE_US))
    made.flow(KEY, flow(100), ALL, 0)
    made.tell_states(np.array([0]), np.array([NOT_READY]), 10 * SECOND)
    made.tell_states(np.array([0]), np.array([SERVES]), 12 * SECOND)
    (stale,) = made.finish(20 * SECOND).stale
    assert (stale.why, stale.since_us, stale.until_us) == (NOT_READY, 10 * SECOND, 12 * SECOND)
    assert stale.not_ready > 50


def test_what_is_stale_at_the_end_has_no_end() -> None:
    made = served()
    made.list_endpoints(listing([0, 1]), 0, np.full(NODES, BEFORE_US))
    made.flow(KEY, flow(100), ALL, 0)
    made.tell_states(np.array([0]), np.array([GONE]), 10 * SECOND)
    outcome = made.finish(20 * SECOND)
    assert [(one.since_us, one.until_us) for one in outcome.stale] == [(10 * SECOND, None)]
    assert all(share.last_us is None for share in outcome.shares)


def test_local_traffic_stays_on_its_node() -> None:
    made = served(local=True)
    made.list_endpoints(listing([1, 5]), 0, np.full(NODES, BEFORE_US))
    made.flow(KEY, flow(1000), Clients(np.array([10, 11, 12, 13]), np.array([1, 1, 1, 2])), 0)
    outcome = made.finish(20 * SECOND)
    for step in outcome.steps:
        assert abs(step.refused - step.connections / 4) < 250
    assert all(share.connections > 5000 for share in outcome.shares)


def test_flows_come_change_and_go() -> None:
    made = served()
    made.list_endpoints(listing([0]), 0, np.full(NODES, BEFORE_US))
    made.flow(KEY, Flow(Points(((0, 0), (15 * SECOND, 100_000)))), ALL, 0)
    made.change_clients({KEY: Clients(np.array([5]), np.array([2]))}, 18 * SECOND)
    made.change_clients({KEY: Clients(np.empty(0, np.int64), np.empty(0, np.int64))}, 19 * SECOND)
    made.change_clients({KEY: ALL}, 30 * SECOND)
    made.flow(KEY, None, ALL, 35 * SECOND)
    outcome = made.finish(100 * SECOND)
    counts = [step.connections for step in outcome.steps]
    assert len(counts) == 3
    assert counts[0] == counts[2] == 0
    assert abs(counts[1] - 400) < 100
    assert abs(outcome.shares[0].connections - 400 - 500) < 150


@pytest.mark.compiled
@pytest.mark.parametrize("affinity_us", [0, 2 * SECOND])
@pytest.mark.parametrize("name", ["mh", "lc", "lblcr"])
def test_compiled_code_gives_the_same(name: str, affinity_us: int) -> None:
    plain, compiled = (
        roll(served(name, affinity_us=affinity_us, compiled=how)).finish(30 * SECOND) for how in (False, True)
    )
    assert plain == compiled


@pytest.mark.parametrize("name", ["nftables", "rr", "sh", "wlc"])
def test_the_same_seed_gives_the_same(name: str) -> None:
    assert roll(served(name)).finish(60 * SECOND) == roll(served(name)).finish(60 * SECOND)
    other = roll(served(name, seed=2)).finish(60 * SECOND)
    assert other != roll(served(name)).finish(60 * SECOND)


def test_what_is_over_is_forgotten() -> None:
    made = served()
    made.flow(KEY, flow(10, 100_000, 1.5), ALL, 0)
    for turn in range(200):
        now_us = turn * SECOND
        made.advance(now_us)
        made.list_endpoints(listing([turn, turn + 1]), now_us, np.full(NODES, now_us))
        made.tell_states(np.array([turn]), np.array([GONE]), now_us + SECOND // 2)
    assert len(made.endpoints) < 5
    assert len(made.versions) < 4
    assert len({share.serial for share in made.finish(200 * SECOND).shares}) == 201
