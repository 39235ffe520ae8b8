"""Counts of bounded memory, against counting everything."""

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kscale.traces.common import tallies
from kscale.traces.common.tallies import Distinct, Ends, Times, Values

SHARES = (0.1, 0.5, 0.9, 0.99, 1.0)
NUMBERS = st.integers(0, 300) | st.integers(0, 1 << 59)
PARTS = st.lists(st.lists(NUMBERS, max_size=8), max_size=5)


def _quantiles(values):
    ordered = sorted(values)
    return [ordered[int(share * (len(ordered) - 1))] for share in SHARES]


@given(PARTS.filter(any), st.booleans())
def test_quantiles_are_exact_of_few_and_a_little_small_of_many(parts, many):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tallies, "EXACT", 0 if many else 100)
        values = Values()
        for part in parts:
            values.add(np.array(part, np.int64))
    every = [value for part in parts for value in part]
    assert (values.count, values.largest, values.exact) == (len(every), max(every), not many)
    for found, true in zip(values.quantiles(SHARES), _quantiles(every), strict=True):
        assert found == float(true) if not many else true * (1 - 1 / 127) <= found <= float(true)
    found, shares = values.curve()
    assert shares[-1] == 1
    assert (np.diff(found) > 0).all()
    for value, share in zip(found.tolist(), shares.tolist(), strict=True):
        top = max(v for v in every if v <= value * (1 + 1 / 127) + 1)
        assert share <= sum(v <= top for v in every) / len(every) + 1e-9


TIMES = st.lists(st.lists(st.integers(0, 1000) | st.integers(0, 10**15), max_size=6), min_size=1, max_size=4)


@given(TIMES, st.sampled_from([4, 40, 1 << 16]))
def test_sums_over_time(parts, most):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tallies, "_MOST_PARTS", most)
        times = Times(2)
        for part in parts:
            times.add(np.array(part, np.int64), [np.ones(len(part)), np.array(part, float)])
    every = np.array([time for part in parts for time in part], np.int64)
    assert times.sums.shape[1] <= most
    for part in range(min(times.sums.shape[1], 500)):
        begin = (times.first + part) * times.width
        inside = (every >= begin) & (every < begin + times.width)
        assert times.sums[0, part] == inside.sum()
        assert times.sums[1, part] == pytest.approx(every[inside].sum())
    assert times.sums[0].sum() == len(every)


STAYS = st.lists(
    st.tuples(st.integers(0, 2000), st.integers(0, 2000) | st.integers(0, 10**15)), min_size=1, max_size=12
)


@example([(0, 1), (0, 10_000_000), (0, 90_000_000)], 1, 8)
@given(STAYS, st.integers(1, 4), st.sampled_from([8, 50, 1 << 16]))
def test_what_stands_is_what_came_less_what_went(stays, portion, most):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tallies, "_MOST_PARTS", most)
        comes, goes = Times(1), Ends(1, stays[0][0])
        for start in range(0, len(stays), portion):
            some = np.array(stays[start : start + portion], np.int64)
            comes.add(some[:, 0], [np.ones(len(some))])
            goes.add(some.sum(axis=1), [np.ones(len(some))])
        held, at = comes.standing(goes)
    begun = np.array([begin for begin, _ in stays])
    ended = np.array([begin + length for begin, length in stays])
    for count, time in zip(held[0].tolist(), at.tolist(), strict=True):
        assert count == (begun < time).sum() - (ended < time).sum()
    assert at[-1] > begun.max()


@given(st.lists(st.lists(st.integers(0, 60), max_size=9), max_size=6))
def test_few_distinct_things_are_counted_exactly(parts):
    distinct = Distinct()
    for part in parts:
        distinct.add(pl.DataFrame({"a": part}, {"a": pl.Int64}))
    assert distinct.exact
    assert distinct.count == len({value for part in parts for value in part})


def test_many_distinct_things_are_counted_about():
    distinct = Distinct()
    for start in range(0, 300_000, 50_000):
        distinct.add(pl.DataFrame({"a": range(start // 2, start // 2 + 50_000)}))
    assert not distinct.exact
    assert distinct.count == pytest.approx(175_000, rel=0.04)
