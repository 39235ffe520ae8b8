"""What pods use, as metrics-server reports it: the load of their workload, shared by those that were ready.

A report is worked out when it is read, from the pods as they are then and when they last became ready or ceased to be:
what was removed since does not count, and of several changes between two reports only the last is known.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from kscale.engine.load import Key, share_cpu, share_equally
from kscale.engine.objects import RUNNING_PHASE, pods_of
from kscale.engine.world import World

Rows = np.ndarray[Any, Any]
CPU, MEMORY = 0, 1


@dataclass(frozen=True)
class Sample:
    """The pods of workloads, and what was last reported of them.

    Attributes:
        workloads: object rows.
        pods: rows, those of each workload together, workloads in order; ``place`` is the workload of each.
        time_us: of the report.
        sampled: pods that have one.
        shared: pods that shared their workload's load then.
        counts: how many of these each workload had.
    """

    workloads: Rows
    pods: Rows
    place: Rows
    time_us: int
    sampled: Rows
    shared: Rows
    counts: Rows


def sampled(world: World, workloads: Rows, now_us: int) -> Sample:
    """Return the last report at ``now_us`` of the pods that workloads control, or their own objects do."""
    cluster = world.cluster
    resolution = int(cluster.cluster_metrics_resolution_us[0])
    time = now_us // resolution * resolution
    between, above = world.dependents_of(workloads)
    owners = np.concatenate([workloads, between])
    above = np.concatenate([np.arange(len(workloads)), above])
    pods, place = pods_of(cluster, owners)
    place = above[place]
    order = np.argsort(place, kind="stable")
    pods, place = pods[order], place[order]
    running = (cluster.life_phase[pods] == RUNNING_PHASE) & (cluster.pod_started_us[pods] <= time)
    # One that is not ready now and ceased to be so after the report was so then; it is the other way about as well.
    was_ready = (cluster.life_ready[pods] == 1) == (cluster.life_ready_us[pods] <= time)
    deleted = cluster.life_deleted_us[pods]
    shared = running & was_ready & ((deleted < 0) | (deleted > time))
    return Sample(workloads, pods, place, time, running, shared, np.bincount(place[shared], minlength=len(workloads)))


def start_us(world: World, pods: Rows) -> Rows:
    """Return when kubelets took pods on."""
    bound = world.cluster.pod_bound_us[pods]
    return np.where(bound >= 0, bound, world.cluster.pod_arrived_us[pods])


def used(world: World, sample: Sample, quantity: str) -> tuple[Rows, Rows]:
    """Return what each pod of a sample uses of ``cpu``, ``memory`` or a metric, and which workloads have a curve."""
    cluster = world.cluster
    rows = _curves(world, sample.workloads, quantity)
    wanted = np.zeros(len(sample.pods), np.int64)
    total = world.loads.at(rows, sample.time_us)
    there = sample.shared & (rows[sample.place] >= 0)
    counts = np.where(rows >= 0, sample.counts, 0)
    wanted[there] = share_equally(total, sample.place[there], counts)
    if quantity in ("cpu", "memory"):
        resource = CPU if quantity == "cpu" else MEMORY
        template = cluster.pod_template[sample.pods]
        idle = cluster.template_request[template, resource] * cluster.template_usage_permille[template] // 1000
        wanted = np.where((rows[sample.place] < 0) & sample.sampled, idle, wanted)
    if quantity == "cpu":
        wanted = _throttled(world, sample, wanted)
    return wanted, rows >= 0


def _curves(world: World, workloads: Rows, quantity: str) -> Rows:
    def key_of(place: int) -> Key:
        one = int(workloads[place])
        return world.kind_of(one).name, world.namespace(one), world.name(one)

    return world.loads.rows("object", quantity, world.cluster.object_uid[workloads], key_of)


def _throttled(world: World, sample: Sample, demand: Rows) -> Rows:
    """Return the cpu that pods get: their limits hold, and full nodes share what they have.

    All other pods of a node count as one, which wants what they request and has their weight: pods that want cpu in
    proportion to their weights get it in that proportion, so that what one of them gets is what it would get apart.
    """
    cluster = world.cluster
    there = np.flatnonzero(sample.sampled & (cluster.pod_node[sample.pods] >= 0))
    template = cluster.pod_template[sample.pods[there]]
    request, limit = cluster.template_request[template, CPU], cluster.template_cpu_limit_milli[template]
    nodes, on = np.unique(cluster.pod_node[sample.pods[there]], return_inverse=True)
    others = cluster.node_requested[CPU, nodes].copy()
    np.subtract.at(others, on, request)
    others = np.maximum(others, 0)
    none = np.zeros(len(nodes), np.int64)
    gets = share_cpu(
        np.concatenate([demand[there], others]), np.concatenate([request, others]), np.concatenate([limit, none]),
        cluster.node_allocatable[CPU, nodes], np.concatenate([on, np.arange(len(nodes))]),
    )  # fmt: skip
    result = demand.copy()
    result[there] = gets[: len(there)]
    return result
