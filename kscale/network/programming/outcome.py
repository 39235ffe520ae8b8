"""What became of changes: the latency of each over nodes, of all of them over time, and as kube-proxy's own metric."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from kscale.network.programming.compiled import passes
from kscale.network.programming.latencies import BOUNDS_US, PLACES, fine_histogram, fine_quantiles
from kscale.network.programming.proxies import Known, Proxies
from kscale.network.programming.spreading import Spreading

Rows = np.ndarray[Any, Any]
#: Shares of the nodes (of a change), and of all latencies (of an interval), whose quantiles are told.
CHANGE_SHARES = (0.5, 0.99, 1.0)
INTERVAL_SHARES = (0.5, 0.9, 0.99)
_BLOCK = 16


@dataclass(frozen=True)
class Interval:
    """Changes that were written in one interval, and their latencies on all nodes.

    Attributes:
        begin_us: of the interval.
        changes: how many.
        total_us: sum of the latencies.
        quantiles_us: by ``INTERVAL_SHARES``, up to 1 ms above (1.05 s above 268 s); never above the most.
        most_us: the longest.
    """

    begin_us: int
    changes: int
    total_us: int
    quantiles_us: tuple[int, ...]
    most_us: int


class Outcome:
    """Takes what becomes known, batch by batch.

    Attributes:
        buckets: int64 (2, bucket), latencies by ``BOUNDS_US`` and above these: all, and those that the metric counts.
        intervals: those that are over.
    """

    def __init__(self, proxies: Proxies, interval_us: int, *, compiled: bool = True, threads: int = 1) -> None:
        """Take whose latencies they are, and how long an interval is."""
        self._proxies, self._interval_us = proxies, interval_us
        self._passes, self._spread = passes(compiled), Spreading(threads)
        nodes = len(proxies.nodes)
        self._ranks = np.array([max(int(np.ceil(share * nodes)) - 1, 0) for share in CHANGE_SHARES])
        self.buckets = np.zeros((2, len(BOUNDS_US) + 1), np.int64)
        self.intervals: list[Interval] = []
        self._fine, self._whole = [fine_histogram() for _ in range(threads)], fine_histogram()
        self._begin_us, self._changes, self._total_us, self._most_us = -1, 0, 0, 0
        self._longest_us = 0

    def take(self, known: Known) -> tuple[Rows, Rows]:
        """Take changes that every node knows.

        Return the quantiles of each over nodes, by ``CHANGE_SHARES``, int64 (change, share), and the sum of its
        latencies, int64 (change,).
        """
        written, count = known.changes.written_us, len(known.changes)
        quantiles, total = np.empty((count, len(CHANGE_SHARES)), np.int64), np.empty(count, np.int64)
        begin = written // self._interval_us * self._interval_us
        cuts = [0, *(np.flatnonzero(np.diff(begin)) + 1).tolist(), count] if count else [0]
        for first, last in pairwise(cuts):
            if begin[first] != self._begin_us:
                self.close()
                self._begin_us = int(begin[first])
            self._weigh(known, first, last, quantiles, total)
            self._changes += last - first
            self._total_us += int(total[first:last].sum())
            self._most_us = max(self._most_us, int(quantiles[first:last, -1].max()))
        return quantiles, total

    def close(self) -> None:
        """Close the interval that is open: nothing more comes that was written in it."""
        if self._begin_us >= 0:
            fine = np.add.reduce(self._fine)
            found = np.minimum(fine_quantiles(fine, INTERVAL_SHARES), self._most_us)
            self.intervals.append(
                Interval(self._begin_us, self._changes, self._total_us, tuple(found.tolist()), self._most_us)
            )
            self._whole += fine
            self._longest_us = max(self._longest_us, self._most_us)
            for one in self._fine:
                one[:] = 0
        self._begin_us, self._changes, self._total_us, self._most_us = -1, 0, 0, 0

    def quantiles_us(self, shares: Sequence[float]) -> Rows:
        """Return quantiles of all latencies of the intervals that are closed, int64; -1 where there are none."""
        return np.minimum(fine_quantiles(self._whole, shares), self._longest_us if self.intervals else -1)

    def _weigh(self, known: Known, first: int, last: int, quantiles: Rows, total: Rows) -> None:
        changes = known.changes

        def part(number: int, begin: int, end: int) -> Rows:
            buckets = np.zeros_like(self.buckets)
            for low in range(first + begin, first + end, _BLOCK):
                of = slice(low, min(low + _BLOCK, first + end))
                seen = self._proxies.seen_us(known.first + of.start, known.first + of.stop)
                self._passes.weigh(
                    seen, changes.trigger_us[of], changes.measured[of], self._ranks, quantiles[of], total[of], buckets,
                    self._fine[number], PLACES,
                )  # fmt: skip
            return buckets

        self.buckets += np.add.reduce(self._spread.over(last - first, len(self._proxies.nodes), part))
