"""The floor: what memory bandwidth and arithmetic of this machine allow, whatever the code."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np

#: What scoring one node reads (cpu and memory: offered, requested, and as the scores count them) and divides.
BYTES, DIVISIONS = 48, 4
_FAR, _NEAR = 1 << 24, 5_000
_RUNS = 7


@dataclass(frozen=True)
class Floor:
    """Bytes read a second from memory (``far``) and from cache (``near``), and divisions a second, on one core."""

    far: float
    near: float
    divisions: float

    def pods_per_second(self, nodes: int) -> float:
        """Return how many pods a second could each look at so many nodes in cache, and do no more."""
        return 1 / (nodes * (BYTES / self.near + DIVISIONS / self.divisions))


@numba.njit(error_model="numpy", fastmath=True)
def _sum(values: Any, turns: int) -> float:
    total = 0.0
    for turn in range(turns):
        part = 0.0
        for i in range(len(values)):
            part += values[i]
        total += part * turn
    return total


@numba.njit(error_model="numpy")
def _divide(values: Any, out: Any, turns: int) -> None:
    for turn in range(turns):
        asked = float(turn)
        for i in range(len(values)):
            out[i] = asked / values[i]


def _least(work: Callable[[], object]) -> float:
    work()
    found = []
    for _ in range(_RUNS):
        began = time.perf_counter()
        work()
        found.append(time.perf_counter() - began)
    return min(found)


def measure() -> Floor:
    """Measure this machine: about a second."""
    far, near, out = np.ones(_FAR), np.ones(_NEAR), np.ones(_NEAR)
    turns = 2_000
    return Floor(
        far.nbytes / _least(lambda: _sum(far, 1)),
        near.nbytes * turns / _least(lambda: _sum(near, turns)),
        _NEAR * turns / _least(lambda: _divide(near, out, turns)),
    )
