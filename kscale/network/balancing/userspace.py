"""Round robin of the userspace mode (until Kubernetes 1.25): endpoints in turn, the next one where a dial fails.

The proxy dials up to four endpoints and waits for each as ``dial_timeout`` says; a client that sticks to an endpoint
which does not answer moves on. A change of the list starts at its beginning again (pkg/proxy/userspace/roundrobin.go,
which shuffles the list then; here it stays in order of rows). A dead endpoint is taken not to answer at all.
"""

from __future__ import annotations

from typing import Any

from kscale.kernels import kernel
from kscale.network.balancing import Algorithm, Column
from kscale.network.balancing.common.serving import life_at


@kernel
def dial(
    connection: int, node: int, now_us: int, stuck: int, usable: Any, run_usable: Any, userspace_turn: Any,
    connection_reached_us: Any, run_dial_timeouts_us: Any, endpoint_life_first: Any, life_born_us: Any,
    life_dies_us: Any, endpoint_retried: Any,
) -> int:  # fmt: skip
    """Return the first endpoint that answers, beginning with the client's own; the last one tried if none does."""
    count = run_usable[0]
    if count == 0:
        return -1
    reached_us = now_us
    endpoint = stuck
    last = len(run_dial_timeouts_us) - 1
    for turn in range(last + 1):
        if turn > 0 or endpoint < 0:
            endpoint = usable[userspace_turn[node]]
            userspace_turn[node] = (userspace_turn[node] + 1) % count
        if turn == last or life_at(endpoint, reached_us, endpoint_life_first, life_born_us, life_dies_us) >= 0:
            break
        endpoint_retried[endpoint] += 1
        reached_us += run_dial_timeouts_us[turn]
    connection_reached_us[connection] = reached_us
    return endpoint


@kernel
def begin_again(userspace_turn: Any) -> None:
    """Start at the beginning of the list, on all nodes."""
    userspace_turn[:] = 0


USERSPACE = Algorithm(
    "userspace", "userspace", "round robin; up to four endpoints are dialled", dial, begin_again, delays=True,
    columns=(Column("userspace_turn", "int64", ("node",), "place in ``usable`` of the next endpoint"),),
)  # fmt: skip
