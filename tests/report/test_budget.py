"""Budgets: what is read, what is refused in one line, what is held, and what the command ends with."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kscale import __main__ as door
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
}


@pytest.mark.parametrize("text", WRONG)
def test_a_wrong_budget_is_told_in_one_line(tmp_path, text):
    file = tmp_path / "budget.yaml"
    file.write_text(text)
    with pytest.raises(InputError, match=WRONG[text]) as caught:
        budget.read(file, KNOWN)
    assert "\n" not in str(caught.value)


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


def test_a_ratio_of_times_needs_a_second_run(folders, tmp_path, capsys):
    file = tmp_path / "budget.yaml"
    file.write_text("run_time_ratio: {max: 1}\n")
    assert door.run(["check", str(next(iter(folders.values()))), "--budget", str(file)]) == 2
    assert "--against RUN" in capsys.readouterr().err
