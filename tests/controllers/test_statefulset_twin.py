"""The StatefulSet controller against a plain twin, and what holds whatever happens."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale.controllers.common.claims import claim_names
from kscale.controllers.statefulset import STATEFULSET
from kscale.engine import requests as verbs
from kscale.engine.objects import FAILED, PHASES, RUNNING_PHASE
from kscale.engine.requests import Requests
from tests.controllers.statefulsets import make, ordinals, pod, revisions, run_all
from tests.controllers.world import Hand
from tests.twin import statefulset as twin

SECOND = 1_000_000


def asked(found: Requests, place: int, verb: int) -> list[dict[str, Any]]:
    rows = []
    for request in found.asked:
        if request.verb == verb:
            for at in np.flatnonzero(request.key == place).tolist():
                rows.append({name: values[at].item() for name, values in request.columns.items()})
                rows[-1]["cost"] = request.cost
    return rows


def claims_of(hand: Hand) -> dict[str, tuple[str, int]]:
    """Return the claims that are there: whose each is, and the row of the pod that it goes with."""
    found = {}
    for one in hand.objects("PersistentVolumeClaim"):
        owner = int(hand.cluster.object_owner[one])
        found[hand.world.name(one)] = (hand.world.name(owner) if owner >= 0 else "", hand.read(one, "pod"))
    return found


def compare_claims(hand: Hand, one: int, found: Requests, place: int, answer: twin.Answer) -> None:
    """Hold what a pass asks for claims equal to the twin's."""
    world, names = hand.world, claim_names(hand.world, one)
    made = [
        (
            f"{names[row['slot']]}-{world.name(one)}-{row['ordinal']}",
            world.name(row["owner"]) if row["owner"] >= 0 else "",
        )
        for row in asked(found, place, verbs.CREATE_OBJECTS)
    ]
    assert made == answer.claimed
    updates = asked(found, place, verbs.UPDATE)
    owned = {world.name(u["object"]): u["object_owner"] for u in updates if "object_owner" in u}
    assert {name: world.name(owner) if owner >= 0 else "" for name, owner in owned.items()} == answer.owned
    given = {world.name(u["object"]): u["pod"] for u in updates if "pod" in u}
    assert given == answer.given
    assert [u["claims_owned"] for u in updates if "claims_owned" in u] == [
        hand.read(one, "when_deleted")
    ] * answer.settled


def compare(hand: Hand, keys: list[int], found: Requests) -> None:
    """Hold a pass equal to the twin's, key by key."""
    cluster = hand.cluster
    for place, one in enumerate(keys):

        def read(name: str, one: int = one) -> int:
            return int(hand.read(one, name))

        pods = [
            twin.Pod(
                cluster.life_number[p].item(), cluster.life_revision[p].item(), PHASES[cluster.life_phase[p]],
                bool(cluster.life_ready[p]), bool(cluster.life_available[p]), bool(cluster.life_deleted_us[p] >= 0), p,
            ) for p in hand.pods(one)
        ]  # fmt: skip
        answer = twin.step(
            twin.Set(
                read("replicas"), read("revision"), read("template"), read("current_revision"),
                read("current_template"), read("start"), not read("management"), not read("strategy"),
                read("partition"), read("max_unavailable"), bool(read("max_unavailable_percent")),
                bool(read("max_unavailable_gate")), bool(cluster.object_deleted_us[one] >= 0), hand.world.name(one),
                tuple(claim_names(hand.world, one)), claims_of(hand), bool(read("when_deleted")),
                bool(read("when_scaled")), read("claims_owned") != read("when_deleted"),
            ), pods,
        )  # fmt: skip
        created = asked(found, place, verbs.CREATE_PODS)
        assert sorted((c["number"], c["revision"], c["template"]) for c in created) == answer.created
        compare_claims(hand, one, found, place, answer)
        deleted = [row["pod"] for row in asked(found, place, verbs.DELETE_PODS)]
        assert deleted == [p.row for p in answer.deleted]
        updates = asked(found, place, verbs.UPDATE)
        written = {name: value for row in updates for name, value in row.items()}
        for name, value in answer.status.items():
            assert written.get(name, read(name)) == value, name
        stale = cluster.object_observed[one] != cluster.object_generation[one]
        stale |= any(read(name) != value for name, value in answer.status.items())
        assert stale == any("status_replicas" in row for row in updates)


few = st.integers(0, 4)
flag = st.booleans()
a_set = st.fixed_dictionaries({
    "replicas": few, "start": st.sampled_from([0, 0, 1, 2]), "management": st.integers(0, 1),
    "strategy": st.sampled_from([0, 0, 1]), "partition": st.sampled_from([0, 0, 1, 2, 9]),
    "revision": st.integers(0, 1), "template": st.integers(0, 5), "current_revision": st.integers(-1, 2),
    "current_template": st.integers(0, 5),
    "max_unavailable": st.sampled_from([1, 2, 40, 100]), "max_unavailable_percent": st.integers(0, 1),
    "max_unavailable_gate": st.integers(0, 1), "claims": st.integers(0, 2), "when_scaled": st.integers(0, 1),
    "when_deleted": st.integers(0, 1), "claims_owned": st.integers(0, 2),
})  # fmt: skip
a_pod = st.fixed_dictionaries(
    {"phase": st.sampled_from([0, 1, 1, 1, 1, 2, 3, 4]), "ready": flag, "available": flag, "deleted": flag,
     "revision": st.integers(-1, 1)}
)  # fmt: skip
a_good_pod = st.fixed_dictionaries(
    {"phase": st.just(1), "ready": st.just(True), "available": st.just(True), "deleted": st.just(False),
     "revision": st.integers(-1, 1)}
)  # fmt: skip
most_pods = st.integers(0, 4).flatmap(
    lambda count: st.fixed_dictionaries(dict.fromkeys(range(count), a_good_pod | a_good_pod | a_pod))
)
some_pods = st.dictionaries(st.integers(0, 7), a_pod, max_size=6) | most_pods
#: Claims that are there: of which template and ordinal, whether the set owns each, and whether its pod does.
some_claims = st.dictionaries(st.tuples(st.integers(0, 1), st.integers(0, 7)), st.tuples(flag, flag), max_size=8)


def put_claims(hand: Hand, one: int, claims: dict[tuple[int, int], tuple[bool, bool]]) -> None:
    """Make claims of a set's pods in some state."""
    names = claim_names(hand.world, one)
    for (slot, ordinal), (owned, of_pod) in claims.items():
        if slot < len(names):
            found = [p for p in hand.pods(one) if hand.cluster.life_number[p] == ordinal]
            hand.make(
                "PersistentVolumeClaim", f"{names[slot]}-{hand.world.name(one)}-{ordinal}", owner=one if owned else -1,
                pod=found[0] if of_pod and found else -1,
                serial=hand.cluster.pod_trace_row[found[0]] if of_pod and found else -1,
            )  # fmt: skip


def put(hand: Hand, one: int, ordinal: int, state: dict[str, Any]) -> None:
    """Make a pod of a set in some state."""
    requests, at = Requests(), np.array([0])
    requests.create_pods(at, np.array([one]), at, at + ordinal, revision=at + state["revision"])
    hand.world.apply(requests.asked[0], hand.now)
    ready = state["ready"] and state["phase"] == RUNNING_PHASE
    hand.change(
        pod(hand, one, ordinal), phase=state["phase"], ready=ready, available=ready and state["available"],
        deleted_us=0 if state["deleted"] else -1,
    )  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(a_set, some_pods, flag, some_claims), min_size=1, max_size=4))
def test_a_pass_is_that_of_the_twin(worlds: list[tuple[dict[str, int], dict[int, Any], bool, dict[Any, Any]]]) -> None:
    hand = Hand("statefulset", pod=64, life=64, due=128)
    keys = []
    for number, (columns, pods, deleted, claims) in enumerate(worlds):
        keys.append(make(hand, f"set-{number}", **columns))
        hand.cluster.object_deleted_us[keys[-1]] = 0 if deleted and number == 3 else -1
        for ordinal, state in pods.items():
            put(hand, keys[-1], ordinal, state)
        put_claims(hand, keys[-1], claims)
    compare(hand, keys, STATEFULSET.step(hand.world, np.array(keys), hand.now))


EVENTS = (
    "run", "run", "run", "ready", "unready", "finish", "fail", "delete", "stop", "stop", "scale", "update", "restart",
    "wait",
)  # fmt: skip
event = st.tuples(
    st.sampled_from(EVENTS),
    st.integers(0, 9), st.integers(0, 4),
)  # fmt: skip


def happen(hand: Hand, one: int, what: str, which: int, number: int) -> None:
    pods = hand.pods(one)
    chosen = pods[which % len(pods)] if pods else -1
    cluster = hand.cluster
    if what == "scale":
        hand.write(one, replicas=number)
    elif what == "update":
        hand.write(one, revision=number % 3, template=number % 3)
    elif what == "restart":
        hand.restart("statefulset")
    elif what == "wait":
        hand.wait(number * SECOND)
    elif chosen >= 0:
        ended, leaving = cluster.life_phase[chosen] in (2, 3), cluster.life_deleted_us[chosen] >= 0
        if what == "run" and not ended and not leaving:
            hand.run(chosen)
        elif what in ("ready", "unready") and cluster.life_phase[chosen] == RUNNING_PHASE:
            hand.ready(chosen, what == "ready")
        elif what in ("finish", "fail") and cluster.life_phase[chosen] == RUNNING_PHASE and not leaving:
            hand.finish(chosen, well=what == "finish")
        elif what == "delete":
            hand.delete(chosen)
        elif what == "stop" and leaving:
            hand.stopped(chosen)


@settings(max_examples=60, deadline=None)
@given(a_set, st.lists(event, max_size=25), flag)
def test_never_two_pods_of_an_ordinal(columns: dict[str, int], events: list[tuple[str, int, int]], limit: bool) -> None:
    """Whatever happens, and however often the controller begins anew; and it comes to the same end."""
    hand = Hand("statefulset", "garbage-collector", limited=limit, pod=256, life=256, due=512)
    columns = {**columns, "current_revision": -1, "current_template": -1, "claims_owned": 2}
    one = make(hand, **columns)
    for what, which, number in events:
        happen(hand, one, what, which, number)
        hand.look()
        found = ordinals(hand, one)
        assert len(found) == len(set(found))
    for p in hand.active(one):
        hand.run(p)
    hand.restart("statefulset")
    for _ in range(60):
        hand.wait(10 * SECOND)
        hand.stopped()
        hand.run(*(p for p in hand.active(one) if not hand.cluster.life_ready[p]))
    wanted, start = hand.read(one, "replicas"), hand.read(one, "start")
    assert ordinals(hand, one) == list(range(start, start + wanted))
    assert hand.read(one, "available_replicas") == hand.read(one, "status_replicas") == wanted
    if not columns["strategy"]:
        asked_for, partition = hand.read(one, "revision"), hand.read(one, "partition")
        assert all(revision == asked_for for revision in revisions(hand, one)[partition:])
    there = claims_of(hand)
    for ordinal in range(start, start + wanted):
        for name in claim_names(hand.world, one):
            assert there[f"{name}-web-{ordinal}"][0] == ("web" if columns["when_deleted"] else "")
    hand.restart("statefulset")
    before = hand.manager.reconcilers["statefulset"].calls
    hand.settle()
    assert hand.manager.reconcilers["statefulset"].calls == before
    assert claims_of(hand) == there


def test_a_failed_pod_counts_as_a_pod_of_its_set() -> None:
    hand = Hand("statefulset")
    one = make(hand, replicas=1)
    run_all(hand, one)
    hand.finish(pod(hand, one, 0), well=False)
    assert hand.cluster.life_phase[pod(hand, one, 0)] == FAILED
    found = STATEFULSET.step(hand.world, np.array([one]), hand.now)
    compare(hand, [one], found)
    assert len(asked(found, 0, verbs.DELETE_PODS)) == 1
