"""The pods of a trace by row: from a frame, or from a file that is read again where names are wanted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl

from kscale.engine.scratch import Scratch, stretches

Numbers = np.ndarray[Any, Any]
_TIMES = ("arrival_us", "duration_us", "end_us")


class Framed:
    """Pods that are at hand as a frame with the columns of ``kscale.traces.PODS``."""

    def __init__(self, frame: pl.DataFrame) -> None:
        self._frame = frame

    @property
    def height(self) -> int:
        """How many there are."""
        return self._frame.height

    @property
    def spec(self) -> Numbers:
        """The spec of each."""
        return self._frame["spec"].to_numpy()

    def numbers(self, name: str, rows: slice | Numbers) -> Numbers:
        """Return a time of these rows; -1 where it is not known."""
        series = self._frame[name]
        return (series[rows] if isinstance(rows, slice) else series.gather(rows)).fill_null(-1).to_numpy()

    def known(self, first: int, last: int) -> pl.DataFrame:
        """Return rows with the columns that are told of every pod."""
        return self._frame[first:last].select("name", "namespace", "arrival_us", "spec")

    def called(self, rows: Numbers) -> pl.Series:
        """Return the names of rows, as namespace/name."""
        return self._frame[rows].select(_CALLED).to_series()


class Stream:
    """Pods of a file, added batch by batch. Their times are on disk, and of each the spec is in memory.

    ``named`` reads rows of the file again: it returns their columns ``name`` and ``namespace``.
    """

    def __init__(self, scratch: Scratch, named: Callable[[int, int], pl.DataFrame]) -> None:
        self._scratch, self._named = scratch, named
        self._specs: list[Numbers] = []
        self._hashes: list[Numbers] = []
        self.height = 0
        self.spec: Numbers = np.empty(0, np.uint32)

    def add(self, pods: pl.DataFrame) -> None:
        """Take the next rows, with the columns of ``kscale.traces.PODS``."""
        self._specs.append(pods["spec"].to_numpy())
        self._hashes.append(pods.select(pl.struct("namespace", "name").hash()).to_series().to_numpy())
        for name in _TIMES:
            with self._scratch.path(name).open("ab") as file:
                file.write(pods[name].fill_null(-1).to_numpy().data)
        self.height += pods.height

    def distinct(self) -> bool:
        """End the adding; return whether all names are known to be distinct, from 64 bits of each."""
        self.spec = np.concatenate(self._specs)
        hashes = np.concatenate(self._hashes)
        self._specs, self._hashes = [], []
        hashes.sort()
        return not (hashes[1:] == hashes[:-1]).any()

    def numbers(self, name: str, rows: slice | Numbers) -> Numbers:
        """Return a time of these rows; -1 where it is not known."""
        path = self._scratch.path(name)
        if isinstance(rows, slice):
            return np.fromfile(path, np.int64, rows.stop - rows.start, offset=8 * rows.start)
        return np.memmap(path, np.int64, "r")[rows] if len(rows) else np.empty(0, np.int64)

    def known(self, first: int, last: int) -> pl.DataFrame:
        """Return rows with the columns that are told of every pod."""
        times = pl.Series(self.numbers("arrival_us", slice(first, last)))
        return self._named(first, last).with_columns(arrival_us=times, spec=pl.Series(self.spec[first:last]))

    def called(self, rows: Numbers) -> pl.Series:
        """Return the names of rows, as namespace/name; the rows ascend."""
        parts = [pl.Series(dtype=pl.String)]
        for first, last in stretches(self.height):
            within = rows[(rows >= first) & (rows < last)] - first
            if len(within):
                parts.append(self._named(first, last)[within].select(_CALLED).to_series())
        return pl.concat([part.alias("called") for part in parts])


_CALLED = pl.concat_str("namespace", pl.lit("/"), "name")
