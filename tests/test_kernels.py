"""Compiling and caching: no edit meets stale code, what is unchanged is loaded, and where the cache lies."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

import kscale
from kscale import kernels
from kscale.kernels import cache_folder, kernel, parameters, plain

CALLEE = "from kscale.kernels import kernel\n\n\n@kernel\ndef shift(size):\n    return size + {}\n"
CALLER = """
from kscale.callee import shift
from kscale.kernels import kernel


@kernel
def look(item, item_size):
    return shift(item_size[item])
"""
#: Composes an entry, runs it on 40, and tells what came out, and how often the cache was hit and missed.
RUN = """
import numpy as np
from kscale.caller import look
from kscale.composer import Composer
from kscale.kernels import load

composer = Composer(["item_size"])
composer.use("look", look)
composer.define("go", "item", "return look(item)", entry=True)
entry = load(composer.source()).go
result = entry(0, np.array([40]))
print(result, sum(entry.stats.cache_hits.values()), sum(entry.stats.cache_misses.values()))
"""


@pytest.fixture
def edited(tmp_path: Path) -> Path:
    """A folder with a copy of the package that has a kernel, and its callee in another file."""
    assert kscale.__file__ is not None
    shutil.copytree(Path(kscale.__file__).parent, tmp_path / "kscale", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "kscale" / "caller.py").write_text(CALLER)
    (tmp_path / "kscale" / "callee.py").write_text(CALLEE.format(1))
    return tmp_path


def run(folder: Path) -> list[int]:
    """What RUN prints: result, hits, misses."""
    environment = {
        **os.environ, "KSCALE_CACHE": str(folder / "cache"), "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", RUN],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [int(word) for word in done.stdout.split()]


def files(folder: Path) -> dict[str, int]:
    """The cache's files, with the times of their last change."""
    found = (path for path in (folder / "cache").rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in found}


@pytest.mark.compiled
def test_an_edited_callee_in_another_file_is_compiled_anew_and_what_is_unchanged_is_loaded(edited: Path) -> None:
    assert run(edited) == [41, 0, 1]
    first = files(edited)
    assert {Path(name).suffix for name in first} == {".py", ".nbi", ".nbc"}
    assert run(edited) == [41, 1, 0]
    assert files(edited) == first  # nothing was written
    (edited / "kscale" / "callee.py").write_text(CALLEE.format(2))
    assert run(edited) == [42, 0, 1]
    assert len(files(edited)) == 2 * len(first)
    (edited / "kscale" / "callee.py").write_text(CALLEE.format(1))
    assert run(edited) == [41, 1, 0]  # the code of these very sources is still there
    assert len(files(edited)) == 2 * len(first)


def fresh_folder() -> Path:
    """The cache folder as a new process finds it."""
    return cache_folder.__wrapped__()


def test_the_cache_lies_where_kscale_cache_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KSCALE_CACHE", str(tmp_path / "a" / "b"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "c"))
    assert fresh_folder() == tmp_path / "a" / "b" / kernels.source_digest()
    assert fresh_folder().is_dir()
    assert not (tmp_path / "c").exists()


def test_without_it_the_cache_lies_in_the_users_cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KSCALE_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "c"))
    assert fresh_folder().parent == tmp_path / "c" / "kscale"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert fresh_folder().parent == tmp_path / "home" / ".cache" / "kscale"


def test_a_cache_that_cannot_be_written_is_replaced_by_a_new_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "new").mkdir()
    monkeypatch.setenv("KSCALE_CACHE", str(tmp_path / "file"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "new"))
    found = fresh_folder()
    assert (found.parent, found.is_dir()) == (tmp_path / "new", True)
    assert (tmp_path / "file").read_text() == "in the way"


def test_a_folder_without_permission_is_replaced_as_well(users_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (users_folder / "new").mkdir()
    (users_folder / "closed" / kernels.source_digest()).mkdir(parents=True)
    (users_folder / "closed" / kernels.source_digest()).chmod(0o500)
    monkeypatch.setenv("KSCALE_CACHE", str(users_folder / "closed"))
    monkeypatch.setattr(tempfile, "tempdir", str(users_folder / "new"))
    assert fresh_folder().parent == users_folder / "new"


def test_old_caches_are_removed_until_four_are_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KSCALE_CACHE", str(tmp_path))
    names = [f"{number:020x}" for number in range(6)]
    for age, name in enumerate(names):
        (tmp_path / name).mkdir()
        (tmp_path / name / "code.nbc").write_text("")
        os.utime(tmp_path / name, (1000 - age, 1000 - age))  # the first is the newest
    others = ["kept-by-the-user", "0123456789abcdef0123456789"]
    for name in others:
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (1, 1))
    (tmp_path / ("f" * 20)).write_text("a file, not a folder")
    found = fresh_folder()
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {found.name, *names[:3], *others, "f" * 20}
    assert fresh_folder() == found
    assert {path.name for path in tmp_path.iterdir()} == left


@kernel
def look(item: int, item_size: np.ndarray) -> int:
    return item_size[item]


def test_a_kernels_plain_form_and_parameters() -> None:
    assert plain(look)(1, [4, 5]) == 5
    assert plain(plain(look)) is plain(look)
    assert parameters(look) == parameters(plain(look)) == ["item", "item_size"]


def test_a_text_is_loaded_once_compiled_and_each_time_plain() -> None:
    text = "from kscale import kernels\n\n_entry, _form, _part = kernels.forms(globals().get('COMPILED', True))\n\n\n"
    text += "@_entry\ndef go(x):\n    return x + 1\n"
    compiled = kernels.load(text)
    assert kernels.load(text) is compiled
    module = kernels.load(text, compiled=False)
    assert module is not compiled
    assert (module.go(1), plain(module.go)) == (2, module.go)
    assert kernels.load(text, compiled=False) is not module


@pytest.mark.compiled
def test_a_loaded_text_is_compiled() -> None:
    text = (
        "from kscale import kernels\n\n_entry, _form, _part = kernels.forms(True)\n\n\n"
        "@_entry\ndef go(x):\n    return x + 2\n"
    )
    module = kernels.load(text)
    assert plain(module.go) is not module.go
    assert module.go(1) == 3
    assert module.go.signatures


def test_kernels_of_other_rows_have_other_names() -> None:
    """Cached code of two modules is joined by name in one process: the wrong rows would be read."""
    code = """
from kscale.engine.pods import free_row
from kscale.kernels import forms
bare = forms(True)[1]
fixed = {"queue_free": (("int64", 1, 0), 2), "queue_size": (("int64", 1, 0), 3)}
rows = [{"pod_state": (("uint8", 1, 0), at), **fixed} for at in (0, 1, 0)]
names = {bare(free_row, each).py_func.__qualname__ for each in rows}
print(len(names))
"""
    environment = {name: value for name, value in os.environ.items() if name != "NUMBA_DISABLE_JIT"}
    told = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert told.stdout == "2\n"
