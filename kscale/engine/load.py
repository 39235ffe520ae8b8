"""Load: what is asked of workloads over time, and how pods share the cpu of a node that is full.

A curve gives a whole number for each instant: thousandths of a cpu, bytes, or thousandths of a metric's unit. ``Loads``
holds the curves of workloads by kind, namespace and name, and works out many at once.
"""

from __future__ import annotations

import math
from collections import UserDict
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from kscale.errors import InputError

Rows = np.ndarray[Any, Any]
Key = tuple[str, str, str]
#: Largest value of a curve: sums of many stay in int64.
LARGEST = 1 << 52
#: Sines are rounded to twelve digits, so that libraries that differ in the last place give the same load.
_DIGITS = 1e12
#: cgroups' cpu.shares: 1024 for a cpu, 2 at least (pkg/kubelet/cm, MilliCPUToShares).
SHARES_PER_CPU, LEAST_SHARES = 1024, 2


@dataclass(frozen=True)
class Constant:
    """The same at all times. Raises InputError where the value is out of range."""

    value: int

    def __post_init__(self) -> None:
        _check(self.value, "value")

    def at(self, time_us: int) -> int:
        """Return the value at a time."""
        return self.value


@dataclass(frozen=True)
class Points:
    """Values from given times on, or straight lines between them; before the first and after the last, these.

    Raises InputError where there is none, times do not rise, or a value is out of range.
    """

    points: tuple[tuple[int, int], ...]
    linear: bool = False

    def __post_init__(self) -> None:
        if not self.points:
            raise InputError("is empty", field="points", expected="at least one time and value")
        times = [time for time, _ in self.points]
        if any(later <= time for time, later in pairwise(times)):
            raise InputError("has times that do not rise", field="points", expected="times in rising order")
        for number, (_, value) in enumerate(self.points):
            _check(value, f"points[{number}]")

    def at(self, time_us: int) -> int:
        """Return the value at a time."""
        before = [point for point in self.points if point[0] <= time_us]
        after = [point for point in self.points if point[0] > time_us]
        if not before or not after or not self.linear:
            return (before[-1] if before else after[0])[1]
        (start, low), (end, high) = before[-1], after[0]
        return low + round((high - low) * ((time_us - start) / (end - start)))


@dataclass(frozen=True)
class Sine:
    """A wave around a mean, never below 0. Raises InputError where a number is out of range."""

    mean: int
    amplitude: int
    period_us: int
    phase_us: int = 0

    def __post_init__(self) -> None:
        _check(self.mean, "mean")
        _check(self.amplitude, "amplitude")
        if not 0 < self.period_us <= LARGEST:
            raise InputError(f"is {self.period_us}", field="period_us", expected="a time above 0")
        if abs(self.phase_us) > LARGEST:
            raise InputError(f"is {self.phase_us}", field="phase_us", expected=f"at most {LARGEST}")

    def at(self, time_us: int) -> int:
        """Return the value at a time."""
        sine = math.sin(math.tau * (((time_us + self.phase_us) % self.period_us) / self.period_us))
        return max(round(self.mean + self.amplitude * (round(sine * _DIGITS) / _DIGITS)), 0)


Curve = Constant | Points | Sine


def _check(value: int, name: str) -> None:
    if not 0 <= value <= LARGEST:
        raise InputError(f"is {value}", field=name, expected=f"0 to {LARGEST}")


@dataclass(frozen=True)
class LoadCurves:
    """What is asked of one workload, in all.

    Attributes:
        cpu_milli: thousandths of a cpu.
        memory_bytes: bytes.
        metrics: thousandths of the unit of a metric, by its name.
    """

    cpu_milli: Curve | None = None
    memory_bytes: Curve | None = None
    metrics: Mapping[str, Curve] = field(default_factory=dict)

    def of(self, quantity: str) -> Curve | None:
        """Return the curve of ``cpu``, ``memory``, or of a metric."""
        own = {"cpu": self.cpu_milli, "memory": self.memory_bytes}
        return own[quantity] if quantity in own else self.metrics.get(quantity)


class Loads(UserDict[Key, LoadCurves]):
    """The load of workloads by kind, namespace and name; all curves are worked out at once.

    A metric of no workload is kept under the kind ``External`` and its own name.
    """

    def __init__(self, given: Mapping[Key, LoadCurves] | None = None) -> None:
        self._forget()
        super().__init__(given or {})

    def __setitem__(self, key: Key, curves: LoadCurves) -> None:
        self._forget()
        super().__setitem__(key, curves)

    def __delitem__(self, key: Key) -> None:
        self._forget()
        super().__delitem__(key)

    def _forget(self) -> None:
        self._curves: list[Curve] = []
        self._known: dict[Hashable, Rows] = {}
        self._compiled = _Compiled(())

    def rows(self, space: str, quantity: str, numbers: Rows, key_of: Callable[[int], Key]) -> Rows:
        """Return handles of curves, -1 for none, of things that never change their names.

        ``numbers`` tell the things of a ``space`` apart; ``key_of`` is asked once for each, by its place.
        """
        known = self._known.get((space, quantity), np.empty(0, np.int64))
        size = int(numbers.max(initial=-1)) + 1
        if size > len(known):
            known = np.concatenate([known, np.full(max(size, 2 * len(known)) - len(known), -2, np.int64)])
            self._known[space, quantity] = known
        for place in np.flatnonzero(known[numbers] == -2).tolist():
            curves = self.data.get(key_of(place))
            curve = curves.of(quantity) if curves is not None else None
            known[numbers[place]] = len(self._curves) if curve is not None else -1
            if curve is not None:
                self._curves.append(curve)
        return known[numbers]

    def at(self, rows: Rows, time_us: int) -> Rows:
        """Return the values of curves (handles) at a time; 0 for handles below 0."""
        if self._compiled.count != len(self._curves):
            self._compiled = _Compiled(self._curves)
        return self._compiled.at(rows, time_us)


class _Compiled:
    """Curves as columns."""

    def __init__(self, curves: Iterable[Curve]) -> None:
        rows: list[tuple[int, ...]] = []
        times: list[int] = []
        values: list[int] = []
        for curve in curves:
            points = curve.points if isinstance(curve, Points) else ((0, getattr(curve, "value", 0)),)
            wave = (curve.mean, curve.amplitude, curve.period_us, curve.phase_us) if isinstance(curve, Sine) else None
            linear = isinstance(curve, Points) and curve.linear
            rows.append((len(times), len(times) + len(points), linear, wave is not None, *(wave or (0, 0, 1, 0))))
            times += [time for time, _ in points]
            values += [value for _, value in points]
        self.count = len(rows)
        self._rows = np.array(rows, np.int64).reshape(-1, 8)
        self._times, self._values = np.array(times, np.int64), np.array(values, np.int64)

    def at(self, rows: Rows, time_us: int) -> Rows:
        there = np.flatnonzero(rows >= 0)
        result = np.zeros(len(rows), np.int64)
        if len(there):
            of = self._rows[rows[there]]
            result[there] = np.where(of[:, 3] == 1, self._waves(of, time_us), self._points(of, time_us))
        return result

    def _points(self, of: Rows, time_us: int) -> Rows:
        """Find the last point of each that is not after the time, by halving, and go on to the next where linear."""
        low, high = of[:, 0].copy(), of[:, 1].copy()
        while (high - low > 1).any():
            middle = (low + high) // 2
            early = (self._times[middle] <= time_us) & (high - low > 1)
            low, high = np.where(early, middle, low), np.where(early | (high - low <= 1), high, middle)
        after = np.minimum(low + 1, of[:, 1] - 1)
        start, value = self._times[low], self._values[low]
        span = np.maximum(self._times[after] - start, 1)
        line = np.rint((self._values[after] - value) * ((time_us - start) / span)).astype(np.int64)
        return value + np.where((of[:, 2] == 1) & (start <= time_us), line, 0)

    def _waves(self, of: Rows, time_us: int) -> Rows:
        mean, amplitude, period, phase = of[:, 4], of[:, 5], of[:, 6], of[:, 7]
        sine = np.sin(math.tau * (((time_us + phase) % period) / period))
        return np.maximum(np.rint(mean + amplitude * (np.rint(sine * _DIGITS) / _DIGITS)), 0).astype(np.int64)


def share_equally(total: Rows, place: Rows, counts: Rows) -> Rows:
    """Share each total over as many as ``counts`` says; ``place`` (ascending) is the total of each share.

    What does not divide goes to the first ones, one each, so that the shares add up.
    """
    first = np.cumsum(counts) - counts
    rank = np.arange(len(place)) - first[place]
    return total[place] // counts[place] + (rank < total[place] % counts[place])


def share_cpu(demand: Rows, request: Rows, limit: Rows, capacity: Rows, node: Rows) -> Rows:
    """Return the cpu that each pod gets on its node, all in milli.

    A limit (0: none) throttles. A node with enough for all gives each what it wants; a full one shares by request, as
    the kernel's fair scheduler does by cpu.shares: what one leaves the others share by their weights.
    """
    want = np.minimum(np.where(limit > 0, np.minimum(demand, limit), demand), capacity[node])
    weight = np.maximum(request * SHARES_PER_CPU // 1000, LEAST_SHARES)
    order = np.lexsort((want / weight, node))
    want, weight, on = want[order], weight[order], node[order]
    size = np.bincount(on, minlength=len(capacity))
    last = np.cumsum(size)
    taken, weighed = np.cumsum(want), np.cumsum(weight)
    # Before each pod, in the order of what a unit of weight wants: what is left of its node, and who is left.
    before = np.concatenate([[0], taken])
    left = capacity[on] - (taken - want - before[last[on] - size[on]])
    weights = np.concatenate([[0], weighed])[last[on]] - weighed + weight
    short = want * weights > left * weight
    first = np.full(len(capacity), len(on), np.int64)
    np.minimum.at(first, on[short], np.flatnonzero(short))
    at = first[on]
    full = np.arange(len(on)) >= at
    at = np.minimum(at, max(len(on) - 1, 0))
    granted = np.empty(len(on), np.int64)
    granted[order] = np.where(full, np.minimum(want, left[at] * weight // weights[at]), want)
    return granted
