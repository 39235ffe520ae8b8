"""The Deployment controller asks for the same as its plain twin."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale.controllers.deployment import CONTROLLER, step
from kscale.engine.requests import Requests
from kscale.engine.world import World
from tests.controllers.world import Hand
from tests.twin.deployment import asked, snapshot

SECOND = 1_000_000
small, flag = st.integers(0, 12), st.integers(0, 1)
SETS = st.fixed_dictionaries(
    {
        "replicas": st.integers(0, 8), "content": st.integers(0, 3), "template": small, "revision": st.integers(0, 4),
        "desired": st.sampled_from([-1, 3, 3, 3, 5]), "most": st.integers(-1, 8), "min_ready_us": st.just(0),
        "status_replicas": st.integers(-1, 4), "ready_replicas": st.integers(0, 4),
        "available_replicas": st.integers(0, 4),
    }
)  # fmt: skip
DEPLOYMENTS = st.fixed_dictionaries(
    {
        "replicas": st.sampled_from([0, 3, 3, 3, 4, 5]), "content": st.integers(0, 3), "template": small,
        "strategy": st.sampled_from([0, 0, 0, 1]), "surge": st.integers(0, 50), "surge_percent": flag,
        "unavailable": st.integers(0, 50), "unavailable_percent": flag, "history_limit": st.integers(-1, 2),
        "deadline_us": st.sampled_from([-1, 5 * SECOND]), "paused": st.sampled_from([0, 0, 0, 1]),
        "rollback_to": st.sampled_from([-1, -1, -1, 0, 1, 2, 7]), "min_ready_us": st.sampled_from([0, 0, 0, SECOND]),
        "status_replicas": st.integers(0, 6), "updated_replicas": st.integers(0, 6),
        "ready_replicas": st.integers(0, 6), "available_replicas": st.integers(0, 6),
        "progressing": st.integers(0, 7), "progressing_us": st.integers(0, 10 * SECOND),
        "availability": st.integers(0, 2), "revision": st.integers(0, 4),
    }
)  # fmt: skip
WORLDS = st.lists(
    st.tuples(DEPLOYMENTS, st.lists(st.tuples(SETS, st.booleans(), st.integers(0, 2)), max_size=4), st.booleans()),
    min_size=1, max_size=4,
)  # fmt: skip


def checked(world: World, keys: np.ndarray[Any, Any], now_us: int) -> Requests:
    """Step, and compare with the twin."""
    requests = step(world, keys, now_us)
    for place, key in enumerate(keys.tolist()):
        twin = snapshot(world, key, now_us)
        twin.sync()
        found, again = asked(requests, place)
        assert sorted(found, key=repr) == sorted(twin.asks, key=repr)
        # Two sizes of one ReplicaSet come in their order.
        sizes = [one for one in found if one[0] == "resize"]
        for set_ in {one[1] for one in sizes}:
            assert [s for s in sizes if s[1] == set_] == [s for s in twin.asks if s[:2] == ("resize", set_)]
        assert again == ([] if twin.again is None else [twin.again])
    return requests


@settings(max_examples=200, deadline=None)
@given(WORLDS, st.integers(0, 20 * SECOND))
def test_whatever_stands_there_one_step_is_the_same(worlds: Any, now_us: int) -> None:
    hand = Hand("deployment", "replicaset")
    tops = [hand.make("Deployment", f"d{i}", **columns) for i, (columns, _, _) in enumerate(worlds)]
    for top, (_, sets, current) in zip(tops, worlds, strict=True):
        for number, (columns, seen, pods) in enumerate(sets):
            made = hand.make("ReplicaSet", f"r{number}", owner=top, **columns)
            # Some have not been seen by their controller yet, and some have pods that are being deleted.
            hand.cluster.object_observed[made] = 1 if seen else 0
            key = np.full(pods, made)
            asks = Requests()
            asks.create_pods(np.arange(pods), key, key)
            for request in asks.asked:
                hand.world.apply(request, 0)
            for pod in hand.pods(made):
                hand.run(pod)
                hand.delete(pod)
        hand.cluster.object_observed[top] = 1 if current else 0
    checked(hand.world, np.array(tops), now_us)


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["scale", "template", "pause", "ready", "ready", "ready", "unready", "delete", "stopped", "wait",
                         "rollback", "gone", "bounds"]),
        st.integers(0, 2), st.integers(0, 9),
    ),
    max_size=40,
)  # fmt: skip


def happen(hand: Hand, tops: list[int], event: tuple[str, int, int]) -> None:
    """Let something happen to a Deployment or its pods."""
    what, which, number = event
    top = tops[which]
    pods = [pod for set_ in hand.objects("ReplicaSet", top) for pod in hand.active(set_)]
    writes = {"scale": {"replicas": number}, "template": {"template": number, "content": number % 4},
              "pause": {"paused": number % 2}, "rollback": {"rollback_to": number % 4},
              "bounds": {"surge": 10 * number, "unavailable": 5 * number}}  # fmt: skip
    if what in writes:
        hand.write(top, **writes[what])
    elif what == "ready":
        hand.run(*[pod for pod in pods if not hand.cluster.life_ready[pod]][:number])
    elif what == "unready":
        for pod in [pod for pod in pods if hand.cluster.life_ready[pod]][:number]:
            hand.ready(pod, False)
    elif what == "delete" and pods:
        hand.delete(pods[number % len(pods)])
    elif what == "stopped":
        hand.stopped()
    elif what == "gone" and pods:
        hand.finish(pods[number % len(pods)], well=False)
    elif what == "wait":
        hand.wait(number * 100 * SECOND)


@settings(max_examples=60, deadline=None)
@given(EVENTS, st.booleans())
def test_whatever_happens_each_step_is_the_same(events: list[tuple[str, int, int]], limited: bool) -> None:
    hand = Hand("deployment", "replicaset", limited=limited)
    hand.manager.reconcilers["deployment"].controller = replace(CONTROLLER, step=checked)
    tops = [
        hand.make("Deployment", f"d{i}", replicas=i + 2, template=i, content=0, strategy=i // 2, history_limit=1)
        for i in range(3)
    ]
    for event in events:
        happen(hand, tops, event)
        hand.look()
