"""Uniform random: the chain of rules is uniform, and so is what is drawn, within a band that other choices leave."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from kscale.network.balancing.common.inputs import Connections, Endpoints, Settings
from kscale.network.balancing.common.running import balance

ENDPOINTS, ROWS = 50, 20_000
#: The quantiles 0.0005 and 0.9995 of the chi-square distribution with 49 degrees of freedom.
BAND = (22.79, 87.94)


def chi_square(counts: Any) -> float:
    expected = counts.sum() / len(counts)
    return float(((counts - expected) ** 2 / expected).sum())


def counts_of(name: str, seed: int) -> Any:
    result = balance(
        name, Connections(np.arange(ROWS), np.ones(ROWS, np.int64)), Endpoints([1] * ENDPOINTS),
        np.random.default_rng(seed), settings=Settings(compiled=False),
    )  # fmt: skip
    return result.connections


def chain(rng: np.random.Generator, probabilities: list[float]) -> Any:
    """Walk down a chain of rules with each connection; the last rule takes what is left."""
    draws = rng.random((ROWS, ENDPOINTS)) < np.array(probabilities)
    draws[:, -1] = True
    return np.bincount(draws.argmax(axis=1), minlength=ENDPOINTS)


@pytest.mark.parametrize("count", [1, 2, 3, 10, 1000])
def test_the_chain_of_rules_is_uniform(count: int) -> None:
    left, shares = Fraction(1), []
    for rule in range(1, count + 1):
        probability = Fraction(1, count - rule + 1)
        shares.append(left * probability)
        left *= 1 - probability
    assert shares == [Fraction(1, count)] * count


@pytest.mark.parametrize("name", ["iptables", "nftables"])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_what_is_drawn_is_uniform_and_random(name: str, seed: int) -> None:
    assert BAND[0] < chi_square(counts_of(name, seed)) < BAND[1]


def test_the_band_holds_for_the_chain_and_not_for_other_choices() -> None:
    rng = np.random.default_rng(5)
    assert BAND[0] < chi_square(chain(rng, [1 / (ENDPOINTS - rule) for rule in range(ENDPOINTS)])) < BAND[1]
    assert chi_square(chain(rng, [1 / (ENDPOINTS - rule + 2) for rule in range(ENDPOINTS)])) > BAND[1]
    assert chi_square(counts_of("rr", 1)) < BAND[0]


def test_chance_follows_from_the_generator() -> None:
    first, again, other = counts_of("iptables", 1), counts_of("iptables", 1), counts_of("iptables", 2)
    assert (first == again).all()
    assert (first != other).any()
