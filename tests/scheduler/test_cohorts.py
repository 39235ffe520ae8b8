"""Pods that wait by whole classes: what becomes of them is what becomes of pods that wait one by one."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale import simulation as simulations
from kscale.engine.clock import RESTING, SECOND, WOKEN
from kscale.engine.invariants import violations
from kscale.simulation import Settings, Simulation
from kscale.state.intake import Sizes
from kscale.traces import Trace
from kscale.traces.common import opening, specs

pytestmark = pytest.mark.plain
#: Small buffers, so that every reason to come back from the loop occurs.
TINY = Sizes(pod=2, arrival=3, ledger=2, timeline=2, diagnosis=4)
PLAIN = Settings(compiled=False, check=True, sample_us=70 * SECOND)
NODES = ("2cpu,4Gi,zone=a:2", "4cpu,4Gi,zone=a:1;2cpu,8Gi,zone=b:2", "1cpu,1Gi:3")
DURATIONS = (None, 0, SECOND // 3, 2 * SECOND, 2 * SECOND, 7 * SECOND, 40 * SECOND, 900 * SECOND)


def world(seed: int) -> tuple[Trace, pl.DataFrame, str]:
    """A few templates that compete for too little room; some fit nowhere, for one reason or another."""
    draw = Random(seed)
    kinds = [
        (draw.choice([100, 300, 500, 900, 1500, 2500]), draw.choice([64, 256, 700, 1500, 3000]) << 20,
         draw.choice([None, None, None, "zone=a", "zone=nowhere"]))
        for _ in range(draw.randint(1, 4))
    ]  # fmt: skip
    span, coarse = draw.choice([1, 5, 30, 400, 1200]), draw.choice([SECOND, SECOND // 2, 1000, 1])
    rows = []
    for number in range(draw.randint(1, 40)):
        cpu, memory, selector = draw.choice(kinds)
        arrival = int(draw.random() * span * SECOND) // coarse * coarse
        lasts = draw.choice([None, None, 1, 5, 30, 700])
        rows.append(
            {
                "name": f"p{number}", "arrival_us": arrival, "duration_us": draw.choice(DURATIONS),
                "end_us": None if lasts is None else arrival + lasts * SECOND, "cpu_milli": cpu,
                "memory_bytes": memory, "node_selector": selector,
            }
        )  # fmt: skip
    numbers = dict.fromkeys(("arrival_us", "duration_us", "end_us", "cpu_milli", "memory_bytes"), pl.Int64)
    frame = pl.DataFrame(rows, schema={"name": pl.String, "node_selector": pl.String, **numbers}).sort("arrival_us")
    return specs.build("waits", frame), opening.read_nodes(draw.choice(NODES)), draw.choice(["service", "recorded"])


def ran(trace: Trace, nodes: pl.DataFrame, how: Settings, sizes: Sizes | None = None) -> Simulation:
    run = Simulation(trace, nodes, how, sizes=sizes)
    run.compile()
    run.run()
    return run


@settings(max_examples=60)
@given(st.integers(0, 1 << 32), st.booleans(), st.booleans())
def test_classes_wait_as_pods_do(seed: int, index: bool, tiny: bool) -> None:
    trace, nodes, ends = world(seed)
    how = replace(PLAIN, ends=ends, index=index)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(simulations, "_LINES", 8 if tiny else 256)
        together = ran(trace, nodes, how, TINY if tiny else None)
    alone = ran(trace, nodes, replace(how, cohorts=False))
    assert together.kind.cohorts and not alone.kind.cohorts
    assert together.pods().rows() == alone.pods().rows()
    assert together.cluster.cluster_attempts[0] == alone.cluster.cluster_attempts[0]


def crowd(waiting: int, templates: int = 3) -> tuple[Trace, pl.DataFrame]:
    """A full node, pods that wait for room, and small ones that come and go."""
    rows: list[dict[str, Any]] = [{"cpu_milli": 1500, "arrival_us": 0, "duration_us": None}]
    rows += [
        {"cpu_milli": 600 + 10 * (each % templates), "arrival_us": SECOND, "duration_us": None}
        for each in range(waiting)
    ]
    rows += [
        {"cpu_milli": 100, "arrival_us": 20 * SECOND + each * 100_000, "duration_us": 50_000} for each in range(20)
    ]
    frame = pl.DataFrame(rows, infer_schema_length=None).with_columns(
        name=pl.lit("p") + pl.int_range(pl.len()).cast(pl.String), memory_bytes=pl.lit(1 << 20, pl.Int64)
    )
    return specs.build("crowd", frame), opening.read_nodes("2cpu,4Gi:1")


def stopped(waiting: int, until_us: int) -> Simulation:
    run = Simulation(*crowd(waiting), PLAIN)
    run.compile()
    run.start()
    run.advance(until_us)
    return run


def work_of_events(monkeypatch: pytest.MonkeyPatch, waiting: int) -> int:
    """The work units of twenty pods that come and go while others wait."""
    run = stopped(waiting, 20 * SECOND - 1)
    cluster, call, work = run.cluster, run.entries.call, [0]
    assert cluster.queue_size[RESTING] == waiting and cluster.queue_size[WOKEN] == 0
    changes, tried = int(cluster.cluster_log_head[0]), int(cluster.cluster_attempts[0])

    def counted(entry: str, *arguments: Any) -> Any:
        result = call(entry, *arguments)
        work.append(int(cluster.cluster_work[0]))
        return result

    monkeypatch.setattr(run.entries, "call", counted)
    run.advance(30 * SECOND)
    assert cluster.cluster_log_head[0] - changes == 40
    assert cluster.cluster_attempts[0] - tried == 20 + 20 * waiting
    return sum(work)


def test_an_event_costs_by_classes_and_not_by_pods(monkeypatch: pytest.MonkeyPatch) -> None:
    assert work_of_events(monkeypatch, 10) == work_of_events(monkeypatch, 1000) > 0


def test_pods_of_one_try_are_one_cohort_with_a_line_for_each_template() -> None:
    run = stopped(30, 5 * SECOND)
    cohort = int(run.cluster.cluster_first_cohort[0])
    assert cohort == run.cluster.cluster_last_cohort[0]
    assert run.cluster.cohort_pods[cohort] == 30
    lines = np.unique(run.cluster.pod_line[run.cluster.pod_line >= 0])
    assert run.cluster.line_pods[lines].tolist() == [10, 10, 10]


@pytest.mark.parametrize(
    ("column", "told"),
    [("line_pods", "lines"), ("cohort_pods", "cohorts"), ("pod_queue_sequence", "places"), ("pod_line", "lines")],
)
def test_a_wrong_line_is_told(column: str, told: str) -> None:
    run = stopped(6, 5 * SECOND)
    assert violations(run.cluster) == []
    values = run.cluster.columns[column]
    values[np.flatnonzero(run.cluster.pod_line >= 0)[-1] if column.startswith("pod") else 0] -= 1000
    assert any(told in each for each in violations(run.cluster))


def test_where_pods_do_not_go_on_alike_they_wait_one_by_one() -> None:
    trace, nodes = crowd(6)
    assert Simulation(trace, nodes, PLAIN).kind.cohorts
    ranked = trace.specs.with_columns(priority=pl.int_range(pl.len(), dtype=pl.Int64))
    assert not Simulation(replace(trace, specs=ranked), nodes, PLAIN).kind.cohorts
    for how in (replace(PLAIN, scheduler_us=10), replace(PLAIN, inflate=True), replace(PLAIN, cohorts=False)):
        assert not Simulation(trace, nodes, how).kind.cohorts
