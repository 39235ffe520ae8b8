"""Hashes and chance: whole numbers alone, so that compiled and plain code agree to the last bit."""

from __future__ import annotations

from typing import Any

import numpy as np

from kscale.kernels import kernel

#: Linux's GOLDEN_RATIO_32 (include/linux/hash.h).
GOLDEN_RATIO = 0x61C88647


@kernel
def mixed(key: int, seed: int) -> Any:
    """Return 64 bits that follow from a key and a seed: SplitMix64's finish (Steele, Lea and Flood, 2014)."""
    bits = np.uint64(seed) + np.uint64(key + 1) * np.uint64(0x9E3779B97F4A7C15)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))


@kernel
def scaled(bits: Any, count: int) -> int:
    """Return a number below ``count`` from 64 random bits: Linux's ``reciprocal_scale`` of the upper 32.

    Each number has a probability of 1/count to within 2^-32, which is what nftables' ``numgen random`` gives.
    """
    return np.int64((bits >> np.uint64(32)) * np.uint64(count) >> np.uint64(32))  # type: ignore[return-value]


@kernel
def bucket(key: int, bits: int) -> int:
    """Return the bucket of a key among 2^bits: Linux's ``hash_32``, of the key's lower 32 bits."""
    return (((key & 0xFFFFFFFF) * GOLDEN_RATIO) & 0xFFFFFFFF) >> (32 - bits)
