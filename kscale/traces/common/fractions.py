"""Kinds of machines whose sizes are told only by what fraction of each a thing takes.

Half of one machine may be a quarter of another: then the other is twice as large. Sizes are relative to the machine on
which most things may run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Floats = np.ndarray[Any, np.dtype[np.float64]]
Ints = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True)
class Sizes:
    """Sizes in one dimension.

    Attributes:
        machines: of each machine; 1.0 of the one with most things, and where nothing relates it to another one.
        things: of each thing, the largest that its fractions say; 0.0 where none says it.
        spread: by how much, relatively, the fractions of a thing differ at most; 0.0 when all agree.
    """

    machines: Floats
    things: Floats
    spread: float


def most_used(machine: Ints, count: int) -> Ints:
    """Return the machines by how many things may run on them, most first; equal ones in their order."""
    return np.argsort(-np.bincount(machine, minlength=count), kind="stable")


def sizes(thing: Ints, machine: Ints, fraction: Floats, things: int, machines: int) -> Sizes:
    """Return the sizes that follow from rows: a ``thing`` takes a ``fraction`` of a ``machine``; NaN is not said.

    Machines are taken one by one, each time the one that has most things in common with those that are known; its size
    is the median of what these things say.
    """
    told = fraction > 0
    thing, machine, fraction = thing[told], machine[told], fraction[told]
    size, amount = np.ones(machines), np.full(things, np.nan)
    open_ = np.ones(machines, np.bool_)
    order = most_used(machine, machines)
    rank = np.empty(machines, np.int64)
    rank[order] = np.arange(machines)
    while open_.any():
        known = ~np.isnan(amount[thing]) & open_[machine]
        common = np.bincount(machine[known], minlength=machines)
        candidates = np.flatnonzero(open_)
        one = candidates[np.lexsort((rank[candidates], -common[candidates]))[0]]
        if common[one]:
            rows = known & (machine == one)
            size[one] = np.median(amount[thing[rows]] / fraction[rows])
        open_[one] = False
        rows = (machine == one) & np.isnan(amount[thing])
        amount[thing[rows]] = fraction[rows] * size[one]
    said = fraction * size[machine]
    largest, least = np.zeros(things), np.full(things, np.inf)
    np.maximum.at(largest, thing, said)
    np.minimum.at(least, thing, said)
    spread = float((largest[thing] / least[thing]).max(initial=1.0) - 1.0)
    return Sizes(size, largest, spread)
