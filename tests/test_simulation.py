"""The compiled loop against the plain twin, on random worlds: same nodes, times, attempts and reasons."""

from __future__ import annotations

import os
from dataclasses import replace
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from kscale.scheduler.plugins import UPSTREAM_FILTERS
from kscale.simulation import Settings, Simulation
from kscale.state.intake import Sizes
from tests import naive
from tests.objects import EVERYTHING, random_simulation
from tests.worlds import World, worlds

#: Small buffers, so that every reason to come back from the loop occurs.
TINY = Sizes(pod=2, arrival=3, ledger=2, timeline=2, diagnosis=1)
PLAIN = os.environ.get("NUMBA_DISABLE_JIT") == "1"
POLICIES = (
    "LeastAllocated", "MostAllocated", "NodeResourcesBalancedAllocation", "DotProd", "GpuClustering", "GpuPacking",
    "BestFit", "FGD",
)  # fmt: skip
#: Each is a module of its own; tests/test_fgd.py and those of the plug-ins run the others compiled.
if not PLAIN:
    POLICIES = ("LeastAllocated", "FGD")
few = settings(max_examples=15 if PLAIN else 40, deadline=None, suppress_health_check=list(HealthCheck))


def worth_compiling(simulation: Simulation) -> bool:
    """Whether the run is of one of the forms of the loop that are compiled here: with everything, and the least.

    A form takes half a minute to compile, and random worlds have two dozen. The plain run plays worlds of all forms.
    """
    kind, flat = simulation.kind, simulation.profile.flat
    everything = kind.devices and kind.preempts and not flat and not kind.inflate
    least = not kind.devices and not kind.preempts and flat
    return simulation.settings.memo and simulation.indexed and (everything or least)


def run(world: World, how: Settings, sizes: Sizes | None = None, *, any_form: bool = PLAIN) -> Simulation:
    simulation = Simulation(world.trace(), world.node_frame(), how, sizes=sizes)
    assume(any_form or worth_compiling(simulation))
    simulation.compile()
    simulation.run()
    return simulation


def compare(world: World, simulation: Simulation, expected: list[naive.Result], *, times: bool = True) -> None:
    pods = simulation.pods()
    rows = {row["name"]: row for row in pods.iter_rows(named=True)}
    for pod, result in zip(world.pods, expected, strict=True):
        if result.arrived_us is None:
            assert pod["name"] not in rows
            continue
        row = rows[pod["name"]]
        assert (row["status"], row["attempts"], row["reason"]) == (result.status, result.attempts, result.reason)
        assert row["node"] == (None if result.node is None else world.nodes[result.node]["name"])
        assert (tuple(row["devices"]), row["decision"]) == (result.devices, result.decision)
        preemptor = None if result.preempted_by is None else f"default/{world.pods[result.preempted_by]['name']}"
        assert (row["preempted_by"], row["victims"]) == (preemptor, result.victims)
        if times:
            for name in ("arrived_us", "bound_us", "started_us", "ended_us", "first_failed_us"):
                assert row[name] == getattr(result, name), name


def with_gpus(world: World) -> bool:
    return any(row["gpu_count"] for row in [*world.nodes, *world.specs])


@few
@given(
    worlds(), st.sampled_from(["service", "recorded"]), st.sampled_from([0, 0, 700_000, 2_300_000]),
    st.sampled_from([None, None, 3_000_000]), st.booleans(), st.booleans(),
)  # fmt: skip
def test_timed_runs_agree_with_the_twin(
    world: World, ends: str, cost: int, until: int | None, memo: bool, tiny: bool
) -> None:
    how = Settings(ends=ends, scheduler_us=cost, until_us=until, sample_us=70_000_000, check=True, memo=memo)
    simulation = run(world, how, TINY if tiny else None)
    compare(world, simulation, world.naive(ends=ends, scheduler_us_per_pod=cost, until_us=until))


@pytest.mark.parametrize("policy", POLICIES)
@few
@given(world=worlds())
def test_policies_agree_with_the_twin_in_inflation(policy: str, world: World) -> None:
    if not with_gpus(world):
        return
    simulation = run(world, Settings(policy=policy, inflate=True, check=True), any_form=True)
    typical = naive.typical_pods([naive.spec_of(world.specs[pod["spec"]]) for pod in world.pods])
    compare(world, simulation, world.naive(profile=policy, inflate=True, typical=typical), times=False)


@few
@given(worlds(gpus=False), st.booleans())
def test_a_cluster_without_gpus_agrees_with_the_twin(world: World, inflate: bool) -> None:
    compare(world, run(world, Settings(inflate=inflate, check=True)), world.naive(inflate=inflate), times=not inflate)


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(worlds(most_nodes=3, most_pods=6), st.sampled_from(["default", "FGD", "Random"]))
def test_the_loop_runs_compiled_and_plain_alike(world: World, policy: str) -> None:
    if not with_gpus(world):
        return
    fields: list[Any] = []
    for compiled in (True, False):
        with np.errstate(over="ignore"):
            how = Settings(policy=policy, inflate=policy != "default", compiled=compiled, seed=7)
            fields.append(run(world, how, any_form=PLAIN or how.inflate).ledger.fields)
    for name, values in fields[0].items():
        assert np.array_equal(values, fields[1][name]), name


@few
@given(worlds(), st.integers(0, 3))
def test_random_chooses_among_the_nodes_that_fit(world: World, seed: int) -> None:
    if not with_gpus(world):
        return
    simulation = run(world, Settings(policy="Random", inflate=True, check=True, seed=seed), any_form=True)
    again = run(world, Settings(policy="Random", inflate=True, check=True, seed=seed), any_form=True)
    assert np.array_equal(simulation.ledger.fields["node"], again.ledger.fields["node"])
    expected = world.naive(profile="LeastAllocated", inflate=True)
    first = [result.status for result in expected][:1]
    assert [("running", "", "", "", "refused")[code] for code in simulation.ledger.fields["status"][:1]] == first


# Runs over objects: with and without memo, compiled and plain, in one call and in many


KINDS = {"in time": Settings(), "each once": Settings(inflate=True), "slow": Settings(scheduler_us=300_000)}


def objects(seed: int, how: Settings) -> list[tuple[Any, ...]]:
    """What becomes of the pods of a random world of objects, in which every plug-in is used."""
    simulation = random_simulation(Random(seed), how, also=EVERYTHING)
    assert len({plugin.name for plugin in simulation.profile.filters}) == len(UPSTREAM_FILTERS)
    simulation.compile()
    with np.errstate(over="ignore"):
        simulation.run()
    return simulation.pods().rows()


@pytest.mark.plain
@pytest.mark.parametrize("how", KINDS.values(), ids=KINDS)
@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10_000))
def test_objects_with_and_without_memo(how: Settings, seed: int) -> None:
    how = replace(how, compiled=False, check=True)
    expected = objects(seed, how)
    assert objects(seed, replace(how, memo=False)) == expected
    assert objects(seed, replace(how, sample_us=77_777)) == expected


@pytest.mark.slow
@pytest.mark.compiled
@pytest.mark.parametrize("how", KINDS.values(), ids=KINDS)
def test_objects_compiled_and_plain(how: Settings) -> None:
    """Two kinds of runs are compiled: with pods that wait, and with each pod tried once.

    They are compiled with every plug-in: the module that the recordings are verified with serves here as well.
    """
    how = replace(how, every=True)
    evicted = 0
    for seed in (*range(12), 17, 28, 48, 53):
        rows = objects(seed, replace(how, compiled=True))
        assert rows == objects(seed, replace(how, compiled=False)), seed
        evicted += sum("evicted" in row for row in rows)
    assert evicted > 0
