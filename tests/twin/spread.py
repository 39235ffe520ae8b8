"""PodTopologySpread: pods of a kind in equal numbers over domains."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.twin.objects import NodeState, Pod
from tests.twin.plugin import UNRESOLVABLE, UNSCHEDULABLE, Plugin, Skip, Verdict
from tests.twin.resources import round_half_up
from tests.twin.selectors import Selector, label_selector, of_labels, untolerated

HOSTNAME = "kubernetes.io/hostname"
HARD, SOFT = "DoNotSchedule", "ScheduleAnyway"
SYSTEM_DEFAULTS = [
    {"topologyKey": HOSTNAME, "whenUnsatisfiable": SOFT, "maxSkew": 3},
    {"topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": SOFT, "maxSkew": 5},
]
OWNERS = {
    ("v1", "ReplicationController"),
    ("apps/v1", "ReplicaSet"),
    ("apps/v1", "StatefulSet"),
}


class Constraint:
    """One constraint with its selector."""

    def __init__(self, written: Mapping[str, Any], selector: Selector) -> None:
        self.key: str = written["topologyKey"]
        self.max_skew: int = written["maxSkew"]
        self.min_domains: int = written.get("minDomains") or 1
        self.honours_affinity = (written.get("nodeAffinityPolicy") or "Honor") == "Honor"
        self.honours_taints = (written.get("nodeTaintsPolicy") or "Ignore") == "Honor"
        self.selector = selector

    def counts_on(self, pod: Pod, node: NodeState) -> bool:
        """Whether its policies let the node's pods count."""
        if self.honours_affinity and not pod.selects(node):
            return False
        return not (self.honours_taints and untolerated(node.taints, pod.tolerations, ("NoSchedule", "NoExecute")))

    def count(self, pod: Pod, node: NodeState) -> int:
        """How many pods on the node count."""
        if self.selector.empty:
            return 0
        return sum(
            other.namespace == pod.namespace and not other.terminating and self.selector.matches(other.labels)
            for other in node.pods
        )


@dataclass
class FilterState:
    """Per constraint, the pods in each domain."""

    constraints: list[Constraint]
    counts: list[dict[str, int]]


@dataclass
class ScoreState:
    """Per constraint, the pods in each domain of the feasible nodes, and the weight of a pod."""

    constraints: list[Constraint]
    counts: list[dict[str, int]] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)
    ignored: set[str] = field(default_factory=set)


class PodTopologySpread(Plugin):
    """Hard constraints filter, soft ones score."""

    def constraints(self, pod: Pod, action: str) -> list[Constraint]:
        """The constraints of the pod, or the defaults of the configuration for pods of a service or an owner."""
        written = pod.spec.get("topologySpreadConstraints")
        if written:
            found = []
            for each in written:
                if each["whenUnsatisfiable"] != action:
                    continue
                keys = [key for key in each.get("matchLabelKeys") or () if key in pod.labels]
                selector = label_selector(each.get("labelSelector")) & [(k, "In", (pod.labels[k],)) for k in keys]
                found.append(Constraint(each, selector))
            return found
        defaults = [each for each in self.defaults() if each["whenUnsatisfiable"] == action]
        if not defaults:
            return []
        selector = self.default_selector(pod)
        return [] if selector.empty else [Constraint(each, selector) for each in defaults]

    def has_system_defaults(self) -> bool:
        return self.arguments.get("defaultingType") != "List"

    def defaults(self) -> list[Any]:
        return SYSTEM_DEFAULTS if self.has_system_defaults() else self.arguments.get("defaultConstraints") or []

    def default_selector(self, pod: Pod) -> Selector:
        """What services and the owner of the pod select."""
        merged: dict[str, str] = {}
        for service in self.cluster.owned("Service", pod.namespace):
            selected = service["spec"].get("selector")
            if selected and of_labels(selected).matches(pod.labels):
                merged |= selected
        if pod.owner is None or (pod.owner["apiVersion"], pod.owner["kind"]) not in OWNERS:
            return of_labels(merged)
        for owner in self.cluster.owned(pod.owner["kind"], pod.namespace):
            if owner["metadata"]["name"] == pod.owner["name"]:
                if pod.owner["kind"] == "ReplicationController":
                    return of_labels(merged | (owner["spec"].get("selector") or {}))
                return of_labels(merged) & label_selector(owner["spec"].get("selector")).requirements
        return of_labels(merged)

    def prefilter(self, pod: Pod) -> FilterState:
        constraints = self.constraints(pod, HARD)
        if not constraints:
            raise Skip
        state = FilterState(constraints, [{} for _ in constraints])
        for node in self.cluster.nodes:
            if not all(c.key in node.labels for c in constraints):
                continue
            for constraint, counts in zip(constraints, state.counts, strict=True):
                if constraint.counts_on(pod, node):
                    domain = node.labels[constraint.key]
                    counts[domain] = counts.get(domain, 0) + constraint.count(pod, node)
        return state

    def copy_state(self, state: FilterState) -> FilterState:
        return FilterState(state.constraints, [dict(counts) for counts in state.counts])

    def pod_added(self, state: FilterState, pod: Pod, other: Pod, node: NodeState, sign: int) -> None:
        """Trials count terminating pods, and all pods for an empty selector, unlike ``prefilter``."""
        if other.namespace != pod.namespace or not all(c.key in node.labels for c in state.constraints):
            return
        for constraint, counts in zip(state.constraints, state.counts, strict=True):
            if constraint.selector.matches(other.labels) and constraint.counts_on(pod, node):
                domain = node.labels[constraint.key]
                counts[domain] = counts.get(domain, 0) + sign

    def filter(self, state: FilterState, pod: Pod, node: NodeState) -> Verdict:
        reason = "node(s) didn't match pod topology spread constraints"
        for constraint, counts in zip(state.constraints, state.counts, strict=True):
            if constraint.key not in node.labels:
                return UNRESOLVABLE, [f"{reason} (missing required label)"]
            least = min(counts.values()) if len(counts) >= constraint.min_domains else 0
            itself = constraint.selector.matches(pod.labels)
            if counts.get(node.labels[constraint.key], 0) + itself - least > constraint.max_skew:
                return UNSCHEDULABLE, [reason]
        return None

    def prescore(self, pod: Pod, nodes: Sequence[NodeState]) -> ScoreState:
        state = ScoreState(self.constraints(pod, SOFT))
        if not state.constraints:
            raise Skip
        requires_all = bool(pod.spec.get("topologySpreadConstraints")) or not self.has_system_defaults()

        def lacks_keys(node: NodeState) -> bool:
            return requires_all and not all(c.key in node.labels for c in state.constraints)

        state.ignored = {node.name for node in nodes if lacks_keys(node)}
        scored = [node for node in nodes if node.name not in state.ignored]
        for constraint in state.constraints:
            domains = {node.labels.get(constraint.key, "") for node in scored}
            size = len(scored) if constraint.key == HOSTNAME else len(domains)
            state.weights.append(math.log(float(size + 2)))
            state.counts.append({} if constraint.key == HOSTNAME else dict.fromkeys(domains, 0))
        for node in self.cluster.nodes:
            if lacks_keys(node):
                continue
            for constraint, counts in zip(state.constraints, state.counts, strict=True):
                domain = node.labels.get(constraint.key, "")
                if domain in counts and constraint.counts_on(pod, node):
                    counts[domain] += constraint.count(pod, node)
        return state

    def score(self, state: ScoreState, pod: Pod, node: NodeState) -> int:
        if node.name in state.ignored:
            return 0
        score = 0.0
        for constraint, counts, weight in zip(state.constraints, state.counts, state.weights, strict=True):
            if constraint.key in node.labels:
                if constraint.key == HOSTNAME:
                    count = constraint.count(pod, node)
                else:
                    count = counts[node.labels[constraint.key]]
                score += float(count) * weight + float(constraint.max_skew - 1)
        return round_half_up(score)

    def normalise(self, state: ScoreState, nodes: Sequence[NodeState], scores: list[int]) -> list[int]:
        counted = [s for s, node in zip(scores, nodes, strict=True) if node.name not in state.ignored]
        highest, lowest = max(counted, default=0), min(counted, default=0)
        return [
            0 if node.name in state.ignored else 100 * (highest + lowest - score) // highest if highest else 100
            for score, node in zip(scores, nodes, strict=True)
        ]
