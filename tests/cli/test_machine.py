"""What the machine does to a command: interruptions, closed pipes, full disks, faults; and damage to a run folder."""

from __future__ import annotations

import errno
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from kscale import __version__, report, simulation
from kscale.engine import runfolder, scratch
from kscale.errors import InputError

KSCALE = (sys.executable, "-m", "kscale")
REPLAY = ("replay", "--quiet", "pods.csv", "--nodes", "nodes.csv", "--out", "run")


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@contextmanager
def disk_of(size: int) -> Iterator[None]:
    """No file may grow past ``size`` bytes: what a full disk is to a program."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)


@pytest.mark.compiled
@pytest.mark.parametrize("stage", ["loading the compiled loop", "simulating", "drawing the report"])
def test_an_interruption_ends_a_run_at_once_and_leaves_nothing(tmp_path, stage):
    shape = ("--pods", "400000", "--days", "30", "--load", "9") if stage == "simulating" else ("--pods", "300")
    made = (*KSCALE, "trace", "synth", "openb", "--nodes", "12", *shape)
    subprocess.run([*made, "--out", "p.parquet", "--nodes-out", "n.csv"], cwd=tmp_path, check=True, capture_output=True)
    before = files(tmp_path)
    impatient = (
        "from kscale.cli import progress; progress._STAGE_PATIENCE = 0; from kscale.__main__ import main; main()"
    )
    command = [sys.executable, "-c", impatient, "replay", "p.parquet", "--nodes", "n.csv", "--out", "deep/run"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr is not None and running.stdout is not None
        for line in running.stderr:
            if line.startswith(stage):
                break
        else:
            pytest.fail(f"the run was over before it told of '{stage}'")
        assert any("partial" in name for name in files(tmp_path))
        sent = time.monotonic()
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=60)
        took = time.monotonic() - sent
    assert running.returncode == 130, err
    assert err.endswith("kscale: interrupted; nothing half-written was left\n") and "Traceback" not in err
    assert out == "" and files(tmp_path) == before
    assert took < 2


def test_an_interruption_leaves_an_older_run_in_place(cli, play, world, monkeypatch):
    play()
    before = {name: (world / name).read_bytes() for name in files(world) if (world / name).is_file()}

    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    for module, name in ((simulation.Simulation, "run"), (report, "write"), (runfolder, "seal")):
        with monkeypatch.context() as patched:
            patched.setattr(module, name, interrupted)
            done = cli(*REPLAY)
        assert (done.code, done.line) == (130, "kscale: interrupted; nothing half-written was left")
        assert {name: (world / name).read_bytes() for name in files(world) if (world / name).is_file()} == before


@pytest.mark.parametrize("words", [("--help",), ("schema", "-o", "wide"), ("schema", "-o", "json"), ("report", "run")])
def test_a_closed_pipe_is_no_fault(play, world, words):
    play()
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([*KSCALE, *words], cwd=world, stdout=writer, stderr=subprocess.PIPE, text=True, timeout=60)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


def test_closed_output_is_no_fault(world):
    for shell in ("--version >&-", "schema >&-", "report absent 2>&-", "report absent >&- 2>&-"):
        line = f"{sys.executable} -m kscale {shell}"
        done = subprocess.run(["sh", "-c", line], cwd=world, capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stderr) == (2 if "absent" in shell else 0, "")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="the machine has no /dev/full")
def test_output_to_a_full_disk(world):
    for words in (("--help",), ("schema", "-o", "json"), ("schema",)):
        with open("/dev/full", "w") as full:
            done = subprocess.run(
                [*KSCALE, *words], cwd=world, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60
            )
        assert done.returncode == 4, done.stderr
        assert done.stderr.count("\n") == 1 and "No space left" in done.stderr


def test_a_full_disk_ends_a_run_and_leaves_nothing(cli, play, world):
    """The disk is full at the first table, at a figure, and at the page."""
    play()
    largest = (world / "run" / "report.html").stat().st_size
    sizes = sorted({path.stat().st_size for path in (world / "run").rglob("*") if path.is_file()})
    kept = (world / "run" / "run.json").read_bytes()
    before = files(world)
    for size in (0, 100, sizes[0], sizes[len(sizes) // 2], largest * 9 // 10):  # a page tells times: its length varies
        with disk_of(size):
            done = cli(*REPLAY)
        assert done.code == 4, (size, done.err)
        assert done.line.startswith("kscale: ")
        assert files(world) == before and (world / "run" / "run.json").read_bytes() == kept
        with disk_of(size):
            assert cli(*REPLAY[:-1], "new/run").code == 4
        assert files(world) == before


def test_a_full_disk_at_each_table(cli, play, world, monkeypatch):
    play()
    before, sink = files(world), pl.LazyFrame.sink_parquet
    for table in ("pods", "timeline", "nodes", "node_timeline", "templates", "events"):

        def full(frame: pl.LazyFrame, path: Any, table: str = table, **named: Any) -> Any:
            if isinstance(path, (str, Path)) and Path(path).stem == table:
                Path(path).write_bytes(b"PAR1 half")
                raise OSError(errno.ENOSPC, "No space left on device", str(path))
            return sink(frame, path, **named)

        with monkeypatch.context() as patched:
            patched.setattr(pl.LazyFrame, "sink_parquet", full)
            done = cli(*REPLAY[:-1], "other")
        assert done.code == 4 and "No space left on device" in done.line
        assert files(world) == before


@pytest.mark.parametrize("kept", ["told-", "events-keys-", "events-rows-", "events-texts-", "arrival_us"])
def test_a_full_disk_where_pods_wait_that_are_done(cli, play, world, monkeypatch, kept):
    play()
    subprocess.run(
        [*KSCALE, "trace", "convert", "pods.csv", "pods.parquet"], cwd=world, check=True, capture_output=True
    )
    before, path = files(world), scratch.Scratch.path

    def full(self: scratch.Scratch, name: str) -> Path:
        return Path("/dev/full") if name.startswith(kept) else path(self, name)

    monkeypatch.setattr(scratch, "HELD", 1)
    monkeypatch.setattr(scratch.Scratch, "path", full)
    done = cli(*(word.replace("pods.csv", "pods.parquet") for word in REPLAY[:-1]), "other")
    assert done.code == 4 and "No space left on device" in done.line
    assert files(world) == before


@pytest.mark.parametrize(
    "words",
    [
        ("trace", "synth", "borg", "--pods", "3000", "--out", "new.parquet"),
        ("trace", "synth", "borg", "--pods", "3000", "--out", "new.csv"),
        ("trace", "synth", "borg", "--pods", "3000", "--out", "new.csv.gz"),
        ("trace", "convert", "pods.csv", "new.parquet"),
        ("trace", "template", "new.csv"),
    ],
    ids=" ".join,
)
def test_a_full_disk_leaves_no_trace(cli, world, words):
    (world / words[-1]).write_text("older")
    before = files(world)
    with disk_of(300):
        done = cli(*words)
    assert done.code == 4, done.err
    assert done.line.startswith("kscale: ")
    assert files(world) == before and (world / words[-1]).read_text() == "older"


@pytest.mark.parametrize("refusal", [errno.EACCES, errno.EROFS, errno.ENOSPC, errno.EDQUOT])
def test_no_permission_for_the_folder(cli, world, monkeypatch, refusal):
    def refused(*arguments: object, **named: object) -> None:
        raise OSError(refusal, os.strerror(refusal))

    monkeypatch.setattr(tempfile, "mkdtemp", refused)
    before = files(world)
    done = cli(*REPLAY[:-1], "deep/run")
    assert (done.code, done.line) == (4, f"kscale: deep/run: {os.strerror(refusal)}")
    assert files(world) == before


@pytest.mark.parametrize(
    ("fault", "code", "said"),
    [
        (ZeroDivisionError("by\nzero \x1b"), 3, "internal fault: ZeroDivisionError: by\\nzero \\x1b; KSCALE_DEBUG=1"),
        (pl.exceptions.PanicException("x"), 3, "internal fault: PanicException: x; KSCALE_DEBUG=1"),
        (KeyError("x" * 5000), 3, "internal fault: KeyError: 'xxx"),
        (MemoryError(), 4, "out of memory"),
        (pl.exceptions.ComputeError("parquet: x (os error 122)"), 4, "run: Disk quota exceeded"),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_an_unexpected_fault_is_one_line(cli, world, monkeypatch, fault, code, said):
    def faulty(*arguments: object) -> None:
        raise fault

    monkeypatch.delenv("KSCALE_DEBUG", raising=False)
    monkeypatch.setattr(report, "summarize", faulty)
    before = files(world)
    done = cli(*REPLAY)
    assert done.code == code and len(done.line) < 700
    assert done.line.startswith(f"kscale: {said}")
    assert files(world) == before
    if code == 3:
        monkeypatch.setenv("KSCALE_DEBUG", "1")
        with pytest.raises(type(fault)):
            cli(*REPLAY)
        assert files(world) == before


def test_an_interruption_that_turned_into_a_fault_is_an_interruption(cli, world, monkeypatch):
    """One that comes inside a lock's own code ends as "release unlocked lock"."""

    def interrupted(*arguments: object) -> None:
        try:
            raise KeyboardInterrupt
        finally:
            threading.Lock().release()

    monkeypatch.setattr(report, "summarize", interrupted)
    before = files(world)
    done = cli(*REPLAY)
    assert (done.code, done.line) == (130, "kscale: interrupted; nothing half-written was left")
    assert files(world) == before


def test_a_violated_invariant_is_a_gate(cli, world, monkeypatch):
    monkeypatch.setattr(simulation, "violations", lambda cluster: ["node a: more requested than there is"])
    before = files(world)
    done = cli(*REPLAY, "--check")
    assert (done.code, files(world)) == (1, before)
    assert done.line == "kscale: an invariant does not hold at 0 us: node a: more requested than there is"
    assert cli(*REPLAY).code == 0


@pytest.mark.parametrize("words", [(), ("--help",), ("-h",), ("--version",)], ids=" ".join)
def test_help_and_version_import_nothing_heavy(words, tmp_path):
    heavy = ("numba", "llvmlite", "numpy", "polars", "matplotlib", "cyclopts", "rich", "msgspec")
    program = (
        "import sys\nfrom kscale.__main__ import run\n"
        f"code = run({list(words)!r})\nprint(*({heavy!r} & sys.modules.keys()), code, file=sys.stderr)"
    ).replace(repr(heavy), repr(set(heavy)))
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr.strip()) == (0, "0")
    assert done.stdout == f"kscale {__version__}\n" if "--version" in words else "Usage: kscale" in done.stdout


def flip(path: Path, place: int, bit: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 1 << bit
    path.write_bytes(data)


def test_a_flipped_bit_in_any_file_is_found(cli, play, world):
    play()
    whole = world / "run"
    assert cli("report", "run").code == 0
    names = sorted(str(path.relative_to(whole)) for path in whole.rglob("*") if path.is_file())
    assert {"run.json", "report.html", "report.md", "pods.parquet", "events.parquet"} <= set(names)
    draw = random.Random(7)
    for name in names:
        shutil.rmtree(world / "copy", ignore_errors=True)
        shutil.copytree(whole, world / "copy")
        size = (world / "copy" / name).stat().st_size
        flip(world / "copy" / name, draw.randrange(size), draw.randrange(8))
        done = cli("report", "copy")
        assert done.code == 2 and done.line.startswith(f"kscale: copy/{name}: "), done.line


def test_a_flipped_bit_anywhere_in_run_json_is_found(play, world):
    play()
    path, draw = world / "run" / "run.json", random.Random(8)
    whole = path.read_bytes()
    last = len(whole) - whole.rindex(b'"digest"')
    places = [draw.randrange(len(whole)) for _ in range(300)] + [len(whole) - 1 - i for i in range(last)]
    for place in places:
        flip(path, place, draw.randrange(8))
        with pytest.raises(InputError, match=r"run\.json"):
            runfolder.load(world / "run")
        path.write_bytes(whole)
    runfolder.load(world / "run")


def test_a_cut_or_missing_file_is_found(cli, play, world):
    play()
    for name in ("pods.parquet", "run.json", "report.html"):
        path = world / "run" / name
        data = path.read_bytes()
        path.write_bytes(data[:-1])
        line = cli("report", "run").line
        assert line.startswith(f"kscale: run/{name}: "), line
        path.unlink()
        assert "missing" in cli("report", "run").line
        path.write_bytes(data)
    assert cli("report", "run").code == 0
