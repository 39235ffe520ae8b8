"""Rows that a run is done with and still needs at its end: they wait on disk, a file for each stretch of the trace."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

#: Rows of the trace that are looked at together: what is written or read at once is about this long.
STRETCH = 1 << 18
#: Rows that are held in memory before they go to disk.
HELD = 1 << 19


class Scratch:
    """A folder for what a run keeps on disk until its end; it is made when something is first kept.

    It is a temporary one within ``beside``, or among the system's where that is None. It goes with ``clear``, and with
    this object at the latest.
    """

    def __init__(self, beside: Path | None = None) -> None:
        self._beside = beside
        self._made: Path | None = None

    def path(self, name: str) -> Path:
        """Return where a file of this name goes."""
        if self._made is None:
            self._made = Path(tempfile.mkdtemp(prefix="kscale-", dir=self._beside))
            self._remove = weakref.finalize(self, shutil.rmtree, self._made, ignore_errors=True)
        return self._made / name

    def clear(self) -> None:
        """Remove what is kept."""
        if self._made is not None:
            self._remove()
            self._made = None


class Rows:
    """Rows of numbers, each with its place in the trace, in the order in which they were added.

    ``fields`` are the names and types of the numbers.
    """

    def __init__(self, scratch: Scratch, name: str, fields: Mapping[str, Any]) -> None:
        self._scratch, self._name = scratch, name
        self._dtype = np.dtype([("place", np.uint32), *fields.items()])
        self._held: list[np.ndarray[Any, Any]] = []
        self._waiting = 0
        self._written: set[int] = set()

    def add(self, places: np.ndarray[Any, Any], columns: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Keep rows: their places in the trace, and each field as long as these."""
        if not len(places):
            return
        rows = np.empty(len(places), self._dtype)
        rows["place"] = places
        for name in self._dtype.names[1:]:  # type: ignore[index]
            rows[name] = columns[name]
        self._held.append(as_bytes(rows))
        self._waiting += len(rows)
        if self._waiting >= HELD:
            self._write()

    def _write(self) -> None:
        """Add what is held to the files of its stretches."""
        if not self._held:
            return
        rows = self._together()
        # 16 bits are enough for places of 32, and numpy sorts them by their digits.
        stretch = (rows.view(self._dtype)["place"] // STRETCH).astype(np.uint16)
        order = np.argsort(stretch, kind="stable")
        rows, stretch = rows[order], stretch[order]
        starts = np.flatnonzero(np.diff(stretch.astype(np.int32), prepend=-1))
        for first, last in zip(starts, [*starts[1:], len(rows)], strict=True):
            number = int(stretch[first])
            with self._path(number).open("ab") as file:
                file.write(rows[first:last].data)
            self._written.add(number)
        self._held, self._waiting = [], 0

    def _together(self) -> np.ndarray[Any, Any]:
        return np.concatenate([*self._held, as_bytes(np.empty(0, self._dtype))])

    def _path(self, stretch: int) -> Path:
        return self._scratch.path(f"{self._name}-{stretch:06}")

    def read(self, first: int, last: int) -> np.ndarray[Any, Any]:
        """Return the rows with places from ``first`` to below ``last``, a stretch as ``stretches`` gives it."""
        if self._written:
            self._write()
            there = first // STRETCH in self._written
            return np.fromfile(self._path(first // STRETCH), self._dtype) if there else np.empty(0, self._dtype)
        rows = self._together()
        place = rows.view(self._dtype)["place"]
        return rows[(place >= first) & (place < last)].view(self._dtype)


def as_bytes(rows: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return the same rows as so many bytes each: numpy would move them field by field."""
    return rows.view(np.dtype((np.void, rows.dtype.itemsize)))


def stretches(rows: int) -> Iterator[tuple[int, int]]:
    """Yield the first row and the end of each stretch of a trace; an empty trace has one without rows."""
    for first in range(0, max(rows, 1), STRETCH):
        yield first, min(first + STRETCH, rows)
