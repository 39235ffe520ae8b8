"""NodeAffinity: nodeSelector, required terms and preferred terms, and what the profile adds to them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kscale.scheduler.plugins import Bar, Plugin
from kscale.state.descriptions import NodeDescriptions, PodDescription
from kscale.state.labels import Requirement, Term, integer

REASON = "node(s) didn't match Pod's node affinity/selector"
ADDED_REASON = "node(s) didn't match scheduler-enforced node affinity"
#: What is said of nodes that the pod's terms name all others but.
LEFT_OUT = "node(s) didn't satisfy plugin(s) [NodeAffinity]"
_CONFLICT = "pod affinity terms conflict"


def matches_required(nodes: NodeDescriptions, pod: PodDescription) -> npt.NDArray[np.bool_]:
    """Return which nodes have the nodeSelector's labels and match one of the required terms."""
    matches = np.ones(len(nodes), bool)
    if pod.node_selector:
        matches &= nodes.labels.matches(tuple(Requirement(key, "In", (value,)) for key, value in pod.node_selector))
    if pod.terms is not None:
        matches &= _any_term(nodes, pod.terms)
    return matches


def _any_term(nodes: NodeDescriptions, terms: tuple[Term, ...]) -> npt.NDArray[np.bool_]:
    found = np.zeros(len(nodes), bool)
    for term in terms:
        found |= nodes.matches(term)
    return found


def named_nodes(pod: PodDescription) -> frozenset[str] | None:
    """Return the nodes that the required terms name, when every one of them names some; None allows all."""
    named: set[str] = set()
    for term in pod.terms or ():
        of_term: set[str] | None = None
        for requirement in term:
            if requirement.field and requirement.key == "metadata.name" and requirement.operator == "In":
                values = set(requirement.values)
                of_term = values if of_term is None else of_term & values
        if of_term is None:
            return None
        named |= of_term
    return frozenset(named) if pod.terms else None


def unmatched(nodes: NodeDescriptions, pod: PodDescription) -> tuple[npt.NDArray[np.int64], list[str]]:
    """Reject unless the nodeSelector holds and one of the required terms does; an empty term matches nothing."""
    configuration = nodes.configurations.get(pod.profile)
    result = np.where(matches_required(nodes, pod), np.int64(-1), np.int64(0))
    if configuration is not None and configuration.added_terms is not None:
        result = np.where(_any_term(nodes, configuration.added_terms), result, 1)
    return result, [REASON, ADDED_REASON]


def preference(nodes: NodeDescriptions, pod: PodDescription) -> npt.NDArray[np.int64]:
    """Sum the weights of the preferred terms that match, the profile's included."""
    total = np.zeros(len(nodes), np.int64)
    configuration = nodes.configurations.get(pod.profile)
    for weight, term in (*pod.preferred, *(configuration.added_preferred if configuration is not None else ())):
        total += weight * nodes.matches(term)
    return total


def barred(nodes: NodeDescriptions, pod: PodDescription) -> Bar | None:
    """Turn a pod away whose terms name no node in common, or whose preferred terms cannot be parsed."""
    named = named_nodes(pod)
    if named is not None and not named:
        return Bar(_CONFLICT)
    for _, term in pod.preferred:
        for requirement in term:
            if requirement.operator in ("Gt", "Lt") and (
                len(requirement.values) != 1
                or not requirement.values[0].isdigit()
                or integer(requirement.values[0]) is None
            ):
                return Bar(f"invalid preferred term: {requirement.key} {requirement.operator}", "Error")
    return None


AFFINITY = Plugin(
    "NodeAffinity", rank=40, mask=unmatched, plane=preference, plane_column="description_preference", bar=barred,
    weight=2, standard=True,
)  # fmt: skip
