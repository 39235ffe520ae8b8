"""A run folder while its run goes on: marked, locked, and left to the next run when its own was killed."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from kscale.engine.incomplete import INCOMPLETE_FILE
from kscale.engine.runfolder import RUN_FILE, create, load
from kscale.errors import InputError

#: A run that has begun to write, tells so, and goes on until its standard input is closed.
WRITER = """
import sys
from pathlib import Path
from kscale.engine.runfolder import create
with create(Path(sys.argv[1]), "kscale replay x") as folder:
    (folder / "pods.parquet").write_text("half")
    print("begun", flush=True)
    sys.stdin.read()
    (folder / "run.json").write_text("whole")
"""


@contextmanager
def other_run(out: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", WRITER, str(out)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "begun\n"
        try:
            yield running
        finally:
            running.kill()


def killed(out: Path) -> None:
    with other_run(out) as running:
        running.kill()
        running.wait()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def write(out: Path) -> None:
    with create(out) as folder:
        (folder / RUN_FILE).write_text("new")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "run"


def test_the_mark_says_who_writes(out: Path) -> None:
    with create(out, "kscale replay a b") as folder:
        mark = json.loads((out / INCOMPLETE_FILE).read_bytes())
        assert mark.pop("started").endswith("+00:00")
        assert mark == {"command": "kscale replay a b", "pid": os.getpid(), "aside": folder.parent.name}
        with pytest.raises(InputError, match=f"run: is incomplete: its run, begun 20.* as process {os.getpid()}, goes"):
            load(out)
    assert not (out / INCOMPLETE_FILE).exists()


@pytest.mark.parametrize("fault", [ValueError("x"), KeyboardInterrupt(), SystemExit(1)])
def test_a_fault_takes_the_mark_away(out: Path, fault: BaseException) -> None:
    with pytest.raises(type(fault)), create(out):
        assert names(out) == [INCOMPLETE_FILE]
        raise fault
    assert names(out.parent) == []


def test_a_fault_leaves_an_empty_folder_empty(out: Path) -> None:
    out.mkdir()
    with pytest.raises(ValueError, match="x"), create(out):
        assert names(out) == [INCOMPLETE_FILE]
        raise ValueError("x")
    assert names(out.parent) == ["run"] and names(out) == []


def test_a_killed_run_is_told_and_the_next_has_its_name(out: Path) -> None:
    killed(out)
    assert names(out) == [INCOMPLETE_FILE]
    with pytest.raises(InputError, match=r"run: is incomplete: its run, begun .* was killed; expected") as found:
        load(out)
    assert found.value.exit_code == 2
    write(out)
    assert names(out.parent) == ["run"] and names(out) == [RUN_FILE]


def test_a_fault_after_a_killed_run_leaves_nothing(out: Path) -> None:
    killed(out)
    with pytest.raises(ValueError, match="x"), create(out):
        assert json.loads((out / INCOMPLETE_FILE).read_bytes())["pid"] == os.getpid()
        raise ValueError("x")
    assert names(out.parent) == []


def test_a_killed_run_leaves_an_older_one_whole(out: Path) -> None:
    write(out)
    killed(out)
    assert names(out) == [RUN_FILE] and (out / RUN_FILE).read_text() == "new"


def test_what_is_more_than_a_killed_run_left_stays(out: Path) -> None:
    killed(out)
    (out / "thesis.txt").write_text("x")
    with pytest.raises(InputError, match="is there already and is not a run folder"), create(out):
        pytest.fail("the block must not run")
    assert names(out) == [INCOMPLETE_FILE, "thesis.txt"]


@pytest.mark.parametrize("before", ["nothing", "empty", "whole", "killed"])
def test_a_second_run_is_refused_until_the_first_ends(out: Path, before: str) -> None:
    if before == "empty":
        out.mkdir()
    elif before == "whole":
        write(out)
    elif before == "killed":
        killed(out)
    with other_run(out) as running:
        held = names(out)
        who = "" if before == "whole" else rf" \(process {running.pid}, begun 20.*\)"
        with (
            pytest.raises(InputError, match=f"run, field '--out': is being written by another run{who}; exp"),
            create(out),
        ):
            pytest.fail("the block must not run")
        assert names(out) == held
        assert len(names(out.parent)) == 2
        running.communicate()
        assert running.returncode == 0
    assert names(out.parent) == ["run"] and (out / RUN_FILE).read_text() == "whole"
    write(out)
    assert (out / RUN_FILE).read_text() == "new"


def test_the_slower_of_two_that_begin_at_once_is_told(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rename = Path.rename

    def late(self: Path, target: Path) -> Path:
        monkeypatch.undo()
        target.mkdir()
        (target / INCOMPLETE_FILE).write_text("{")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", late)
    with pytest.raises(InputError, match="is being written by another run; expected"), create(out):
        pytest.fail("the block must not run")
    assert names(out.parent) == ["run"] and (out / INCOMPLETE_FILE).read_text() == "{"


def test_a_run_that_ends_while_the_next_looks_is_not_mixed_up(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(out)
    flock = fcntl.flock

    def late(lock: int, how: int) -> None:
        monkeypatch.undo()
        write(out)
        flock(lock, how)

    monkeypatch.setattr(fcntl, "flock", late)
    with pytest.raises(InputError, match="is being written by another run"), create(out):
        pytest.fail("the block must not run")
    assert names(out.parent) == ["run"] and names(out) == [RUN_FILE]


def test_a_file_system_without_locks_is_no_fault(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*arguments: Any) -> None:
        raise OSError(errno.EBADF, "Bad file descriptor")

    monkeypatch.setattr(fcntl, "flock", refused)
    write(out)
    write(out)
    assert names(out.parent) == ["run"] and names(out) == [RUN_FILE]


@pytest.mark.parametrize("aside", ["../mine", "mine", "run.partial-../../mine", "run.partial-abc", "/mine"])
def test_a_mark_removes_nothing_but_what_a_run_wrote(out: Path, aside: str) -> None:
    killed(out)
    path = out / INCOMPLETE_FILE
    path.write_text(json.dumps(json.loads(path.read_bytes()) | {"aside": aside}))
    for name in ("mine", "run.partial-abc"):
        (out.parent / name).mkdir()
        (out.parent / name / "thesis.txt").write_text("x")
    write(out)
    assert all(names(out.parent / name) == ["thesis.txt"] for name in ("mine", "run.partial-abc"))


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"\xff", b'{"pid": "x"}'])
def test_a_damaged_mark_is_still_a_mark(out: Path, raw: bytes) -> None:
    out.mkdir()
    (out / INCOMPLETE_FILE).write_bytes(raw)
    with pytest.raises(InputError, match="run: is incomplete: its run goes on or was killed"):
        load(out)
    write(out)
    assert names(out.parent) == ["run"] and names(out) == [RUN_FILE]
