"""JSON lines (also .gz): an object a line, as BigQuery writes tables out, as frames of flat columns.

A column is named by its way through the object, ``capacity.cpus``. BigQuery writes 64-bit integers as texts and leaves
out what is null.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from kscale.errors import InputError
from kscale.traces.common import files
from kscale.traces.common.checks import Checker, Field

#: Characters that writers of JSON escape without need, some with HTML in mind.
_ESCAPED = {f"\\u{ord(c):04{form}}".encode(): c.encode() for c in "/=<>&'+" for form in "xX"} | {b"\\/": b"/"}


def batches(check: Checker, fields: Sequence[Field]) -> Iterator[pl.DataFrame]:
    """Yield the file of ``check`` in batches of typed columns, with ``ROW``.

    The first batch comes always, also without rows. A field of text that holds a list or an object has it as JSON. Rows
    count the lines that are not empty. Raises InputError; lines that are no objects are left out and counted under
    ``lenient``.
    """
    row = 1
    for data in _pieces(check.path):
        frame = _read(data, fields)
        if frame is None:
            frame, count = _read_slowly(data, check, row, fields)
        else:
            count = frame.height
            frame = frame.with_columns(pl.int_range(row, row + pl.len(), dtype=pl.Int64).alias(files.ROW))
        row += count
        yield check.typed(frame, fields)


def _pieces(path: Path) -> Iterator[bytes]:
    """Yield the file in pieces of whole lines; the first has none."""
    yield b""
    with files.opened(path) as file:
        rest = b""
        while part := file.read(files.BATCH_BYTES):
            piece, line_break, rest = (rest + part).rpartition(b"\n")
            if not line_break and len(rest) > files.BATCH_BYTES:
                raise InputError(f"has a line of more than {files.BATCH_BYTES >> 20} MiB", file=path)
            if piece.strip():
                yield piece
        if rest.strip():
            yield rest


def _read(data: bytes, fields: Sequence[Field]) -> pl.DataFrame | None:
    """Return the lines, numbers of Float64 fields as such or as texts, all else as texts; None where that fails.

    polars writes a list as JSON but for backslashes, so there must be none.
    """
    if b"\\" in data:
        if b"\\\\" in data:
            return None
        for escaped, plain in _ESCAPED.items():
            data = data.replace(escaped, plain)
        if b"\\" in data:
            return None
    for number in (pl.Float64, pl.String):
        try:
            frame = pl.read_ndjson(data, schema=_schema(fields, number))
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
            continue
        return frame.select(_flat(f.name) for f in fields)
    return None


def _schema(fields: Sequence[Field], number: type[pl.DataType]) -> dict[str, Any]:
    """Return the polars schema of the objects."""
    nested: dict[str, Any] = {}
    for wanted in fields:
        first, _, second = wanted.name.partition(".")
        dtype = number if wanted.dtype is pl.Float64 else pl.String
        if second:
            nested.setdefault(first, {})[second] = dtype
        else:
            nested[first] = dtype
    return {name: pl.Struct(kind) if isinstance(kind, dict) else kind for name, kind in nested.items()}


def _flat(name: str) -> pl.Expr:
    first, _, second = name.partition(".")
    return pl.col(first).struct.field(second).alias(name) if second else pl.col(first)


def _read_slowly(data: bytes, check: Checker, row: int, fields: Sequence[Field]) -> tuple[pl.DataFrame, int]:
    """Read line by line what the fast way refused, to name the bad line or to leave it out; all as texts."""
    columns: dict[str, list[Any]] = {name: [] for name in (*(f.name for f in fields), files.ROW)}
    number = row - 1
    for number, line in enumerate((line for line in data.split(b"\n") if line.strip()), row):
        try:
            values = _values(line, [f.name for f in fields])
        except InputError as error:
            if not check.options.lenient:
                raise InputError(
                    error.problem, file=check.path, row=number, field=error.field, expected=error.expected
                ) from None
            reason = f"{error.field or 'row'}: {error.problem}"
            check.dropped[reason] = check.dropped.get(reason, 0) + 1
            continue
        for column, value in zip(columns.values(), (*values, number), strict=True):
            column.append(value)
    return pl.DataFrame(columns, schema={f.name: pl.String for f in fields} | {files.ROW: pl.Int64}), number - row + 1


def _values(line: bytes, names: Sequence[str]) -> list[str | None]:
    """Return the texts of a line. Raises InputError without a place."""
    try:
        found = msgspec.json.decode(line)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        found = None
    if not isinstance(found, dict):
        raise InputError("is not a JSON object", expected="an object a line")
    values = []
    for name in names:
        first, _, second = name.partition(".")
        value = found.get(first)
        if second and not isinstance(value, dict | None):
            raise InputError("is not an object", field=first, expected="an object, or null")
        values.append(_text((value or {}).get(second) if second else value))
    return values


def _text(value: object) -> str | None:
    """Return a value as a text."""
    if value is None or isinstance(value, str):
        return value
    return msgspec.json.encode(value).decode()
