"""Invariants, worked out anew from the live pods: what ``--check`` looks at at every control point."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from kscale.engine.changes import ABSENT
from kscale.engine.clock import ACTIVE, BACKOFF, CALENDAR, FREE, RESTING
from kscale.engine.index_invariants import index_violations
from kscale.engine.living_invariants import living_violations
from kscale.engine.pods import EVICTED, GONE, HELD, IN_FLIGHT, QUEUED, RESTING_STATE, RUNNING, UNUSED
from kscale.engine.queue_invariants import queue_violations
from kscale.state.schema.segment import BITS
from kscale.state.tables import Cluster

Array = np.ndarray[Any, Any]
Expect = Callable[[object, str], None]


def violations(cluster: Cluster) -> list[str]:
    """Return what does not hold: over-commitment, books that do not add up, pods that are lost."""
    found: list[str] = []

    def expect(holds: object, what: str) -> None:
        if not bool(holds):
            found.append(what)

    state = cluster.pod_state
    placed = state == RUNNING
    flight = int(cluster.cluster_pod_in_flight[0])
    node_of = cluster.pod_node.copy()
    if flight >= 0 and cluster.cluster_node_in_flight[0] >= 0:
        placed = placed.copy()
        placed[flight] = True
        node_of[flight] = cluster.cluster_node_in_flight[0]
    pods, nodes = np.flatnonzero(placed), node_of[placed]
    templates = cluster.pod_template[pods]
    for resource in range(cluster.sizes["resource"]):
        for book, request in (
            ("node_requested", "template_request"),
            ("node_nonzero_requested", "template_nonzero_request"),
        ):
            sums = np.zeros(cluster.sizes["node"], np.int64)
            np.add.at(sums, nodes, cluster.columns[request][templates, resource])
            expect(
                np.array_equal(sums, cluster.columns[book][resource]),
                f"{book} of resource {resource} is not the sum over pods",
            )
    expect(not _over(cluster, pods, nodes).any(), "a node is over-committed")
    expect(np.array_equal(cluster.node_requested.sum(axis=1), cluster.resource_requested), "resource_requested is off")
    expect(
        np.array_equal(np.bincount(nodes, minlength=cluster.sizes["node"]), cluster.node_bound_pods),
        "node_bound_pods is off",
    )
    expect(not (cluster.node_shut[nodes] == ABSENT).any(), "a pod is on a node that is not there")
    _devices(cluster, pods, nodes, expect)
    _counters(cluster, pods, nodes, expect)
    _ports(cluster, pods, nodes, expect)
    index_violations(cluster, expect)
    if cluster.cluster_lines[0] > 0:
        queue_violations(cluster, expect)
    if cluster.profile_preempts.any():
        _node_lists(cluster, pods, nodes, expect)
        _nominations(cluster, expect)
    if cluster.sizes["life"]:
        living_violations(cluster, expect)
    _states(cluster, expect)
    return found


def _states(cluster: Cluster, expect: Expect) -> None:
    """Every pod is in one state, and where that state says."""
    state, flight = cluster.pod_state, int(cluster.cluster_pod_in_flight[0])
    counted = {code: int(np.count_nonzero(state == code)) for code in range(10)}
    waiting = counted[QUEUED] + counted[RESTING_STATE] + counted[IN_FLIGHT] + counted[HELD]
    expect(counted[RUNNING] == cluster.cluster_running_pods[0], "running pods are miscounted")
    expect(waiting == cluster.cluster_waiting_pods[0], "waiting pods are miscounted")
    expect(counted[HELD] == cluster.cluster_held_pods[0], "held pods are miscounted")
    expect(counted[RESTING_STATE] == cluster.queue_size[RESTING], "resting pods are miscounted")
    expect(counted[UNUSED] == cluster.queue_size[FREE], "free rows are miscounted")
    queued = cluster.queue_size[ACTIVE] + cluster.queue_size[BACKOFF] + (flight >= 0 and state[flight] == GONE)
    expect(counted[QUEUED] + counted[GONE] == queued, "a pod is in no queue")
    due = cluster.queue_calendar[: cluster.queue_size[CALENDAR]]
    expect(np.isin(np.flatnonzero(state == EVICTED), due).all(), "an evicted pod never gives its row back")
    # With kubelets, what was evicted runs on until its grace period is over.
    going = np.count_nonzero((state == RUNNING) & (cluster.pod_eviction >= 0))
    expect(cluster.cluster_evictions[0] == cluster.cluster_evicted_pods[0] + going, "evicted pods are miscounted")
    expect(
        cluster.cluster_arrived_pods[0]
        == cluster.cluster_running_pods[0] + cluster.cluster_waiting_pods[0] + cluster.cluster_ended_pods[0]
        + cluster.cluster_failed_pods[0] + cluster.cluster_refused_pods[0] + cluster.cluster_evicted_pods[0]
        + cluster.cluster_deleted_pods[0] + cluster.cluster_lost_pods[0],
        "arrivals are not running + waiting + ended + failed + refused + evicted + deleted + lost",
    )  # fmt: skip


def _over(cluster: Cluster, pods: Array, nodes: Array) -> Array:
    """Return where more is requested than there is, by resource and node.

    A node that pods were bound to before the run may be too full, and a resource that the scheduler is told to ignore
    may be given out without end. Pods stay on a node that has come to offer less than they have requested.
    """
    over: Array = cluster.node_requested > cluster.node_allocatable
    over[:, nodes[(cluster.pod_decision[pods] < 0) & (cluster.pod_state[pods] == RUNNING)]] = False
    over[(cluster.template_fit_request != cluster.template_request).any(axis=0)] = False
    over[:, cluster.node_lowered != 0] = False
    return over


def _counters(cluster: Cluster, pods: Array, nodes: Array, expect: Expect) -> None:
    """Pods by domain, counted anew."""
    pod, counter = _entries(cluster, pods, "counting", cluster.counting_counter)
    node, nodemask = nodes[pod], cluster.counter_nodemask[counter]
    domain = cluster.topology_domain[cluster.counter_topology[counter], node]
    counts, masked = domain >= 0, nodemask >= 0
    counts[masked] &= cluster.nodemask_node[nodemask[masked], node[masked]] != 0
    segment, place = cluster.counter_first[counter] + (domain >> BITS), domain & ((1 << BITS) - 1)
    rows = (cluster.segment_place[np.where(counts, segment, 0)] + place)[counts]
    tally = np.bincount(rows, minlength=cluster.sizes["tally"])
    expect(np.array_equal(tally, cluster.tally_count), "tally_count is not what the pods come to")
    _segments(cluster, expect)
    total = np.bincount(counter[counts], minlength=cluster.sizes["counter"])
    expect(np.array_equal(total, cluster.counter_total), "counter_total is not what the pods come to")


def _segments(cluster: Cluster, expect: Expect) -> None:
    """Places are given to one segment each, or are free."""
    places = cluster.segment_place[cluster.segment_place != 0] >> BITS
    free = cluster.segment_free[: cluster.cluster_free_places[0]] >> BITS
    given = np.sort(np.concatenate([places, free]))
    expect(np.array_equal(given, np.arange(1, cluster.cluster_places[0] + 1)), "places of segments are not one each")
    used = np.count_nonzero(cluster.tally_count.reshape(-1, 1 << BITS), axis=1)
    expect(np.array_equal(used[cluster.segment_place >> BITS], cluster.segment_used), "segment_used is miscounted")


def _ports(cluster: Cluster, pods: Array, nodes: Array, expect: Expect) -> None:
    """A host port is taken where a pod has it. Of two pods with one port on a node, the first to go sets it free."""
    if "port_used" not in cluster.columns:
        return
    pod, port = _entries(cluster, pods, "port_of", cluster.port_of_port)
    held = np.zeros_like(cluster.port_used)
    np.add.at(held, (port, nodes[pod]), 1)
    expect(not ((held == 0) & (cluster.port_used != 0)).any(), "a port is taken that no pod has")
    gone = cluster.cluster_ended_pods[0] + cluster.cluster_evicted_pods[0]
    expect(gone > 0 or not ((held > 0) & (cluster.port_used == 0)).any(), "a port that a pod has is not taken")


def _entries(cluster: Cluster, pods: Array, table: str, values: Array) -> tuple[Array, Array]:
    """Return the entries of the pods' lists in a table: places in ``pods``, and the values."""
    first = cluster.columns[f"template_{table}_first"][cluster.pod_template[pods]]
    length = cluster.columns[f"template_{table}_last"][cluster.pod_template[pods]] - first
    place = np.repeat(np.arange(len(pods)), length)
    step = np.arange(len(place)) - np.repeat(np.cumsum(length) - length, length)
    return place, values[first[place] + step]


def _node_lists(cluster: Cluster, pods: Array, nodes: Array, expect: Expect) -> None:
    """The list of each node, walked from its first pod, holds the pods on it and no other, and ends at the last."""
    node = np.flatnonzero(cluster.node_first_pod >= 0)
    pod, before = cluster.node_first_pod[node], np.full(len(node), -1, np.int64)
    on = np.full(cluster.sizes["pod"], -1, np.int64)
    on[pods] = nodes
    listed, right = 0, bool((cluster.node_last_pod[cluster.node_first_pod < 0] < 0).all())
    while len(pod) and right and listed <= len(pods):
        listed += len(pod)
        right = bool((on[pod] == node).all() and (cluster.pod_node_previous[pod] == before).all())
        after = cluster.pod_node_next[pod]
        right = right and bool((cluster.node_last_pod[node[after < 0]] == pod[after < 0]).all())
        node, before, pod = node[after >= 0], pod[after >= 0], after[after >= 0]
    expect(right and listed == len(pods), "the list of a node's pods is wrong")


def _nominations(cluster: Cluster, expect: Expect) -> None:
    """The pods that wait for a node that was cleared for them are listed once each, and wait."""
    listed = np.sort(cluster.nominated_pod[: cluster.cluster_nominated[0]])
    nominated = np.flatnonzero((cluster.pod_nominated >= 0) & (cluster.pod_state != UNUSED))
    wait = np.isin(cluster.pod_state[nominated], (QUEUED, RESTING_STATE, IN_FLIGHT)).all()
    expect(wait and np.array_equal(listed, nominated), "the list of nominated pods is wrong")


def _devices(cluster: Cluster, pods: Array, nodes: Array, expect: Expect) -> None:
    free = np.where(np.arange(cluster.sizes["device"])[None, :] < cluster.node_device_count[:, None], 1000, -1)
    milli = cluster.template_device_milli[cluster.pod_template[pods]]
    for device in range(cluster.sizes["device"]):
        held = (cluster.pod_devices[pods] >> np.uint64(device)) & np.uint64(1) != 0
        np.subtract.at(free[:, device], nodes[held], milli[held])
    present = free >= 0
    expect(np.array_equal(free, cluster.node_device_free), "device_free is not what the pods leave")
    expect(np.array_equal((free * present).sum(axis=1), cluster.node_device_free_total), "device_free_total is off")
    wanted = cluster.template_device_count[cluster.pod_template[pods]]
    masks = cluster.pod_devices[pods].astype(np.uint64)
    held_count = np.zeros(len(masks), np.int64)
    for device in range(cluster.sizes["device"]):
        held_count += ((masks >> np.uint64(device)) & np.uint64(1)).astype(np.int64)
    expect(np.array_equal(held_count, wanted), "a pod holds other devices than it asked for")
