"""The queue on random worlds of objects in time: binds, tries, victims and ends are those of the plain twin."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale.engine.ledger import Ledger
from kscale.placing import frames
from kscale.simulation import Settings, Simulation
from kscale.state.manifests import inventory_of
from tests.object_worlds import World
from tests.twin.queue import SECOND, Timed

COMPILED = os.environ.get("NUMBA_DISABLE_JIT") != "1"


def arrivals_of(world: World, pending: list[dict[str, Any]]) -> list[tuple[int, dict[str, Any], int | None]]:
    """When each pod comes, and how long it runs; None does not end."""
    draw = world.draw
    return [
        (
            draw.choice((0, 1, 2, 2, 5, 30, 400)) * SECOND + draw.choice((0, 0, 300_000)), pod,
            draw.choice((None, None, SECOND // 2, 3 * SECOND, 40 * SECOND)),
        )
        for pod in pending
    ]  # fmt: skip


def played(scenario: dict[str, Any], arrivals: list[tuple[int, dict[str, Any], int | None]]) -> Simulation:
    """The same in kscale, with every plug-in compiled, and the invariants checked."""
    inventory = inventory_of(scenario["objects"], [pod for _, pod, _ in arrivals])
    taken = frames(inventory, given=False)
    bound = len(inventory.pods) - len(inventory.pending)
    times = np.array([0] * bound + [time for time, _, _ in arrivals], np.int64)
    durations = [None] * bound + [duration for _, _, duration in arrivals]
    pods = taken.trace.pods.with_columns(arrival_us=pl.Series(times), duration_us=pl.Series(durations, dtype=pl.Int64))
    simulation = Simulation(
        replace(taken.trace, pods=pods), taken.nodes, Settings(every=True, compiled=COMPILED, check=True),
        objects=taken.objects,
    )  # fmt: skip
    simulation.compile()
    simulation.run()
    return simulation


def victims_of(ledger: Ledger, names: list[str], row: int) -> list[str]:
    """Who was evicted for a pod, in order."""
    if "eviction" not in ledger.fields:
        return []
    rows = np.flatnonzero(ledger.fields["preemptor"] == row)
    return [names[each] for each in rows[np.argsort(ledger.fields["eviction"][rows])].tolist()]


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 1 << 32))
def test_a_random_world_in_time_goes_as_the_twin_says(seed: int) -> None:
    world = World(seed)
    scenario = world.scenario(pending=16)
    arrivals = arrivals_of(world, scenario["pending"])
    expected = Timed(scenario, arrivals).run()
    simulation = played(scenario, arrivals)
    table = simulation.pods()
    names = [f"{namespace}/{name}" for namespace, name in table.select("namespace", "name").iter_rows()]
    bound = table.height - len(arrivals)
    for number, outcome in enumerate(expected):
        row = table.row(bound + number, named=True)
        status = "waiting" if outcome.status in ("gated", "no_profile") else outcome.status
        found = (row["status"], row["node"], row["bound_us"], row["attempts"])
        assert found == (status, outcome.node, outcome.bound_us, outcome.attempts), (seed, row["name"])
        assert victims_of(simulation.ledger, names, bound + number) == outcome.victims, (seed, row["name"])
