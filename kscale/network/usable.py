"""The endpoints that a node uses of a Service: topology and traffic policies filter the list (pkg/proxy/topology.go).

Ready endpoints are used. Where each of them says which node it is for, and one is for this one, only such are; else the
same by zones; else all. With the policy Local only those on the node are. Those that are being deleted, and answer
still, are used where no ready one is left: in all, and for Local on the node.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from kscale.engine.members import spread

Rows = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Endpoints:
    """Endpoints of Services, those of one side by side.

    Attributes:
        first, count: int64 (service,), where its endpoints begin, and how many they are.
        pod, node: int64 (endpoint,), rows.
        ready, draining: bool (endpoint,); draining ones serve, are being deleted, and do not count as ready.
        zone_hint, node_hint: int64 (endpoint,), whom it is for; -1 is for any.
    """

    first: Rows
    count: Rows
    pod: Rows
    node: Rows
    ready: Rows
    draining: Rows
    zone_hint: Rows
    node_hint: Rows


@dataclass(frozen=True)
class Usable:
    """What nodes see of the endpoints of Services: one row for each (pair, endpoint).

    Attributes:
        pair: int64 (row,), place of the pair of a node and a Service; ascending.
        endpoint: int64 (row,), row of ``Endpoints``; ascending in each pair.
        cluster: bool (row,), whether it is used with the policy Cluster.
        local: bool (row,), whether it is used with the policy Local.
        here: bool (row,), whether it is on the pair's node.
    """

    pair: Rows
    endpoint: Rows
    cluster: Rows
    local: Rows
    here: Rows


def usable(endpoints: Endpoints, service: Rows, node: Rows, zone: Rows) -> Usable:
    """Return which endpoints nodes use of Services.

    ``service`` (places in ``endpoints.first``), ``node`` and ``zone`` (-1 has none) are int64, one of each a pair. It
    costs by the endpoints of the pairs' Services.
    """
    row, pair = spread(endpoints.first[service], endpoints.count[service])
    ready, draining = endpoints.ready[row], endpoints.draining[row]
    here = endpoints.node[row] == node[pair]
    for_node, for_zone = endpoints.node_hint[row], endpoints.zone_hint[row]
    hinted_node = for_node == node[pair]
    hinted_zone = (for_zone == zone[pair]) & (zone[pair] >= 0)

    def has(mask: Rows) -> Rows:
        return np.bincount(pair[mask], minlength=len(service)) > 0

    by_node = has(ready & hinted_node) & ~has(ready & (for_node < 0))
    by_zone = has(ready & hinted_zone) & ~has(ready & (for_zone < 0)) & ~by_node
    close = np.where(by_node[pair], hinted_node, np.where(by_zone[pair], hinted_zone, True))
    any_ready, ready_here = has(ready), has(ready & here)
    cluster = np.where(any_ready[pair], ready & close, draining)
    local = here & np.where(ready_here[pair], ready, draining)
    return Usable(pair, row, cluster, local, here)
