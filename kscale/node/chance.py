"""Chance of the room: bits that follow from the seed and what they are for, so that a run repeats bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np

from kscale.kernels import kernel

#: What bits are for.
CRASH_AT_ONCE, CRASH_LATER, REQUEUE, PULL_REQUEUE, RELIST = range(5)
#: The natural logarithm of 2 in 65536ths.
_LN2 = 45_426


@kernel
def bits_of(row: int, count: int, use: int, cluster_seed: Any) -> Any:
    """Return 63 random bits for the pod (or node) ``row``, its ``count``-th draw of this use: SplitMix64."""
    bits = cluster_seed[0] ^ (np.uint64(use + 1) * np.uint64(0xA24BAED4963EE407))
    bits += np.uint64(row + 1) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(count) * np.uint64(0xD1B54A32D192ED03)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.int64((bits ^ (bits >> np.uint64(31))) >> np.uint64(1))


@kernel
def exponential(bits: int, mean_us: int) -> int:
    """Return a time of this mean, exponentially distributed to one percent, from 63 random bits.

    In whole numbers, since compiled and plain logarithms may differ in their last digit: the logarithm of 2^n (1 + f)
    is taken to be n + f + 0.344 f (1 - f).
    """
    halvings = 0
    while bits < 1 << 62 and halvings < 62:
        bits <<= 1
        halvings += 1
    fraction = (bits >> 46) & 0xFFFF
    logarithm = fraction + ((22_545 * ((fraction * (65_536 - fraction)) >> 16)) >> 16)
    drawn = ((halvings + 1) << 16) - logarithm
    return ((((mean_us >> 8) * drawn) >> 16) * _LN2 >> 16) << 8
