"""Deployments at work: rollouts by the documentation's examples, bounds, conditions, history, and what it costs."""

from __future__ import annotations

from dataclasses import replace
from time import process_time
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale.controllers.common.progress import AVAILABILITY, PROGRESSING
from kscale.controllers.deployment import CONTROLLER, step
from kscale.engine.requests import Requests
from kscale.engine.world import World
from tests.controllers.test_deployment_twin import FEW, happen
from tests.controllers.world import Hand

SECOND = 1_000_000


def rollout_sizes(hand: Hand, top: int) -> list[int]:
    """Return the sizes of ReplicaSets, the oldest first."""
    return [hand.read(one, "replicas") for one in hand.objects("ReplicaSet", top)]


def unready(hand: Hand) -> list[int]:
    return [pod for pod in hand.active() if not hand.cluster.life_ready[pod]]


def all_ready(hand: Hand) -> None:
    """Let pods become ready, and be gone, until nothing changes any more."""
    hand.settle()
    while unready(hand) or hand.cluster.object_terminating.sum():
        hand.run(*unready(hand))
        hand.stopped()
        hand.settle()


def condition(hand: Hand, top: int) -> tuple[str, str]:
    return PROGRESSING[hand.read(top, "progressing")], AVAILABILITY[hand.read(top, "availability")]


def started(replicas: int, **columns: Any) -> tuple[Hand, int]:
    """Return a Deployment whose first rollout is over."""
    hand = Hand("deployment", "replicaset")
    top = hand.make("Deployment", "web", replicas=replicas, template=1, content=1, **columns)
    all_ready(hand)
    return hand, top


def test_three_replicas_by_defaults() -> None:
    """The events of the documentation: new 1, old 2, new 2, old 1, new 3, old 0."""
    hand, top = started(3)
    hand.write(top, template=2, content=2)
    seen = [rollout_sizes(hand, top)]
    for _ in range(60):
        hand.look()
        if rollout_sizes(hand, top) != seen[-1]:
            seen.append(rollout_sizes(hand, top))
        hand.run(*unready(hand))
        hand.stopped()
    assert seen == [[3], [3, 1], [2, 1], [2, 2], [1, 2], [1, 3], [0, 3]]
    assert condition(hand, top) == ("NewReplicaSetAvailable", "MinimumReplicasAvailable")


def test_a_bad_image_is_stuck_and_scales_in_proportion() -> None:
    hand, top = started(10, surge=3, surge_percent=0, unavailable=2, unavailable_percent=0)
    hand.write(top, template=2, content=2)
    hand.settle()
    hand.stopped()
    hand.settle()
    assert rollout_sizes(hand, top) == [8, 5]
    hand.write(top, replicas=15)
    hand.settle()
    assert rollout_sizes(hand, top) == [11, 7]


def test_a_rollout_of_five_hundred_keeps_its_bounds() -> None:
    hand, top = started(500)
    hand.write(top, template=2, content=2)
    cluster, rng, looks = hand.cluster, np.random.default_rng(4), 0
    while rollout_sizes(hand, top) != [0, 500] or unready(hand):
        hand.look()
        active = hand.active()
        assert len(active) <= 625
        assert cluster.life_available[active].sum() >= 375
        waiting = unready(hand)
        hand.run(*waiting[: int(rng.integers(1, 80))])
        gone = [pod for pod in hand.pods() if cluster.life_deleted_us[pod] >= 0]
        if gone and rng.random() < 0.7:
            hand.stopped(*gone[: int(rng.integers(1, 60))])
        looks += 1
        assert looks < 400
    all_ready(hand)
    assert {int(cluster.pod_template[pod]) for pod in hand.pods()} == {2}
    names = ("status_replicas", "updated_replicas", "ready_replicas", "available_replicas", "unavailable_replicas")
    assert [hand.read(top, name) for name in names] == [500, 500, 500, 500, 0]


def test_recreate_waits_for_the_last_old_pod() -> None:
    hand, top = started(3, strategy=1)
    hand.write(top, template=2, content=2)
    hand.settle()
    assert (rollout_sizes(hand, top), len(hand.pods())) == ([0], 3)
    assert condition(hand, top)[1] == "MinimumReplicasUnavailable"
    hand.stopped(*hand.pods()[:2])
    hand.settle()
    assert rollout_sizes(hand, top) == [0]
    hand.stopped()
    hand.settle()
    assert (rollout_sizes(hand, top), len(hand.active())) == ([0, 3], 3)


def test_a_rollback_gives_the_old_replica_set_the_highest_revision() -> None:
    hand, top = started(2)
    first = hand.objects("ReplicaSet", top)[0]
    for content in (2, 3):
        hand.write(top, template=content, content=content)
        all_ready(hand)
    assert [hand.read(one, "revision") for one in hand.objects("ReplicaSet", top)] == [1, 2, 3]
    hand.write(top, rollback_to=1)
    all_ready(hand)
    assert [hand.read(one, "revision") for one in hand.objects("ReplicaSet", top)] == [4, 2, 3]
    assert (hand.read(first, "replicas"), hand.read(top, "content"), hand.read(top, "template")) == (2, 1, 1)
    assert (hand.read(top, "revision"), hand.read(top, "rollback_to")) == (4, -1)
    hand.write(top, rollback_to=0)
    all_ready(hand)
    assert (hand.read(top, "content"), hand.read(top, "revision")) == (3, 5)
    hand.write(top, rollback_to=17)
    all_ready(hand)
    assert (hand.read(top, "content"), hand.read(top, "rollback_to")) == (3, -1)


def test_old_replica_sets_beyond_the_limit_are_deleted() -> None:
    hand, top = started(1, history_limit=2)
    for content in range(2, 7):
        hand.write(top, template=content, content=content)
        all_ready(hand)
    assert [hand.read(one, "content") for one in hand.objects("ReplicaSet", top)] == [4, 5, 6]
    assert hand.read(top, "revision") == 6


def test_conditions_of_a_rollout_that_times_out() -> None:
    hand = Hand("deployment", "replicaset")
    top = hand.make("Deployment", "web", replicas=2, template=1, content=1, deadline_us=60 * SECOND)
    hand.look()
    assert condition(hand, top) == ("NewReplicaSetCreated", "MinimumReplicasUnavailable")
    hand.settle()
    hand.wait(30 * SECOND)
    hand.run(unready(hand)[0])
    hand.settle()
    assert (condition(hand, top)[0], hand.read(top, "progressing_us")) == ("ReplicaSetUpdated", 30 * SECOND)
    hand.wait(60 * SECOND)
    assert condition(hand, top)[0] == "ReplicaSetUpdated"
    hand.wait(2 * SECOND)
    assert (condition(hand, top)[0], hand.read(top, "progressing_us")) == ("ProgressDeadlineExceeded", 91 * SECOND)
    all_ready(hand)
    assert condition(hand, top) == ("NewReplicaSetAvailable", "MinimumReplicasAvailable")


def test_a_pause_holds_the_rollout_and_its_deadline() -> None:
    hand, top = started(4)
    hand.write(top, paused=1)
    hand.write(top, template=2, content=2)
    hand.wait(3600 * SECOND)
    assert (rollout_sizes(hand, top), condition(hand, top)[0]) == ([4], "DeploymentPaused")
    hand.write(top, replicas=6)
    all_ready(hand)
    assert rollout_sizes(hand, top) == [6]
    hand.write(top, paused=0)
    hand.look()
    assert condition(hand, top)[0] == "NewReplicaSetCreated"
    all_ready(hand)
    assert (rollout_sizes(hand, top), condition(hand, top)[0]) == ([0, 6], "NewReplicaSetAvailable")


def test_found_and_resumed_are_said() -> None:
    hand = Hand("deployment")
    top = hand.make("Deployment", "web", replicas=1, content=1, template=1)
    hand.make("ReplicaSet", "web-1", owner=top, replicas=1, content=1, revision=1, desired=1, most=2)
    hand.look()
    assert condition(hand, top)[0] == "FoundNewReplicaSet"
    for paused, reason in ((1, "DeploymentPaused"), (0, "DeploymentResumed")):
        hand.write(top, paused=paused)
        hand.settle()
        assert condition(hand, top)[0] == reason
    assert hand.cluster.object_observed[top] == hand.cluster.object_generation[top]


def test_ready_for_longer_is_handed_down() -> None:
    hand, top = started(1)
    set_ = hand.objects("ReplicaSet", top)[0]
    hand.write(top, min_ready_us=7 * SECOND)
    hand.settle()
    assert (hand.read(set_, "min_ready_us"), hand.cluster.object_min_ready_us[set_]) == (7 * SECOND, 7 * SECOND)


STOPPED = st.lists(
    st.tuples(
        st.sampled_from(["scale", "template", "pause", "ready", "unready", "delete", "stopped", "gone"]),
        st.integers(0, 2), st.integers(0, 9),
    ),
    max_size=16,
)  # fmt: skip


def finished(hand: Hand, tops: list[int]) -> list[Any]:
    """Resume and end all rollouts; return what everything comes to."""
    for top in tops:
        hand.write(top, paused=0)
    all_ready(hand)
    result = []
    for top in tops:
        sets = [one for one in hand.objects("ReplicaSet", top) if hand.read(one, "replicas")]
        pods = sorted(int(hand.cluster.pod_template[pod]) for one in sets for pod in hand.pods(one))
        names = ("status_replicas", "updated_replicas", "available_replicas", "unavailable_replicas")
        said = [hand.read(top, name) for name in names]
        result.append((condition(hand, top), pods, said, [hand.read(one, "content") for one in sets]))
    assert hand.pods() == hand.active()
    return result


@settings(max_examples=25, deadline=None)
@given(STOPPED, STOPPED, st.sampled_from(["deployment", "replicaset"]))
def test_stopped_and_started_again_it_comes_to_the_same_end(first: Any, second: Any, name: str) -> None:
    ends = []
    for stops in (False, True):
        hand = Hand("deployment", "replicaset", **FEW)
        tops = [hand.make("Deployment", f"d{i}", replicas=i + 2, template=0, content=0, strategy=i // 2)
                for i in range(3)]  # fmt: skip
        for events, stopped in ((first, False), (second, stops)):
            hand.manager.reconcilers[name].stopped = stopped
            for event in events:
                happen(hand, tops, event)
                hand.look()
        if stops:
            hand.restart(name)
        ends.append(finished(hand, tops))
    assert ends[0] == ends[1]


def crowd(count: int) -> Hand:
    """Return so many Deployments at rest, each with its ReplicaSet."""
    hand = Hand("deployment", object=2 * count, **FEW)
    names = [f"d{i}" for i in range(count)]
    ones, content = np.ones(count, np.int64), np.arange(count)
    tops = hand.world.create("Deployment", {"replicas": ones, "content": content, "revision": ones}, 0, names=names,
                             namespaces=["default"] * count)  # fmt: skip
    names = ["replicas", "revision", "desired", "status_replicas", "ready_replicas", "available_replicas"]
    counts = dict.fromkeys(names, ones)
    hand.world.create("ReplicaSet", {"content": content, "most": 2 * ones, **counts}, 0, owner=tops)
    hand.settle()
    return hand


def test_a_pass_costs_by_what_changed() -> None:
    """A hundred of a hundred thousand Deployments cost at most 2.5 times what a hundred of a thousand cost."""
    hands = [crowd(1_000), crowd(100_000)]
    changed = np.arange(0, 1_000, 10)
    times: list[list[float]] = [[], []]
    for round_ in range(9):
        for hand, taken in zip(hands, times, strict=True):
            rows = hand.cluster.object_row[changed]
            hand.cluster.deployment_replicas[rows] = 2 + round_ % 2
            hand.cluster.object_generation[changed] += 1
            hand.world.note(changed, 0)
            begun = process_time()
            hand.settle()
            taken.append(process_time() - begun)
            sets = hand.world.dependents_of(changed)[0]
            assert (hand.cluster.replicaset_replicas[hand.cluster.object_row[sets]] == 2 + round_ % 2).all()
    assert min(times[1]) <= 2.5 * min(times[0])


def test_keys_that_did_not_change_are_not_looked_at() -> None:
    hand = crowd(50)
    seen: list[int] = []

    def counted(world: World, keys: Any, now_us: int) -> Requests:
        seen.extend(keys.tolist())
        return step(world, keys, now_us)

    hand.manager.reconcilers["deployment"].controller = replace(CONTROLLER, step=counted)
    hand.write(7, replicas=3)
    hand.settle()
    assert set(seen) == {7}


@pytest.mark.parametrize("replicas", [0, 1])
def test_a_deployment_that_is_deleted_starts_nothing(replicas: int) -> None:
    hand, top = started(1)
    hand.cluster.object_deleted_us[top] = hand.now
    hand.write(top, replicas=replicas, template=2, content=2)
    hand.settle()
    assert rollout_sizes(hand, top) == [1]
