"""The ReplicaSet controller, by the figures of its upstream tests."""

from __future__ import annotations

import numpy as np
import pytest

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
