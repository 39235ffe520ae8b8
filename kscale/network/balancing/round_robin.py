"""IPVS rr and wrr: endpoints in turn, equally or by weight (net/netfilter/ipvs/ip_vs_rr.c, ip_vs_wrr.c).

The kernel puts new servers at the head of its list; here the list is in order of rows.
"""

from __future__ import annotations

from typing import Any

from kscale.kernels import kernel
from kscale.network.balancing import Algorithm, Column


@kernel
def in_turn(
    connection: int, node: int, now_us: int, usable: Any, usable_after: Any, run_usable: Any, turn_row: Any
) -> int:  # fmt: skip
    """Return the first usable endpoint after the last one chosen."""
    if run_usable[0] == 0:
        return -1
    endpoint = usable[usable_after[turn_row[node]]]
    turn_row[node] = endpoint + 1
    return endpoint


@kernel
def by_weight(
    connection: int, node: int, now_us: int, endpoint_weight: Any, walk_row: Any, walk_level: Any, walk_top: Any,
    walk_step: Any,
) -> int:  # fmt: skip
    """Return the next endpoint whose weight is at least the level of the walk.

    A walk goes over all rows at a level, from the largest weight down to 1 in steps of the weights' greatest common
    divisor, and then from the top again: an endpoint gets as many connections of a round as its weight has steps.
    """
    if walk_top[0] <= 0:
        return -1
    row, level = walk_row[node], walk_level[node]
    while row >= len(endpoint_weight) or endpoint_weight[row] < level:
        row += 1
        if row >= len(endpoint_weight):
            row = 0
            level -= walk_step[0]
            if level <= 0:
                level = walk_top[0]
    walk_row[node], walk_level[node] = row + 1, level
    return row


@kernel
def walk_anew(endpoint_weight: Any, walk_row: Any, walk_level: Any, walk_top: Any, walk_step: Any) -> None:
    """Begin at the first row after a change, at the level that there was, or the next lower one that there is now."""
    step, most = 0, 0
    for endpoint in range(len(endpoint_weight)):
        weight = endpoint_weight[endpoint]
        most = max(most, weight)
        while weight > 0:
            step, weight = weight, step % weight
    step = max(step, 1)
    # The lowest level is 1, not the divisor.
    top = most - (step - 1)
    walk_step[0], walk_top[0] = step, top
    for node in range(len(walk_row)):
        walk_row[node] = 0
        if walk_level[node] > top or walk_level[node] == 0:
            walk_level[node] = top
        elif step > 1:
            walk_level[node] = walk_level[node] // step * step + 1


RR = Algorithm(
    "rr", "ipvs", "endpoints in turn", in_turn,
    columns=(Column("turn_row", "int64", ("node",), "row after the last endpoint chosen"),),
)  # fmt: skip
WRR = Algorithm(
    "wrr", "ipvs", "endpoints in turn, as often as their weights say", by_weight, walk_anew,
    columns=(
        Column("walk_row", "int64", ("node",), "row after the last endpoint chosen"),
        Column("walk_level", "int64", ("node",), "weight that is enough now"),
        Column("walk_top", "int64", (1,), "highest level"),
        Column("walk_step", "int64", (1,), "from level to level: the greatest common divisor of the weights"),
    ),
)  # fmt: skip
