"""What workloads have come to, for the table ``rollouts``: see ``kscale.engine.history``."""

from __future__ import annotations

from typing import Any

import numpy as np

from kscale.controllers.common.rollout import fenceposts, most_unavailable
from kscale.engine.world import World

Rows = np.ndarray[Any, Any]
Told = dict[str, Rows]


def of_deployments(world: World, objects: Rows) -> Told:
    """Return the progress of Deployments, with the bounds of their strategy."""
    cluster, rows = world.cluster, world.cluster.object_row[objects]
    wanted, rolling = cluster.deployment_replicas[rows], cluster.deployment_strategy[rows] == 0
    surge, missing = fenceposts(
        cluster.deployment_surge[rows], cluster.deployment_surge_percent[rows], cluster.deployment_unavailable[rows],
        cluster.deployment_unavailable_percent[rows], wanted,
    )  # fmt: skip
    least = wanted - most_unavailable(missing, wanted, rolling)
    return {
        **_of_status(world, "deployment", rows),
        "updated": cluster.deployment_updated_replicas[rows],
        "most": np.where(rolling, wanted + surge, wanted), "least": np.where(rolling, least, 0),
    }  # fmt: skip


def _of_status(world: World, table: str, rows: Rows) -> Told:
    columns = world.cluster.columns
    return {
        "wanted": columns[f"{table}_replicas"][rows],
        "pods": np.maximum(columns[f"{table}_status_replicas"][rows], 0),
        "ready": columns[f"{table}_ready_replicas"][rows], "available": columns[f"{table}_available_replicas"][rows],
    }  # fmt: skip


def of_stateful_sets(world: World, objects: Rows) -> Told:
    """Return the progress of StatefulSets."""
    rows = world.cluster.object_row[objects]
    return {**_of_status(world, "statefulset", rows), "updated": world.cluster.statefulset_updated_replicas[rows]}


def of_replication_controllers(world: World, objects: Rows) -> Told:
    """Return the progress of ReplicationControllers."""
    return _of_status(world, "replicationcontroller", world.cluster.object_row[objects])


def of_daemon_sets(world: World, objects: Rows) -> Told:
    """Return the progress of DaemonSets, counted by nodes."""
    cluster, rows = world.cluster, world.cluster.object_row[objects]
    return {
        "wanted": np.maximum(cluster.daemonset_desired_scheduled[rows], 0),
        "pods": cluster.daemonset_current_scheduled[rows], "updated": cluster.daemonset_updated_scheduled[rows],
        "ready": cluster.daemonset_ready_nodes[rows], "available": cluster.daemonset_available_nodes[rows],
    }  # fmt: skip


def of_autoscalers(world: World, objects: Rows) -> Told:
    """Return what autoscalers ask for, and the cpu that is asked of their targets now."""
    cluster, rows = world.cluster, world.cluster.object_row[objects]
    load = np.full(len(objects), -1, np.int64)
    now_us = int(cluster.cluster_now_us[0])
    for place, reference in enumerate(cluster.horizontalpodautoscaler_target[rows].tolist()):
        curves = world.loads.get(world.references[reference]) if reference >= 0 else None
        curve = None if curves is None else curves.of("cpu")
        if curve is not None:
            load[place] = curve.at(now_us)
    return {
        "wanted": cluster.horizontalpodautoscaler_desired[rows], "pods": cluster.horizontalpodautoscaler_current[rows],
        "most": cluster.horizontalpodautoscaler_most[rows], "least": cluster.horizontalpodautoscaler_least[rows],
        "load": load,
    }  # fmt: skip
