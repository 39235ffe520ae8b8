"""Traces that are several tables of CSV without a header: finding them, reading them, looking rows up by their keys."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from kscale.errors import InputError
from kscale.state.labels import parse_labels
from kscale.traces import Options
from kscale.traces.common import files
from kscale.traces.common.checks import Checker, Field, Rule
from kscale.traces.common.files import ROW
from kscale.traces.common.threads import ahead

#: The number of a row over all files of its table, from 1.
NUMBER = "#number"
#: Most pods of a portion that are made of rows that stand for many.
PORTION = 500_000
Numbers = np.ndarray[Any, Any]
#: Mixes the parts of a key; any odd number does.
_ODD = 0x9E3779B97F4A7C15


@dataclass(frozen=True)
class Table:
    """A table without a header.

    Attributes:
        name: its name, which the name of its file begins with.
        columns: all its columns, in their order.
        fields: those that are read.
        like: what some fields of a row look like, by column, so that a file is known by its first row.
        rules: what rows must not be.
        labels: columns that have to be fit to be values of labels.
    """

    name: str
    columns: tuple[str, ...]
    fields: tuple[Field, ...]
    like: Mapping[str, str]
    rules: tuple[Rule, ...] = ()
    labels: tuple[str, ...] = ()

    def matches(self, head: bytes) -> bool:
        """Return whether the first row of a file, of which ``head`` is the beginning, is one of this table."""
        line, end, _ = head.partition(b"\n")
        if not end and len(head) >= files.HEAD:
            return False
        values = line.decode(errors="replace").rstrip("\r").split(",")
        if len(values) != len(self.columns):
            return False
        found = dict(zip(self.columns, values, strict=True))
        return all(re.fullmatch(pattern, found[name], re.ASCII) for name, pattern in self.like.items())


def find(path: Path, tables: Sequence[Table]) -> dict[str, list[Path]]:
    """Return the files of each table that is there, by its name: those of a folder, or the one that ``path`` is.

    Raises InputError when there is none.
    """
    if path.is_dir():
        found = {table.name: in_folder(path, table.name) for table in tables}
        found = {name: paths for name, paths in found.items() if paths}
    else:
        head = files.head(path)
        known = [t for t in tables if t.matches(head)] or [t for t in tables if path.name.startswith(t.name)]
        found = {table.name: [path] for table in known[:1]}
    if not found:
        names = ", ".join(table.name for table in tables)
        archive = next((p for t in tables if path.is_dir() for p in files.parts(path, t.name) if _is_archive(p)), None)
        if archive is not None:
            raise InputError("is a tar archive", file=archive, expected="the table that is in it, unpacked beside it")
        raise InputError("holds no table of the format", file=path, expected=f"one of {names}")
    return found


def in_folder(folder: Path, name: str) -> list[Path]:
    """Return the files of a table in a folder, without archives, headers, and packed copies of files that are there."""
    parts = [path for path in files.parts(folder, name) if path.suffix != ".header" and not _is_archive(path)]
    names = {path.name for path in parts}
    return [path for path in parts if path.suffix != ".gz" or path.stem not in names]


def _is_archive(path: Path) -> bool:
    return ".tar" in path.suffixes or path.suffix == ".tgz"


def rows(table: Table, paths: Sequence[Path], options: Options, dropped: dict[str, int]) -> Iterator[pl.DataFrame]:
    """Yield a table in batches of typed columns with ``ROW`` and ``NUMBER``; the next batch is read ahead.

    ``dropped`` is whole when the last batch has come. Raises InputError.
    """
    return ahead(_rows(table, paths, options, dropped))


def _rows(table: Table, paths: Sequence[Path], options: Options, dropped: dict[str, int]) -> Iterator[pl.DataFrame]:
    before = 0
    for path in paths:
        check = Checker(path, options, dropped)
        last = 0
        for batch in check.csv(table.fields, table.columns):
            last = int(batch[ROW][-1]) if batch.height else last
            yield checked(table, batch.with_columns((pl.col(ROW) + before).alias(NUMBER)), check)
        before += last


def whole(table: Table, paths: Sequence[Path], options: Options, dropped: dict[str, int]) -> pl.DataFrame:
    """Return a small table as one frame of typed columns. Raises InputError."""
    frames = []
    for path in paths:
        check = Checker(path, options, dropped)
        raw = files.csv_table(path, options, dropped, table.columns)
        frames.append(checked(table, check.typed(raw, table.fields), check))
    return pl.concat(frames)


def checked(table: Table, frame: pl.DataFrame, check: Checker) -> pl.DataFrame:
    """Return the rows of ``frame`` that are as the table says. Raises InputError for another one, when strict."""
    frame = check.drop(frame, table.rules)
    for name in table.labels:
        frame = check.parsed(frame, name, _label)
    return frame


def _label(text: str) -> None:
    parse_labels(f"label={text}")


class Lookup:
    """Rows by a key of one or more texts: of each key 64 bits, and the columns that are to be found.

    Two keys share their bits once in 10^19 pairs. Of rows with the same key the first counts.

    Attributes:
        height: how many keys there are; known after ``seal``.
        repeated: how many rows had the key of an earlier one; known after ``seal``.
        missed: how many keys were looked for that are not there.
        used: which of the rows have been found, in an order of its own.
    """

    def __init__(self, columns: Mapping[str, type[pl.DataType]]) -> None:
        """Begin with no rows; ``columns`` are what is to be found of them."""
        self.height = self.repeated = self.missed = 0
        self.used: Numbers = np.zeros(0, np.bool_)
        self._keys: list[Numbers] = []
        self._places: Numbers = np.zeros(0, np.uint32)
        self._values = [pl.DataFrame(schema=columns)]

    def add(self, keys: Sequence[pl.Series], values: pl.DataFrame) -> None:
        """Take rows: the columns of their keys, and what is to be found of them."""
        self._keys.append(_bits(keys))
        self._values.append(values)

    def seal(self) -> Lookup:
        """Sort the keys of what was added; it can be found from now on."""
        keys = np.concatenate([np.zeros(0, np.uint64), *self._keys])
        self._keys = []
        order = np.argsort(keys)
        keys = keys[order]
        starts = np.flatnonzero(np.concatenate([np.ones(1, np.bool_), keys[1:] != keys[:-1]])[: len(keys)])
        # Rows of one key lie in any order behind each other.
        places = np.minimum.reduceat(order, starts) if len(starts) else order
        self._places = places.astype(np.uint32)
        self._keys = [keys[starts]]
        self._values = [pl.concat(self._values)]
        self.height = len(starts)
        self.repeated = len(keys) - self.height
        self.used = np.zeros(self.height, np.bool_)
        return self

    def find(self, keys: Sequence[pl.Series]) -> pl.DataFrame:
        """Return the row of each key: the columns that were added, null where there is none."""
        # Rows of one key mostly stand together, so that there are few to look up, and in order.
        distinct, of = np.unique(_bits(keys), return_inverse=True)
        known = self._keys[0]
        at = np.searchsorted(known, distinct)
        there = np.zeros(len(distinct), np.bool_)
        inside = at < self.height
        there[inside] = known[at[inside]] == distinct[inside]
        at = at[there]
        self.used[at] = True
        places = self._places[at]
        if there.all():
            return self._values[0][places[of]]
        self.missed += int((~there)[of].sum())
        index = np.full(len(distinct), len(at), np.uint32)
        index[there] = np.arange(len(at), dtype=np.uint32)
        values = self._values[0][places]
        nothing = pl.DataFrame({name: [None] for name in values.columns}, schema=values.schema)
        return pl.concat([values, nothing])[index[of]]


def _bits(keys: Sequence[pl.Series]) -> Numbers:
    """Return 64 bits of each key."""
    total = keys[0].hash(seed=0).to_numpy()
    for key in keys[1:]:
        total = total * np.uint64(_ODD) + key.hash(seed=0).to_numpy()
    return total


def repeated(frame: pl.DataFrame, counts: pl.Series) -> Iterator[pl.DataFrame]:
    """Yield ``frame`` with each row as often as ``counts`` says, at most ``PORTION`` rows at a time.

    The column ``index`` numbers the rows of each within it, from 0.
    """
    times = counts.to_numpy().astype(np.int64)
    ends = np.cumsum(times)
    total = int(ends[-1]) if len(ends) else 0
    for start in range(0, total, PORTION):
        places = np.arange(start, min(start + PORTION, total))
        of = np.searchsorted(ends, places, side="right")
        yield frame[of].with_columns(index=pl.Series(places - (ends - times)[of]))


def known(tables: Sequence[Table], path: Path) -> bool:
    """Return whether a folder holds one of the tables, as its first row tells."""
    for table in tables:
        for first in in_folder(path, table.name)[:1]:
            try:
                if table.matches(files.head(first)):
                    return True
            except InputError:  # damaged or empty: another table may tell
                continue
    return False
