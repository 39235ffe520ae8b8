"""Uniform random: what the rules of iptables and nftables choose.

kube-proxy's iptables mode writes a chain of ``statistic --mode random`` rules for E endpoints, rule i with probability
1/(E-i+1): the product over those passed and the one hit is 1/E for each endpoint. nftables' ``numgen random mod E``
draws once. Both are independent from connection to connection, so that one draw serves for both; the tests hold the
chain against it. What the chain costs is no matter of balance.
"""

from __future__ import annotations

from typing import Any

from kscale.kernels import kernel
from kscale.network.balancing import Algorithm
from kscale.network.balancing.common.hashing import mixed, scaled


@kernel
def any_endpoint(connection: int, node: int, now_us: int, usable: Any, run_usable: Any, run_seed: Any) -> int:
    """Return an endpoint, each with the same probability; chance follows from the seed and the connection's row."""
    if run_usable[0] == 0:
        return -1
    return usable[scaled(mixed(connection, run_seed[0]), run_usable[0])]


IPTABLES = Algorithm(
    "iptables", "iptables", "uniform random: rule i of E is taken with probability 1/(E-i+1)", any_endpoint
)
NFTABLES = Algorithm("nftables", "nftables", "uniform random: numgen random mod E", any_endpoint)
