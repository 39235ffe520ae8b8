"""QueueScaler: a controller of one's own that gives a workload as many replicas as its queue asks for.

A controller outside the package, with a kind of its own. Every 30 seconds it reads how long the queue is, which goes up
and down between two lengths, and writes ``spec.replicas`` of its target:

    apiVersion: example.com/v1
    kind: QueueScaler
    metadata: {name: mail}
    spec:
      scaleTargetRef: {kind: ReplicaSet, name: mail}
      itemsPerReplica: 100
      minReplicas: 1
      maxReplicas: 30
      queue: {shortest: 0, longest: 2000, periodSeconds: 3600}
"""

from __future__ import annotations

from typing import Any

import numpy as np

from kscale.controllers import Controller, Kind
from kscale.engine.requests import SECOND, Requests
from kscale.engine.world import World
from kscale.errors import InputError
from kscale.state.manifests import models
from kscale.state.manifests.faults import need
from kscale.state.manifests.workloads import Manifest, Taking
from kscale.state.schema import Column, NewTable

Rows = np.ndarray[Any, Any]

#: The table of its kind.
COLUMNS = {
    "queuescaler": NewTable(
        "A QueueScaler.",
        (
            Column("target", "int64", "Reference to the workload that it scales.", default=-1),
            Column("items", "int64", "Items that a replica works on.", default=1, path="spec.itemsPerReplica"),
            Column("least", "int64", "The fewest replicas.", "pods", path="spec.minReplicas"),
            Column("most", "int64", "The most replicas.", "pods", default=1, path="spec.maxReplicas"),
            Column("shortest", "int64", "The shortest that the queue becomes.", path="spec.queue.shortest"),
            Column("longest", "int64", "The longest.", path="spec.queue.longest"),
            Column("period_us", "int64", "From one time that it is shortest to the next.", "us", default=SECOND,
                   path="spec.queue.periodSeconds"),
            Column("length", "int64", "How long it was when it was last read: its status.", default=-1),
        ),
    )
}  # fmt: skip


class Target(models.Part, frozen=True):
    """What is scaled."""

    kind: str | None = None
    name: str | None = None


class Queue(models.Part, frozen=True):
    """How the queue's length goes up and down."""

    shortest: int = 0
    longest: int = 0
    period_seconds: int = 3600


class QueueScalerSpec(models.Part, frozen=True):
    """The spec of a QueueScaler."""

    scale_target_ref: Target | None = None
    items_per_replica: int = 1
    min_replicas: int = 0
    max_replicas: int = 1
    queue: Queue | None = None


class QueueScaler(models.Part, frozen=True):
    """A QueueScaler."""

    metadata: models.Meta | None = None
    spec: QueueScalerSpec | None = None


def take(taking: Taking, found: QueueScaler) -> dict[str, Any]:
    """Return the columns of a QueueScaler. Raises InputError."""
    spec = need(found.spec, "spec", "what is scaled, and by which queue")
    target = need(spec.scale_target_ref, "spec.scaleTargetRef", "kind and name of a workload")
    queue = need(spec.queue, "spec.queue", "shortest, longest and periodSeconds")
    if spec.items_per_replica < 1:
        raise InputError(f"is {spec.items_per_replica}", field="spec.itemsPerReplica", expected="1 or more")
    if not 0 <= spec.min_replicas <= spec.max_replicas:
        raise InputError(
            f"is {spec.min_replicas}, with maxReplicas {spec.max_replicas}", field="spec.minReplicas",
            expected="0 or more, and no more than maxReplicas",
        )  # fmt: skip
    if not (0 <= queue.shortest <= queue.longest and queue.period_seconds > 0):
        raise InputError("is no queue", field="spec.queue", expected="0 <= shortest <= longest, periodSeconds above 0")
    kind = need(target.kind, "spec.scaleTargetRef.kind", "the kind of a workload")
    return {
        "target": taking.reference(kind, need(target.name, "spec.scaleTargetRef.name", "the name of a workload")),
        "items": spec.items_per_replica, "least": spec.min_replicas, "most": spec.max_replicas,
        "shortest": queue.shortest, "longest": queue.longest, "period_us": queue.period_seconds * SECOND,
    }  # fmt: skip


def length(cluster: Any, rows: Rows, now_us: int) -> Rows:
    """Return how long the queues are: from the shortest straight up to the longest, and down again."""
    period = cluster.queuescaler_period_us[rows]
    phase = now_us % period
    high = cluster.queuescaler_longest[rows] - cluster.queuescaler_shortest[rows]
    return cluster.queuescaler_shortest[rows] + high * 2 * np.minimum(phase, period - phase) // period


def step(world: World, keys: Rows, now_us: int) -> Requests:
    """Write the replicas of targets that have too many or too few: all QueueScalers of the pass at once."""
    cluster, requests = world.cluster, Requests()
    rows = cluster.object_row[keys]
    long = length(cluster, rows, now_us)
    place = np.flatnonzero(long != cluster.queuescaler_length[rows])
    requests.update(place, "QueueScaler", keys[place], {"length": long[place]})
    wanted = -(-long // cluster.queuescaler_items[rows])
    wanted = np.clip(wanted, cluster.queuescaler_least[rows], cluster.queuescaler_most[rows])
    # Targets are found by their names each time: they may come, go, and come again.
    targets = np.array([world.found(one) for one in cluster.queuescaler_target[rows].tolist()], np.int64)
    for name, kind in world.kinds.items():
        if f"{kind.table}_replicas" in cluster.columns:
            mine = np.flatnonzero((targets >= 0) & (cluster.object_kind[targets] == world.codes[name]))
            have = cluster.columns[f"{kind.table}_replicas"][cluster.object_row[targets[mine]]]
            other = mine[have != wanted[mine]]
            requests.update(other, name, targets[other], {"replicas": wanted[other]}, spec=True)
    return requests


QUEUE_SCALER = Kind("QueueScaler", "queuescaler", manifest=Manifest(("example.com",), QueueScaler, take))
CONTROLLER = Controller("queue-scaler", "QueueScaler", step, workers=1, period_us=30 * SECOND)
