"""Counts that take as much memory for a long trace as for a short one: of values, of times, of distinct things."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

Array = npt.NDArray[Any]
#: So many values are held, and what is said of them is exact.
EXACT = 1 << 22
#: Parts of each power of two in the histogram of more values: what is read off it is at most 0.8 % too small.
_PARTS = 128
_BUCKETS = 60 * _PARTS
#: Widths of parts of time in microseconds; each is a multiple of the one before.
_SECOND = 10**6
_WIDTHS = (
    *(10**power for power in range(7)), 10 * _SECOND, 60 * _SECOND, 600 * _SECOND, 3600 * _SECOND, 21_600 * _SECOND,
    *(86_400 * _SECOND * 10**power for power in range(8)),
)  # fmt: skip
#: Parts of time that are kept.
_MOST_PARTS = 1 << 16
#: Hashes that tell the number of distinct things; its standard error is 1 over the root of it, 0.8 %.
_HASHES = 1 << 14


class Values:
    """Integers that are not negative; ``count`` of them."""

    def __init__(self) -> None:
        self.count, self.largest = 0, 0
        self._buckets = np.zeros(_BUCKETS, np.int64)
        self._held: list[Array] | None = []

    @property
    def exact(self) -> bool:
        """Whether quantiles are exact."""
        return self._held is not None

    def add(self, values: Array) -> None:
        """Take values, int64."""
        if not len(values):
            return
        self.count += len(values)
        self.largest = max(self.largest, int(values.max()))
        shift = np.maximum(np.frexp(values.astype(np.float64))[1] - 8, 0)
        self._buckets += np.bincount(shift * _PARTS + (values >> shift), minlength=_BUCKETS)
        if self._held is not None:
            self._held.append(values)
            if self.count > EXACT:
                self._held = None

    def quantiles(self, shares: tuple[float, ...]) -> list[float]:
        """Return quantiles, each the value at or below its place among at least one."""
        places = [int(share * (self.count - 1)) for share in shares]
        if self._held is not None:
            values = np.sort(np.concatenate(self._held))
            self._held = [values]
            return [float(values[place]) for place in places]
        found = _lowest(np.searchsorted(np.cumsum(self._buckets), places, side="right"))
        return [
            float(self.largest if place == self.count - 1 else value)
            for place, value in zip(places, found.tolist(), strict=True)
        ]

    def curve(self) -> tuple[Array, Array]:
        """Return values, ascending, and the share of all that is no larger; within the parts of the histogram."""
        there = np.flatnonzero(self._buckets)
        return _lowest(there), np.cumsum(self._buckets[there]) / max(self.count, 1)


def _lowest(buckets: Array) -> Array:
    """Return the least value of each bucket."""
    shift = np.maximum(buckets // _PARTS - 1, 0)
    lowest: Array = (buckets - shift * _PARTS) << shift
    return lowest


class Times:
    """Sums over parts of time that get wider as the span grows: ``sums`` (column, part), from ``first`` × ``width``."""

    def __init__(self, columns: int) -> None:
        self._step = 0
        self.first = 0
        self.sums = np.zeros((columns, 0))

    @property
    def width(self) -> int:
        """Width of a part in microseconds."""
        return _WIDTHS[self._step]

    def add(self, times: Array, columns: list[Array]) -> None:
        """Add what belongs to these times (int64), column by column."""
        if not len(times):
            return
        low, high = int(times.min()), int(times.max())
        while True:
            begin, end = low // self.width, high // self.width + 1
            if self.sums.shape[1]:
                begin, end = min(begin, self.first), max(end, self.first + self.sums.shape[1])
            if end - begin <= _MOST_PARTS:
                break
            self.widen(self._step + 1)
        if self.sums.shape[1]:
            before, after = self.first - begin, end - self.first - self.sums.shape[1]
            self.sums = np.pad(self.sums, ((0, 0), (before, after)))
        else:
            self.sums = np.zeros((len(self.sums), end - begin))
        self.first = begin
        part = times // self.width - begin
        for row, values in enumerate(columns):
            self.sums[row] += np.bincount(part, values, end - begin)

    def widen(self, step: int) -> None:
        """Join parts until they have the width of this step."""
        ratio = _WIDTHS[step] // self.width
        first = self.first // ratio
        part = (self.first + np.arange(self.sums.shape[1])) // ratio - first
        count = int(part[-1]) + 1 if len(part) else 0
        self.sums = np.array([np.bincount(part, row, count) for row in self.sums]).reshape(len(self.sums), count)
        self.first, self._step = first, step

    def within(self, first: int, parts: int) -> Array:
        """Return the sums of so many parts from ``first`` on; what lies elsewhere is left out."""
        found = np.zeros((len(self.sums), parts))
        begin, end = max(self.first, first), min(self.first + self.sums.shape[1], first + parts)
        if begin < end:
            found[:, begin - first : end - first] = self.sums[:, begin - self.first : end - self.first]
        return found

    def standing(self, ends: Ends) -> tuple[Array, Array]:
        """Return what is there at the end of each part (column, part) when ``ends`` takes away, and these times.

        ``self`` holds what comes.
        """
        last = (self.first + self.sums.shape[1]) * self.width
        step, near = self._step, list[Times]()
        while True:
            # Wider parts may end later, and reach ends that were beyond.
            until = -(-last // _WIDTHS[step]) * _WIDTHS[step]
            near = [times for times in ends.levels.values() if times.first * times.width < until]
            widest = max([step, *(times._step for times in near)])
            if widest == step:
                break
            step = widest
        comes, *near = (times._widened(step) for times in [self, *near])
        parts = comes.sums.shape[1]
        left = sum((times.within(comes.first, parts) for times in near), np.zeros_like(comes.sums))
        return np.cumsum(comes.sums - left, axis=1), (comes.first + 1 + np.arange(parts)) * comes.width

    def _widened(self, step: int) -> Times:
        """Return a copy whose parts have the width of this step."""
        copy = Times(0)
        copy._step, copy.first, copy.sums = self._step, self.first, self.sums
        copy.widen(step)
        return copy


class Ends:
    """Sums over times that may lie far from ``origin``: each power of ten of the distance has parts of its own."""

    def __init__(self, columns: int, origin: int) -> None:
        self._columns, self._origin = columns, origin
        self.levels: dict[int, Times] = {}

    def add(self, times: Array, columns: list[Array]) -> None:
        """Add what belongs to these times (int64), column by column."""
        level = np.log10(np.maximum(np.abs(times - self._origin), 1)).astype(np.int64)
        for power in np.unique(level).tolist():
            mine = level == power
            known = self.levels.setdefault(power, Times(self._columns))
            known.add(times[mine], [values[mine] for values in columns])


class Distinct:
    """How many distinct rows there are, from the least of their hashes."""

    def __init__(self) -> None:
        self._hashes = np.zeros(0, np.uint64)

    def add(self, rows: pl.DataFrame) -> None:
        """Take rows."""
        hashes = rows.select(pl.struct(pl.all()).hash()).to_series().to_numpy()
        self._hashes = np.unique(np.concatenate([self._hashes, hashes]))[:_HASHES]

    @property
    def exact(self) -> bool:
        """Whether the count is exact."""
        return len(self._hashes) < _HASHES

    @property
    def count(self) -> int:
        """About how many there are."""
        if self.exact:
            return len(self._hashes)
        return round((_HASHES - 1) * 2.0**64 / float(self._hashes[-1]))
