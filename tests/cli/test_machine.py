"""What the machine refuses, interruptions and faults: the right exit code, one line, nothing half-written."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import polars as pl
import pytest

from kscale import cli as commands
from tests.cli.conftest import Cli

PLAIN = [sys.executable, str(Path(__file__).with_name("plain.py"))]
REPLAY = ["replay", "pods.csv", "--nodes", "nodes.csv", "--out", "run", "-q"]
WRITERS = [
    ["trace", "convert", "big.csv", "out.csv"],
    ["trace", "convert", "big.csv", "out.csv.gz"],
    ["trace", "convert", "big.csv", "out.parquet"],
    ["trace", "synth", "uniform", "--pods", "20000", "--out", "out.parquet"],
    ["replay", "big.csv", "--nodes", "nodes.csv", "--until", "1s", "--out", "out", "-q"],
]


def start(arguments: list[str], folder: Path, **more: object) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    return subprocess.Popen(
        [*PLAIN, *arguments], cwd=folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        **more,
    )  # type: ignore[call-overload]  # fmt: skip


@pytest.fixture
def big(world: Path) -> Path:
    """The world, with a long trace beside it that ends quickly."""
    rows = pl.select(
        name=pl.lit("pod-") + pl.int_range(5000).cast(pl.String), arrival=pl.int_range(5000), cpu=pl.lit(1)
    )
    rows.write_csv(world / "big.csv")
    return world


def assert_refused(process: subprocess.Popen[str], folder: Path, before: set[Path], words: str) -> None:
    out, err = process.communicate(timeout=120)
    assert process.returncode == 4, err
    assert out == "" and err.count("\n") == 1 and err.startswith("kscale: ") and words in err, err
    assert set(folder.rglob("*")) == before


@pytest.mark.parametrize("arguments", WRITERS, ids=lambda arguments: " ".join(arguments[:4]))
def test_a_file_that_may_not_grow(big, arguments):
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2048, 2048))

    before = set(big.rglob("*"))
    assert_refused(start(arguments, big, preexec_fn=limit), big, before, "File too large")


@pytest.fixture
def small_disk(tmp_path_factory):
    """A disk of 64 KiB; skipped where none may be mounted."""
    folder = tmp_path_factory.mktemp("disk")
    mount = shutil.which("mount")
    made = mount and subprocess.run(
        [mount, "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if not made or made.returncode:
        pytest.skip("a small disk cannot be mounted here: test_a_file_that_may_not_grow stands for it")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("arguments", WRITERS, ids=lambda arguments: " ".join(arguments[:4]))
def test_a_full_disk(big, small_disk, arguments):
    (small_disk / "filler").write_bytes(bytes(56 << 10))
    arguments = [str(small_disk / word) if word.startswith("out") else word for word in arguments]
    before = set(small_disk.rglob("*"))
    assert_refused(start(arguments, big), small_disk, before, str(small_disk / "out"))


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EDQUOT])
def test_what_the_machine_refuses_in_the_middle_is_told(cli: Cli, world, monkeypatch, number):
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    before = set(world.rglob("*"))
    for target, name in ((pl.DataFrame, "write_parquet"), (Path, "write_bytes"), (tempfile, "mkdtemp")):
        with monkeypatch.context() as patch:
            patch.setattr(target, name, refuse)
            done = cli(*REPLAY)
        assert done.code == 4 and os.strerror(number) in done.line and "run" in done.line
        assert set(world.rglob("*")) == before
    with monkeypatch.context() as patch:
        patch.setattr(tempfile, "mkstemp", refuse)
        done = cli("trace", "template", "x.csv")
    assert done.code == 4 and done.line == f"kscale: x.csv: {os.strerror(number)}"


def test_a_file_that_may_not_be_read(cli: Cli, world, monkeypatch):
    opened = Path.open

    def refuse(path: Path, *arguments: object, **options: object) -> object:
        if path.name == "nodes.csv":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return opened(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", refuse)
    done = cli(*REPLAY)
    assert done.code == 4 and done.line == "kscale: nodes.csv: Permission denied"
    assert not (world / "run").exists()


def test_an_order_file_that_may_not_be_read_is_the_one_named(cli: Cli, world, monkeypatch):
    (world / "order.txt").write_text("0\n")
    opened = Path.open

    def refuse(path: Path, *arguments: object, **options: object) -> object:
        if path.name == "order.txt":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return opened(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", refuse)
    assert cli(*REPLAY, "--pod-order", "order.txt").line == "kscale: order.txt: Permission denied"


def test_memory_runs_out(cli: Cli, world, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr("kscale.replay.prepare", refuse)
    done = cli(*REPLAY)
    assert (done.code, done.line) == (4, "kscale: out of memory")
    assert not (world / "run").exists()


def test_an_older_run_stays_when_its_name_cannot_be_taken(cli: Cli, world, monkeypatch):
    assert cli(*REPLAY).code == 0
    before = {path: path.read_bytes() for path in world.rglob("*") if path.is_file()}
    renamed = Path.rename

    def refuse(path: Path, target: Path) -> Path:
        if path.name == "new":
            raise OSError(errno.EACCES, os.strerror(errno.EACCES))
        return renamed(path, target)

    monkeypatch.setattr(Path, "rename", refuse)
    assert cli(*REPLAY).code == 4
    assert {path: path.read_bytes() for path in world.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("stage", ["reading", "simulating"])
def test_an_interruption_ends_the_run_at_once(world, stage):
    rows = 2_000_000 if stage == "reading" else 40_000
    pl.select(
        name=pl.int_range(rows).cast(pl.String), arrival_us=pl.int_range(rows), duration_us=pl.int_range(rows) % 97,
        cpu_milli=pl.int_range(rows) % 90 + 10,
    ).write_csv(world / "big.csv")  # fmt: skip
    before = set(world.rglob("*"))
    process = start(["replay", "big.csv", "--nodes", "4cpu,8Gi:200", "--out", "run"], world)
    assert process.stderr is not None
    seen = []
    for line in process.stderr:
        seen.append(line)
        if stage in line:
            break
    assert seen and stage in seen[-1], seen
    assert any("partial" in path.name for path in world.iterdir())
    sent = time.monotonic()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert time.monotonic() - sent < 5, "about a second on an idle machine"
    assert (process.returncode, out, err) == (130, "", "kscale: interrupted; nothing half-written was left\n")
    assert set(world.rglob("*")) == before


@pytest.mark.parametrize("arguments", [["--help"], ["replay", "--help"], ["schema"], ["schema", "-o", "json"]])
def test_a_closed_pipe_is_no_fault(tmp_path, arguments):
    process = start(arguments, tmp_path)
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()  # as ``| true`` does
    assert (process.wait(timeout=60), process.stderr.read()) == (0, "")
    process.stderr.close()


def test_a_closed_or_full_standard_output(tmp_path):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    command = f"{sys.executable} -m kscale --help"
    done = subprocess.run(
        ["sh", "-c", f"{command} >&-; echo $?; {command} 2>&- >/dev/null; echo $?; {command} >/dev/full; echo $?"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert done.stdout == "0\n0\n4\n"
    assert done.stderr == "kscale: the machine refused: No space left on device\n"


def test_a_fault_of_ours_is_one_line(cli: Cli, world, monkeypatch):
    class Panic(BaseException):
        pass

    for error in (RuntimeError("two\nlines"), Panic("two\nlines")):

        def fail(_: object, error: BaseException = error) -> int:
            raise error

        monkeypatch.setattr(commands, "dispatch", fail)
        monkeypatch.delenv("KSCALE_DEBUG", raising=False)
        done = cli("demo")
        assert done.code == 3
        said = f"kscale: internal fault: {type(error).__name__}: two\\nlines; KSCALE_DEBUG=1 shows where"
        assert done.line == said
        monkeypatch.setenv("KSCALE_DEBUG", "1")
        with pytest.raises(type(error)):
            cli("demo")


def test_a_violated_invariant_fails_the_gate(cli: Cli, world, monkeypatch):
    monkeypatch.setattr("kscale.simulation.violations", lambda cluster: ["node 0: cpu is over-committed"])
    done = cli(*REPLAY, "--check")
    assert done.code == 1
    assert done.line.endswith("an invariant does not hold at 0 us: node 0: cpu is over-committed")
    assert not (world / "run").exists()
