"""What a node's proxy sees of its own connections: open ones, and closed ones that it still keeps."""

from __future__ import annotations

from typing import Any

from kscale.kernels import kernel
from kscale.network.balancing.common.heaps import pop_pair, push_pair


@kernel
def count_active(
    node: int, endpoint: int, more: int, node_active: Any, node_roomy: Any, endpoint_weight: Any, endpoint_active: Any,
    endpoint_most_active: Any,
) -> None:  # fmt: skip
    """Count a connection that opens (1) or ends (-1)."""
    active, weight = node_active[node, endpoint], endpoint_weight[endpoint]
    node_active[node, endpoint] = active + more
    node_roomy[node] += int((active + more) * 2 < weight) - int(active * 2 < weight)
    endpoint_active[endpoint] += more
    endpoint_most_active[endpoint] = max(endpoint_most_active[endpoint], endpoint_active[endpoint])


@kernel
def end_due(now_us: int, run_open: Any, open_end_us: Any) -> bool:
    """Return whether an open connection has ended."""
    return run_open[0] > 0 and open_end_us[0] <= now_us


@kernel
def close(
    place: int,
    end_us: int,
    run_inactive_us: Any,
    run_closed: Any,
    closed_us: Any,
    closed_place: Any,
    node_inactive: Any,
) -> None:
    """Keep a connection that has ended as a closed one, for as long as the node does."""
    if run_inactive_us[0] > 0:
        endpoints = node_inactive.shape[1]
        node_inactive[place // endpoints, place % endpoints] += 1
        closed_us[run_closed[1]] = end_us + run_inactive_us[0]
        closed_place[run_closed[1]] = place
        run_closed[1] += 1


@kernel
def take_ended(
    run_open: Any, open_end_us: Any, open_place: Any, run_inactive_us: Any, run_closed: Any, closed_us: Any,
    closed_place: Any, node_inactive: Any,
) -> int:  # fmt: skip
    """Take the connection that ends first; return its place (node x endpoints + endpoint). It may be kept as closed."""
    place, end = open_place[0], open_end_us[0]
    pop_pair(open_end_us, open_place, run_open[0])
    run_open[0] -= 1
    close(place, end, run_inactive_us, run_closed, closed_us, closed_place, node_inactive)
    return place


@kernel
def forgotten_due(now_us: int, run_closed: Any, closed_us: Any) -> bool:
    """Return whether a closed connection has been kept for long enough."""
    return run_closed[0] < run_closed[1] and closed_us[run_closed[0]] <= now_us


@kernel
def take_forgotten(run_closed: Any, closed_place: Any, node_inactive: Any) -> int:
    """Forget the connection that closed first; return its place."""
    place = closed_place[run_closed[0]]
    run_closed[0] += 1
    endpoints = node_inactive.shape[1]
    node_inactive[place // endpoints, place % endpoints] -= 1
    return place


@kernel
def keep_open(
    node: int, endpoint: int, end_us: int, run_open: Any, open_end_us: Any, open_place: Any, node_active: Any
) -> None:  # fmt: skip
    """Add a connection to those that are open."""
    push_pair(open_end_us, open_place, run_open[0], end_us, node * node_active.shape[1] + endpoint)
    run_open[0] += 1
