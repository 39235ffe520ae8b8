"""Nodes that come and go, against the plain twin on random worlds, and by hand."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

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
    st.sampled_from([None, None, 3 * S]), st.booleans(), st.booleans(), st.booleans(),
)  # fmt: skip
def test_runs_agree_with_the_twin(
    data: st.DataObject, world: World, ends: str, cost: int, until: int | None, memo: bool, tiny: bool, requeue: bool
) -> None:
    events = data.draw(events_of(len(world.nodes)))
    how = Settings(ends=ends, scheduler_us=cost, until_us=until, sample_us=70 * S, check=True, memo=memo)
    simulation = simulate(world, events, how, "requeue" if requeue else "fail", TINY if tiny else None)
    pods, expected = turning.run(
        [naive.node_of(row) for row in world.nodes],
        naive.pods_of(world.pods, [naive.spec_of(row) for row in world.specs]), events,
        requeue=requeue, ends=ends, scheduler_us_per_pod=cost, until_us=until,
    )  # fmt: skip
    compare(world, simulation, pods, expected)
