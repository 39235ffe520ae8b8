"""How a HorizontalPodAutoscaler is read: autoscaling/v2 and v1, with the API server's defaults and checks (v1.34)."""

from __future__ import annotations

from typing import Any

import msgspec

from kscale.controllers.common import pacing, recommending
from kscale.errors import InputError
from kscale.state.manifests import models
from kscale.state.manifests.faults import need, one_of
from kscale.state.manifests.models import Part
from kscale.state.manifests.requests import amount
from kscale.state.manifests.selectors import INT32
from kscale.state.manifests.workloads import Taking
from kscale.state.quantities import LARGEST

_SECOND = 1_000_000
#: Longest lists that are taken; the API has no bound of its own.
MOST_METRICS, MOST_POLICIES = 16, 8
#: The default metric: cpu, in percent of the requests (DefaultCPUUtilization).
DEFAULT_CPU_PERCENT = 80
#: Longest window and period (MaxStabilizationWindowSeconds, MaxPeriodSeconds).
_LONGEST_WINDOW, _LONGEST_PERIOD = 3600, 1800
_TYPES = {"Resource": 1, "ContainerResource": 2, "Pods": 3, "Object": 4, "External": 5}
_TARGETS = ("Utilization", "AverageValue", "Value")
_SELECTS = ("Max", "Min", "Disabled")
_POLICIES = {"Pods": pacing.PODS, "Percent": pacing.PERCENT}


class Reference(Part, frozen=True):
    """autoscaling/v2 CrossVersionObjectReference."""

    api_version: str | None = None
    kind: str | None = None
    name: str | None = None


class Target(Part, frozen=True):
    """autoscaling/v2 MetricTarget."""

    type: str | None = None
    value: models.Quantity = None
    average_value: models.Quantity = None
    average_utilization: int | None = None


class Identifier(Part, frozen=True):
    """autoscaling/v2 MetricIdentifier."""

    name: str | None = None


class Source(Part, frozen=True):
    """The sources of metrics of autoscaling/v2, all in one."""

    name: str | None = None
    container: str | None = None
    metric: Identifier | None = None
    described_object: Reference | None = None
    target: Target | None = None


class Metric(Part, frozen=True):
    """autoscaling/v2 MetricSpec."""

    type: str | None = None
    resource: Source | None = None
    container_resource: Source | None = None
    pods: Source | None = None
    object: Source | None = None
    external: Source | None = None


class Policy(Part, frozen=True):
    """autoscaling/v2 HPAScalingPolicy."""

    type: str | None = None
    value: int | None = None
    period_seconds: int | None = None


class ScalingRules(Part, frozen=True):
    """autoscaling/v2 HPAScalingRules."""

    stabilization_window_seconds: int | None = None
    select_policy: str | None = None
    policies: tuple[Policy, ...] | None = None
    tolerance: models.Quantity = None


class Behavior(Part, frozen=True):
    """autoscaling/v2 HorizontalPodAutoscalerBehavior."""

    scale_up: ScalingRules | None = None
    scale_down: ScalingRules | None = None


class Spec(Part, frozen=True):
    """The spec of autoscaling/v2 and v1, all in one."""

    scale_target_ref: Reference | None = None
    min_replicas: int | None = None
    max_replicas: int | None = None
    metrics: tuple[Metric, ...] | None = None
    behavior: Behavior | None = None
    cpu_percent: int | None = msgspec.field(default=None, name="targetCPUUtilizationPercentage")


class HorizontalPodAutoscaler(Part, frozen=True):
    """autoscaling/v2 or v1 HorizontalPodAutoscaler."""

    spec: Spec | None = None


_UP = ScalingRules(
    stabilization_window_seconds=0, select_policy="Max",
    policies=(Policy(type="Pods", value=4, period_seconds=15), Policy(type="Percent", value=100, period_seconds=15)),
)  # fmt: skip
#: The window is a flag of kube-controller-manager, 300 s.
_DOWN = ScalingRules(
    stabilization_window_seconds=300, select_policy="Max",
    policies=(Policy(type="Percent", value=100, period_seconds=15),),
)  # fmt: skip


def take(taking: Taking, found: HorizontalPodAutoscaler) -> dict[str, Any]:
    """Return the columns of an autoscaler. Raises InputError."""
    version = taking.item.api_version.rpartition("/")[2]
    if version not in ("v1", "v2", ""):
        raise InputError(f"is {version}", field="apiVersion", expected="autoscaling/v2 or autoscaling/v1")
    spec = found.spec or Spec()
    reference = spec.scale_target_ref or Reference()
    kind = need(reference.kind, "spec.scaleTargetRef.kind", "the kind of what it scales")
    name = need(reference.name, "spec.scaleTargetRef.name", "the name of what it scales")
    metrics = spec.metrics or ()
    if version == "v1" or not metrics:
        metrics = (_by_cpu(spec.cpu_percent if version == "v1" else None),)
    if len(metrics) > MOST_METRICS:
        raise InputError(f"has {len(metrics)}", field="spec.metrics", expected=f"at most {MOST_METRICS} metrics")
    taken = [_metric(taking, metric, f"spec.metrics[{i}]") for i, metric in enumerate(metrics)]
    most = _number(spec.max_replicas, "spec.maxReplicas", 1, INT32)
    # Without the feature HPAScaleToZero the API server takes 1 or more; with it, 0 for metrics that need no pods.
    lowest = 0 if any(one["metric_type"] >= recommending.OBJECT for one in taken) else 1
    least = _number(1 if spec.min_replicas is None else spec.min_replicas, "spec.minReplicas", lowest, most)
    behavior = spec.behavior if version != "v1" else None
    return {
        "target": taking.reference(kind, name), "least": least, "most": most, "behaves": int(behavior is not None),
        **{column: _padded([one[column] for one in taken], MOST_METRICS, usual) for column, usual in _EMPTY.items()},
        **_direction(behavior.scale_up if behavior else None, _UP, "up", "spec.behavior.scaleUp"),
        **_direction(behavior.scale_down if behavior else None, _DOWN, "down", "spec.behavior.scaleDown"),
    }  # fmt: skip


#: What stands in the places of a list that has no more metrics.
_EMPTY = {
    "metric_type": recommending.NO_METRIC, "metric_resource": 0, "metric_name": -1, "metric_about": -1, "metric_by": 0,
    "metric_target": 1,
}  # fmt: skip


def _padded(values: list[int], size: int, empty: int) -> tuple[int, ...]:
    return (*values, *[empty] * (size - len(values)))


def _by_cpu(percent: int | None) -> Metric:
    percent = DEFAULT_CPU_PERCENT if percent is None else percent
    target = Target(type="Utilization", average_utilization=percent)
    return Metric(type="Resource", resource=Source(name="cpu", target=target))


def _number(value: int | None, field: str, least: int, most: int) -> int:
    """Return a number within bounds. Raises InputError."""
    if value is None or not least <= value <= most:
        raise InputError(f"is {'missing' if value is None else value}", field=field, expected=f"{least} to {most}")
    return value


def _metric(taking: Taking, metric: Metric, field: str) -> dict[str, int]:
    """Return the columns of one metric. Raises InputError."""
    kind = _TYPES[one_of(need(metric.type, f"{field}.type", "the type of the metric"), _TYPES, f"{field}.type")]
    sources = {
        "resource": metric.resource, "containerResource": metric.container_resource, "pods": metric.pods,
        "object": metric.object, "external": metric.external,
    }  # fmt: skip
    name, source = list(sources.items())[kind - 1]
    where = f"{field}.{name}"
    source = need(source, where, f"the source of a metric of type {metric.type}")
    extra = [other for other, given in sources.items() if given is not None and other != name]
    if extra:
        raise InputError("is stated", field=f"{field}.{extra[0]}", expected=f"only {name}, for the type {metric.type}")
    by, target = _target(source.target or Target(), f"{where}.target", kind)
    taken = {"metric_type": kind, "metric_by": by, "metric_target": target, "metric_resource": 0}
    if kind in (recommending.RESOURCE, recommending.CONTAINER_RESOURCE):
        if kind == recommending.CONTAINER_RESOURCE:
            need(source.container, f"{where}.container", "the name of a container")
            taking.note("HorizontalPodAutoscaler: the use of one container is taken to be its pod's")
        resource = need(source.name, f"{where}.name", "cpu or memory")
        one_of(resource, recommending.RESOURCES, f"{where}.name")
        taken["metric_resource"] = recommending.RESOURCES.index(resource)
        return {**taken, "metric_name": -1, "metric_about": -1}
    called = need((source.metric or Identifier()).name, f"{where}.metric.name", "the name of the metric")
    own = taking.reference("External", called)
    if kind == recommending.OBJECT:
        about = source.described_object or Reference()
        of_kind = need(about.kind, f"{where}.describedObject.kind", "the kind of the object that has the metric")
        named = need(about.name, f"{where}.describedObject.name", "the name of the object that has the metric")
        return {**taken, "metric_name": own, "metric_about": taking.reference(of_kind, named)}
    return {**taken, "metric_name": own, "metric_about": own}


def _target(target: Target, field: str, kind: int) -> tuple[int, int]:
    """Return what a target is, and its number. Raises InputError."""
    allowed = {
        recommending.PODS: (recommending.AVERAGE_VALUE,),
        recommending.OBJECT: (recommending.VALUE, recommending.AVERAGE_VALUE),
        recommending.EXTERNAL: (recommending.VALUE, recommending.AVERAGE_VALUE),
    }.get(kind, (recommending.UTILIZATION, recommending.AVERAGE_VALUE))
    one_of(need(target.type, f"{field}.type", "the type of the target"), _TARGETS, f"{field}.type")
    given = (target.average_utilization, target.average_value, target.value)
    names = ("averageUtilization", "averageValue", "value")
    stated = [by for by, value in enumerate(given) if value is not None]
    choice = " or ".join(names[by] for by in sorted(allowed))
    if len(stated) != 1 or stated[0] not in allowed:
        told = " and ".join(names[by] for by in stated) or "nothing"
        raise InputError(f"states {told}", field=field, expected=f"one of {choice}")
    by = stated[0]
    if by == recommending.UTILIZATION:
        return by, _number(target.average_utilization, f"{field}.{names[by]}", 1, INT32)
    milli = amount(given[by], f"{field}.{names[by]}")
    if not 1 <= milli <= LARGEST:
        raise InputError(f"is {given[by]}", field=f"{field}.{names[by]}", expected="0.001 to 2^59 thousandths")
    return by, milli


def _direction(given: ScalingRules | None, usual: ScalingRules, name: str, field: str) -> dict[str, Any]:
    """Return the columns of the rules of one direction, what is not stated by default. Raises InputError."""
    rules = given or ScalingRules()
    window, select = rules.stabilization_window_seconds, rules.select_policy or usual.select_policy or ""
    window = usual.stabilization_window_seconds if window is None else window
    policies = usual.policies if rules.policies is None else rules.policies
    if not policies or len(policies) > MOST_POLICIES:
        found = f"has {len(policies or ())}"
        raise InputError(found, field=f"{field}.policies", expected=f"1 to {MOST_POLICIES} policies")
    taken = [_policy(policy, f"{field}.policies[{i}]") for i, policy in enumerate(policies)]
    types, values, periods = zip(*taken, strict=True)
    tolerance = -1.0 if rules.tolerance is None else amount(rules.tolerance, f"{field}.tolerance") / 1000
    seconds = _number(window, f"{field}.stabilizationWindowSeconds", 0, _LONGEST_WINDOW)
    return {
        f"{name}_window_us": seconds * _SECOND,
        f"{name}_select": _SELECTS.index(one_of(select, _SELECTS, f"{field}.selectPolicy")),
        f"{name}_tolerance": tolerance,
        f"{name}_policy_type": _padded(list(types), MOST_POLICIES, pacing.NO_POLICY),
        f"{name}_policy_value": _padded(list(values), MOST_POLICIES, 0),
        f"{name}_policy_us": _padded(list(periods), MOST_POLICIES, 0),
    }


def _policy(policy: Policy, field: str) -> tuple[int, int, int]:
    """Return a policy: its type, its value, and its period in microseconds. Raises InputError."""
    kind = one_of(need(policy.type, f"{field}.type", "Pods or Percent"), _POLICIES, f"{field}.type")
    value = _number(policy.value, f"{field}.value", 1, INT32)
    period = _number(policy.period_seconds, f"{field}.periodSeconds", 1, _LONGEST_PERIOD)
    return _POLICIES[kind], value, period * _SECOND
