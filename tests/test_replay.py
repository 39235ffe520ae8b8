"""What each option of a replay does, and that the tables of a run folder agree with each other."""

from __future__ import annotations

import functools
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from kscale import replay, report
from kscale.engine.outputs import EVENT_KINDS, OUTPUTS
from kscale.engine.runfolder import Run
from kscale.errors import InputError
from kscale.replay import Plan, scheduler_us
from kscale.simulation import Settings

SECOND = 1_000_000
PODS = 60
#: Nodes and pods compete: some pods wait, some wait to the end, one fits nowhere.
NODES = """\
name,cpu,memory,gpu_count,gpu_model,labels,resource.example.com/fpga
a,4,16Gi,2,T4,zone=a,0
b,4,16Gi,0,,zone=b,2
c,4,16Gi,0,,zone=b,0
"""
SHAPES = ("1,2Gi,0,,", "2,1Gi,0,,1", "500m,1Gi,1,500,", "1500m,3Gi,1,,", ",,0,,", "3,4Gi,0,,", "1,,2,1000,")


def pods_file(pods: int = PODS, *, urgent: bool = False) -> str:
    """The text of a pod file: an arrival every 7 s, seven shapes in turn, durations that overlap.

    With ``urgent``, every third pod has a higher priority and every ninth a higher one still.
    """
    lines = ["name,namespace,arrival,duration,end,cpu,memory,gpu_count,gpu_milli,resource.example.com/fpga"]
    if urgent:
        return "\n".join(
            f"{line},{'priority' if i == 0 else 100 if i % 9 == 1 else 10 if i % 3 == 1 else 0}"
            for i, line in enumerate(pods_file(pods).splitlines())
        )
    for i in range(pods):
        arrival, duration = 7 * (i // 2), 20 + 13 * (i % 11)
        times = f"{arrival},," if i % 19 == 5 else f"{arrival},{duration},{arrival + duration}"
        lines.append(f"p{i},{'team' if i % 4 else 'default'},{times},{SHAPES[i % 7]}")
    lines.append("whale,default,30,10,40,64,1Gi,0,,")
    return "\n".join(lines) + "\n"


PLAIN_PODS = "name,arrival,duration,cpu\n" + "".join(f"p{i},{i},5,1\n" for i in range(6))


@dataclass(frozen=True)
class Done:
    """A run folder, read back."""

    run: Run
    folder: Path

    def table(self, name: str) -> pl.DataFrame:
        return pl.read_parquet(self.folder / f"{name}.parquet")

    @property
    def pods(self) -> pl.DataFrame:
        return self.table("pods")

    @property
    def status(self) -> Counter[str]:
        return Counter(self.pods["status"].to_list())


Play = Callable[..., Done]


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Play:
    """Replays the world with some fields of the plan set. The loop runs as plain Python, and nothing is drawn."""
    monkeypatch.setattr(replay, "Settings", functools.partial(Settings, compiled=False))
    monkeypatch.setattr(report, "write", lambda folder, run, summary: {})
    (tmp_path / "pods.csv").write_text(pods_file())
    (tmp_path / "urgent.csv").write_text(pods_file(urgent=True))
    (tmp_path / "nodes.csv").write_text(NODES)
    count = 0

    def _play(trace: str = "pods.csv", nodes: str | None = None, **fields: Any) -> Done:
        nonlocal count
        count += 1
        out = tmp_path / f"run{count}"
        plan = Plan(tmp_path / trace, str(tmp_path / "nodes.csv") if nodes is None else nodes, out, **fields)
        with np.errstate(over="ignore"):  # plain, the draws wrap around with a warning
            run, _ = replay.replay(plan)
        return Done(run, out)

    return _play


def places(done: Done) -> dict[str, tuple[Any, ...]]:
    """Where and when each pod was bound, by name."""
    return {row["name"]: (row["node"], row["bound_us"]) for row in done.pods.iter_rows(named=True)}


def asked(done: Done, name: str) -> np.ndarray[Any, Any]:
    """What each pod asks for, in the order of the table."""
    amounts = done.table("templates")[f"request_{name}"].fill_null(0).to_numpy()
    return amounts[done.pods["template"].to_numpy()]


def test_the_world_has_pods_of_every_fate(play: Play) -> None:
    done = play(check=True)
    assert done.status == {"succeeded": 57, "running": 3, "waiting": 1}
    pods = done.pods
    assert pods["name"].to_list() == [f"p{i}" for i in range(PODS)] + ["whale"]
    assert pods.filter(pl.col("bound_us") > pl.col("arrived_us")).height > 10
    assert pods["reason"].drop_nulls().n_unique() > 3
    assert done.run.invariants["control_points"] > 100 and done.run.invariants["violations"] == 0
    assert done.run.counts["arrived"] == PODS + 1 and done.run.counts["bound"] == PODS
    assert done.run.counts["attempts"] == pods["attempts"].sum()


def test_pods_of_higher_priority_evict_others(play: Play) -> None:
    done = play("urgent.csv", check=True)
    pods, counts = done.pods, done.run.counts
    assert counts["evicted"] == done.status["evicted"] == 17
    assert counts["arrived"] == PODS + 1 == sum(done.status.values())
    evicted = pods.filter(pl.col("status") == "evicted")
    assert (evicted["ended_us"] >= evicted["started_us"]).all() and evicted["node"].null_count() == 0
    assert evicted["preempted_by"].null_count() == 0 and evicted["victims"].sum() > 0  # some had others evicted before
    assert pods["preempted_by"].null_count() == PODS + 1 - counts["evicted"]
    victims = pods.filter(pl.col("victims") > 0).select(
        pl.concat_str("namespace", pl.lit("/"), "name").alias("name"), pl.col("victims").cast(pl.UInt32)
    )
    assert victims.sort("name").rows() == sorted(Counter(evicted["preempted_by"].to_list()).items())
    told = [note for note in done.run.notes if "riorities" in note]
    assert told == [
        "Priorities order the queue, and pods are evicted for others of higher priority; they do not come back."
    ]
    again = play("urgent.csv")
    assert again.run.fingerprint == done.run.fingerprint != play().run.fingerprint
    inflated = play("urgent.csv", inflate=True)
    assert inflated.run.counts["evicted"] == inflated.pods["victims"].sum() == 0


def test_until_ends_the_run_and_changes_nothing_before(play: Play) -> None:
    whole, until = play(), 105 * SECOND
    cut = play(until_us=until)
    assert cut.run.horizon_us == until and cut.table("timeline")["time_us"][-1] == until
    arrived = whole.pods.filter(pl.col("arrived_us") <= until)
    assert cut.pods["name"].to_list() == arrived["name"].to_list()
    assert cut.pods.select(pl.max_horizontal("arrived_us", "bound_us", "ended_us").max()).item() <= until
    before, after = places(whole), places(cut)
    for name, (node, bound) in after.items():
        early = before[name][1] is not None and before[name][1] <= until
        assert (node, bound) == (before[name] if early else (None, None)), name
    for row in cut.pods.iter_rows(named=True):
        expected = "waiting" if row["bound_us"] is None else "running" if row["ended_us"] is None else "succeeded"
        assert row["status"] == expected
    assert {"running", "waiting", "succeeded"} == set(cut.status)
    assert sum(cut.status.values()) == cut.run.counts["arrived"] == len(arrived)
    assert {word: cut.run.counts[word] for word in cut.status} == cut.status


def test_until_before_the_first_arrival_gives_empty_tables(play: Play) -> None:
    (play("pods.csv").folder.parent / "late.csv").write_text("name,arrival,duration,cpu\nx,100,5,1\n")
    done = play("late.csv", until_us=SECOND)
    assert done.pods.height == done.table("events").height == 0
    assert done.run.counts["arrived"] == 0 and done.run.horizon_us == SECOND
    assert done.table("nodes")["idle_share"].to_list() == [1.0] * 3


@pytest.mark.parametrize("inflate", [False, True])
def test_a_trace_without_pods_is_an_empty_run(play: Play, tmp_path: Path, inflate: bool) -> None:
    (tmp_path / "none.csv").write_text("name,arrival,duration,cpu\n")
    done = play("none.csv", inflate=inflate)
    for table in OUTPUTS:
        matches(done, table)
    assert done.pods.height == done.table("events").height == done.run.counts["arrived"] == 0
    assert done.table("timeline").select("arrived_pods", "used_gpu_milli", "idle_gpu_milli").unique().rows() == [
        (0, 0, 2000)
    ]


def test_load_below_one_thins(play: Play) -> None:
    whole, half = play(), play(load=0.5)
    assert half.pods.height == 30
    names, known = half.pods["name"].to_list(), whole.pods["name"].to_list()
    assert [name for name in known if name in set(names)] == names
    assert half.pods["name"].to_list() != play(load=0.5, seed=1).pods["name"].to_list()
    assert half.run.fingerprint == play(load=0.5).run.fingerprint


def test_load_above_one_adds_clones(play: Play) -> None:
    whole, more = play(), play(load=1.5)
    assert more.pods.height == round(1.5 * (PODS + 1))
    known = {(r["namespace"], r["name"]): (r["arrived_us"], r["template"]) for r in whole.pods.iter_rows(named=True)}
    rows = list(more.pods.iter_rows(named=True))
    assert len({(row["namespace"], row["name"]) for row in rows}) == len(rows)
    for row in rows:
        name, _, clone = row["name"].partition("~")
        assert (row["arrived_us"], row["template"]) == known[row["namespace"], name]
        assert not clone or f"{name}~{int(clone) - 1}" in more.pods["name"] or clone == "1"
    assert set(whole.pods["name"]) <= set(more.pods["name"])
    assert more.run.fingerprint != play(load=1.5, seed=1).run.fingerprint


def test_compress_divides_the_times_between_arrivals_and_keeps_durations(play: Play) -> None:
    whole, fast = play().pods, play(compress=2.0).pods
    first = whole["arrived_us"].min()
    assert fast["arrived_us"].to_list() == [first + (t - first) // 2 for t in whole["arrived_us"]]
    held = pl.col("ended_us") - pl.col("started_us")
    assert fast.select(held).equals(whole.select(held))
    recorded = play(compress=2.0, ends="recorded").pods
    told = dict(zip(whole["name"], whole.select(held).to_series(), strict=True))
    for row in recorded.filter(pl.col("ended_us").is_not_null()).iter_rows(named=True):
        assert row["ended_us"] - row["arrived_us"] == (10 * SECOND if row["name"] == "whale" else told[row["name"]])


def test_ends_recorded_against_service(play: Play) -> None:
    service, recorded = play().pods, play(ends="recorded").pods
    for row in service.iter_rows(named=True):
        i = 0 if row["name"] == "whale" else int(row["name"][1:])
        if row["ended_us"] is not None:
            assert row["ended_us"] - row["started_us"] == (20 + 13 * (i % 11)) * SECOND
    statuses = set()
    for row in recorded.iter_rows(named=True):
        i = 0 if row["name"] == "whale" else int(row["name"][1:])
        statuses.add(row["status"])
        if row["name"] == "whale":
            assert (row["status"], row["ended_us"], row["bound_us"]) == ("failed", 40 * SECOND, None)
        elif i % 19 != 5:
            assert row["ended_us"] == row["arrived_us"] + (20 + 13 * (i % 11)) * SECOND
            assert row["status"] == ("failed" if row["bound_us"] is None else "succeeded")
    assert statuses == {"failed", "succeeded", "running"}


def test_pod_order_as_text_and_as_array(play: Play, tmp_path: Path) -> None:
    order = [3, 1, 3, 0, 3, 1, 5]
    (tmp_path / "order.txt").write_text("".join(f"{i}\n" for i in order))
    np.save(tmp_path / "order.npy", np.array(order, np.uint32))
    (tmp_path / "plain.csv").write_text(PLAIN_PODS)
    runs = [play("plain.csv", inflate=True, pod_order=tmp_path / f"order.{end}") for end in ("txt", "npy")]
    assert runs[0].run.fingerprint == runs[1].run.fingerprint
    pods = runs[0].pods
    assert pods["name"].to_list() == ["p3", "p1", "p3~1", "p0", "p3~2", "p1~1", "p5"]
    assert pods["arrived_us"].to_list() == [i * SECOND for i in range(7)]
    assert pods["decision"].to_list() == list(range(7))
    timed = play("plain.csv", pod_order=tmp_path / "order.txt").pods
    assert timed["arrived_us"].to_list() == [i * SECOND for i in order]
    assert {row.role for row in runs[0].run.inputs} == {"trace", "nodes", "pod_order"}


def test_inflation_without_an_order_is_by_arrival(play: Play, tmp_path: Path) -> None:
    (tmp_path / "mixed.csv").write_text("name,arrival,cpu\nx,9,1\ny,2,1\nz,9,1\nw,0,1\n")
    assert play("mixed.csv", inflate=True).pods["name"].to_list() == ["w", "y", "x", "z"]


def test_node_order_is_the_order_of_ties(play: Play, tmp_path: Path) -> None:
    (tmp_path / "plain.csv").write_text(PLAIN_PODS)
    (tmp_path / "alike.csv").write_text("name,cpu,memory\n" + "".join(f"n{i},8,8Gi\n" for i in range(4)))
    np.save(tmp_path / "order.npy", np.array([2, 0, 3, 1]))
    alike = str(tmp_path / "alike.csv")
    assert play("plain.csv", alike, inflate=True).pods["node"].to_list()[:4] == ["n0", "n1", "n2", "n3"]
    done = play("plain.csv", alike, inflate=True, node_order=tmp_path / "order.npy")
    assert done.pods["node"].to_list()[:4] == ["n2", "n0", "n3", "n1"]
    assert done.table("nodes")["name"].to_list() == ["n2", "n0", "n3", "n1"]
    (tmp_path / "few.txt").write_text("3\n1\n")
    few = play("plain.csv", alike, inflate=True, node_order=tmp_path / "few.txt")
    assert few.table("nodes")["name"].to_list() == ["n3", "n1"] and few.run.counts["nodes"] == 2


def test_a_scheduler_with_a_rate_decides_one_after_the_other(play: Play) -> None:
    done = play(scheduler_rate="10", check=True)
    assert done.run.scheduler_us_per_pod == 100_000
    bound = done.pods.filter(pl.col("bound_us").is_not_null()).sort("decision")
    assert bound["bound_us"].diff().drop_nulls().min() >= 100_000
    assert bound.select((pl.col("bound_us") - pl.col("arrived_us")).min()).item() == 100_000
    assert done.status == play().status
    assert play().run.scheduler_us_per_pod == 0


def test_the_real_rate_depends_on_the_number_of_nodes(play: Play) -> None:
    assert play(scheduler_rate="real").run.scheduler_us_per_pod == scheduler_us("real", 3) == 313
    rates = [scheduler_us("real", nodes) for nodes in (1, 100, 300, 1000, 3000, 5000, 100_000)]
    assert rates == sorted(rates)
    assert (rates[1], rates[3], rates[5], rates[6]) == (313, 1098, 1321, 1321)
    assert scheduler_us("1e9", 3) == 1 and scheduler_us(None, 3) == 0
    with pytest.raises(InputError, match="is no rate"):
        scheduler_us("2e9", 3)


def test_lenient_counts_what_it_leaves_out(play: Play, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(replay, "Settings", functools.partial(Settings, compiled=False))
    (tmp_path / "bad.csv").write_text(PLAIN_PODS + "q,7,5,-1\nr,x,5,1\np0,7,5,1\ns,7,5,-2\n")
    done = play("bad.csv", lenient=True)
    assert done.run.dropped == {"cpu: is negative": 2, "arrival: is not a number": 1, "name: occurs twice": 1}
    assert done.run.counts["rows_dropped"] == 4 and done.run.counts["arrived"] == 6
    stored = json.loads((done.folder / "run.json").read_text())
    assert stored["dropped"] == done.run.dropped
    page = (done.folder / "report.md").read_text()
    for reason in done.run.dropped:
        assert reason in page
    with pytest.raises(InputError, match=r"row 8, field 'arrival': 'x' is not a number"):
        play("bad.csv")


def test_inflation_has_a_row_of_the_timeline_after_each_arrival(play: Play) -> None:
    done = play(inflate=True, check=True)
    timeline, pods = done.table("timeline"), done.pods
    assert timeline["time_us"].to_list() == pods["arrived_us"].to_list() == [i * SECOND for i in range(PODS + 1)]
    assert set(done.status) == {"running", "refused"}
    assert pods["ended_us"].null_count() == pods.height
    assert pods["attempts"].to_list() == [1] * pods.height
    bound = pods["node"].is_not_null()
    assert timeline["arrived_pods"].to_list() == list(range(1, PODS + 2))
    assert timeline["running_pods"].to_list() == bound.cum_sum().to_list()
    assert timeline["waiting_pods"].to_list() == [0] * (PODS + 1)
    for name in ("cpu", "memory", "pods", "example_com_fpga"):
        requested = np.cumsum(np.where(bound.to_numpy(), asked(done, name), 0))
        assert timeline[f"requested_{name}"].to_list() == requested.tolist(), name
    assert pods["decision"].drop_nulls().to_list() == list(range(bound.sum()))
    assert done.run.sample_us == 0
    refused = done.table("events").filter(pl.col("kind") == "Refused")
    assert refused.height == done.status["refused"] and refused["reason"].null_count() == 0


def matches(done: Done, table: str) -> None:
    """The table has exactly the columns of the data dictionary, of its types; without GPUs it has none for them."""
    expected: dict[str, Any] = {}
    for output in OUTPUTS[table]:
        if "*" in output.name:
            expected |= {output.name.replace("*", name): output.dtype for name in done.run.resources}
        elif done.run.devices or "gpu_milli" not in output.name or table == "templates":
            expected[output.name] = output.dtype
    found = dict(done.table(table).schema)
    assert found.keys() == expected.keys(), (table, found.keys() ^ expected.keys())
    for name, dtype in expected.items():
        assert found[name] == dtype, (table, name, found[name])


@pytest.mark.parametrize(
    ("nodes", "fields"),
    [
        (None, {}),
        (None, {"trace": "urgent.csv"}),
        (None, {"inflate": True}),
        (None, {"inflate": True, "policy": "FGD"}),
        (None, {"ends": "recorded", "until_us": 60 * SECOND, "scheduler_rate": "10"}),
        (None, {"until_us": 0}),
        ("4cpu,8Gi:2", {}),
        ("4cpu,8Gi:2", {"inflate": True}),
    ],
)
def test_tables_have_the_columns_of_the_data_dictionary(
    play: Play, tmp_path: Path, nodes: str | None, fields: dict[str, Any]
) -> None:
    (tmp_path / "plain.csv").write_text(PLAIN_PODS)
    done = play(**{"trace": "pods.csv" if nodes is None else "plain.csv", "nodes": nodes} | fields)
    assert done.run.devices == (nodes is None)
    for table in OUTPUTS:
        matches(done, table)
    assert set(done.run.files) == {f"{table}.parquet" for table in OUTPUTS}


URGENT = {"trace": "urgent.csv"}


@pytest.mark.parametrize("fields", [{}, {"ends": "recorded"}, {"inflate": True}, {"scheduler_rate": "10"}, URGENT])
def test_events_are_the_changes_of_state_that_pods_tells(play: Play, fields: dict[str, Any]) -> None:
    done = play(**fields)
    events = done.table("events")
    expected: Counter[tuple[Any, ...]] = Counter()
    for row in done.pods.iter_rows(named=True):
        status, what = row["status"], f"{row['namespace']}/{row['name']}"
        failed = "Refused" if status == "refused" else "FailedScheduling"
        ended = {"failed": "Deleted", "evicted": "Evicted"}.get(status, "Succeeded")
        expected[row["arrived_us"], "Arrived", what, None, None] += 1
        expected[row["first_failed_us"], failed, what, None, row["reason"]] += 1
        expected[row["bound_us"], "Scheduled", what, row["node"], None] += 1
        expected[row["started_us"], "Started", what, row["node"], None] += 1
        node, reason = (None, row["reason"]) if status == "failed" else (row["node"], None)
        expected[row["ended_us"], ended, what, node, reason] += 1
    assert Counter(events.iter_rows()) == {key: n for key, n in expected.items() if key[0] is not None}
    assert events["time_us"].is_sorted()
    course = [kind for kind in EVENT_KINDS if kind not in ("Refused", "Deleted")] + ["Refused", "Deleted"]
    for _, of_pod in events.group_by("object", maintain_order=True):
        kinds = [course.index(kind) for kind in of_pod["kind"]]
        assert kinds == sorted(set(kinds))


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"ends": "recorded"},
        {"until_us": 105 * SECOND, "sample_us": 9 * SECOND},
        URGENT,
        URGENT | {"ends": "recorded"},
    ],
)
def test_the_timeline_agrees_with_pods_at_every_sample(play: Play, fields: dict[str, Any]) -> None:
    done = play(**fields)
    timeline, pods = done.table("timeline"), done.pods
    never = np.iinfo(np.int64).max
    arrived, bound, ended = (pods[f"{word}_us"].fill_null(never).to_numpy() for word in ("arrived", "bound", "ended"))
    devices = done.table("templates").select(milli=pl.col("gpu_count") * pl.col("gpu_milli"))["milli"].to_numpy()
    milli = devices[pods["template"].to_numpy()]
    for row in timeline.iter_rows(named=True):
        now = row["time_us"]
        here, running = arrived <= now, (bound <= now) & (ended > now)
        waiting = here & (bound > now) & (ended > now)
        told = (row["arrived_pods"], row["running_pods"], row["waiting_pods"])
        assert told == (here.sum(), running.sum(), waiting.sum()), now
        for name in done.run.resources:
            assert row[f"requested_{name}"] == asked(done, name)[running].sum(), (now, name)
        assert row["arrived_gpu_milli"] == milli[here].sum()
        assert row["used_gpu_milli"] == milli[running].sum() == 2000 - row["idle_gpu_milli"]
        assert 0 <= row["fragmented_gpu_milli"] <= row["idle_gpu_milli"] + 1e-9
    last = timeline.row(-1, named=True)
    assert (last["running_pods"], last["waiting_pods"]) == (done.status["running"], done.status["waiting"])
    assert last["time_us"] == done.run.horizon_us and timeline["time_us"].is_sorted()
    steps = timeline["time_us"][:-1].diff().drop_nulls().unique().to_list()
    assert steps == [fields.get("sample_us", done.run.sample_us)]


@pytest.mark.parametrize("trace", ["pods.csv", "urgent.csv"])
def test_nodes_tell_what_their_pods_held(play: Play, trace: str) -> None:
    done = play(trace, until_us=150 * SECOND)
    pods, nodes, end = done.pods, done.table("nodes"), done.run.horizon_us
    on = pods["node"].to_list()
    held = (pods["ended_us"].fill_null(end) - pods["bound_us"]).fill_null(0).to_numpy()
    for row in nodes.iter_rows(named=True):
        mine = np.array([node == row["name"] for node in on])
        assert row["pods_bound"] == mine.sum()
        still = mine & pods["ended_us"].is_null().to_numpy()
        for name in done.run.resources:
            amounts = asked(done, name)
            assert row[f"requested_mean_{name}"] == pytest.approx((amounts * held)[mine].sum() / end, rel=1e-12)
            assert row[f"requested_end_{name}"] == amounts[still].sum()
            changes = sorted(
                [(pods["bound_us"][int(i)], 1, amounts[i]) for i in np.flatnonzero(mine)]
                + [(pods["ended_us"][int(i)], 0, -amounts[i]) for i in np.flatnonzero(mine & ~still)]
            )
            peak = np.cumsum([amount for _, _, amount in changes]).max(initial=0)
            assert row[f"requested_peak_{name}"] == peak <= row[f"allocatable_{name}"]
        busy = np.zeros(end // SECOND, bool)
        for i in np.flatnonzero(mine):
            start = pods["bound_us"][int(i)]
            busy[start // SECOND : (start + held[i]) // SECOND] = True
        assert row["idle_share"] == pytest.approx(1 - busy.mean(), abs=2 / len(busy))
    assert nodes["used_gpu_milli_end"].sum() == done.table("timeline")["used_gpu_milli"][-1]


def test_groups_of_nodes_add_up_to_the_timeline(play: Play) -> None:
    done = play(sample_us=10 * SECOND)
    timeline = done.table("timeline").with_columns(bound_pods="running_pods")
    groups = done.table("node_timeline")
    assert groups.group_by("time_us").agg(pl.col("nodes").sum())["nodes"].unique().to_list() == [3]
    names = ["bound_pods", "used_gpu_milli"]
    names += [f"{kind}_{name}" for kind in ("allocatable", "requested") for name in done.run.resources]
    added = groups.group_by("time_us").agg(pl.col(names).sum()).sort("time_us")
    assert added.height > 5
    expected = timeline.filter(pl.col("time_us") > 0).unique("time_us", keep="last").sort("time_us")
    assert added.select("time_us", *names).equals(expected.select("time_us", *names).cast(dict(added.schema)))


def test_templates_count_their_pods(play: Play) -> None:
    done = play()
    templates = done.table("templates")
    counted = done.pods.group_by("template").agg(pods=pl.len(), placed=pl.col("node").count()).sort("template")
    assert templates["pods"].to_list() == counted["pods"].to_list()
    assert templates["placed"].to_list() == counted["placed"].to_list()
    assert (templates["pods"] - templates["placed"]).to_list() == templates["unplaced"].to_list()
    whale = templates.filter(pl.col("unplaced") > 0).row(0, named=True)
    assert whale["spec"] == "64 cpu, 1Gi memory" and whale["reason"] == "0/3 nodes are available: 3 Insufficient cpu."
    assert whale["nearest_node"] in ("a", "b", "c") and whale["nearest_lacks"].endswith(" cpu")
