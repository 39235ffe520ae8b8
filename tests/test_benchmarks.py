"""The benchmarks' own rules: rows are whole, and the gate fails on what is slower, not on noise."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from benchmarks import floor, gate, growth, placements, reading
from benchmarks.gate import Measured, judge, ratio
from benchmarks.kinds import KINDS
from benchmarks.measuring import Place, Sample
from benchmarks.objects import Objects, inventory
from benchmarks.placements import PLACEMENTS
from benchmarks.row import UNITS, Workload
from benchmarks.table import figures_table
from benchmarks.traces import Days, Waiting
from benchmarks.workloads import WORKLOADS
from kscale.engine.clock import NEVER
from kscale.placing import simulation_of
from kscale.simulation import Settings, Simulation
from kscale.traces.common import opening

COUNTS = {"attempts_per_pod": 1.0, "work_per_pod": 100.0}
STORED = Measured(3.0, COUNTS)


def timings(rng: np.random.Generator, factor: float, runs: int = 7) -> list[tuple[float, float]]:
    """Return a noisy machine's times: up to three times too long; the workload takes 3 x the reference."""
    noise = 1.0 + rng.exponential(0.25, (runs, 2)).clip(0, 2)
    return [(0.3 * factor * work, 0.1 * reference) for work, reference in noise]


def test_rows_have_names_of_their_own_a_sentence_and_something_to_assert() -> None:
    names = [row.name for row in WORKLOADS]
    assert len(set(names)) == len(names)
    for row in WORKLOADS:
        assert row.doc.endswith((".", "?")), row.name
        assert row.measure == "help" or row.expected.counts, row.name


def test_every_row_on_published_data_has_a_made_sibling() -> None:
    made = {row.name for row in WORKLOADS if not row.published}
    for row in WORKLOADS:
        if row.published and row.measure != "read":
            assert row.name.replace("openb", "like-openb").replace("replay-jobs", "replay-like-jobs") in made, row.name


def test_the_baseline_covers_the_gate() -> None:
    stored = json.loads(gate.BASELINE.read_text())
    assert set(stored) == set(gate.ROWS) <= {row.name for row in WORKLOADS}
    assert all(known["ratio"] > 0 and known["counts"] for known in stored.values())


def test_the_least_of_each_counts() -> None:
    assert ratio([(0.9, 0.1), (0.4, 0.3), (0.5, 0.2)]) == pytest.approx(0.4 / 0.1)


@pytest.mark.parametrize("seed", range(10))
def test_unchanged_runs_pass(seed: int) -> None:
    rng = np.random.default_rng(seed)
    assert not judge("row", STORED, lambda: (timings(rng, 1.0), COUNTS)).failures


@pytest.mark.parametrize("seed", range(10))
def test_a_slowdown_of_forty_percent_fails_and_is_named(seed: int) -> None:
    rng = np.random.default_rng(seed)
    (failure,) = judge("row", STORED, lambda: (timings(rng, 1.4, runs=30), COUNTS)).failures
    assert failure.startswith("row takes +")


def test_a_bad_first_measurement_is_taken_once_more() -> None:
    answers = iter([[(0.6, 0.1)] * 7, [(0.3, 0.1)] * 7])
    assert not judge("row", STORED, lambda: (next(answers), COUNTS)).failures


def test_counts_may_move_by_fifteen_percent() -> None:
    for work, failed in ((114.0, False), (116.0, True)):
        counts = {"attempts_per_pod": 1.0, "work_per_pod": work}
        verdict = judge("row", STORED, lambda counts=counts: ([(0.3, 0.1)], counts))  # type: ignore[misc]
        assert bool(verdict.failures) is failed


def test_every_limit_has_a_unit_and_only_full_rows_may_be_large() -> None:
    for row in WORKLOADS:
        assert set(row.limits) <= set(UNITS), row.name
        for objects in (row.objects, *(size for size in row.sizes if isinstance(size, Objects))):
            assert row.full or objects is None or (objects.nodes <= 5_000 and objects.pods <= 20_000), row.name


def test_the_quick_set_is_bounded() -> None:
    quick = [row for row in WORKLOADS if not row.full and not row.published]
    assert len(quick) <= 60
    assert all(row.rounds <= 5 for row in quick)
    assert sum(row.objects.pods * row.rounds for row in quick if row.objects) < 1_000_000


def test_rows_of_placements_are_stored_once_and_every_stored_one_is_a_row() -> None:
    stored = json.loads(placements.STORED.read_text())
    assert set(stored) <= {row.name for row in PLACEMENTS}
    for row in PLACEMENTS:
        if row.name in stored:
            assert len(stored[row.name]["fingerprint"]) == 64


def test_rows_with_upstreams_gate_have_its_nodes_and_a_small_sibling() -> None:
    names = {row.name for row in PLACEMENTS}
    gated = [row for row in PLACEMENTS if row.gate is not None]
    assert len(gated) >= 10
    for row in gated:
        assert row.objects is not None
        on_one = f"{row.objects.kind}-1Node_1000GatedPods"
        assert row.objects.nodes >= 5_000 or (row.objects.nodes == 1 and row.objects.pods == 30_000)
        assert (f"{row.objects.kind}-1000Nodes" if row.objects.nodes > 1 else on_one) in names


#: Kinds in which a third of the pods is gated and comes before the others.
AHEAD = ("SchedulingWhileGated", "SchedulingGatedPodsWithPodAffinityImpactForThroughput")


@pytest.mark.parametrize("kind", KINDS)
def test_pods_of_a_kind_come_from_their_templates_in_turn(kind: str) -> None:
    found = inventory(Objects(kind, 12, 120, 6, bound=24))
    assert len(found.pending) == 120
    assert (found.pods.node[found.pending] == -1).all()
    assert (np.delete(found.pods.node, found.pending) >= 0).all()
    assert found.pods.template.max() < len(found.templates)
    own = found.pods.template[found.pending].tolist()
    distinct = len(set(own))
    if kind in AHEAD:
        assert own == [own[0]] * 40 + [own[-1]] * 80 and distinct == 2
        assert found.templates[own[0]].gates and not found.templates[own[-1]].gates
    else:
        assert own == own[:distinct] * (120 // distinct) or kind in ("Unschedulable", "PreemptionAsync")
    if kind == "own":
        assert distinct == 120
        assert len({template.requests for template in found.templates}) == 120


def test_a_rate_counts_what_is_decided_and_not_what_is_bound_before_or_gated() -> None:
    objects = Objects("SchedulingWhileGated", 1, 30, 1, bound=7)
    work = Place(Workload("few", "", "place", objects=objects))
    work.run = simulation_of(inventory(objects), Settings(compiled=False), given=True)
    work.run.compile()
    calls: list[tuple[int, int]] = []
    advance = work.run.advance

    def advanced(until: int) -> None:
        calls.append((until, int(work.run.cluster.cluster_attempts[0])))
        advance(until)
        calls.append((int(work.run.cluster.cluster_running_pods[0]), int(work.run.cluster.cluster_attempts[0])))

    work.run.advance = advanced  # type: ignore[method-assign]
    assert work.loop_seconds() > 0
    assert calls == [(0, 0), (7, 0), (NEVER - 1, 0), (27, 20)]
    work.samples.append(Sample(1.0, 1.0, 0.5))
    work.finish()
    assert work.found.counts == {"attempts": 20, "running": 27, "waiting": 10}
    assert work.figures()["pods_per_second"] == 20 / 0.5


def test_every_pod_of_the_volumes_has_a_claim_of_its_own_and_a_node_attaches_few() -> None:
    objects = Objects("SchedulingCSIPVs", 2, 80, 80, bound=2)
    run = simulation_of(inventory(objects), Settings(compiled=False), given=True)
    run.compile()
    run.run()
    pods = run.pods()
    assert dict(pods["status"].value_counts().iter_rows()) == {"running": 78, "refused": 4}
    assert "2 node(s) exceed max volume count" in pods.filter(pl.col("status") == "refused")["reason"][0]
    assert pods.filter(pl.col("status") == "running")["node"].value_counts()["count"].to_list() == [39, 39]


def test_columns_written_at_once_are_what_decoding_each_pod_gives() -> None:
    found = inventory(Objects("preferred-pods", 8, 30, 5))
    for row in found.pending.tolist():
        template = found.templates[found.pods.template[row]]
        assert dict(template.labels)["app"] == f"app-{row % 5}"
        assert found.pods.namespaces[row] == template.namespace == f"team-{row % 5 % 4}"


def test_days_are_in_order_and_the_file_holds_what_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    source = Days(3_000, 8, 2, 40)
    trace, nodes = source.read()
    path, shapes = source.files(tmp_path)
    again = opening.open_trace(path)
    assert again.pods["arrival_us"].is_sorted() and again.pods.height == 3_000
    assert 30 <= again.specs.height <= 40
    assert nodes.height == opening.read_nodes(shapes).height == 8
    assert again.pods["arrival_us"].to_list() == trace.pods["arrival_us"].to_list()
    assert source.files(tmp_path)[0] == path


def test_waiting_pods_wait_while_others_come_and_go() -> None:
    source = Waiting(20, 8, 5, 4)
    trace, nodes = source.read()
    run = Simulation(trace, nodes, Settings(until_us=source.until_us, compiled=False))
    run.compile()
    run.run()
    counts = dict(run.pods()["status"].value_counts().iter_rows())
    assert counts == {"running": 8, "waiting": 20, "succeeded": 20}


def test_a_planted_slowdown_slows_the_work_itself() -> None:
    def once() -> None:
        until = time.process_time() + 0.05
        while time.process_time() < until:
            pass

    run = SimpleNamespace(run=once)
    gate.plant(run, 2.0)  # type: ignore[arg-type]
    began = time.process_time()
    run.run()
    assert time.process_time() - began >= 0.1


@pytest.fixture
def faked(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, float]]:
    """Measurements that give what is stored, times ``factor``."""
    told = {"factor": 1.0}

    def measured(row: Workload, slower: float = 1.0) -> tuple[list[tuple[float, float]], dict[str, float]]:
        known = gate.stored()[row.name]
        return [(known.ratio * slower * told["factor"], 1.0)] * 7, known.counts

    monkeypatch.setattr(gate, "measure_row", measured)
    yield told


def test_the_gate_command_holds_fails_and_names(faked: dict[str, float], capsys: pytest.CaptureFixture[str]) -> None:
    assert gate.main(["--repeat", "2"]) == 0
    assert "2 of 2 runs held" in capsys.readouterr().out
    assert gate.main(["place-20-small", "--plant", "1.4"]) == 1
    assert "place-20-small takes +40% of its stored time" in capsys.readouterr().err
    assert gate.main(["no-such-row"]) == 2
    assert "no-such-row: no row of the gate" in capsys.readouterr().err


def test_the_gates_rows_cover_every_kind_of_pods() -> None:
    kinds = {row.objects.kind for row in WORKLOADS if row.name in gate.ROWS and row.objects}
    assert kinds >= {"simple", "services", "node-affinity", "hard-spread", "soft-spread", "anti-affinity", "preemption"}


def test_the_table_shows_how_many_times_upstreams_gate() -> None:
    row = next(row for row in PLACEMENTS if row.gate == 680)
    figures = {"seconds": 1.0, "cpu_seconds": 1.0, "pods_per_second": 6_800.0}
    assert figures_table([(row, figures)])[-1].rstrip(" |").endswith("680 |       10")


def test_a_page_is_filled_between_its_marks_alone() -> None:
    page = f"before\n{growth.BEGIN}\nold\n{growth.END}\nafter\n"
    filled = growth.fill(page, ["new"])
    assert filled.startswith("before\n") and filled.endswith("after\n")
    assert "new" in filled and "old" not in filled
    assert growth.fill(filled, ["new"]) == filled
    with pytest.raises(ValueError, match="lacks"):
        growth.fill("nothing", ["new"])


def test_a_figure_names_its_lines_and_its_ticks() -> None:
    sweep = growth.SWEEPS[0]
    lines = [growth.Line(words, {1_000: 2e5, 5_000: 1e5}) for words in sweep.lines]
    svg = growth.draw(sweep, lines)
    assert svg == growth.draw(sweep, lines)
    for words in (*sweep.lines, sweep.title, "1k", "5k", "100k", "200k"):
        assert words in svg


def test_the_page_has_its_marks_and_figures() -> None:
    page = growth.PAGE.read_text()
    assert growth.fill(page, ["x"])
    for sweep in growth.SWEEPS:
        assert f"figures/cost-{sweep.name}.svg" in page
        assert (growth.FIGURES / f"cost-{sweep.name}.svg").exists()


def test_the_floor_falls_with_the_nodes_that_a_pod_looks_at() -> None:
    known = floor.Floor(far=1e10, near=4.8e10, divisions=1e9)
    assert known.pods_per_second(1) == pytest.approx(1 / (1e-9 + 4e-9))
    assert known.pods_per_second(5_000) == pytest.approx(known.pods_per_second(1) / 5_000)


@pytest.mark.parametrize("name", reading.MAKERS)
def test_made_tables_are_of_their_format(name: str, tmp_path: Path) -> None:
    rows = reading.MAKERS[name](tmp_path, 60, 20)
    trace = opening.open_trace(reading.source(tmp_path))
    assert trace.format == name.partition("-")[0]
    # Of events, several are a pod; of tables, one row of the largest is one.
    events = {"google2011": 17, "google2019": 17, "huaweieast1": 30}
    assert trace.pods.height == events.get(trace.format, 60) and rows >= 59
    assert not trace.dropped
    assert trace.specs["cpu_milli"].null_count() == 0 or trace.format == "philly"
