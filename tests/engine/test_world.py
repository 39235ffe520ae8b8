"""Objects: rows that are used again, owners and dependents, and requests that become state."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale.engine.kinds import FREE, GONE, THERE
from kscale.engine.living_invariants import living_violations
from kscale.engine.objects import FOREGROUND, pods_of
from kscale.engine.requests import Requests
from tests.controllers.world import Hand


def ask(hand: Hand, requests: Requests) -> None:
    for request in requests.asked:
        hand.world.apply(request, hand.now)


def broken(hand: Hand) -> list[str]:
    found: list[str] = []
    living_violations(hand.cluster, lambda holds, what: None if bool(holds) else found.append(what))
    return [what for what in found if "due" not in what]


def delete(hand: Hand, one: int, policy: int = 0) -> None:
    requests = Requests()
    rows = np.array([one])
    requests.delete_objects(np.zeros(1, int), rows, hand.cluster.object_uid[rows], np.array([policy]))
    ask(hand, requests)


def test_a_row_is_used_again_when_nothing_says_to_be_of_it() -> None:
    hand = Hand("replicaset")
    top = hand.make("ReplicaSet", "top", replicas=0)
    below = hand.make("ReplicaSet", "below", owner=top, replicas=0)
    hand.settle()
    delete(hand, top)
    hand.settle()
    assert hand.cluster.object_live[top] == GONE
    delete(hand, below)
    hand.settle()
    assert (hand.cluster.object_live[[top, below]] == FREE).all()
    again = [hand.make("ReplicaSet", name, replicas=0) for name in ("x", "y")]
    assert set(again) == {top, below}
    assert hand.cluster.object_owner[again].tolist() == [-1, -1]
    assert hand.world.name(again[0]) == "x"


def test_foreground_deletion_keeps_the_object_until_it_is_removed() -> None:
    hand = Hand("replicaset")
    one = hand.make("ReplicaSet", "web", replicas=2, template=0)
    hand.settle()
    delete(hand, one, FOREGROUND)
    assert hand.cluster.object_live[one] == THERE
    assert hand.cluster.object_deleted_us[one] == hand.now
    hand.settle()
    assert len(hand.active(one)) == 2
    delete(hand, one)
    assert hand.cluster.object_live[one] == GONE


def test_who_is_gone_gets_no_pods_and_is_not_written() -> None:
    hand = Hand("replicaset")
    one, other = (hand.make("ReplicaSet", name, replicas=0) for name in ("a", "b"))
    delete(hand, one)
    requests, rows = Requests(), np.array([one, other])
    requests.create_pods(np.arange(2), rows, np.zeros(2, int))
    requests.update(np.arange(2), "ReplicaSet", rows, {"replicas": np.array([4, 5])})
    ask(hand, requests)
    assert len(hand.pods(one)) == 0
    assert len(hand.pods(other)) == 1
    assert (hand.read(one, "replicas"), hand.read(other, "replicas")) == (0, 5)


def test_who_people_made_is_found_by_name() -> None:
    hand = Hand("replicaset")
    one = hand.make("ReplicaSet", "web", namespace="shop", replicas=0)
    assert hand.world.find("ReplicaSet", "shop", "web") == one
    assert hand.world.find("ReplicaSet", "default", "web") == -1
    delete(hand, one)
    assert hand.world.find("ReplicaSet", "shop", "web") == -1


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 30), st.integers(0, 30)), max_size=40))
def test_owners_dependents_and_pods_hold_together_whatever_happens(steps: list[tuple[int, int, int]]) -> None:
    hand = Hand("replicaset")
    for verb, a, b in steps:
        objects, pods = hand.objects("ReplicaSet"), hand.pods()
        if verb == 0 or not objects:
            owner = objects[a % len(objects)] if objects and b % 2 else -1
            hand.make("ReplicaSet", f"set{len(hand.world.names)}", owner=owner, replicas=b % 4, template=0)
        elif verb == 1:
            hand.write(objects[a % len(objects)], replicas=b % 5)
        elif verb == 2:
            delete(hand, objects[a % len(objects)])
        elif verb == 3 and pods:
            hand.run(pods[a % len(pods)])
        elif verb == 4 and pods:
            hand.delete(pods[a % len(pods)])
        else:
            hand.stopped()
        if b % 3 == 0:
            hand.look()
        assert broken(hand) == []
    hand.stopped()
    hand.settle()
    assert broken(hand) == []
    for one in hand.objects("ReplicaSet"):
        assert len(hand.active(one)) == hand.read(one, "replicas")


def test_pods_of_owners_by_lists_and_by_a_look_at_all() -> None:
    hand = Hand("replicaset")
    few, many = (hand.make("ReplicaSet", name, replicas=count) for name, count in (("few", 3), ("many", 200)))
    hand.settle()
    owners = np.array([many, few])
    for chosen in (owners, owners[1:]):
        pods, place = pods_of(hand.cluster, chosen)
        for at, owner in enumerate(chosen.tolist()):
            assert pods[place == at].tolist() == hand.pods(owner)
