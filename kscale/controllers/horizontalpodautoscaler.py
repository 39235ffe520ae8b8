"""HorizontalPodAutoscalers: as many replicas as metrics ask for, not too fast (pkg/controller/podautoscaler).

An autoscaler is looked at 15 s after it was made, and each 15 s from then on. What Kubernetes' controller keeps in
memory (when it looks next, recommendations, what it scaled) stands in columns here.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from kscale.controllers.common import pacing, progressing, recommending
from kscale.controllers.common.autoscalers import HorizontalPodAutoscaler, take
from kscale.controllers.common.pacing import NO_TIME, History, Rules
from kscale.controllers.common.scale import replicas_of
from kscale.engine.kinds import THERE, Kind
from kscale.engine.reconcile import Controller
from kscale.engine.requests import Requests
from kscale.engine.world import World
from kscale.state.manifests.workloads import Manifest
from kscale.state.schema import Column, NewTable

Rows = np.ndarray[Any, Any]
KIND, TABLE = "HorizontalPodAutoscaler", "horizontalpodautoscaler"
#: Statuses of conditions.
UNKNOWN, TRUE, FALSE = range(3)
#: Reasons of conditions, by number.
REASONS = (
    "", "SucceededGetScale", "FailedGetScale", "SucceededRescale", "ReadyForNewScale", "ScaleDownStabilized",
    "ScaleUpStabilized", "ValidMetricFound", "ScalingDisabled", "InvalidMetricSourceType", "FailedGetResourceMetric",
    "FailedGetContainerResourceMetric", "FailedGetPodsMetric", "FailedGetObjectMetric", "FailedGetExternalMetric",
    "DesiredWithinRange", "TooFewReplicas", "TooManyReplicas", "ScaleUpLimit", "ScaleDownLimit",
)  # fmt: skip
REASON = {reason: number for number, reason in enumerate(REASONS)}
_BROKEN = REASON["InvalidMetricSourceType"]

_METRIC, _UP, _DOWN = ((TABLE, name) for name in ("metric", "up_policy", "down_policy"))
_RECOMMENDATION, _RESCALE = ((TABLE, name) for name in ("recommendation", "rescale"))
_SPEC = (
    Column("target", "int64", "Reference of what it scales.", default=-1, path="spec.scaleTargetRef"),
    Column("least", "int64", "The fewest replicas.", "pods", 1, path="spec.minReplicas"),
    Column("most", "int64", "The most replicas.", "pods", 1, path="spec.maxReplicas"),
    Column("metric_type", "uint8", "1 Resource, 2 ContainerResource, 3 Pods, 4 Object, 5 External; 0 is none.",
           dims=_METRIC, path="spec.metrics[*].type"),
    Column("metric_resource", "uint8", "0 cpu, 1 memory.", dims=_METRIC, path="spec.metrics[*].resource.name"),
    Column("metric_name", "int64", "Reference that is called as the metric is.", default=-1, dims=_METRIC,
           path="spec.metrics[*].*.metric.name"),
    Column("metric_about", "int64", "Reference of what has the metric: an object, or the metric itself.", default=-1,
           dims=_METRIC, path="spec.metrics[*].object.describedObject"),
    Column("metric_by", "uint8", "What its target is: 0 Utilization, 1 AverageValue, 2 Value.", dims=_METRIC,
           path="spec.metrics[*].*.target.type"),
    Column("metric_target", "int64", "Its target: percent, or thousandths of its unit.", default=1, dims=_METRIC,
           path="spec.metrics[*].*.target"),
    Column("behaves", "uint8", "1 when its behavior is stated.", path="spec.behavior"),
)  # fmt: skip


def _direction(name: str, word: str, window_us: int, dims: tuple[str, str]) -> tuple[Column, ...]:
    path = f"spec.behavior.scale{word}"
    return (
        Column(f"{name}_tolerance", "float64", "How far a ratio may be off with nothing done; -1 is the usual.",
               default=-1, path=f"{path}.tolerance"),
        Column(f"{name}_window_us", "int64", "Its stabilization window.", "us", window_us,
               path=f"{path}.stabilizationWindowSeconds"),
        Column(f"{name}_select", "uint8", "0 Max, 1 Min, 2 Disabled.", path=f"{path}.selectPolicy"),
        Column(f"{name}_policy_type", "uint8", "1 Pods, 2 Percent; 0 is none.", dims=dims,
               path=f"{path}.policies[*].type"),
        Column(f"{name}_policy_value", "int64", "Pods, or percent.", dims=dims, path=f"{path}.policies[*].value"),
        Column(f"{name}_policy_us", "int64", "Its period.", "us", dims=dims,
               path=f"{path}.policies[*].periodSeconds"),
    )  # fmt: skip


_MEMORY = (
    Column("next_us", "int64", "When it is looked at next; -1 was never seen.", "us", -1),
    Column("scaled", "int64", "The object that it scales, when last looked at.", default=-1),
    Column("scaled_uid", "int64", "The uid of that.", default=-1),
    Column("recommended", "int64", "Replicas that it recommended, the latest first.", "pods", dims=_RECOMMENDATION),
    Column("recommended_us", "int64", "When.", "us", NO_TIME, _RECOMMENDATION),
    Column("rescaled", "int64", "Replicas by which it scaled, the latest first.", "pods", dims=_RESCALE),
    Column("rescaled_us", "int64", "When.", "us", NO_TIME, _RESCALE),
)
_STATUS = (
    Column("current", "int64", "Replicas that there were.", "pods", path="status.currentReplicas"),
    Column("desired", "int64", "Replicas that it wanted.", "pods", path="status.desiredReplicas"),
    Column("scaled_us", "int64", "When it scaled last.", "us", -1, path="status.lastScaleTime"),
    Column("metric_current", "int64", "What was held against the target: percent, or thousandths; -1 is none.",
           default=-1, dims=_METRIC, path="status.currentMetrics[*]"),
    *(
        Column(name + suffix, "uint8", doc, path=f"status.conditions['{condition}'].{field}")
        for name, condition in (("able", "AbleToScale"), ("active", "ScalingActive"), ("limited", "ScalingLimited"))
        for suffix, doc, field in (
            ("", "0 is not there, 1 True, 2 False.", "status"),
            ("_reason", "See kscale.controllers.horizontalpodautoscaler.", "reason"),
        )
    ),
)  # fmt: skip
_SOURCE = "a flag of kube-controller-manager v1.34"
COLUMNS = {
    TABLE: NewTable(
        "A HorizontalPodAutoscaler.",
        (*_SPEC, *_direction("up", "Up", 0, _UP), *_direction("down", "Down", 300_000_000, _DOWN), *_MEMORY, *_STATUS),
    ),
    "metric": NewTable("A place in the list of metrics of an autoscaler.", ()),
    "up_policy": NewTable("A place in the list of policies of an autoscaler, upwards.", ()),
    "down_policy": NewTable("A place in the list of policies of an autoscaler, downwards.", ()),
    "recommendation": NewTable("A place in the list of what an autoscaler recommended.", ()),
    "rescale": NewTable("A place in the list of how an autoscaler scaled.", ()),
    "template": (
        Column("cpu_limit_milli", "int64", "Limit of its cpu; 0 has none.", "milli",
               path="spec.containers[*].resources.limits"),
        Column("usage_permille", "int64",
               "What a pod of no known load uses of its request; 1000 is an assumption, all that it asks for.",
               "permille", 1000),
    ),
    "cluster": (
        Column("autoscaling_tolerance", "float64",
               f"--horizontal-pod-autoscaler-tolerance, {_SOURCE}.", default=0.1),
        Column("autoscaling_sync_us", "int64",
               f"--horizontal-pod-autoscaler-sync-period, {_SOURCE}.", "us", 15_000_000),
        Column("autoscaling_downscale_us", "int64",
               f"--horizontal-pod-autoscaler-downscale-stabilization, {_SOURCE}.", "us", 300_000_000),
        Column("autoscaling_initialization_us", "int64",
               f"--horizontal-pod-autoscaler-cpu-initialization-period, {_SOURCE}.", "us", 300_000_000),
        Column("autoscaling_readiness_us", "int64",
               f"--horizontal-pod-autoscaler-initial-readiness-delay, {_SOURCE}.", "us", 30_000_000),
        Column("metrics_resolution_us", "int64",
               "--metric-resolution of metrics-server, as its manifests set it: usage is reported so often.", "us",
               15_000_000),
    ),
}  # fmt: skip


def _keys(world: World, objects: Rows, pods: Rows) -> Rows:
    """Only new ones: those that were seen have their time, whatever is written to them."""
    own = world.of_kind(objects, KIND)
    return own[world.cluster.horizontalpodautoscaler_next_us[world.cluster.object_row[own]] < 0]


def _step(world: World, keys: Rows, now_us: int) -> Requests:
    """Look at those whose time has come, and see to it that the others' comes."""
    cluster, requests = world.cluster, Requests()
    # The row of one that is gone may be another object's when its time comes.
    own = np.flatnonzero(cluster.object_kind[keys] == world.codes[KIND])
    due = cluster.horizontalpodautoscaler_next_us[cluster.object_row[keys[own]]]
    following = now_us + int(cluster.cluster_autoscaling_sync_us[0])
    fresh = own[due < 0]
    requests.update(fresh, KIND, keys[fresh], {"next_us": np.full(len(fresh), following)}, cost=0)
    requests.again(own, np.where((due < 0) | (due <= now_us), following, due))
    ripe = own[(due >= 0) & (due <= now_us)]
    if len(ripe):
        _sync(world, keys, ripe, now_us, requests)
    return requests


def _sync(world: World, keys: Rows, place: Rows, now_us: int, requests: Requests) -> None:
    cluster = world.cluster
    rows = cluster.object_row[keys[place]]
    targets = _targets(world, rows)
    there = np.flatnonzero(targets >= 0)
    read = _Read(world, rows, now_us)
    memory = {
        "next_us": np.full(len(rows), now_us + int(cluster.cluster_autoscaling_sync_us[0])), "scaled": targets,
        "scaled_uid": np.where(targets >= 0, cluster.object_uid[targets], -1),
    }  # fmt: skip
    read.condition("able", np.arange(len(rows)), np.where(targets >= 0, TRUE, FALSE), np.where(
        targets >= 0, REASON["SucceededGetScale"], REASON["FailedGetScale"]
    ))  # fmt: skip
    desired = np.full(len(rows), -1, np.int64)
    desired[there] = read.decide(there, targets[there])
    memory |= {
        "recommended": read.recommended.value, "recommended_us": read.recommended.time_us,
        "rescaled": read.rescaled.value, "rescaled_us": read.rescaled.time_us,
    }  # fmt: skip
    # The call is the GET of the scale; what the controller remembers is no call of its own.
    requests.update(place, KIND, keys[place], memory)
    scaled = there[desired[there] != replicas_of(world, targets[there])]
    codes = cluster.object_kind[targets[scaled]]
    for code in np.unique(codes).tolist():
        some = scaled[codes == code]
        kind = world.kind_of(int(targets[some[0]])).name
        requests.update(place[some], kind, targets[some], {"replicas": desired[some]}, spec=True)
    changed = read.changed() | (cluster.object_observed[keys[place]] != cluster.object_generation[keys[place]])
    status = {name: values[changed] for name, values in read.status.items()}
    status["object_observed"] = cluster.object_generation[keys[place[changed]]]
    requests.update(place[changed], KIND, keys[place[changed]], status)


def _targets(world: World, rows: Rows) -> Rows:
    """Return what autoscalers scale, -1 where it is not there or has no replicas; only what changed is looked up."""
    cluster = world.cluster
    found = cluster.horizontalpodautoscaler_scaled[rows].copy()
    known = (found >= 0) & (cluster.object_live[found] == THERE)
    known &= cluster.object_uid[found] == cluster.horizontalpodautoscaler_scaled_uid[rows]
    references = cluster.horizontalpodautoscaler_target[rows]
    for place in np.flatnonzero(~known).tolist():
        one = world.found(int(references[place]))
        found[place] = one if one >= 0 and replicas_of(world, np.array([one]))[0] >= 0 else -1
    return found


class _Read:
    """Autoscalers of a pass: what stands in their columns, and what becomes of it."""

    def __init__(self, world: World, rows: Rows, now_us: int) -> None:
        self.world, self.rows, self.now_us = world, rows, now_us
        self.status = {column.name: self.column(column.name).copy() for column in _STATUS}
        self.recommended = History(self.column("recommended"), self.column("recommended_us"))
        self.rescaled = History(self.column("rescaled"), self.column("rescaled_us"))

    def column(self, name: str) -> Rows:
        """Return a column of the autoscalers' table."""
        return self.world.cluster.columns[f"{TABLE}_{name}"][self.rows]

    def condition(self, name: str, which: Rows, status: Any, reason: Any) -> None:
        """Set a condition of some autoscalers."""
        self.status[name][which], self.status[f"{name}_reason"][which] = status, reason

    def changed(self) -> Rows:
        """Tell which statuses are other than those that were written."""
        found = np.zeros(len(self.rows), bool)
        for name, values in self.status.items():
            differs = values != self.column(name)
            found |= differs.any(axis=1) if differs.ndim > 1 else differs
        return found

    def decide(self, there: Rows, targets: Rows) -> Rows:
        """Return the replicas that are wanted of the targets of those that are ``there``."""
        current = replicas_of(self.world, targets)
        least, most = self.column("least")[there], self.column("most")[there]
        self._remember_first(there, current)
        disabled = (current == 0) & (least != 0)
        desired = np.where(disabled, 0, np.clip(current, least, most))
        measured = np.flatnonzero(~disabled & (desired == current))
        self.status["metric_current"][there] = -1
        self.condition("active", there[disabled], FALSE, REASON["ScalingDisabled"])
        told = self.status["desired"][there].copy()
        if len(measured):
            found = recommending.recommended(
                self.world, self.rows[there[measured]], targets[measured], current[measured], self.now_us
            )
            self.status["metric_current"][there[measured]] = found.shown
            lost, good = measured[found.blocked], measured[~found.blocked]
            self.condition("active", there[lost], FALSE, _BROKEN + found.broken[found.blocked])
            self.condition("active", there[good], TRUE, REASON["ValidMetricFound"])
            desired[good] = self._paced(
                there[good], current[good], found.replicas[~found.blocked], least[good], most[good]
            )
            told = np.where(np.isin(np.arange(len(there)), lost), told, desired)
        else:
            told = desired
        scaled = np.flatnonzero(desired != current)
        self.condition("able", there[scaled], TRUE, REASON["SucceededRescale"])
        self.status["scaled_us"][there[scaled]] = self.now_us
        self.status["current"][there], self.status["desired"][there] = current, told
        self._remember_scaling(there[scaled], desired[scaled] - current[scaled])
        return desired

    def _remember_first(self, there: Rows, current: Rows) -> None:
        """The first recommendation of an autoscaler is what it finds."""
        replicas = np.zeros(len(self.rows), np.int64)
        replicas[there] = current
        new = np.zeros(len(self.rows), bool)
        new[there] = (self.recommended.time_us[there] == NO_TIME).all(axis=1)
        self.recommended = self.recommended.pushed(new, replicas, self.now_us, np.full(len(self.rows), self.now_us))

    def _remember_scaling(self, which: Rows, change: Rows) -> None:
        """Where ``behavior`` is stated, how it was scaled is remembered as long as some policy's period."""
        up, down = self._rules(np.arange(len(self.rows)))
        since = self.now_us - np.maximum(up.longest_us(), down.longest_us())
        changes = np.zeros(len(self.rows), np.int64)
        changes[which] = change
        noted = (changes != 0) & (self.column("behaves") == 1)
        self.rescaled = self.rescaled.pushed(noted, changes, self.now_us, since)

    def _rules(self, which: Rows) -> tuple[Rules, Rules]:
        names = ("window_us", "select", "policy_type", "policy_value", "policy_us")
        up, down = (Rules(*(self.column(f"{way}_{name}")[which] for name in names)) for way in ("up", "down"))
        return up, down

    def _paced(self, which: Rows, current: Rows, wanted: Rows, least: Rows, most: Rows) -> Rows:
        """Return what is wanted, as stabilisation and limits allow it; set the conditions that tell."""
        up, down = self._rules(which)
        behaves, now_us = self.column("behaves")[which] == 1, self.now_us
        usual = int(self.world.cluster.cluster_autoscaling_downscale_us[0])
        before, events = self.recommended.some(which), self.rescaled.some(which)
        stable = np.where(
            behaves, pacing.stabilised_by_rules(current, wanted, before, now_us, up, down),
            pacing.stabilised(wanted, before, now_us, usual),
        )  # fmt: skip
        upwards = np.where(behaves & (wanted >= current), REASON["ScaleUpStabilized"], REASON["ScaleDownStabilized"])
        self.condition("able", which, TRUE, np.where(stable != wanted, upwards, REASON["ReadyForNewScale"]))
        self._remember(which, wanted, np.where(behaves, np.maximum(up.window_us, down.window_us), usual))
        plain, few, fast = pacing.clamped(current, stable, least, most)
        ruled, risen, fallen = pacing.clamped_by_rules(current, stable, least, most, events, now_us, up, down)
        result = np.where(behaves, ruled, plain)
        risen, fallen = np.where(behaves, risen, fast), behaves & fallen
        few = np.where(behaves, stable < result, few)
        why = np.select(
            [result == stable, risen, fallen, few],
            [REASON[name] for name in ("DesiredWithinRange", "ScaleUpLimit", "ScaleDownLimit", "TooFewReplicas")],
            REASON["TooManyReplicas"],
        )
        self.condition("limited", which, np.where(result == stable, FALSE, TRUE), why)
        return result

    def _remember(self, which: Rows, wanted: Rows, window_us: Rows) -> None:
        values, since = np.zeros(len(self.rows), np.int64), np.zeros(len(self.rows), np.int64)
        values[which], since[which] = wanted, self.now_us - window_us
        mask = np.zeros(len(self.rows), bool)
        mask[which] = True
        self.recommended = self.recommended.pushed(mask, values, self.now_us, since)


AUTOSCALER = Kind(
    KIND, TABLE, manifest=Manifest(("autoscaling",), HorizontalPodAutoscaler, take), progress=progressing.of_autoscalers
)
HPA = Controller("horizontalpodautoscaler", KIND, _step, keys=_keys)
