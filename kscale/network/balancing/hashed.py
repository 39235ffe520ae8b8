"""IPVS sh and dh: 256 slots that endpoints fill in turn, by the client's or the destination's address.

The rules are those of net/netfilter/ipvs/ip_vs_sh.c and ip_vs_dh.c, with the hash of current kernels (``hash_32``) and
without the flags sh-fallback and sh-port, which kube-proxy does not set. A slot whose endpoint drains refuses. dh knows
the destination alone: all connections to one ClusterIP go to one endpoint.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from kscale.kernels import kernel
from kscale.network.balancing import Algorithm, Column
from kscale.network.balancing.common.hashing import bucket
from kscale.network.balancing.common.parameters import HASH_BITS

_BITS = HASH_BITS.whole
_SLOT = Column("slot_endpoint", "int32", (1 << _BITS,), "the endpoint of a slot; -1: none")


@kernel
def by_client(
    connection: int, node: int, now_us: int, connection_client: Any, slot_endpoint: Any, endpoint_weight: Any
) -> int:  # fmt: skip
    """Return the endpoint in the slot of the client's address."""
    endpoint = slot_endpoint[bucket(connection_client[connection], _BITS)]
    return endpoint if endpoint >= 0 and endpoint_weight[endpoint] > 0 else -1


@kernel
def by_destination(
    connection: int, node: int, now_us: int, connection_destination: Any, slot_endpoint: Any, endpoint_weight: Any
) -> int:  # fmt: skip
    """Return the endpoint in the slot of the destination's address."""
    endpoint = slot_endpoint[bucket(np.int64(connection_destination[connection]), _BITS)]
    return endpoint if endpoint >= 0 and endpoint_weight[endpoint] > 0 else -1


@kernel
def next_listed(row: int, endpoint_weight: Any) -> int:
    """Return the first listed endpoint at or after a row, around the end; -1 without any."""
    for step in range(len(endpoint_weight)):
        endpoint = (row + step) % len(endpoint_weight)
        if endpoint_weight[endpoint] >= 0:
            return endpoint
    return -1


@kernel
def fill_by_weight(slot_endpoint: Any, endpoint_weight: Any) -> None:
    """Give each listed endpoint as many slots in a row as it weighs, one at least, round and round."""
    endpoint, filled = next_listed(0, endpoint_weight), 0
    for slot in range(len(slot_endpoint)):
        slot_endpoint[slot] = endpoint
        filled += 1
        if endpoint >= 0 and filled >= endpoint_weight[endpoint]:
            endpoint, filled = next_listed(endpoint + 1, endpoint_weight), 0


@kernel
def fill_in_turn(slot_endpoint: Any, endpoint_weight: Any) -> None:
    """Give listed endpoints a slot each, round and round."""
    endpoint = next_listed(0, endpoint_weight)
    for slot in range(len(slot_endpoint)):
        slot_endpoint[slot] = endpoint
        if endpoint >= 0:
            endpoint = next_listed(endpoint + 1, endpoint_weight)


SH = Algorithm("sh", "ipvs", "by the client's address, slots by weight", by_client, fill_by_weight, columns=(_SLOT,))
DH = Algorithm("dh", "ipvs", "by the destination's address", by_destination, fill_in_turn, columns=(_SLOT,))
