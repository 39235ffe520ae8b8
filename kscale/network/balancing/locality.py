"""IPVS lblc and lblcr: a destination's connections stay with one endpoint, or a set of them, until it is overloaded.

The rules are those of net/netfilter/ipvs/ip_vs_lblc.c and ip_vs_lblcr.c. They cache by the destination address, so that
all connections to one ClusterIP go to one endpoint while it is not overloaded: it has more open connections than its
weight while another has fewer than half of its own. Where it is, the least loaded endpoint (as wlc) takes its place
(lblc) or joins it (lblcr); lblcr drops the most loaded one of a set that has not changed for a day. A timer forgets
destinations that are not used; it goes over them in order of rows, where the kernel goes over its hash buckets.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from kscale.kernels import kernel
from kscale.network.balancing import Algorithm, Column
from kscale.network.balancing.common.parameters import (
    CACHE_CHECK,
    CACHE_EXPIRATION,
    CACHE_FULL_CHECK,
    CACHE_IDLE,
    CACHE_MOST,
)
from kscale.network.balancing.least import kept

_CHECK_US, _FULL_CHECK, _MOST = CACHE_CHECK.whole, CACHE_FULL_CHECK.whole, CACHE_MOST.whole
_EXPIRATION_US, _IDLE_US = CACHE_EXPIRATION.whole, CACHE_IDLE.whole


@kernel
def overloaded(node: int, endpoint: int, node_active: Any, node_roomy: Any, endpoint_weight: Any) -> bool:
    """Return whether an endpoint has more than its share while another has less than half of its own."""
    return node_active[node, endpoint] > endpoint_weight[endpoint] and node_roomy[node] > 0


@kernel
def forget(
    node: int, idle_us: int, goal: int, now_us: int, cache_size: Any, cache_used_us: Any, cache_entries: Any,
    cache_rover: Any,
) -> None:  # fmt: skip
    """Forget destinations that were not used for so long, from where the last pass stopped until the goal is met."""
    destinations = cache_size.shape[1]
    for _ in range(destinations):
        cache_rover[node] = (cache_rover[node] + 1) % destinations
        destination = cache_rover[node]
        if cache_size[node, destination] > 0 and now_us >= cache_used_us[node, destination] + idle_us:
            cache_size[node, destination] = 0
            cache_entries[node] -= 1
            goal -= 1
        if goal <= 0:
            return


@kernel
def expire(
    node: int, now_us: int, cache_size: Any, cache_used_us: Any, cache_entries: Any, cache_rover: Any, cache_checks: Any
) -> None:
    """Do the checks that are due: a full one after 30 without need; another one where there are too many entries."""
    while (cache_checks[node, 0] + 1) * _CHECK_US <= now_us:
        cache_checks[node, 0] += 1
        time_us = cache_checks[node, 0] * _CHECK_US
        if (cache_checks[node, 1] + 1) % _FULL_CHECK == 0:
            forget(node, _EXPIRATION_US, 1 << 62, time_us, cache_size, cache_used_us, cache_entries, cache_rover)
            cache_checks[node, 1] = 0
        elif cache_entries[node] <= _MOST:
            cache_checks[node, 1] += 1
        else:
            goal = min((cache_entries[node] - _MOST) * 4 // 3, _MOST // 2)
            forget(node, _IDLE_US, goal, time_us, cache_size, cache_used_us, cache_entries, cache_rover)


@kernel
def from_cache(
    connection: int, node: int, now_us: int, connection_destination: Any, node_active: Any, node_roomy: Any,
    endpoint_weight: Any, tree_winner: Any, cache_endpoint: Any, cache_size: Any, cache_used_us: Any,
    cache_entries: Any, cache_rover: Any, cache_checks: Any,
) -> int:  # fmt: skip
    """Return the destination's endpoint while it is not overloaded, else the least loaded one, from then on its own."""
    expire(node, now_us, cache_size, cache_used_us, cache_entries, cache_rover, cache_checks)
    destination = connection_destination[connection]
    if cache_size[node, destination] > 0:
        cache_used_us[node, destination] = now_us
        endpoint = cache_endpoint[node, destination]
        if endpoint_weight[endpoint] > 0 and not overloaded(node, endpoint, node_active, node_roomy, endpoint_weight):
            return endpoint
    endpoint = tree_winner[node, 1]
    if endpoint >= 0:
        cache_entries[node] += int(cache_size[node, destination] == 0)
        cache_endpoint[node, destination], cache_size[node, destination] = endpoint, 1
        cache_used_us[node, destination] = now_us
    return endpoint


@kernel
def extreme(
    node: int, destination: int, sign: int, set_member: Any, cache_size: Any, tree_overhead: Any, endpoint_weight: Any
) -> int:
    """Return the place in a set of the least (1) or most (-1) loaded endpoint, the newest member on ties; -1: none.

    All members are looked at.
    """
    best = -1
    for place in range(cache_size[node, destination] - 1, -1, -1):
        endpoint = set_member[node, destination, place]
        if endpoint_weight[endpoint] <= 0:
            continue
        if best >= 0:
            known = set_member[node, destination, best]
            mine = tree_overhead[node, endpoint] * endpoint_weight[known]
            if sign * mine >= sign * tree_overhead[node, known] * endpoint_weight[endpoint]:
                continue
        best = place
    return best


@kernel
def match(
    node: int, place: int, set_winner: Any, set_member: Any, tree_overhead: Any, endpoint_weight: Any
) -> None:  # fmt: skip
    """Let two places of the tournament among members play; the newer one wins ties."""
    left, right = set_winner[node, 2 * place], set_winner[node, 2 * place + 1]
    won = right if right >= 0 else left
    if left >= 0 and right >= 0:
        older, newer = set_member[node, 0, left], set_member[node, 0, right]
        if tree_overhead[node, older] * endpoint_weight[newer] < tree_overhead[node, newer] * endpoint_weight[older]:
            won = left
    set_winner[node, place] = won


@kernel
def plant_set(
    node: int, set_winner: Any, set_place: Any, set_member: Any, cache_size: Any, tree_overhead: Any,
    endpoint_weight: Any,
) -> None:  # fmt: skip
    """Play all matches among the members of the only set, after it or weights have changed."""
    leaves = set_winner.shape[1] >> 1
    set_winner[node] = -1
    set_place[node] = -1
    for place in range(cache_size[node, 0]):
        endpoint = set_member[node, 0, place]
        set_place[node, endpoint] = place
        set_winner[node, leaves + place] = place if endpoint_weight[endpoint] > 0 else -1
    for place in range(leaves - 1, 0, -1):
        match(node, place, set_winner, set_member, tree_overhead, endpoint_weight)


@kernel
def plant_sets(
    set_winner: Any, set_place: Any, set_member: Any, cache_size: Any, tree_overhead: Any, endpoint_weight: Any
) -> None:  # fmt: skip
    """Play all matches of all nodes, where there is one destination, as with a ClusterIP; more of them are scanned."""
    if cache_size.shape[1] == 1:
        for node in range(len(cache_size)):
            plant_set(node, set_winner, set_place, set_member, cache_size, tree_overhead, endpoint_weight)


@kernel
def replay_set(
    node: int, endpoint: int, set_winner: Any, set_place: Any, set_member: Any, tree_overhead: Any,
    endpoint_weight: Any,
) -> None:  # fmt: skip
    """Play the matches of a member again after its overhead has changed."""
    if set_place[node, endpoint] < 0:
        return
    place = (set_winner.shape[1] >> 1) + set_place[node, endpoint]
    while place > 1:
        place >>= 1
        match(node, place, set_winner, set_member, tree_overhead, endpoint_weight)


@kernel
def join(
    node: int, destination: int, endpoint: int, now_us: int, set_member: Any, cache_size: Any, set_changed_us: Any
) -> None:
    """Add an endpoint to a set, unless it is a member."""
    size = cache_size[node, destination]
    for place in range(size):
        if set_member[node, destination, place] == endpoint:
            return
    set_member[node, destination, size] = endpoint
    cache_size[node, destination] = size + 1
    set_changed_us[node, destination] = now_us


@kernel
def leave(
    node: int, destination: int, place: int, now_us: int, set_member: Any, cache_size: Any, set_changed_us: Any
) -> None:
    """Take the member at a place out of a set."""
    cache_size[node, destination] -= 1
    for later in range(place, cache_size[node, destination]):
        set_member[node, destination, later] = set_member[node, destination, later + 1]
    set_changed_us[node, destination] = now_us


@kernel
def from_set(
    connection: int, node: int, now_us: int, connection_destination: Any, node_active: Any, node_roomy: Any,
    endpoint_weight: Any, tree_winner: Any, tree_overhead: Any, set_member: Any, set_changed_us: Any, set_winner: Any,
    set_place: Any, cache_size: Any, cache_used_us: Any, cache_entries: Any, cache_rover: Any, cache_checks: Any,
) -> int:  # fmt: skip
    """Return the least loaded endpoint of the destination's set, else the least loaded one of all, which then joins."""
    expire(node, now_us, cache_size, cache_used_us, cache_entries, cache_rover, cache_checks)
    destination = connection_destination[connection]
    if cache_size[node, destination] > 0:
        cache_used_us[node, destination] = now_us
        if cache_size.shape[1] == 1:
            place = np.int64(set_winner[node, 1])
        else:
            place = extreme(node, destination, 1, set_member, cache_size, tree_overhead, endpoint_weight)
        endpoint = set_member[node, destination, place] if place >= 0 else -1
        if cache_size[node, destination] > 1 and now_us - set_changed_us[node, destination] > _EXPIRATION_US:
            most = extreme(node, destination, -1, set_member, cache_size, tree_overhead, endpoint_weight)
            if most >= 0:
                leave(node, destination, most, now_us, set_member, cache_size, set_changed_us)
                if cache_size.shape[1] == 1:
                    plant_set(node, set_winner, set_place, set_member, cache_size, tree_overhead, endpoint_weight)
        if endpoint >= 0 and not overloaded(node, endpoint, node_active, node_roomy, endpoint_weight):
            return endpoint
    endpoint = tree_winner[node, 1]
    before = cache_size[node, destination]
    if endpoint >= 0:
        cache_entries[node] += int(cache_size[node, destination] == 0)
        cache_used_us[node, destination] = now_us
        join(node, destination, endpoint, now_us, set_member, cache_size, set_changed_us)
    if cache_size.shape[1] == 1 and cache_size[node, destination] != before:
        plant_set(node, set_winner, set_place, set_member, cache_size, tree_overhead, endpoint_weight)
    return endpoint


_CACHE = (
    Column("cache_size", "int64", ("node", "destination"), "endpoints that a destination has; 0: it is not known"),
    Column("cache_used_us", "int64", ("node", "destination"), "when it was last used, us"),
    Column("cache_entries", "int64", ("node",), "destinations known"),
    Column("cache_rover", "int64", ("node",), "where the last pass over destinations stopped"),
    Column("cache_checks", "int64", ("node", 2), "checks so far, and those since the last full one"),
)
LBLC = Algorithm(
    "lblc", "ipvs", "a destination's own endpoint, replaced when it is overloaded", from_cache, overhead=kept,
    columns=(*_CACHE, Column("cache_endpoint", "int32", ("node", "destination"), "a destination's endpoint")),
)  # fmt: skip
LBLCR = Algorithm(
    "lblcr", "ipvs", "a destination's own set of endpoints, larger when it is overloaded", from_set, plant_sets,
    overhead=kept, weighed=replay_set,
    columns=(
        *_CACHE,
        Column("set_member", "int32", ("node", "destination", "endpoint"), "its endpoints, the newest last"),
        Column("set_place", "int32", ("node", "endpoint"), "an endpoint's place in the only set; -1: none", -1),
        Column("set_winner", "int32", ("node", "tree"), "place of the least loaded member below; -1: none", -1),
        Column("set_changed_us", "int64", ("node", "destination"), "when its set last changed, us"),
    ),
)  # fmt: skip
