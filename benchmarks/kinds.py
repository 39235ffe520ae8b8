"""What clusters and pods look like: one function a kind. Upstream's are in ``upstream``."""

from __future__ import annotations

import random
from collections.abc import Callable

from benchmarks.cluster import (
    HOSTNAME,
    PREFERRED,
    REQUIRED,
    ZONE,
    ZONES,
    Cluster,
    Object,
    app,
    asking,
    owned,
    owner,
    pod,
    selecting,
    tolerant,
    varied,
)  # fmt: skip
from benchmarks.upstream import UPSTREAM


def _simple(rng: random.Random, nodes: int, templates: int, bound: int) -> Cluster:
    """Pods that ask for resources alone; bound ones are of the same templates, more of them on larger nodes."""
    made, pods = varied(rng, nodes), [pod(asking(rng), number) for number in range(templates)]
    rows = [row for row, node in enumerate(made) for _ in range(int(node["status"]["allocatable"]["cpu"]) // 16)]
    placed = [(number % templates, rows[number % len(rows)]) for number in range(bound)]
    return Cluster(made, pods, bound=pods if bound else [], placed=placed)


def _own(rng: random.Random, nodes: int, templates: int, _: int) -> Cluster:
    """The same; no two pods ask for the same."""
    return Cluster(varied(rng, nodes), [pod(asking(rng), number) for number in range(templates)], own=True)


def _deploy(rng: random.Random, nodes: int, templates: int, _: int) -> Cluster:
    """ReplicaSets with Services: system-default or own spreading, affinity, anti-affinity, tolerations."""
    made = varied(rng, nodes)
    pods = [owned(_mixed(rng, number), number) for number in range(templates)]
    return Cluster(made, pods, [item for number in range(templates) for item in owner(number)])


def _services(rng: random.Random, nodes: int, templates: int, _: int) -> Cluster:
    """ReplicaSets, each with a Service: spread by the system's defaults alone."""
    made = varied(rng, nodes)
    pods = [owned(tolerant(rng), number) for number in range(templates)]
    return Cluster(made, pods, [item for number in range(templates) for item in owner(number)])


def _mixed(rng: random.Random, number: int) -> Object:
    spec = tolerant(rng)
    if number % 3 == 0:
        hard = {"maxSkew": 2, "topologyKey": ZONE, "whenUnsatisfiable": "DoNotSchedule", **selecting(number)}
        spec["topologySpreadConstraints"] = [hard]
    if number % 4 == 1:
        spec["affinity"] = {"podAntiAffinity": {REQUIRED: [{"topologyKey": HOSTNAME, **selecting(number)}]}}
    elif number % 4 == 2:
        wanted = {"weight": 50, "podAffinityTerm": {"topologyKey": ZONE, **selecting(max(number - 1, 0))}}
        spec["affinity"] = {"podAffinity": {PREFERRED: [wanted]}}
    return spec


def _node_affinity(rng: random.Random, nodes: int, templates: int, _: int) -> Cluster:
    """Required affinity to two zones, preferred to a disk and to a zone."""
    made, pods = varied(rng, nodes), []
    for number in range(templates):
        zones = {"key": ZONE, "operator": "In", "values": rng.sample(ZONES, 2)}
        preferred = [
            {"weight": rng.randrange(1, 100), "preference": {"matchExpressions": [
                {"key": key, "operator": "In", "values": [rng.choice(values)]}]}}
            for key, values in (("disk", ("ssd", "hdd")), (ZONE, ZONES))
        ]  # fmt: skip
        affinity = {REQUIRED: {"nodeSelectorTerms": [{"matchExpressions": [zones]}]}, PREFERRED: preferred}
        pods.append(pod(tolerant(rng) | {"affinity": {"nodeAffinity": affinity}}, number))
    return Cluster(made, pods)


def _hard_spread(rng: random.Random, nodes: int, templates: int, _: int) -> Cluster:
    """Every app is spread by zone, skew 1 to 4, or does not fit."""
    made, pods = varied(rng, nodes), []
    for number in range(templates):
        hard = {"topologyKey": ZONE, "whenUnsatisfiable": "DoNotSchedule", **selecting(number)}
        constraint = {"maxSkew": 1 + number % 4, **hard}
        pods.append(pod(tolerant(rng) | {"topologySpreadConstraints": [constraint]}, number))
    return Cluster(made, pods)


def _soft_spread(rng: random.Random, nodes: int, templates: int, _: int) -> Cluster:
    """Every other app is spread by zone and hostname if it can be, the rest by the system's defaults, with Services."""
    made, pods = varied(rng, nodes), []
    for number in range(templates):
        soft = {"whenUnsatisfiable": "ScheduleAnyway", **selecting(number)}
        own = [{"maxSkew": 1, "topologyKey": ZONE, **soft}, {"maxSkew": 2, "topologyKey": HOSTNAME, **soft}]
        spec = tolerant(rng) | ({"topologySpreadConstraints": own} if number % 2 else {})
        pods.append(owned(spec, number))
    return Cluster(made, pods, [item for number in range(templates) for item in owner(number)])


def _anti_affinity(rng: random.Random, nodes: int, templates: int, _: int) -> Cluster:
    """No node has two pods of an app."""
    made, pods = varied(rng, nodes), []
    for number in range(templates):
        terms = [{"topologyKey": HOSTNAME, **selecting(number)}]
        pods.append(pod(tolerant(rng) | {"affinity": {"podAntiAffinity": {REQUIRED: terms}}}, number))
    return Cluster(made, pods)


def _preferred_pods(rng: random.Random, nodes: int, templates: int, _: int) -> Cluster:
    """Pods like and dislike others by zone and hostname, in namespaces that a selector names."""
    made, pods = varied(rng, nodes), []
    teams = [f"team-{number}" for number in range(4)]
    spaces = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {"team": name[-1]}}}
        for name in teams
    ]
    for number in range(templates):
        chosen = {"namespaceSelector": {"matchLabels": {"team": str(rng.randrange(4))}}}
        friend, foe = selecting(rng.randrange(templates)), selecting(number)
        near, far = (HOSTNAME, ZONE) if number % 3 == 0 else (ZONE, HOSTNAME)
        liked = {"weight": rng.randrange(1, 100), "podAffinityTerm": {"topologyKey": near, **friend, **chosen}}
        other = chosen if number % 2 else {}
        disliked = {"weight": rng.randrange(1, 100), "podAffinityTerm": {"topologyKey": far, **foe, **other}}
        affinity = {"podAffinity": {PREFERRED: [liked]}, "podAntiAffinity": {PREFERRED: [disliked]}}
        pods.append(pod(tolerant(rng) | {"affinity": affinity}, number, namespace=teams[number % 4]))
    return Cluster(made, pods, spaces)


def _preemption(rng: random.Random, nodes: int, templates: int, _: int) -> Cluster:
    """Nodes full of pods of low priority, half of the apps with a budget; pending ones are of high priority."""
    made = varied(rng, nodes)
    bound, budgets = [], []
    for number in range(20):
        requests = {"cpu": "3900m", "memory": f"{rng.randrange(4, 13)}Gi"}
        spec = {"containers": [{"name": "c", "image": "app:v1", "resources": {"requests": requests}}]}
        bound.append(pod(spec | {"priority": number % 4, "tolerations": [{"operator": "Exists"}]}, number))
        if number % 2:
            allowed = {"disruptionsAllowed": 20 * number, "currentHealthy": 3, "desiredHealthy": 1,
                       "expectedPods": 3, "observedGeneration": 1}  # fmt: skip
            budgets.append({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
                            "metadata": {"name": f"b{number}", "namespace": "default"},
                            "spec": {"minAvailable": 1, "selector": {"matchLabels": app(number)}},
                            "status": allowed})  # fmt: skip
    placed = [
        (rng.randrange(20), row)
        for row, node in enumerate(made)
        for _ in range(int(node["status"]["allocatable"]["cpu"]) // 4)
    ]
    pods = []
    for number in range(templates):
        requests = {"cpu": str(rng.randrange(2, 9)), "memory": f"{rng.randrange(2, 17)}Gi"}
        spec = {"containers": [{"name": "c", "image": "app:v1", "resources": {"requests": requests}}]}
        pods.append(pod(spec | {"priority": 1000 + number % 3}, 100 + number))
    return Cluster(made, pods, budgets, bound, placed)


Kind = Callable[[random.Random, int, int, int], Cluster]
KINDS: dict[str, Kind] = {
    "simple": _simple, "own": _own, "deploy": _deploy, "services": _services, "node-affinity": _node_affinity,
    "hard-spread": _hard_spread, "soft-spread": _soft_spread, "anti-affinity": _anti_affinity,
    "preferred-pods": _preferred_pods, "preemption": _preemption,
    **UPSTREAM,
}  # fmt: skip
