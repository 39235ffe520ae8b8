"""What the machine refuses, at every writer and reader: exit code 4, one line that names the file, nothing left."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import polars as pl
import pytest

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
