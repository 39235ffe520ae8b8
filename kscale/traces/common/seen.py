"""Hashes that were seen before, in a stream of any length: eight bytes each, in sorted runs that merge as they grow."""

from __future__ import annotations

from typing import Any

import numpy as np

Hashes = np.ndarray[Any, np.dtype[np.uint64]]


class Seen:
    """A set of 64-bit numbers that is asked and filled batch by batch.

    Runs are merged with runs of their length, so that there are few of them and each number is moved seldom.
    """

    def __init__(self) -> None:
        self._runs: list[Hashes] = []
        self._waiting: list[Hashes] = []

    def before(self, hashes: Hashes) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Return which of these were added before."""
        self._settle()
        found = np.zeros(len(hashes), np.bool_)
        order = np.argsort(hashes)
        ascending = hashes[order]
        for run in self._runs:
            place = np.searchsorted(run, ascending)
            found[order] |= run[np.minimum(place, len(run) - 1)] == ascending
        return found

    def add(self, hashes: Hashes) -> None:
        """Take the hashes of a batch; they are sorted when somebody asks."""
        if len(hashes):
            self._waiting.append(hashes)

    def _settle(self) -> None:
        for hashes in self._waiting:
            self._runs.append(np.sort(hashes))
            while len(self._runs) > 1 and len(self._runs[-2]) <= 2 * len(self._runs[-1]):
                last = self._runs.pop()
                self._runs[-1] = np.sort(np.concatenate([self._runs[-1], last]), kind="stable")
        self._waiting = []
