"""The twin of kube-scheduler against recorded decisions, and its queue by rules and by another twin."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import pytest

from tests import naive
from tests.twin.compare import FAMILIES, compared, files, read
from tests.twin.queue import SECOND, Outcome, Timed

EACH = 3
MIB = 1 << 20


@pytest.mark.data
@pytest.mark.parametrize("family", FAMILIES)
def test_recordings(family: str) -> None:
    found = files(Path(os.environ["KSCALE_DATA"]), family)
    for path in random.Random(family).sample(found, min(EACH, len(found))):
        for expected, result in compared(read(path)):
            assert result == expected, (path.name, expected["pod"])


# The queue


def node(name: str, cpu: int = 4000, memory: int = 8192, pods: int = 10, **spec: Any) -> dict[str, Any]:
    amounts = {"cpu": f"{cpu}m", "memory": f"{memory}Mi", "pods": str(pods)}
    labels = {"kubernetes.io/hostname": name}
    return {
        "kind": "Node",
        "metadata": {"name": name, "labels": labels},
        "spec": spec,
        "status": {"allocatable": amounts},
    }


def pod(
    name: str, cpu: int = 1000, priority: int = 0, labels: dict[str, str] | None = None, **spec: Any
) -> dict[str, Any]:
    container = {"name": "c", "resources": {"requests": {"cpu": f"{cpu}m", "memory": "64Mi"}}}
    metadata = {"name": name, "namespace": "default", "labels": labels or {}}
    return {"kind": "Pod", "metadata": metadata, "spec": {"containers": [container], "priority": priority, **spec}}


def away_from(app: str, kind: str = "podAntiAffinity") -> dict[str, Any]:
    term = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": app}}}
    return {kind: {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}


def played(nodes: list[Any], arrivals: list[Any], **scenario: Any) -> dict[str, Outcome]:
    names = [written["metadata"]["name"] for _, written, _ in arrivals]
    return dict(zip(names, Timed({"objects": nodes, **scenario}, arrivals).run(), strict=True))


@pytest.mark.parametrize("seed", range(25))
def test_same_as_the_other_twin_where_only_resources_matter(seed: int) -> None:
    draw = random.Random(seed)
    shapes = [(draw.choice([2000, 4000, 3920]), draw.choice([4096, 8000]), draw.choice([2, 5, 10])) for _ in range(3)]
    pods = []
    for _ in range(60):
        arrival = draw.randrange(40) * SECOND // draw.choice([1, 3])
        duration = draw.choice([None, SECOND // 2, 7 * SECOND, 400 * SECOND])
        pods.append((arrival, draw.choice([100, 900, 2000, 5000]), draw.choice([0, 0, 5]), duration))
    nodes = [node(f"n{index}", *shape) for index, shape in enumerate(shapes)]
    arrivals = [
        (arrival, pod(f"p{index}", cpu, priority), duration)
        for index, (arrival, cpu, priority, duration) in enumerate(pods)
    ]
    found = played(nodes, arrivals)
    expected = naive.run(
        [
            naive.Node(f"n{i}", {"cpu": cpu, "memory": memory * MIB, "pods": most})
            for i, (cpu, memory, most) in enumerate(shapes)
        ],
        [
            naive.Pod(f"p{index}", naive.Spec({"cpu": cpu, "memory": 64 * MIB}, priority=priority), arrival, duration)
            for index, (arrival, cpu, priority, duration) in enumerate(pods)
        ],
    )
    for outcome, other in zip(found.values(), expected, strict=True):
        name = None if other.node is None else f"n{other.node}"
        assert (outcome.status, outcome.node, outcome.bound_us) == (other.status, name, other.bound_us)
        assert outcome.attempts == other.attempts


def test_pods_of_higher_priority_are_tried_first() -> None:
    found = played([node("n", pods=1)], [(0, pod("low"), SECOND), (0, pod("high", priority=9), SECOND)])
    assert found["high"] == Outcome("succeeded", "n", 0, 1)
    assert found["low"] == Outcome("succeeded", "n", SECOND, 2)


def test_a_pod_gets_the_node_that_was_cleared_for_it() -> None:
    arrivals = [
        (0, pod("small", 2000), None),
        (0, pod("old", 2000, priority=1), None),
        (SECOND, pod("high", 3000, priority=9), None),
        (SECOND, pod("middle", 2000, priority=5, preemptionPolicy="Never"), None),
    ]
    found = played([node("n")], arrivals)
    assert found["high"] == Outcome("running", "n", SECOND, 2, ["default/old", "default/small"])
    assert (found["small"].status, found["old"].status) == ("evicted", "evicted")
    assert found["middle"] == Outcome("waiting", attempts=1)  # it counts the pod that is to come


def test_a_cleared_node_may_be_taken_by_a_more_important_pod() -> None:
    arrivals = [
        (0, pod("low", 4000), None),
        (SECOND, pod("high", 4000, priority=9, preemptionPolicy="Never"), None),
        (5 * SECOND, pod("middle", 4000, priority=5), None),
    ]
    found = played([node("n")], arrivals)
    assert found["high"] == Outcome("running", "n", 5 * SECOND, 2)
    assert found["middle"] == Outcome("waiting", None, None, 2, ["default/low"])


def test_a_pod_that_waits_for_another_is_woken_when_it_comes() -> None:
    follower = pod("follower", affinity=away_from("web", "podAffinity"))
    arrivals = [(0, follower, None), (2 * SECOND, pod("web", labels={"app": "web"}), None)]
    assert played([node("n")], arrivals)["follower"] == Outcome("running", "n", 2 * SECOND, 2)


def test_a_pod_is_woken_when_the_one_in_its_way_goes() -> None:
    shy = pod("shy", affinity=away_from("web"))
    arrivals = [(0, pod("web", labels={"app": "web"}), 5 * SECOND), (SECOND, shy, None)]
    assert played([node("n")], arrivals)["shy"] == Outcome("running", "n", 5 * SECOND, 2)


def test_a_pod_that_another_does_not_want_waits_for_the_timer() -> None:
    """kube-scheduler 1.34 does not look at the anti-affinity of the pod that goes; it is mended in 1.35."""
    shy = pod("shy", affinity=away_from("web"))
    arrivals = [
        (0, shy, 5 * SECOND),
        (SECOND, pod("web", labels={"app": "web"}), None),
        (900 * SECOND, pod("last", 10), None),
    ]
    assert played([node("n")], arrivals)["web"] == Outcome("running", "n", 330 * SECOND, 2)


def test_spread_is_asked_when_a_pod_that_it_counts_comes() -> None:
    constraint = {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": "web"}},
    }
    spread = pod("spread", labels={"app": "web"}, topologySpreadConstraints=[constraint])
    full = pod("full", 3500, nodeSelector={"kubernetes.io/hostname": "b"})
    arrivals = [
        (0, full, None),
        (0, pod("web", 10, labels={"app": "web"}, nodeSelector={"kubernetes.io/hostname": "a"}), None),
        (SECOND, spread, None),
        (2 * SECOND, pod("other", 10), None),
        (3 * SECOND, pod("web2", 10, labels={"app": "web"}, nodeSelector={"kubernetes.io/hostname": "b"}), None),
    ]
    assert played([node("a"), node("b")], arrivals)["spread"] == Outcome("running", "a", 3 * SECOND, 2)


def test_gates_and_foreign_schedulers_keep_a_pod_out() -> None:
    arrivals = [
        (0, pod("gated", schedulingGates=[{"name": "x"}]), None),
        (0, pod("foreign", schedulerName="other"), None),
    ]
    found = played([node("n")], arrivals)
    assert found["gated"] == Outcome("gated")
    assert found["foreign"] == Outcome("no_profile")


def test_a_try_that_breaks_off_waits_out_its_back_off() -> None:
    term = {"matchExpressions": [{"key": "a", "operator": "Gt", "values": ["-5"]}]}
    preferred = [{"weight": 1, "preference": term}]
    broken = pod("broken", affinity={"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": preferred}})
    found = played([node("a"), node("b")], [(0, broken, None), (9 * SECOND, pod("last"), None)])
    assert found["broken"] == Outcome("waiting", attempts=3)  # at 0, 2 and 5 s
