"""How many replicas a metric asks for (pkg/controller/podautoscaler, the replica calculator): pure, many at a time.

Values and targets of one metric have one unit: thousandths of a cpu or of the metric's unit, or bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Rows = np.ndarray[Any, Any]
#: How a pod counts for a metric.
IGNORED, UNREADY, MISSING, COUNTED = range(4)
#: Most replicas: int32, as the API has them.
MOST = (1 << 31) - 1
_PENDING, _FAILED = 0, 3


@dataclass(frozen=True)
class Tolerance:
    """How far a ratio may be from 1 with nothing done, upwards and downwards, for each metric."""

    up: Rows
    down: Rows

    def holds(self, ratio: Rows) -> Rows:
        """Tell which ratios are close enough to 1."""
        return (1.0 - self.down <= ratio) & (ratio <= 1.0 + self.up)


@dataclass(frozen=True)
class Proposal:
    """What metrics ask for.

    Attributes:
        replicas: asked for.
        shown: the value that was held against the target, as the status shows it.
        failed: metrics that cannot be told.
    """

    replicas: Rows
    shown: Rows
    failed: Rows


@dataclass(frozen=True)
class Timing:
    """When pods' cpu samples are believed: flags of kube-controller-manager, and the sample's own time and window."""

    now_us: int
    sample_us: int
    window_us: int
    initialization_us: int
    readiness_us: int


def grouped(
    phase: Rows, deleted: Rows, sampled: Rows, cpu: Rows, start_us: Rows, ready: Rows, ready_us: Rows, timing: Timing
) -> Rows:
    """Return how each pod counts: a phase, whether it is being deleted, has a sample, and is asked for its cpu."""
    initial = start_us + timing.initialization_us > timing.now_us
    early = (ready == 0) | (timing.sample_us < ready_us + timing.window_us)
    never = (ready == 0) & (start_us + timing.readiness_us > ready_us)
    return np.select(
        [deleted | (phase == _FAILED), phase == _PENDING, ~sampled, cpu & np.where(initial, early, never)],
        [IGNORED, UNREADY, MISSING, UNREADY],
        COUNTED,
    )


def by_pods(
    current: Rows, target: Rows, percent: Rows, tolerance: Tolerance, place: Rows, group: Rows, value: Rows,
    request: Rows,
) -> Proposal:  # fmt: skip
    """Return what metrics of pods ask for; ``place`` is the metric of each pod's group, value and request.

    ``percent``: the target is a percentage of the requests, else an average.
    """
    totals = [np.zeros(len(current), np.int64) for _ in range(3)]
    _add(totals, place, value, request, group == COUNTED)
    ready = totals[2].copy()
    failed = (ready == 0) | (percent & (totals[1] == 0))
    shown, ratio = _ratio(totals, target, percent)
    has = np.zeros((2, len(current)), bool)
    has[0, place[group == MISSING]], has[1, place[group == UNREADY]] = True, True
    upwards = has[1] & (ratio > 1.0)
    simple = ~upwards & ~has[0]
    straight = np.where(tolerance.holds(ratio), current, replicas(ratio * ready))
    # Those that cannot be told are taken to hold the change back: as on target where it goes down, at rest where up.
    fallback = np.where(percent[place], request * np.maximum(target[place], 100) // 100, target[place])
    assumed = np.where(ratio[place] < 1.0, fallback, 0)
    missing = (group == MISSING) & ~(percent[place] & (ratio[place] == 1.0))
    _add(totals, place, assumed, request, missing)
    _add(totals, place, np.zeros_like(value), request, (group == UNREADY) & upwards[place])
    _, held = _ratio(totals, target, percent)
    careful = replicas(held * totals[2])
    stays = tolerance.holds(held) | ((ratio < 1.0) & (held > 1.0)) | ((ratio > 1.0) & (held < 1.0))
    stays |= ((held < 1.0) & (careful > current)) | ((held > 1.0) & (careful < current))
    return Proposal(np.where(simple, straight, np.where(stays, current, careful)), shown, failed)


def _add(totals: list[Rows], place: Rows, value: Rows, request: Rows, which: Rows) -> None:
    """Add the values, the requests and the number of some pods."""
    np.add.at(totals[0], place[which], value[which])
    np.add.at(totals[1], place[which], request[which])
    np.add.at(totals[2], place[which], 1)


def _ratio(totals: list[Rows], target: Rows, percent: Rows) -> tuple[Rows, Rows]:
    """Return the percentage or the average, and its ratio to the target."""
    value, request, count = totals
    # A percentage is wanted where the amounts are in one unit: no product leaves int64 below 2^56 in all.
    shown = np.where(percent, value * 100 // np.maximum(request, 1), value // np.maximum(count, 1))
    return shown, shown / target


def replicas(wanted: Rows) -> Rows:
    """Return a wanted number of replicas, rounded up, as int32 holds it."""
    return np.minimum(np.ceil(wanted), float(MOST)).astype(np.int64)


def by_value(
    current: Rows, status: Rows, pods: Rows, ready: Rows, value: Rows, target: Rows, average: Rows,
    tolerance: Tolerance,
) -> Proposal:  # fmt: skip
    """Return what metrics of one value ask for; ``average``: the target is for each replica.

    ``status`` are the replicas that the status of what is scaled tells; ``pods`` and ``ready`` count its pods.
    """
    many = np.maximum(status, 1)
    ratio = np.where(average, value / (target * np.where(status > 0, status, np.nan)), value / target)
    within = tolerance.holds(ratio)
    # From nothing, the ratio itself counts.
    whole = np.where(current == 0, ratio, ratio * ready)
    wanted = np.where(average, value / target, np.nan_to_num(whole))
    stays = np.where(average, status, current)
    held = within & (average | (current > 0))
    shown = np.where(average, np.ceil(value / many), value)
    failed = ~average & (current > 0) & ~within & (pods == 0)
    return Proposal(np.where(held, stays, replicas(wanted)), np.minimum(shown, 2.0**62).astype(np.int64), failed)
