"""Times that are written as dates, "2020-04-01 13:30:00", with an offset ("+08:00", "Z") or without one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from kscale.traces import Options
from kscale.traces.common import files
from kscale.traces.common.checks import Checker, Field, Rule
from kscale.traces.common.threads import ahead

_WRITTEN = 19
#: What stands between the digits of a time, by place; and where its pairs of digits begin, from the month on.
_SIGNS = {4: "-", 7: "-", 10: " ", 13: ":", 16: ":"}
_PAIRS = (5, 8, 11, 14, 17)
Codes = np.ndarray[Any, np.dtype[np.uint8]]
_OFFSET = re.compile(r"([+-])([01]\d|2[0-3]):?([0-5]\d)", re.ASCII)
#: Written forms of no time at all.
_NONE = ("", "None")


def instants(texts: pl.Series) -> pl.Series:
    """Return when the texts are, in microseconds since 1970 (Int64); null where one is no date with a time.

    A text without an offset is taken as it stands.
    """
    found = _alike(texts)
    return _each(texts) if found is None else found


def _alike(texts: pl.Series) -> pl.Series | None:
    """Return what ``_each`` does, three times as fast: of texts that are all written to one length with one offset.

    None where they are not, or one of them is no time.
    """
    held = texts.drop_nulls() if texts.null_count() else texts
    length = 0 if held.is_empty() else len(held[0].encode())
    if length < _WRITTEN or not (held.str.len_bytes() == length).all():
        return None
    codes = held.cast(pl.Binary).bin.reinterpret(dtype=pl.Array(pl.UInt8, length)).explode().to_numpy()
    codes = np.ascontiguousarray(codes.reshape(-1, length).T)
    offset = _offset(held[0].encode()[_WRITTEN:].decode(errors="replace"))
    if offset is None or not (codes[_WRITTEN:] == codes[_WRITTEN:, :1]).all():
        return None
    seconds = _seconds(codes[:_WRITTEN])
    if seconds is None:
        return None
    found = pl.Series(texts.name, seconds * 10**6 - offset, dtype=pl.Int64)
    if held.len() == texts.len():
        return found
    places = texts.is_not_null().cum_sum() - 1
    return found.gather(pl.select(pl.when(texts.is_not_null()).then(places)).to_series())


def _seconds(codes: Codes) -> np.ndarray[Any, np.dtype[np.int64]] | None:
    """Return seconds since 1970 of times whose first, second … characters are the rows of ``codes``.

    None where one of them is not "2020-04-01 13:30:00", or no time between the years 1 and 9999.
    """
    if any((codes[place] != ord(sign)).any() for place, sign in _SIGNS.items()):
        return None
    digits = codes - np.uint8(ord("0"))  # what is below 0 wraps and is no digit either
    if any((digits[place] > 9).any() for place in range(_WRITTEN) if place not in _SIGNS):
        return None
    month, day, hour, minute, second = (digits[place] * np.uint8(10) + digits[place + 1] for place in _PAIRS)
    if (hour > 23).any() or (minute > 59).any() or (second > 59).any() or (month == 0).any() or (month > 12).any():
        return None
    year = (digits[0] * np.uint8(10) + digits[1]).astype(np.int32) * 100 + digits[2] * np.uint8(10) + digits[3]
    months = (year - 1970) * 12 + month - 1
    first = int(months.min())
    starts = np.arange(first, int(months.max()) + 2).astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
    of = months - first
    if (year == 0).any() or (day == 0).any() or (day > np.diff(starts)[of]).any():
        return None
    within = (hour.astype(np.int32) * 60 + minute) * 60 + second
    return (starts[of] + day - 1) * 86_400 + within


def _each(texts: pl.Series) -> pl.Series:
    """Return when the texts are, one by one."""
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
    texts = [_stated(frame[name]) for name in names]
    told = [instants(column) for column in texts]
    expected = "a time such as 2020-04-01 13:30:00"
    rules = [
        Rule(pl.lit(time.is_null() & text.is_not_null()), text.name, "'{value}' is no date and time", expected)
        for text, time in zip(texts, told, strict=True)
        if time.null_count() > text.null_count()
    ]
    return check.drop(frame.with_columns(told), rules, raw=frame)


def _stated(texts: pl.Series) -> pl.Series:
    """Return the texts, null where one says that there is no time."""
    if not (texts.str.len_bytes() <= max(map(len, _NONE))).any():
        return texts
    return pl.select(pl.when(~texts.is_in(_NONE)).then(texts).alias(texts.name)).to_series()


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

    found = [instants(piece[name]).min() for piece in ahead(files.csv_pieces(path, check.options, parse))]
    return min((least for least in found if isinstance(least, int)), default=0)


def written(instant: int) -> str:
    """Return a time of ``instants`` as a text, to the second."""
    return str(pl.Series([instant]).cast(pl.Datetime("us")).dt.strftime("%Y-%m-%d %H:%M:%S").item())
