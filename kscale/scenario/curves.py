"""Curves of load, as scenario files write them: what is asked of a workload in all, over time."""

from __future__ import annotations

from kscale.engine.load import LARGEST, Constant, Curve, LoadCurves, Points, Sine
from kscale.errors import InputError
from kscale.scenario import models
from kscale.scenario.models import Quantity
from kscale.scenario.times import duration
from kscale.state.quantities import parse_quantity


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
        return Constant(_amount(given, field, resource))
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
        return Points(tuple(points), given.linear)
    if given.mean is None or given.amplitude is None or given.period is None or given.linear:
        raise InputError("is no whole curve", field=field, expected="points, or mean, amplitude and period")
    period = duration(given.period, f"{field}.period")
    if not 0 < period <= LARGEST:
        found = "is 0" if period == 0 else "is too long"
        raise InputError(found, field=f"{field}.period", expected=f"a duration above 0, at most {LARGEST} microseconds")
    phase = (duration(given.phase, f"{field}.phase") - at_us) % period
    mean, amplitude = (
        _amount(value, f"{field}.{name}", resource)
        for name, value in (("mean", given.mean), ("amplitude", given.amplitude))
    )
    return Sine(mean, amplitude, period, phase)


def _amount(given: Quantity, field: str, resource: str) -> int:
    try:
        amount = parse_quantity(str(given), resource)
    except InputError as error:
        raise InputError(error.problem, field=field, expected=error.expected) from None
    if amount > LARGEST:
        raise InputError(f"'{str(given)[:80]}' is too large", field=field, expected=f"at most {LARGEST}")
    return amount
