"""The shapes of kube-scheduler's own benchmark, scheduler_perf: nodes of one shape, pods of one template.

Pods that its set-up creates are bound here from the start, node after node. Each kind carries the name of its workload.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.cluster import HOSTNAME, PREFERRED, REQUIRED, ZONE, Cluster, Object

_ZONES = ("moon-1", "moon-2", "moon-3")
_SPACES = ("sched-0", "sched-1")


def _nodes(count: int, zones: Sequence[str] = _ZONES) -> list[Object]:
    offer = {"cpu": "4", "memory": "32Gi", "pods": "110"}
    return [
        {
            "apiVersion": "v1", "kind": "Node",
            "metadata": {"name": f"n{n}", "labels": {HOSTNAME: f"n{n}", ZONE: zones[n % len(zones)]}},
            "status": {"allocatable": offer},
        }
        for n in range(count)
    ]  # fmt: skip


def _pod(color: str = "", space: str = "sched-1", cpu: str = "100m", **spec: Any) -> Object:
    requests = {"cpu": cpu, "memory": "500Mi"}
    container = {"name": "pause", "image": "registry.k8s.io/pause:3.10", "resources": {"requests": requests}}
    labels = {"color": color} if color else {}
    return {"metadata": {"labels": labels, "namespace": space}, "spec": {"containers": [container], **spec}}


def _round(bound: int, nodes: int, kinds: int = 1) -> list[tuple[int, int]]:
    return [(number % kinds, number % nodes) for number in range(bound)]


def _term(color: str, key: str) -> Object:
    selector = {"matchLabels": {"color": color}}
    return {"labelSelector": selector, "topologyKey": key, "namespaces": [_SPACES[1], _SPACES[0]]}


def _affinity(kind: str, color: str, key: str, *, required: bool) -> Object:
    term = _term(color, key)
    terms = {REQUIRED: [term]} if required else {PREFERRED: [{"weight": 1, "podAffinityTerm": term}]}
    return {kind: terms}


def _attracted(kind: str, color: str, key: str, zones: Sequence[str] = _ZONES, *, required: bool) -> Any:
    """Return a kind whose pods, bound ones too, ask for or shun pods of their color."""

    def made(rng: random.Random, nodes: int, templates: int, bound: int) -> Cluster:
        spec = {"affinity": _affinity(kind, color, key, required=required)}
        before = [_pod(color, _SPACES[0], **spec)] if bound else []
        return Cluster(_nodes(nodes, zones), [_pod(color, **spec)], [], before, _round(bound, nodes))

    return made


def _plain(zones: Sequence[str] = _ZONES, **spec: Any) -> Any:
    """Return a kind of pods like that among plain bound ones."""

    def made(rng: random.Random, nodes: int, templates: int, bound: int) -> Cluster:
        before = [_pod(space=_SPACES[0])] if bound else []
        return Cluster(_nodes(nodes, zones), [_pod("blue", **spec)], [], before, _round(bound, nodes))

    return made


def _spread(when: str) -> Any:
    selector = {"matchLabels": {"color": "blue"}}
    constraint = {"maxSkew": 5, "topologyKey": ZONE, "whenUnsatisfiable": when, "labelSelector": selector}
    return _plain(topologySpreadConstraints=[constraint])


def _with_service(rng: random.Random, nodes: int, templates: int, bound: int) -> Cluster:
    service = {
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "s", "namespace": _SPACES[1]},
        "spec": {"selector": {"color": "blue"}, "ports": [{"port": 80}]},
    }  # fmt: skip
    before = [_pod(space=_SPACES[0])] if bound else []
    return Cluster(_nodes(nodes), [_pod("blue")], [service], before, _round(bound, nodes))


def _mixed(rng: random.Random, nodes: int, templates: int, bound: int) -> Cluster:
    """Bound pods of five sorts: plain, and with each sort of pod affinity."""
    sorts = (
        ("podAffinity", "blue", ZONE, True), ("podAntiAffinity", "green", HOSTNAME, True),
        ("podAffinity", "red", HOSTNAME, False), ("podAntiAffinity", "yellow", HOSTNAME, False),
    )  # fmt: skip
    before = [_pod(space=_SPACES[0])] + [
        _pod(color, _SPACES[0], affinity=_affinity(kind, color, key, required=required))
        for kind, color, key, required in sorts
    ]
    return Cluster(_nodes(nodes, ("zone1",)), [_pod()], [], before, _round(bound, nodes, 5))


def _preemption(rng: random.Random, nodes: int, templates: int, bound: int) -> Cluster:
    before = [_pod(space=_SPACES[0], cpu="900m", priority=0)]
    return Cluster(_nodes(nodes), [_pod(cpu="3000m", priority=10)], [], before, _round(bound, nodes))


def _unschedulable(rng: random.Random, nodes: int, templates: int, bound: int) -> Cluster:
    """One in fifty pods asks for more than any node has."""
    return Cluster(_nodes(nodes), [_pod(cpu="9")] + [_pod()] * 49)


def _namespaces(rng: random.Random, nodes: int, templates: int, bound: int) -> Cluster:
    """Required anti-affinity to pods of a hundred namespaces that a selector names, by hostname."""
    spaces = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": f"init-{n}", "labels": {"team": "devops"}}}
        for n in range(100)
    ]
    selector = {"matchLabels": {"color": "green"}}
    chosen = {"namespaceSelector": {"matchLabels": {"team": "devops"}}}
    terms = [{"labelSelector": selector, "topologyKey": HOSTNAME, **chosen}]
    spec = {"affinity": {"podAntiAffinity": {REQUIRED: terms}}}
    before = [_pod("green", f"init-{n}", **spec) for n in range(100)]
    return Cluster(_nodes(nodes), [_pod("green", "init-0", **spec)], spaces, before, _round(bound, nodes, 100))


_ONE_ZONE = {"key": ZONE, "operator": "In", "values": ["zone1", "zone2"]}

UPSTREAM: dict[str, Callable[[random.Random, int, int, int], Cluster]] = {
    "SchedulingBasic": _plain(),
    "SchedulingPodAntiAffinity": _attracted("podAntiAffinity", "green", HOSTNAME, required=True),
    "SchedulingPodAffinity": _attracted("podAffinity", "blue", ZONE, ("zone1",), required=True),
    "SchedulingPreferredPodAffinity": _attracted("podAffinity", "red", HOSTNAME, required=False),
    "SchedulingPreferredPodAntiAffinity": _attracted("podAntiAffinity", "yellow", HOSTNAME, required=False),
    "SchedulingRequiredPodAntiAffinityWithNSSelector": _namespaces,
    "SchedulingNodeAffinity": _plain(("zone1",), affinity={
        "nodeAffinity": {REQUIRED: {"nodeSelectorTerms": [{"matchExpressions": [_ONE_ZONE]}]}}}),
    "TopologySpreading": _spread("DoNotSchedule"),
    "PreferredTopologySpreading": _spread("ScheduleAnyway"),
    "DefaultTopologySpreading": _with_service,
    "MixedSchedulingBasePod": _mixed,
    "PreemptionBasic": _preemption,
    "Unschedulable": _unschedulable,
}  # fmt: skip
