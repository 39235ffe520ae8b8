"""IPVS mh: Maglev hashing by the client's address (net/netfilter/ipvs/ip_vs_mh.c; Eisenbud and others, NSDI 2016).

Each endpoint prefers slots in an order of its own, from an offset in steps of a skip, and endpoints take slots in
turn, as often in a row as their weights say, until the prime number of slots is full: few clients move when one comes
or goes. The kernel hashes an address with HalfSipHash under two fixed keys. Here SplitMix64 is seeded with the same
keys, and an endpoint's address is its row: other slots, but slots as even. A draining endpoint keeps its slots by its
last weight, and those refuse: kube-proxy does not set mh-fallback.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from kscale.kernels import kernel
from kscale.network.balancing import Algorithm, Column
from kscale.network.balancing.common.hashing import mixed
from kscale.network.balancing.common.parameters import (
    MAGLEV_BITS,
    MAGLEV_OFFSET_SEED,
    MAGLEV_SKIP_SEED,
    MAGLEV_SLOTS,
)

_SLOTS, _BITS = MAGLEV_SLOTS.whole, MAGLEV_BITS.whole
_OFFSET_SEED, _SKIP_SEED = MAGLEV_OFFSET_SEED.whole, MAGLEV_SKIP_SEED.whole


@kernel
def remainder(key: int, seed: int, count: int) -> int:
    """Return a hash of a key below ``count``."""
    return np.int64(mixed(key, seed) >> np.uint64(1)) % count  # type: ignore[return-value]


@kernel
def by_preference(
    connection: int, node: int, now_us: int, connection_client: Any, maglev_endpoint: Any, endpoint_weight: Any
) -> int:  # fmt: skip
    """Return the endpoint in the slot of the client's address."""
    endpoint = maglev_endpoint[remainder(connection_client[connection], _OFFSET_SEED, _SLOTS)]
    return endpoint if endpoint >= 0 and endpoint_weight[endpoint] > 0 else -1


@kernel
def take_turns(endpoint_last_weight: Any, maglev_turns: Any) -> bool:
    """Write down how many slots an endpoint takes in a row; return whether any takes one.

    Weights are divided by their greatest common divisor and shifted until the largest has 6 bits; one slot at least.
    """
    divisor, most, shift = 0, 0, 0
    for endpoint in range(len(endpoint_last_weight)):
        weight = endpoint_last_weight[endpoint]
        most = max(most, weight)
        while weight > 0:
            divisor, weight = weight, divisor % weight
    if divisor == 0:
        return False
    while (most // divisor) >> (shift + _BITS) > 0:
        shift += 1
    for endpoint in range(len(endpoint_last_weight)):
        weight = endpoint_last_weight[endpoint]
        maglev_turns[endpoint] = max((weight // divisor) >> shift, 1) if weight > 0 else 0
    return True


@kernel
def populate(endpoint_last_weight: Any, maglev_endpoint: Any, maglev_turns: Any, maglev_next: Any) -> None:
    """Let endpoints take the slots that they prefer, in turn, until all are taken."""
    maglev_endpoint[:] = -1
    if not take_turns(endpoint_last_weight, maglev_turns):
        return
    for endpoint in range(len(maglev_next)):
        maglev_next[endpoint] = remainder(endpoint, _OFFSET_SEED, _SLOTS)
    taken = 0
    while True:
        for endpoint in range(len(maglev_next)):
            if maglev_turns[endpoint] == 0:
                continue
            skip = remainder(endpoint, _SKIP_SEED, _SLOTS - 1) + 1
            for _ in range(maglev_turns[endpoint]):
                while maglev_endpoint[maglev_next[endpoint]] >= 0:
                    maglev_next[endpoint] = (maglev_next[endpoint] + skip) % _SLOTS
                maglev_endpoint[maglev_next[endpoint]] = endpoint
                taken += 1
                if taken == _SLOTS:
                    return


MH = Algorithm(
    "mh", "ipvs", "by the client's address, slots by Maglev hashing", by_preference, populate,
    columns=(
        Column("maglev_endpoint", "int32", (_SLOTS,), "the endpoint of a slot; -1: none"),
        Column("maglev_turns", "int64", ("endpoint",), "slots that it takes in a row"),
        Column("maglev_next", "int64", ("endpoint",), "the slot that it would take next"),
    ),
)  # fmt: skip
