"""A look of all controllers costs by what changed, not by what exists."""

from __future__ import annotations

import time

import numpy as np
import pytest

from tests.controllers.world import Hand


def least(count: int, changed: int, looks: int = 15) -> float:
    """Return the least seconds of a look at ``changed`` of ``count`` ReplicaSets, each a pod short."""
    hand = Hand("replicaset", pod=1 << 14, life=1 << 14, object=count, request=1 << 10)
    hand.world.create(
        "ReplicaSet", {"replicas": np.zeros(count, np.int64), "template": np.zeros(count, np.int64)}, 0,
        names=[f"s{row}" for row in range(count)], namespaces=["default"] * count,
    )  # fmt: skip
    hand.settle()
    chosen = np.linspace(0, count - 1, changed).astype(np.int64)
    taken = []
    hand.world.carry_out = lambda now_us: None
    for _ in range(looks):
        hand.cluster.replicaset_replicas[chosen] += 1
        hand.world.note(chosen, 0)
        began = time.perf_counter()
        hand.look()
        taken.append(time.perf_counter() - began)
    return min(taken)


@pytest.mark.plain
def test_a_hundred_changes_cost_the_same_among_a_thousand_and_a_hundred_thousand() -> None:
    ratios = [least(100_000, 100) / least(1_000, 100) for _ in range(3)]
    assert min(ratios) < 2
