"""Curves of load, as scenario files write them: what is asked of a workload in all, over time."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from kscale.errors import InputError
from kscale.scenario import models
from kscale.scenario.models import Quantity
from kscale.scenario.times import duration
from kscale.state.quantities import parse_quantity

#: Largest value of a curve: sums of many stay in int64.
LARGEST = 1 << 52
#: Sines are rounded to twelve digits, so that libraries that differ in the last place give the same load.
_DIGITS = 1e12


@dataclass(frozen=True)
class Curve:
    """A whole number for each instant of the run: thousandths of a cpu or of a metric's unit, or bytes.

    Attributes:
        kind: ``constant`` (``value``), ``points`` (``points``, ``linear``) or ``sine`` (the others).
        points: (time, value), times rising. Before the first and after the last, the values of these; between them the
            value of the one before, or with ``linear`` a straight line.
        mean, amplitude, period_us, phase_us: the wave is never below 0.
    """

    kind: str
    value: int = 0
    points: tuple[tuple[int, int], ...] = ()
    linear: bool = False
    mean: int = 0
    amplitude: int = 0
    period_us: int = 1
    phase_us: int = 0

    def at(self, now_us: int) -> int:
        """Return the value at a time."""
        if self.kind == "constant":
            return self.value
        if self.kind == "sine":
            sine = math.sin(math.tau * (((now_us + self.phase_us) % self.period_us) / self.period_us))
            return max(round(self.mean + self.amplitude * (round(sine * _DIGITS) / _DIGITS)), 0)
        before = [point for point in self.points if point[0] <= now_us]
        after = [point for point in self.points if point[0] > now_us]
        if not before or not after or not self.linear:
            return (before[-1] if before else after[0])[1]
        (start, low), (end, high) = before[-1], after[0]
        return low + round((high - low) * ((now_us - start) / (end - start)))


@dataclass(frozen=True)
class LoadCurves:
    """What is asked of one workload: cpu in milli, memory in bytes, metrics in thousandths by name."""

    cpu_milli: Curve | None = None
    memory_bytes: Curve | None = None
    metrics: Mapping[str, Curve] = field(default_factory=dict)


def load_of(load: models.Load, at_us: int) -> LoadCurves:
    """Return the curves of a load that begins at ``at_us``, from which its times count. Raises InputError."""
    if load.cpu is None and load.memory is None and not load.metrics:
        raise InputError("has no curve", field="load", expected="cpu, memory or metrics")
    return LoadCurves(
        None if load.cpu is None else curve_of(load.cpu, "load.cpu", "cpu", at_us),
        None if load.memory is None else curve_of(load.memory, "load.memory", "memory", at_us),
        {
            name: curve_of(given, f"load.metrics.{name[:80]}", "cpu", at_us)
            for name, given in (load.metrics or {}).items()
        },
    )


def curve_of(given: Quantity | models.Curve, field: str, resource: str, at_us: int) -> Curve:
    """Return a curve as it is written; its times count from ``at_us``. Raises InputError."""
    if not isinstance(given, models.Curve):
        return Curve("constant", value=_amount(given, field, resource))
    waves = (given.mean, given.amplitude, given.period)
    if given.points is not None:
        if any(value is not None for value in waves) or given.phase != 0:
            raise InputError("has both points and a wave", field=field, expected="one of the two")
        points = sorted(
            (at_us + duration(time, f"{field}.points"), _amount(value, f"{field}.points.{time[:80]}", resource))
            for time, value in given.points.items()
        )
        if len(dict(points)) < len(points) or not points:
            raise InputError("has a time twice" if points else "is empty", field=f"{field}.points",
                             expected="distinct times and their values")  # fmt: skip
        return Curve("points", points=tuple(points), linear=given.linear)
    if given.mean is None or given.amplitude is None or given.period is None or given.linear:
        raise InputError("is no whole curve", field=field, expected="points, or mean, amplitude and period")
    period = duration(given.period, f"{field}.period")
    if period == 0:
        raise InputError("is 0", field=f"{field}.period", expected="a duration above 0")
    phase = (duration(given.phase, f"{field}.phase") - at_us) % period
    mean, amplitude = (
        _amount(value, f"{field}.{name}", resource)
        for name, value in (("mean", given.mean), ("amplitude", given.amplitude))
    )
    return Curve("sine", mean=mean, amplitude=amplitude, period_us=period, phase_us=phase)


def _amount(given: Quantity, field: str, resource: str) -> int:
    try:
        amount = parse_quantity(str(given), resource)
    except InputError as error:
        raise InputError(error.problem, field=field, expected=error.expected) from None
    if amount > LARGEST:
        raise InputError(f"'{str(given)[:80]}' is too large", field=field, expected=f"at most {LARGEST}")
    return amount
