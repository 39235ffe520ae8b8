"""The pods in the order of their arrival, as the loop takes them: portion by portion, and nothing is copied whole."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from kscale.engine.pods import UNKNOWN_START
from kscale.engine.scratch import stretches

Numbers = np.ndarray[Any, Any]


class Source(Protocol):
    """The pods of a trace, by their row."""

    @property
    def height(self) -> int:
        """How many there are."""
        ...

    @property
    def spec(self) -> Numbers:
        """The spec of each."""
        ...

    def numbers(self, name: str, rows: slice | Numbers) -> Numbers:
        """Return ``arrival_us``, ``duration_us`` or ``end_us`` of these rows; -1 where it is not known."""
        ...


class Arrivals:
    """The pods by time; equal times in the order of the trace.

    ``inflate``: one a second, and nothing ends; ``recorded``: pods end when the trace says. ``bound`` gives the node of
    each pod, -1 where it is pending, and when its time there began; without it, all are pending. ``owned`` gives what
    controls each pod, and its number; it may be set later.
    """

    owned: tuple[Numbers, Numbers] | None = None

    def __init__(
        self, source: Source, *, inflate: bool, recorded: bool, bound: tuple[Numbers, Numbers] | None = None
    ) -> None:
        self._source, self._inflate, self._recorded, self._bound = source, inflate, recorded, bound
        self.count = source.height
        self._order = self._sorted()
        self._times = self._one_a_second() if inflate else None

    def _sorted(self) -> Numbers | None:
        """Return the rows by time, or None where they stand so already."""
        times = self._source.numbers("arrival_us", slice(0, self.count))
        if (times[1:] >= times[:-1]).all():
            return None
        return np.argsort(times, kind="stable").astype(np.uint32)

    def _one_a_second(self) -> Numbers:
        """Return the times of the places; a pod that is bound already takes none."""
        if self._bound is None:
            return np.arange(self.count, dtype=np.int64) * 1_000_000
        node = self._bound[0] if self._order is None else self._bound[0][self._order]
        return np.cumsum(node < 0) * 1_000_000

    def portion(self, first: int, last: int) -> dict[str, Numbers]:
        """Return the columns of the loop's table of arrivals for these places."""
        rows: Any = slice(first, last) if self._order is None else self._order[first:last]
        size = last - first
        unknown = np.full(size, -1, np.int64)
        node, begun = np.full(size, -1, np.int32), np.full(size, UNKNOWN_START, np.int64)
        if self._bound is not None:
            node, begun = (values[rows] for values in self._bound)
        known = self._source.numbers
        owned = {} if self.owned is None else {"owner": self.owned[0][rows], "number": self.owned[1][rows]}
        return {
            "time_us": known("arrival_us", rows) if self._times is None else self._times[first:last],
            "template": self._source.spec[rows].astype(np.int32),
            "duration_us": unknown if self._inflate else known("duration_us", rows),
            "end_us": known("end_us", rows) if self._recorded and not self._inflate else unknown,
            "node": node, "begun_us": begun,
            "trace_row": np.arange(first, last, dtype=np.int64) if self._order is None else rows, **owned,
        }  # fmt: skip

    def replayed(self) -> Numbers | None:
        """Return for each row of the trace when it arrives, where that is not what the trace says."""
        if self._times is None or self._order is None:
            return self._times
        result = np.empty(self.count, np.int64)
        result[self._order] = self._times
        return result

    def last_us(self) -> int:
        """Return when the last pod would end if none waited; at least 1."""
        result = 1
        for first, last in stretches(self.count):
            found = self.portion(first, last)
            ends = found["time_us"] + np.maximum(found["duration_us"], 0)
            result = max(result, int(ends.max(initial=0)), int(found["end_us"].max(initial=0)))
        return result

    def living(self) -> int:
        """Return how many pods are likely to live at once: those that never end, and a quarter more than the mean."""
        if self._inflate:
            return self.count
        lasting, total, begin, end = 0, 0.0, 1 << 62, -1
        for first, last in stretches(self.count):
            rows = slice(first, last)
            times = self._source.numbers("arrival_us", rows)
            lasts = self._source.numbers("duration_us", rows)
            if self._recorded:
                ends = self._source.numbers("end_us", rows)
                lasts = np.where(ends >= 0, ends - times, -1)
            begin, end = min(begin, int(times.min(initial=begin))), max(end, int(times.max(initial=end)))
            lasting += int((lasts < 0).sum())
            total += float(lasts[lasts >= 0].sum(dtype=np.float64))
        return int(lasting + 1.25 * total / (max(end - begin, 0) + 1) + 64)
