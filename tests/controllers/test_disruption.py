"""PodDisruptionBudgets and evictions, by the figures of Kubernetes' own tests; the plain count beside the indexed."""

from __future__ import annotations

import math
import random
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale import controllers
from kscale.controllers.disruption import FALSE, MOST_DISRUPTED, REASONS, TRUE
from kscale.engine.reconcile import Controller, Reconciler
from kscale.engine.requests import Requests
from kscale.engine.world import World
from kscale.errors import InputError
from kscale.state.manifests.faults import Item
from kscale.state.manifests.taking import Gathering
from tests.controllers.world import MINUTE, Hand

SECOND = 1_000_000
#: Templates that every budget here covers.
COVERED = 8


class Budgeted(Hand):
    """A budget over the first templates; ReplicaSets are played by hand as well."""

    def __init__(self, *, limited: bool = False, **spec: Any) -> None:
        super().__init__("disruption", limited=limited)
        self.world.selections.append(np.arange(COVERED))
        self.budget = self.make("PodDisruptionBudget", "budget", selection=0, **spec)

    def set_of(self, replicas: int, pods: int, ready: int, template: int = 0, owner: int = -1) -> int:
        """A ReplicaSet that asks for some replicas and has some pods; return its row."""
        made = self.make("ReplicaSet", f"set{len(self.world.names)}", replicas=replicas, owner=owner)
        self.add(made, pods, ready, template)
        return made

    def add(self, owner: int, pods: int, ready: int, template: int = 0) -> list[int]:
        before = set(self.pods())
        requests = Requests()
        none = np.zeros(pods, np.int64)
        requests.create_pods(none, np.full(pods, owner), np.full(pods, template))
        for request in requests.asked:
            if owner < 0:
                request.verb = 0
            self.world.apply(request, self.now)
        new = [pod for pod in self.pods() if pod not in before]
        for place, pod in enumerate(new):
            self.run(pod, ready=place < ready)
        return new

    def naked(self, ready: bool = True) -> int:
        """A pod that nothing controls any more."""
        made = self.set_of(1, 1, int(ready))
        (pod,) = self.pods(made)
        requests = Requests()
        requests.orphan_pods(np.zeros(1, int), np.array([pod]), self.cluster.pod_trace_row[[pod]])
        self.world.apply(requests.asked[0], self.now)
        return pod

    def status(self) -> tuple[int, int, int, int]:
        """Allowed, healthy, desired, expected."""
        self.settle()
        return tuple(self.read(self.budget, name) for name in ("allowed", "healthy", "desired", "expected"))

    def evict(self, *pods: int) -> list[bool]:
        """Ask for evictions in one batch; tell which were granted."""
        requests = Requests()
        rows = np.array(pods, np.int64)
        requests.evict_pods(np.arange(len(rows)), rows, self.cluster.pod_trace_row[rows])
        refused = self.world.apply(requests.asked[0], self.now).tolist()
        return [place not in refused for place in range(len(pods))]


@pytest.mark.parametrize("ready", range(4))
def test_up_to_as_many_as_are_asked_for_none_is_allowed(ready: int) -> None:
    """TestNoMatchingPods and TestUnavailableMatchingPods: minAvailable 3 with 0 to 3 ready pods."""
    world = Budgeted(least=3)
    world.set_of(ready, ready, ready)
    assert world.status() == (0, ready, 3, ready)


def test_a_number_counts_on_the_pods_there_are() -> None:
    world = Budgeted(least=3)
    made = world.set_of(3, 3, 3)
    assert world.status() == (0, 3, 3, 3)
    assert (world.read(world.budget, "may"), REASONS[world.read(world.budget, "may_reason")]) == (
        FALSE, "InsufficientPods"
    )  # fmt: skip
    (pod,) = world.add(made, 1, 1)
    assert world.status() == (1, 4, 3, 4)
    assert (world.read(world.budget, "may"), REASONS[world.read(world.budget, "may_reason")]) == (
        TRUE, "SufficientPods"
    )  # fmt: skip
    world.ready(pod, False)
    assert world.status() == (0, 3, 3, 4)


@pytest.mark.parametrize(
    ("spec", "sets", "wanted"),
    [
        ({"least_percent": 20}, [(10, 1, 1)], (0, 1, 2, 10)),
        ({"most": 2}, [(7, 1, 1)], (0, 1, 5, 7)),
        ({"most_percent": 30}, [(7, 7, 7)], (3, 7, 4, 7)),
        ({"most_percent": 30}, [(3, 3, 3)], (1, 3, 2, 3)),
        ({"least_percent": 28}, [(11, 11, 11)], (7, 11, 4, 11)),
        ({"least_percent": 28}, [(11, 11, 11), (11, 11, 11)], (15, 22, 7, 22)),
        ({"least_percent": 34}, [(3, 3, 3)], (1, 3, 2, 3)),
        ({"least_percent": 34}, [(3, 3, 2)], (0, 2, 2, 3)),
        ({"least_percent": 34}, [(3, 3, 1)], (0, 1, 2, 3)),
        ({"least": 5}, [], (0, 0, 5, 0)),
        ({}, [(3, 3, 3)], (0, 3, 0, 0)),
        ({"most": 9}, [(3, 3, 3)], (3, 3, 0, 3)),
    ],
)
def test_what_else_counts_on_what_controllers_ask_for(
    spec: dict[str, int], sets: list[tuple[int, int, int]], wanted: tuple[int, int, int, int]
) -> None:
    world = Budgeted(**spec)
    for replicas, pods, ready in sets:
        world.set_of(replicas, pods, ready)
    assert world.status() == wanted


def test_a_controller_that_is_scaled_down() -> None:
    world = Budgeted(most=2)
    made = world.set_of(7, 1, 1)
    assert world.status() == (0, 1, 5, 7)
    world.write(made, replicas=5)
    world.write(world.budget)
    assert world.status() == (0, 1, 3, 5)


def test_the_sets_of_one_owner_are_one_controller() -> None:
    world = Budgeted(most=1)
    top = world.make("ReplicaSet", "top", replicas=6)
    world.set_of(4, 4, 4, owner=top)
    world.set_of(2, 2, 2, template=1, owner=top)
    assert world.status() == (1, 6, 5, 6)


def test_a_pod_that_nothing_controls() -> None:
    world = Budgeted(most=1)
    world.naked()
    assert world.status() == (0, 1, 0, 0)
    world = Budgeted(least=1)
    pods = [world.naked(), world.naked(ready=False), world.naked()]
    assert world.status() == (1, 2, 1, 3)
    world.ready(pods[0], False)
    world.change(pods[2], deleted_us=world.now)
    assert world.status() == (0, 0, 1, 3)
    world.stopped(pods[2])
    assert world.status() == (0, 0, 1, 2)


def test_a_controller_without_a_scale() -> None:
    world = Budgeted(most=1)
    made = world.make("HorizontalPodAutoscaler", "odd")
    world.add(made, 2, 2)
    world.look()
    assert world.read(world.budget, "allowed") == 0
    assert REASONS[world.read(world.budget, "may_reason")] == "SyncFailed"
    assert world.manager.reconcilers["disruption"].errors == 1


def test_pods_of_a_controller_are_covered_by_their_own_templates() -> None:
    world = Budgeted(least=1)
    made = world.set_of(5, 2, 2, template=COVERED)
    assert world.status() == (0, 0, 1, 0)
    world.add(made, 3, 2, template=1)
    assert world.status() == (1, 2, 1, 3)


def test_disrupted_pods_wait_two_minutes_for_their_deletion() -> None:
    world = Budgeted(least=1)
    world.now = 10 * MINUTE
    made = world.set_of(4, 4, 4)
    world.settle()
    pods, cluster = world.pods(made), world.cluster
    cluster.resize("disruption", 4)
    row = int(cluster.object_row[world.budget])
    ages = (0, 1 * MINUTE, 3 * MINUTE)
    for place, (pod, age) in enumerate(zip(pods, ages, strict=False)):
        cluster.poddisruptionbudget_disrupted[row, place] = pod
        cluster.poddisruptionbudget_disrupted_serial[row, place] = cluster.pod_trace_row[pod]
        cluster.poddisruptionbudget_disrupted_us[row, place] = world.now - age
    world.change(pods[0], deleted_us=world.now)
    assert world.status() == (1, 2, 1, 4)
    kept = cluster.poddisruptionbudget_disrupted_us[row] >= 0
    assert kept.tolist() == [False, True, False, False]
    world.wait(MINUTE)
    assert world.status() == (2, 3, 1, 4)
    assert not (cluster.poddisruptionbudget_disrupted_us[row] >= 0).any()


def test_an_eviction_is_taken_off() -> None:
    world = Budgeted(least=1)
    made = world.set_of(4, 4, 4)
    assert world.status()[0] == 3
    pods = world.pods(made)
    assert world.evict(pods[0]) == [True]
    assert world.read(world.budget, "allowed") == 2
    assert world.cluster.life_deleted_us[pods[0]] == world.now
    assert world.status() == (2, 3, 1, 4)
    # In one batch the first ones have it; one that is asked for twice is evicted once.
    assert world.evict(pods[1], pods[1], pods[2], pods[3]) == [True, True, True, False]
    assert (world.read(world.budget, "allowed"), world.read(world.budget, "refused")) == (0, 1)


def test_one_that_is_allowed_is_the_last() -> None:
    world = Budgeted(least=1)
    made = world.set_of(2, 2, 2)
    assert world.status()[0] == 1
    assert world.evict(*world.pods(made)) == [True, False]
    assert (world.read(world.budget, "allowed"), world.read(world.budget, "may")) == (0, FALSE)


@pytest.mark.parametrize(
    ("facts", "granted"),
    [({}, False), ({"phase": 0}, True), ({"phase": 2}, True), ({"phase": 3}, True), ({"deleted_us": 5}, True)],
)
def test_pods_that_do_not_run_may_go(facts: dict[str, int], granted: bool) -> None:
    world = Budgeted(least=9)
    made = world.set_of(3, 3, 3)
    assert world.status()[0] == 0
    pod = world.pods(made)[0]
    world.change(pod, **facts)
    assert world.evict(pod) == [granted]


@pytest.mark.parametrize(
    ("always", "least", "ready", "unready", "of_ready", "granted"),
    [(0, 2, 2, 1, False, True), (0, 2, 2, 1, True, False), (0, 3, 2, 1, False, False), (1, 3, 2, 1, False, True),
     (1, 3, 2, 1, True, False), (0, 0, 0, 1, False, False), (1, 0, 0, 1, False, True)],
)  # fmt: skip
def test_pods_that_are_not_ready(
    always: int, least: int, ready: int, unready: int, of_ready: bool, granted: bool
) -> None:
    world = Budgeted(least=least, always=always)
    made = world.set_of(ready + unready, ready + unready, ready)
    world.settle()
    if not least:
        world.cluster.poddisruptionbudget_allowed[:] = 0
    pods = world.pods(made)
    assert world.evict(pods[0] if of_ready else pods[-1]) == [granted]


def test_more_than_one_budget_and_one_that_nobody_has_looked_at() -> None:
    world = Budgeted(least=1)
    made = world.set_of(4, 4, 4)
    world.settle()
    (pod, *_) = world.pods(made)
    other = world.make("PodDisruptionBudget", "other", selection=0, least=1)
    world.settle()
    assert world.evict(pod) == [False]
    assert [world.read(one, "refused") for one in (world.budget, other)] == [1, 1]
    world.cluster.object_live[other] = 2
    world.world.versions["PodDisruptionBudget"] += 1
    world.write(world.budget)
    assert world.evict(pod) == [False]
    world.settle()
    assert world.evict(pod) == [True]


@pytest.mark.parametrize(("waiting", "granted"), [(MOST_DISRUPTED, True), (MOST_DISRUPTED + 1, False)])
def test_two_thousand_evictions_may_wait(waiting: int, granted: bool) -> None:
    world = Budgeted(least=0)
    made = world.set_of(3, 3, 3)
    assert world.status()[0] == 3
    world.cluster.resize("disruption", waiting)
    world.cluster.poddisruptionbudget_disrupted_us[world.cluster.object_row[world.budget]] = world.now
    assert world.evict(world.pods(made)[0]) == [granted]


def _nobody(world: World, objects: Any, pods: Any) -> Any:
    return objects[:0]


def evictor(hand: Hand, pods: list[int], qps: float = 0) -> Reconciler:
    """A controller that evicts pods, of the budget's own key."""

    def step(world: World, keys: np.ndarray, now_us: int) -> Requests:  # type: ignore[type-arg]
        requests = Requests()
        rows = np.array([pod for pod in pods if world.cluster.life_deleted_us[pod] < 0], np.int64)
        requests.evict_pods(np.zeros(len(rows), np.int64), rows, world.cluster.pod_trace_row[rows])
        return requests

    made = Reconciler(
        Controller("evictor", "PodDisruptionBudget", step, _nobody, qps=qps, burst=1, base_us=SECOND), qps > 0
    )
    hand.manager.reconcilers["evictor"] = made
    made.add(np.array([hand.budget]))  # type: ignore[attr-defined]
    return made


@pytest.mark.parametrize("qps", [0, 2])
def test_who_is_refused_comes_again_after_its_back_off(qps: float) -> None:
    world = Budgeted(least=2, limited=qps > 0)
    made = world.set_of(3, 3, 3)
    world.wait(SECOND)
    pods = world.pods(made)
    who = evictor(world, pods[:2], qps)
    world.wait(5 * SECOND)
    assert who.errors >= 1
    assert sum(world.cluster.life_deleted_us[pod] >= 0 for pod in pods) == 1
    assert world.read(world.budget, "refused") == who.errors
    world.add(made, 1, 1)
    world.wait(20 * SECOND)
    assert sum(world.cluster.life_deleted_us[pod] >= 0 for pod in pods) == 2


def test_the_back_off_of_calls_that_had_to_wait_doubles() -> None:
    world = Budgeted(least=9, limited=True)
    made = world.set_of(3, 3, 3)
    world.wait(SECOND)
    who = evictor(world, world.pods(made)[:1], qps=0.5)
    world.wait(60 * SECOND)
    # After 1, 2, 4, 8, 16 and 32 seconds; the client lets a call pass each 2 s.
    assert 5 <= who.errors <= 7


def test_a_status_that_an_eviction_has_overtaken_is_not_written() -> None:
    world = Budgeted(least=1, limited=True)
    made = world.set_of(2, 2, 2)
    world.wait(SECOND)
    controller = world.manager.reconcilers["disruption"]
    controller.client.take(40, world.now)
    world.add(made, 1, 1)
    # The controller has seen three pods; its write waits while one is evicted.
    world.now += 1000
    world.look()
    pods = world.pods(made)
    assert world.evict(pods[0]) == [True]
    assert world.evict(pods[1]) == [False]
    for _ in range(30):
        world.now = max(world.due(), world.now + 1)
        world.look()
        assert world.read(world.budget, "allowed") <= 1
    assert world.read(world.budget, "allowed") == 1


def naive(world: Budgeted, spec: dict[str, int]) -> tuple[int, int, int, int]:
    """A budget's status from a look at every pod."""
    cluster = world.cluster
    pods = [pod for pod in world.pods() if cluster.pod_template[pod] < COVERED]
    owners = {int(cluster.life_owner[pod]) for pod in pods if cluster.life_owner[pod] >= 0}
    tops = {int(cluster.object_owner[one]) if cluster.object_owner[one] >= 0 else one for one in owners}
    asked = sum(world.read(one, "replicas") for one in tops)
    steady = [p for p in pods if cluster.life_ready[p] and cluster.life_deleted_us[p] < 0 and cluster.life_phase[p] < 2]
    ((kind, value),) = spec.items()
    expected = len(pods) if kind == "least" else asked
    if kind.startswith("least"):
        desired = value if kind == "least" else math.ceil(value * expected / 100)
    else:
        desired = max(expected - (value if kind == "most" else math.ceil(value * expected / 100)), 0)
    allowed = max(len(steady) - desired, 0) if expected > 0 else 0
    return allowed, len(steady), desired, expected


SPECS = st.sampled_from(["least", "least_percent", "most", "most_percent"]).flatmap(
    lambda name: st.integers(0, 90 if name.endswith("percent") else 6).map(lambda value: {name: value})
)


@settings(max_examples=20, deadline=None)
@given(SPECS, st.randoms(use_true_random=False))
def test_nobody_goes_below_a_budget_by_eviction(spec: dict[str, int], chance: random.Random) -> None:
    world = Budgeted(**spec)
    top = world.make("ReplicaSet", "top", replicas=chance.randint(1, 5))
    sets = [world.set_of(chance.randint(0, 4), 0, 0, owner=top if chance.random() < 0.3 else -1) for _ in range(3)]
    reconciler = world.manager.reconcilers["disruption"]
    for _ in range(12):
        draw, pods = chance.random(), world.pods()
        some = chance.sample(pods, min(len(pods), 3))
        if draw < 0.35:
            world.add(chance.choice(sets), 2, chance.randint(0, 2), chance.choice([0, 1, COVERED]))
        elif draw < 0.45:
            world.naked(chance.random() < 0.8)
        elif draw < 0.55 and some:
            world.ready(some[0], chance.random() < 0.7)
        elif draw < 0.65:
            world.stopped()
        elif draw < 0.75:
            reconciler.stopped = True
        elif draw < 0.85:
            world.restart("disruption")
        elif some:
            world.restart("disruption")
            allowed, healthy, desired, _ = world.status()
            assert (allowed, healthy, desired) == naive(world, spec)[:3]
            steady = {p for p in some if world.cluster.life_ready[p] and world.cluster.life_deleted_us[p] < 0}
            granted = world.evict(*some)
            gone = [p for p, good in zip(some, granted, strict=True) if good and p in steady]
            covered = [p for p in gone if world.cluster.pod_template[p] < COVERED]
            assert len(covered) <= allowed
            assert not covered or naive(world, spec)[1] >= desired
        if not reconciler.stopped:
            assert world.status() == naive(world, spec)
        world.now += SECOND
        world.settle()


def taken(spec: dict[str, Any], version: str = "policy/v1") -> tuple[dict[str, Any], Gathering]:
    kinds = controllers.kinds()
    gathering = Gathering(manifests={name: kind.manifest for name, kind in kinds.items() if kind.manifest})
    raw = {"apiVersion": version, "kind": "PodDisruptionBudget", "metadata": {"name": "web"}, "spec": spec}
    gathering.take(Item("a.yaml", 1, "PodDisruptionBudget", version, msgspec.json.encode(raw)))
    return gathering.workloads.made[0].columns, gathering


def test_what_is_read() -> None:
    columns, gathering = taken({
        "selector": {"matchLabels": {"app": "web"}}, "maxUnavailable": "30%",
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
    })  # fmt: skip
    assert columns == {"selection": 0, "least": -1, "least_percent": -1, "most": -1, "most_percent": 30, "always": 1}
    (selector, namespace) = gathering.workloads.selections[0]
    assert selector is not None
    assert (selector.requirements[0].key, namespace) == ("app", "default")
    columns, gathering = taken({"minAvailable": 2})
    assert (columns["least"], columns["always"]) == (2, 0)
    assert gathering.workloads.selections[0][0] is None


@pytest.mark.parametrize(
    ("spec", "field"),
    [({"minAvailable": 1, "maxUnavailable": 1}, "spec.maxUnavailable"), ({"minAvailable": -1}, "spec.minAvailable"),
     ({"minAvailable": "101%"}, "spec.minAvailable"), ({"maxUnavailable": "3"}, "spec.maxUnavailable"),
     ({"unhealthyPodEvictionPolicy": "Never"}, "spec.unhealthyPodEvictionPolicy"),
     ({"selector": {"matchLabels": {"-": "x"}}}, "spec.selector.matchLabels")],
)  # fmt: skip
def test_what_is_wrong_is_told(spec: dict[str, Any], field: str) -> None:
    with pytest.raises(InputError) as caught:
        taken(spec)
    assert caught.value.field == field


def test_versions_that_are_not_served_any_more() -> None:
    with pytest.raises(InputError, match="policy/v1"):
        taken({"minAvailable": 1}, "policy/v1beta1")
