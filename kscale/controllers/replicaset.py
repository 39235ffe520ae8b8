"""ReplicaSets and ReplicationControllers: as many pods of a template as were asked for (pkg/controller/replicaset)."""

from __future__ import annotations

from typing import Any

import numpy as np

from kscale.controllers.common import progressing
from kscale.controllers.common.ranking import deletion_order
from kscale.controllers.common.replicated import (
    ControllerManifest,
    ReplicaSetManifest,
    take_controller,
    take_replica_set,
)
from kscale.engine.kinds import Kind
from kscale.engine.objects import pods_of
from kscale.engine.reconcile import Controller
from kscale.engine.requests import Requests
from kscale.engine.world import World
from kscale.state.manifests.workloads import Manifest, content_hash
from kscale.state.schema import Column, NewTable

Rows = np.ndarray[Any, Any]
#: Most pods that one pass of a key creates or deletes (BurstReplicas).
BURST = 500

_SPEC = (
    Column("replicas", "int64", "Pods asked for.", "pods", path="spec.replicas"),
    Column("template", "int64", "Template of its pods.", default=-1, path="spec.template"),
    Column("min_ready_us", "int64", "How long a pod is ready before it is available.", "us",
           path="spec.minReadySeconds"),
    Column("status_replicas", "int64", "Pods it has, as its status says.", "pods", default=-1, path="status.replicas"),
    Column("ready_replicas", "int64", "Ready ones, as its status says.", "pods", path="status.readyReplicas"),
    Column("available_replicas", "int64", "Available ones, as its status says.", "pods",
           path="status.availableReplicas"),
    Column("replica_failure", "uint8", "1 with the condition ReplicaFailure: its pods are refused (FailedCreate).",
           path="status.conditions"),
)  # fmt: skip
COLUMNS = {
    "replicaset": NewTable(
        "A ReplicaSet.",
        (
            *_SPEC,
            Column("content", "int64", "What its template says, whatever its hash label.", default=-1),
            Column("revision", "int64", "Its revision in the history of its Deployment.",
                   path="metadata.annotations['deployment.kubernetes.io/revision']"),
            Column("desired", "int64", "Replicas of its Deployment when it was scaled last; -1 was never noted.",
                   default=-1, path="metadata.annotations['deployment.kubernetes.io/desired-replicas']"),
            Column("most", "int64", "The most pods of its Deployment at that time, surge included; -1 was never noted.",
                   default=-1, path="metadata.annotations['deployment.kubernetes.io/max-replicas']"),
        ),
    ),
    "replicationcontroller": NewTable("A ReplicationController.", _SPEC),
}  # fmt: skip


def _called(world: World, objects: Rows) -> list[str]:
    """A ReplicaSet is called by its Deployment and the hash of its template."""
    owners = world.cluster.object_owner[objects].tolist()
    contents = world.cluster.replicaset_content[world.cluster.object_row[objects]].tolist()
    return [
        f"{world.name(owner)}-{content_hash(content, world.namespace(owner), world.name(owner))}"
        for owner, content in zip(owners, contents, strict=True)
    ]


def _step(table: str) -> Any:
    def step(world: World, keys: Rows, now_us: int) -> Requests:
        """Create what is missing, delete what is too much, and write the status that changed."""
        cluster, requests = world.cluster, Requests()
        rows = cluster.object_row[keys]
        wanted = cluster.columns[f"{table}_replicas"][rows]
        have = cluster.object_active[keys]
        kept = cluster.object_deleted_us[keys] < 0
        missing = np.where(kept, np.minimum(wanted - have, BURST), 0)
        place = np.repeat(np.arange(len(keys)), np.maximum(missing, 0))
        requests.create_pods(place, keys[place], cluster.columns[f"{table}_template"][rows[place]])
        surplus = np.where(kept, np.minimum(have - wanted, BURST), 0)
        _delete(world, keys, surplus, now_us, requests)
        template = np.maximum(cluster.columns[f"{table}_template"][rows], 0)
        _write_status(world, table, keys, (missing > 0) & (cluster.template_refused[template] != 0), requests)
        # What a burst has left for later comes with the changes that it makes.
        return requests

    return step


def _delete(world: World, keys: Rows, surplus: Rows, now_us: int, requests: Requests) -> None:
    """Ask for the deletion of the ``surplus`` active pods of each key that rank first."""
    cluster = world.cluster
    over = np.flatnonzero(surplus > 0)
    if not len(over):
        return
    pods, place = pods_of(cluster, keys[over])
    active = (cluster.life_deleted_us[pods] < 0) & (cluster.life_phase[pods] < 2)
    pods, place = pods[active], place[active]
    # Where all of them go, none comes first.
    some = surplus[over] < cluster.object_active[keys[over]]
    ranked = np.flatnonzero(some[place])
    order = np.arange(len(pods))
    order[ranked] = ranked[deletion_order(world, pods[ranked], place[ranked], now_us)]
    pods, place = pods[order], place[order]
    first = np.searchsorted(place, np.arange(len(over)))
    chosen = np.arange(len(pods)) - first[place] < surplus[over][place]
    pods, place = pods[chosen], place[chosen]
    requests.delete_pods(over[place], pods, cluster.pod_trace_row[pods])


def _write_status(world: World, table: str, keys: Rows, failing: Rows, requests: Requests) -> None:
    """Write the statuses that changed; ``failing``: the creations of this pass are refused (mask)."""
    cluster = world.cluster
    rows = cluster.object_row[keys]
    now = {"status_replicas": "object_active", "ready_replicas": "object_ready",
           "available_replicas": "object_available"}  # fmt: skip
    changed = cluster.object_observed[keys] != cluster.object_generation[keys]
    for column, count in now.items():
        changed |= cluster.columns[f"{table}_{column}"][rows] != cluster.columns[count][keys]
    changed |= cluster.columns[f"{table}_replica_failure"][rows] != failing
    place = np.flatnonzero(changed)
    values = {column: cluster.columns[count][keys[place]] for column, count in now.items()}
    values["replica_failure"] = failing[place]
    values["object_observed"] = cluster.object_generation[keys[place]]
    kind = "ReplicaSet" if table == "replicaset" else "ReplicationController"
    requests.update(place, kind, keys[place], values)


REPLICA_SET = Kind(
    "ReplicaSet",
    "replicaset",
    pods=True,
    called=_called,
    min_ready="min_ready_us",
    manifest=Manifest(("apps", "extensions"), ReplicaSetManifest, take_replica_set, ("template",)),
)
REPLICATION_CONTROLLER = Kind(
    "ReplicationController",
    "replicationcontroller",
    pods=True,
    min_ready="min_ready_us",
    manifest=Manifest(("",), ControllerManifest, take_controller, ("template",)),
    progress=progressing.of_replication_controllers,
)
REPLICASET = Controller("replicaset", "ReplicaSet", _step("replicaset"))
RC = Controller("replicationcontroller", "ReplicationController", _step("replicationcontroller"))
