"""Runs the rows of ``workloads``: `pytest benchmarks --benchmark-enable`, and `-m slow` for the long ones.

What happened is asserted; what it cost is printed beside its limit, since a busy machine is no fault of the code. What
holds the speed is ``python -m benchmarks.gate``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from benchmarks.jobs import job
from benchmarks.making import NoDataError, data_folder
from benchmarks.row import Workload
from benchmarks.workloads import WORKLOADS
from kscale.simulation import Settings, Simulation
from kscale.traces import Trace
from kscale.traces.common.specs import build, conform_nodes

Shown = list[tuple[Workload, dict[str, float]]]


def _parameters() -> list[Any]:
    result = []
    for row in WORKLOADS:
        marks = [pytest.mark.slow] * row.full + [pytest.mark.data] * row.published
        result.append(pytest.param(row, id=row.name, marks=marks))
    return result


@pytest.mark.parametrize("row", _parameters())
def test_workload(row: Workload, benchmark: Any, shown: Shown) -> None:
    if row.published:
        try:
            data_folder()
        except NoDataError as error:
            pytest.skip(str(error))
    benchmark.group = row.labels[0]
    work = job(row)
    if benchmark.enabled and not row.cold:
        work.once()
        work.samples.clear()
    benchmark.pedantic(work.once, rounds=row.rounds)
    work.finish()
    assert dict(work.found.counts) == dict(row.expected.counts)
    assert work.found.fingerprint == row.expected.fingerprint
    figures = work.figures()
    benchmark.extra_info.update(figures | {f"limit_{name}": limit for name, limit in row.limits.items()})
    if benchmark.enabled:
        shown.append((row, figures))
    if "peak_mb" in row.limits:
        assert figures["peak_mb"] <= row.limits["peak_mb"]


def _world(rng: np.random.Generator) -> tuple[Trace, pl.DataFrame]:
    """Return pods, and nodes whose memory lies on both sides of 2^46 and of 2^47 bytes."""
    count, steps = 400, np.array([-(1 << 20), -1, 0, 1, 1 << 20])
    memory = (np.int64(1) << rng.choice([46, 47, 48], count)) + rng.choice(steps, count)
    nodes = conform_nodes(
        pl.DataFrame({"name": [f"n{i}" for i in range(count)], "cpu_milli": rng.integers(1_000, 96_000, count)})
        .with_columns(memory_bytes=pl.Series(memory), pods=pl.lit(110, pl.Int64), unschedulable=pl.lit(False))
    )  # fmt: skip
    asked = rng.integers(1, 1 << 46, 60)
    asked[::3] = memory[:20] // 100 * rng.integers(1, 100, 20)  # close to where a score changes
    flat = pl.DataFrame({"cpu_milli": rng.integers(1, 4_000, 60), "memory_bytes": asked}).with_columns(
        name=pl.lit("p") + pl.int_range(pl.len()).cast(pl.String), namespace=pl.lit("default"),
        arrival_us=pl.int_range(pl.len(), dtype=pl.Int64),
    )  # fmt: skip
    return build("made", flat), nodes


def _score(allocatable: list[int], counted: list[int], requested: list[int], request: list[int]) -> int:
    """Return least allocated plus balanced allocation of cpu and memory, in Python's integers."""
    least = sum((a - u - r) * 100 // a for a, u, r in zip(allocatable, counted, request, strict=True)) // 2
    shares = [min((u + r) / a, 1.0) for a, u, r in zip(allocatable, requested, request, strict=True)]
    return least + int((1.0 - abs((shares[0] - shares[1]) / 2.0)) * 100.0)


@pytest.mark.parametrize("seed", range(3))
def test_scores_are_exact_on_both_sides_of_2_to_the_47(seed: int) -> None:
    trace, nodes = _world(np.random.default_rng(seed))
    run = Simulation(trace, nodes, Settings(inflate=True, memo=False))
    run.compile()
    run.run()
    cluster, compared = run.cluster, 0
    assert [plugin.name for _, plugin in run.profile.usage_scores] == [
        "NodeResourcesFit",
        "NodeResourcesBalancedAllocation",
    ]
    books = [
        getattr(cluster, name)[:2].T.tolist()
        for name in ("node_allocatable", "node_nonzero_requested", "node_requested")
    ]
    for template in range(trace.specs.height):
        totals = run.explain(template)
        request = cluster.template_request[template, :2].tolist()
        for node in np.flatnonzero(totals >= 0).tolist():
            assert totals[node] == _score(*(book[node] for book in books), request)
            compared += 1
    assert compared > 10_000
