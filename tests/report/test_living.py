"""What controllers and kubelets did: numbers by hand, and what page, Markdown, terminal and budgets make of them."""

from __future__ import annotations

import itertools

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale import report
from kscale.report import budget, comparing, living, marks, metrics, startup, terminal
from kscale.report.figures import all_figures
from tests.report import lives, make_run, stories
from tests.report.play import HOUR, SECOND

FIGURES = {"rollouts", "autoscaling", "startup", "restarts", "disruptions"}


def summary_of(folder, **rows):
    story = stories.tiny()
    story.living = lives.tables(**rows)
    return report.summarize(folder / "run", make_run.make(folder / "run", story))


def shown(summary):
    return {figure.name for figure in all_figures() if figure.finding(summary) is not None} & FIGURES


@pytest.fixture(scope="module")
def lived(tmp_path_factory):
    """Return the summary of the story with every table, and its folder with page and Markdown."""
    folder = tmp_path_factory.mktemp("living")
    run = make_run.make(folder, stories.living(), seal=False)
    summary = report.summarize(folder, run)
    report.write(folder, run, summary)
    return summary, folder


def test_a_run_without_controllers_is_as_it_was(tmp_path):
    summary = report.summarize(tmp_path, make_run.make(tmp_path, stories.tiny()))
    assert summary.living is None and shown(summary) == set()
    assert not [name for name in summary.headline if name.startswith(("rollout", "startup", "restart"))]
    assert not [check for check in summary.checks if "ollout" in check.what]
    assert not [line for line in terminal.lines(summary) if "rollouts" in line or "start-up" in line]


def test_empty_tables_say_nothing(tmp_path):
    summary = summary_of(tmp_path)
    assert summary.living is not None and shown(summary) == set()
    assert living.lines(summary.living) == [] and living.sentence(summary.living) == ""
    assert summary.headline["rollouts_finished"] == summary.headline["restarts"] == 0
    assert summary.headline["startup_mean_seconds"] is summary.headline["evictions_refused"] is None
    assert not [check for check in summary.checks if "ollout" in check.what]


def test_one_table_is_enough(tmp_path):
    run = make_run.make(tmp_path, stories.tiny())
    lives.table("rollouts", lives.rolling("web", 60)).write_parquet(tmp_path / "rollouts.parquet")
    summary = report.summarize(tmp_path, run)
    assert summary.headline["rollouts_finished"] == 1 and shown(summary) == {"rollouts"}


def test_headline_numbers_by_hand(lived):
    numbers = lived[0].headline
    assert (numbers["rollouts_finished"], numbers["rollouts_unfinished"]) == (12 + 2, 1)
    assert numbers["rollouts_bounds_broken"] == 1
    assert numbers["rollout_longest_seconds"] == 140
    mean = sum(total for _, _, total, _ in lives.STARTUP) / 400 / 1e6
    assert numbers["startup_mean_seconds"] == pytest.approx(mean)
    assert numbers["startup_largest_step_seconds"] == pytest.approx(390 * 4 / 400)
    assert numbers["restarts"] == 21 + sum(40 - 2 * k for k in range(20))
    assert numbers["evictions_refused"] == 5 + 10 + 15
    assert (numbers["controller_calls"], numbers["controller_errors"]) == (1234 + 45_678 + 90, 4)


def test_what_is_wrong_is_a_check_and_in_the_verdict(lived):
    summary, _ = lived
    broken = {check.what: check.value for check in summary.checks if not check.good}
    assert broken == {
        "Rollouts that did not finish": "1 (6.67 %)",
        "Rollouts that broke the bounds on their pods": "1 (6.67 %)",
    }
    assert summary.verdict.sentence.endswith("1 rollout did not finish. 1 rollout broke the bounds on its pods.")


def test_rollouts_that_went_well_hold_their_checks(tmp_path):
    summary = summary_of(tmp_path, rollouts=lives.rolling("web", 60))
    assert [check.good for check in summary.checks if "ollout" in check.what] == [True, True]
    assert "ollout" not in summary.verdict.sentence


def test_budgets_hold_them(lived):
    held = budget.hold({"rollouts_unfinished": {"max": 0}, "startup_p99_seconds": {"max": 60}}, lived[0].headline)
    assert [(one.metric, one.good) for one in held] == [("rollouts_unfinished", False), ("startup_p99_seconds", True)]
    assert budget.checks(held)[0].value == "1 rollout"
    first = budget.initial(lived[0].headline)
    assert "rollouts_unfinished: {max: 1.1}" in first and "rollouts_finished" not in first
    assert all(metrics.find(name) for name in living.headline(lived[0].living))


def test_two_runs_are_compared_by_them(lived, tmp_path):
    other = make_run.make(tmp_path, stories.resting())
    numbers = comparing.compare((lived[1], tmp_path), (lived[0].run, other)).numbers
    rows = {row[0]: row[1:] for row in numbers.iter_rows()}
    assert rows["rollouts_unfinished"] == (1, 0, -1, "second", "rollouts")
    assert rows["startup_mean_seconds"][1:4] == (None, None, "")


def test_terminal_page_and_markdown_tell_them(lived):
    summary, folder = lived
    lines = terminal.lines(summary)
    assert "  rollouts              14 finished, 1 not; longest 2m 20s; bounds broken 1" in lines
    assert "  disruptions           441 restarts, 30 evictions refused" in lines
    assert len(lines) <= terminal.LINES
    page, words = (folder / "report.html").read_text("utf-8"), (folder / "report.md").read_text("utf-8")
    for place in (page, words):
        for told in ("Rollouts finished", "Start-up of a pod", "What the scenario did", "Controllers at work"):
            assert told in place
    assert words.count("node node-4 is drained") == 1 and "| replicaset | 45,678 | 0 |" in words


def test_restarts_are_told_of_what_controls_the_owner(lived):
    rows = {(space, owner): count for space, owner, count in lived[0].living.restarts.iter_rows()}
    assert rows["default", "Deployment/web"] == 0 + 7 + 14
    assert len(rows) == living.BARS and lived[0].living.restart_owners == 21


def test_autoscalers_that_move_most_are_shown(tmp_path):
    rows = [row for k in range(6) for row in lives.autoscaler(f"hpa-{k}", [0, 500 * k, 1000])]
    rows += lives.autoscaler("wild", [0, 9000, 9000, 0])
    found = summary_of(tmp_path, rollouts=rows).living
    assert [one.name for one in found.autoscalers] == ["wild", "hpa-5", "hpa-4"] and found.autoscaler_count == 7
    assert found.autoscalers[0].at_most_us == 2 * 900 * SECOND
    assert found.rollouts.changes == 0


def test_a_long_autoscaler_is_thinned_and_keeps_its_peak(tmp_path):
    loads = [100 * (k % 7) for k in range(3000)]
    loads[1234] = 99_000
    found = summary_of(tmp_path, rollouts=lives.autoscaler("hpa", loads, 10)).living.autoscalers[0]
    assert found.rows.height <= 240 and found.rows["load"].max() == 99_000


def test_a_thousand_rollouts_are_few_rows(tmp_path):
    run = make_run.make(tmp_path, stories.many_lives())
    summary = report.summarize(tmp_path, run)
    assert summary.headline["rollouts_finished"] == 1000 and summary.headline["rollouts_unfinished"] == 0
    assert (summary.living.rollouts.rows.height, len(summary.living.rollouts.courses)) == (40, 4)
    assert summary.living.startup.steps.height == startup.STEPS
    assert summary.living.startup.steps["total_us"].sum() == sum((10 + k % 5) * 300_000 + k for k in range(60))
    (table,) = [figure.table(summary) for figure in all_figures() if figure.name == "rollouts"]
    assert table.note == "40 of 1,000."


def test_quantiles_of_a_histogram_by_hand():
    counts = np.array([0, 0, 10, 0, 10])  # from 2 to 4 ms, and from 8 to 16 ms
    assert startup.quantile(counts, 0.5) == pytest.approx(2000 * 2**0.95)
    assert startup.quantile(counts, 0.55) == pytest.approx(8000 * 2**0.05)
    assert startup.quantile(counts, 1.0) == pytest.approx(8000 * 2**0.95)
    assert startup.quantile(np.array([4]), 0.5) == pytest.approx(375)
    assert startup.quantile(np.array([0, 0]), 0.5) == 0


bars = st.lists(st.integers(0, 40), min_size=1, max_size=14).filter(any).map(np.array)


@given(counts=bars, share=st.sampled_from([0.5, 0.9, 0.99, 1.0]))
@settings(max_examples=100, deadline=None)
def test_quantiles_are_those_of_pods_laid_out_one_by_one(counts, share):
    pods = []
    for bar, count in enumerate(counts):
        for k in range(count):
            place = (k + 0.5) / count
            pods.append(1000 * place if bar == 0 else 1000 * 2 ** (bar - 1) * 2**place)
    rank = max(-(-int(counts.sum()) * round(100 * share) // 100), 1)
    assert startup.quantile(counts, share) == pytest.approx(pods[rank - 1])


@given(counts=bars)
@settings(max_examples=50, deadline=None)
def test_the_whole_of_one_step_is_that_step(counts):
    counts = 50 * counts  # so that a pod is little of a bar
    whole = startup.whole_quantile([counts], int(counts.sum()), 0.9)
    ranks = [startup.quantile(counts, share) for share in (0.88, 0.92)]
    assert ranks[0] * 0.95 - 70 <= whole <= ranks[1] * 1.08 + 70


def test_the_whole_of_two_steps_by_hand():
    # Half of the pods skip the second step: 1 in 4 of those that take it is slow, 1 in 8 of all.
    first, second = np.array([0] * 5 + [80]), np.array([0] * 8 + [30, 0, 0, 0, 10])
    assert 128_000 < startup.whole_quantile([first, second], 80, 0.8) < 290_000
    assert startup.whole_quantile([first, second], 80, 0.9) > 2_000_000


places = st.lists(st.tuples(st.floats(0, 600), st.integers(1, 2000)), max_size=60)


@given(placed=places, wide=st.sampled_from([290.0, 690.0]))
@settings(max_examples=100, deadline=None)
def test_numbers_of_actions_do_not_touch(placed, wide):
    placed = [(x, number) for x, number in placed if x <= wide]
    groups = marks.grouped(placed, wide)
    assert sorted(n for *_, numbers in groups for n in numbers) == sorted(number for _, number in placed)
    halves = [(middle, marks.LETTER * len(marks.span(numbers)) / 2) for _, middle, numbers in groups]
    assert all(a + half < b - other for (a, half), (b, other) in itertools.pairwise(halves))
    assert all(middle + half <= wide + 12 + 1e-9 for middle, half in halves)
    assert [x for x, *_ in groups] == sorted(x for x, *_ in groups)


def test_actions_are_on_the_figures_over_time(lived):
    summary, folder = lived
    for name in ("demand", "autoscaling"):
        assert ">2–4</text>" in (folder / "figures" / f"{name}.svg").read_text("utf-8")
    assert ">3</text>" in (folder / "figures" / "rollouts.svg").read_text("utf-8")
    assert summary.living.actions["time_us"].to_list()[0] == HOUR
    assert isinstance(summary.living.actions, pl.DataFrame)


def test_programming_by_hand(tmp_path):
    summary = summary_of(tmp_path, **lives.programmed(20))
    found = summary.living.programming
    assert (found.mode, found.nodes, found.changes, found.measured) == ("iptables", 3, 4, 2)
    # 2, 4 and 18 s.
    assert [found.quantile_us(share) for share in (0.5, 0.99, 1.0)] == [4 * SECOND, 18 * SECOND, 18 * SECOND]
    assert found.within == 1.0
    assert found.services.rows() == [("default", f"web{part}", 2, 2 * part, 4e6, 18e6, 18 * SECOND) for part in (0, 1)]
    horizon = summary.run.horizon_us
    assert (found.cores, found.most_cores) == pytest.approx((50 * SECOND / horizon, 60 * SECOND / horizon))
    assert found.over_time["cores"][1] == pytest.approx(30 / 3 / 1000)
    assert summary.headline["programming_p99_seconds"] == summary.headline["programming_longest_seconds"] == 18
    assert ("programming", "p50/p99/longest 4s/18s/18s; iptables, 4 changes") in living.lines(summary.living)
    (figure,) = (one for one in all_figures() if one.name == "programming")
    assert figure.finding(summary).startswith("4 changes of Services: 99 of 100 were in a node's rules within 18s")
    assert [row[0] for row in figure.table(summary).rows] == ["default/web0", "default/web1"]


def test_what_is_over_the_limit_is_told(tmp_path):
    # 10, 20 and 90 s: the last of three is over 30 s.
    summary = summary_of(tmp_path, **lives.programmed(100))
    assert summary.living.programming.within == pytest.approx(2 / 3)
    (figure,) = (one for one in all_figures() if one.name == "programming")
    assert figure.table(summary).note.startswith("66.7 % of all within 30s. A node made 10 syncs on average, 1 of them")


def test_traffic_by_hand(tmp_path):
    summary = summary_of(tmp_path, **lives.travelled())
    found = summary.living.traffic
    assert (found.connections, found.astray) == (55_000, 55)
    assert found.wrong == {"refused": 100, "terminating": 20, "not_ready": 5, "gone": 30, "cut": 7}
    assert (found.stale_count, found.typical_us, found.longest_us) == (2, 400_000, 2 * SECOND)
    web, other = found.services.rows(named=True)
    # The step without an endpoint that served all through it says nothing of how even the load was.
    assert web["most_over_mean"] == pytest.approx((1.1 + 1.3 + 1.4 + 1.5) / 4)
    assert (web["jain"], web["longest_us"]) == (pytest.approx(0.99), 2 * SECOND)
    assert (other["service"], other["variation"], other["longest_us"]) == ("web2", pytest.approx(0.5), None)
    assert found.over_time["connections"].to_list() == [11_000] * 5 + [0]
    assert summary.headline["connections_astray"] == 55
    assert summary.headline["black_hole_longest_seconds"] == 2
    assert ("traffic", "55,000 new; 55 astray, 100 refused, 7 cut") in living.lines(summary.living)
    (figure,) = (one for one in all_figures() if one.name == "traffic")
    assert figure.finding(summary) == (
        "Of 55,000 connections 55 (0.1 %) went to pods that should get none, for up to 2s; "
        "100 (0.182 %) refused and 7 (< 0.1 %) cut off"
    )
    assert [row[0] for row in figure.table(summary).rows] == ["default/web", "default/web2"]


def test_traffic_without_anything_wrong(tmp_path):
    rows = {"traffic": [row for row in lives.travelled()["traffic"] if row[2] == "web2"]}
    summary = summary_of(tmp_path, **rows)
    (figure,) = (one for one in all_figures() if one.name == "traffic")
    assert figure.finding(summary) == "Of 5,000 connections none went to pods that should get none"
    assert summary.headline["black_hole_longest_seconds"] is None
    for wide in (True, False):
        assert figure.draw(summary, wide)
    assert figure.table(summary).note == "0 pods stayed in rules too long."
