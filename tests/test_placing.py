"""Placing: which form a run takes, pods that are held back, and that a run ends whatever is evicted for whom."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba.core.dispatcher import Dispatcher

from kscale import kernels, placing
from kscale.composer import Composer
from kscale.engine.recording import Stays
from kscale.errors import InputError
from kscale.placing import UNTRIED, Outcome, choose_form, hold_pending, outcomes, plain_seconds, run, simulation_of
from kscale.simulation import Settings, Simulation
from kscale.state.manifests import Inventory, inventory_of
from tests.state.manifests.making import node, pod, thing

PLAIN = Settings(compiled=False, check=True)


def sized(name: str, cpu: str, priority: int = 0, on: str = "", **spec: Any) -> dict[str, Any]:
    """A pod that asks for cpu, on a node or pending."""
    made = pod(name, priority=priority, **spec)
    made["spec"]["containers"][0]["resources"] = {"requests": {"cpu": cpu}}
    made["metadata"]["labels"] = {"app": name[0]}
    if on:
        made["spec"]["nodeName"] = on
    return made


def played(inventory: Inventory, *, given: bool, settings: Settings = PLAIN) -> tuple[Simulation, list[Outcome]]:
    simulation = simulation_of(inventory, settings, given=given)
    simulation.compile()
    run(simulation)
    return simulation, outcomes(simulation, inventory)


def test_no_nodes_is_wrong_input() -> None:
    with pytest.raises(InputError, match="has no Node"):
        simulation_of(inventory_of([], [pod("a")]), PLAIN, given=False)


def test_what_is_small_runs_plain_unless_it_is_compiled_already(monkeypatch: pytest.MonkeyPatch) -> None:
    inventory, asked = inventory_of([node("n1")], [pod("a")]), Settings(every=True)
    asked_for: list[str] = []
    monkeypatch.setattr(kernels, "cached", lambda text: bool(asked_for.append(text)) or True)
    for seconds, compiled, looks in ((0.1, False, 0), (2.0, True, 1), (5.0, True, 1)):
        monkeypatch.setattr(placing, "plain_seconds", lambda inventory, tries, seconds=seconds: seconds)
        chosen = choose_form(inventory, asked)
        assert (chosen.compiled, chosen.every, len(asked_for)) == (compiled, True, looks)
    monkeypatch.setattr(kernels, "cached", lambda text: False)
    monkeypatch.setattr(placing, "plain_seconds", lambda inventory, tries: 2.0)
    assert not choose_form(inventory, asked, given=True).compiled
    monkeypatch.setattr(placing, "plain_seconds", lambda inventory, tries: 5.0)
    assert not choose_form(inventory, Settings(compiled=False)).compiled
    assert choose_form(inventory_of([], [pod("a")]), asked).compiled


def test_the_estimate_grows_with_the_work() -> None:
    nodes = [node(f"n{i}") for i in range(10)]
    bound = [sized(f"b{i}", "10m", on="n1") for i in range(20)]
    few, many = (inventory_of(nodes, [pod(f"p{i}") for i in range(count)]) for count in (10, 100))
    assert plain_seconds(many) == pytest.approx(10 * plain_seconds(few))
    assert plain_seconds(inventory_of([*nodes, *bound], [pod("a")])) > plain_seconds(inventory_of(nodes, [pod("a")]))
    calm, tight = (inventory_of(nodes, [sized("a", cpu), sized("b", cpu, 5)]) for cpu in ("1", "15"))
    assert plain_seconds(tight) > 2 * plain_seconds(calm) == pytest.approx(4 * plain_seconds(few) / 10)
    assert plain_seconds(many, tries=10) == plain_seconds(few)


def test_what_is_compiled_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kernels.cache_folder.cache_clear()
    monkeypatch.setenv("KSCALE_CACHE", str(tmp_path))
    composer = Composer([])
    composer.define("go", "x", f"return x + {hash(str(tmp_path)) % 1000}", entry=True)
    text = composer.source()
    try:
        assert not kernels.cached(text)
        assert kernels.load(text, compiled=False).go(1) > 0 and not kernels.cached(text)
        module = kernels.load(text)
        module.go(1)
        assert kernels.cached(text)
        del sys.modules[module.__name__]
        assert kernels.cached(text) == bool(getattr(module.go, "signatures", False))
    finally:
        kernels.cache_folder.cache_clear()


def test_plain_code_compiles_nothing() -> None:
    inventory = inventory_of([node("n1")], [sized("a", "1"), sized("b", "4", priority=2)])
    before = compiled_signatures()
    played(inventory, given=False)
    assert compiled_signatures() == before


def compiled_signatures() -> int:
    modules = [module for name, module in list(sys.modules.items()) if name.startswith("kscale.")]
    found = {id(v): v for module in modules for v in vars(module).values() if isinstance(v, Dispatcher)}
    return sum(len(dispatcher.signatures) for dispatcher in found.values())


@pytest.mark.parametrize("given", [False, True])
def test_pods_evicted_later_are_told(given: bool) -> None:
    """In queue order the pod of lower priority comes first only because its room is made first."""
    inventory = inventory_of([node("n1")], [sized("first", "3", 1), sized("second", "3", 2)])
    first, second = played(inventory, given=given)[1]
    if given:
        assert first == Outcome(
            "default", "first", "scheduled", "n1", (), "Preempted by pod default/second on node n1", True
        )
        assert second == Outcome("default", "second", "preempted", "n1", ("default/first",))
    else:
        assert (second.status, second.node) == ("scheduled", "n1")
        assert (first.status, first.node, first.evicted) == ("unschedulable", None, False) and first.message


def test_held_pods_are_never_tried() -> None:
    objects = [node("n1"), sized("on", "1", on="n1")]
    pending = [sized("on2", "1"), sized("x", "64"), sized("gated", "1", schedulingGates=[{"name": "a.io/b"}])]
    inventory = inventory_of(objects, pending)
    simulation = simulation_of(inventory, PLAIN, given=False)
    waiting = hold_pending(simulation, inventory)
    assert set(waiting.values()) == {UNTRIED} and len(waiting) == 2
    simulation.compile()
    run(simulation)
    pods = simulation.pods()
    assert pods["status"].to_list() == ["running", "waiting", "waiting", "waiting"]
    assert pods["attempts"].sum() == 0 and pods["node"].to_list() == ["n1", None, None, None]


def test_a_run_ends_later_than_it_begins() -> None:
    for order in (False, True):
        simulation, _ = played(inventory_of([node("n1"), sized("a", "2", on="n1")], [pod("b")]), given=order)
        assert simulation.ended_us == (1_000_000 if order else 3_600_000_000)
        stays = Stays(simulation.intake, simulation.ended_us, [0])
        for fields, spec, _ in simulation.stretches():
            stays.add(fields, spec)
        assert stays.frame(simulation.node_timeline)["requested_mean_cpu"][0] > 0


_SELECT = {"matchLabels": {"app": "p"}}
_APART = {
    "podAntiAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": "zone", "labelSelector": _SELECT}]
    }
}
_SPREAD = [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule", "labelSelector": _SELECT}]
MORE: list[dict[str, Any]] = [
    {},
    {},
    {"affinity": _APART},
    {"topologySpreadConstraints": _SPREAD},
    {"preemptionPolicy": "Never"},
]
PODS = st.tuples(st.sampled_from(["200m", "1", "2", "4"]), st.integers(0, 4), st.sampled_from(MORE))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from("ab"), min_size=1, max_size=3), st.lists(PODS, max_size=6),
    st.lists(PODS, min_size=1, max_size=9), st.integers(0, 2), st.booleans(),
)  # fmt: skip
def test_every_run_ends_with_each_pod_evicted_once_at_most(
    zones: list[str], running: list[Any], waiting: list[Any], allowed: int, given: bool
) -> None:
    nodes = [node(f"n{i}", metadata={"name": f"n{i}", "labels": {"zone": zone}}) for i, zone in enumerate(zones)]
    bound = [sized(f"b{i}", cpu, p, f"n{i % len(nodes)}", **more) for i, (cpu, p, more) in enumerate(running)]
    budget = thing(
        "PodDisruptionBudget", "some", "policy/v1", {"namespace": "default"},
        spec={"selector": {"matchLabels": {"app": "b"}}}, status={"disruptionsAllowed": allowed},
    )  # fmt: skip
    pending = [sized(f"p{i}", cpu, priority, **more) for i, (cpu, priority, more) in enumerate(waiting)]
    simulation, found = played(inventory_of([*nodes, *bound, budget], pending), given=given)
    victims = [victim for one in found for victim in one.victims]
    assert len(victims) == len(set(victims))
    # A pod is tried again only after room was made, and every preemption takes away a pod for good.
    tries, pods = int(simulation.cluster.cluster_attempts[0]), len(pending)
    assert tries == pods if given else tries <= pods * (1 + len(victims) + pods)
    gone = {f"{one.namespace}/{one.name}" for one in found if one.evicted}
    assert gone == {victim for victim in victims if victim.startswith("default/p")}
    assert all(one.node is not None for one in found if one.evicted)
    for one in found:
        assert (one.status in ("scheduled", "preempted")) == (one.node is not None)
        assert (one.message == "") == (one.node is not None and not one.evicted)


@pytest.mark.slow
@pytest.mark.compiled
@pytest.mark.parametrize("given", [False, True])
def test_both_forms_come_to_the_same(given: bool) -> None:
    nodes = [node(f"n{i}", metadata={"name": f"n{i}", "labels": {"zone": "ab"[i % 2]}}) for i in range(6)]
    bound = [sized(f"b{i}", ["1", "2"][i % 2], i % 3, f"n{i % 6}") for i in range(10)]
    pending = [sized(f"p{i}", ["1", "3", "500m"][i % 3], i % 5, **MORE[i % len(MORE)]) for i in range(30)]
    inventory = inventory_of([*nodes, *bound], pending)
    assert played(inventory, given=given)[1] == played(inventory, given=given, settings=Settings(check=True))[1]
