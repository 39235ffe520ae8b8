"""sh and dh: slots by weight or in turn, and what a drain refuses."""

from __future__ import annotations

from typing import Any

import numpy as np

from kscale.kernels import plain_form
from kscale.network.balancing.common.hashing import bucket
from kscale.network.balancing.common.inputs import Changes, Connections, Endpoints, Settings
from kscale.network.balancing.common.running import Balanced, balance


def run(name: str, weights: list[int], rows: int = 4_000, changes: Changes | None = None, **keys: Any) -> Balanced:
    connections = Connections(np.zeros(rows, np.int64), np.zeros(rows, np.int64), **keys)
    settings = Settings(compiled=False)
    return balance(name, connections, Endpoints(weights), np.random.default_rng(0), changes=changes, settings=settings)


def test_the_bucket_is_linuxs_hash_32() -> None:
    # 0x0a000001 x 0x61c88647 = 0x2fb2ac647 modulo 2^32, its upper 8 bits.
    assert plain_form(bucket)(0x0A000001, 8) == (0x0A000001 * 0x61C88647 % (1 << 32)) >> 24
    assert [plain_form(bucket)(key, 8) for key in (0, 1, 2, 3)] == [0x00, 0x61, 0xC3, 0x25]


def test_a_client_stays_and_slots_follow_weights() -> None:
    clients = np.random.default_rng(2).integers(0, 1 << 32, 4_000)
    result = run("sh", [1, 3, 0, -1], client=clients)
    again = run("sh", [1, 3, 0, -1], client=clients[::-1])
    assert (result.endpoint == again.endpoint[::-1]).all()
    # Rounds of one, three and one slots; the drained one's refuse.
    shares = np.bincount(result.endpoint + 1, minlength=5) / 4_000
    np.testing.assert_allclose(shares, [0.2, 0.2, 0.6, 0, 0], atol=0.025)


def test_all_connections_to_one_address_go_to_one_endpoint() -> None:
    assert sorted(run("dh", [1, 1, 1]).connections.tolist()) == [0, 0, 4_000]
    many = run("dh", [1, 1, 1, 1], destination=np.arange(4_000))
    np.testing.assert_allclose(many.connections / 4_000, 0.25, atol=0.02)


def test_most_clients_move_when_an_endpoint_goes() -> None:
    clients = np.random.default_rng(2).integers(0, 1 << 32, 4_000)
    before, after = run("sh", [1] * 10, client=clients), run("sh", [1] * 9 + [-1], client=clients)
    stayed = before.endpoint < 9
    assert (before.endpoint[stayed] != after.endpoint[stayed]).mean() > 0.8
