"""InterPodAffinity: pods near to or far from other pods."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from tests.twin.objects import AffinityTerm, NodeState, Pod
from tests.twin.plugin import UNRESOLVABLE, UNSCHEDULABLE, Plugin, Skip, Verdict

#: Pods per domain: (topology key, value).
Counts = Counter[tuple[str, str]]


@dataclass
class State:
    """The pod's own required terms, and what counts in each domain."""

    affinity: list[AffinityTerm]
    anti_affinity: list[AffinityTerm]
    affinity_counts: Counts
    anti_affinity_counts: Counts
    existing_counts: Counts  # anti-affinity of pods that are there


class InterPodAffinity(Plugin):
    """Required terms filter; preferred ones, and the required ones of pods that are there, score."""

    def prefilter(self, pod: Pod) -> State:
        state = State(self.settled(pod.affinity), self.settled(pod.anti_affinity), Counter(), Counter(), Counter())
        for node in self.cluster.nodes:
            for other in node.pods:
                if other.anti_affinity or state.affinity or state.anti_affinity:
                    self.pod_added(state, pod, other, node, 1)
        if not state.affinity and not state.anti_affinity and not state.existing_counts:
            raise Skip
        return state

    def settled(self, terms: Iterable[AffinityTerm]) -> list[AffinityTerm]:
        return [term.settled(self.cluster.namespaces) for term in terms]

    def copy_state(self, state: State) -> State:
        return State(
            state.affinity,
            state.anti_affinity,
            Counter(state.affinity_counts),
            Counter(state.anti_affinity_counts),
            Counter(state.existing_counts),
        )

    def pod_added(self, state: State, pod: Pod, other: Pod, node: NodeState, sign: int) -> None:
        namespace_labels = self.cluster.namespace_labels(pod.namespace)
        theirs = [term for term in other.anti_affinity if term.matches(pod, namespace_labels)]
        _count(state.existing_counts, theirs, node, sign)
        if matches_all(state.affinity, other):
            _count(state.affinity_counts, state.affinity, node, sign)
        _count(state.anti_affinity_counts, [t for t in state.anti_affinity if t.matches(other, {})], node, sign)

    def filter(self, state: State, pod: Pod, node: NodeState) -> Verdict:
        if not self.has_its_pods(state, pod, node):
            return UNRESOLVABLE, ["node(s) didn't match pod affinity rules"]
        for term in state.anti_affinity:
            if state.anti_affinity_counts[term.topology_key, node.labels.get(term.topology_key, "")] > 0:
                return UNSCHEDULABLE, ["node(s) didn't match pod anti-affinity rules"]
        if state.existing_counts and any(state.existing_counts[domain] > 0 for domain in node.labels.items()):
            return UNSCHEDULABLE, ["node(s) didn't satisfy existing pods anti-affinity rules"]
        return None

    def has_its_pods(self, state: State, pod: Pod, node: NodeState) -> bool:
        """Whether the pods that it wants are near; the first of a kind that wants its own kind needs none."""
        if not all(term.topology_key in node.labels for term in state.affinity):
            return False
        domains = [(term.topology_key, node.labels[term.topology_key]) for term in state.affinity]
        if all(state.affinity_counts[domain] > 0 for domain in domains):
            return True
        return not state.affinity_counts and matches_all(state.affinity, pod)

    def prescore(self, pod: Pod, nodes: Sequence[NodeState]) -> Counts:
        own = bool(pod.preferred_affinity or pod.preferred_anti_affinity)
        if self.arguments.get("ignorePreferredTermsOfExistingPods") and not own:
            raise Skip
        hard_weight = self.arguments.get("hardPodAffinityWeight", 1)
        namespace_labels = self.cluster.namespace_labels(pod.namespace)
        wanted, unwanted = self.settled(pod.preferred_affinity), self.settled(pod.preferred_anti_affinity)
        scores: Counts = Counter()
        for node in self.cluster.nodes:
            for other in node.pods:
                _weigh(scores, [t for t in wanted if t.matches(other, {})], node, 1)
                _weigh(scores, [t for t in unwanted if t.matches(other, {})], node, -1)
                theirs = [t for t in other.affinity if t.matches(pod, namespace_labels)]
                for term in theirs if hard_weight > 0 else ():
                    if term.topology_key in node.labels:
                        scores[term.topology_key, node.labels[term.topology_key]] += hard_weight
                _weigh(scores, [t for t in other.preferred_affinity if t.matches(pod, namespace_labels)], node, 1)
                _weigh(scores, [t for t in other.preferred_anti_affinity if t.matches(pod, namespace_labels)], node, -1)
        if not scores:
            raise Skip
        return scores

    def score(self, state: Counts, pod: Pod, node: NodeState) -> int:
        return sum(state[domain] for domain in node.labels.items())

    def normalise(self, state: Any, nodes: Sequence[NodeState], scores: list[int]) -> list[int]:
        lowest, highest = min(scores), max(scores)
        if lowest == highest:
            return [0 for _ in scores]
        return [int(100.0 * (float(score - lowest) / float(highest - lowest))) for score in scores]


def matches_all(terms: list[AffinityTerm], pod: Pod) -> bool:
    """Whether a pod matches all of some terms; selectors of namespaces see no labels here."""
    return bool(terms) and all(term.matches(pod, {}) for term in terms)


def _count(counts: Counts, terms: Iterable[AffinityTerm], node: NodeState, sign: int) -> None:
    """Count a pod in the domains of the node; a domain with none left is forgotten."""
    for term in terms:
        if term.topology_key in node.labels:
            domain = term.topology_key, node.labels[term.topology_key]
            counts[domain] += sign
            if counts[domain] == 0:
                del counts[domain]


def _weigh(scores: Counts, terms: Iterable[AffinityTerm], node: NodeState, sign: int) -> None:
    """Add weights for a pod to the domains of the node."""
    for term in terms:
        if term.topology_key in node.labels:
            scores[term.topology_key, node.labels[term.topology_key]] += sign * term.weight
