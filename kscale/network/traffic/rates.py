"""How many connections a rate comes to: integrals of curves, exact up to rounding."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from kscale.engine.load import Constant, Curve, Points, Sine

Rows = np.ndarray[Any, Any]
#: From thousandths a second to one a microsecond.
_PER_US = 1e-9
#: Cosines are rounded to twelve digits, so that libraries that differ in the last place draw the same.
_DIGITS = 1e12


def cumulative(curve: Curve, times_us: Rows) -> Rows:
    """Return an antiderivative of a rate at times: the difference of two is how many connections are to be expected.

    ``curve`` gives thousandths of a connection a second; ``times_us`` is int64, the result float64 of the same shape.
    """
    if isinstance(curve, Constant):
        return curve.value * _PER_US * times_us
    if isinstance(curve, Sine):
        return _wave(curve, times_us)
    return _points(curve, times_us)


def _points(curve: Points, times_us: Rows) -> Rows:
    times, values = (np.array(column, np.float64) for column in zip(*curve.points, strict=True))
    ends = values[1:] if curve.linear else values[:-1]
    whole = np.append(0.0, np.cumsum((values[:-1] + ends) / 2 * np.diff(times)))
    row = np.maximum(np.searchsorted(times, times_us, "right") - 1, 0)
    # Before the first point and after the last one the rate stays as it is there.
    slopes = np.append((ends - values[:-1]) / np.diff(times), 0.0)
    since = times_us - times[row]
    slope = np.where(since >= 0, slopes[row], 0.0)
    return _PER_US * (whole[row] + values[row] * since + slope * since**2 / 2)


def _wave(curve: Sine, times_us: Rows) -> Rows:
    at = times_us + curve.phase_us
    periods = at // curve.period_us
    angle = math.tau * ((at % curve.period_us) / curve.period_us)
    mean, amplitude = float(curve.mean), float(curve.amplitude)

    def area(angles: Any) -> Any:
        """Integrate mean + amplitude sin from 0."""
        return mean * angles + amplitude * (1 - np.rint(np.cos(angles) * _DIGITS) / _DIGITS)

    if amplitude <= mean:
        within, period = area(angle), math.tau * mean
    else:
        # Below 0 it is cut off: from pi + below up to 2 pi - below.
        below = math.asin(mean / amplitude)
        low, high = math.pi + below, math.tau - below
        skipped = area(high) - area(low)
        within = np.where(angle < high, area(np.minimum(angle, low)), area(angle) - skipped)
        period = area(math.tau) - skipped
    return _PER_US * (curve.period_us / math.tau) * (periods * period + within)
