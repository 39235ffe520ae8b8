"""What proxies list: endpoints with their weights, and what follows from them."""

from __future__ import annotations

from typing import Any

from kscale.kernels import kernel


@kernel
def relist(endpoint_weight: Any, usable: Any, usable_after: Any, run_usable: Any) -> None:
    """Write down the endpoints of positive weight anew, and for each row the first of them at or after it."""
    count = 0
    for endpoint in range(len(endpoint_weight)):
        usable_after[endpoint] = count
        if endpoint_weight[endpoint] > 0:
            usable[count] = endpoint
            count += 1
    for row in range(len(usable_after) - 1, -1, -1):
        if row == len(endpoint_weight) or usable_after[row] == count:
            usable_after[row] = 0
    run_usable[0] = count


@kernel
def apply_changes(
    now_us: int, change_time_us: Any, change_endpoint: Any, change_weight: Any, run_change: Any, endpoint_weight: Any,
    endpoint_last_weight: Any,
) -> bool:  # fmt: skip
    """Take over the changes that are due; return whether there were any. Those of one instant come together."""
    place = run_change[0]
    while place < len(change_time_us) and change_time_us[place] <= now_us:
        endpoint, weight = change_endpoint[place], change_weight[place]
        endpoint_weight[endpoint] = weight
        if weight != 0 or endpoint_last_weight[endpoint] < 0:
            endpoint_last_weight[endpoint] = weight
        place += 1
    changed = place != run_change[0]
    run_change[0] = place
    return changed


@kernel
def next_change_us(change_time_us: Any, run_change: Any) -> int:
    """Return when the next change is due, or a time that never comes."""
    if run_change[0] < len(change_time_us):
        return change_time_us[run_change[0]]
    return 1 << 62


@kernel
def reweigh(
    unweighted: bool, endpoint_weight: Any, tree_weight: Any, node_active: Any, node_roomy: Any
) -> None:  # fmt: skip
    """Write down what loads are divided by, and count the endpoints of which less than half is taken."""
    for endpoint in range(len(endpoint_weight)):
        weight = endpoint_weight[endpoint]
        tree_weight[endpoint] = min(weight, 1) if unweighted else weight
    for node in range(node_active.shape[0]):
        roomy = 0
        for endpoint in range(len(endpoint_weight)):
            roomy += int(node_active[node, endpoint] * 2 < endpoint_weight[endpoint])
        node_roomy[node] = roomy
