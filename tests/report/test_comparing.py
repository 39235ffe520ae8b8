"""Two runs side by side."""

from __future__ import annotations

import json
import shutil

import polars as pl
import pytest

from kscale import __main__ as door
from kscale.engine import runfolder
from kscale.report import comparing_page
from tests.report.test_page import ALLOWED, Reader


def test_a_run_is_the_same_as_itself(folders, capsys):
    run = str(next(iter(folders.values())))
    assert door.run(["compare", run, run]) == 0
    assert "the runs are the same: fingerprint" in capsys.readouterr().out
    assert door.run(["compare", run, run, "-o", "json"]) == 0
    tables = json.loads(capsys.readouterr().out)
    assert tables["inputs that differ"] == tables["first difference"] == []
    assert all(row["difference"] in (0, None) for row in tables["numbers"])


def test_the_first_decision_that_differs_is_found(folders, tmp_path, capsys):
    run, other = next(iter(folders.values())), tmp_path / "other"
    shutil.copytree(run, other)
    pods = pl.read_parquet(other / "pods.parquet").with_row_index("row")
    bound = pods.filter(pl.col("bound_us").is_not_null()).sort("bound_us", "decision")
    moved = bound.row(bound.height // 2, named=True)
    later = bound.row(-1, named=True)
    node = pl.when(pl.col("row").is_in([moved["row"], later["row"]])).then(pl.lit("else<b>")).otherwise("node")
    pods.with_columns(node.alias("node")).drop("row").write_parquet(other / "pods.parquet")
    head = runfolder.load(run)
    head.fingerprint, head.seed = "0" * 16, head.seed + 1
    runfolder.seal(other, head)
    assert door.run(["compare", str(run), str(other), "-o", "json"]) == 0
    tables = json.loads(capsys.readouterr().out)
    assert [row["what"] for row in tables["inputs that differ"]] == ["seed"]
    first = {row["what"]: (row["first"], row["second"]) for row in tables["first difference"]}
    assert first["node"] == (moved["node"], "else<b>")
    assert first["pod"][0].endswith(moved["name"])


def test_an_altered_folder_is_refused(folders, tmp_path, capsys):
    run, other = next(iter(folders.values())), tmp_path / "other"
    shutil.copytree(run, other)
    (other / "report.md").write_text("altered")
    assert door.run(["compare", str(run), str(other)]) == 2
    assert "was altered after the run" in capsys.readouterr().err


def changed(folder, out):
    """Return a copy of a run folder with another fingerprint; all fabricated runs have the same."""
    shutil.copytree(folder, out)
    run = runfolder.load(out)
    run.fingerprint = "0" * 64
    runfolder.seal(out, run)
    return out


@pytest.mark.parametrize("form", ["json", "yaml", "csv", "markdown"])
def test_equal_runs_are_told_by_fingerprint_in_every_form(folders, form, tmp_path, capsys):
    run, other = str(folders["busy"]), str(changed(folders["fits"], tmp_path / "other"))
    prints = runfolder.load(folders["busy"]).fingerprint, "0" * 64
    equal = {"json": '"equal": {}', "yaml": '"equal": {}', "csv": "\n{},", "markdown": "| {} |"}[form]
    word = (lambda value: str(value)) if form == "markdown" else (lambda value: str(value).lower())
    assert door.run(["compare", run, run, "-o", form]) == 0
    out = capsys.readouterr().out
    assert equal.format(word(True)) in out and out.count(prints[0]) == 2
    assert door.run(["compare", run, other, "-o", form]) == 0
    out = capsys.readouterr().out
    assert equal.format(word(False)) in out and prints[0] in out and prints[1] in out


def test_a_page_of_two_runs_holds_both_and_stands_alone(folders, tmp_path):
    other, out = tmp_path / "<img src=x onerror=alert(1)>", tmp_path / "compare.html"
    changed(folders["hostile"], other)
    assert door.run(["compare", str(folders["busy"]), str(other), "--out", str(out)]) == 0
    reader = Reader()
    reader.feed(out.read_text(encoding="utf-8"))
    words = "".join(reader.words)
    assert reader.tags <= ALLOWED and not [k for k, _ in reader.attributes if k.startswith("on")]
    assert all(v.startswith(("#", "data:")) for k, v in reader.attributes if k in ("href", "src", "xlink:href"))
    assert other.name in words and "The runs are not the same" in words and "The first decision that differs" in words
    assert list(tmp_path.glob("*.partial-*")) == []


def test_a_page_of_equal_runs_says_so(folders, tmp_path):
    run, out = str(folders["busy"]), tmp_path / "compare.html"
    assert door.run(["compare", run, run, "--out", str(out)]) == 0
    words = out.read_text(encoding="utf-8")
    assert "The runs are the same" in words and "No pod was decided otherwise." in words


def test_both_panels_of_a_figure_have_the_same_axes(summaries):
    both = (summaries["busy"], summaries["fits"])
    panels = comparing_page._panels(both)
    assert [panel.title for panel in panels][-2:] == ["Running pods", "Waiting pods"]
    for panel in panels:
        for wide in (True, False):
            first, second = comparing_page._draw(panel, both[0].supply.axis, wide).axes
            assert first.get_xlim() == second.get_xlim() and first.get_ylim() == second.get_ylim()
            top = first.get_ylim()[1]
            assert all(y.max() <= top for _, y in panel.lines)


def test_a_page_inside_a_run_folder_is_refused(folders, capsys):
    run = folders["busy"]
    assert door.run(["compare", str(run), str(run), "--out", str(run / "report.html")]) == 2
    assert "is inside a run folder" in capsys.readouterr().err
    runfolder.load(run)
