"""How long connections last: exponentially, or with a heavy tail as a mixture of exponentials.

A Pareto II (Lomax) duration is an exponential one whose rate is drawn from a gamma distribution. That integral over the
logarithm of the rate is taken as a sum (a trapezoid rule, whose error is below a hundredth for these tails), so that
each connection is in one of few phases, and what is left of it does not depend on how long it has lasted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

Rows = np.ndarray[Any, Any]
#: Phases of a heavy tail; rates halve from one to the next, so that they span eight orders of magnitude.
PHASES = 28


@dataclass(frozen=True)
class Phases:
    """A mixture of exponentials: ``share`` (float64, adding up to 1) and ``mean_us`` (float64) by phase.

    Without a phase, connections are over at once.
    """

    share: Rows
    mean_us: Rows


def phases(mean_us: int, tail: float) -> Phases:
    """Return the phases of durations with a mean, us, and a tail: 0 exponential, else the power of a Pareto II."""
    if mean_us == 0:
        return Phases(np.empty(0), np.empty(0))
    if tail == 0:
        return Phases(np.ones(1), np.array([float(mean_us)]))
    # In units of the scale, mean x (tail - 1); the largest rates are beyond nearly all of the gamma distribution.
    rates = (tail + 6 * math.sqrt(tail) + 6) * 0.5 ** np.arange(PHASES)
    logs = tail * np.log(rates) - rates
    share = np.exp(logs - logs.max())
    share /= share.sum()
    means = 1 / rates
    # The sum has not quite the mean that is asked for, as the slowest rates are left out.
    return Phases(share, means * (mean_us / float((share * means).sum())))


def still_open(mean_us: Rows, span_us: Rows) -> tuple[Rows, Rows]:
    """Return which share of what was open is open after ``span_us`` (float64), and of what came evenly within it.

    Shapes broadcast; a span of 0 leaves all open.
    """
    ratio = span_us / mean_us
    old = np.exp(-ratio)
    new = np.where(ratio > 0, -np.expm1(-ratio) / np.where(ratio > 0, ratio, 1.0), 1.0)
    return old, np.clip(new, 0.0, 1.0)
