"""Budgets: what is read, what is refused in one line, what is held, and what the command ends with."""

from __future__ import annotations

import json
import shutil
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale import __main__ as door
from kscale.engine import runfolder
from kscale.errors import InputError
from kscale.report import budget, metrics
from tests.report import stories

KNOWN = {"unplaced_pods": 3, "wait_p99_seconds": None, "peak_cpu_percent": 97.0, "pods_placed": 0}
WRONG = {
    "unplaced_pod: {max: 0}": "did you mean 'unplaced_pods'",
    "peak_gpu_percent: {max: 1}": "did you mean 'peak_cpu_percent'",
    "unplaced_pods: 3": "is no limit",
    "unplaced_pods: {}": "is no limit",
    "unplaced_pods: {maxi: 3}": "did you mean 'max'",
    "unplaced_pods: {max: .nan}": "is no number",
    "unplaced_pods: {max: true}": "is no number",
    "unplaced_pods: {max: '1'}": "is no number",
    "unplaced_pods: {max: 1, min: 2}": "is above max",
    "unplaced_pods: {max: 0x1" + "0" * 5000 + "}": "is no number",
    "1: {max: 1}": "is no text",
    "[1]": "is no map",
    "": "is no map",
    "a: [": "is no YAML",
    "a: &x 1\nb: *x": "alias",
    "? [1]\n: 2": "is no YAML",
    "unplaced_pods: {max: 0}\nunplaced_pods: {max: 9}": "'unplaced_pods' is given twice, again in line 2",
    "unplaced_pods: {max: 0, max: 9}": "'max' is given twice",
    "[" * 100_000: "is no YAML",
}


@pytest.mark.parametrize("text", WRONG)
def test_a_wrong_budget_is_told_in_one_line(tmp_path, text):
    file = tmp_path / "budget.yaml"
    file.write_text(text)
    with pytest.raises(InputError, match=WRONG[text]) as caught:
        budget.read(file, KNOWN)
    assert "\n" not in str(caught.value)


@settings(deadline=None)
@given(st.one_of(st.binary(max_size=60), st.text("unplaced_pods: {max.0-[]&*!?'\n}", max_size=60).map(str.encode)))
def test_no_budget_makes_a_traceback(tmp_path_factory, data):
    file = tmp_path_factory.getbasetemp() / "mutated.yaml"
    file.write_bytes(data)
    try:
        assert budget.read(file, KNOWN)
    except InputError as error:
        assert "\n" not in str(error)


def test_limits_are_held_or_broken():
    held = budget.hold({"unplaced_pods": {"max": 3, "min": 4}, "wait_p99_seconds": {"max": 9}}, KNOWN)
    assert {(h.metric, h.side): (h.margin, h.good) for h in held} == {
        ("unplaced_pods", "max"): (0, True),
        ("unplaced_pods", "min"): (-1, False),
        ("wait_p99_seconds", "max"): (None, False),
    }


def test_every_headline_number_is_in_the_registry(summaries):
    for summary in summaries.values():
        assert [name for name in summary.headline if metrics.find(name) is None] == []


@pytest.mark.parametrize("story", stories.ALL)
def test_a_run_holds_the_budget_written_from_it(folders, story, tmp_path, capsys, monkeypatch):
    file, step, junit = tmp_path / "budget.yaml", tmp_path / "step.md", tmp_path / "check.xml"
    run = str(folders[story])
    assert door.run(["check", run, "--budget", str(file), "--init"]) == 0
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(step))
    capsys.readouterr()
    assert door.run(["check", run, "--budget", str(file), "--junit", str(junit), "-o", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)["budget"]
    assert rows and all(row["result"] == "held" for row in rows)
    assert ET.parse(junit).getroot().get("failures") == "0"
    assert step.read_text().count("\n") == len(rows) + 4


def test_a_broken_budget_ends_with_1(folders, tmp_path, capsys):
    file, junit = tmp_path / "budget.yaml", tmp_path / "check.xml"
    file.write_text("nodes: {max: 0}\n")
    run = str(next(iter(folders.values())))
    assert door.run(["check", run, "--budget", str(file), "--junit", str(junit)]) == 1
    assert "broken" in capsys.readouterr().out
    assert ET.parse(junit).getroot().get("failures") == "1"


def with_timing(folder, out, **timing):
    """A copy of a run folder with other times."""
    shutil.copytree(folder, out)
    run = runfolder.load(out)
    run.timing = timing
    runfolder.seal(out, run)
    return out


def ratio(capsys, *words):
    """What a check says of ``run_time_ratio``: value and exit code."""
    code = door.run(["check", *map(str, words), "-o", "json"])
    (row,) = json.loads(capsys.readouterr().out)["budget"]
    assert row["metric"] == "run_time_ratio"
    return row["value"], code


def test_a_ratio_of_times_is_over_the_reference_or_over_a_second_run(folders, tmp_path, capsys):
    file = tmp_path / "budget.yaml"
    file.write_text("run_time_ratio: {max: 3}\n")
    fast = with_timing(folders["busy"], tmp_path / "fast", simulate=0.5, reference=0.25)
    slow = with_timing(folders["busy"], tmp_path / "slow", simulate=2.0, reference=0.25)
    assert ratio(capsys, fast, "--budget", file) == (2.0, 0)
    assert ratio(capsys, slow, "--budget", file) == (8.0, 1)
    assert ratio(capsys, slow, "--budget", file, "--against", fast) == (4.0, 1)
    assert ratio(capsys, fast, "--budget", file, "--against", slow) == (0.25, 0)


@pytest.mark.parametrize("timing", [{"simulate": 0.5}, {"reference": 0.5}, {"simulate": 0.5, "reference": 0.0}, {}])
def test_a_run_without_the_reference_breaks_a_limit_on_its_ratio(folders, tmp_path, capsys, timing):
    file = tmp_path / "budget.yaml"
    file.write_text("run_time_ratio: {max: 4}\n")
    assert ratio(capsys, with_timing(folders["busy"], tmp_path / "old", **timing), "--budget", file) == (None, 1)


def test_a_budget_from_a_run_has_no_speeds(folders, tmp_path):
    file = tmp_path / "budget.yaml"
    fast = with_timing(folders["busy"], tmp_path / "fast", simulate=0.5, reference=0.25, pods_per_second=7.0)
    assert door.run(["check", str(fast), "--budget", str(file), "--init"]) == 0
    assert "run_" not in file.read_text() and "unplaced_pods" in file.read_text()


def test_before_a_run_its_resources_are_not_known(tmp_path):
    file = tmp_path / "budget.yaml"
    file.write_text("peak_gpu_percent: {max: 1}\n")
    assert budget.read(file) == {"peak_gpu_percent": {"max": 1.0}}
    file.write_text("peak_gpu_percents: {max: 1}\n")
    with pytest.raises(InputError, match="unknown metric"):
        budget.read(file)


def test_limits_stand_among_the_checks_of_a_report(folders, tmp_path, capsys):
    run, file = tmp_path / "run", tmp_path / "budget.yaml"
    shutil.copytree(folders["busy"], run)
    nodes = runfolder.load(run).counts["nodes"]
    file.write_text(f"nodes: {{min: 1, max: {nodes - 1}}}\nwait_p99_seconds: {{max: 1.0e+9}}\n")
    assert door.run(["report", str(run), "--budget", str(file)]) == 1
    assert "The budget is broken: 1 of 3 limits (nodes)." in capsys.readouterr().out
    runfolder.load(run)
    for name in ("report.html", "report.md"):
        words = (run / name).read_text(encoding="utf-8").replace("\\", "")
        assert "The budget is broken: 1 of 3 limits (nodes)." in words
        assert words.count("Budget: nodes") == 2 and words.count("Budget: wait_p99_seconds") == 1
        assert (
            f"≤ {nodes - 1} nodes" in words
            and "−1 node" in words
            and "−1 nodes" not in words
            and f"+{nodes - 1} nodes" in words
        )
    file.write_text("nodes: {min: 1}\n")
    assert door.run(["report", str(run), "--budget", str(file), "-o", "markdown"]) == 0
    out = capsys.readouterr().out
    assert "The budget is held: 1 limit." in out and "broken" not in out
    assert list(run.glob("*.partial-*")) == []


def test_a_wrong_budget_leaves_the_report_as_it_is(folders, tmp_path, capsys):
    run, file = tmp_path / "run", tmp_path / "budget.yaml"
    shutil.copytree(folders["busy"], run)
    before = (run / "run.json").read_bytes()
    file.write_text("node: {max: 1}\n")
    assert door.run(["report", str(run), "--budget", str(file)]) == 2
    assert "did you mean 'nodes'" in capsys.readouterr().err
    assert (run / "run.json").read_bytes() == before


def test_a_number_that_a_run_lacks_is_a_broken_check():
    (check,) = budget.checks(budget.hold({"wait_p99_seconds": {"max": 9}}, KNOWN))
    assert (check.value, check.limit, check.margin, check.good) == ("not in this run", "≤ 9 s", "–", False)


@pytest.mark.parametrize(("value", "words"), [(0.00012, "0.00012 %"), (97.0404, "97.04 %"), (1234567, "1,234,567 %")])
def test_values_are_told_apart_from_limits_nearby(value, words):
    (check,) = budget.checks([budget.Held("peak_cpu_percent", "max", 1e9, value, "%")])
    assert check.value == words


TRACE = "name,arrival,duration,cpu\na,0,10,1\nb,1,10,1\nc,2,10,9\n"


@pytest.mark.parametrize(("limit", "code"), [(0, 1), (1, 0)])
def test_a_replay_ends_with_1_when_a_limit_is_broken(tmp_path, capsys, limit, code):
    trace, file, out = tmp_path / "trace.csv", tmp_path / "budget.yaml", tmp_path / "run"
    trace.write_text(TRACE)
    file.write_text(f"unplaced_pods: {{max: {limit}}}\nrun_time_ratio: {{max: 1.0e+9}}\n")
    words = ["replay", str(trace), "--nodes", "4cpu,8Gi:1", "--out", str(out), "--budget", str(file), "-q"]
    assert door.run(words) == code
    assert ("The budget is broken" in capsys.readouterr().out) == bool(code)
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "Budget: unplaced_pods" in page
    assert "Budget: run_time_ratio" in page
    run = runfolder.load(out)
    assert 0 < run.timing["reference"] < 1
    assert budget.time_ratio(run) == run.timing["simulate"] / run.timing["reference"]
    assert f"--budget {file}" in run.command and "budget" in [one.role for one in run.inputs]


def test_a_replay_refuses_a_wrong_budget_before_it_runs(tmp_path, capsys):
    trace, file, out = tmp_path / "trace.csv", tmp_path / "budget.yaml", tmp_path / "run"
    trace.write_text(TRACE)
    file.write_text("unplaced_pods: 3\n")
    assert door.run(["replay", str(trace), "--nodes", "4cpu,8Gi:1", "--out", str(out), "--budget", str(file)]) == 2
    assert "is no limit" in capsys.readouterr().err
    assert not out.exists()
