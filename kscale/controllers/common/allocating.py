"""Giving out numbers of a range: stated ones first, then the lowest that are free.

Kubernetes draws at random from the upper band, and from the lower one when that is used up. Here the lowest free number
takes the place of a draw: nothing that kscale tells depends on which it is, and a run gives the same ones each time.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from kscale.controllers.common.addresses import Band

Rows = np.ndarray[Any, Any]


def lowest_free(band: Band, taken: Rows, count: int) -> Rows:
    """Return up to ``count`` numbers of a range that are free, in the order in which they are given out.

    ``taken`` (int64, in any order) may have numbers twice, or of other ranges. It costs by how many are taken and asked
    for, not by the size of the range.
    """
    offset = taken[(taken >= band.first) & (taken < band.first + band.size)] - band.first
    upper = _free(offset[offset >= band.static] - band.static, band.size - band.static, count) + band.static
    lower = _free(offset[offset < band.static], band.static, count - len(upper))
    return np.concatenate([upper, lower]) + band.first


def _free(taken: Rows, size: int, count: int) -> Rows:
    """Return up to ``count`` of the lowest numbers from 0 to below ``size`` that are not taken."""
    # So many of the first numbers hold enough free ones, whichever are taken.
    size = min(size, len(taken) + count)
    free = np.ones(size, bool)
    free[taken[taken < size]] = False
    return np.flatnonzero(free)[:count]


def first_claims(asked: Rows, who: Rows, taken: Rows) -> Rows:
    """Tell which claims on numbers are granted (bool): the number is not taken, nor claimed before by somebody else.

    ``asked`` and ``who`` are int64 (claim,) in the order in which they come; one may claim a number twice.
    """
    if not len(asked):
        return np.zeros(0, bool)
    numbers, first, place = np.unique(asked, return_index=True, return_inverse=True)
    granted: Rows = (who[first][place] == who) & ~np.isin(numbers, taken)[place]
    return granted
