"""What kinds of clusters are made of: nodes, pods, Services."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

Object = dict[str, Any]
HOSTNAME, ZONE = "kubernetes.io/hostname", "topology.kubernetes.io/zone"
REQUIRED, PREFERRED = (
    "requiredDuringSchedulingIgnoredDuringExecution",
    "preferredDuringSchedulingIgnoredDuringExecution",
)
_SHAPES = ((16, 64), (32, 128), (64, 256), (96, 384))
ZONES = ("a", "b", "c")


@dataclass(frozen=True)
class Cluster:
    """Objects of a kind.

    Attributes:
        nodes: the Nodes.
        pending: one pending pod (metadata and spec) of each template.
        others: everything else, but pods.
        bound: one bound pod of each template.
        placed: the bound pods: (row of ``bound``, row of ``nodes``).
        ahead: the share of the pending pods that are of the first template and come before all others.
        own: whether every pod is its own template, with requests that no other has.
    """

    nodes: list[Object]
    pending: list[Object]
    others: list[Object] = field(default_factory=list)
    bound: list[Object] = field(default_factory=list)
    placed: list[tuple[int, int]] = field(default_factory=list)
    ahead: float = 0.0
    own: bool = False


def app(number: int) -> dict[str, str]:
    """Return the labels of an app."""
    return {"app": f"app-{number}"}


def selecting(number: int) -> Object:
    """Return what selects the pods of an app."""
    return {"labelSelector": {"matchLabels": app(number)}}


def pod(spec: Object, number: int, **metadata: Any) -> Object:
    """Return a pod of an app."""
    return {"metadata": {"labels": app(number), **metadata}, "spec": spec}


def varied(rng: random.Random, count: int) -> list[Object]:
    """Return nodes of four shapes in three zones, with two sorts of disks, one in seven tainted."""
    return [_node(rng, number) for number in range(count)]


def _node(rng: random.Random, number: int) -> Object:
    cores, memory = rng.choice(_SHAPES)
    labels = {HOSTNAME: f"n{number}", ZONE: rng.choice(ZONES), "disk": rng.choice(("ssd", "hdd"))}
    taints = [{"key": "dedicated", "value": "batch", "effect": rng.choice(("NoSchedule", "PreferNoSchedule"))}]
    offer = {"cpu": str(cores), "memory": f"{memory}Gi", "pods": "110"}
    return {
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": f"n{number}", "labels": labels},
        "spec": {"taints": taints} if rng.random() < 0.15 else {}, "status": {"allocatable": offer},
    }  # fmt: skip


def asking(rng: random.Random) -> Object:
    """Return a spec that asks for 0.1 to 1.9 cores and up to 8Gi."""
    requests = {"cpu": f"{rng.randrange(1, 20) * 100}m", "memory": f"{rng.randrange(1, 32) * 256}Mi"}
    return {"containers": [{"name": "c", "image": "app:v1", "resources": {"requests": requests}}]}


def tolerant(rng: random.Random) -> Object:
    """Return such a spec; two in five tolerate the taint."""
    tolerations = [{"key": "dedicated", "operator": "Exists"}]
    return asking(rng) | ({"tolerations": tolerations} if rng.random() < 0.4 else {})


def owned(spec: Object, number: int) -> Object:
    """Return a pod of the ReplicaSet of an app."""
    name = f"rs-{number}"
    reference = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": name, "uid": name, "controller": True}
    return pod(spec, number, ownerReferences=[reference])


def owner(number: int) -> list[Object]:
    """Return the Service and the ReplicaSet of an app."""
    template = {"metadata": {"labels": app(number)}, "spec": {"containers": []}}
    return [
        {
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": f"s-{number}", "namespace": "default"},
            "spec": {"selector": app(number), "ports": [{"port": 80}]},
        },
        {
            "apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": f"rs-{number}", "namespace": "default"},
            "spec": {"replicas": 1, "selector": {"matchLabels": app(number)}, "template": template},
        },
    ]  # fmt: skip
