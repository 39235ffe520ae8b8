"""NodeAffinity: nodeSelector, required terms and preferred terms."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kscale.scheduler.plugins import Plugin
from kscale.state.descriptions import NodeDescriptions, PodDescription
from kscale.state.labels import Requirement

REASON = "node(s) didn't match Pod's node affinity/selector"


def unmatched(nodes: NodeDescriptions, pod: PodDescription) -> tuple[npt.NDArray[np.int64], list[str]]:
    """Reject unless the nodeSelector holds and one of the required terms does; an empty term matches nothing."""
    matches = np.ones(len(nodes), bool)
    if pod.node_selector:
        matches &= nodes.labels.matches(tuple(Requirement(key, "In", (value,)) for key, value in pod.node_selector))
    if pod.terms is not None:
        any_term = np.zeros(len(nodes), bool)
        for term in pod.terms:
            any_term |= nodes.labels.matches(term)
        matches &= any_term
    return np.where(matches, -1, 0), [REASON]


def preference(nodes: NodeDescriptions, pod: PodDescription) -> npt.NDArray[np.int64]:
    """Sum the weights of the preferred terms that match."""
    total = np.zeros(len(nodes), np.int64)
    for weight, term in pod.preferred:
        total += weight * nodes.labels.matches(term)
    return total


AFFINITY = Plugin(
    "NodeAffinity", rank=40, mask=unmatched, plane=preference, plane_column="description_preference",
    weight=2, standard=True,
)  # fmt: skip
