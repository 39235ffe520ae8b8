"""IPVS lc, wlc, sed and nq: the endpoint with the least load, the first row on ties.

The rules are those of net/netfilter/ipvs/ip_vs_lc.c, ip_vs_wlc.c, ip_vs_sed.c and ip_vs_nq.c. A connection counts as
active from its arrival: the kernel has it inactive until its handshake is done, one round trip.
"""

from __future__ import annotations

from typing import Any

from kscale.kernels import inlined, kernel
from kscale.network.balancing import Algorithm
from kscale.network.balancing.common.parameters import ACTIVE_OVERHEAD

_ACTIVE = ACTIVE_OVERHEAD.whole


@kernel
def least_loaded(connection: int, node: int, now_us: int, tree_winner: Any) -> int:
    """Return the winner of the node's tournament."""
    return tree_winner[node, 1]


@inlined
def kept(active: int, inactive: int) -> int:
    """Return the load of active connections and, little, of closed ones that are still kept."""
    return active * _ACTIVE + inactive


@inlined
def expected(active: int, inactive: int) -> int:
    """Return the connections there would be with one more."""
    return active + 1


@inlined
def expected_unless_idle(active: int, inactive: int) -> int:
    """Return nothing for an idle endpoint, so that the first of them is taken whatever it weighs."""
    return 0 if active == 0 else active + 1


LC = Algorithm("lc", "ipvs", "least active x 256 + inactive", least_loaded, overhead=kept, weighted=False)
WLC = Algorithm("wlc", "ipvs", "least (active x 256 + inactive) / weight", least_loaded, overhead=kept)
SED = Algorithm("sed", "ipvs", "least (active + 1) / weight", least_loaded, overhead=expected)
NQ = Algorithm("nq", "ipvs", "the first idle endpoint, else as sed", least_loaded, overhead=expected_unless_idle)
