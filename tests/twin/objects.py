"""Pods and nodes, read from Kubernetes objects after what the API server would have filled in."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from tests.twin.quantities import NONZERO, amount, amounts, kept, nonzero_requests, pod_requests
from tests.twin.selectors import NOTHING, Labels, NodeTerm, label_selector

REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
SYSTEM_CLASSES = {"system-cluster-critical": 2_000_000_000, "system-node-critical": 2_000_001_000}
EXISTING_START = 1_767_225_600  # 2026-01-01
PENDING_START = 1_780_272_000  # 2026-06-01


class AffinityTerm:
    """A term of pod affinity: which pods, in which namespaces, in which domain."""

    def __init__(self, written: Mapping[str, Any], namespace: str, labels: Labels, weight: int = 0) -> None:
        self.topology_key: str = written["topologyKey"]
        self.weight = weight
        self.namespaces = set(written.get("namespaces") or ())
        self.namespace_selector = label_selector(written.get("namespaceSelector"))
        if not self.namespaces and written.get("namespaceSelector") is None:
            self.namespaces = {namespace}
        self.selector = label_selector(written.get("labelSelector"))
        for keys, operator in (("matchLabelKeys", "In"), ("mismatchLabelKeys", "NotIn")):
            self.selector &= [(key, operator, (labels[key],)) for key in written.get(keys) or () if key in labels]

    def matches(self, pod: Pod, namespace_labels: Labels) -> bool:
        """Whether a pod is meant, whose namespace has these labels."""
        if pod.namespace not in self.namespaces and not self.namespace_selector.matches(namespace_labels):
            return False
        return self.selector.matches(pod.labels)

    def settled(self, namespaces: Mapping[str, Labels]) -> AffinityTerm:
        """The same term with its selector of namespaces replaced by the namespaces that there are."""
        if self.namespace_selector.empty:
            return self
        term = object.__new__(AffinityTerm)
        term.__dict__ |= self.__dict__
        term.namespaces = self.namespaces | {
            n for n, labels in namespaces.items() if self.namespace_selector.matches(labels)
        }
        term.namespace_selector = NOTHING
        return term


class Pod:
    """A pod with all that the scheduler reads of it."""

    def __init__(self, written: Mapping[str, Any], start: int, classes: Iterable[Mapping[str, Any]] = ()) -> None:
        metadata, spec, status = written["metadata"], written["spec"], written.get("status") or {}
        self.name: str = metadata["name"]
        self.namespace: str = metadata.get("namespace") or "default"
        self.key = f"{self.namespace}/{self.name}"
        self.labels: dict[str, str] = metadata.get("labels") or {}
        self.terminating = bool(metadata.get("deletionTimestamp"))
        self.owner = next((o for o in metadata.get("ownerReferences") or () if o.get("controller")), None)
        self.spec = spec
        self.phase: str = status.get("phase") or "Pending"
        self.start: float = _seconds(status["startTime"]) if status.get("startTime") else start
        self.node_name: str = spec.get("nodeName") or ""
        self.bound_to = ""
        self.scheduler: str = spec.get("schedulerName") or "default-scheduler"
        self.gates: list[str] = [gate["name"] for gate in spec.get("schedulingGates") or ()]
        self.priority, self.preemption_policy = _priority(spec, classes)
        self._read_resources()
        self._read_affinity()
        self.tolerations: list[dict[str, Any]] = spec.get("tolerations") or []
        self.volumes: list[dict[str, Any]] = spec.get("volumes") or []
        self.claims: list[str] = [
            v["persistentVolumeClaim"]["claimName"] for v in self.volumes if v.get("persistentVolumeClaim")
        ]

    def _read_resources(self) -> None:
        self.requests = kept(pod_requests(self.spec, {}))
        nonzero = nonzero_requests(self.spec)
        self.nonzero = {resource: amount(resource, milli) for resource, milli in nonzero.items()}
        scored = pod_requests(self.spec, NONZERO, pod_level=False)  # only while it is tried
        self.scored = {resource: amount(resource, milli) for resource, milli in scored.items()}
        self.containers: list[dict[str, Any]] = [*(self.spec.get("initContainers") or ()), *self.spec["containers"]]
        self.ports: list[tuple[str, str, int]] = []
        init = [c for c in self.spec.get("initContainers") or () if c.get("restartPolicy") == "Always"]
        for container in [*init, *self.spec["containers"]]:
            for port in container.get("ports") or ():
                host_port = port.get("hostPort") or (port["containerPort"] if self.spec.get("hostNetwork") else 0)
                if host_port:
                    self.ports.append((port.get("hostIP") or "0.0.0.0", port.get("protocol") or "TCP", host_port))

    def _read_affinity(self) -> None:
        affinity = self.spec.get("affinity") or {}
        self.node_selector: dict[str, str] | None = self.spec.get("nodeSelector")
        node = affinity.get("nodeAffinity") or {}
        required = node.get(REQUIRED)
        self.node_terms = None if required is None else [NodeTerm(t) for t in required.get("nodeSelectorTerms") or ()]
        preferred = node.get(PREFERRED)
        self.preferred_node_terms = None if preferred is None else preferred_terms(preferred)
        to, away = affinity.get("podAffinity") or {}, affinity.get("podAntiAffinity") or {}
        self.affinity = self._terms(to.get(REQUIRED))
        self.anti_affinity = self._terms(away.get(REQUIRED))
        self.preferred_affinity = self._weighted_terms(to.get(PREFERRED))
        self.preferred_anti_affinity = self._weighted_terms(away.get(PREFERRED))

    def _terms(self, written: Iterable[Mapping[str, Any]] | None) -> list[AffinityTerm]:
        return [AffinityTerm(term, self.namespace, self.labels) for term in written or ()]

    def _weighted_terms(self, written: Iterable[Mapping[str, Any]] | None) -> list[AffinityTerm]:
        return [
            AffinityTerm(term["podAffinityTerm"], self.namespace, self.labels, term["weight"]) for term in written or ()
        ]

    def selects(self, node: NodeState) -> bool:
        """Whether the node selector and one of the terms allow the node."""
        if any(node.labels.get(key) != value for key, value in (self.node_selector or {}).items()):
            return False
        return self.node_terms is None or any(term.matches(node.name, node.labels) for term in self.node_terms)


def preferred_terms(written: Iterable[Mapping[str, Any]]) -> list[tuple[int, NodeTerm]]:
    """Preferred terms of node affinity with their weights."""
    return [(term["weight"], NodeTerm(term["preference"])) for term in written]


def _priority(spec: Mapping[str, Any], classes: Iterable[Mapping[str, Any]]) -> tuple[int, str]:
    name = spec.get("priorityClassName")
    if name in SYSTEM_CLASSES:
        chosen: Mapping[str, Any] = {"value": SYSTEM_CLASSES[name]}
    elif name:
        chosen = next(c for c in classes if c["metadata"]["name"] == name)
    else:
        defaults = [c for c in classes if c.get("globalDefault")]
        chosen = min(defaults, key=lambda c: c["value"], default={"value": 0})
    value = spec["priority"] if spec.get("priority") is not None and not name else chosen["value"]
    policy = spec.get("preemptionPolicy") or chosen.get("preemptionPolicy") or "PreemptLowerPriority"
    return value, policy


def _seconds(written: str) -> int:
    return int(datetime.datetime.fromisoformat(written.replace("Z", "+00:00")).timestamp())


class NodeState:
    """A node and the pods on it, with the sums over them."""

    def __init__(self, written: Mapping[str, Any], index: int) -> None:
        spec, status = written.get("spec") or {}, written.get("status") or {}
        self.index = index
        self.name: str = written["metadata"]["name"]
        self.labels: dict[str, str] = written["metadata"].get("labels") or {}
        self.taints: list[dict[str, Any]] = spec.get("taints") or []
        self.unschedulable = bool(spec.get("unschedulable"))
        capacity = status.get("capacity") if status.get("allocatable") is None else status["allocatable"]
        self.allocatable = kept(amounts(capacity))
        self.written_images: list[dict[str, Any]] = status.get("images") or []
        self.images: dict[str, tuple[int, int]] = {}  # size and number of nodes
        self.pods: list[Pod] = []
        self.requested: Counter[str] = Counter()
        self.nonzero: Counter[str] = Counter()
        self.ports: set[tuple[str, str, int]] = set()

    def add(self, pod: Pod) -> None:
        """Put a pod on the node."""
        self.pods.append(pod)
        self.requested.update(pod.requests)
        self.nonzero.update(pod.nonzero)
        self.ports.update(pod.ports)

    def remove(self, pod: Pod) -> None:
        """Take a pod off the node; a host port that two pods share is free when the first of them goes."""
        self.pods.remove(pod)
        self.requested.subtract(pod.requests)
        self.nonzero.subtract(pod.nonzero)
        self.ports.difference_update(pod.ports)

    def copy(self) -> NodeState:
        """A node to try things on."""
        node = object.__new__(NodeState)
        node.__dict__ |= self.__dict__
        node.pods, node.ports = list(self.pods), set(self.ports)
        node.requested, node.nonzero = Counter(self.requested), Counter(self.nonzero)
        return node
