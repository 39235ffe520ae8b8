"""The StatefulSet controller, by the figures of its upstream tests."""

from __future__ import annotations

import numpy as np
import pytest

from kscale.controllers.common.claims import DELETE
from kscale.controllers.common.sets import resolved
from kscale.controllers.statefulset import ON_DELETE, PARALLEL
from kscale.engine.requests import Requests
from tests.controllers.statefulsets import going, make, ordinals, pod, revisions, run_all
from tests.controllers.world import Hand
from tests.twin import statefulset as twin

SECOND = 1_000_000


def test_one_after_the_other_from_the_first_ordinal() -> None:
    hand = Hand("statefulset")
    one = make(hand, start=5)
    for count in range(1, 4):
        hand.settle()
        assert ordinals(hand, one) == list(range(5, 5 + count))
        hand.run(pod(hand, one, 4 + count), ready=False)
        hand.settle()
        assert len(hand.pods(one)) == count
        hand.ready(pod(hand, one, 4 + count))
    hand.settle()
    assert ordinals(hand, one) == [5, 6, 7]
    names = ("status_replicas", "ready_replicas", "available_replicas", "current_replicas", "updated_replicas")
    assert [hand.read(one, name) for name in names] == [3] * 5
    assert hand.cluster.object_observed[one] == 1


def test_parallel_makes_and_ends_all_at_once() -> None:
    hand = Hand("statefulset")
    one = make(hand, replicas=5, management=PARALLEL)
    hand.look()
    assert ordinals(hand, one) == [0, 1, 2, 3, 4]
    hand.run(*hand.pods(one)[:2])
    hand.settle()
    hand.write(one, replicas=1)
    hand.settle()
    # Those that were never bound are gone at once, whatever the others do.
    assert (ordinals(hand, one), going(hand, one)) == ([0, 1], [1])


def test_parallel_scale() -> None:
    """TestParallelScale: up and down without waiting, also while pods are not ready."""
    hand = Hand("statefulset")
    one = make(hand, replicas=2, management=PARALLEL)
    for replicas in (2, 4, 5, 3, 0, 4):
        hand.write(one, replicas=replicas)
        hand.settle()
        assert ordinals(hand, one) == list(range(replicas))


def test_scale_down_goes_one_by_one_from_the_highest() -> None:
    hand = Hand("statefulset")
    one = make(hand)
    run_all(hand, one)
    hand.write(one, replicas=1)
    hand.settle()
    assert going(hand, one) == [2]
    hand.stopped()
    hand.settle()
    assert (ordinals(hand, one), going(hand, one)) == ([0, 1], [1])


def test_condemned_pods_wait_for_slots_that_are_not_ready() -> None:
    hand = Hand("statefulset")
    one = make(hand)
    run_all(hand, one)
    hand.ready(pod(hand, one, 0), False)
    hand.write(one, replicas=1)
    hand.settle()
    assert going(hand, one) == []
    hand.ready(pod(hand, one, 0))
    hand.settle()
    assert going(hand, one) == [2]


@pytest.mark.parametrize(("sick", "goes"), [([2], [2]), ([1, 2], []), ([1], [2])])
def test_a_condemned_pod_that_is_not_ready_goes_only_as_the_first_unhealthy(sick: list[int], goes: list[int]) -> None:
    hand = Hand("statefulset")
    one = make(hand)
    run_all(hand, one)
    for ordinal in sick:
        hand.ready(pod(hand, one, ordinal), False)
    hand.write(one, replicas=1)
    hand.settle()
    assert going(hand, one) == goes


@pytest.mark.parametrize("well", [True, False])
def test_finished_pods_are_deleted_and_made_anew(well: bool) -> None:
    hand = Hand("statefulset")
    one = make(hand)
    run_all(hand, one)
    old = pod(hand, one, 1)
    serial = hand.cluster.pod_trace_row[old].item()
    hand.finish(old, well=well)
    hand.look()
    assert ordinals(hand, one) == [0, 2]
    hand.settle()
    assert ordinals(hand, one) == [0, 1, 2]
    assert hand.cluster.pod_trace_row[pod(hand, one, 1)] > serial


def test_a_pod_that_is_being_deleted_blocks_its_ordinal() -> None:
    hand = Hand("statefulset")
    ordered, parallel = make(hand), make(hand, "par", management=PARALLEL)
    run_all(hand, ordered)
    run_all(hand, parallel)
    for one in (ordered, parallel):
        hand.delete(pod(hand, one, 0))
    hand.wait(3600 * SECOND)
    for one in (ordered, parallel):
        assert (ordinals(hand, one), going(hand, one)) == ([0, 1, 2], [0])
    hand.stopped()
    hand.settle()
    for one in (ordered, parallel):
        assert (ordinals(hand, one), going(hand, one)) == ([0, 1, 2], [])


def test_rolling_update_goes_down_and_waits_for_each() -> None:
    """TestStatefulSetControlRollingUpdate."""
    for management in (0, PARALLEL):
        hand = Hand("statefulset")
        one = make(hand, management=management)
        run_all(hand, one)
        hand.write(one, revision=1, template=1)
        for ordinal in (2, 1, 0):
            hand.settle()
            assert going(hand, one) == [ordinal]
            assert (hand.read(one, "current_revision"), hand.read(one, "update_revision")) == (0, 1)
            hand.stopped()
            hand.settle()
            fresh = pod(hand, one, ordinal)
            assert (hand.cluster.life_revision[fresh], hand.cluster.pod_template[fresh]) == (1, 1)
            hand.run(fresh)
        hand.settle()
        assert (hand.read(one, "current_revision"), hand.read(one, "current_template")) == (1, 1)
        assert hand.read(one, "current_replicas") == hand.read(one, "updated_replicas") == 3


def test_rolling_update_stops_at_the_partition() -> None:
    """TestStatefulSetControlRollingUpdateWithPartition; pods below it come back as they were."""
    hand = Hand("statefulset")
    one = make(hand, start=10, replicas=5, partition=3)
    run_all(hand, one)
    hand.write(one, revision=1, template=1)
    run_all(hand, one)
    assert revisions(hand, one) == [0, 0, 0, 1, 1]
    assert (hand.read(one, "current_revision"), hand.read(one, "current_replicas")) == (0, 3)
    assert hand.read(one, "updated_replicas") == 2
    hand.delete(pod(hand, one, 10))
    run_all(hand, one)
    assert revisions(hand, one) == [0, 0, 0, 1, 1]
    assert hand.cluster.pod_template[pod(hand, one, 10)] == 0
    hand.write(one, partition=0)
    run_all(hand, one)
    assert revisions(hand, one) == [1] * 5
    assert hand.read(one, "current_revision") == 1


def test_on_delete_updates_only_what_a_person_deletes() -> None:
    hand = Hand("statefulset")
    one = make(hand, strategy=ON_DELETE)
    run_all(hand, one)
    hand.write(one, revision=1, template=1)
    run_all(hand, one)
    assert revisions(hand, one) == [0, 0, 0]
    hand.delete(pod(hand, one, 1))
    run_all(hand, one)
    assert revisions(hand, one) == [0, 1, 0]
    assert hand.read(one, "current_revision") == 0


def test_a_rollback_ends_where_it_began() -> None:
    hand = Hand("statefulset")
    one = make(hand)
    run_all(hand, one)
    hand.write(one, revision=1, template=1)
    hand.settle()
    hand.stopped()
    hand.settle()
    hand.write(one, revision=0, template=0)
    hand.settle()
    # The new pod never became ready: with OrderedReady the set waits for it.
    assert going(hand, one) == []
    hand.run(pod(hand, one, 2))
    run_all(hand, one)
    assert revisions(hand, one) == [0, 0, 0]
    assert (hand.read(one, "current_revision"), hand.read(one, "update_revision")) == (0, 0)


@pytest.mark.parametrize("management", [0, PARALLEL])
def test_min_ready_seconds(management: int) -> None:
    """TestStatefulSetControlRollingUpdate and TestParallelScale, RespectsMinReadySeconds."""
    hand = Hand("statefulset")
    one = make(hand, replicas=2, management=management, min_ready_us=30 * SECOND)
    hand.settle()
    assert len(hand.pods(one)) == (2 if management else 1)

    def later(ordinal: int) -> None:
        hand.run(pod(hand, one, ordinal))
        hand.settle()
        before = ordinals(hand, one), going(hand, one)
        hand.wait(29 * SECOND)
        assert (ordinals(hand, one), going(hand, one)) == before
        hand.now += SECOND
        hand._changed(pod(hand, one, ordinal), -1)
        hand.cluster.life_available[pod(hand, one, ordinal)] = 1
        hand._changed(pod(hand, one, ordinal), 1)
        hand.settle()

    later(0)
    later(1)
    assert hand.read(one, "available_replicas") == 2
    hand.write(one, revision=1)
    hand.settle()
    assert going(hand, one) == [1]
    hand.stopped()
    hand.settle()
    later(1)
    assert going(hand, one) == [0]


def test_max_unavailable_scenario() -> None:
    """6 replicas, partition 3, maxUnavailable 2: TestStatefulSetControlRollingUpdateWithMaxUnavailable."""
    for management in (0, PARALLEL):
        hand = Hand("statefulset")
        one = make(
            hand, replicas=6, partition=3, max_unavailable=2, max_unavailable_gate=1, management=management,
        )  # fmt: skip
        run_all(hand, one)
        hand.write(one, revision=1, template=1)
        hand.settle()
        assert going(hand, one) == [4, 5]
        hand.stopped()
        assert ordinals(hand, one) == [0, 1, 2, 3]
        hand.settle()
        if management:
            assert (ordinals(hand, one), going(hand, one)) == ([0, 1, 2, 3, 4, 5], [])
            hand.run(pod(hand, one, 4))
            hand.settle()
            assert going(hand, one) == [3]
            hand.stopped()
            hand.settle()
            hand.run(pod(hand, one, 3), pod(hand, one, 5))
        else:
            assert ordinals(hand, one) == [0, 1, 2, 3, 4]
            hand.run(pod(hand, one, 4))
            hand.settle()
            assert (ordinals(hand, one), going(hand, one)) == ([0, 1, 2, 3, 4, 5], [])
            hand.run(pod(hand, one, 5))
            hand.settle()
            assert going(hand, one) == [3]
            hand.stopped()
            hand.settle()
            hand.run(pod(hand, one, 3))
        serials = sorted(hand.cluster.pod_trace_row[p].item() for p in hand.pods(one))
        run_all(hand, one)
        assert serials == sorted(hand.cluster.pod_trace_row[p].item() for p in hand.pods(one))
        assert revisions(hand, one) == [0, 0, 0, 1, 1, 1]


def test_max_unavailable_counts_only_behind_its_gate() -> None:
    hand = Hand("statefulset")
    one = make(hand, replicas=6, max_unavailable=3)
    run_all(hand, one)
    hand.write(one, revision=1)
    hand.settle()
    assert going(hand, one) == [5]


#: TestGetStatefulSetMaxUnavailable: (value, percentage, replicas, most); a value that is missing is 1.
MAX_UNAVAILABLE = [
    (1, False, 10, 1), (3, False, 10, 3), (0, False, 0, 1), (10, True, 25, 2), (100, True, 5, 5), (50, True, 5, 2),
    (10, True, 5, 1), (0, True, 1, 1),
]  # fmt: skip


@pytest.mark.parametrize(("value", "percent", "replicas", "most"), MAX_UNAVAILABLE)
def test_max_unavailable_is_rounded_down_but_at_least_one(value: int, percent: bool, replicas: int, most: int) -> None:
    amount = resolved(np.array([value]), np.array([percent]), np.array([replicas]), up=False)
    assert np.maximum(amount, 1).tolist() == [most]
    assert twin.max_unavailable(value, percent, replicas) == most
    hand = Hand("statefulset")
    one = make(
        hand, replicas=replicas, management=PARALLEL, max_unavailable=value, max_unavailable_percent=int(percent),
        max_unavailable_gate=1,
    )  # fmt: skip
    run_all(hand, one)
    hand.write(one, revision=1)
    hand.settle()
    assert len(going(hand, one)) == min(most, replicas)


def claims_of(hand: Hand) -> list[str]:
    return sorted(hand.world.name(one) for one in hand.objects("PersistentVolumeClaim"))


def names(*ordinals: int) -> list[str]:
    return sorted(f"{name}-web-{ordinal}" for name in ("data", "logs") for ordinal in ordinals)


def test_claims_take_calls_and_stay_or_go_as_the_policy_says() -> None:
    for drops in (0, DELETE):
        hand = Hand("statefulset", "garbage-collector", limited=True)
        one = make(hand, claims=2, when_scaled=drops)
        reconciler = hand.manager.reconcilers["statefulset"]
        hand.now = 10 * SECOND
        run_all(hand, one)
        assert claims_of(hand) == names(0, 1, 2)
        hand.wait(10 * SECOND)
        hand.write(one, replicas=2)
        before = reconciler.calls
        run_all(hand, one)
        assert claims_of(hand) == (names(0, 1) if drops else names(0, 1, 2))
        # A deletion and three statuses; claims that get an owner take a call each.
        down = reconciler.calls - before
        hand.wait(10 * SECOND)
        before = reconciler.calls
        hand.write(one, replicas=3)
        hand.settle()
        up = reconciler.calls - before
        assert (ordinals(hand, one), claims_of(hand)) == ([0, 1, 2], names(0, 1, 2))
        # The status twice, the pod, and the claims that it has not.
        assert (down, up) == ((6, 5) if drops else (4, 3))
        # The collector reads each claim before it deletes it.
        assert hand.manager.reconcilers["garbage-collector"].calls == (4 if drops else 0)


def delete(hand: Hand, object_: int) -> None:
    asked, one = Requests(), np.array([object_])
    asked.delete_objects(np.array([0]), one, hand.cluster.object_uid[one])
    hand.world.apply(asked.asked[0], hand.now)


def test_claims_go_with_their_set_or_are_found_again() -> None:
    for owned in (0, DELETE):
        hand = Hand("statefulset", "garbage-collector")
        one = make(hand, claims=2, when_deleted=owned, replicas=2)
        run_all(hand, one)
        before = hand.cluster.object_uid[hand.objects("PersistentVolumeClaim")].tolist()
        delete(hand, one)
        hand.settle()
        hand.stopped()
        hand.settle()
        assert (hand.pods(), claims_of(hand)) == ([], [] if owned else names(0, 1))
        again = make(hand, claims=2, when_deleted=owned, replicas=2)
        run_all(hand, again)
        assert claims_of(hand) == names(0, 1)
        after = hand.cluster.object_uid[hand.objects("PersistentVolumeClaim")].tolist()
        assert (after == before) is not bool(owned)


def test_a_policy_that_changes_takes_the_claims_of_pods_that_are_there() -> None:
    hand = Hand("statefulset", "garbage-collector")
    one = make(hand, claims=1)
    run_all(hand, one)
    hand.write(one, replicas=2)
    run_all(hand, one)
    hand.write(one, when_deleted=DELETE)
    hand.settle()
    owners = [int(hand.cluster.object_owner[claim]) for claim in hand.objects("PersistentVolumeClaim")]
    assert owners == [one, one, -1]
    hand.write(one, when_deleted=0)
    hand.settle()
    assert hand.objects("PersistentVolumeClaim", one) == []


def test_claims_of_the_input_are_the_set_s_own_by_name() -> None:
    hand = Hand("statefulset", "garbage-collector")
    hand.make("PersistentVolumeClaim", "data-web-1")
    hand.make("PersistentVolumeClaim", "data-web-1", namespace="other")
    one = make(hand, claims=1, when_deleted=DELETE)
    run_all(hand, one)
    assert sorted(claims_of(hand)) == ["data-web-0", "data-web-1", "data-web-1", "data-web-2"]
    owned = {(hand.world.namespace(c), hand.world.name(c)) for c in hand.objects("PersistentVolumeClaim", one)}
    assert owned == {("default", name) for name in ("data-web-0", "data-web-1", "data-web-2")}


def test_claims_are_made_before_their_pod() -> None:
    hand = Hand("statefulset", limited=True)
    make(hand, replicas=40, claims=3, management=PARALLEL)
    hand.wait(1)
    # One call makes the revision; of the other 29, each pod takes four.
    assert (len(hand.pods()), len(claims_of(hand))) == (7, 22)
    hand.wait(SECOND)
    assert (len(hand.pods()), len(claims_of(hand))) == (12, 37)
    hand.wait(10 * SECOND)
    assert len(hand.pods()) == 40


def test_pods_that_were_there_before_are_of_the_current_revision() -> None:
    hand = Hand("statefulset")
    one = make(hand, revision=4)
    run_all(hand, one)
    hand.cluster.life_revision[hand.pods(one)] = -1
    hand.restart("statefulset")
    hand.settle()
    assert (going(hand, one), hand.read(one, "updated_replicas")) == ([], 3)
    hand.write(one, revision=5)
    hand.settle()
    assert going(hand, one) == [2]


def test_a_set_that_is_being_deleted_does_no_more() -> None:
    hand = Hand("statefulset")
    one = make(hand)
    run_all(hand, one)
    hand.cluster.object_deleted_us[one] = hand.now
    hand.delete(pod(hand, one, 2))
    hand.stopped()
    hand.settle()
    assert (ordinals(hand, one), hand.read(one, "status_replicas")) == ([0, 1], 2)
