"""The garbage collector: what it takes, in which order, and what it costs."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale.controllers.garbage import check_owners, default_policy
from kscale.engine.kinds import FREE, GONE, THERE
from kscale.engine.objects import FOREGROUND, NO_FINALIZER, ORPHAN
from kscale.engine.requests import Requests
from kscale.errors import InputError
from kscale.state.manifests.faults import Item
from kscale.state.manifests.workloads import Made
from tests.controllers.world import Hand
from tests.twin import garbage as twin
from tests.twin.garbage import Thing


def delete(hand: Hand, object_: int, policy: int = NO_FINALIZER) -> None:
    """Delete an object as a person would."""
    asked = Requests()
    one = np.array([object_])
    asked.delete_objects(np.array([0]), one, hand.cluster.object_uid[one], np.array([policy]))
    hand.world.apply(asked.asked[0], hand.now)


def chain(hand: Hand, replicas: int = 3) -> tuple[int, int]:
    """An owner, its ReplicaSet, and the running pods of that one; no controller of the owner's is there."""
    top = hand.make("ReplicationController", "web")
    middle = hand.make("ReplicaSet", "web-1", owner=top, replicas=replicas, template=0)
    hand.settle()
    hand.run(*hand.pods(middle))
    hand.settle()
    return top, middle


def live(hand: Hand, *objects: int) -> list[int]:
    return [int(hand.cluster.object_live[one]) for one in objects]


@pytest.fixture
def hand() -> Hand:
    return Hand("garbage-collector", "replicaset")


def test_in_the_background_owners_go_first(hand: Hand) -> None:
    top, middle = chain(hand)
    delete(hand, top)
    assert live(hand, top, middle) == [GONE, THERE]
    hand.settle()
    assert live(hand, top, middle) == [GONE, GONE]
    assert hand.active() == [] and len(hand.pods()) == 3, "pods have their grace"
    hand.stopped()
    hand.settle()
    assert live(hand, top, middle) == [FREE, FREE]


def test_in_the_foreground_pods_go_first(hand: Hand) -> None:
    top, middle = chain(hand)
    delete(hand, top, FOREGROUND)
    hand.settle()
    assert live(hand, top, middle) == [THERE, THERE]
    assert hand.cluster.object_finalizer[middle] == FOREGROUND, "it is blocked by its pods"
    assert hand.active() == [] and len(hand.pods()) == 3
    hand.stopped(*hand.pods()[:2])
    hand.settle()
    assert live(hand, top, middle) == [THERE, THERE]
    hand.stopped()
    hand.settle()
    assert live(hand, top, middle) == [FREE, FREE]


def test_orphans_stay(hand: Hand) -> None:
    top, middle = chain(hand)
    delete(hand, top, ORPHAN)
    hand.settle()
    assert live(hand, top, middle) == [FREE, THERE]
    assert hand.cluster.object_owner[middle] == -1
    assert hand.cluster.object_blocks[middle] == 0
    assert len(hand.active(middle)) == 3
    delete(hand, middle, ORPHAN)
    hand.settle()
    assert live(hand, middle) == [FREE]
    assert len(hand.active(-1)) == 3


def test_what_does_not_block_goes_after_its_owner(hand: Hand) -> None:
    top, middle = chain(hand)
    hand.cluster.object_blocks[middle] = 0
    delete(hand, top, FOREGROUND)
    hand.look()
    assert live(hand, top, middle) == [GONE, THERE]
    hand.settle()
    assert live(hand, middle) == [GONE]
    assert hand.cluster.object_finalizer[middle] == NO_FINALIZER


def test_what_is_blocked_by_nothing_goes_at_once(hand: Hand) -> None:
    top, middle = chain(hand, 0)
    delete(hand, top, FOREGROUND)
    hand.settle()
    assert live(hand, top, middle) == [FREE, FREE]
    assert hand.cluster.object_finalizer[middle] == NO_FINALIZER, "it had no dependents that block"


def test_pods_that_were_kept_when_they_finished_are_deleted(hand: Hand) -> None:
    _, middle = chain(hand)
    hand.cluster.object_keeps[middle] = 1
    hand.finish(hand.pods()[0])
    delete(hand, middle)
    hand.settle()
    assert len(hand.pods()) == 2, "the one that has finished has no grace"


def test_500_pods_take_25_seconds_of_its_calls() -> None:
    """A thousand calls at 40 a second, less the 30 that pass at once."""
    hand = Hand("garbage-collector", "replicaset", limited=True)
    hand.manager.reconcilers["replicaset"].stopped = True
    replica_set = hand.make("ReplicaSet", "web", replicas=0, template=0)
    asked = Requests()
    ones = np.ones(500, np.int64)
    asked.create_pods(0 * ones, replica_set * ones, 0 * ones)
    hand.world.apply(asked.asked[0], hand.now)
    hand.run(*hand.pods())
    hand.wait(1)
    delete(hand, replica_set)
    began = hand.now
    hand.wait(24_000_000)
    assert 0 < len(hand.active()) <= 15
    hand.wait(1_000_000)
    collector = hand.manager.reconcilers["garbage-collector"]
    assert (len(hand.active()), collector.calls) == (0, 1000)
    deleted = hand.cluster.life_deleted_us[hand.pods()] - began
    assert deleted.max() == 24_250_000
    assert collector.calls / collector.controller.qps == 25
    assert collector.controller.workers == 20


def test_a_bare_delete_orphans_pods_of_jobs_alone() -> None:
    assert default_policy("Job") == ORPHAN
    assert [default_policy(kind) for kind in ("ReplicaSet", "Deployment", "CronJob")] == [NO_FINALIZER] * 3


@pytest.mark.parametrize("policy", [NO_FINALIZER, ORPHAN, FOREGROUND])
@pytest.mark.parametrize("looks", range(5))
def test_a_restart_comes_to_the_same_end(policy: int, looks: int) -> None:
    """Stopped after some looks, and started again when others went on."""
    hand = Hand("garbage-collector", "replicaset")
    top, middle = chain(hand)
    delete(hand, top, policy)
    collector = hand.manager.reconcilers["garbage-collector"]
    for _ in range(looks):
        hand.look()
    collector.stopped = True
    hand.stopped()
    hand.settle()
    hand.restart("garbage-collector")
    hand.settle()
    hand.stopped()
    hand.settle()
    assert live(hand, top) == [FREE]
    assert live(hand, middle) == [THERE if policy == ORPHAN else FREE]
    assert len(hand.active()) == (3 if policy == ORPHAN else 0)


def made(kind: str, name: str, owner: tuple[str, str] | None, namespace: str = "default") -> Made:
    return Made(kind, namespace, name, {}, owner, -1, Item("all.yaml", 7, kind, "apps/v1", msgspec.Raw(b"{}")))


def test_a_circle_of_owners_is_refused_by_name() -> None:
    good = [made("ReplicaSet", "a", ("Deployment", "b")), made("Deployment", "b", None)]
    check_owners(good)
    elsewhere = made("Deployment", "b", ("ReplicaSet", "a"), "other")
    check_owners([good[0], elsewhere])
    with pytest.raises(InputError) as caught:
        check_owners([made("Pod", "x", ("ReplicaSet", "a")), good[0], made("Deployment", "b", ("ReplicaSet", "a"))])
    assert "ReplicaSet a -> Deployment b -> ReplicaSet a" in str(caught.value)
    assert "all.yaml, item 7 (ReplicaSet default/a)" in str(caught.value)
    with pytest.raises(InputError, match="ReplicaSet a -> ReplicaSet a"):
        check_owners([made("ReplicaSet", "a", ("ReplicaSet", "a"))])


tree = st.lists(
    st.tuples(st.integers(-1, 7), st.booleans(), st.sampled_from([None, None, *range(3)]), st.integers(0, 3)),
    min_size=1, max_size=8,
)  # fmt: skip


def grown(hand: Hand, told: list[tuple[int, bool, int | None, int]]) -> tuple[list[Thing], list[int]]:
    """Make objects, each of an earlier one or of none, with pods; return the twin's things and the rows of each."""
    things, rows = [], []
    for place, (owner, blocks, _, _) in enumerate(told):
        by = owner % place if place and owner >= 0 else -1
        row = hand.make("ReplicationController", f"o{place}", owner=rows[by] if by >= 0 else -1)
        hand.cluster.object_blocks[row] = blocks and by >= 0
        things.append(Thing(by if by >= 0 else None, blocks))
        rows.append(row)
    for place, (_, _, _, count) in enumerate(told):
        asked = Requests()
        ones = np.ones(count, np.int64)
        asked.create_pods(0 * ones, rows[place] * ones, 0 * ones)
        for request in asked.asked:
            hand.world.apply(request, hand.now)
        for pod in hand.pods(rows[place]):
            hand.run(pod)
            things.append(Thing(place, True, is_pod=True))
            rows.append(pod)
    for place, (_, _, policy, _) in enumerate(told):
        if policy is not None:
            twin.delete(things[place], policy)
            delete(hand, rows[place], policy)
    return things, rows


def order_holds(hand: Hand) -> None:
    """No object that blocked one in foreground deletion is left when that one is gone."""
    cluster = hand.cluster
    for one in hand.objects("ReplicationController"):
        owner = cluster.object_owner[one]
        if owner >= 0 and cluster.object_blocks[one]:
            assert cluster.object_finalizer[owner] != FOREGROUND or cluster.object_live[owner] == THERE


@settings(deadline=None, max_examples=100)
@given(tree, st.lists(st.sampled_from(["look", "look", "stopped", "stop", "start"]), max_size=8), st.booleans())
def test_what_is_left_is_what_the_twin_leaves(
    told: list[tuple[int, bool, int | None, int]], events: list[str], limited: bool
) -> None:
    hand = Hand("garbage-collector", limited=limited)
    things, rows = grown(hand, told)
    for event in events:
        if event == "look":
            hand.look()
        elif event == "stopped":
            hand.stopped(*[pod for pod in hand.pods() if hand.cluster.life_deleted_us[pod] >= 0][:1])
        elif event == "stop":
            hand.manager.reconcilers["garbage-collector"].stopped = True
        else:
            hand.restart("garbage-collector")
        order_holds(hand)
    hand.restart("garbage-collector")
    for _ in range(20):
        hand.wait(2_000_000)
        order_holds(hand)
        hand.stopped()
    twin.collect(things)
    owner_rows = hand.cluster.object_owner, hand.cluster.life_owner
    left = {(t.is_pod, row, -1 if t.owner is None else rows[t.owner])
            for t, row in zip(things, rows, strict=True) if t.there}  # fmt: skip
    found = {(False, one, int(owner_rows[0][one])) for one in hand.objects("ReplicationController")}
    found |= {(True, pod, int(owner_rows[1][pod])) for pod in hand.pods()}
    assert found == left
    assert hand.world.all_of("").tolist() == sorted(hand.objects("ReplicationController")), "all rows are free again"
