"""ClientIP affinity: a client's connections from a node stick to its endpoint while it is used and usable."""

from __future__ import annotations

from typing import Any

from kscale.kernels import kernel


@kernel
def stuck_to(
    connection: int, node: int, now_us: int, connection_session: Any, session_endpoint: Any, session_used_us: Any,
    run_affinity_us: Any, endpoint_weight: Any,
) -> int:  # fmt: skip
    """Return the endpoint that the client is stuck to, -1 without one.

    It sticks up to the timeout after its last connection, to the microsecond, as iptables' ``recent --seconds`` counts;
    an endpoint that drains or is off the list holds nobody (kube-proxy sets ``expire_quiescent_template``).
    """
    session = connection_session[connection]
    endpoint = session_endpoint[node, session]
    if endpoint < 0 or endpoint_weight[endpoint] <= 0:
        return -1
    if now_us - session_used_us[node, session] > run_affinity_us[0]:
        return -1
    return endpoint


@kernel
def stick(
    connection: int, node: int, now_us: int, endpoint: int, connection_session: Any, session_endpoint: Any,
    session_used_us: Any,
) -> None:  # fmt: skip
    """Remember where a client went, and when."""
    if endpoint >= 0:
        session = connection_session[connection]
        session_endpoint[node, session] = endpoint
        session_used_us[node, session] = now_us
