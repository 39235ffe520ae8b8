"""Integrals of rates are what their values add up to."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale.engine.load import Constant, Curve, Points, Sine
from kscale.network.traffic.rates import cumulative

MILLIS, TIMES = st.integers(0, 5000), st.integers(0, 10_000)
POINTS = st.builds(
    lambda points, linear: Points(tuple(sorted(points.items())), linear),
    st.dictionaries(TIMES, MILLIS, min_size=1, max_size=5), st.booleans(),
)  # fmt: skip
CURVES = st.one_of(
    st.builds(Constant, MILLIS), POINTS, st.builds(Sine, MILLIS, MILLIS, st.integers(100, 5000), st.integers(-99, 99))
)


@settings(deadline=None)
@given(CURVES, TIMES, st.integers(0, 6000))
def test_a_difference_is_the_sum_of_all_values_between(curve: Curve, begin_us: int, length_us: int) -> None:
    between = np.arange(begin_us, begin_us + length_us + 1)
    values = np.array([curve.at(int(one)) for one in between], np.float64)
    steps = isinstance(curve, Points) and not curve.linear
    plain = values[:-1].sum() if steps else ((values[:-1] + values[1:]) / 2).sum()
    low, high = cumulative(curve, np.array([begin_us, begin_us + length_us]))
    # A value is rounded to a thousandth, and curves bend a little from one to the next.
    bend = 0.0 if steps else 0.5 * length_us + 0.02 * values.max(initial=0)
    assert abs((high - low) * 1e9 - plain) <= bend + 1e-3


def test_a_wave_that_is_cut_off_comes_to_its_positive_part() -> None:
    wave = Sine(0, 1000, 1_000_000)
    low, high = cumulative(wave, np.array([0, 10_000_000]))
    assert abs((high - low) - 10 / np.pi) < 1e-9
