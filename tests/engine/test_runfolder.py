"""The run folder: whole or not there, and checked against its digests."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from kscale.engine import runfolder
from kscale.engine.runfolder import (
    RUN_FILE,
    SCHEMA_VERSION,
    Input,
    Run,
    create,
    digest_file,
    load,
    machine_errors,
    seal,
    table,
)
from kscale.errors import InputError, MachineError


def run() -> Run:
    return Run(
        schema_version=SCHEMA_VERSION,
        kscale_version="0",
        command="kscale replay x",
        configuration={"seed": 1, "memo": True},
        inputs=[Input("trace", "x", "0" * 64, 3)],
        plugins=[{"name": "NodeName", "points": ["filter"], "weight": None}],
        seed=1,
        counts={"arrived": 1},
        resources=["cpu"],
        devices=False,
        horizon_us=1,
        sample_us=1,
        scheduler_us_per_pod=0.5,
        notes=["é"],
        dropped={},
        invariants={},
        timing={"read": 0.25},
        fingerprint="f",
    )


def write(out: Path, text: str = "one") -> None:
    with create(out) as folder:
        (folder / "figures").mkdir()
        (folder / "figures" / "a.svg").write_text(text)
        pl.DataFrame({"x": [1, 2]}).write_parquet(folder / "pods.parquet")
        seal(folder, run())


@pytest.fixture
def out(tmp_path: Path) -> Path:
    write(tmp_path / "run")
    return tmp_path / "run"


# Writing


def test_a_folder_takes_its_name_when_it_is_whole(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "run"
    with create(out) as folder:
        assert out.parent in folder.parents
        assert [path.name for path in out.iterdir()] == ["incomplete.json"]
        (folder / "a").write_text("x")
    assert [path.name for path in out.parent.iterdir()] == ["run"]
    assert (out / "a").read_text() == "x"
    assert out.stat().st_mode & 0o777 == 0o755


def test_a_run_folder_is_replaced_whole(out: Path) -> None:
    (out / "old").write_text("x")
    write(out, "two")
    assert not (out / "old").exists()
    assert (out / "figures" / "a.svg").read_text() == "two"
    assert [path.name for path in out.parent.iterdir()] == ["run"]


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    write(tmp_path / "run")
    assert load(tmp_path / "run").seed == 1


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_what_is_no_run_folder_is_left_alone(tmp_path: Path, kind: str) -> None:
    out = tmp_path / "mine"
    if kind == "folder":
        out.mkdir()
        (out / "thesis.txt").write_text("x")
    else:
        out.write_text("x")
    with pytest.raises(InputError, match="is there already and is not a run folder") as found, create(out):
        pytest.fail("the block must not run")
    assert str(out) in str(found.value)
    assert ((out / "thesis.txt") if kind == "folder" else out).read_text() == "x"
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


@pytest.mark.parametrize("fault", [ValueError("x"), KeyboardInterrupt(), OSError(errno.ENOENT, "x")])
def test_nothing_is_left_after_a_fault(tmp_path: Path, fault: BaseException) -> None:
    with pytest.raises(type(fault)), create(tmp_path / "run") as folder:
        (folder / "half").write_text("x")
        raise fault
    assert list(tmp_path.iterdir()) == []


def test_a_fault_leaves_the_old_run(out: Path) -> None:
    with pytest.raises(ValueError, match="late"), create(out) as folder:
        seal(folder, run())
        raise ValueError("late")
    assert [path.name for path in out.parent.iterdir()] == ["run"]
    assert load(out).files.keys() == {"figures/a.svg", "pods.parquet"}


REFUSALS = [errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EDQUOT, errno.EPERM, errno.EIO]


@pytest.mark.parametrize("code", REFUSALS)
def test_what_the_machine_refuses_is_told(tmp_path: Path, code: int) -> None:
    with pytest.raises(MachineError) as found, create(tmp_path / "run") as folder:
        (folder / "half").write_text("x")
        raise OSError(code, "refused")
    assert str(found.value) == f"{tmp_path / 'run'}: {os.strerror(code)}"
    assert found.value.exit_code == 4
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_below_polars_is_told(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match="No space left"), create(tmp_path / "run"):
        raise pl.exceptions.ComputeError("No space left on device (os error 28)")
    with pytest.raises(MachineError, match="out of memory"), machine_errors(tmp_path):
        raise MemoryError
    with pytest.raises(pl.exceptions.ComputeError), machine_errors(tmp_path):
        raise pl.exceptions.ComputeError("something else")


def test_a_parent_that_may_not_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **kwargs: Any) -> str:
        raise PermissionError(errno.EACCES, "refused")

    monkeypatch.setattr(runfolder.tempfile, "mkdtemp", refuse)
    with pytest.raises(MachineError, match="Permission denied"), create(tmp_path / "run"):
        pytest.fail("the block must not run")


def test_a_parent_that_is_read_only(users_folder: Path) -> None:
    users_folder.chmod(0o555)
    try:
        with pytest.raises(MachineError, match="Permission denied"), create(users_folder / "run"):
            pytest.fail("the block must not run")
    finally:
        users_folder.chmod(0o755)


def test_a_parent_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises((InputError, MachineError, OSError)), create(tmp_path / "file" / "run"):
        pytest.fail("the block must not run")
    assert (tmp_path / "file").read_text() == "x"


def fail_at(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Make the rename of this number fail for want of space."""
    calls = []
    rename = Path.rename

    def counted(self: Path, target: Path) -> Path:
        calls.append(target)
        if len(calls) == number:
            raise OSError(errno.ENOSPC, "full")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", counted)


@pytest.mark.parametrize("number", [1, 2])
def test_a_rename_that_fails_leaves_the_old_run(out: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    fail_at(monkeypatch, number)
    with pytest.raises(MachineError, match="No space left"):
        write(out, "two")
    monkeypatch.undo()
    assert [path.name for path in out.parent.iterdir()] == ["run"]
    assert (out / "figures" / "a.svg").read_text() == "one"


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_new_run_that_cannot_be_renamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    fail_at(monkeypatch, number)
    with pytest.raises(MachineError, match="No space left"):
        write(tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


# Reading


def test_what_was_sealed_is_loaded(out: Path) -> None:
    loaded, expected = load(out), run()
    expected.files = {
        "figures/a.svg": digest_file(out / "figures" / "a.svg"),
        "pods.parquet": digest_file(out / "pods.parquet"),
    }
    expected.digest = loaded.digest
    assert loaded == expected
    assert table(out, "pods").collect()["x"].to_list() == [1, 2]
    # SHA-256 of "one".
    assert loaded.files["figures/a.svg"].sha256 == "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed"
    assert loaded.files["figures/a.svg"].bytes == 3


@pytest.mark.parametrize("name", ["figures/a.svg", "pods.parquet"])
def test_one_flipped_bit_is_found(out: Path, name: str) -> None:
    raw = bytearray((out / name).read_bytes())
    for at in sorted({0, len(raw) // 2, len(raw) - 1}):
        for bit in range(8):
            changed = raw.copy()
            changed[at] ^= 1 << bit
            (out / name).write_bytes(changed)
            with pytest.raises(InputError, match="was altered after the run") as found:
                load(out)
            assert name in str(found.value)
            load(out, check=False)
    (out / name).write_bytes(raw)
    load(out)


def test_one_flipped_bit_of_the_head_is_found(out: Path) -> None:
    raw = (out / RUN_FILE).read_bytes()
    # Bits all over the file: names, values, digests, blanks; a shift of bit by place takes each bit in turn.
    for at in range(0, len(raw), 7):
        changed = bytearray(raw)
        changed[at] ^= 1 << (at % 8)
        (out / RUN_FILE).write_bytes(changed)
        with pytest.raises(InputError):
            load(out)
    (out / RUN_FILE).write_bytes(raw)
    load(out)


@pytest.mark.parametrize("cut", [0, 1])
def test_a_file_that_is_cut_or_gone_is_found(out: Path, cut: int) -> None:
    file = out / "pods.parquet"
    file.write_bytes(file.read_bytes()[:-1] if cut else b"")
    with pytest.raises(InputError, match="was altered"):
        load(out)
    file.unlink()
    with pytest.raises(InputError, match=r"pods\.parquet: is missing from the run folder"):
        load(out)


def edit(out: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change run.json and give it the digest that fits: that of the text with 64 zeros in the digest's place."""
    head = json.loads((out / RUN_FILE).read_bytes())
    change(head)
    text = json.dumps(head | {"digest": "0" * 64})
    digest = hashlib.sha256(text.encode()).hexdigest()
    (out / RUN_FILE).write_text(json.dumps(head | {"digest": digest}))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            lambda head: head.update(schema_version=SCHEMA_VERSION + 1),
            f"schema version {SCHEMA_VERSION + 1}; expected version",
        ),
        (lambda head: head.pop("schema_version"), "has schema version None"),
        (lambda head: head.update(seed="x"), "is damaged"),
        (lambda head: head.pop("fingerprint"), "is damaged"),
        (
            lambda head: head["files"].update({"../outside": head["files"]["pods.parquet"]}),
            "names a file outside its folder",
        ),
        (
            lambda head: head["files"].update({"/etc/hostname": head["files"]["pods.parquet"]}),
            "names a file outside its folder",
        ),
        (
            lambda head: head["files"].update({"figures": head["files"]["pods.parquet"]}),
            "is missing from the run folder",
        ),
    ],
)
def test_a_head_that_cannot_be_right(out: Path, change: Callable[[dict[str, Any]], object], told: str) -> None:
    (out.parent / "outside").write_bytes((out / "pods.parquet").read_bytes())
    edit(out, change)
    with pytest.raises(InputError, match=told) as found:
        load(out)
    assert found.value.exit_code == 2


def test_the_digest_of_the_head_is_as_it_says(out: Path) -> None:
    edit(out, lambda head: head.update(seed=2))
    assert load(out).seed == 2
    (out / RUN_FILE).write_bytes((out / RUN_FILE).read_bytes().replace(b'"seed": 2', b'"seed": 3'))
    with pytest.raises(InputError, match=r"run\.json: was altered after the run"):
        load(out)
    assert load(out, check=False).seed == 3


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"{}"])
def test_a_head_that_is_damaged(out: Path, raw: bytes) -> None:
    (out / RUN_FILE).write_bytes(raw)
    with pytest.raises(InputError, match=r"run\.json: (is damaged|has schema version None)"):
        load(out)


def test_the_parents_of_a_failed_run_go_with_it(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="x"), create(tmp_path / "a" / "b" / "run"):
        raise ValueError("x")
    assert list(tmp_path.iterdir()) == []


def test_a_link_that_leads_out_is_not_followed(out: Path) -> None:
    outside = out.parent / "outside"
    (out / "pods.parquet").rename(outside)
    (out / "pods.parquet").symlink_to(outside)
    with pytest.raises(InputError, match="names a file outside its folder"):
        load(out)


def test_what_is_not_there(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(InputError, match=r"is not a run folder: run\.json is missing"):
            load(folder)
