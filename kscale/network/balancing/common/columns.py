"""The arrays of a run, a row each: what kernels name as parameters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from kscale.network.balancing import Column

#: Later than anything: an endpoint that never dies, an affinity that was never used.
NEVER_US = 1 << 62
#: What a dimension counts; ``tree`` is twice a power of two that holds all endpoints, ``more`` one more than endpoints.
DIMENSIONS = ("connection", "node", "endpoint", "change", "life", "client", "destination", "server", "tree", "more")

COLUMNS = (
    Column("connection_arrival_us", "int64", ("connection",), "when it comes, us, ascending"),
    Column("connection_duration_us", "int64", ("connection",), "how long it is served, us"),
    Column("connection_client", "int64", ("connection",), "its client's address as a number"),
    Column("connection_session", "int32", ("connection",), "its client as a row of affinities"),
    Column("connection_node", "int32", ("connection",), "the node whose proxy balances it"),
    Column("connection_destination", "int32", ("connection",), "its destination address, a row of caches"),
    Column("connection_reached_us", "int64", ("connection",), "when it is handed to its endpoint, us"),
    Column("connection_endpoint", "int32", ("connection",), "the endpoint chosen; -1: refused"),
    Column("connection_wait_us", "int64", ("connection",), "from its arrival until it is served, us; -1: it never is"),
    Column("endpoint_weight", "int64", ("endpoint",), "as proxies list it; 0 drains, -1 is not listed"),
    Column("endpoint_last_weight", "int64", ("endpoint",), "its last weight that was not 0; -1 is not listed"),
    Column("endpoint_limit", "int64", ("endpoint",), "connections that it serves at once; 0: any number"),
    Column("endpoint_server_first", "int64", ("endpoint",), "where its servers begin"),
    Column("server_free_us", "int64", ("server",), "when a server is free, us: a heap for each endpoint"),
    Column("endpoint_life_first", "int64", ("more",), "where its lives begin; the next row's is where they end"),
    Column("life_born_us", "int64", ("life",), "when the endpoint begins to serve, us"),
    Column("life_dies_us", "int64", ("life",), "when it stops, us"),
    Column("endpoint_connections", "int64", ("endpoint",), "connections that reached it alive"),
    Column("endpoint_busy_us", "int64", ("endpoint",), "time that it served, summed over connections, us"),
    Column("endpoint_active", "int64", ("endpoint",), "connections open now, of all nodes, waiting ones included"),
    Column("endpoint_most_active", "int64", ("endpoint",), "most connections at once, waiting ones included"),
    Column("endpoint_lost", "int64", ("endpoint",), "connections sent to it while it was dead"),
    Column("endpoint_lost_first_us", "int64", ("endpoint",), "when the first of them came, us", NEVER_US),
    Column("endpoint_lost_last_us", "int64", ("endpoint",), "when the last of them came, us", -1),
    Column("endpoint_broken", "int64", ("endpoint",), "connections that its death cut off"),
    Column("endpoint_retried", "int64", ("endpoint",), "dials that it did not answer, and another endpoint was tried"),
    Column("change_time_us", "int64", ("change",), "when proxies learn of it, us, ascending"),
    Column("change_endpoint", "int32", ("change",), "whose weight changes"),
    Column("change_weight", "int64", ("change",), "to what; -1 takes it off the list"),
    Column("usable", "int32", ("endpoint",), "endpoints of positive weight, in order of rows"),
    Column(
        "usable_after", "int32", ("more",), "place in ``usable`` of the first one at or after a row; 0 after the last"
    ),
    Column("node_active", "int32", ("node", "endpoint"), "open connections, as the node sees"),
    Column("node_inactive", "int32", ("node", "endpoint"), "closed connections that the node still keeps"),
    Column("node_roomy", "int64", ("node",), "listed endpoints with active x 2 < weight"),
    Column("tree_weight", "int64", ("endpoint",), "what a load is divided by; -1 or 0 takes no part"),
    Column("tree_overhead", "int64", ("node", "endpoint"), "load before it is divided"),
    Column("tree_winner", "int32", ("node", "tree"), "endpoint of least load per weight below a place; -1: none", -1),
    Column("session_endpoint", "int32", ("node", "client"), "where a client's connections stick", -1),
    Column("session_used_us", "int64", ("node", "client"), "when it was last used, us"),
    Column("open_end_us", "int64", ("connection",), "ends of open connections, us: a heap", None),
    Column("open_place", "int32", ("connection",), "node x endpoints + endpoint of an open connection", None),
    Column("closed_us", "int64", ("connection",), "when closed connections are forgotten, us: a queue", None),
    Column("closed_place", "int32", ("connection",), "node x endpoints + endpoint of a closed connection", None),
    Column("order", "int64", ("connection",), "connections as they reach their endpoints"),
    Column("room_end_us", "int64", ("endpoint",), "ends of open connections, us: a heap for each endpoint"),
    Column("room_first", "int64", ("endpoint",), "where an endpoint's heap begins"),
    Column("room_size", "int64", ("endpoint",), "how many ends it has room for", 1),
    Column("run_usable", "int64", (1,), "how many endpoints are usable"),
    Column("run_change", "int64", (1,), "the next change"),
    Column("run_open", "int64", (1,), "how many connections are open"),
    Column("run_closed", "int64", (2,), "first and next place of the queue of closed connections"),
    Column("run_seed", "int64", (1,), "what chance follows from"),
    Column("run_affinity_us", "int64", (1,), "how long a client sticks after its last connection, us"),
    Column("run_inactive_us", "int64", (1,), "how long a closed connection is kept, us"),
    Column("run_slow_start_us", "int64", (1,), "how long an endpoint is slow after its birth, us"),
    Column("run_slow_start_milli", "int64", (1,), "times longer that a slow endpoint serves, in thousandths", 1000),
    Column("run_dial_timeouts_us", "int64", (4,), "what a dial waits for an answer, try by try, us"),
)


def allocate(
    rows: Iterable[Column], needed: Iterable[str], sizes: Mapping[str, int], given: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the arrays that are needed, by name: as given, or filled with their defaults."""
    wanted = set(needed)
    result = dict(given)
    for row in rows:
        if row.name not in wanted or row.name in result:
            continue
        shape = tuple(size if isinstance(size, int) else sizes[size] for size in row.shape)
        if row.default is None:
            result[row.name] = np.empty(shape, row.dtype)
        elif row.default == 0:
            result[row.name] = np.zeros(shape, row.dtype)
        else:
            result[row.name] = np.full(shape, row.default, row.dtype)
    return result
