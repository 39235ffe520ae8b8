"""How long changes take to reach the nodes' rules: quantiles of each, and histograms of all.

``BOUNDS_US`` are the buckets of ``kubeproxy_network_programming_duration_seconds`` (pkg/proxy/metrics): a latency falls
into the first whose bound is not below it. The fine histogram has places of 1,024 us up to 268 s, then of 1.05 s; what
is above 76 minutes is in the last one.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from kscale.kernels import kernel

Rows = np.ndarray[Any, Any]
_SECOND_US = 1_000_000
#: Upper bounds of the buckets, the last one left out: it has none.
BOUNDS_US = np.array([0, 250_000, 500_000, *(s * _SECOND_US for s in (*range(1, 60), *range(60, 120, 5))),
                      *(s * _SECOND_US for s in range(120, 301, 30))])  # fmt: skip
#: All bounds are whole steps.
_STEP_US = 250_000
_STEPS = int(BOUNDS_US[-1]) // _STEP_US
#: The bucket of each number of steps, rounded up; one more is above all bounds.
PLACES = np.searchsorted(BOUNDS_US, np.arange(_STEPS + 2) * _STEP_US)
_NARROW, _WIDE, _TURN = 10, 20, 1 << 18
_SIZE = _TURN + (1 << 12)


def fine_histogram() -> Rows:
    """Return an empty fine histogram, int64."""
    return np.zeros(_SIZE, np.int64)


def fine_quantiles(fine: Rows, shares: Any) -> Rows:
    """Return quantiles of a fine histogram in us, each the end of the place that it falls into; -1 of an empty one."""
    used = np.flatnonzero(fine)
    if not len(used):
        return np.full(len(shares), -1)
    summed = np.cumsum(fine[used])
    ranks = np.maximum(np.ceil(np.asarray(shares) * summed[-1]), 1)
    place = used[np.searchsorted(summed, ranks)]
    narrow, wide = (place + 1) << _NARROW, (place - _TURN + (1 << (28 - _WIDE)) + 1) << _WIDE
    return np.where(place < _TURN, narrow, wide)


@kernel
def select(values: Any, first: int, last: int, rank: int) -> int:
    """Return the value of a rank, from 0, of a part of ``values``, which is put in order around it (Hoare's FIND)."""
    low, high = first, last - 1
    while low < high:
        middle = values[(low + high) // 2]
        left, right = low, high
        while left <= right:
            while values[left] < middle:
                left += 1
            while middle < values[right]:
                right -= 1
            if left <= right:
                values[left], values[right] = values[right], values[left]
                left += 1
                right -= 1
        if right < rank:
            low = left
        if rank < left:
            high = right
    return values[rank]


@kernel
def weigh(
    seen_us: Any, trigger_us: Any, measured: Any, ranks: Any, quantiles: Any, total_us: Any, buckets: Any, fine: Any,
    places: Any,
) -> None:  # fmt: skip
    """Take each change's quantiles over nodes, and count all latencies; ``seen_us`` (change, node) is put out of order.

    ``ranks``: ascending places among the nodes in order; ``quantiles`` has the shape (change, rank). ``total_us`` is
    the sum of a change's latencies. ``buckets`` (2, bucket): of all changes, and of those that are ``measured``;
    ``places`` is ``PLACES``.
    """
    count = seen_us.shape[1]
    for change in range(seen_us.shape[0]):
        row, trigger, kind = seen_us[change], trigger_us[change], measured[change]
        total = 0
        for node in range(count):
            latency = row[node] - trigger
            total += latency
            fine[latency >> 10 if latency < 1 << 28 else min((1 << 18) - 256 + (latency >> 20), len(fine) - 1)] += 1
            step = min((latency + 249_999) // 250_000, len(places) - 1)
            buckets[0, places[step]] += 1
            buckets[1, places[step]] += kind
        total_us[change] = total
        done = 0
        for place in range(len(ranks)):
            quantiles[change, place] = select(row, done, count, ranks[place]) - trigger
            done = ranks[place]
