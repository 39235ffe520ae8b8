"""Hashes that were seen before, in a stream of any length: eight bytes each, in sorted runs that merge as they grow.

Beside them stands a table of bits, one for each of equal parts of all hashes: most that are new fall into a part where
none was, and need no search. It takes one to two bytes a hash.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Hashes = np.ndarray[Any, np.dtype[np.uint64]]
#: Bits of the table for each hash, at least; one in so many that are new is searched for in vain.
_BITS = 8
#: Logarithm of the fewest bits of a table.
_LEAST = 10


class Seen:
    """A set of 64-bit numbers that is asked and filled batch by batch; fastest where a batch ascends.

    Runs are merged with runs of their length, so that there are few of them and each number is moved seldom.
    """

    def __init__(self) -> None:
        self._runs: list[Hashes] = []
        self._waiting: list[Hashes] = []
        self._size = _LEAST
        self._bits = np.zeros((1 << self._size) // 8, np.uint8)

    def before(self, hashes: Hashes) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Return which of these were added before."""
        self._settle()
        byte, bit = self._places(hashes)
        found = (self._bits[byte] & bit) != 0
        maybe = np.flatnonzero(found)
        maybe = maybe[np.argsort(hashes[maybe], kind="stable")]  # neighbours are found near each other in a run
        wanted = hashes[maybe]
        there = np.zeros(len(wanted), np.bool_)
        for run in self._runs:
            place = np.searchsorted(run, wanted)
            there |= run[np.minimum(place, len(run) - 1)] == wanted
        found[maybe] = there
        return found

    def add(self, hashes: Hashes) -> None:
        """Take the hashes of a batch; they are sorted when somebody asks."""
        if len(hashes):
            self._waiting.append(hashes)

    def _settle(self) -> None:
        for hashes in self._waiting:
            fresh = np.sort(hashes)
            self._runs.append(fresh)
            while len(self._runs) > 1 and len(self._runs[-2]) <= 2 * len(self._runs[-1]):
                last = self._runs.pop()
                self._runs[-1] = np.sort(np.concatenate([self._runs[-1], last]), kind="stable")
            self._mark(fresh)
        self._waiting = []

    def _mark(self, fresh: Hashes) -> None:
        """Set the bits of a new run; a table that has become too small is made anew of all runs."""
        total, marked = sum(map(len, self._runs)), [fresh]
        if total * _BITS > 1 << self._size:
            self._size = (total * _BITS).bit_length()
            self._bits = np.zeros((1 << self._size) // 8, np.uint8)
            marked = self._runs
        for hashes in marked:
            byte, bit = self._places(hashes)
            np.bitwise_or.at(self._bits, byte, bit)

    def _places(self, hashes: Hashes) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """Return which byte of the table is that of each hash, and its bit there."""
        part = (hashes >> np.uint64(64 - self._size)).astype(np.int64)
        return part >> 3, np.left_shift(1, part & 7).astype(np.uint8)
