"""mh: even slots, few clients that move, weights cut to six bits."""

from __future__ import annotations

import numpy as np
import pytest

from kscale.kernels import plain_form
from kscale.network.balancing.common.inputs import Changes, Connections, Endpoints, Settings
from kscale.network.balancing.common.running import Balanced, balance
from kscale.network.balancing.maglev import populate, take_turns

CLIENTS = np.random.default_rng(2).integers(0, 1 << 32, 4_000)


def run(weights: list[int], changes: Changes | None = None) -> Balanced:
    rows = len(CLIENTS)
    connections = Connections(np.arange(rows), np.zeros(rows, np.int64), client=CLIENTS)
    settings = Settings(compiled=False)
    return balance("mh", connections, Endpoints(weights), np.random.default_rng(0), changes=changes, settings=settings)


def slots(weights: list[int]) -> list[int]:
    table, count = np.zeros(4093, np.int32), len(weights)
    turns, following = np.zeros(count, np.int64), np.zeros(count, np.int64)
    with np.errstate(over="ignore"):
        plain_form(populate)(np.array(weights), table, turns, following)
    assert (table >= 0).all()
    return np.bincount(table, minlength=count).tolist()


def test_slots_are_even_and_by_weight() -> None:
    assert set(slots([1] * 10)) <= {409, 410}
    assert slots([1, 3, 0, -1]) == pytest.approx([1_023, 3_070, 0, 0], abs=1)


@pytest.mark.parametrize(
    ("weights", "turns"),
    [([10, 20, 0], [1, 2, 0]), ([1, 63], [1, 63]), ([1, 64], [1, 32]), ([1, 3, 65_535], [1, 1, 63]), ([0, -1], None)],
)
def test_weights_are_divided_and_cut(weights: list[int], turns: list[int] | None) -> None:
    found = np.zeros(len(weights), np.int64)
    assert plain_form(take_turns)(np.array(weights), found) == (turns is not None)
    assert turns is None or found.tolist() == turns


def test_few_clients_move_when_an_endpoint_goes() -> None:
    before, after = run([1] * 10), run([1] * 9 + [-1])
    stayed = before.endpoint < 9
    assert (before.endpoint[stayed] != after.endpoint[stayed]).mean() < 0.05
    assert (after.endpoint >= 0).all()


def test_a_drained_endpoint_keeps_its_slots_and_they_refuse() -> None:
    whole, drained = run([1] * 10), run([1] * 10, Changes([0], [4], [0]))
    assert ((drained.endpoint == -1) == (whole.endpoint == 4)).all()
    kept = whole.endpoint != 4
    assert (drained.endpoint[kept] == whole.endpoint[kept]).all()
