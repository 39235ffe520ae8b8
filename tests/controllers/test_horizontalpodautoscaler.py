"""HorizontalPodAutoscalers that scale ReplicaSets, by hand-played pods and load curves."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale import controllers
from kscale.controllers.horizontalpodautoscaler import FALSE, REASONS, TRUE
from kscale.engine.load import Constant, LoadCurves, Points
from kscale.errors import InputError
from kscale.state.manifests.faults import Item
from kscale.state.manifests.taking import Gathering
from tests.controllers.world import MINUTE, Hand
from tests.twin import autoscaling as twin

SECOND = 1_000_000
WEB = ("ReplicaSet", "default", "web")
CPU = {"metric_type": [1], "metric_target": [50], "metric_by": [0]}


class Scaled(Hand):
    """A ReplicaSet whose pods become ready at once, and an autoscaler of it."""

    def __init__(self, load: LoadCurves, replicas: int = 2, *, most: int = 20, limited: bool = False, **spec: Any):
        super().__init__("replicaset", "horizontalpodautoscaler", limited=limited)
        self.cluster.template_request[:, 0] = 1000
        self.cluster.template_request[:, 1] = 1 << 30
        self.cluster.node_allocatable[0] = 1_000_000
        self.now = MINUTE
        self.world.references += [WEB, ("External", "default", "hits"), ("Service", "default", "front")]
        self.world.loads[WEB] = load
        self.web = self.make("ReplicaSet", "web", replicas=replicas, template=0)
        self.settle()
        self.run(*self.pods(self.web))
        self.now += 10 * MINUTE
        self.hpa = self.make("HorizontalPodAutoscaler", "web", target=0, most=most, **{**CPU, **spec})

    def pass_(self, seconds: int = 15) -> int:
        """Let time pass; start what was created, end what was deleted; return the replicas asked for."""
        self.wait(seconds * SECOND)
        cluster = self.cluster
        self.stopped()
        new = [pod for pod in self.pods(self.web) if cluster.life_phase[pod] == 0]
        self.run(*new)
        # Long ago, so that their cpu counts.
        for pod in new:
            cluster.pod_arrived_us[pod] = self.now - 10 * MINUTE
        self.settle()
        return int(self.read(self.web, "replicas"))

    def condition(self, name: str) -> tuple[int, str]:
        return self.read(self.hpa, name), REASONS[self.read(self.hpa, f"{name}_reason")]


def test_it_is_looked_at_each_15_seconds_from_15_on() -> None:
    world = Scaled(LoadCurves(Constant(2000)))
    assert world.pass_(14) == 2
    assert world.pass_(1) == 4
    assert (world.read(world.hpa, "current"), world.read(world.hpa, "desired")) == (2, 4)
    assert world.cluster.horizontalpodautoscaler_metric_current[0, 0] == 100
    assert world.read(world.hpa, "scaled_us") == world.now
    assert world.condition("able") == (TRUE, "SucceededRescale")
    assert world.condition("active") == (TRUE, "ValidMetricFound")
    assert world.condition("limited") == (FALSE, "DesiredWithinRange")
    assert world.pass_() == 4
    assert world.condition("able") == (TRUE, "ReadyForNewScale")
    assert world.cluster.object_generation[world.web] == 2


def test_a_rise_is_limited_to_the_double_and_a_fall_waits_five_minutes() -> None:
    drop = 11 * MINUTE + 60 * SECOND
    load = LoadCurves(Points(((0, 8000), (drop, 500))))
    world = Scaled(load)
    assert world.pass_() == 4
    assert world.condition("limited") == (TRUE, "ScaleUpLimit")
    assert [world.pass_(), world.pass_()] == [8, 16]
    assert world.pass_() == 16
    seen = [(world.pass_(), world.condition("able")[1]) for _ in range(19)]
    assert seen == [(16, "ScaleDownStabilized")] * 19
    assert world.pass_() == 1


def test_behavior_is_kept() -> None:
    policies = {"up_policy_type": [1], "up_policy_value": [1], "up_policy_us": [MINUTE], "behaves": 1,
                "down_policy_type": [1], "down_policy_value": [3], "down_policy_us": [15 * SECOND],
                "down_window_us": 0}  # fmt: skip
    world = Scaled(LoadCurves(Points(((0, 8000), (13 * MINUTE + SECOND, 0)))), **policies)
    assert [world.pass_() for _ in range(8)] == [3, 3, 3, 3, 4, 4, 4, 4]
    assert world.condition("limited") == (TRUE, "ScaleUpLimit")
    assert [world.pass_() for _ in range(2)] == [1, 1]


def test_nothing_to_scale() -> None:
    world = Scaled(LoadCurves(Constant(2000)))
    gone = world.make("HorizontalPodAutoscaler", "gone", target=1, most=5, **CPU)
    world.pass_()
    world.hpa = gone
    assert world.condition("able") == (FALSE, "FailedGetScale")
    world.world.references[1] = WEB
    world.pass_()
    assert world.condition("able")[0] == TRUE


def test_no_replicas_switch_it_off_and_its_bounds_come_first() -> None:
    world = Scaled(LoadCurves(Constant(2000)), replicas=0)
    assert world.pass_() == 0
    assert world.condition("active") == (FALSE, "ScalingDisabled")
    world.write(world.web, replicas=40)
    assert world.pass_() == 20
    world.write(world.hpa, least=3)
    world.write(world.web, replicas=2)
    assert world.pass_() == 3


def test_a_metric_that_cannot_be_told_blocks_the_way_down() -> None:
    both = {"metric_type": [1, 5], "metric_target": [50, 1], "metric_by": [0, 2], "metric_name": [-1, 1],
            "metric_about": [-1, 1]}  # fmt: skip
    world = Scaled(LoadCurves(Constant(100)), **both)
    for _ in range(25):
        assert world.pass_() == 2
    assert world.condition("active") == (FALSE, "FailedGetExternalMetric")
    assert world.cluster.horizontalpodautoscaler_metric_current[0, :2].tolist() == [5, -1]
    world.world.loads[WEB] = LoadCurves(Constant(3000))
    assert world.pass_() == 4
    assert world.condition("active") == (TRUE, "ValidMetricFound")


def test_pods_without_a_request_have_no_percentage() -> None:
    world = Scaled(LoadCurves(Constant(3000)))
    world.cluster.template_request[0, 0] = 0
    assert world.pass_() == 2
    assert world.condition("active") == (FALSE, "FailedGetResourceMetric")


@pytest.mark.parametrize(
    ("metric", "load", "wanted"),
    [
        ({"metric_type": [2], "metric_target": [50], "metric_by": [0]}, LoadCurves(Constant(2000)), 4),
        ({"metric_type": [1], "metric_target": [500], "metric_by": [1]}, LoadCurves(Constant(2000)), 4),
        ({"metric_type": [1], "metric_resource": [1], "metric_target": [50]},
         LoadCurves(None, Constant(3 << 30)), 6),
        ({"metric_type": [1], "metric_resource": [1], "metric_target": [1000 << 30], "metric_by": [1]},
         LoadCurves(None, Constant(6 << 30)), 6),
        ({"metric_type": [3], "metric_name": [1], "metric_target": [1000], "metric_by": [1]},
         LoadCurves(metrics={"hits": Constant(2500)}), 3),
        ({"metric_type": [4], "metric_name": [1], "metric_about": [2], "metric_target": [1000], "metric_by": [1]},
         LoadCurves(), 3),
        ({"metric_type": [5], "metric_name": [1], "metric_about": [1], "metric_target": [1000], "metric_by": [2]},
         LoadCurves(), 4),
        ({"metric_type": [1, 5], "metric_name": [-1, 1], "metric_about": [-1, 1], "metric_target": [50, 1000],
          "metric_by": [0, 2]}, LoadCurves(Constant(1000)), 4),
    ],
)  # fmt: skip
def test_every_kind_of_metric(metric: dict[str, Any], load: LoadCurves, wanted: int) -> None:
    world = Scaled(load, replicas=3 if metric.get("metric_resource") else 2, **metric)
    world.world.loads["External", "default", "hits"] = LoadCurves(metrics={"hits": Constant(2000)})
    world.world.loads["Service", "default", "front"] = LoadCurves(metrics={"hits": Constant(3000)})
    assert world.pass_() == wanted


def test_what_was_reported_last_counts() -> None:
    """The load changes 7 s after the report that the autoscaler reads 12 s later."""
    start = 11 * MINUTE + 12 * SECOND
    world = Scaled(LoadCurves(Points(((0, 1000), (start + 10 * SECOND, 2000)))))
    world.now += 12 * SECOND
    assert world.pass_() == 2
    assert world.pass_() == 4


def test_without_a_curve_a_pod_uses_a_share_of_its_request() -> None:
    world = Scaled(LoadCurves())
    assert world.pass_() == 4
    world = Scaled(LoadCurves())
    world.cluster.template_usage_permille[:] = 500
    assert world.pass_() == 2


def test_limits_and_full_nodes_throttle() -> None:
    world = Scaled(LoadCurves(Constant(4000)))
    world.cluster.template_cpu_limit_milli[:] = 600
    assert world.pass_() == 3
    world = Scaled(LoadCurves(Constant(4000)))
    world.cluster.node_allocatable[0, 0], world.cluster.node_requested[0, 0] = 3000, 4000
    # Two pods of 1000 beside 2000 of others: each gets a quarter of 3000, and 75 of 50 percent are asked for.
    assert world.pass_() == 3
    assert world.cluster.horizontalpodautoscaler_metric_current[0, 0] == 75


def test_a_status_is_written_only_when_it_changed() -> None:
    world = Scaled(LoadCurves(Constant(1000)), limited=True)
    world.pass_()
    calls = world.manager.reconcilers["horizontalpodautoscaler"].calls
    world.pass_()
    world.pass_()
    # Each time the scale is read; "SucceededRescale" and the like do not come again.
    assert world.manager.reconcilers["horizontalpodautoscaler"].calls == calls + 2


def test_each_scales_its_own_and_looks_it_up_once() -> None:
    world = Scaled(LoadCurves(Constant(2000)))
    other = world.make("ReplicaSet", "other", replicas=2, template=0)
    world.settle()
    world.run(*world.pods(other))
    for pod in world.pods(other):
        world.cluster.life_ready_us[pod] = world.cluster.pod_arrived_us[pod] = 0
    world.world.loads["ReplicaSet", "default", "other"] = LoadCurves(Constant(1500))
    world.world.references[1] = ("ReplicaSet", "default", "other")
    uids = world.cluster.object_uid.copy()
    second = world.make("HorizontalPodAutoscaler", "second", target=1, most=20, **CPU)
    uids[second] = world.cluster.object_uid[second]
    assert (world.pass_(), world.read(other, "replicas")) == (4, 3)
    assert [world.read(one, "scaled") for one in (world.hpa, second)] == [world.web, other]
    assert np.array_equal(world.cluster.object_uid, uids)
    # It goes by the name again when that object is gone.
    world.world.references[0] = ("ReplicaSet", "default", "other")
    world.pass_()
    assert world.read(world.hpa, "scaled") == world.web
    world.cluster.object_live[world.web] = 2
    world.wait(15 * SECOND)
    assert world.read(world.hpa, "scaled") == other


def test_the_row_of_one_that_is_gone_may_be_anything() -> None:
    world = Scaled(LoadCurves(Constant(1000)))
    world.pass_()
    cluster, row = world.cluster, world.hpa
    cluster.object_live[row] = 2
    world.world.note(np.array([row]), world.now)
    world.settle()
    other = world.make("ReplicaSet", "other", replicas=1, template=0)
    assert other == row
    assert world.pass_(60) == 2


UP = twin.Rules(30 * SECOND, "Max", (("Pods", 2, MINUTE), ("Percent", 50, 30 * SECOND)))
DOWN = twin.Rules(MINUTE, "Min", (("Percent", 50, MINUTE), ("Pods", 3, 30 * SECOND)))
BEHAVIOR = {
    "behaves": 1, "up_window_us": UP.window_us, "down_window_us": DOWN.window_us, "down_select": 1,
    "up_policy_type": [1, 2], "up_policy_value": [2, 50], "up_policy_us": [MINUTE, 30 * SECOND],
    "down_policy_type": [2, 1], "down_policy_value": [50, 3], "down_policy_us": [MINUTE, 30 * SECOND],
}  # fmt: skip
Entries = list[tuple[int, int]]


def naive(world: Scaled, recommendations: Entries, events: Entries | None, current: int) -> int:
    """What the plain twin says of the world's only autoscaler; with ``events``, of one with the behavior above."""
    cluster, time = world.cluster, world.now // (15 * SECOND) * 15 * SECOND
    facts = []
    pods = world.pods(world.web)

    def steady(pod: int) -> bool:
        return bool((cluster.life_ready[pod] == 1) == (cluster.life_ready_us[pod] <= time))

    sharing = [pod for pod in pods if cluster.life_phase[pod] == 1 and steady(pod) and cluster.life_deleted_us[pod] < 0]
    total = world.world.loads[WEB].cpu_milli.at(time)  # type: ignore[union-attr]
    for pod in pods:
        level = total // len(sharing) + (sharing.index(pod) < total % len(sharing)) if pod in sharing else 0
        facts.append(twin.Pod(
            level if cluster.life_phase[pod] == 1 else None, 1000,
            ("Pending", "Running", "Succeeded", "Failed")[cluster.life_phase[pod]],
            bool(cluster.life_deleted_us[pod] >= 0), int(cluster.pod_arrived_us[pod]), bool(cluster.life_ready[pod]),
            int(cluster.life_ready_us[pod]) if cluster.life_ready_us[pod] >= 0 else int(cluster.pod_arrived_us[pod]),
        ))  # fmt: skip
    found = twin.by_pods(current, 50, True, (0.1, 0.1), facts, True, twin.Clock(world.now, time))
    if found is None:
        return current
    if events is None:
        stable = twin.stabilised(found[0], recommendations, world.now, 5 * MINUTE)
        result = twin.clamped(current, stable, 1, 20)[0]
    else:
        stable = twin.stabilised_by_rules(current, found[0], recommendations, world.now, UP, DOWN)
        result = twin.clamped_by_rules(current, stable, 1, 20, events, world.now, UP, DOWN)[0]
        events.append((result - current, world.now))
    recommendations.append((found[0], world.now))
    return result


@settings(max_examples=15, deadline=None)
@given(
    st.randoms(use_true_random=False),
    st.lists(st.integers(0, 9000), min_size=3, max_size=3),
    st.booleans(),
    st.booleans(),
)
def test_it_does_as_the_plain_twin(chance: random.Random, loads: list[int], restarts: bool, behaves: bool) -> None:
    load = Points(tuple((11 * MINUTE + i * 2 * MINUTE, value) for i, value in enumerate(loads)))
    world = Scaled(LoadCurves(load), replicas=3, **(BEHAVIOR if behaves else {}))
    recommendations: Entries = []
    events: Entries | None = [] if behaves else None
    for step in range(15):
        if restarts and chance.random() < 0.3:
            world.restart("horizontalpodautoscaler")
        world.wait(15 * SECOND - 1)
        current = int(world.read(world.web, "replicas"))
        world.now += 1
        if step == 0:
            recommendations = [(current, world.now)]
        expected = naive(world, recommendations, events, current)
        world.settle()
        assert int(world.read(world.web, "replicas")) == expected
        world.stopped()
        for pod in world.pods(world.web):
            draw = chance.random()
            if world.cluster.life_phase[pod] == 0 and draw < 0.7:
                world.run(pod, ready=chance.random() < 0.8)
            elif draw < 0.1:
                world.ready(pod, not world.cluster.life_ready[pod])
            elif draw < 0.13:
                world.finish(pod, well=False)
        world.settle()


def taken(spec: dict[str, Any], version: str = "autoscaling/v2") -> dict[str, Any]:
    """The columns of an autoscaler that is read."""
    kinds = controllers.kinds()
    gathering = Gathering(manifests={name: kind.manifest for name, kind in kinds.items() if kind.manifest})
    raw = {"apiVersion": version, "kind": "HorizontalPodAutoscaler", "metadata": {"name": "web"}, "spec": spec}
    gathering.take(Item("a.yaml", 1, "HorizontalPodAutoscaler", version, msgspec.json.encode(raw)))
    columns = gathering.workloads.made[0].columns
    return {**columns, "references": list(gathering.workloads.references)}


TARGET = {"scaleTargetRef": {"kind": "Deployment", "name": "web"}, "maxReplicas": 10}


def test_defaults_of_what_is_read() -> None:
    columns = taken(TARGET)
    assert (columns["least"], columns["most"], columns["behaves"]) == (1, 10, 0)
    assert columns["references"][columns["target"]] == ("Deployment", "default", "web")
    assert columns["metric_type"][:2] == (1, 0)
    assert (columns["metric_target"][0], columns["metric_by"][0]) == (80, 0)
    assert columns["up_policy_type"][:3] == (1, 2, 0)
    assert (columns["up_window_us"], columns["down_window_us"]) == (0, 300 * SECOND)
    assert (columns["down_policy_value"][0], columns["down_policy_us"][0]) == (100, 15 * SECOND)
    old = taken({**TARGET, "targetCPUUtilizationPercentage": 60, "minReplicas": 2}, "autoscaling/v1")
    assert (old["metric_target"][0], old["least"]) == (60, 2)


def test_what_is_read_in_full() -> None:
    about = {"kind": "Service", "name": "front"}
    columns = taken({
        **TARGET, "minReplicas": 0,
        "metrics": [
            {"type": "Resource", "resource": {"name": "memory", "target": {"type": "AverageValue",
                                                                           "averageValue": "1Gi"}}},
            {"type": "Object", "object": {"metric": {"name": "hits"}, "describedObject": about,
                                          "target": {"type": "Value", "value": "1500m"}}},
            {"type": "External", "external": {"metric": {"name": "queue"},
                                              "target": {"type": "AverageValue", "averageValue": 30}}},
        ],
        "behavior": {"scaleUp": {"stabilizationWindowSeconds": 60, "selectPolicy": "Min", "tolerance": "50m",
                                 "policies": [{"type": "Percent", "value": 10, "periodSeconds": 60}]},
                     "scaleDown": {"selectPolicy": "Disabled"}},
    })  # fmt: skip
    assert columns["metric_type"][:4] == (1, 4, 5, 0)
    assert columns["metric_target"][:3] == (1000 << 30, 1500, 30000)
    assert columns["metric_by"][:3] == (1, 2, 1)
    assert columns["references"][columns["metric_about"][1]] == ("Service", "default", "front")
    assert columns["references"][columns["metric_about"][2]] == ("External", "default", "queue")
    assert columns["references"][columns["metric_name"][1]][2] == "hits"
    assert (columns["up_select"], columns["down_select"], columns["up_tolerance"]) == (1, 2, 0.05)
    assert (columns["behaves"], columns["down_window_us"], columns["down_tolerance"]) == (1, 300 * SECOND, -1)


def _metric(**target: Any) -> dict[str, Any]:
    return {**TARGET, "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]}


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"maxReplicas": 3}, "spec.scaleTargetRef.kind"),
        ({"scaleTargetRef": {"kind": "Deployment", "name": "web"}}, "spec.maxReplicas"),
        ({**TARGET, "minReplicas": 11}, "spec.minReplicas"),
        ({**TARGET, "minReplicas": 0}, "spec.minReplicas"),
        ({**TARGET, "metrics": [{"type": "Nothing"}]}, "spec.metrics[0].type"),
        ({**TARGET, "metrics": [{"type": "Pods"}]}, "spec.metrics[0].pods"),
        ({**TARGET, "metrics": [{"type": "Resource"}] * 17}, "spec.metrics"),
        (_metric(type="Utilization"), "spec.metrics[0].resource.target"),
        (_metric(type="Utilization", averageUtilization=0), "spec.metrics[0].resource.target.averageUtilization"),
        (_metric(type="Value", value=3), "spec.metrics[0].resource.target"),
        (_metric(type="AverageValue", averageValue="x"), "spec.metrics[0].resource.target.averageValue"),
        ({**TARGET, "behavior": {"scaleUp": {"policies": []}}}, "spec.behavior.scaleUp.policies"),
        ({**TARGET, "behavior": {"scaleDown": {"stabilizationWindowSeconds": 3601}}},
         "spec.behavior.scaleDown.stabilizationWindowSeconds"),
        ({**TARGET, "behavior": {"scaleUp": {"policies": [{"type": "Pods", "value": 1, "periodSeconds": 1801}]}}},
         "spec.behavior.scaleUp.policies[0].periodSeconds"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told(spec: dict[str, Any], field: str) -> None:
    with pytest.raises(InputError) as caught:
        taken(spec)
    assert caught.value.field == field
    assert caught.value.expected


def test_versions_that_are_not_served_any_more() -> None:
    with pytest.raises(InputError, match="autoscaling/v2 or autoscaling/v1"):
        taken(TARGET, "autoscaling/v2beta1")
