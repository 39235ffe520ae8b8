"""The run folder: written beside its name, renamed when whole, and checked against its digests when read.

While the run goes on, the name is held by a folder that says so (``kscale/engine/incomplete.py``).
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
from polars.io.plugins import register_io_source

from kscale.engine import incomplete
from kscale.errors import InputError, MachineError

#: Version of run.json and of the tables; raised when a column or a field changes its meaning.
SCHEMA_VERSION = 1
RUN_FILE = "run.json"
#: Where a Parquet file says of what types its columns are.
_SCHEMA = "ARROW:schema"
#: What stands in run.json for its own digest while that is taken.
_UNSEALED = "0" * 64
_REFUSALS = {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOMEM, errno.EFBIG, errno.EIO}


class FileDigest(msgspec.Struct, frozen=True):
    """A file of the run folder: SHA-256 and length in bytes."""

    sha256: str
    bytes: int


class Input(msgspec.Struct, frozen=True):
    """An input of the run: its role (trace, nodes, pod_order …), where it was, and its digest."""

    role: str
    path: str
    sha256: str
    bytes: int


class Run(msgspec.Struct, kw_only=True):
    """What run.json holds.

    Attributes:
        schema_version: of this file and of the tables.
        kscale_version: that wrote it.
        command: the command line that repeats the run.
        inputs: what was read.
        configuration: every option, defaults included.
        plugins: the scheduler's plug-ins as they ran: name, points, weight.
        seed: of every draw.
        counts: arrived, running, succeeded, failed, waiting, refused, evicted, bound, attempts, nodes, templates,
            rows_dropped.
        resources: names of the resources that the tables carry, as in their column names.
        devices: whether the tables carry GPU columns.
        horizon_us: virtual time at the end of the run.
        sample_us: time between samples; 0 with --inflate (one row after each arrival).
        scheduler_us_per_pod: virtual time that a scheduling decision took.
        notes: what was mapped, dropped, assumed; not modelled.
        dropped: rows left out under --lenient, by reason.
        invariants: control points checked, and violations found (0); empty without --check.
        timing: wall seconds by stage (read, compile, simulate, record), pods_per_second, and the seconds of the kernel
            of ``kscale.reference`` in the same process.
        fingerprint: digest of the decoded values of the pods in trace order.
        files: digests of the files written.
        digest: SHA-256 of run.json itself, taken with 64 zeros in this place.
    """

    schema_version: int
    kscale_version: str
    command: str
    inputs: list[Input]
    configuration: dict[str, Any]
    plugins: list[dict[str, Any]]
    seed: int
    counts: dict[str, int]
    resources: list[str]
    devices: bool
    horizon_us: int
    sample_us: int
    scheduler_us_per_pod: float
    notes: list[str]
    dropped: dict[str, int]
    invariants: dict[str, int]
    timing: dict[str, float]
    fingerprint: str
    files: dict[str, FileDigest] = {}
    digest: str = ""


def digest_file(path: Path) -> FileDigest:
    """Return the SHA-256 and the length of a file."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return FileDigest(digest, path.stat().st_size)


@contextlib.contextmanager
def machine_errors(path: Path, *, writing: bool = False) -> Iterator[None]:
    """Turn what the machine refuses (a full disk, no permission) into a MachineError that names ``path``.

    ``writing``: a broken file is one that was not written whole, since what is read in the block has its own checks.
    """
    try:
        yield
    except MemoryError as error:
        raise MachineError("out of memory") from error
    except (OSError, pl.exceptions.PolarsError) as error:
        refusal = _refusal(error, writing)
        if refusal is None:
            raise
        raise MachineError(f"{path}: {refusal}") from error


def _refusal(error: Exception, writing: bool) -> str | None:
    """Return what the machine refused; polars tells the number of the error in its text, if at all."""
    told = re.search(r"\(os error (\d+)\)", str(error))
    code = error.errno if isinstance(error, OSError) and error.errno else int(told[1]) if told else None
    if code in _REFUSALS:
        return os.strerror(code)
    return "cannot be written whole" if writing and "transport error" in str(error) else None


@contextlib.contextmanager
def create(out: Path, command: str = "") -> Iterator[Path]:
    """Yield a folder beside ``out`` to write into; it takes the name ``out`` only when the block ends well.

    A run folder that is there already is replaced when the block ends, and so is one that a killed run left; anything
    else there is an InputError, and so is the name of another run that goes on. Until the block ends, a new ``out``
    says that it is incomplete, and which ``command`` writes it.
    """
    if out.exists() and not (out.is_dir() and _replaceable(out)):
        raise InputError(
            "is there already and is not a run folder", file=out, expected="a new name, or a run folder to replace"
        )
    missing = [parent for parent in out.parents if not parent.exists()]
    try:
        with machine_errors(out):
            out.parent.mkdir(parents=True, exist_ok=True)
            aside = Path(tempfile.mkdtemp(prefix=f"{out.name}.partial-", dir=out.parent))
        try:
            with machine_errors(out, writing=True), incomplete.hold(out, aside, command):
                partial = aside / "new"
                partial.mkdir(mode=0o755)
                yield partial
                _take_name(partial, out, aside / "old")
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    except BaseException:
        for parent in missing:
            with contextlib.suppress(OSError):
                parent.rmdir()
        raise


def _replaceable(out: Path) -> bool:
    """Return whether a folder is empty, a run folder, or what a run left that was killed."""
    return (out / RUN_FILE).exists() or not any(out.iterdir()) or incomplete.is_left(out)


def _take_name(partial: Path, out: Path, old: Path) -> None:
    """Give ``partial`` the name ``out``; what is there goes to ``old``, and comes back when that fails."""
    out.rename(old)
    try:
        partial.rename(out)
    except BaseException:
        old.rename(out)
        raise


def seal(folder: Path, run: Run) -> None:
    """Write run.json with the digests of every file of ``folder``; the last thing that is written."""
    run.files = {
        str(path.relative_to(folder)): digest_file(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != RUN_FILE
    }
    (folder / RUN_FILE).write_bytes(_sealed(run))


def _sealed(run: Run) -> bytes:
    """Return run.json with its own digest."""
    run.digest = _UNSEALED
    text = msgspec.json.format(msgspec.json.encode(run), indent=2) + b"\n"
    run.digest = hashlib.sha256(text).hexdigest()
    return run.digest.join(text.decode().rsplit(_UNSEALED, 1)).encode()


def replace_files(folder: Path, run: Run, texts: dict[str, str]) -> None:
    """Replace files of a sealed folder by name and seal it again: all are written beside, then take their names.

    Raises MachineError when the machine refuses a file.
    """
    contents = {name: text.encode() for name, text in texts.items()}
    for name, content in contents.items():
        run.files[name] = FileDigest(hashlib.sha256(content).hexdigest(), len(content))
    contents[RUN_FILE] = _sealed(run)
    aside = {name: folder / f"{name}.partial-{os.getpid()}" for name in contents}
    try:
        with machine_errors(folder):
            for name, content in contents.items():
                aside[name].write_bytes(content)
            for name, path in aside.items():
                path.replace(folder / name)
    finally:
        for path in aside.values():
            path.unlink(missing_ok=True)


def load(folder: Path, *, check: bool = True) -> Run:
    """Read run.json and check every file of the folder against its digest.

    Raises InputError when the folder is no run folder, is incomplete, of another schema version, or altered.
    """
    path = folder / RUN_FILE
    if not path.is_file():
        incomplete.refuse(folder)
        raise InputError(
            "is not a run folder: run.json is missing", file=folder, expected="a folder that kscale replay wrote"
        )
    try:
        text = path.read_bytes()
        head = msgspec.json.decode(text)
        version = head.get("schema_version") if isinstance(head, dict) else None
        if version != SCHEMA_VERSION:
            raise InputError(f"has schema version {version}", file=path, expected=f"version {SCHEMA_VERSION}")
        run = msgspec.convert(head, Run)
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
        raise InputError(f"is damaged: {error}", file=path, expected="the run.json that kscale wrote") from error
    if check:
        unsealed = _UNSEALED.encode().join(text.rsplit(run.digest.encode(), 1)) if run.digest else text
        if hashlib.sha256(unsealed).hexdigest() != run.digest:
            raise InputError("was altered after the run", file=path, expected="the run.json that kscale wrote")
        for name, known in run.files.items():
            file = folder / name
            if not file.resolve().is_relative_to(folder.resolve()):
                raise InputError(f"names a file outside its folder: {name}", file=path)
            if not file.is_file():
                raise InputError("is missing from the run folder", file=file, expected="the file that run.json lists")
            if digest_file(file) != known:
                raise InputError("was altered after the run", file=file, expected=f"SHA-256 {known.sha256[:16]}…")
    return run


def table(folder: Path, name: str) -> pl.LazyFrame:
    """Return a table of the run folder, lazily."""
    return pl.scan_parquet(folder / f"{name}.parquet")


def write_table(
    folder: Path, name: str, columns: dict[str, Any], frames: Iterator[pl.DataFrame], coded: dict[str, Any]
) -> None:
    """Write a table of the run folder from its portions; no more than a few of them are in memory at once.

    ``columns`` are the types as they are read. ``coded`` are those of texts that come as codes: a Parquet file holds
    texts that repeat as codes too, and so nobody has to look for them among the texts.
    """

    def portions(
        wanted: list[str] | None, predicate: pl.Expr | None, rows: int | None, batch: int | None
    ) -> Iterator[pl.DataFrame]:
        yield from frames

    register_io_source(portions, schema=columns | coded).sink_parquet(
        folder / f"{name}.parquet", compression="zstd", compression_level=1, metadata={_SCHEMA: _told(columns)}
    )


def _told(columns: dict[str, Any]) -> str:
    """Return what a Parquet file says of the types of its columns."""
    file = io.BytesIO()
    pl.DataFrame(schema=columns).write_parquet(file)
    file.seek(0)
    return pl.read_parquet_metadata(file)[_SCHEMA]
