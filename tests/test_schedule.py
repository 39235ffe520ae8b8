"""Schedule: the command that repeats a plan, notes, and what is left behind when something goes wrong."""

from __future__ import annotations

import json
import shlex
import tempfile
from pathlib import Path

import pytest

from kscale import report, schedule
from kscale.errors import InputError, MachineError
from kscale.schedule import Plan, notes_of, stand
from kscale.state.manifests import take_inventory
from kscale.writing import Stages, configuration_notes
from tests.state.manifests.making import node, pod, thing


def write(path: Path, *objects: object) -> str:
    path.write_text(json.dumps({"kind": "List", "items": objects}))
    return str(path)


def test_the_command_repeats_every_option() -> None:
    plan = Plan(("a b.json", "-"), Path("c.yaml"), "given", Path("out"), 1 << 20)
    words = [
        "kscale",
        "schedule",
        "-f",
        "a b.json",
        "-f",
        "-",
        "--config",
        "c.yaml",
        "--order",
        "given",
        "--out",
        "out",
    ]
    assert shlex.split(plan.command()) == [*words, "--max-input", str(1 << 20)]
    assert Plan(("x",)).command() == "kscale schedule -f x"
    assert Plan(("x",), order="none", out=Path("o")).command() == "kscale report -f x --out o"
    assert plan.options().keys() == vars(plan).keys()
    assert json.loads(json.dumps(plan.options())) == plan.options()


def test_notes_tell_what_was_ignored_and_how_often(tmp_path: Path) -> None:
    things = [thing("ConfigMap", f"c{i}", meta={"namespace": "default"}) for i in range(3)]
    lost = {**pod("lost", nodeName="away"), "status": {"phase": "Running"}}
    notes = notes_of(take_inventory([write(tmp_path / "a.json", node("n1"), pod("a"), lost, *things)]))
    assert any(note.startswith("1 pods are left out") for note in notes)
    assert any("ConfigMap" in note and note.endswith("(3)") for note in notes)
    assert configuration_notes(None) == ["scores all nodes: the configuration does not set percentageOfNodesToScore"]


def test_stages_tell_which_form_ran(tmp_path: Path) -> None:
    stages = Stages()
    placed = schedule.schedule(Plan((write(tmp_path / "a.json", node("n1"), pod("a")),)), stages)
    assert [one.status for one in placed.outcomes] == ["scheduled"]
    assert "compose" in stages.seconds and "compile" not in stages.seconds
    assert placed.run is None and placed.seconds == stages.seconds["simulate"]


def test_progress_is_told(tmp_path: Path) -> None:
    told: list[tuple[int, int, int]] = []
    plan = Plan((write(tmp_path / "a.json", node("n1"), pod("a"), pod("b")),), order="given")
    schedule.schedule(plan, progress=lambda *numbers: told.append(numbers))
    assert told == sorted(told) and told[-1][2] == 2


def test_a_dump_leaves_no_folder_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    plan = Plan((write(tmp_path / "a.json", node("n1"), pod("a")),))
    placed = stand(plan)
    assert placed.outcomes == [] and placed.page == "" and placed.summary.arrived == 1
    assert not list(scratch.iterdir())

    def refuse(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(report, "write", refuse)
    with pytest.raises(MachineError, match="No space left"):
        stand(plan, page=True)
    with pytest.raises(MachineError, match="No space left"):
        schedule.schedule(Plan(plan.objects, out=tmp_path / "new" / "run"))
    assert not list(scratch.iterdir()) and not (tmp_path / "new").exists()


def test_wrong_input_leaves_an_older_run_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "write", lambda folder, run, summary: {})
    out = tmp_path / "run"
    good = write(tmp_path / "a.json", node("n1"), pod("a"))
    schedule.schedule(Plan((good,), out=out))
    before = (out / "run.json").read_bytes()
    with pytest.raises(InputError, match="is there twice"):
        schedule.schedule(Plan((good, good), out=out))
    assert (out / "run.json").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "run"]
