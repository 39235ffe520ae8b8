"""Makes clusters of Kubernetes objects from a seed: nodes of a few shapes, and pending pods of a few templates."""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from kscale.state.manifests import Inventory, inventory_of

HOSTNAME, ZONE = "kubernetes.io/hostname", "topology.kubernetes.io/zone"
_SHAPES = ((16, 64), (32, 128), (64, 256), (96, 384))
_ZONES = ("a", "b", "c")


@dataclass(frozen=True)
class Objects:
    """A cluster to place pods in.

    Attributes:
        kind: ``simple`` (pods that ask for resources alone) or ``deploy`` (ReplicaSets with Services, spread by the
            system's defaults or their own constraints, with affinity, anti-affinity and tolerations).
        nodes, pods, templates: how many; a template of ``deploy`` is a ReplicaSet.
    """

    kind: Literal["simple", "deploy"]
    nodes: int
    pods: int
    templates: int
    seed: int = 1


@cache
def inventory(source: Objects) -> Inventory:
    """Return the cluster, decoded and defaulted."""
    rng = random.Random(source.seed)
    nodes = [_node(rng, number) for number in range(source.nodes)]
    if source.kind == "simple":
        specs = [_simple(rng) for _ in range(source.templates)]
        names = [{"app": f"app-{number}"} for number in range(source.templates)]
        others: list[dict[str, Any]] = []
    else:
        specs = [_deploy(rng, number) for number in range(source.templates)]
        names = [{"app": f"app-{number}"} for number in range(source.templates)]
        others = [item for number in range(source.templates) for item in _owner(number)]
    pending = []
    for number in range(source.pods):
        template = number % source.templates
        metadata: dict[str, Any] = {"name": f"p{number}", "namespace": "default", "labels": names[template]}
        if source.kind == "deploy":
            owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": f"rs-{template}", "uid": f"rs-{template}"}
            metadata["ownerReferences"] = [{**owner, "controller": True}]
        pending.append({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": specs[template]})
    return inventory_of([*nodes, *others], pending)


def _node(rng: random.Random, number: int) -> dict[str, Any]:
    cores, memory = rng.choice(_SHAPES)
    labels = {HOSTNAME: f"n{number}", ZONE: rng.choice(_ZONES), "disk": rng.choice(("ssd", "hdd"))}
    taints = [{"key": "dedicated", "value": "batch", "effect": rng.choice(("NoSchedule", "PreferNoSchedule"))}]
    offer = {"cpu": str(cores), "memory": f"{memory}Gi", "pods": "110"}
    return {
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": f"n{number}", "labels": labels},
        "spec": {"taints": taints} if rng.random() < 0.15 else {}, "status": {"allocatable": offer},
    }  # fmt: skip


def _simple(rng: random.Random) -> dict[str, Any]:
    requests = {"cpu": f"{rng.randrange(1, 20) * 100}m", "memory": f"{rng.randrange(1, 32) * 256}Mi"}
    return {"containers": [{"name": "c", "image": "app:v1", "resources": {"requests": requests}}]}


def _deploy(rng: random.Random, number: int) -> dict[str, Any]:
    spec = _simple(rng)
    own = {"labelSelector": {"matchLabels": {"app": f"app-{number}"}}}
    if rng.random() < 0.4:
        spec["tolerations"] = [{"key": "dedicated", "operator": "Exists"}]
    if number % 3 == 0:
        hard = {"maxSkew": 2, "topologyKey": ZONE, "whenUnsatisfiable": "DoNotSchedule", **own}
        spec["topologySpreadConstraints"] = [hard]
    if number % 4 == 1:
        term = {"topologyKey": HOSTNAME, **own}
        kind = "requiredDuringSchedulingIgnoredDuringExecution"
        spec["affinity"] = {"podAntiAffinity": {kind: [term]}}
    elif number % 4 == 2:
        friend = {"matchLabels": {"app": f"app-{max(number - 1, 0)}"}}
        wanted = {"weight": 50, "podAffinityTerm": {"topologyKey": ZONE, "labelSelector": friend}}
        spec["affinity"] = {"podAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [wanted]}}
    return spec


def _owner(number: int) -> list[dict[str, Any]]:
    selector = {"app": f"app-{number}"}
    template = {"metadata": {"labels": selector}, "spec": {"containers": []}}
    return [
        {
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": f"s-{number}", "namespace": "default"},
            "spec": {"selector": selector, "ports": [{"port": 80}]},
        },
        {
            "apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": f"rs-{number}", "namespace": "default"},
            "spec": {"replicas": 1, "selector": {"matchLabels": selector}, "template": template},
        },
    ]  # fmt: skip
