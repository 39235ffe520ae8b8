"""The DaemonSet controller against a plain twin, and what holds whatever happens."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale.controllers import daemonset
from kscale.controllers.daemonset import DAEMONSET
from kscale.engine import requests as verbs
from kscale.engine.objects import PHASES, RUNNING_PHASE
from kscale.engine.requests import Requests
from kscale.state.descriptions import NodeDescriptions, PodDescription, PodTemplate
from kscale.state.labels import Requirement, Toleration
from tests.controllers.daemonsets import (
    MINUTE,
    PLAIN,
    SECOND,
    asked,
    described,
    make,
    nodes,
    on,
    put,
    run_all,
    status,
)  # fmt: skip
from tests.controllers.world import Hand
from tests.twin import daemonset as twin

NAMES = ("n0", "n1", "n2", "n3")
KEYS = ("a", "b")
a_label = st.dictionaries(st.sampled_from(KEYS), st.sampled_from("xy"), max_size=2)
a_taint = st.tuples(st.sampled_from(("t", "u")), st.sampled_from(("NoSchedule", "NoExecute", "PreferNoSchedule")))
a_node = st.fixed_dictionaries({"labels": a_label, "taints": st.lists(a_taint, max_size=1)})
a_template = st.fixed_dictionaries(
    {
        "node_name": st.sampled_from(("", "", "", "n1")),
        "selector": st.dictionaries(st.sampled_from(KEYS), st.sampled_from("xy"), max_size=1),
        "terms": st.none() | st.lists(
            st.dictionaries(st.sampled_from(KEYS), st.lists(st.sampled_from("xy"), min_size=1), max_size=2), max_size=2
        ),
        "tolerations": st.lists(
            st.tuples(st.sampled_from(("", "t", "u")), st.sampled_from(("", "NoSchedule", "NoExecute"))), max_size=2
        ),
    }
)  # fmt: skip


def template_of(plain: dict[str, Any]) -> PodTemplate:
    terms = plain["terms"]
    if terms is not None:
        terms = tuple(tuple(Requirement(k, "In", tuple(v)) for k, v in term.items()) for term in terms)
    return PodTemplate(
        PodDescription(
            tuple(sorted(plain["selector"].items())), terms, node_name=plain["node_name"],
            tolerations=tuple(Toleration(key, "Exists", "", effect) for key, effect in plain["tolerations"]),
        )
    )  # fmt: skip


def nodes_of(plain: list[dict[str, Any]]) -> NodeDescriptions:
    taints = [",".join(f"{key}:{effect}" for key, effect in one["taints"]) for one in plain]
    return described(taints, [one["labels"] for one in plain])


a_set = st.fixed_dictionaries({
    "template": st.integers(0, 1), "revision": st.integers(0, 1), "update_revision": st.integers(-1, 1),
    "first_revision": st.integers(0, 1), "strategy": st.sampled_from([0, 0, 0, 1]),
    "max_unavailable": st.sampled_from([0, 1, 2, 34]), "max_unavailable_percent": st.integers(0, 1),
    "max_surge": st.sampled_from([0, 0, 1, 2, 50]), "max_surge_percent": st.integers(0, 1),
})  # fmt: skip
a_pod = st.fixed_dictionaries({
    "node": st.integers(0, 3), "phase": st.sampled_from([0, 1, 1, 1, 1, 1, 2, 3]), "ready": st.sampled_from([1, 1, 0]),
    "available": st.sampled_from([True, True, False]), "deleted": st.sampled_from([False] * 5 + [True]),
    "bound": st.sampled_from([True, True, True, False]), "revision": st.integers(-1, 1),
    "number": st.sampled_from([-1, -2, -4, -31]),
})  # fmt: skip
one_each = st.lists(a_pod, max_size=7) | st.permutations(range(4)).flatmap(
    lambda order: st.tuples(*(a_pod.map(lambda pod, node=node: {**pod, "node": node}) for node in order[:4]))
)


def compare(hand: Hand, keys: list[int], found: Requests, planes: list[list[tuple[bool, bool]]], burst: int) -> None:
    """Hold a pass equal to the twin's, key by key."""
    cluster = hand.cluster
    for place, one in enumerate(keys):
        revision = hand.read(one, "revision")
        # A pod that says no revision is of the set's first.
        first = revision if hand.read(one, "update_revision") < 0 else hand.read(one, "first_revision")
        pods = [
            twin.Pod(
                cluster.life_pin[p].item(), p, cluster.pod_arrived_us[p].item(),
                (first if cluster.life_revision[p] < 0 else cluster.life_revision[p]) == revision,
                PHASES[cluster.life_phase[p]],
                bool(cluster.pod_node[p] >= 0), bool(cluster.life_ready[p]), bool(cluster.life_available[p]),
                bool(cluster.life_deleted_us[p] >= 0), -1 - cluster.life_number[p].item(),
            ) for p in hand.pods(one)
        ]  # fmt: skip
        serials = {pod.row: cluster.pod_trace_row[pod.row].item() for pod in pods}
        rows = {serial: row for row, serial in serials.items()}
        for pod in pods:
            pod.row = serials[pod.row]
        names = ("max_surge", "max_surge_percent", "max_unavailable", "max_unavailable_percent")
        plain = twin.Set(not hand.read(one, "strategy"), *(hand.read(one, name) for name in names))
        answer = twin.step(plain, planes[place], pods, hand.now, burst)
        assert set(asked(found, place, verbs.DELETE_PODS, "pod")) == {rows[serial] for serial in answer.deleted}
        assert asked(found, place, verbs.CREATE_PODS, "pin", "number") == answer.created
        later = {int(at) for places, times in found.later for k, at in zip(places, times, strict=True) if k == place}
        assert later == answer.later
        written = {name: value for row in asked(found, place, verbs.UPDATE) for name, value in row.items()}
        for name, value in answer.status.items():
            assert written.get(name, hand.read(one, name)) == value, name


@settings(max_examples=120, deadline=None)
@given(
    st.lists(a_node, min_size=4, max_size=4), st.tuples(a_template | st.just(None), a_template | st.just(None)),
    st.lists(st.tuples(a_set, one_each), min_size=1, max_size=3),
    st.sampled_from([0, 500_000, 2 * SECOND, 40 * MINUTE]), st.sampled_from([2, 250]),
)  # fmt: skip
def test_a_pass_is_that_of_the_twin(
    plain: list[dict[str, Any]], templates: tuple[Any, Any], worlds: list[Any], now: int, burst: int
) -> None:
    hand = Hand("daemonset", pod=64, life=64, due=128)
    open_to_all = {"node_name": "", "selector": {}, "terms": None, "tolerations": [("", "")]}
    chosen = [one or open_to_all for one in templates]
    hand.describe(nodes_of(plain), *map(template_of, chosen))
    keys, planes = [], []
    for number, (columns, pods) in enumerate(worlds):
        keys.append(make(hand, f"d{number}", **columns))
        for state in pods:
            hand.now += 1
            put(hand, keys[-1], **state)
        named = [{**node, "name": name} for name, node in zip(NAMES, plain, strict=True)]
        planes.append([twin.eligible(node, chosen[columns["template"]]) for node in named])
    hand.now += now
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(daemonset, "BURST", burst)
        found = DAEMONSET.step(hand.world, np.array(keys), hand.now)
    compare(hand, keys, found, planes, burst)


EVENTS = (
    "run", "run", "run", "ready", "unready", "fail", "finish", "delete", "stop", "stop", "update", "restart", "wait",
    "taint",
)  # fmt: skip
event = st.tuples(
    st.sampled_from(EVENTS),
    st.integers(0, 9), st.integers(0, 3),
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(a_set, st.lists(event, max_size=25), st.booleans())
def test_every_eligible_node_ends_with_one_pod(
    columns: dict[str, int], events: list[tuple[str, int, int]], limit: bool
) -> None:
    """Whatever happens, and however often the controller begins anew."""
    hand = Hand("daemonset", limited=limit, pod=512, life=512, due=1024)
    taints = [""] * 4
    hand.describe(described(taints), PLAIN, PLAIN)
    one = make(hand, **columns)
    cluster = hand.cluster
    for what, which, number in events:
        pods = hand.pods(one)
        pod = pods[which % len(pods)] if pods else -1
        if what == "update":
            hand.write(one, revision=number, template=number % 2)
        elif what == "restart":
            hand.restart("daemonset")
        elif what == "wait":
            hand.wait(number * SECOND)
        elif what == "taint":
            taints[number] = ("", "x:NoSchedule", "x:NoExecute")[which % 3]
            hand.describe(described(taints))
        elif pod >= 0:
            _happen(hand, pod, what)
        hand.look()
    hand.restart("daemonset")
    for _ in range(40):
        hand.wait(30 * SECOND)
        hand.stopped()
        run_all(hand, one)
    wanted = [node for node, taint in enumerate(taints) if taint != "x:NoExecute"]
    run = [node for node, taint in enumerate(taints) if not taint]
    assert set(run) <= set(nodes(hand, one)) <= set(wanted)
    assert len(nodes(hand, one)) == len(set(nodes(hand, one)))
    assert status(hand, one)[0] == status(hand, one)[4] == len(run)
    if not columns["strategy"]:
        assert all(cluster.life_revision[on(hand, one, node)[0]] == hand.read(one, "revision") for node in run)
    hand.restart("daemonset")
    before = hand.manager.reconcilers["daemonset"].calls
    hand.settle()
    assert hand.manager.reconcilers["daemonset"].calls == before


def _happen(hand: Hand, pod: int, what: str) -> None:
    cluster = hand.cluster
    phase, leaving = cluster.life_phase[pod], cluster.life_deleted_us[pod] >= 0
    if what == "run" and phase not in (2, 3) and not leaving:
        hand.run(pod, node=cluster.life_pin[pod].item())
    elif what in ("ready", "unready") and phase == RUNNING_PHASE:
        hand.ready(pod, what == "ready")
    elif what in ("finish", "fail") and phase == RUNNING_PHASE and not leaving:
        hand.finish(pod, well=what == "finish")
    elif what == "delete":
        hand.delete(pod)
    elif what == "stop" and leaving:
        hand.stopped(pod)
