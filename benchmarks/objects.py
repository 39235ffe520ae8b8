"""Makes clusters of Kubernetes objects from a seed: nodes, bound pods, and pending pods of a few templates.

Scheduling is what is measured: one pod of each template is decoded, and the columns of the others are written at once.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from benchmarks.cluster import Cluster
from benchmarks.kinds import KINDS
from kscale.state.manifests import Inventory, inventory_of
from kscale.state.manifests.inventory import PodColumns

_MICROSECONDS = 1_000_000


@dataclass(frozen=True)
class Objects:
    """A cluster to place pods in.

    Attributes:
        kind: a name of ``benchmarks.kinds.KINDS``: what nodes and pods look like.
        nodes, pods, templates: how many; pods come from the templates in turn.
        bound: pods that are on nodes before; a kind that fills its nodes says itself how many.
    """

    kind: str
    nodes: int
    pods: int
    templates: int
    seed: int = 1
    bound: int = 0


@lru_cache(maxsize=2)
def inventory(source: Objects) -> Inventory:
    """Return the cluster, decoded and defaulted."""
    rng = random.Random(source.seed)
    cluster = KINDS[source.kind](rng, source.nodes, source.templates, source.bound)
    first = cluster.nodes[0]["metadata"]["name"]
    bound = [_pod(f"b{number}", pod) for number, pod in enumerate(cluster.bound)]
    for pod in bound:
        pod["spec"] = {**pod["spec"], "nodeName": first}
        pod["status"] = {"phase": "Running", "startTime": "2026-01-01T00:00:00Z"}
    pending = [_pod(f"p{number}", pod) for number, pod in enumerate(cluster.pending)]
    known = inventory_of([*cluster.nodes, *cluster.others, *bound], pending)
    if cluster.own:
        known = _each_its_own(known, source.pods, rng)
    return _repeated(known, cluster, source.pods, rng)


def _pod(name: str, pod: dict[str, Any]) -> dict[str, Any]:
    metadata = {"namespace": "default", **pod["metadata"], "name": name}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod["spec"]}


def _each_its_own(known: Inventory, pods: int, rng: random.Random) -> Inventory:
    """Return an inventory with as many templates as pods: no two ask for the same."""
    templates = []
    for number in range(pods):
        cpu, memory = rng.randrange(100, 2_000), (rng.randrange(1, 32) << 28) + number
        base = known.templates[number % len(known.templates)]
        asked = dict(base.requests) | {"cpu": cpu, "memory": memory}
        templates.append(replace(base, requests=tuple(sorted(asked.items())), nonzero=(cpu, memory)))
    columns = replace(known.pods, template=np.arange(len(known.pods), dtype=np.int32))
    return replace(known, templates=templates, pods=columns)


def _repeated(known: Inventory, cluster: Cluster, pods: int, rng: random.Random) -> Inventory:
    """Return the inventory with every bound pod and ``pods`` pending ones, from its one pod of each template."""
    first = len(cluster.bound)
    nodes = np.array([node for _, node in cluster.placed], np.int32)
    which = np.array([number for number, _ in cluster.placed], np.int64)
    own = np.arange(pods) if cluster.own else first + _turns(cluster, pods)
    template = known.pods.template[which] if first else np.zeros(0, np.int32)
    waiting = own.astype(np.int32) if cluster.own else known.pods.template[own]
    spaces = _of(known.pods.namespaces, [*which.tolist(), *(own.tolist() if not cluster.own else [0] * pods)])
    begun = np.array([rng.randrange(1, 1 << 20) * _MICROSECONDS for _ in cluster.placed], np.int64)
    columns = PodColumns(
        [*(f"b{number}" for number in range(len(nodes))), *(f"p{number}" for number in range(pods))],
        spaces,
        np.concatenate([template, waiting]).astype(np.int32),
        np.concatenate([nodes, np.full(pods, -1, np.int32)]),
        np.concatenate([begun, np.zeros(pods, np.int64)]),
        np.full(len(nodes) + pods, -1, np.int64),
    )
    pending = np.arange(len(nodes), len(nodes) + pods)
    return replace(known, pods=columns, pending=pending, sources=[b"{}"] * pods)


def _turns(cluster: Cluster, pods: int) -> np.ndarray[Any, Any]:
    """Return which template each pending pod is of."""
    kinds = len(cluster.pending)
    if not cluster.ahead:
        return np.arange(pods) % kinds
    first = round(pods * cluster.ahead)
    return np.concatenate([np.zeros(first, np.int64), 1 + np.arange(pods - first) % (kinds - 1)])


def _of(words: Sequence[str], rows: Sequence[int]) -> list[str]:
    return [words[row] for row in rows]
