"""rr and wrr: known sequences, drains, and nodes that all begin at the same endpoint."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kscale.network.balancing.common.inputs import Changes, Connections, Endpoints, Settings
from kscale.network.balancing.common.running import balance


def sequence(name: str, weights: list[int], rows: int, changes: Changes | None = None, node: Any = None) -> str:
    result = balance(
        name, Connections(np.arange(rows), [0] * rows, node=node), Endpoints(weights), np.random.default_rng(0),
        changes=changes, settings=Settings(compiled=False),
    )  # fmt: skip
    return "".join("ABCDEFGH"[endpoint] if endpoint >= 0 else "-" for endpoint in result.endpoint)


def test_weighted_round_robin_is_the_sequence_of_the_lvs_howto() -> None:
    assert sequence("wrr", [4, 3, 2], 18) == "AABABCABC" * 2
    assert sequence("wrr", [400, 300, 200], 18) == "AABABCABC" * 2


def test_round_robin_takes_turns_whatever_the_weights() -> None:
    assert sequence("rr", [4, 3, 0, 2, -1], 7) == "ABDABDA"


@pytest.mark.parametrize("name", ["rr", "wrr"])
def test_nobody_to_choose_is_a_refusal(name: str) -> None:
    assert sequence(name, [0, -1], 2) == "--"


@pytest.mark.parametrize("name", ["rr", "wrr"])
def test_a_drained_endpoint_gets_nothing_new(name: str) -> None:
    assert sequence(name, [1, 1, 1], 7, Changes([4], [0], [0])).count("A") == 2


def test_a_removed_endpoint_is_skipped_and_the_turn_goes_on() -> None:
    assert sequence("rr", [1, 1, 1, 1], 7, Changes([2], [1], [-1])) == "ABCDACD"


def test_nodes_that_balance_alone_all_begin_at_one_endpoint() -> None:
    assert sequence("rr", [1, 1, 1], 12, node=list(range(12))) == "A" * 12
    assert sequence("rr", [1, 1, 1], 12, node=[0] * 12) == "ABC" * 4
