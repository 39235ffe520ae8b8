"""The Deployment controller asks for the same as its plain twin."""

from __future__ import annotations

from dataclasses import replace
from random import Random
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
#: Room for as many pods as these worlds have.
FEW = {"pod": 512, "life": 512, "due": 1024}
#: What columns may hold, likely values more than once.
SETS: dict[str, list[int]] = {
    "replicas": [0, 1, 2, 3, 4], "content": [0, 1, 1, 2, 3], "template": [1, 2], "revision": [0, 1, 2, 3, 4],
    "desired": [-1, 3, 3, 3, 3, 3, 3, 3, 5], "most": [-1, 0, 3, 4, 5, 8], "min_ready_us": [0],
    "status_replicas": [-1, 0, 0, 1, 3], "ready_replicas": [0, 1, 2, 4], "available_replicas": [0, 1, 2, 3, 4],
}  # fmt: skip
DEPLOYMENTS: dict[str, list[int]] = {
    "replicas": [0, 3, 3, 3, 3, 3, 3, 4], "content": [0, 1], "template": [3, 4], "strategy": [0, 0, 0, 1],
    "surge": [0, 1, 1, 2, 40, 60], "surge_percent": [0, 0, 1], "unavailable": [0, 1, 2, 33, 34, 70],
    "unavailable_percent": [0, 0, 1], "history_limit": [-1, 0, 1, 2], "deadline_us": [-1, 5 * SECOND, 5 * SECOND],
    "paused": [0, 0, 0, 1], "rollback_to": [-1, -1, -1, -1, -1, 0, 1, 2, 7], "min_ready_us": [0, 0, 0, 0, SECOND],
    "status_replicas": [3, 3, 0, 5], "updated_replicas": [3, 3, 0, 5], "ready_replicas": [0, 2, 3, 6],
    "available_replicas": [3, 3, 0, 9], "progressing": list(range(8)), "availability": [0, 1, 2],
    "progressing_us": [0, SECOND, 5 * SECOND, 9 * SECOND], "revision": [0, 1, 2, 3, 4],
}  # fmt: skip


def drawn(random: Random, choices: dict[str, list[int]]) -> dict[str, int]:
    return {name: random.choice(values) for name, values in choices.items()}


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


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 1 << 32), st.sampled_from([0, 5 * SECOND, 10 * SECOND, 10 * SECOND + 1, 15 * SECOND]))
def test_whatever_stands_there_one_step_is_the_same(seed: int, now_us: int) -> None:
    random, hand = Random(seed), Hand("deployment", "replicaset", **FEW)
    tops = [hand.make("Deployment", f"d{i}", **drawn(random, DEPLOYMENTS)) for i in range(10)]
    for top in tops:
        for number in range(random.randrange(6)):
            made = hand.make("ReplicaSet", f"r{number}", owner=top, **drawn(random, SETS))
            # Some have not been seen by their controller yet, and some have pods that are being deleted.
            hand.cluster.object_observed[made] = random.choice([0, 1, 1])
            if random.random() < 0.2:
                asks = Requests()
                asks.create_pods(np.zeros(1, np.int64), np.array([made]), np.array([0]))
                hand.world.apply(asks.asked[0], 0)
                hand.run(*hand.pods(made))
                hand.delete(*hand.pods(made))
        hand.cluster.object_observed[top] = random.choice([0, 1])
    checked(hand.world, np.array(tops), now_us)


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["scale", "template", "pause", "ready", "ready", "ready", "unready", "delete", "stopped",
                         "wait", "rollback", "gone", "bounds"]),
        st.integers(0, 2), st.integers(0, 9),
    ),
    max_size=30,
)  # fmt: skip


def happen(hand: Hand, tops: list[int], event: tuple[str, int, int]) -> None:
    """Let something happen to a Deployment or its pods."""
    what, which, number = event
    top = tops[which]
    pods = [pod for set_ in hand.objects("ReplicaSet", top) for pod in hand.active(set_)]
    writes = {"scale": {"replicas": number}, "template": {"template": number % 4, "content": number % 4},
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


@settings(max_examples=50, deadline=None)
@given(EVENTS, st.booleans())
def test_whatever_happens_each_step_is_the_same(events: list[tuple[str, int, int]], limited: bool) -> None:
    hand = Hand("deployment", "replicaset", limited=limited, **FEW)
    hand.manager.reconcilers["deployment"].controller = replace(CONTROLLER, step=checked)
    tops = [
        hand.make("Deployment", f"d{i}", replicas=i + 2, template=i, content=0, strategy=i // 2, history_limit=1)
        for i in range(3)
    ]
    for event in events:
        happen(hand, tops, event)
        hand.look()
