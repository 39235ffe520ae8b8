"""Invariants, worked out anew from the live pods: what ``--check`` looks at at every control point."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from kscale.engine.clock import ACTIVE, BACKOFF, FREE, RESTING
from kscale.engine.pods import GONE, IN_FLIGHT, QUEUED, RESTING_STATE, RUNNING, UNUSED
from kscale.state.tables import Cluster

Array = np.ndarray[Any, Any]


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
    expect((cluster.node_requested <= cluster.node_allocatable).all(), "a node is over-committed")
    expect(np.array_equal(cluster.node_requested.sum(axis=1), cluster.resource_requested), "resource_requested is off")
    expect(
        np.array_equal(np.bincount(nodes, minlength=cluster.sizes["node"]), cluster.node_bound_pods),
        "node_bound_pods is off",
    )
    _devices(cluster, pods, nodes, expect)
    counted = {code: int(np.count_nonzero(state == code)) for code in range(6)}
    waiting = counted[QUEUED] + counted[RESTING_STATE] + counted[IN_FLIGHT]
    expect(counted[RUNNING] == cluster.cluster_running_pods[0], "running pods are miscounted")
    expect(waiting == cluster.cluster_waiting_pods[0], "waiting pods are miscounted")
    expect(counted[RESTING_STATE] == cluster.queue_size[RESTING], "resting pods are miscounted")
    expect(counted[UNUSED] == cluster.queue_size[FREE], "free rows are miscounted")
    queued = cluster.queue_size[ACTIVE] + cluster.queue_size[BACKOFF] + (flight >= 0 and state[flight] == GONE)
    expect(counted[QUEUED] + counted[GONE] == queued, "a pod is in no queue")
    expect(
        cluster.cluster_arrived_pods[0]
        == cluster.cluster_running_pods[0] + cluster.cluster_waiting_pods[0] + cluster.cluster_ended_pods[0]
        + cluster.cluster_failed_pods[0] + cluster.cluster_refused_pods[0],
        "arrivals are not running + waiting + ended + refused",
    )  # fmt: skip
    return found


def _devices(cluster: Cluster, pods: Array, nodes: Array, expect: Callable[[object, str], None]) -> None:
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
