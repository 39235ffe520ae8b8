"""The plug-ins that look at one node and its pods."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from tests.twin.cluster import Cluster
from tests.twin.objects import PREFERRED, REQUIRED, NodeState, Pod, preferred_terms
from tests.twin.plugin import ERROR, UNRESOLVABLE, UNSCHEDULABLE, Plugin, Rejected, Skip, Verdict, proportional
from tests.twin.selectors import NodeTerm, tolerates, untolerated

#: Address, protocol, number.
Port = tuple[str, str, int]


class SchedulingGates(Plugin):
    """Keeps a pod with gates out of the queue."""

    @staticmethod
    def admit(pod: Pod) -> Verdict:
        if pod.gates:
            return UNRESOLVABLE, [f"waiting for scheduling gates: [{' '.join(pod.gates)}]"]
        return None


class NodeUnschedulable(Plugin):
    """A cordoned node needs a toleration of the taint that it would carry."""

    def filter(self, state: Any, pod: Pod, node: NodeState) -> Verdict:
        taint = ("node.kubernetes.io/unschedulable", "", "NoSchedule")
        if node.unschedulable and not any(tolerates(t, *taint) for t in pod.tolerations):
            return UNRESOLVABLE, ["node(s) were unschedulable"]
        return None


class NodeName(Plugin):
    """A pod may name its node."""

    def filter(self, state: Any, pod: Pod, node: NodeState) -> Verdict:
        if pod.node_name and pod.node_name != node.name:
            return UNRESOLVABLE, ["node(s) didn't match the requested node name"]
        return None


class TaintToleration(Plugin):
    """Taints that keep pods out, and taints that would rather keep them out."""

    def filter(self, state: Any, pod: Pod, node: NodeState) -> Verdict:
        for taint in untolerated(node.taints, pod.tolerations, ("NoSchedule", "NoExecute")):
            return UNRESOLVABLE, [f"node(s) had untolerated taint {{{taint['key']}: {taint.get('value') or ''}}}"]
        return None

    def prescore(self, pod: Pod, nodes: Sequence[NodeState]) -> Any:
        return [t for t in pod.tolerations if (t.get("effect") or "PreferNoSchedule") == "PreferNoSchedule"]

    def score(self, state: Any, pod: Pod, node: NodeState) -> int:
        return len(untolerated(node.taints, state, ("PreferNoSchedule",)))

    def normalise(self, state: Any, nodes: Sequence[NodeState], scores: list[int]) -> list[int]:
        return proportional(scores, reverse=True)


class NodeAffinity(Plugin):
    """The node selector and the terms of node affinity, and those that the configuration adds for all pods."""

    def __init__(self, cluster: Cluster, arguments: dict[str, Any]) -> None:
        super().__init__(cluster, arguments)
        added = arguments.get("addedAffinity") or {}
        self.added: list[NodeTerm] | None = None
        if added.get(REQUIRED):
            self.added = [NodeTerm(term) for term in added[REQUIRED]["nodeSelectorTerms"]]
        self.added_preferred = preferred_terms(added.get(PREFERRED) or ())

    def prefilter(self, pod: Pod) -> Any:
        if pod.node_terms is None and pod.node_selector is None and self.added is None:
            raise Skip
        if self.allowed_nodes(pod) == set():
            raise Rejected(UNRESOLVABLE, "pod affinity terms conflict")

    def allowed_nodes(self, pod: Pod) -> set[str] | None:
        if not pod.node_terms:
            return None
        united = set()
        for term in pod.node_terms:
            names = term.names()
            if names is None:
                return None
            united |= names
        return united

    def filter(self, state: Any, pod: Pod, node: NodeState) -> Verdict:
        if self.added is not None and not any(term.matches(node.name, node.labels) for term in self.added):
            return UNRESOLVABLE, ["node(s) didn't match scheduler-enforced node affinity"]
        if not pod.selects(node):
            return UNRESOLVABLE, ["node(s) didn't match Pod's node affinity/selector"]
        return None

    def prescore(self, pod: Pod, nodes: Sequence[NodeState]) -> Any:
        if pod.preferred_node_terms is None and not self.added_preferred:
            raise Skip
        if any(term.broken and weight for weight, term in pod.preferred_node_terms or ()):
            raise Rejected(ERROR)

    def score(self, state: Any, pod: Pod, node: NodeState) -> int:
        terms = [*self.added_preferred, *(pod.preferred_node_terms or ())]
        return sum(weight for weight, term in terms if term.matches(node.name, node.labels))

    def normalise(self, state: Any, nodes: Sequence[NodeState], scores: list[int]) -> list[int]:
        return proportional(scores, reverse=False)


class NodePorts(Plugin):
    """Host ports can be had once, or once per address."""

    def prefilter(self, pod: Pod) -> Any:
        if not pod.ports:
            raise Skip

    def filter(self, state: Any, pod: Pod, node: NodeState) -> Verdict:
        if ports_conflict(pod.ports, node.ports):
            return UNSCHEDULABLE, ["node(s) didn't have free ports for the requested pod ports"]
        return None


def ports_conflict(ports: Iterable[Port], others: Iterable[Port]) -> bool:
    """Whether two pods want one port at one address; 0.0.0.0 is all addresses."""
    return any(
        (protocol, port) == (other_protocol, other_port) and (address == other or "0.0.0.0" in (address, other))
        for address, protocol, port in ports
        for other, other_protocol, other_port in others
    )
