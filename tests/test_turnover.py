"""Nodes that come and go, against the plain twin on random worlds, and by hand."""

from __future__ import annotations

import os
from dataclasses import replace
from random import Random
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from kscale.errors import InputError
from kscale.settings import NodeChanges
from kscale.simulation import Settings, Simulation
from kscale.state.intake import Sizes
from kscale.traces import NODE_EVENT_KINDS, NODE_EVENTS
from tests import naive, turning
from tests.turning import Event
from tests.worlds import MI, World, worlds

TINY = Sizes(pod=2, arrival=3, ledger=2, timeline=2, diagnosis=1)
S = 1_000_000
POLICIES = ("default", "default", "FGD", "MostAllocated")
PLAIN = os.environ.get("NUMBA_DISABLE_JIT") == "1"
few = settings(max_examples=60 if PLAIN else 15, deadline=None, suppress_health_check=list(HealthCheck))


@st.composite
def events_of(draw: st.DrawFn, nodes: int) -> list[Event]:
    """Events in a few seconds, some that say nothing new."""
    times = st.sampled_from([0, S // 2, S, S, 2 * S, 3 * S, 5 * S, 11 * S, 301 * S, 420 * S])
    found = []
    for _ in range(draw(st.integers(1, 10))):
        kind = draw(st.sampled_from(NODE_EVENT_KINDS))
        amounts = {}
        if kind in ("join", "update"):
            amounts = {
                "cpu_milli": draw(st.sampled_from([None, 0, 1000, 2500, 9000])),
                "memory_bytes": draw(st.sampled_from([None, 0, 512 * MI, (1 << 46) + 3])),
            }
        found.append(Event(draw(times), draw(st.integers(0, nodes - 1)), kind, **amounts))
    return sorted(found, key=lambda event: event.time_us)


def frame_of(events: list[Event], names: list[str]) -> pl.DataFrame:
    rows = [(e.time_us, names[e.node], e.kind, e.cpu_milli, e.memory_bytes) for e in events]
    return pl.DataFrame(rows, schema=NODE_EVENTS, orient="row")


def simulate(world: World, events: list[Event], how: Settings, leaving: str, sizes: Sizes | None = None) -> Simulation:
    changes = NodeChanges(frame_of(events, [row["name"] for row in world.nodes]), leaving)
    simulation = Simulation(world.trace(), world.node_frame(), how, sizes=sizes, changes=changes)
    simulation.compile()
    simulation.run()
    return simulation


def compare(world: World, simulation: Simulation, pods: list[naive.Pod], expected: list[naive.Result]) -> None:
    rows = {row["name"]: row for row in simulation.pods().iter_rows(named=True)}
    names = {pod.name for pod, result in zip(pods, expected, strict=True) if result.arrived_us is not None}
    assert set(rows) == names
    for pod, result in zip(pods, expected, strict=True):
        if result.arrived_us is None:
            continue
        row = rows[pod.name]
        found = {name: row[name] for name in ("status", "attempts", "reason", "decision", "victims", "node")}
        node = None if result.node is None else world.nodes[result.node]["name"]
        assert found == {
            "status": result.status, "attempts": result.attempts, "reason": result.reason,
            "decision": result.decision, "victims": result.victims, "node": node,
        }, pod.name  # fmt: skip
        assert tuple(row["devices"]) == result.devices
        for name in ("arrived_us", "bound_us", "started_us", "ended_us", "first_failed_us"):
            assert row[name] == getattr(result, name), (pod.name, name)


@few
@given(
    st.data(), worlds(), st.sampled_from(["service", "recorded"]), st.sampled_from([0, 0, 700_000, 2_300_000]),
    st.sampled_from([None, None, 3 * S]), st.booleans(), st.booleans(), st.booleans(), st.sampled_from(POLICIES),
)  # fmt: skip
def test_runs_agree_with_the_twin(
    data: st.DataObject, world: World, ends: str, cost: int, until: int | None, memo: bool, tiny: bool, requeue: bool,
    policy: str,
) -> None:  # fmt: skip
    policy = policy if any(row["gpu_count"] for row in [*world.nodes, *world.specs]) else "default"
    events = data.draw(events_of(len(world.nodes)))
    how = Settings(policy, ends=ends, scheduler_us=cost, until_us=until, sample_us=70 * S, check=True, memo=memo)
    simulation = simulate(world, events, how, "requeue" if requeue else "fail", TINY if tiny else None)
    pods, expected = turning.run(
        [naive.node_of(row) for row in world.nodes],
        naive.pods_of(world.pods, [naive.spec_of(row) for row in world.specs]), events,
        requeue=requeue, ends=ends, scheduler_us_per_pod=cost, until_us=until, profile=policy,
    )  # fmt: skip
    compare(world, simulation, pods, expected)


def crowd(seed: int) -> tuple[World, list[Event]]:
    """Thirty nodes of few kinds and three hundred pods of few specs, so that the class index has lanes; many events."""
    rng = Random(seed)
    nodes = [
        {"name": f"n{i}", "cpu_milli": rng.choice([2000, 4000]), "memory_bytes": 4096 * MI, "pods": 110, "gpu_count": 0,
         "gpu_model": None, "labels": f"zone={rng.choice('ab')}", "taints": rng.choice(["", "", "maint:NoSchedule"]),
         "unschedulable": rng.random() < 0.1, "ephemeral_storage_bytes": None}
        for i in range(30)
    ]  # fmt: skip
    specs = [
        {"cpu_milli": cpu, "memory_bytes": 64 * MI, "gpu_count": 0, "gpu_milli": 0, "priority": 0,
         "node_selector": selector, "tolerations": tolerations}
        for cpu, selector, tolerations in [
            (500, "", ""), (900, "zone=a", ""), (1500, "", "*"),
            (300, "", "node.kubernetes.io/unschedulable:NoSchedule"),
        ]
    ]  # fmt: skip
    pods = [
        {"name": f"p{i}", "namespace": "default", "owner": None, "arrival_us": rng.randrange(60) * S,
         "duration_us": rng.randrange(5, 200) * S, "end_us": None, "spec": rng.randrange(4)}
        for i in range(300)
    ]  # fmt: skip
    events = [Event(rng.randrange(200) * S, rng.randrange(30), rng.choice(NODE_EVENT_KINDS)) for _ in range(120)]
    events = [replace(e, cpu_milli=rng.choice([1000, 6000])) if e.kind == "update" else e for e in events]
    return World(nodes, specs, pods), sorted(events, key=lambda event: event.time_us)


@pytest.mark.parametrize("seed", range(2))
def test_the_class_index_the_memo_and_the_scan_agree(seed: int) -> None:
    world, events = crowd(seed)
    runs = [
        simulate(world, events, Settings(check=True, sample_us=10 * S, memo=memo, index=index), "requeue")
        for memo, index in ((True, True), (True, False), (False, False))
    ]
    assert runs[0].cluster.cluster_found[0] > 100  # by the index
    tables = [run.pods() for run in runs]
    assert (tables[0]["status"] == "lost").sum() > 20
    for table in tables[1:]:
        assert_frame_equal(tables[0], table)


POD = {"namespace": "default", "owner": None, "arrival_us": 0, "duration_us": None, "end_us": None, "spec": 0}
NODE = {"cpu_milli": 1000, "memory_bytes": 1 << 30, "pods": 110, "gpu_count": 0}
SPEC = {"cpu_milli": 600, "memory_bytes": 0, "gpu_count": 0, "gpu_milli": 0, "priority": 0}


def small(pods: int, nodes: int, events: list[Event], leaving: str = "requeue", **spec: Any) -> dict[str, Any]:
    """What becomes of pods that fill a node each, by name."""
    world = World(
        [{**NODE, "name": f"n{i}"} for i in range(nodes)],
        [SPEC | spec],
        [{**POD, "name": f"p{i}"} for i in range(pods)],
    )
    table = simulate(world, events, Settings(check=True, until_us=100 * S, sample_us=S), leaving).pods()
    return {row["name"]: row for row in table.iter_rows(named=True)}


def test_a_pod_loses_its_node_and_another_takes_its_place() -> None:
    found = small(1, 2, [Event(5 * S, 0, "leave")])
    assert (found["p0"]["status"], found["p0"]["node"], found["p0"]["ended_us"]) == ("lost", "n0", 5 * S)
    again = found["p0~r1"]
    assert (again["status"], again["node"], again["arrived_us"], again["bound_us"]) == ("running", "n1", 5 * S, 5 * S)


def test_a_pod_may_be_gone_with_its_node() -> None:
    found = small(1, 2, [Event(5 * S, 0, "leave")], "fail")
    assert [(row["name"], row["status"]) for row in found.values()] == [("p0", "lost")]


def test_pods_wait_for_a_node_that_joins_and_no_message_counts_it_before() -> None:
    found = small(2, 2, [Event(20 * S, 1, "join")])
    assert (found["p0"]["node"], found["p1"]["node"]) == ("n0", "n1")
    assert (found["p1"]["bound_us"], found["p1"]["attempts"]) == (20 * S, 2)
    assert found["p1"]["reason"] == "0/1 nodes are available: 1 Insufficient cpu."


def test_without_any_node_pods_wait_for_the_first() -> None:
    found = small(1, 1, [Event(20 * S, 0, "join")])
    assert (found["p0"]["bound_us"], found["p0"]["reason"]) == (20 * S, "no nodes available to schedule pods")


def test_cordons_keep_pods_out_and_let_them_stay() -> None:
    found = small(2, 2, [Event(0, 1, "cordon"), Event(20 * S, 0, "cordon"), Event(30 * S, 1, "uncordon")])
    assert (found["p0"]["status"], found["p1"]["bound_us"]) == ("running", 30 * S)
    told = "0/2 nodes are available: 1 Insufficient cpu, 1 node(s) were unschedulable."
    assert found["p1"]["reason"] == told


def test_more_capacity_wakes_only_those_that_it_may_help() -> None:
    # The pods ask for no memory.
    found = small(2, 1, [Event(10 * S, 0, "update", memory_bytes=1 << 31), Event(20 * S, 0, "update", cpu_milli=1200)])
    assert (found["p1"]["bound_us"], found["p1"]["attempts"]) == (20 * S, 2)


def test_pods_stay_on_a_node_that_comes_to_offer_less() -> None:
    found = small(2, 1, [Event(10 * S, 0, "update", cpu_milli=100)])
    assert (found["p0"]["status"], found["p1"]["status"]) == ("running", "waiting")


def test_an_event_of_an_unknown_node_is_told() -> None:
    changes = NodeChanges(pl.DataFrame([(0, "m0", "join", None, None)], schema=NODE_EVENTS, orient="row"))
    world = World([{**NODE, "name": "n0"}], [SPEC], [])
    with pytest.raises(InputError, match="an event is of the node 'm0', which the node list does not have"):
        Simulation(world.trace(), world.node_frame(), Settings(), changes=changes)
