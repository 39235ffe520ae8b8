"""Passes in vectors: compiled, they give what the plain functions give."""

from __future__ import annotations

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kscale.vectors import WIDTH, natural, raise_rows

pytestmark = pytest.mark.compiled


@numba.njit(error_model="numpy", nogil=True, _nrt=False)  # type: ignore[untyped-decorator]
def compiled(
    row: int, first: int, last: int, above: int, lanes: int, scores: object, highest: object, before: object
) -> bool:
    return raise_rows(row, first, last, above, lanes, scores, highest, before)


@given(
    seed=st.integers(0, 1 << 32), rows=st.integers(1, 20), vectors=st.integers(0, 4), more=st.integers(0, 2),
    span=st.sampled_from((1, 3, 1 << 15)), share=st.sampled_from((0.0, 0.02, 0.5, 1.0)),
)  # fmt: skip
def test_rows_are_raised(seed: int, rows: int, vectors: int, more: int, span: int, share: float) -> None:
    """A row changes where it changes, up or down; the row above stays the highest of all."""
    rng = np.random.default_rng(seed)
    lanes, width = vectors * WIDTH, (vectors + more) * WIDTH
    scores = rng.integers(-span, span, (rows + 4, width)).astype(np.int16)
    highest = rng.integers(-span, span, (3, width)).astype(np.int16)
    first = int(rng.integers(0, 4))
    row = first + int(rng.integers(0, rows))
    highest[1, :lanes] = scores[first : first + rows, :lanes].max(axis=0)
    before = scores[row].copy()
    scores[row] = np.where(rng.random(width) < share, rng.integers(-span, span, width), scores[row])
    old, kept, wanted, held = highest.copy(), scores.copy(), highest.copy(), before.copy()
    changed = raise_rows(row, first, first + rows, 1, lanes, kept, wanted, held)
    assert compiled(row, first, first + rows, 1, lanes, scores, highest, before) == changed
    assert changed == bool((old != wanted).any())
    assert np.array_equal(highest, wanted)
    assert np.array_equal(scores, kept)
    assert np.array_equal(before, held)
    assert before[:lanes].tolist() == old[1, :lanes].tolist()
    assert np.array_equal(highest[[0, 2]], old[[0, 2]])
    assert np.array_equal(highest[1, lanes:], old[1, lanes:])
    assert highest[1, :lanes].tolist() == scores[first : first + rows, :lanes].max(axis=0).tolist()


def test_one_element_that_differs_is_told() -> None:
    for place in range(2 * WIDTH):
        scores, highest = np.zeros((1, 2 * WIDTH), np.int16), np.zeros((1, 2 * WIDTH), np.int16)
        before = np.zeros(2 * WIDTH, np.int16)
        assert not compiled(0, 0, 1, 0, 2 * WIDTH, scores, highest, before)
        for score in (-7, 7):
            before[:] = scores[0]
            scores[0, place] = score
            assert compiled(0, 0, 1, 0, 2 * WIDTH, scores, highest, before)
            assert highest.tolist() == scores.tolist()
            before[:] = scores[0]
            assert not compiled(0, 0, 1, 0, 2 * WIDTH, scores, highest, before)


@numba.njit(error_model="numpy", nogil=True, _nrt=False)  # type: ignore[untyped-decorator]
def taken(values: np.ndarray, place: int) -> int:
    return values[natural(place)]  # type: ignore[no-any-return]


def test_a_number_that_is_natural_stays_what_it_is() -> None:
    values = np.arange(5) * 7
    assert [taken(values, place) for place in range(5)] == values.tolist()
    assert natural(3) == 3
