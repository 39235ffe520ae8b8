"""Creations that the API server refuses: one call by slow start, the condition, the back-off, and what is counted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.controllers.world import Hand

SECOND = 1_000_000
REFUSED = 1


def refusing(*names: str, limited: bool = False) -> Hand:
    """A world that refuses the pods of one template."""
    hand = Hand(*names, limited=limited)
    hand.cluster.template_refused[REFUSED] = 1
    return hand


def let_in(hand: Hand) -> None:
    hand.cluster.template_refused[REFUSED] = 0


def calls(hand: Hand, controller: str) -> tuple[int, int]:
    one = hand.manager.reconcilers[controller]
    return one.calls, one.errors


@pytest.mark.parametrize("limited", [False, True])
def test_a_replica_set_tries_one_pod_and_says_that_it_failed(limited: bool) -> None:
    hand = refusing("replicaset", limited=limited)
    one = hand.make("ReplicaSet", "web", replicas=10, template=REFUSED)
    hand.look()
    # Of ten creations only the first batch is sent; the second call writes the status.
    assert calls(hand, "replicaset") == (2, 1)
    assert (hand.read(one, "replica_failure"), hand.pods(one)) == (1, [])
    assert (hand.cluster.object_refused_pods[one], hand.cluster.object_refused_template[one]) == (1, REFUSED)
    hand.wait(100 * SECOND)
    # The status that was written brings a second look at once; then 5 ms, 20, 40 and so on, the last after 81.9 s.
    assert calls(hand, "replicaset") == (16, 15)
    let_in(hand)
    hand.wait(300 * SECOND)
    assert (hand.read(one, "replica_failure"), len(hand.pods(one))) == (0, 10)
    assert hand.cluster.object_refused_pods[one] == 15


def test_a_deployment_says_so_too_until_a_template_that_is_let_in() -> None:
    hand = refusing("deployment", "replicaset")
    top = hand.make("Deployment", "web", replicas=4, template=REFUSED, content=1, surge=1, unavailable=1)
    hand.wait(SECOND)
    assert hand.read(top, "replica_failure") == 1
    hand.write(top, template=0, content=0)
    for _ in range(6):
        hand.wait(10 * SECOND)
        hand.run(*hand.active())
    old, new = hand.objects("ReplicaSet", top)
    assert (hand.read(old, "replicas"), hand.read(new, "replicas")) == (0, 4)
    assert (hand.read(top, "replica_failure"), hand.read(top, "available_replicas")) == (0, 4)


def test_a_job_waits_a_second_and_counts_no_pod_as_active() -> None:
    hand = refusing("job")
    job = hand.make("Job", "batch", parallelism=5, completions=5, template=REFUSED)
    hand.wait(0)
    assert (hand.read(job, "active"), calls(hand, "job")[1]) == (0, 1)
    hand.wait(15 * SECOND)
    # After 1, 3, 7 and 15 seconds.
    assert calls(hand, "job")[1] == 5
    let_in(hand)
    hand.wait(60 * SECOND)
    assert (hand.read(job, "active"), len(hand.pods(job))) == (5, 5)


SETS: list[tuple[str, dict[str, Any]]] = [
    ("statefulset", {"replicas": 6, "management": 0}), ("statefulset", {"replicas": 6, "management": 1}),
    ("replicationcontroller", {"replicas": 6}),
]  # fmt: skip
KINDS = {"statefulset": "StatefulSet", "replicationcontroller": "ReplicationController"}


@pytest.mark.parametrize(("name", "columns"), SETS)
def test_others_try_one_pod_a_pass_too(name: str, columns: dict[str, Any]) -> None:
    hand = refusing(name)
    one = hand.make(KINDS[name], "db", template=REFUSED, **columns)
    hand.look()
    assert (hand.cluster.object_refused_pods[one], calls(hand, name)[1]) == (1, 1)
    hand.wait(SECOND)
    assert hand.pods() == [] and hand.cluster.object_refused_pods[one] == calls(hand, name)[1] > 5
    let_in(hand)
    for _ in range(6):
        hand.wait(10 * SECOND)
        hand.run(*hand.active(one))
    assert len(hand.pods(one)) == 6


def test_who_is_refused_does_not_hold_up_the_others() -> None:
    """Two ReplicaSets of one pass: only the one whose template is refused stops."""
    hand = refusing("replicaset")
    bad = hand.make("ReplicaSet", "bad", replicas=7, template=REFUSED)
    good = hand.make("ReplicaSet", "good", replicas=7)
    hand.look()
    assert [len(hand.pods(one)) for one in (bad, good)] == [0, 7]
    assert hand.cluster.object_refused_pods[[bad, good]].tolist() == [1, 0]
    assert np.flatnonzero(hand.cluster.object_refused_pods).tolist() == [bad]
