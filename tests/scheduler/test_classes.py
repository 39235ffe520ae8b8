"""The class index: it chooses what the full scan chooses, and holds what the tables come to."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale.placing import frames
from kscale.simulation import Settings, Simulation
from kscale.state.intake import Sizes
from kscale.state.manifests import inventory_of
from tests.object_worlds import World

#: As plain Python: compiled, each kind of run would take more than a minute to compile. The recordings run compiled.
HOW = Settings(compiled=False, every=True)
pytestmark = pytest.mark.plain


def world(seed: int, *, nodes: int, templates: int, pods: int) -> dict[str, Any]:
    """A scenario of some nodes and of many pods of few templates."""
    drawn = World(seed)
    made = [drawn.node(index) for index in range(nodes)]
    others = [*drawn.namespaces(), *drawn.classes(), *drawn.services(), *drawn.sets(), *drawn.budgets()]
    kinds = [drawn.pod(f"t{index}") for index in range(templates)]
    pending = []
    for number in range(pods):
        kind = drawn.draw.choice(kinds)
        pending.append({**kind, "metadata": {**kind["metadata"], "name": f"p{number}"}})
    return {"objects": [*made, *others], "pending": pending}


def simulation(scenario: dict[str, Any], how: Settings, seed: int, sizes: Sizes | None = None) -> Simulation:
    """A run in which the pods come one after the other, and most end again."""
    taken = frames(inventory_of(scenario["objects"], scenario["pending"]), given=how.inflate)
    rng = np.random.default_rng(seed)
    count = taken.trace.pods.height
    durations = np.where(rng.random(count) < 0.8, rng.integers(1, 60_000_000, count), -1)
    pods = taken.trace.pods.with_columns(
        arrival_us=pl.Series(np.sort(rng.integers(0, 40_000_000, count))),
        duration_us=pl.Series(durations).replace(-1, None),
    )
    return Simulation(replace(taken.trace, pods=pods), taken.nodes, how, sizes=sizes, objects=taken.objects)


def fields(run: Simulation) -> dict[str, list[Any]]:
    """What became of every pod."""
    run.compile()
    run.run()
    return {name: values.tolist() for name, values in run.ledger.fields.items()} | {"reasons": run.ledger.reasons}


def looked_up(run: Simulation) -> int:
    """How many lanes are taken."""
    return int((run.cluster.lane_ask >= 0).sum())


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1 << 32), given_order=st.booleans(), alone=st.sampled_from((0, 2, 64)))
def test_the_index_chooses_as_the_scan_does(seed: int, given_order: bool, alone: int) -> None:
    scenario = world(seed, nodes=3 + seed % 30, templates=1 + seed % 5, pods=60)
    how = replace(HOW, inflate=given_order)
    by_scan = fields(simulation(scenario, replace(how, memo=False), seed))
    by_index = simulation(scenario, replace(how, check=True), seed, Sizes(alone=alone))
    assert fields(by_index) == by_scan
