"""A run folder while its run goes on: one small file says that it is incomplete, and a lock keeps other runs away.

The lock is the operating system's, on the folder itself: it goes with the process, however that ends. So a folder that
is marked and not locked was left by a run that was killed, and the next run may have its name.
"""

from __future__ import annotations

import contextlib
import datetime
import errno
import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec

from kscale.errors import InputError

INCOMPLETE_FILE = "incomplete.json"


class Incomplete(msgspec.Struct, frozen=True):
    """What incomplete.json holds.

    Attributes:
        command: the command line of the run.
        started: when it began, in UTC.
        pid: its process.
        aside: the folder beside this one that the run writes into.
    """

    command: str
    started: str
    pid: int
    aside: str


def is_left(folder: Path) -> bool:
    """Return whether a folder holds what a run holds while it goes on, and nothing else."""
    return [path.name for path in folder.iterdir()] == [INCOMPLETE_FILE]


def refuse(folder: Path) -> None:
    """Raise an InputError when ``folder`` is marked as incomplete."""
    path = folder / INCOMPLETE_FILE
    if not path.is_file():
        return
    mark = _read(path)
    who = f", begun {mark.started} as process {mark.pid}," if mark else ""
    raise InputError(
        f"is incomplete: its run{who} goes on or was killed",
        file=folder,
        expected="the folder of a run that came to its end",
    )


@contextlib.contextmanager
def hold(out: Path, aside: Path, command: str) -> Iterator[None]:
    """Keep the name ``out`` for this run while the block runs, in which the whole folder is to take the name.

    A name that is free, an empty folder and one that a killed run left are marked as incomplete; the mark goes when the
    block ends otherwise. A whole run folder stays as it is until it is replaced. Raises InputError when another run
    holds the name.
    """
    ours = not out.exists()
    mark = aside / INCOMPLETE_FILE
    started = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    mark.write_bytes(msgspec.json.encode(Incomplete(command, started, os.getpid(), aside.name)) + b"\n")
    place = aside / "marked" if ours else out
    if ours:
        place.mkdir(mode=0o755)
    with _locked(place, out) as lock:
        if not ours and is_left(out):
            ours = True
            _clear(out)
        try:
            if ours or not any(out.iterdir()):
                mark.replace(place / INCOMPLETE_FILE)
            if place != out:
                _appear(place, out)
            yield
        finally:
            if _is_at(lock, out):
                (out / INCOMPLETE_FILE).unlink(missing_ok=True)
                with contextlib.suppress(OSError):
                    if ours:
                        out.rmdir()


@contextlib.contextmanager
def _locked(place: Path, out: Path) -> Iterator[int]:
    """Hold the lock of a folder that still has its name. Raises InputError when another run holds it."""
    lock = os.open(place, os.O_RDONLY)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _taken(out) from None
        except OSError as error:
            # Some network file systems have no locks on folders: there two runs to one name are not told apart.
            if error.errno not in (errno.EBADF, errno.ENOLCK, errno.EINVAL, errno.EOPNOTSUPP):
                raise
        if not _is_at(lock, place):  # the run that held it came to its end between the two calls
            raise _taken(out)
        yield lock
    finally:
        os.close(lock)


def _appear(place: Path, out: Path) -> None:
    """Give a marked folder its name. Raises InputError when another run was quicker."""
    try:
        place.rename(out)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        raise _taken(out) from None


def _taken(out: Path) -> InputError:
    path = out / INCOMPLETE_FILE
    mark = _read(path) if path.is_file() else None
    who = f" (process {mark.pid}, begun {mark.started})" if mark else ""
    return InputError(
        f"is being written by another run{who}",
        file=out,
        field="--out",
        expected="another name, or to wait for its end",
    )


def _read(path: Path) -> Incomplete | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Incomplete)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None


def _clear(out: Path) -> None:
    """Remove what a killed run wrote beside ``out``. Its mark is a file: no other name than a run gives is followed."""
    mark = _read(out / INCOMPLETE_FILE)
    if mark and re.fullmatch(re.escape(f"{out.name}.partial-") + r"[a-z0-9_]{8}", mark.aside):
        shutil.rmtree(out.parent / mark.aside, ignore_errors=True)


def _is_at(lock: int, path: Path) -> bool:
    """Return whether the folder that is open stands at ``path``."""
    try:
        return os.path.samestat(os.fstat(lock), path.stat())
    except OSError:
        return False
