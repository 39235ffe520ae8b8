"""The composed cycle: totals over the nodes, with and without what is worked out for every try."""

from __future__ import annotations

import polars as pl

from kscale.simulation import Settings, Simulation
from kscale.state.intake import Sizes
from kscale.traces import NODES, PODS, SPECS, Trace

MI = 1 << 20
SIZES = Sizes(pod=2, arrival=2, ledger=2, timeline=2, diagnosis=2)


def test_totals_are_weighted_sums_or_tell_why_a_node_does_not_fit() -> None:
    node = {"cpu_milli": 1000, "memory_bytes": 1000 * MI, "pods": 9}
    nodes = [
        node,
        {**node, "taints": "a:NoSchedule"},
        {**node, "taints": "a:NoSchedule", "pods": 0},  # what usage has against it is not told
        {**node, "cpu_milli": 499, "memory_bytes": 9 * MI},
        {**node, "memory_bytes": 500 * MI},
        {**node, "pods": 0},
    ]
    spec = {"cpu_milli": 500, "memory_bytes": 250 * MI}
    rows = [{"name": f"n{i}", **row} for i, row in enumerate(nodes)]
    simulation = Simulation(
        Trace("test", pl.DataFrame(schema=PODS), pl.DataFrame([spec], schema=SPECS)),
        pl.DataFrame(rows, schema=NODES), Settings(compiled=False), sizes=SIZES,
    )  # fmt: skip
    simulation.compile()
    # Left of cpu 50, of memory 75: (50 + 75) // 2 = 62; shares taken 0.5 and 0.25, (1 - 0.125) * 100 = 87.
    # Node 4: left of memory 50: 50; shares 0.5 and 0.5: 100. The resources' bits: cpu 1, memory 2, pods 8.
    assert simulation.intake.resources == ["cpu", "memory", "ephemeral-storage", "pods"]
    assert simulation.explain(0).tolist() == [62 + 87, -1, -1, -1 - 3, 50 + 100, -1 - 8]
