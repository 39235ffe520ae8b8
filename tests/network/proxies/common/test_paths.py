"""Paths: quantiles of a sum of uniform counts, against a plain listing of all that can happen."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale.network.proxies.common.paths import Path, Step, kinds

SHARES = (0.01, 0.3, 0.5, 0.95, 0.99, 1.0)


@st.composite
def paths(draw: st.DrawFn) -> Path:
    """Some kinds of connections, some steps; costs are whole hundredths, so that sums can be told apart."""
    many = draw(st.integers(1, 3))
    parts = draw(st.lists(st.integers(1, 5), min_size=many, max_size=many))
    steps = []
    for place in range(draw(st.integers(1, 3))):
        least = np.array(draw(st.lists(st.integers(0, 3), min_size=many, max_size=many)), np.float64)
        more = np.array(draw(st.lists(st.integers(0, 5), min_size=many, max_size=many)), np.float64)
        cost = np.array(draw(st.lists(st.integers(0, 50), min_size=many, max_size=many)), np.float64) / 100
        steps.append(Step(f"s{place}", "rules", least, least + more, cost))
    return Path(np.array(parts) / sum(parts), tuple(steps))


def listed(path: Path) -> dict[Fraction, Fraction]:
    """Every time that there is, in hundredths, and how likely it is."""
    found: dict[Fraction, Fraction] = {}
    whole = [Fraction(weight).limit_denominator(10_000) for weight in path.weights]
    for kind, weight in enumerate(whole):
        ranges = [range(int(step.least[kind]), int(step.most[kind]) + 1) for step in path.steps]
        each = weight / int(np.prod([len(r) for r in ranges]))
        for counts in itertools.product(*ranges):
            costs = [Fraction(round(step.cost_us[kind] * 100), 100) for step in path.steps]
            time = sum((cost * count for cost, count in zip(costs, counts, strict=True)), Fraction(0))
            found[time] = found.get(time, Fraction(0)) + each
    return found


@given(paths())
@settings(max_examples=150)
def test_quantiles_and_mean_are_those_of_all_that_can_happen(path: Path) -> None:
    all_ = sorted(listed(path).items())
    assert path.mean_us == pytest.approx(float(sum(time * share for time, share in all_)), abs=1e-9)
    found = path.quantiles_us(SHARES)
    for share, time in zip(SHARES, found, strict=True):
        reached, expected = Fraction(0), all_[-1][0]
        for at, each in all_:
            reached += each
            if float(reached) >= share - 1e-11:
                expected = at
                break
        assert time == pytest.approx(float(expected), abs=1e-6)
    assert sum(mean for _, _, _, mean in path.listing()) == pytest.approx(path.mean_us)


@given(paths(), st.integers(0, 99))
@settings(max_examples=50)
def test_samples_are_of_what_can_happen(path: Path, seed: int) -> None:
    drawn = path.sample_us(np.random.default_rng(seed), 300)
    known = np.array([float(time) for time in listed(path)])
    assert (np.abs(drawn[:, None] - known).min(axis=1) < 1e-9).all()
    assert drawn.tolist() == path.sample_us(np.random.default_rng(seed), 300).tolist()


def test_samples_have_the_quantiles() -> None:
    path = Path(
        np.array([0.25, 0.75]), (Step("list", "rules", 1, 30_000, 0.02), Step("choice", "rules", 1, [3, 40], 0.05))
    )
    drawn = np.quantile(path.sample_us(np.random.default_rng(3), 200_000), [0.01, 0.5, 0.99])
    assert path.quantiles_us([0.01, 0.5, 0.99]) == pytest.approx(drawn, rel=0.03)


def test_kinds_are_weighed() -> None:
    counts, mask = np.array([4, 2, 4, 9]), np.array([True, True, True, False])
    weights, values = kinds(counts, mask, None)
    assert values.tolist() == [2, 4] and weights.tolist() == pytest.approx([1 / 3, 2 / 3])
    weights, values = kinds(counts, mask, np.array([1.0, 6.0, 1.0, 50.0]))
    assert weights.tolist() == pytest.approx([0.75, 0.25])
    assert kinds(counts, mask, np.array([0.0, 0.0, 0.0, 5.0]))[0].tolist() == pytest.approx([1 / 3, 2 / 3])
    assert kinds(counts, counts > 90, None)[0].size == 0
    assert [part.tolist() for part in kinds(counts, counts == 4, None)] == [[1.0], [4.0]]
