"""Chains of a hash table."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

Rows = np.ndarray[Any, Any]


@cache
def ahead(load: float) -> tuple[Rows, Rows]:
    """Return how many entries stand before a random one in its chain (float64), and how often that is so.

    ``load`` is entries to buckets. Chains are filled at random, so their lengths are of Poisson's law X; k entries
    stand before a random one with the probability P(X > k) / load, and load / 2 on the average.
    """
    if load <= 0:
        return np.zeros(1), np.ones(1)
    most = int(load + 12 * np.sqrt(load) + 20)
    lengths = np.arange(most + 1)
    logs = lengths * np.log(load) - load - np.concatenate([[0.0], np.cumsum(np.log(lengths[1:]))])
    longer = np.cumsum(np.exp(logs)[::-1])[::-1][1:]
    return lengths[:-1].astype(np.float64), longer / longer.sum()
