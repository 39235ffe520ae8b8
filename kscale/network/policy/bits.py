"""Sets as rows of bits: 64 members to a word, member ``i`` is bit ``i % 64`` of word ``i // 64``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

Bits = npt.NDArray[np.uint64]
Flags = npt.NDArray[np.bool_]
#: Bytes that a step may take for what it unpacks.
_ROOM = 1 << 24


def words(members: int) -> int:
    """Return how many words hold so many members."""
    return -(-members // 64)


def packed(flags: Flags) -> Bits:
    """Return flags, shape (..., members), as bits, shape (..., words)."""
    members = flags.shape[-1]
    room = np.zeros((*flags.shape[:-1], 8 * words(members)), np.uint8)
    room[..., : -(-members // 8)] = np.packbits(flags, axis=-1, bitorder="little")
    return room.view("<u8").astype(np.uint64, copy=False)


def unpacked(bits: Bits, members: int) -> Flags:
    """Return bits, shape (..., words), as flags, shape (..., members)."""
    octets = np.ascontiguousarray(bits).astype("<u8", copy=False).view(np.uint8)
    return np.unpackbits(octets, axis=-1, count=members, bitorder="little").view(np.bool_)


def has(bits: Bits, rows: npt.NDArray[Any] | int, members: npt.NDArray[Any] | int) -> Flags:
    """Tell whether rows of bits, shape (rows, words), have members; the two are paired off."""
    place = np.asarray(members, np.int64)
    word = bits[rows, place >> 6]
    return ((word >> (place & 63).astype(np.uint64)) & np.uint64(1)).astype(np.bool_)


def stripes(rows: int, width: int) -> Iterator[tuple[int, int]]:
    """Yield ranges of rows whose flags, ``width`` to a row, take no more than 16 MiB."""
    step = max(_ROOM // max(width, 1), 1)
    for first in range(0, rows, step):
        yield first, min(first + step, rows)


def transposed(bits: Bits, members: int) -> Bits:
    """Return the transpose of bits, shape (rows, words of members), as shape (members, words of rows)."""
    rows = bits.shape[0]
    result = np.zeros((members, words(rows)), np.uint64)
    for first, last in stripes(words(members), 64 * rows):
        upto = min(64 * last, members)
        flags = unpacked(bits[:, first:last], upto - 64 * first)
        result[64 * first : upto] = packed(np.ascontiguousarray(flags.T))
    return result


def alike(bits: Bits) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the first row of each kind of rows, ascending, and for each row the place of its kind among them."""
    if not bits.shape[1]:
        return np.zeros(min(bits.shape[0], 1), np.int64), np.zeros(bits.shape[0], np.int64)
    # As opaque bytes: each row is one thing to compare.
    opaque = np.ascontiguousarray(bits).view(np.dtype((np.void, 8 * bits.shape[1])))[:, 0]
    _, first, place = np.unique(opaque, return_index=True, return_inverse=True)
    order = np.argsort(first, kind="stable")
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    return first[order].astype(np.int64), rank[place.ravel()]


def unions(bits: Bits, members: Bits) -> Bits:
    """Return for each row of ``members``, a set of rows of ``bits``, the union of those rows."""
    result = np.zeros((members.shape[0], bits.shape[1]), np.uint64)
    for first, last in stripes(members.shape[0], bits.shape[0]):
        for row, chosen in enumerate(unpacked(members[first:last], bits.shape[0]), first):
            result[row] = np.bitwise_or.reduce(bits[chosen], axis=0)
    return result
