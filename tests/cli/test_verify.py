"""``kscale verify``: what it prints, what it ends with, and wrong input."""

from __future__ import annotations

import copy
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from kscale.verify import COUNTS
from tests.cli.conftest import Cli
from tests.test_verify import RECORDING, VOLUMES, flip_raw


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    for family, recording in (("preemption", RECORDING), ("volumes", VOLUMES)):
        (tmp_path / "all" / family).mkdir(parents=True)
        (tmp_path / "all" / family / "1.json.gz").write_bytes(gzip.compress(json.dumps(recording).encode()))
    return tmp_path / "all"


def data(cli: Cli, *words: object, code: int = 0) -> Any:
    done = cli("verify", *words, "-o", "json", "-q")
    assert done.code == code, done.err
    return json.loads(done.out)


def test_recordings_that_agree(cli: Cli, recordings: Path) -> None:
    found = data(cli, "all")
    assert list(found) == ["families", "total", "agrees", "first_difference"]
    assert list(found["families"]) == ["preemption", "volumes"]
    assert found["agrees"] is True and found["first_difference"] is None
    assert list(found["total"]) == ["files", "pods", "found", *COUNTS]
    for name in COUNTS:
        counts = [found["families"][family][name] for family in found["families"]]
        assert found["total"][name] == {
            key: sum(one[key] for one in counts) for key in ("compared", "equal")
        }  # fmt: skip
        assert found["total"][name]["compared"] == found["total"][name]["equal"]
    assert found["total"]["pods"] == 32
    one = cli("verify", "all/volumes/1.json.gz", "--engine", "scan")
    assert one.code == 0 and "1 recording, 20 pods, " in one.out and "all are equal" in one.out
    assert "by the class index" not in one.out
    placed = found["total"]["found"]
    assert placed > 0 and data(cli, "all", "--engine", "scan")["total"]["found"] == 0
    table = cli("verify", "all", "-q")
    assert f"{placed} pods placed by the class index, the others by the scan" in table.out
    assert table.code == 0 and table.err == ""
    assert max(map(len, table.out.splitlines())) <= 80
    assert "preemption" in table.out and "100%" in table.out and "2 recordings, 32 pods, " in table.out
    csv = cli("verify", "all", "-o", "csv").out
    assert csv.startswith("family,pods,node,status,filter,score,ties,victim\npreemption,12,100%")
    assert "| volumes | 20 | 100% |" in cli("verify", "all", "-o", "markdown").out


def test_a_difference_ends_with_1_and_is_told(cli: Cli, recordings: Path) -> None:
    recording = copy.deepcopy(RECORDING)
    flip_raw(recording)
    (recordings / "preemption" / "1.json.gz").write_bytes(gzip.compress(json.dumps(recording).encode()))
    done = cli("verify", "all", "-q")
    assert done.code == 1
    assert done.err.count("\n") == 1
    assert done.err.startswith("the first difference: preemption/1.json.gz, pod default/")
    assert "the recorded raw score of NodeResourcesFit is " in done.err
    assert "1 differ" in done.out and "100%" in done.out and "99." in done.out
    found = data(cli, "all", code=1)
    assert found["agrees"] is False and found["first_difference"] in done.err
    assert found["total"]["raw"]["compared"] - found["total"]["raw"]["equal"] == 1


def test_compact_recordings_tell_of_speed(cli: Cli, recordings: Path) -> None:
    recording = copy.deepcopy(VOLUMES)
    recording["result"]["compact"] = True
    (recordings / "volumes" / "1.json.gz").write_bytes(gzip.compress(json.dumps(recording).encode()))
    done = cli("verify", "all/volumes")
    assert done.code == 0 and "compact recordings: 20 pods decided at " in done.out


def test_wrong_input_is_one_line(cli: Cli, recordings: Path, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    for words, expected in (
        (("none",), "kscale: none: holds no recordings; expected files that end in .json or .json.gz"),
        (("nowhere",), "kscale: nowhere: does not exist; expected a recording, or a folder of them"),
        ((), "kscale: RECORDINGS is missing"),
        (("all", "--engine", "scam"), "kscale: field '--engine': there is no 'scam'; did you mean 'scan'"),
    ):
        done = cli("verify", *words, "-q")
        assert done.code == 2 and done.line.startswith(expected), done.line
    recording = copy.deepcopy(VOLUMES)
    recording["result"]["pods"][3]["filter"] = [0]
    (recordings / "volumes" / "1.json.gz").write_bytes(gzip.compress(json.dumps(recording).encode()))
    pod = recording["result"]["pods"][3]["pod"]
    assert cli("verify", "all", "-q").line.startswith(
        f"kscale: all/volumes/1.json.gz, pod {pod}, field 'filter': has 1 values; expected a status of each node: "
    )
    (recordings / "volumes" / "1.json.gz").write_bytes(b"\x1f\x8b broken")
    assert "cannot be read as gzip" in cli("verify", "all", "-q").line
