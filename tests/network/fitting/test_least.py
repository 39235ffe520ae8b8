"""Least squares with bounds: the conditions of an optimum, and a plain search that tries to be better."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale.network.fitting import least


@st.composite
def problems(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[bool]]:
    rows, columns = draw(st.integers(7, 10)), draw(st.integers(1, 3))
    chance = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    matrix = chance.normal(size=(rows, columns))
    values, weights = chance.normal(size=rows) * 3, chance.uniform(0.1, 4, size=rows)
    return matrix, values, weights, draw(st.lists(st.booleans(), min_size=columns, max_size=columns))


def searched(matrix: np.ndarray, values: np.ndarray, weights: np.ndarray, free: list[bool]) -> np.ndarray:
    """The slow twin: one coefficient after the other, as far down as it goes, again and again."""
    at = np.zeros(matrix.shape[1])
    for _ in range(1_000):
        for place, column in enumerate(matrix.T):
            rest = values - matrix @ at + column * at[place]
            best = float((weights * column * rest).sum() / (weights * column**2).sum())
            at[place] = best if free[place] else max(best, 0.0)
    return at


@settings(max_examples=80, deadline=None)
@given(problems())
def test_it_is_what_a_search_finds(problem: tuple[np.ndarray, np.ndarray, np.ndarray, list[bool]]) -> None:
    matrix, values, weights, free = problem
    found = least.solve(matrix, values, weights, free)
    slow = searched(matrix, values, weights, free)

    def missed(at: np.ndarray) -> float:
        return float((weights * (values - matrix @ at) ** 2).sum())

    assert missed(found.values) <= missed(slow) + 1e-7
    assert missed(found.values) == pytest.approx(missed(slow), rel=1e-6, abs=1e-7)
    assert all(value >= 0 for value, one in zip(found.values, free, strict=True) if not one)
    assert np.allclose(found.said, matrix @ found.values)
    again = least.solve(matrix, values, weights, free)
    assert again.values.tobytes() == found.values.tobytes()


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 2**32 - 1), st.lists(st.booleans(), min_size=1, max_size=5))
def test_a_sum_of_columns_before_it_is_found(seed: int, own: list[bool]) -> None:
    chance = np.random.default_rng(seed)
    columns: list[np.ndarray] = []
    for one in own:
        if one or not columns:
            columns.append(chance.normal(size=12) * 10 ** chance.uniform(-4, 4))
        else:
            columns.append(sum(c * chance.uniform(0.5, 2) for c in columns))
    assert least.independent(np.column_stack(columns)) == [True, *own[1:]]


def test_a_column_of_zeros_is_none() -> None:
    assert least.independent(np.column_stack([np.ones(4), np.zeros(4)])) == [True, False]


def test_standard_errors_are_those_of_a_line() -> None:
    # The textbook's formulas for a line: s^2 = sum of squares / (n - 2), of the slope s^2 / sum of (x - mean)^2.
    x, y = np.arange(6.0), np.array([1.0, 2.1, 2.9, 4.2, 4.8, 6.1])
    found = least.solve(np.column_stack([np.ones(6), x]), y, np.ones(6), [False, False])
    spread = ((x - x.mean()) ** 2).sum()
    slope = ((x - x.mean()) * (y - y.mean())).sum() / spread
    s2 = ((y - y.mean() - slope * (x - x.mean())) ** 2).sum() / 4
    assert found.values[1] == pytest.approx(slope)
    assert found.errors[1] == pytest.approx(np.sqrt(s2 / spread))
    assert found.errors[0] == pytest.approx(np.sqrt(s2 * (1 / 6 + x.mean() ** 2 / spread)))


def test_no_more_rows_than_columns_have_no_errors() -> None:
    found = least.solve(np.eye(2), np.array([1.0, 2.0]), np.ones(2), [False, True])
    assert found.values.tolist() == [1.0, 2.0] and np.isnan(found.errors).all()
