"""Tables of an SQLite file, read in batches. The file is never written, and nothing that it says is run."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from operator import itemgetter
from pathlib import Path

import polars as pl

from kscale.engine.scratch import Scratch
from kscale.errors import InputError, one_line
from kscale.traces import Options
from kscale.traces.common import files
from kscale.traces.common.checks import Checker, Field

MAGIC = b"SQLite format 3\x00"
#: Rows that are held at once.
BATCH_ROWS = 100_000
#: Longest row in bytes.
_LONGEST = 4 << 10
_FITTING: dict[type[pl.DataType], set[type]] = {
    pl.Int64: {int, type(None)},
    pl.Float64: {int, float, type(None)},
    pl.String: {str, type(None)},
}
_EXPECTED = "a whole SQLite file"


@contextlib.contextmanager
def opened(path: Path, options: Options) -> Iterator[sqlite3.Connection]:
    """Yield a file's database, read-only; a file in gzip is unpacked beside. Raises InputError."""
    if not files.head(path).startswith(MAGIC):
        raise InputError("is no SQLite file", file=path, expected=_EXPECTED)
    scratch = Scratch()
    with contextlib.ExitStack() as stack:
        stack.callback(scratch.clear)
        with path.open("rb") as file:
            packed = file.read(len(MAGIC)) != MAGIC
        place = _unpacked(path, scratch.path("unpacked"), options) if packed else path
        with _faults(path), contextlib.closing(_connected(place)) as base:
            base.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST)
            for pragma in ("trusted_schema = OFF", "cell_size_check = ON", "query_only = ON"):
                base.execute(f"PRAGMA {pragma}")
            yield base


def _connected(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True)


@contextlib.contextmanager
def _faults(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        problem = f"cannot be read as SQLite: {one_line(str(error), 200)}"
        raise InputError(problem, file=path, expected=_EXPECTED) from error


def _unpacked(path: Path, place: Path, options: Options) -> Path:
    total = 0
    with files.opened(path) as file, place.open("wb") as out:
        while part := file.read(1 << 20):
            total += len(part)
            if total > options.max_input:
                raise InputError(
                    f"unpacks to more than {options.max_input:,} bytes", file=path, expected="less, or it unpacked"
                )
            out.write(part)
    return place


def batches(base: sqlite3.Connection, table: str, fields: tuple[Field, ...], check: Checker) -> Iterator[pl.DataFrame]:
    """Yield the rows of a table in batches of typed columns, with ``ROW``, the count of the rows read, from 1.

    The first batch comes always, also without rows. SQLite keeps any value in any column: a batch whose values are not
    of one type each is read as texts, and checked as those. Raises InputError.
    """
    columns = _columns(base, table, check)
    check.columns(columns, fields)
    present = [f for f in fields if f.name in columns]
    wanted = ", ".join(f'CAST("{f.name}" AS TEXT)' if f.dtype is pl.String else f'"{f.name}"' for f in present)
    schema = {f.name: f.dtype for f in present}
    cursor, row = base.execute(f'SELECT {wanted} FROM "{table}" NOT INDEXED'), 1
    while (rows := cursor.fetchmany(BATCH_ROWS)) or row == 1:
        frame = _frame(rows, schema)
        numbered = frame.with_columns(pl.int_range(row, row + pl.len(), dtype=pl.Int64).alias(files.ROW))
        yield check.typed(numbered, present)
        row += len(rows)
        if not rows:
            break


def _columns(base: sqlite3.Connection, table: str, check: Checker) -> list[str]:
    """Return the columns of a table; a view or a virtual table is none, since reading it runs what it says."""
    found = base.execute("SELECT sql FROM sqlite_master WHERE type = 'table' AND name = ?", [table]).fetchone()
    if found is None or not str(found[0]).upper().startswith("CREATE TABLE"):
        raise InputError(f"has no table {table}", file=check.path, expected="the tables of the format")
    return [column[1] for column in base.execute(f'PRAGMA table_info("{table}")')]


def _frame(rows: list[tuple[object, ...]], schema: dict[str, type[pl.DataType]]) -> pl.DataFrame:
    """Return rows in their types, or as texts where some values are of other ones: polars would cut 0.5 to 0."""
    for place, dtype in enumerate(schema.values()):
        if not set(map(type, map(itemgetter(place), rows))) <= _FITTING[dtype]:
            return _texts(rows, schema)
    return pl.DataFrame(rows, schema=schema, orient="row")


def _texts(rows: list[tuple[object, ...]], schema: dict[str, type[pl.DataType]]) -> pl.DataFrame:
    texts = [[None if value is None else str(value) for value in row] for row in rows]
    return pl.DataFrame(texts, schema=dict.fromkeys(schema, pl.String), orient="row")
