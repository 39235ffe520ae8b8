"""How nodes are described, and what pods ask of that: the input of every plug-in that reads no usage."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kscale.state.labels import Labels, Taint, Term, Toleration


@dataclass(frozen=True)
class PodDescription:
    """What a pod spec asks of a node's description. Specs that ask the same share a row of planes."""

    node_selector: tuple[tuple[str, str], ...] = ()
    terms: tuple[Term, ...] | None = None
    preferred: tuple[tuple[int, Term], ...] = ()
    tolerations: tuple[Toleration, ...] = ()
    node_name: str = ""


@dataclass(frozen=True)
class NodeDescriptions:
    """How all nodes are described, by row.

    Attributes:
        names: node names.
        labels: label columns.
        taint_sets: the distinct lists of taints.
        taint_set: int32 (node,), which list each node has.
        unschedulable: bool (node,).
    """

    names: tuple[str, ...]
    labels: Labels
    taint_sets: tuple[tuple[Taint, ...], ...]
    taint_set: npt.NDArray[np.int32]
    unschedulable: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.names)
