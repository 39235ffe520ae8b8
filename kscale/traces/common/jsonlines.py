"""JSON lines (also .gz): an object a line, as BigQuery writes tables out, as frames of flat columns.

A column is named by its way through the object, ``capacity.cpus``. BigQuery writes 64-bit integers as texts and leaves
out what is null.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from kscale.errors import InputError
from kscale.traces.common import files
from kscale.traces.common.checks import Checker, Field

#: Columns that hold a list of objects, and the names of the texts in these.
Lists = Mapping[str, Sequence[str]]


def batches(check: Checker, fields: Sequence[Field], lists: Lists | None = None) -> Iterator[pl.DataFrame]:
    """Yield the file of ``check`` in batches of typed columns, with ``ROW``: ``fields``, and ``lists`` of structs.

    The first batch comes always, also without rows. Rows count the lines that are not empty. Raises InputError; lines
    that are no objects are left out and counted under ``lenient``.
    """
    lists, row = lists or {}, 1
    for data in _pieces(check.path):
        frame = _read(data, fields, lists)
        if frame is None:
            frame, count = _read_slowly(data, check, row, fields, lists)
        else:
            count = frame.height
            frame = frame.with_columns(pl.int_range(row, row + pl.len(), dtype=pl.Int64).alias(files.ROW))
        row += count
        typed = check.typed(frame, fields)
        if typed.height != frame.height:
            frame = frame.filter(pl.col(files.ROW).is_in(typed[files.ROW].implode()))
        yield typed.with_columns(frame[name] for name in lists)


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


def _read(data: bytes, fields: Sequence[Field], lists: Lists) -> pl.DataFrame | None:
    """Return the lines, numbers of Float64 fields as such or as texts, all else as texts; None where that fails."""
    for number in (pl.Float64, pl.String):
        try:
            frame = pl.read_ndjson(data, schema=_schema(fields, lists, number))
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
            continue
        return frame.select(*(_flat(f.name) for f in fields), *lists)
    return None


def _schema(fields: Sequence[Field], lists: Lists, number: type[pl.DataType]) -> dict[str, Any]:
    """Return the polars schema of the objects."""
    nested: dict[str, Any] = {}
    for wanted in fields:
        first, _, second = wanted.name.partition(".")
        dtype = number if wanted.dtype is pl.Float64 else pl.String
        if second:
            nested.setdefault(first, {})[second] = dtype
        else:
            nested[first] = dtype
    schema = {name: pl.Struct(kind) if isinstance(kind, dict) else kind for name, kind in nested.items()}
    return schema | {name: list_type(texts) for name, texts in lists.items()}


def list_type(texts: Sequence[str]) -> pl.List:
    """Return the type of a list of objects with these texts."""
    return pl.List(pl.Struct(dict.fromkeys(texts, pl.String)))


def decoded(text: str, texts: Sequence[str]) -> list[dict[str, str | None]] | None:
    """Return a list of objects that a text holds as JSON. Raises InputError without a place."""
    try:
        return _structs(msgspec.json.decode(text), texts)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        raise InputError("is not JSON", expected="a list of objects") from None


def _flat(name: str) -> pl.Expr:
    first, _, second = name.partition(".")
    return pl.col(first).struct.field(second).alias(name) if second else pl.col(first)


def _read_slowly(
    data: bytes, check: Checker, row: int, fields: Sequence[Field], lists: Lists
) -> tuple[pl.DataFrame, int]:
    """Read line by line what the fast way refused, to name the bad line or to leave it out."""
    columns: dict[str, list[Any]] = {name: [] for name in (*(f.name for f in fields), *lists, files.ROW)}
    number = row - 1
    for number, line in enumerate((line for line in data.split(b"\n") if line.strip()), row):
        try:
            values = _values(line, columns, lists)
        except InputError as error:
            if not check.options.lenient:
                raise InputError(
                    error.problem, file=check.path, row=number, field=error.field, expected=error.expected
                ) from None
            reason = f"{error.field or 'row'}: {error.problem}"
            check.dropped[reason] = check.dropped.get(reason, 0) + 1
            continue
        values[files.ROW] = number
        for name, column in columns.items():
            column.append(values[name])
    schema = {f.name: pl.String for f in fields} | _schema((), lists, pl.String) | {files.ROW: pl.Int64}
    return pl.DataFrame(columns, schema=schema), number - row + 1


def _values(line: bytes, columns: Mapping[str, Any], lists: Lists) -> dict[str, Any]:
    """Return the columns of a line. Raises InputError without a place."""
    try:
        found = msgspec.json.decode(line)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        found = None
    if not isinstance(found, dict):
        raise InputError("is not a JSON object", expected="an object a line")
    values: dict[str, Any] = {}
    for name in columns:
        first, _, second = name.partition(".")
        value = found.get(first)
        if name in lists:
            values[name] = _structs(value, lists[name], name)
        elif second:
            if not isinstance(value, dict | None):
                raise InputError("is not an object", field=first, expected="an object, or null")
            values[name] = _text((value or {}).get(second))
        else:
            values[name] = _text(value)
    return values


def _structs(value: object, texts: Sequence[str], name: str | None = None) -> list[dict[str, str | None]] | None:
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise InputError("is not a list of objects", field=name, expected="a list of objects, or null")
    return [{text: _text(one.get(text)) for text in texts} for one in value]


def _text(value: object) -> str | None:
    """Return a value as polars writes it where it wants a text."""
    if value is None or isinstance(value, str):
        return value
    return msgspec.json.encode(value).decode()
