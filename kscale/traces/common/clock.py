"""Times that are written as dates, "2020-04-01 13:30:00", with an offset ("+08:00", "Z") or without one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl

from kscale.traces import Options
from kscale.traces.common import files
from kscale.traces.common.checks import Checker, Field, Rule

_WRITTEN = 19
_OFFSET = re.compile(r"([+-])([01]\d|2[0-3]):?([0-5]\d)", re.ASCII)
#: Written forms of no time at all.
_NONE = ("", "None")


def instants(texts: pl.Series) -> pl.Series:
    """Return when the texts are, in microseconds since 1970 (Int64); null where one is no date with a time.

    A text without an offset is taken as it stands.
    """
    stripped = texts.str.strip_chars()
    written = stripped.str.head(_WRITTEN).str.to_datetime(
        "%Y-%m-%d %H:%M:%S", strict=False, time_unit="us", cache=False
    )
    tails = stripped.str.slice(_WRITTEN)
    known = {tail: _offset(tail) for tail in tails.unique().drop_nulls()}
    offsets = tails.replace_strict(list(known), list(known.values()), default=None, return_dtype=pl.Int64)
    return written.cast(pl.Int64) - offsets


def _offset(tail: str) -> int | None:
    """Return what an offset is in microseconds, or None where it is none."""
    if tail in ("", "Z"):
        return 0
    if not (parts := _OFFSET.fullmatch(tail)):
        return None
    return (-1 if parts[1] == "-" else 1) * (int(parts[2]) * 60 + int(parts[3])) * 60 * 10**6


def timed(frame: pl.DataFrame, names: Iterable[str], check: Checker) -> pl.DataFrame:
    """Return ``frame`` with the texts ``names`` as ``instants``; "None" and nothing are null.

    Rows with another text that is no time are dealt with as ``check`` does. Raises InputError.
    """
    names = list(names)
    frame = frame.with_columns(pl.when(~pl.col(name).is_in(_NONE)).then(name).alias(name) for name in names)
    told = frame.with_columns(instants(frame[name]) for name in names)
    expected = "a time such as 2020-04-01 13:30:00"
    rules = [
        Rule(pl.lit(told[name].is_null() & frame[name].is_not_null()), name, "'{value}' is no date and time", expected)
        for name in names
    ]
    return check.drop(told, rules, raw=frame)


def earliest(path: Path, options: Options, name: str) -> int:
    """Return the earliest time in the column ``name`` of a CSV file, as ``instants`` gives it; 0 where there is none.

    Bad rows are passed over: who reads the file tells of them. Raises InputError when the file cannot be read at all.
    """
    check = Checker(path, replace(options, lenient=True))

    def parse(data: bytes, columns: Sequence[str], row: int) -> tuple[pl.DataFrame, int]:
        check.columns(columns, [Field(name, pl.String)])
        frame = files.csv_typed(data, columns, row, {}, only=name)
        if frame is None:
            return files.csv_texts(data, columns, row, path, check.options, check.dropped)
        return frame, frame.height

    found = [instants(piece[name]).min() for piece in files.csv_pieces(path, check.options, parse)]
    return min((least for least in found if isinstance(least, int)), default=0)


def written(instant: int) -> str:
    """Return a time of ``instants`` as a text, to the second."""
    return str(pl.Series([instant]).cast(pl.Datetime("us")).dt.strftime("%Y-%m-%d %H:%M:%S").item())
