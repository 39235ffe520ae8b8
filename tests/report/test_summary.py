"""The numbers of the report, against cases worked out by hand."""

from __future__ import annotations

import re
from pathlib import Path

import polars as pl
import pytest

from kscale import report
from kscale.report import reading, unplaced, waits
from tests.report import make_run
from tests.report.play import GIB, HOUR, SECOND, Pod, Pool, Story, Template
from tests.report.stories import ALL


def summary_of(tmp_path, story):
    return report.summarize(tmp_path / "run", make_run.make(tmp_path / "run", story))


def one_node() -> Story:
    """One node of 4 cores and three pods that each fill it, one after the other, and one that is too large.

    first runs from 0h to 2h; second arrives at 1h, waits 1 h, runs to 5h; third arrives at 2h, waits 3 h, runs to 6h;
    giant arrives at 6h and waits until the run ends at 10h.
    """
    templates = [Template("4 cpu, 1Gi", 4000, GIB), Template("8 cpu, 1Gi", 8000, GIB)]
    pods = [
        Pod("first", 0, 0, 2 * HOUR),
        Pod("second", 0, HOUR, 3 * HOUR),
        Pod("third", 0, 2 * HOUR, HOUR),
        Pod("giant", 1, 6 * HOUR),
    ]
    return Story([Pool("4cpu,8Gi", 1, 4000, 8 * GIB)], templates, pods, samples=40)


def test_waits_by_hand(tmp_path):
    s = summary_of(tmp_path, one_node())
    h = s.headline
    assert (h["pods_arrived"], h["pods_placed"], h["unplaced_pods"], h["oversized_pods"]) == (4, 3, 1, 1)
    assert (h["wait_p50_seconds"], h["wait_max_seconds"]) == (3600, 3 * 3600)
    assert h["wait_p99_seconds"] == 3 * 3600  # nearest rank: the third of three
    assert h["waited_pods"] == 2
    assert h["wait_open_max_seconds"] == 4 * 3600
    assert h["waiting_pod_hours"] == pytest.approx(1 + 3 + 4)
    assert h["waiting_peak_pods"] == 1  # the second is bound in the instant in which the third arrives
    assert s.waits is not None and s.waits.classes == []


def test_waiting_by_reason_over_time(tmp_path):
    s = summary_of(tmp_path, one_node())
    assert s.waits is not None
    assert list(s.waits.reasons) == ["Insufficient cpu"]
    series = dict(zip((s.waits.times / HOUR).tolist(), s.waits.reasons["Insufficient cpu"].tolist(), strict=True))
    assert [series[t] for t in (0.5, 1.0, 1.75, 2.0, 4.75, 5.0, 5.75, 6.0, 10.0)] == [0, 1, 1, 1, 1, 0, 0, 1, 1]


def test_waits_are_the_same_when_every_figure_reads_the_file(tmp_path, monkeypatch):
    run = make_run.make(tmp_path / "run", one_node())
    found = reading.resources(tmp_path / "run", run)
    templates = reading.templates(tmp_path / "run", run, found)
    at_once = waits.measure(tmp_path / "run", run, templates)
    monkeypatch.setattr(waits, "FEW", 1)
    again = waits.measure(tmp_path / "run", run, templates)
    assert at_once.overall is not None and again.overall is not None
    assert at_once.overall.quantiles == again.overall.quantiles
    assert (at_once.pod_hours, at_once.main, at_once.peak, at_once.peak_at) == (
        again.pod_hours,
        again.main,
        again.peak,
        again.peak_at,
    )
    for one, other in ((at_once.reasons, again.reasons), (at_once.asks, again.asks)):
        assert {key: values.tolist() for key, values in one.items()} == {
            key: values.tolist() for key, values in other.items()
        }


def test_demand_counts_what_waits(tmp_path):
    s = summary_of(tmp_path, one_node())
    peak = s.supply.peaks["cpu"]
    assert (peak.percent, peak.used, peak.allocatable, peak.demand) == (100, 4000, 4000, 8000)
    assert s.supply.peaks["memory"].percent == pytest.approx(12.5)


def test_unplaced_by_hand(tmp_path):
    s = summary_of(tmp_path, one_node())
    row = s.unplaced.rows.row(0, named=True)
    assert (row["spec"], row["unplaced"], row["sample"], row["oversized"]) == ("8 cpu, 1Gi", 1, "default/giant", True)
    assert row["pod_hours"] == pytest.approx(4)
    assert s.unplaced.reasons == [("Insufficient cpu", 1)]
    assert s.unplaced.shape is None and s.headline["more_nodes"] is None
    assert s.verdict.kind == "fails"
    assert "more than any node has" in s.verdict.sentence


def test_node_hours_add_up(tmp_path):
    story = one_node()
    story.samples = 1000
    s = summary_of(tmp_path, story)
    hours = s.pools.hours.row(0, named=True)
    assert hours["requested"] + hours["free"] + hours["idle"] == pytest.approx(10)
    assert hours["requested"] == pytest.approx(6, abs=0.05)  # three pods fill the node for 2 + 3 + 1 hours
    assert s.headline["idle_node_percent"] == pytest.approx(40, abs=0.5)


def test_more_nodes_by_hand(tmp_path):
    # Each node of 4 cores holds two pods of 2; six of ten are left over: three more nodes.
    pods = [Pod(f"p{i}", 0, i) for i in range(10)]
    s = summary_of(
        tmp_path, Story([Pool("4cpu,8Gi", 2, 4000, 8 * GIB)], [Template("2 cpu", 2000, GIB)], pods, samples=10)
    )
    assert s.unplaced.pods == 6
    assert s.headline["more_nodes"] == 3
    assert "3 more nodes like 4cpu,8Gi" in s.verdict.sentence


def test_per_node_counts_devices():
    kinds = [unplaced.Shape("p", 1, {"cpu": 10_000.0, "gpu": 4000.0})]
    rows = pl.DataFrame(
        {
            "ask:cpu": [1000.0, 1000.0, 1000.0, 9000.0, 0.0],
            "ask:gpu": [300.0, 2000.0, 8000.0, 0.0, 1400.0],
            "gpu_count": [1, 2, 8, 0, 2],
            "gpu_milli": [300, 1000, 1000, 0, 700],
        }
    )
    # 0.3 of a device: three on each of four; two whole ones: two; eight: none; cpu alone: one; two of 0.7: two.
    assert unplaced.per_node(rows, kinds)[:, 0].tolist() == [10, 2, 0, 1, 2]


def test_headroom_by_hand(tmp_path):
    pods = [Pod(f"p{i}", 0, 0) for i in range(6)]
    s = summary_of(tmp_path, Story([Pool("a", 4, 4000, 8 * GIB)], [Template("2 cpu", 2000, GIB)], pods, samples=10))
    row = s.pools.headroom.row(0, named=True)
    assert (row["resource"], row["peak"], row["spare"], row["free"]) == ("cpu", 75, 75, 4000)
    held = [c for c in s.checks if c.what.startswith("Room to lose")]
    assert [c.good for c in held] == [True]
    assert s.verdict.kind == "fits"
    assert "grow by about 33.3 %" in s.verdict.sentence


def test_stranded_by_hand(tmp_path):
    # Both nodes are full of cpu and hold 2 of 8 GiB: three quarters of the memory are stranded.
    pods = [Pod(f"p{i}", 0, 0) for i in range(4)]
    s = summary_of(tmp_path, Story([Pool("a", 2, 4000, 8 * GIB)], [Template("2 cpu", 2000, GIB)], pods, samples=10))
    assert s.headline["stranded_memory_percent"] == pytest.approx(75)
    assert s.headline["stranded_cpu_percent"] == 0
    assert s.pools.stranded is not None and s.pools.stranded.blocker == "cpu"


def test_inflation_has_no_waits_and_knows_its_first_refusal(tmp_path):
    # Four devices; pods of one each: the fifth is refused, when 125 % have been asked for.
    templates = [Template("1 GPU", 1000, GIB, 1, 1000)]
    pods = [Pod(f"p{i}", 0, (i + 1) * SECOND) for i in range(6)]
    story = Story(
        [Pool("g", 1, 64_000, 64 * GIB, gpus=4, model="T4")],
        templates,
        pods,
        inflate=True,
        horizon_us=6 * SECOND,
    )
    s = summary_of(tmp_path, story)
    assert s.waits is None and "wait_p99_seconds" not in s.headline
    assert s.supply.axis.kind == "gpu"
    assert s.supply.refused_at == pytest.approx(125)
    assert s.headline["refused_pods"] == 2
    assert s.supply.demand is not None
    assert s.supply.demand["demand:gpu"].to_list() == [1000.0 * k for k in range(1, 7)]
    assert s.headline["fragmented_gpu_percent"] == 0  # nothing is idle


def test_fragmented_share_by_hand(tmp_path):
    # The fabricated measure: device rests below 500 count whole, the others by 13.66 %.
    templates = [Template("0.7 GPU", 1000, GIB, 1, 700)]
    story = Story(
        [Pool("g", 1, 64_000, 64 * GIB, gpus=4, model="T4")],
        templates,
        [Pod("p", 0, SECOND)],
        inflate=True,
        horizon_us=SECOND,
    )
    s = summary_of(tmp_path, story)
    lost = 300 + 0.1366 * 3000
    assert s.headline["fragmented_gpu_percent"] == pytest.approx(100 * lost / 4000)
    assert s.headline["fragmented_idle_gpu_percent"] == pytest.approx(100 * lost / 3300)


def test_plain_reason_drops_counts():
    words = pl.DataFrame(
        {
            "r": [
                "0/12 nodes are available: 3 Insufficient cpu, 9 node(s) had untolerated taint {a: 1}.",
                "0/5 nodes are available: 5 Too many pods. preemption: 0/5 nodes are available: 5 No victims.",
                "no nodes available to schedule pods",
            ]
        }
    )
    assert words.select(waits.plain_reason(pl.col("r")))["r"].to_list() == [
        "Insufficient cpu, node(s) had untolerated taint {a: 1}",
        "Too many pods",
        "no nodes available to schedule pods",
    ]


def test_many_reasons_are_added_up(tmp_path):
    run = make_run.make(tmp_path / "run", one_node())
    pods = pl.read_parquet(tmp_path / "run" / "pods.parquet")
    many = pl.concat([pods.filter(pl.col("name") == "second")] * 20).with_columns(
        reason=pl.concat_str(pl.lit("0/1 nodes are available: 1 reason "), pl.int_range(pl.len()).cast(pl.String))
    )
    many.write_parquet(tmp_path / "run" / "pods.parquet")
    s = report.summarize(tmp_path / "run", run)
    assert s.waits is not None
    assert len(s.waits.reasons) == waits.REASONS + 1
    assert int(s.waits.reasons[waits.OTHER].max()) == 20 - waits.REASONS


def test_scheduler_time_is_told_apart(tmp_path):
    run = make_run.make(tmp_path / "run", one_node())
    pods = pl.read_parquet(tmp_path / "run" / "pods.parquet").with_columns(
        first_failed_us=pl.lit(None, pl.Int64), reason=pl.lit(None, pl.String)
    )
    pods.write_parquet(tmp_path / "run" / "pods.parquet")
    s = report.summarize(tmp_path / "run", run)
    assert s.waits is not None and list(s.waits.reasons) == [waits.TURN]


@pytest.mark.parametrize("name", ALL)
def test_every_story_is_summarized(summaries, name):
    s = summaries[name]
    assert all(isinstance(v, (int, float)) or v is None for v in s.headline.values())
    assert s.headline["pods_placed"] + s.headline["unplaced_pods"] == s.headline["pods_arrived"]
    assert s.verdict.headline and s.verdict.sentence
    assert [c.good for c in s.checks] == sorted(c.good for c in s.checks)


def test_every_headline_number_is_documented(summaries):
    page = Path(__file__).parents[2].joinpath("docs/report.md").read_text(encoding="utf-8")
    known = set(re.findall(r"`([a-z0-9_<>]+)`", page))
    for s in summaries.values():
        for key in s.headline:
            general = key
            for r in s.resources:
                general = re.sub(rf"^(peak|mean|end|stranded)_{r.slug}_percent$", r"\1_<resource>_percent", general)
            assert general in known, key


def test_a_resource_with_an_odd_name_has_a_slug(tmp_path):
    run = make_run.make(tmp_path / "run", one_node())
    for table in ("timeline", "nodes", "node_timeline", "templates"):
        path = tmp_path / "run" / f"{table}.parquet"
        frame = pl.read_parquet(path)
        names = {c: c.replace("memory", "example_com_foo") for c in frame.columns if c.endswith("memory")}
        frame.rename(names).write_parquet(path)
    run.resources = ["cpu", "example_com_foo", "pods"]
    s = report.summarize(tmp_path / "run", run)
    assert [r.slug for r in s.resources] == ["cpu", "example_com_foo", "pods"]
    assert s.headline["peak_example_com_foo_percent"] == pytest.approx(12.5)
    assert reading.inflates(run) is False


def test_a_resource_that_no_node_has_is_hopeless(tmp_path):
    run = make_run.make(tmp_path / "run", one_node())
    path = tmp_path / "run" / "templates.parquet"
    pl.read_parquet(path).with_columns(gpu_count=pl.lit(1, pl.Int64), gpu_milli=pl.lit(1000, pl.Int64)).write_parquet(
        path
    )
    templates = reading.templates(tmp_path / "run", run, reading.resources(tmp_path / "run", run))
    assert templates["hopeless"].to_list() == [True, True]
    assert report.headline(run, tmp_path / "run")["oversized_pods"] == 1
