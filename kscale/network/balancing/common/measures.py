"""How even a run is, and how long its tail: figures of what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kscale.errors import InputError
from kscale.network.balancing.common.inputs import Lives
from kscale.network.balancing.common.running import Balanced


@dataclass(frozen=True)
class Evenness:
    """How evenly something is shared out; without anything to share, all of it is even.

    Attributes:
        most_over_mean: the largest share over the mean: 1 is even, the number of sharers is one for all.
        variation: standard deviation over the mean: 0 is even.
        jain: Jain's index, (sum)^2 / (n x sum of squares): 1 is even, 1/n is one for all (Jain, Chiu and Hawe, 1984).
    """

    most_over_mean: float
    variation: float
    jain: float


def evenness(shares: Any, weights: Any = None) -> Evenness:
    """Return how even shares are, each divided by its weight where there are weights (positive ones).

    ``shares`` are what endpoints got: connections, busy time, most active at once. Raises InputError.
    """
    values = np.asarray(shares, np.float64)
    if values.ndim != 1 or not values.size:
        raise InputError("there is nobody to share", field="shares", expected="one value for each endpoint")
    if weights is not None:
        divisors = np.asarray(weights, np.float64)
        if divisors.shape != values.shape or not (divisors > 0).all():
            raise InputError("a share has no weight", field="weights", expected="a positive weight for each share")
        values = values / divisors
    most, mean = float(values.max()), float(values.mean())
    if most == 0:
        return Evenness(1.0, 0.0, 1.0)
    scaled = values / most  # so that no square is too large
    return Evenness(
        most / mean, float(values.std()) / mean, float(scaled.sum() ** 2 / (len(scaled) * (scaled**2).sum()))
    )


def wait_quantiles(balanced: Balanced, quantiles: Sequence[float]) -> list[int]:
    """Return how long connections waited that were served, us, by nearest rank; without any, zeros.

    Raises InputError for a quantile that is not between 0 and 1.
    """
    if any(not 0 <= quantile <= 1 for quantile in quantiles):
        raise InputError("is no share", field="quantiles", expected="numbers from 0 to 1")
    waits = balanced.wait_us[balanced.wait_us >= 0]
    if not waits.size:
        return [0] * len(quantiles)
    return [int(wait) for wait in np.quantile(waits, list(quantiles), method="inverted_cdf")]


def black_hole_us(balanced: Balanced, lives: Lives) -> Any:
    """Return for each endpoint how long after its death a connection still came, us; 0 where none was lost.

    It is counted from the last death before the last lost connection; -1 where the endpoint had not been born by then.
    """
    result = np.zeros(len(balanced.lost), np.int64)
    endpoints, dies = np.asarray(lives.endpoint), np.asarray(lives.dies_us)
    for row in np.flatnonzero(balanced.lost):
        last = balanced.lost_last_us[row]
        deaths = dies[(endpoints == row) & (dies <= last)]
        result[row] = last - deaths.max() if deaths.size else -1
    return result
