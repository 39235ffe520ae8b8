"""The reference kernel: about the memory traffic and arithmetic of one full scan, and nothing of kscale.

A workload's time is told as a ratio to it, measured in turn with it, so that a slow or busy machine slows both.
"""

from __future__ import annotations

import time
from typing import Any

import numba
import numpy as np

NODES, PODS, COLUMNS = 5_000, 2_000, 12


@numba.njit(error_model="numpy", nogil=True)
def _scan(columns: Any, out: Any, pods: int) -> float:
    total = 0.0
    for pod in range(pods):
        asked = float(pod & 7)
        for column in range(0, len(columns), 3):
            capacity, used, other = columns[column], columns[column + 1], columns[column + 2]
            for i in range(len(out)):
                left = 100.0 * (capacity[i] - used[i] - asked) / capacity[i]
                out[i] += left if other[i] > asked else 1.0
        total += out[pod % len(out)]
    return total


_COLUMNS = np.random.default_rng(1).uniform(10.0, 20.0, (COLUMNS, NODES))


def reference_seconds(pods: int = PODS) -> float:
    """Run the reference kernel once and return its processor seconds."""
    out = np.zeros(NODES)
    began = time.process_time()
    _scan(_COLUMNS, out, pods)
    return time.process_time() - began
