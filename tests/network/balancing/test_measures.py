"""Figures of a run: how even, how long the tail, how long a dead endpoint was still sent to."""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np
import pytest

from kscale.errors import InputError
from kscale.network.balancing.common.inputs import Changes, Connections, Endpoints, Lives, Settings
from kscale.network.balancing.common.measures import black_hole_us, evenness, wait_quantiles
from kscale.network.balancing.common.running import balance


def test_even_shares() -> None:
    for shares in ([5, 5, 5], [0, 0]):
        found = evenness(shares)
        assert (found.most_over_mean, found.variation, found.jain) == (1.0, 0.0, 1.0)


def test_one_has_it_all() -> None:
    found = evenness([0, 8, 0, 0])
    assert (found.most_over_mean, found.jain) == (4.0, 0.25)
    assert found.variation == pytest.approx(sqrt(3))


def test_shares_by_weight() -> None:
    assert evenness([10, 30], [1, 3]).jain == pytest.approx(1.0)
    assert evenness([10, 30]).jain == pytest.approx(0.8)


def test_waits_are_by_nearest_rank_among_those_that_were_served() -> None:
    connections = Connections([0] * 4, [10] * 4)
    result = balance("rr", connections, Endpoints([1], [1]), np.random.default_rng(0),
                     lives=Lives([0], [-1], [30]), settings=Settings(compiled=False))  # fmt: skip
    assert result.wait_us.tolist() == [0, 10, 20, -1]
    assert wait_quantiles(result, (0, 0.5, 0.67, 1)) == [0, 10, 20, 20]


def test_a_black_hole_lasts_until_the_list_is_told() -> None:
    lives, connections = Lives([0, 1], [-1, 50], [4, 60]), Connections([0, 1, 5, 8, 40], [1] * 5)
    result = balance("rr", connections, Endpoints([1, -1]), np.random.default_rng(0), lives=lives,
                     changes=Changes([20], [1], [1]), settings=Settings(compiled=False))  # fmt: skip
    assert result.lost.tolist() == [2, 1]
    assert black_hole_us(result, lives).tolist() == [4, -1]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: evenness([]), "there is nobody to share"),
        (lambda: evenness([1, 2], [1, 0]), "a share has no weight"),
        (lambda: wait_quantiles(None, (2,)), "is no share"),  # type: ignore[arg-type]
    ],
)
def test_wrong_input_is_told(call: Any, words: str) -> None:
    with pytest.raises(InputError) as told:
        call()
    assert words in str(told.value)
