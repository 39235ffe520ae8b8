"""The reference kernel: about the memory traffic and arithmetic of full scans, and nothing else of kscale.

A time over the kernel's own says less of the machine, and of what else runs on it, than the time alone. It is made of
numpy's passes, so that nothing has to be compiled for it.
"""

from __future__ import annotations

import time
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

#: Nodes of a scan; columns, which are read three at a time: capacity, use, another amount.
NODES, COLUMNS = 5_000, 12
#: What ``seconds`` times: so many scans, so many times.
SCANS, ROUNDS = 100, 5


@cache
def _columns() -> npt.NDArray[Any]:
    return np.random.default_rng(1).uniform(10.0, 20.0, (COLUMNS, NODES))


def scan(times: int) -> float:
    """Scan the nodes so many times; return a sum of what was found, so that nothing of it is idle."""
    columns, total = _columns(), 0.0
    sums, left, over = np.zeros(NODES), np.empty(NODES), np.empty(NODES, bool)
    for number in range(times):
        asked = float(number & 7)
        for first in range(0, COLUMNS, 3):
            capacity, used, other = columns[first : first + 3]
            np.subtract(capacity, used, out=left)
            np.subtract(left, asked, out=left)
            np.multiply(left, 100.0, out=left)
            np.divide(left, capacity, out=left)
            np.less_equal(other, asked, out=over)
            np.copyto(left, 1.0, where=over)
            np.add(sums, left, out=sums)
        total += float(sums[number % NODES])
    return total


def seconds() -> float:
    """Return the wall seconds of ``SCANS`` scans, the least of ``ROUNDS``: a twentieth of a second goes into it."""
    scan(1)
    least = np.inf
    for _ in range(ROUNDS):
        began = time.perf_counter()
        scan(SCANS)
        least = min(least, time.perf_counter() - began)
    return float(least)
