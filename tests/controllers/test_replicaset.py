"""The ReplicaSet controller, by the figures of its upstream tests."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kscale.controllers.common.ranking import deletion_order
from kscale.engine.objects import PENDING, RUNNING_PHASE, UNKNOWN_PHASE
from kscale.engine.pods import QUEUED, RUNNING
from tests.controllers.world import Hand


def test_as_many_pods_as_asked_for() -> None:
    hand = Hand("replicaset")
    one = hand.make("ReplicaSet", "web", replicas=3, template=2)
    hand.settle()
    assert len(hand.pods(one)) == 3
    assert (hand.read(one, "status_replicas"), hand.read(one, "ready_replicas")) == (3, 0)
    hand.run(*hand.pods(one))
    hand.settle()
    assert hand.read(one, "available_replicas") == 3
    hand.write(one, replicas=1)
    hand.settle()
    assert len(hand.active(one)) == 1
    assert len(hand.pods(one)) == 3
    hand.stopped()
    hand.settle()
    assert len(hand.pods(one)) == 1


@pytest.mark.parametrize(("replicas", "most"), [(1200, 500)])
def test_a_burst_is_500(replicas: int, most: int) -> None:
    hand = Hand("replicaset")
    one = hand.make("ReplicaSet", "web", replicas=replicas, template=0)
    hand.look()
    assert len(hand.pods(one)) == most
    hand.settle()
    assert len(hand.pods(one)) == replicas


def test_twenty_calls_a_second_after_thirty_at_once() -> None:
    hand = Hand("replicaset", limited=True)
    one = hand.make("ReplicaSet", "web", replicas=100, template=0)
    hand.wait(1)
    assert len(hand.pods(one)) == 30
    hand.wait(1_000_000)
    assert len(hand.pods(one)) == 50
    hand.wait(2_500_000)
    assert len(hand.pods(one)) == 100
    assert np.array_equal(np.unique(hand.cluster.pod_arrived_us[hand.pods(one)][30:] % 50_000), [0])


NOW = 1_000_000_000_000_000
HOUR = 3_600_000_000
#: States of pods: unscheduled, scheduled and pending, running and not ready, ready.
UNSCHEDULED: dict[str, int] = {"node": -1, "phase": PENDING}
SCHEDULED: dict[str, int] = {"node": 0, "phase": PENDING}
UNKNOWN: dict[str, int] = {"node": 0, "phase": UNKNOWN_PHASE}
NOT_READY: dict[str, int] = {"node": 0, "phase": RUNNING_PHASE}
READY: dict[str, int] = {**NOT_READY, "ready": 1, "ready_us": NOW}


def pods_like(hand: Hand, owner: int, states: list[dict[str, int]]) -> list[int]:
    """Give the pods of an owner these states, in their order."""
    pods = hand.pods(owner)
    for place, (pod, state) in enumerate(zip(pods, states, strict=True)):
        columns = {name: value for name, value in state.items() if name not in ("created", "cost")}
        hand.change(pod, **{"ready": 0, "ready_us": -1, "state": RUNNING if state["node"] >= 0 else QUEUED, **columns})
        hand.cluster.pod_arrived_us[pod] = state.get("created", NOW)
        hand.cluster.pod_template[pod] = place
        hand.cluster.template_deletion_cost[place] = state.get("cost", 0)
    return pods


def siblings(states: list[dict[str, int]], related: list[int] | None) -> tuple[Hand, int, list[int]]:
    """Return a ReplicaSet with pods in these states, and these; on the nodes ``related`` a sibling has ready pods."""
    hand = Hand("replicaset")
    hand.now = NOW
    top = hand.make("Deployment", "web", replicas=1)
    one = hand.make("ReplicaSet", "a", owner=top, replicas=len(states), template=0)
    other = hand.make("ReplicaSet", "b", owner=top, replicas=len(related or ()), template=0)
    hand.settle()
    pods_like(hand, other, [{**READY, "node": node} for node in related or ()])
    pods = pods_like(hand, one, states)
    hand.settle()
    return hand, one, pods


def deleted(states: list[dict[str, int]], count: int, related: list[int] | None = None) -> list[int]:
    """Return which pods (places) go when ``count`` do."""
    hand, one, pods = siblings(states, related)
    hand.write(one, replicas=len(states) - count)
    hand.look()
    left = hand.active(one)
    return [place for place, pod in enumerate(pods) if pod not in left]


@pytest.mark.parametrize(
    ("states", "count", "gone"),
    [
        ([READY, NOT_READY], 1, [1]),
        ([SCHEDULED, UNSCHEDULED], 1, [1]),
        ([READY, NOT_READY, NOT_READY], 2, [1, 2]),
        ([NOT_READY, SCHEDULED], 1, [1]),
        ([READY, UNSCHEDULED, NOT_READY, SCHEDULED, READY], 3, [1, 2, 3]),
        ([READY, NOT_READY], 2, [0, 1]),
    ],
)
def test_which_pods_go(states: list[dict[str, int]], count: int, gone: list[int]) -> None:
    assert deleted(states, count) == gone


def test_the_pod_goes_that_has_more_relatives_on_its_node() -> None:
    assert deleted([{**READY, "node": 1}, {**READY, "node": 2}], 1, related=[1, 2, 2]) == [1]
    assert deleted([{**READY, "node": 2}, {**READY, "node": 1}], 1, related=[1, 2, 2]) == [0]


def ordered(states: list[dict[str, int]], related: list[int] | None = None) -> list[int]:
    """Return the places of pods in the order in which they would go."""
    hand, _, pods = siblings(states, related)
    return deletion_order(hand.world, np.array(pods), np.zeros(len(pods), np.int64), NOW).tolist()


def test_the_order_of_active_pods() -> None:
    """By each rule in turn; the sidecar that restarted twice is not told from a container here."""
    month = 30 * 24 * HOUR
    states: list[dict[str, Any]] = [
        UNSCHEDULED, SCHEDULED, UNKNOWN, NOT_READY, {**READY, "ready_us": -1}, READY,
        {**READY, "ready_us": NOW - HOUR, "restarts": 3, "created": NOW - HOUR},
        {**READY, "ready_us": NOW - HOUR, "restarts": 2, "created": NOW - HOUR},
        {**READY, "ready_us": NOW - HOUR, "restarts": 0, "created": NOW - HOUR},
        {**READY, "ready_us": NOW - HOUR, "restarts": 0, "created": NOW - month},
    ]  # fmt: skip
    assert ordered(states) == list(range(10))
    assert ordered(states[::-1]) == list(range(10))[::-1]


@pytest.mark.parametrize(
    ("first", "second", "related"),
    [
        ({**UNSCHEDULED}, {**SCHEDULED}, [0, 0]),
        ({**READY, "node": 1}, {**READY, "node": 2, "restarts": 9}, [1]),
        ({**READY, "node": 1, "created": NOW - HOUR}, {**READY, "node": 2}, [1]),
        (READY, {**READY, "ready_us": NOW - 720 * HOUR}, []),
        ({**READY, "restarts": 9001}, {**READY, "created": NOW - HOUR}, []),
        ({**READY, "cost": 10, "node": 2}, {**READY, "cost": 100, "node": 1}, [1, 1]),
        ({**READY, "ready_us": NOW - 2 * HOUR}, {**READY, "ready_us": NOW - 5 * HOUR}, []),
    ],
)
def test_one_goes_before_the_other(first: dict[str, int], second: dict[str, int], related: list[int]) -> None:
    assert ordered([first, second], related) == [0, 1]
    assert ordered([second, first], related) == [1, 0]


@pytest.mark.parametrize("what", ["ready_us", "created"])
def test_five_and_eight_hours_are_the_same(what: str) -> None:
    """Ages are compared in powers of two; the pod that came later goes first then."""
    states = [{**READY, what: NOW - hours * HOUR} for hours in (5, 8)]
    assert ordered(states) == [1, 0]
    assert ordered(states[::-1]) == [1, 0]


def test_stopped_and_started_again_it_makes_up_for_what_it_missed() -> None:
    hand = Hand("replicaset")
    one = hand.make("ReplicaSet", "web", replicas=3, template=2)
    hand.settle()
    hand.manager.reconcilers["replicaset"].stopped = True
    hand.delete(hand.pods(one)[0])
    hand.write(one, replicas=5)
    hand.settle()
    assert len(hand.pods(one)) == 2
    hand.restart("replicaset")
    hand.settle()
    assert len(hand.pods(one)) == 5
    assert hand.read(one, "status_replicas") == 5


def test_a_replication_controller_does_the_same() -> None:
    hand = Hand("replicationcontroller")
    one = hand.make("ReplicationController", "web", replicas=2, template=1)
    hand.settle()
    hand.write(one, replicas=1)
    hand.settle()
    assert (len(hand.pods(one)), hand.read(one, "status_replicas")) == (1, 1)


def test_where_all_go_none_comes_first() -> None:
    """Calls that have to wait go by the age of the pods then, whatever their states."""
    hand = Hand("replicaset", limited=True)
    one = hand.make("ReplicaSet", "web", replicas=40, template=0)
    hand.wait(60_000_000)
    pods = hand.pods(one)
    hand.run(*pods[::2])
    hand.write(one, replicas=0)
    hand.wait(1)
    assert [pod for pod in pods if pod not in hand.active(one)] == pods[:30]
    hand.wait(60_000_000)
    assert not hand.active(one)
