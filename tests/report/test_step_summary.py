"""The step summary of a CI job: what each command appends, escaped, and never more than a mebibyte."""

from __future__ import annotations

import shutil

import pytest

from kscale import __main__ as door
from kscale.cli import step_summary
from kscale.engine import runfolder

MEBIBYTE = 1 << 20


@pytest.fixture
def step(tmp_path, monkeypatch):
    file = tmp_path / "step.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(file))
    return file


def other(folder, out):
    """A copy of a run folder with another seed and fingerprint."""
    shutil.copytree(folder, out)
    run = runfolder.load(out)
    run.seed, run.fingerprint = run.seed + 1, "0" * 64
    runfolder.seal(out, run)
    return out


def test_two_runs_are_told(folders, tmp_path, step):
    run, second = folders["busy"], other(folders["fits"], tmp_path / "second")
    assert door.run(["compare", str(run), str(run), "-o", "json"]) == 0
    prints = runfolder.load(run).fingerprint
    words = step.read_text()
    assert words.startswith("### two runs\n\nThe runs are the same: fingerprint " + prints[:16] + ".\n\n### numbers\n")
    assert "### inputs that differ" not in words and "### first difference" not in words
    step.unlink()
    assert door.run(["compare", str(run), str(second)]) == 0
    words = step.read_text()
    assert "The runs are not the same." in words
    titles = [line for line in words.splitlines() if line.startswith("#")]
    assert titles == ["### two runs", "### inputs that differ", "### numbers", "### first difference"]
    seed = runfolder.load(run).seed
    assert f"\n| seed | {seed} | {seed + 1} |\n" in words


def test_names_of_two_runs_are_no_marks(folders, tmp_path, step):
    second = other(folders["hostile"], tmp_path / "second")
    assert door.run(["compare", str(folders["busy"]), str(second)]) == 0
    assert door.run(["compare", str(second), str(folders["busy"])]) == 0
    words = step.read_text()
    assert "onerror=alert" in words
    assert "<" not in words and all(line == "" or line[0] in "#|T" for line in words.splitlines())


@pytest.mark.parametrize("limit", [0, 1_000_000])
def test_a_report_that_is_held_to_a_budget_is_told(folders, tmp_path, step, limit):
    run, file = tmp_path / "run", tmp_path / "budget.yaml"
    shutil.copytree(folders["busy"], run)
    file.write_text(f"nodes: {{max: {limit}}}\n")
    assert door.run(["report", str(run)]) == 0
    assert not step.exists()
    assert door.run(["report", str(run), "--budget", str(file)]) == int(limit == 0)
    words = step.read_text(encoding="utf-8")
    assert words.startswith("# Capacity report\n") and "## Key figures" in words and "Budget: nodes" in words
    assert ("The budget is broken" in words) == (limit == 0) and "figures/" not in words
    page = (run / "report.md").read_text(encoding="utf-8")
    assert page.startswith(words)


def test_a_replay_that_is_held_to_a_budget_is_told(tmp_path, step):
    trace, file, out = tmp_path / "trace.csv", tmp_path / "budget.yaml", tmp_path / "run"
    trace.write_text("name,arrival,duration,cpu\na,0,10,1\nb,1,10,9\n")
    file.write_text("unplaced_pods: {max: 0}\n")
    words = ["replay", str(trace), "--nodes", "4cpu,8Gi:1", "--out", str(out), "-q"]
    assert door.run(words) == 0
    assert not step.exists()
    assert door.run([*words, "--budget", str(file)]) == 1
    told = step.read_text(encoding="utf-8")
    assert (out / "report.md").read_text(encoding="utf-8").startswith(told) and "The budget is broken" in told


@pytest.mark.parametrize("command", ["check", "compare", "report"])
def test_a_step_summary_that_is_nearly_full_stays_below_a_mebibyte(folders, tmp_path, step, command):
    run, file = tmp_path / "run", tmp_path / "budget.yaml"
    shutil.copytree(folders["busy"], run)
    file.write_text("nodes: {min: 0}\n")
    step.write_text("x" * (MEBIBYTE - 100))
    words = {"compare": [str(run)], "check": ["--budget", str(file)], "report": ["--budget", str(file)]}[command]
    assert door.run([command, str(run), *words]) == 0
    assert MEBIBYTE - 100 < step.stat().st_size <= MEBIBYTE
    assert step.read_text(encoding="utf-8").endswith("may hold 1 MiB.*\n")


def test_a_step_summary_is_cut_to_what_is_left(tmp_path, capsys):
    file, row = tmp_path / "step.md", "| é | 1 |\n"
    step_summary.append(file, row * 20, limit=400)
    assert file.read_text(encoding="utf-8") == row * 20
    step_summary.append(file, row * 30, limit=400)
    written = file.read_text(encoding="utf-8")
    assert 340 < len(written.encode()) <= 400
    assert written.endswith("Cut here: a step summary may hold 1 MiB.*\n")
    assert set(written.splitlines()[:-2]) == {row.strip()}
    step_summary.append(file, row * 30, limit=400)
    assert file.read_text(encoding="utf-8") == written
    assert "full" in capsys.readouterr().err
