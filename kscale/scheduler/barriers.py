"""Barriers: pods that keep an ask off the very nodes they are on, as required anti-affinity by hostname does.

Groups tell such nodes apart one by one, which costs by the nodes that have such pods. An ask that may meet many of
them keeps, lane by lane, how many of its barriers each node has: it scores -1 there, and the search is a plain one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from kscale.kernels import hot, kernel
from kscale.scheduler.counting import counted
from kscale.scheduler.profile import Profile
from kscale.state.tables import Cluster

Array = npt.NDArray[Any]


@kernel
def open_barriers(
    template: int, lane: int,
    template_ask: Any, ask_barrier_first: Any, ask_barrier_last: Any, barrier_counter: Any, counter_topology: Any,
    counter_first: Any, counter_touched: Any, segment_place: Any, tally_next: Any, topology_node: Any, node_spot: Any,
    spot_barriers: Any,
) -> None:  # fmt: skip
    """Count, for the lane of the template's ask, the barriers on every node."""
    for spot in range(len(spot_barriers)):
        spot_barriers[spot, lane] = np.int16(0)
    ask = template_ask[template]
    for entry in range(ask_barrier_first[ask], ask_barrier_last[ask]):
        counter = barrier_counter[entry]
        domain = counter_touched[counter]
        while domain >= 0:
            node = topology_node[counter_topology[counter], domain]
            spot_barriers[node_spot[node], lane] += np.int16(1)
            domain = counted(counter_first[counter], domain, segment_place, tally_next) - 1


@hot
def bar_lanes(node: int, lanes: int, node_spot: Any, spot_barriers: Any, lane_reject: Any) -> None:
    """Reject the lanes that have a barrier on the node."""
    if len(spot_barriers) > 0:
        barriers, reject = spot_barriers[node_spot[node], :lanes], lane_reject[:lanes]
        for lane in range(len(reject)):
            reject[lane] |= np.int32(0) if barriers[lane] == 0 else np.int32(1)


def choose(cluster: Cluster, profile: Profile, served: Array, pods: Array) -> list[tuple[int, ...]]:
    """Return each template's barriers (counters, in order), and take them from what groups tell apart.

    A template has barriers where more pods than nodes may stand by themselves in a search by groups may keep it off.
    """
    result: list[tuple[int, ...]] = [()] * len(served)
    for plugin in profile.late_filters:
        if plugin.barring:
            enabled = np.array([Profile.enabled(plugin, row) for row in profile.configurations])
            rows = np.flatnonzero(served & enabled[cluster.template_profile])
            for row in rows.tolist():
                result[row] = _barriers(cluster, plugin.barring, row)
    counted = _pods_by_counter(cluster, pods)
    for row, barriers in enumerate(result):
        if barriers and counted[list(barriers)].sum() > cluster.cluster_alone[0]:
            first, last = int(cluster.template_hosted_first[row]), int(cluster.template_hosted_last[row])
            cluster.template_hosted_last[row] -= int(cluster.hosted_barring[first:last].sum())
        else:
            result[row] = ()
    return result


def _barriers(cluster: Cluster, table: str, row: int) -> tuple[int, ...]:
    first, last = cluster.columns[f"template_{table}_first"][row], cluster.columns[f"template_{table}_last"][row]
    counters = cluster.columns[f"{table}_counter"][first:last]
    return tuple(np.unique(counters[cluster.counter_single[counters] != 0]).tolist())


def _pods_by_counter(cluster: Cluster, pods: Array) -> Array:
    """Return how many of the pods that are to come each counter counts."""
    lengths = cluster.template_counting_last - cluster.template_counting_first
    owner = np.repeat(np.arange(len(lengths)), lengths)
    return np.bincount(cluster.counting_counter, pods[owner], minlength=cluster.sizes["counter"])


def fill(cluster: Cluster, barriers: list[tuple[int, ...]]) -> None:
    """Fill the lists of asks and counters, once the asks are known."""
    of_ask = {int(ask): barriers[row] for row, ask in enumerate(cluster.template_ask) if ask >= 0 and barriers[row]}
    pairs = np.array([(ask, counter) for ask, known in sorted(of_ask.items()) for counter in known], np.int64)
    if not len(pairs):
        return
    cluster.resize("barrier", len(pairs))
    cluster.resize("barring", len(pairs))
    cluster.resize("guarded", cluster.sizes["spot"])
    cluster.barrier_counter[:] = pairs[:, 1]
    by_counter = pairs[np.argsort(pairs[:, 1], kind="stable")]
    cluster.barring_ask[:] = by_counter[:, 0]
    for table, listed, count in (
        ("ask_barrier", pairs[:, 0], cluster.sizes["ask"]),
        ("counter_barring", by_counter[:, 1], cluster.sizes["counter"]),
    ):
        owners = np.arange(count)
        cluster.columns[f"{table}_first"][:] = np.searchsorted(listed, owners, "left")
        cluster.columns[f"{table}_last"][:] = np.searchsorted(listed, owners, "right")
