"""The cluster that the scheduler sees: nodes with their pods, and the other objects by kind."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tests.twin.objects import EXISTING_START, NodeState, Pod
from tests.twin.selectors import Labels
from tests.twin.storage import Storage

NAME_LABEL = "kubernetes.io/metadata.name"


class Cluster:
    """Nodes in the order given, pods on them, and what plug-ins look up."""

    def __init__(self, objects: Iterable[Mapping[str, Any]]) -> None:
        kinds: dict[str, list[Any]] = {}
        for each in objects:
            kinds.setdefault(each["kind"], []).append(each)
        self.kinds = kinds
        self.classes: list[Any] = kinds.get("PriorityClass", [])
        self.budgets: list[Any] = kinds.get("PodDisruptionBudget", [])
        self.namespaces: dict[str, Labels] = {
            n["metadata"]["name"]: {**(n["metadata"].get("labels") or {}), NAME_LABEL: n["metadata"]["name"]}
            for n in kinds.get("Namespace", [])
        }
        self.nodes = [NodeState(written, index) for index, written in enumerate(kinds.get("Node", []))]
        self.by_name = {node.name: node for node in self.nodes}
        self.storage = Storage(kinds)
        self._join_images()
        for index, written in enumerate(kinds.get("Pod", [])):
            pod = Pod(written, EXISTING_START + index, self.classes)
            if pod.phase not in ("Succeeded", "Failed") and pod.node_name in self.by_name:
                self.by_name[pod.node_name].add(pod)

    def _join_images(self) -> None:
        """An image has the size that the first node with it reports."""
        sizes: dict[str, int] = {}
        holders: dict[str, set[str]] = {}
        for node in self.nodes:
            for image in node.written_images:
                for name in image.get("names") or ():
                    sizes.setdefault(name, image.get("sizeBytes") or 0)
                    holders.setdefault(name, set()).add(node.name)
        for node in self.nodes:
            for image in node.written_images:
                for name in image.get("names") or ():
                    node.images[name] = sizes[name], len(holders[name])

    def namespace_labels(self, namespace: str) -> Labels:
        """Labels of a namespace, none if there is no such object."""
        return self.namespaces.get(namespace, {})

    def owned(self, kind: str, namespace: str) -> list[Any]:
        """Objects of a kind in a namespace."""
        found = self.kinds.get(kind, [])
        return [each for each in found if (each["metadata"].get("namespace") or "default") == namespace]
