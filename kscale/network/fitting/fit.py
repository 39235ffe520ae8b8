"""Fits series one after the other: terms, weights, what cannot be told apart, and how near the sums come."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from kscale.errors import InputError
from kscale.network.fitting import least
from kscale.network.fitting.series import SERIES, Series, Sizes, Term
from kscale.network.parameters import MEASURED, Parameters

Rows = np.ndarray[Any, Any]
#: CPU is off by its part, and by so many seconds of the clock and of starting a program.
_CLOCK_S = 0.005
#: Exponents that are tried, from the least to the most, and how near the best is found; numbers of Services needed.
_POWERS, _POWER_STEPS, _POWER_CLOSE, _POWER_NEEDS = (1.5, 4.0), 26, 1e-4, 4
#: Places of a load without which it can have no base of its own.
_PLACES = 3
_GOLDEN = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True)
class Value:
    """A coefficient.

    Attributes:
        about: what it is of.
        names: the parameters that it is; none: of the machine alone.
        value: in the unit of the figures.
        error: standard error; NaN where there are no more figures than terms.
        kept: the figures do not tell it from others: the model's value was kept, and taken off.
    """

    about: str
    names: tuple[str, ...]
    value: float
    error: float
    kept: bool = False


@dataclass(frozen=True)
class Fitted:
    """A series and what came of it.

    Attributes:
        series: which.
        points: figures.
        values: a coefficient for each term.
        r2: share of the figures' variance that is explained, for CPU and memory of their logarithms; NaN where they are
            all alike.
        median, most: relative errors, without sign.
    """

    series: Series
    points: int
    values: tuple[Value, ...]
    r2: float
    median: float
    most: float


@dataclass(frozen=True)
class Result:
    """All series that could be fitted, why others could not, and the parameters with their new values."""

    fitted: tuple[Fitted, ...]
    left_out: tuple[tuple[str, str], ...]
    parameters: Parameters


def fit(figures: pl.DataFrame, base: Parameters) -> Result:
    """Fit every series that the figures have, in order; what one gives holds for those after it.

    ``figures`` are as of ``readings.read``. Raises InputError where none can be fitted, with why.
    """
    numbers, given = base, set[str]()
    fitted: list[Fitted] = []
    left_out: list[tuple[str, str]] = []
    for series in SERIES:
        rows = figures.filter(
            (pl.col("kind") == series.kind) & (pl.col("what") == series.what) & (pl.col("backend") == series.backend)
            & (pl.col("cache") == series.cache)
        )  # fmt: skip
        if series.hits:
            rows = rows.filter(pl.col("position") > 0)
        if not rows.height:
            continue
        try:
            found = _fit(series, rows, numbers)
        except InputError as error:
            left_out.append((series.name, str(error)))
            continue
        fitted.append(found)
        new = {n: v.value for v in found.values if not v.kept for n in v.names if n not in given and v.value >= 0}
        given |= new.keys()
        source = f"kscale proxy fit: {series.name}, {found.points} figures"
        numbers = numbers.replaced(new, source, MEASURED)
    if not given:
        if left_out:
            raise InputError(": ".join(left_out[0]), expected="figures that differ in what is fitted")
        raise InputError("there is no figure of which a parameter could be fitted", expected="figures of a backend")
    return Result(tuple(fitted), tuple(left_out), numbers)


def _fit(series: Series, rows: pl.DataFrame, numbers: Parameters) -> Fitted:
    sizes, values = Sizes.of(rows), rows["value"].to_numpy()
    weights = rows["weight"].to_numpy() / (values + (_CLOCK_S if series.kind == "load" else 0)) ** 2
    power = next((term.power for term in series.terms if term.power), "")
    extra: tuple[Value, ...] = ()
    if power and rows["services"].n_unique() >= _POWER_NEEDS:
        best, error = _best_power(power, series, sizes, values, weights, numbers)
        numbers = numbers.replaced({power: best})
        extra = (Value("the exponent", (power,), best, error),)
    coefficients, said, _ = _solved(series, sizes, values, weights, numbers)
    if series.kind == "latency" and any(v.names and not v.kept and v.value <= 0 for v in coefficients):
        about = next(v.about for v in coefficients if v.names and v.value <= 0)
        # Of time that is lost below what the rest takes nothing is known; syncs have terms that are next to nothing.
        raise InputError(f"{about} comes out at no time at all: what is below it took as long")
    told = said + series.known(sizes, numbers)
    missed = np.abs(told - values) / values
    if series.kind == "latency":
        r2 = _r2(values, told)
    else:
        r2 = _r2(np.log(values), np.log(np.maximum(told, 1e-300)))
    return Fitted(series, len(values), (*coefficients, *extra), r2, float(np.median(missed)), float(missed.max()))


def _r2(values: Rows, said: Rows) -> float:
    whole = float(((values - values.mean()) ** 2).sum())
    return 1 - float(((values - said) ** 2).sum()) / whole if whole > 1e-12 * float((values**2).sum()) else math.nan


def _solved(
    series: Series, sizes: Sizes, values: Rows, weights: Rows, numbers: Parameters
) -> tuple[tuple[Value, ...], Rows, float]:
    """Return the coefficients, what they give without what is known, and the weighted squares of the misses.

    Raises InputError where no term can be told from the others.
    """
    columns = np.column_stack([np.asarray(term.make(sizes, numbers), np.float64) for term in series.terms])
    bases = _bases(series, sizes)
    root = np.sqrt(weights)[:, None]
    alone = least.independent(np.column_stack([bases, columns]) * root)[bases.shape[1]:]  # fmt: skip
    used = [
        place for place, term in enumerate(series.terms)
        if alone[place] and _varies(term, sizes, columns[:, place]) and (place or not bases.shape[1])
    ]  # fmt: skip
    used = _affordable(series, used, bases.shape[1], len(values))
    kept = [place for place in range(len(series.terms)) if place not in used]
    rest = values - series.known(sizes, numbers)
    held = {place: _model(series.terms[place], numbers) for place in kept}
    taken = np.zeros(len(values)) + sum(columns[:, place] * value for place, value in held.items())
    free = [True] * bases.shape[1] + [series.terms[place].signed for place in used]
    found = least.solve(np.column_stack([bases, columns[:, used]]), rest - taken, weights, free)
    at = {place: bases.shape[1] + k for k, place in enumerate(used)}
    coefficients = tuple(
        Value(term.about, term.names, float(found.values[at[place]]), float(found.errors[at[place]]))
        if place in at
        else Value(term.about, term.names, held[place], math.nan, kept=True)
        for place, term in enumerate(series.terms)
        # A base of each load is many numbers, none of which anybody asks for.
        if place in at or term.names
    )
    said = found.said + taken
    return coefficients, said, float((weights * (rest - said) ** 2).sum())


def _model(term: Term, numbers: Parameters) -> float:
    return numbers[term.names[0]] if term.names else 0.0


def _bases(series: Series, sizes: Sizes) -> Rows:
    """Return a column for each load, 1 for its figures, where each can have a base of its own."""
    if not series.own_base:
        return np.zeros((len(sizes.services), 0))
    loads = sizes.services * 1e6 + sizes.each
    if any(len(np.unique(sizes.place[loads == load])) < _PLACES for load in np.unique(loads)):
        return np.zeros((len(sizes.services), 0))
    return (loads[:, None] == np.unique(loads)[None, :]).astype(np.float64)


def _varies(term: Term, sizes: Sizes, column: Rows) -> bool:
    """Return whether a term differs from figure to figure, so that its coefficient means something."""
    if not term.constant and (column == column[0]).all():
        return False
    return not term.varies or len(np.unique(sizes.each[column != 0])) > 1


def _constant(series: Series) -> str:
    """Return the column that what is asked for depends on."""
    term = next(term for term in series.terms if term.names and not term.constant)
    return term.varies or ("position" if series.kind == "latency" else "services")


def _affordable(series: Series, used: Sequence[int], bases: int, points: int) -> list[int]:
    """Return the terms for which there are figures enough: one more than terms, but for a single constant.

    Raises InputError where nothing is left to fit.
    """
    wanted = [place for place in range(len(series.terms)) if place or not bases]
    if len(wanted) == 1 and not bases and list(used) == wanted:
        return wanted
    kept = list(used)[: max(points - 1 - bases, 0)]
    # A way has a length, but what is asked for is what depends on the sizes; where that is constant, nothing is told.
    asked = [place for place, term in enumerate(series.terms) if term.names and not term.constant]
    if asked and not set(asked) & set(kept):
        if len(used) > len(kept) or points < 2:
            raise InputError(f"there are too few figures: {points}")
        raise InputError(f"{_constant(series)} is constant")
    if not kept:
        raise InputError(f"there are too few figures: {points}")
    return kept


def _best_power(
    name: str, series: Series, sizes: Sizes, values: Rows, weights: Rows, numbers: Parameters
) -> tuple[float, float]:
    """Return the exponent with the least squares, and its standard error by how they rise beside it."""

    def missed(power: float) -> float:
        return _solved(series, sizes, values, weights, numbers.replaced({name: power}))[2]

    grid = np.linspace(*_POWERS, _POWER_STEPS)
    place = int(np.argmin([missed(float(power)) for power in grid]))
    low, high = float(grid[max(place - 1, 0)]), float(grid[min(place + 1, len(grid) - 1)])
    while high - low > _POWER_CLOSE:
        left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
        if missed(left) <= missed(right):
            high = right
        else:
            low = left
    best, step = (low + high) / 2, 0.02
    at, spare = missed(best), len(values) - len(series.terms) - 1
    rise = (missed(best + step) + missed(best - step) - 2 * at) / step**2
    return best, math.sqrt(2 * at / spare / rise) if spare > 0 and rise > 0 else math.nan
