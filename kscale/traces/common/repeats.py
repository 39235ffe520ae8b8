"""Names that come twice, found in a file of any length: 64 bits of each wait on disk, in parts that fit into memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from kscale.engine.scratch import Scratch

Rows = np.ndarray[Any, Any]
#: Parts by the highest bits: of a thousand million names, one part takes 250 MB.
_PARTS_BITS = 6
#: Names that are held in memory before they go to disk.
_HELD = 1 << 21
_ENTRY = np.dtype([("bits", np.uint64), ("row", np.int64)])


class Repeats:
    """Rows of names, added batch by batch; it tells which may repeat another one."""

    def __init__(self) -> None:
        self._scratch = Scratch()
        self._held: list[Rows] = []
        self._waiting = 0
        self._spilt = False

    def add(self, rows: pl.Series, names: pl.DataFrame) -> None:
        """Take rows, with all columns that make up their names."""
        entries = np.empty(len(rows), _ENTRY)
        entries["bits"] = names.select(pl.struct(pl.all()).hash()).to_series().to_numpy()
        entries["row"] = rows.to_numpy()
        self._held.append(entries)
        self._waiting += len(rows)
        if self._waiting >= _HELD:
            self._spill()

    def _spill(self) -> None:
        entries = self._together()
        part = (entries["bits"] >> np.uint64(64 - _PARTS_BITS)).astype(np.uint8)
        entries = entries[np.argsort(part, kind="stable")]
        ends = np.cumsum(np.bincount(part, minlength=1 << _PARTS_BITS))
        for number, piece in enumerate(np.split(entries, ends[:-1])):
            with self._scratch.path(f"names-{number:02}").open("ab") as file:
                file.write(piece.view(np.uint8).data)
        self._held, self._waiting, self._spilt = [], 0, True

    def _together(self) -> Rows:
        return np.concatenate([np.empty(0, _ENTRY), *self._held])

    def suspects(self) -> pl.Series:
        """Return the rows whose 64 bits another row has too, ascending, and forget all."""
        if self._spilt:
            self._spill()
            paths = [self._scratch.path(f"names-{number:02}") for number in range(1 << _PARTS_BITS)]
            found = [_alike(np.fromfile(path, _ENTRY)) for path in paths]
        else:
            found = [_alike(self._together())]
        self._scratch.clear()
        self._held, self._waiting, self._spilt = [], 0, False
        return pl.Series("row", np.sort(np.concatenate(found)))


def _alike(entries: Rows) -> Rows:
    """Return the rows of entries whose bits occur more than once, ascending."""
    ascending = np.sort(entries["bits"])  # numbers alone sort many times faster than they do with their places
    again = np.unique(ascending[1:][ascending[1:] == ascending[:-1]])
    if not len(again):
        return entries["row"][:0]
    place = np.minimum(np.searchsorted(again, entries["bits"]), len(again) - 1)
    rows: Rows = entries["row"][again[place] == entries["bits"]]
    return rows
