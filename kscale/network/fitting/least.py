"""Linear least squares with weights, of which some coefficients may not be negative.

A problem has few columns: the best choice of those that are not zero is found by trying all (Lawson and Hanson, Solving
Least Squares Problems, chapter 23: the solution is the plain one on the columns that are not zero).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

Rows = np.ndarray[Any, Any]
#: A column is held to be a sum of others where no more than this part of its length is its own.
_OWN = 1e-6


@dataclass(frozen=True)
class Solution:
    """What was found.

    Attributes:
        values: float64, one a column.
        errors: float64, standard errors; NaN where there are as many columns as rows, 0 for what is held at zero.
        said: float64, one a row: what the columns give.
    """

    values: Rows
    errors: Rows
    said: Rows


def independent(columns: Rows) -> list[bool]:
    """Return for each column (float64, row by column) whether it is no sum of those before it."""
    found: list[bool] = []
    basis = np.zeros((columns.shape[0], 0))
    for column in columns.T:
        length = float(np.sqrt((column**2).sum()))
        rest = column.copy()
        for _ in range(2):  # once more, for what rounding left
            rest = rest - basis @ (basis.T @ rest)
        own = float(np.sqrt((rest**2).sum()))
        found.append(length > 0 and own > _OWN * length)
        if found[-1]:
            basis = np.column_stack([basis, rest / own])
    return found


def solve(columns: Rows, values: Rows, weights: Rows, free: list[bool]) -> Solution:
    """Return the coefficients with the least sum of ``weights`` times squared misses.

    ``columns`` is float64, row by column, with independent columns; ``values`` and ``weights`` have one number a row.
    A column that is not ``free`` gets no negative coefficient. The same input gives the same bits.
    """
    root = np.sqrt(weights)
    scaled, wanted = columns * root[:, None], values * root
    bound = [place for place, one in enumerate(free) if not one]
    best: tuple[float, list[int], Rows] | None = None
    for size in range(len(bound), -1, -1):
        for chosen in combinations(bound, size):
            used = [place for place, one in enumerate(free) if one or place in chosen]
            found = np.linalg.lstsq(scaled[:, used], wanted, rcond=None)[0] if used else np.zeros(0)
            if any(found[k] < 0 for k, place in enumerate(used) if place in chosen):
                continue
            missed = float(((wanted - scaled[:, used] @ found) ** 2).sum())
            if best is None or missed < best[0]:
                best = missed, used, found
    assert best is not None, "no bound column at all is a choice as well"
    missed, used, found = best
    result, errors = np.zeros(len(free)), np.zeros(len(free))
    result[used] = found
    errors[used] = _errors(scaled[:, used], missed)
    return Solution(result, errors, columns @ result)


def _errors(scaled: Rows, missed: float) -> Rows:
    """Return standard errors: the misses stand for how far off a value is."""
    spare = scaled.shape[0] - scaled.shape[1]
    if spare <= 0:
        return np.full(scaled.shape[1], np.nan)
    # Of columns of length one: their own lengths may be decades apart.
    lengths = np.sqrt((scaled**2).sum(axis=0))
    unit = scaled / lengths
    return np.asarray(np.sqrt(missed / spare * np.diag(np.linalg.inv(unit.T @ unit))) / lengths)
