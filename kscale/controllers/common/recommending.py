"""What the metrics of autoscalers ask for: each metric on the pods, or the value, that it is about; the most counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from kscale.controllers.common import replicas, usage
from kscale.controllers.common.replicas import Proposal, Timing, Tolerance
from kscale.controllers.common.usage import Sample
from kscale.engine.load import Key
from kscale.engine.objects import RUNNING_PHASE, SUCCEEDED
from kscale.engine.world import World

Rows = np.ndarray[Any, Any]
#: Values of a metric's type.
NO_METRIC, RESOURCE, CONTAINER_RESOURCE, PODS, OBJECT, EXTERNAL = range(6)
#: Values of what its target is.
UTILIZATION, AVERAGE_VALUE, VALUE = range(3)
#: Values of its resource.
RESOURCES = ("cpu", "memory")
_CPU, _MEMORY = range(2)


@dataclass(frozen=True)
class Metrics:
    """Metrics of autoscalers, one after the other.

    Attributes:
        of: the place of the autoscaler of each; ``slot``: its place among this one's metrics.
        workload: place of the workload that is scaled, among those of a sample.
    """

    of: Rows
    slot: Rows
    type: Rows
    by: Rows
    target: Rows
    resource: Rows
    name: Rows
    about: Rows
    workload: Rows
    current: Rows
    tolerance: Tolerance

    def some(self, which: Rows) -> Metrics:
        """Return some of the metrics."""
        own = {name: getattr(self, name)[which] for name in self.__dataclass_fields__ if name != "tolerance"}
        return Metrics(**own, tolerance=Tolerance(self.tolerance.up[which], self.tolerance.down[which]))


@dataclass(frozen=True)
class Recommendation:
    """What autoscalers want.

    Attributes:
        replicas: wanted.
        blocked: those that cannot tell, or would go down although some metric cannot be told.
        broken: type of the first metric that cannot be told, NO_METRIC where there is none.
        shown: values of the metrics, (autoscaler, metric); -1 where there is none.
    """

    replicas: Rows
    blocked: Rows
    broken: Rows
    shown: Rows


def recommended(world: World, rows: Rows, workloads: Rows, current: Rows, now_us: int) -> Recommendation:
    """Return what autoscalers (rows of their table) of workloads (object rows) with ``current`` replicas want."""
    distinct, workload = np.unique(workloads, return_inverse=True)
    sample = usage.sampled(world, distinct, now_us)
    metrics = _metrics(world, rows, workload, current)
    count = len(metrics.of)
    wanted, shown, failed = np.zeros(count, np.int64), np.full(count, -1, np.int64), np.ones(count, bool)
    for which, told in _told(world, metrics, sample, now_us):
        wanted[which], failed[which] = told.replicas, told.failed
        shown[which] = np.where(told.failed, -1, told.shown)
    most, failures, all_ = (np.zeros(len(rows), np.int64) for _ in range(3))
    np.maximum.at(most, metrics.of[~failed], wanted[~failed])
    np.add.at(failures, metrics.of[failed], 1)
    np.add.at(all_, metrics.of, 1)
    broken = np.full(len(rows), NO_METRIC)
    broken[metrics.of[failed][::-1]] = metrics.type[failed][::-1]
    values = np.full((len(rows), world.cluster.sizes["metric"]), -1, np.int64)
    values[metrics.of, metrics.slot] = shown
    blocked = (failures >= all_) | ((failures > 0) & (most < current))
    return Recommendation(most, blocked, broken, values)


def _metrics(world: World, rows: Rows, workload: Rows, current: Rows) -> Metrics:
    columns = {name: world.cluster.columns[f"horizontalpodautoscaler_{name}"][rows] for name in (
        "metric_type", "metric_by", "metric_target", "metric_resource", "metric_name", "metric_about",
        "up_tolerance", "down_tolerance",
    )}  # fmt: skip
    of, slot = np.nonzero(columns["metric_type"] != NO_METRIC)
    usual = world.cluster.cluster_autoscaling_tolerance[0]
    up, down = (np.where(one < 0, usual, one)[of] for one in (columns["up_tolerance"], columns["down_tolerance"]))
    kind, by, target, resource, name, about = (column[of, slot] for column in list(columns.values())[:6])
    return Metrics(
        of, slot, kind, by, target, resource, name, about, workload[of], current[of], Tolerance(up, down)
    )  # fmt: skip


def _told(world: World, metrics: Metrics, sample: Sample, now_us: int) -> list[tuple[Rows, Proposal]]:
    """Return proposals with the places of their metrics: those about pods by quantity, those of values by name."""
    told = []
    resource = (metrics.type == RESOURCE) | (metrics.type == CONTAINER_RESOURCE)
    for number, quantity in enumerate(RESOURCES):
        which = np.flatnonzero(resource & (metrics.resource == number))
        if len(which):
            told.append((which, _of_pods(world, metrics.some(which), sample, quantity, now_us)))
    for name in np.unique(metrics.name[metrics.type >= PODS]).tolist():
        quantity, named = world.references[name][2], metrics.name == name
        which = np.flatnonzero(named & (metrics.type == PODS))
        if len(which):
            told.append((which, _of_pods(world, metrics.some(which), sample, quantity, now_us)))
        which = np.flatnonzero(named & (metrics.type > PODS))
        if len(which):
            told.append((which, _of_value(world, metrics.some(which), sample, quantity)))
    return told


def _of_pods(world: World, metrics: Metrics, sample: Sample, quantity: str, now_us: int) -> Proposal:
    cluster, percent = world.cluster, metrics.by == UTILIZATION
    value, has_curve = usage.used(world, sample, quantity)
    request = np.ones(len(sample.pods), np.int64)
    if quantity in RESOURCES:
        request = cluster.template_request[cluster.pod_template[sample.pods], RESOURCES.index(quantity)]
    group = _groups(world, sample, quantity, now_us)
    # The pods of each metric's workload, one workload after the other.
    size = np.bincount(sample.place, minlength=len(sample.workloads))
    begin, many = (np.cumsum(size) - size)[metrics.workload], size[metrics.workload]
    place = np.repeat(np.arange(len(metrics.of)), many)
    at = begin[place] + np.arange(len(place)) - (np.cumsum(many) - many)[place]
    # Averages are in thousandths, whatever the resource's own unit is.
    scale = np.where((quantity == "memory") & ~percent, 1000, 1)
    proposal = replicas.by_pods(
        metrics.current, metrics.target, percent, metrics.tolerance, place, group[at], value[at] * scale[place],
        request[at],
    )  # fmt: skip
    # A percentage needs a request of every pod, those that do not count included.
    unasked = np.bincount(sample.place[request == 0], minlength=len(sample.workloads))[metrics.workload]
    failed = proposal.failed | (percent & (unasked > 0))
    if quantity not in RESOURCES:
        failed |= ~has_curve[metrics.workload]
    return Proposal(proposal.replicas, proposal.shown, failed)


def _groups(world: World, sample: Sample, quantity: str, now_us: int) -> Rows:
    """Return how each pod of a sample counts."""
    cluster, pods = world.cluster, sample.pods
    start, changed = usage.start_us(world, pods), cluster.life_ready_us[pods]
    timing = Timing(
        now_us, sample.time_us, int(cluster.cluster_metrics_resolution_us[0]),
        int(cluster.cluster_autoscaling_initialization_us[0]), int(cluster.cluster_autoscaling_readiness_us[0]),
    )  # fmt: skip
    return replicas.grouped(
        cluster.life_phase[pods], cluster.life_deleted_us[pods] >= 0, sample.sampled,
        np.full(len(pods), quantity == "cpu"), start, cluster.life_ready[pods],
        np.where(changed < 0, start, changed), timing,
    )  # fmt: skip


def _of_value(world: World, metrics: Metrics, sample: Sample, quantity: str) -> Proposal:
    cluster, pods, count = world.cluster, sample.pods, len(sample.workloads)

    def key_of(place: int) -> Key:
        return world.references[int(metrics.about[place])]

    rows = world.loads.rows("reference", quantity, metrics.about, key_of)
    value = world.loads.at(rows, sample.time_us)
    phase = cluster.life_phase[pods]
    ready = (phase == RUNNING_PHASE) & (cluster.life_ready[pods] == 1)
    active = (phase < SUCCEEDED) & (cluster.life_deleted_us[pods] < 0)
    many, steady, counted = (
        np.bincount(sample.place[which], minlength=count)[metrics.workload]
        for which in (np.ones(len(pods), bool), ready, active)
    )
    proposal = replicas.by_value(
        metrics.current, counted, many, steady, value, metrics.target, metrics.by == AVERAGE_VALUE, metrics.tolerance
    )
    return Proposal(proposal.replicas, proposal.shown, proposal.failed | (rows < 0))
