"""The DaemonSet controller: figures of its upstream tests, taints and back-off."""

from __future__ import annotations

import numpy as np
import pytest

from kscale.controllers import daemonset
from kscale.controllers.common.daemonsets import TOLERATED, TOLERATED_ON_HOST
from kscale.controllers.daemonset import BURST, DAEMONSET, ON_DELETE, desired_counts, eligible
from kscale.engine import requests as verbs
from kscale.state.descriptions import PodDescription
from kscale.state.labels import Taint, Toleration
from tests.controllers.daemonsets import (
    MINUTE,
    PLAIN,
    SECOND,
    a_hand,
    asked,
    described,
    going,
    make,
    nodes,
    on,
    put,
    run_all,
    status,
)  # fmt: skip
from tests.controllers.world import Hand
from tests.twin import daemonset as twin


def test_one_pod_on_every_node() -> None:
    hand = a_hand("", "", "")
    one = make(hand)
    hand.settle()
    assert nodes(hand, one) == [0, 1, 2]
    assert status(hand, one) == (3, 3, 0, 0, 0, 3, 3)
    run_all(hand, one)
    assert status(hand, one) == (3, 3, 0, 3, 3, 0, 3)
    hand.describe(described(["", "", "", ""]))
    hand.settle()
    assert nodes(hand, one) == [0, 1, 2, 3]
    assert status(hand, one) == (4, 4, 0, 3, 3, 1, 4)


def test_taints_keep_pods_away_and_only_no_execute_drives_them_out() -> None:
    hand = a_hand("", "dedicated=db:NoSchedule", "dedicated=db:PreferNoSchedule", "")
    one = make(hand)
    hand.settle()
    run_all(hand, one)
    assert nodes(hand, one) == [0, 2, 3]
    hand.describe(described(["late=1:NoSchedule", "", "", "late=1:NoExecute"]))
    hand.settle()
    assert (nodes(hand, one), going(hand, one)) == ([0, 1, 2, 3], [3])
    assert status(hand, one)[:3] == (2, 2, 2)
    hand.stopped()
    hand.settle()
    assert nodes(hand, one) == [0, 1, 2]
    assert status(hand, one)[:3] == (2, 2, 1)


def test_nodes_that_are_not_ready_or_unreachable_still_get_pods() -> None:
    keys = [*TOLERATED, TOLERATED_ON_HOST]
    marked = described([f"{key}:{effect}" for key, effect in keys])
    tolerations = tuple(Toleration(key, "Exists", "", effect) for key, effect in TOLERATED)
    run, stay = eligible(marked, PodDescription(tolerations=tolerations))
    assert run.tolist() == [True] * 6 + [False]
    assert stay.tolist() == [True] * 7
    both = (*tolerations, Toleration(TOLERATED_ON_HOST[0], "Exists", "", TOLERATED_ON_HOST[1]))
    assert eligible(marked, PodDescription(tolerations=both))[0].all()


def test_a_burst_is_250() -> None:
    hand = a_hand(*[""] * 600)
    one = make(hand)
    hand.look()
    assert len(hand.pods(one)) == BURST == 250
    hand.settle()
    assert nodes(hand, one) == list(range(600))
    run_all(hand, one)
    hand.describe(described(["x:NoExecute"] * 600))
    hand.look()
    assert len(going(hand, one)) == 250


def test_twenty_calls_a_second() -> None:
    hand = Hand("daemonset", limited=True)
    hand.describe(described([""] * 100), PLAIN)
    one = make(hand)
    hand.wait(1)
    # The revision is the first of thirty calls.
    assert len(hand.pods(one)) == 29
    hand.wait(4 * SECOND)
    assert nodes(hand, one) == list(range(100))


def test_of_several_pods_on_a_node_the_oldest_ready_stays() -> None:
    hand = a_hand("")
    one = make(hand)
    first, second, third = put(hand, one, 0, ready=False), put(hand, one, 0), put(hand, one, 0)
    found = DAEMONSET.step(hand.world, np.array([one]), hand.now)
    assert sorted(asked(found, 0, verbs.DELETE_PODS, "pod")) == [first, third]
    assert second not in asked(found, 0, verbs.DELETE_PODS, "pod")


def test_failed_pods_come_back_after_a_wait_that_doubles() -> None:
    hand = a_hand("", "")
    one = make(hand)
    hand.settle()
    waits = []
    for _ in range(13):
        (pod,) = on(hand, one, 1)
        hand.run(pod, node=1)
        made = hand.now
        hand.finish(pod, well=False)
        hand.settle()
        while on(hand, one, 1) == [pod]:
            hand.wait(max(hand.due() - hand.now, 1))
        waits.append((hand.now - made) // SECOND)
    assert waits == [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]
    assert len(on(hand, one, 0)) == 1
    # After half an hour without a failure, it begins anew.
    (pod,) = on(hand, one, 1)
    hand.run(pod, node=1)
    hand.wait(30 * MINUTE + 1)
    hand.finish(pod, well=False)
    hand.settle()
    (pod,) = on(hand, one, 1)
    assert hand.cluster.life_number[pod] == -2


def test_a_new_revision_forgets_failures() -> None:
    hand = a_hand("")
    one = make(hand, strategy=ON_DELETE)
    put(hand, one, 0, phase=3, number=-10)
    hand.look()
    assert hand.due() == 256 * SECOND
    hand.write(one, revision=1)
    hand.settle()
    (pod,) = hand.pods(one)
    assert (hand.cluster.life_number[pod], hand.cluster.life_revision[pod]) == (-2, 1)


def test_a_failed_pod_does_not_wait_where_it_may_not_be() -> None:
    hand = a_hand("")
    one = make(hand)
    put(hand, one, 0, phase=3, number=-10)
    hand.look()
    assert len(hand.pods(one)) == 1
    hand.describe(described(["x:NoExecute"]))
    hand.settle()
    assert hand.pods(one) == []


def test_pods_that_were_there_before_are_of_the_first_revision() -> None:
    hand = a_hand("", "")
    one = make(hand, revision=4)
    for node in (0, 1):
        put(hand, one, node, revision=-1)
    hand.settle()
    assert (going(hand, one), status(hand, one)) == ([], (2, 2, 0, 2, 2, 0, 2))
    hand.write(one, revision=5)
    hand.settle()
    assert going(hand, one) == [0]
    hand.write(one, revision=4)
    hand.stopped()
    hand.settle()
    assert (going(hand, one), status(hand, one)[-1]) == ([], 2)


def test_succeeded_pods_are_made_anew_at_once() -> None:
    hand = a_hand("")
    one = make(hand)
    hand.settle()
    run_all(hand, one)
    (old,) = hand.pods(one)
    serial = hand.cluster.pod_trace_row[old]
    hand.finish(old)
    hand.settle()
    (new,) = hand.pods(one)
    assert hand.cluster.pod_trace_row[new] > serial
    assert hand.cluster.life_number[new] == -1


#: (nodes, surge, percentage, unavailable, percentage, most that surge, most that are unavailable).
COUNTS = [
    (0, 0, 0, 0, 0, 0, 0), (2, 0, 0, 1, 0, 0, 1), (2, 0, 0, 0, 0, 0, 1), (2, 0, 1, 0, 0, 0, 1), (2, 0, 0, 50, 1, 0, 1),
    (2, 50, 1, 0, 0, 1, 0), (2, 100, 1, 0, 0, 2, 0), (3, 0, 0, 50, 1, 0, 2),
]  # fmt: skip


@pytest.mark.parametrize("row", COUNTS)
def test_updated_desired_node_counts(row: tuple[int, ...]) -> None:
    count, surge, surge_percent, unavailable, unavailable_percent, *most = row
    found = desired_counts(*(np.array([value]) for value in row[:5]))
    assert [value.item() for value in found] == most
    asked_for = twin.Set(True, surge, bool(surge_percent), unavailable, bool(unavailable_percent))
    assert list(twin.counts(asked_for, count)) == most


def test_a_rolling_update_keeps_to_max_unavailable() -> None:
    hand = a_hand(*[""] * 5)
    one = make(hand, max_unavailable=40, max_unavailable_percent=1)
    hand.settle()
    run_all(hand, one)
    hand.write(one, revision=1, template=1)
    hand.settle()
    assert going(hand, one) == [0, 1]
    hand.stopped()
    hand.settle()
    assert (nodes(hand, one), going(hand, one)) == ([0, 1, 2, 3, 4], [])
    run_all(hand, one)
    assert going(hand, one) == [2, 3]
    for _ in range(3):
        hand.stopped()
        hand.settle()
        run_all(hand, one)
    assert status(hand, one) == (5, 5, 0, 5, 5, 0, 5)
    assert {hand.cluster.pod_template[pod].item() for pod in hand.pods(one)} == {1}


def test_old_pods_that_are_not_available_go_at_once() -> None:
    hand = a_hand(*[""] * 4)
    one = make(hand)
    hand.settle()
    run_all(hand, one)
    for node in (1, 3):
        hand.ready(on(hand, one, node)[0], False)
    hand.settle()
    hand.write(one, revision=1)
    hand.settle()
    assert going(hand, one) == [1, 3]


def test_a_surge_makes_the_new_pod_first() -> None:
    hand = a_hand(*[""] * 4)
    one = make(hand, max_surge=50, max_surge_percent=1, max_unavailable=0)
    hand.settle()
    run_all(hand, one)
    hand.write(one, revision=1)
    hand.settle()
    assert (nodes(hand, one), going(hand, one)) == ([0, 0, 1, 1, 2, 3], [])
    fresh = on(hand, one, 0)[1]
    hand.run(fresh, node=0)
    hand.settle()
    # The old pod goes when the new one is available; the next node may surge when that is gone.
    assert going(hand, one) == [0]
    hand.stopped()
    hand.settle()
    assert nodes(hand, one) == [0, 1, 1, 2, 2, 3]
    # A pod of the old revision that ceases to be ready goes at once.
    hand.ready(on(hand, one, 1)[0], False)
    hand.settle()
    assert going(hand, one) == [1]


def test_with_a_surge_nodes_whose_old_pod_is_not_ready_are_free() -> None:
    hand = a_hand(*[""] * 4)
    one = make(hand, max_surge=1, max_unavailable=0)
    hand.settle()
    run_all(hand, one)
    for node in (2, 3):
        hand.ready(on(hand, one, node)[0], False)
    hand.settle()
    hand.write(one, revision=1)
    hand.look()
    assert nodes(hand, one) == [0, 0, 1, 2, 2, 3, 3]


def test_on_delete_updates_only_what_a_person_deletes() -> None:
    hand = a_hand("", "")
    one = make(hand, strategy=ON_DELETE)
    hand.settle()
    run_all(hand, one)
    hand.write(one, revision=1)
    hand.settle()
    assert going(hand, one) == []
    assert status(hand, one)[-1] == 0
    hand.delete(on(hand, one, 1)[0])
    hand.stopped()
    hand.settle()
    assert [hand.cluster.life_revision[on(hand, one, node)[0]] for node in (0, 1)] == [0, 1]


def test_eligibility_is_worked_out_once_for_a_template(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    monkeypatch.setattr(daemonset, "eligible", lambda *given: calls.append(1) or eligible(*given))
    hand = a_hand("", "")
    keys = [make(hand, f"d{i}", template=i % 2) for i in range(6)]
    hand.settle()
    run_all(hand, keys[0])
    assert len(calls) == 2
    hand.describe(described(["", "x:NoExecute"]))
    hand.settle()
    assert len(calls) == 4
    assert [nodes(hand, one) for one in keys] == [[0, 1]] + [[0]] * 5


def test_an_unknown_taint_is_one_that_is_not_tolerated() -> None:
    run, stay = eligible(described(["a=1:NoExecute", "b:NoSchedule"]), PodDescription())
    assert (run.tolist(), stay.tolist()) == ([False, False], [False, True])
    assert Taint("a", "1", "NoExecute") in described(["a=1:NoExecute"]).taint_sets[0]
