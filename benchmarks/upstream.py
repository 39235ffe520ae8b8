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


def _namespaces(kind: str, color: str, key: str, zones: Sequence[str] = _ZONES, *, required: bool) -> Any:
    """Return a kind whose pods ask for or shun pods of a hundred namespaces that a selector names."""

    def made(rng: random.Random, nodes: int, templates: int, bound: int) -> Cluster:
        spaces = [
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": f"init-{n}", "labels": {"team": "devops"}}}
            for n in range(100)
        ]
        selector = {"matchLabels": {"color": color}}
        chosen = {"namespaceSelector": {"matchLabels": {"team": "devops"}}}
        term = {"labelSelector": selector, "topologyKey": key, **chosen}
        terms = {REQUIRED: [term]} if required else {PREFERRED: [{"weight": 1, "podAffinityTerm": term}]}
        spec = {"affinity": {kind: terms}}
        before = [_pod(color, f"init-{n}", **spec) for n in range(100)]
        pending = [_pod(color, "init-0", **spec)]
        return Cluster(_nodes(nodes, zones), pending, spaces, before, _round(bound, nodes, 100))

    return made


def _matching(rng: random.Random, nodes: int, templates: int, bound: int) -> Cluster:
    """Pods that bound ones shun, by hostname."""
    spec = {"affinity": _affinity("podAntiAffinity", "green", HOSTNAME, required=True)}
    before = [_pod("green", _SPACES[0], **spec)] if bound else []
    return Cluster(_nodes(nodes), [_pod("green")], [], before, _round(bound, nodes))


def _inclusion(rng: random.Random, nodes: int, templates: int, bound: int) -> Cluster:
    """One pod a node; one node in five is tainted, and counts for nothing."""
    made = _nodes(nodes)
    for node in made[: nodes // 5]:
        node["spec"] = {"taints": [{"key": "foo", "effect": "NoSchedule"}]}
    constraint = {
        "maxSkew": 1, "topologyKey": HOSTNAME, "whenUnsatisfiable": "DoNotSchedule", "nodeAffinityPolicy": "Honor",
        "nodeTaintsPolicy": "Honor", "labelSelector": {"matchLabels": {"color": "blue"}},
    }  # fmt: skip
    before = [_pod(space=_SPACES[0])] if bound else []
    pending = [_pod("blue", topologySpreadConstraints=[constraint])]
    return Cluster(made, pending, [], before, _round(bound, nodes))


def _among_preemptors(rng: random.Random, nodes: int, templates: int, bound: int) -> Cluster:
    """One in 114 pods evicts others: five a second, at the pace of upstream's gate."""
    before = [_pod(space=_SPACES[0], cpu="900m", priority=0)]
    pending = [_pod(cpu="3000m", priority=10)] + [_pod()] * 113
    return Cluster(_nodes(nodes), pending, [], before, _round(bound, nodes))


def _light(color: str = "", **spec: Any) -> Object:
    """Return a pod that asks for nothing."""
    metadata = {"labels": {"color": color} if color else {}, "namespace": _SPACES[1]}
    return {"metadata": metadata, "spec": {"containers": [{"name": "pause", "image": "pause:3.10"}], **spec}}


_NAMED = "scheduler-perf-node"


def _with_named(nodes: int) -> list[Object]:
    """Return a node with a name of its own and room for 90,000 pods, and others behind it."""
    first, *others = _nodes(nodes)
    first["metadata"] = {"name": _NAMED, "labels": {HOSTNAME: _NAMED}}
    first["status"] = {"allocatable": {"cpu": "4", "memory": "32Gi", "pods": "90000"}}
    return [first, *others]


def _daemons(rng: random.Random, nodes: int, templates: int, bound: int) -> Cluster:
    """Pods that name their node in a field selector, as the DaemonSet controller writes it; that node, and others."""
    field = {"key": "metadata.name", "operator": "In", "values": [_NAMED]}
    terms = {"nodeSelectorTerms": [{"matchFields": [field]}]}
    before = [_light()] if bound else []
    pending = [_light(affinity={"nodeAffinity": {REQUIRED: terms}})]
    return Cluster(_with_named(nodes + 1), pending, [], before, _round(bound, nodes))


def _gated(color: str = "", **spec: Any) -> Any:
    """Return a kind in which gated pods come first, half as many as the others."""

    def made(rng: random.Random, nodes: int, templates: int, bound: int) -> Cluster:
        before = [_light()] if bound else []
        pending = [_light(color, schedulingGates=[{"name": "hold"}], **spec), _light(color)]
        return Cluster(_with_named(nodes), pending, [], before, _round(bound, nodes), ahead=1 / 3)

    return made


_DRIVER = "ebs.csi.aws.com"


def _volumes(rng: random.Random, nodes: int, templates: int, bound: int) -> Cluster:
    """Every pod has a claim of its own, bound to a volume of a CSI driver; a node attaches 39 of them."""
    attached: list[Object] = [
        {"apiVersion": "storage.k8s.io/v1", "kind": "CSINode", "metadata": {"name": f"n{n}"},
         "spec": {"drivers": [{"name": _DRIVER, "nodeID": f"n{n}", "allocatable": {"count": 39}}]}}
        for n in range(nodes)
    ]  # fmt: skip
    stores = [store for n in range(bound + templates) for store in _claimed(n)]
    pods = [
        _pod(volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": f"c{n}"}}]) for n in range(bound + templates)
    ]
    placed = _round(bound, nodes, max(bound, 1))
    return Cluster(_nodes(nodes), pods[bound:], attached + stores, pods[:bound], placed)


def _claimed(number: int) -> list[Object]:
    """Return a volume and the claim that it is bound to."""
    claim = {"name": f"c{number}", "namespace": _SPACES[1]}
    shared = {"accessModes": ["ReadOnlyMany"]}
    return [
        {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": f"v{number}"},
         "spec": {**shared, "capacity": {"storage": "1Gi"}, "claimRef": claim,
                  "csi": {"driver": _DRIVER, "volumeHandle": f"v{number}"}}},
        {"apiVersion": "v1", "kind": "PersistentVolumeClaim",
         "metadata": {**claim, "annotations": {"pv.kubernetes.io/bind-completed": "true"}},
         "spec": {**shared, "volumeName": f"v{number}", "resources": {"requests": {"storage": "1Gi"}}}},
    ]  # fmt: skip


_ONE_ZONE = {"key": ZONE, "operator": "In", "values": ["zone1", "zone2"]}

UPSTREAM: dict[str, Callable[[random.Random, int, int, int], Cluster]] = {
    "SchedulingBasic": _plain(),
    "SchedulingPodAntiAffinity": _attracted("podAntiAffinity", "green", HOSTNAME, required=True),
    "SchedulingPodAffinity": _attracted("podAffinity", "blue", ZONE, ("zone1",), required=True),
    "SchedulingPreferredPodAffinity": _attracted("podAffinity", "red", HOSTNAME, required=False),
    "SchedulingPreferredPodAntiAffinity": _attracted("podAntiAffinity", "yellow", HOSTNAME, required=False),
    "SchedulingPodMatchingAntiAffinity": _matching,
    "SchedulingRequiredPodAntiAffinityWithNSSelector": _namespaces("podAntiAffinity", "green", HOSTNAME, required=True),
    "SchedulingRequiredPodAffinityWithNSSelector": _namespaces("podAffinity", "blue", ZONE, ("zone1",), required=True),
    "SchedulingPreferredAntiAffinityWithNSSelector": _namespaces("podAntiAffinity", "green", HOSTNAME, required=False),
    "SchedulingPreferredAffinityWithNSSelector": _namespaces("podAffinity", "red", HOSTNAME, required=False),
    "SchedulingNodeAffinity": _plain(("zone1",), affinity={
        "nodeAffinity": {REQUIRED: {"nodeSelectorTerms": [{"matchExpressions": [_ONE_ZONE]}]}}}),
    "TopologySpreading": _spread("DoNotSchedule"),
    "PreferredTopologySpreading": _spread("ScheduleAnyway"),
    "DefaultTopologySpreading": _with_service,
    "SchedulingWithNodeInclusionPolicy": _inclusion,
    "MixedSchedulingBasePod": _mixed,
    "PreemptionBasic": _preemption,
    "PreemptionAsync": _among_preemptors,
    "Unschedulable": _unschedulable,
    "SchedulingSecrets": _plain(volumes=[{"name": "secret", "secret": {"secretName": "secret"}}]),
    "SchedulingCSIPVs": _volumes,
    "SchedulingDaemonset": _daemons,
    "SchedulingWhileGated": _gated(),
    "SchedulingGatedPodsWithPodAffinityImpactForThroughput": _gated(
        "blue", affinity=_affinity("podAffinity", "blue", HOSTNAME, required=True)),
}  # fmt: skip
