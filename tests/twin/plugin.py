"""What plug-ins have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.twin.cluster import Cluster
from tests.twin.objects import NodeState, Pod

UNSCHEDULABLE = "Unschedulable"
UNRESOLVABLE = "UnschedulableAndUnresolvable"
ERROR = "Error"

#: A verdict: code and reasons; None is success.
Verdict = tuple[str, list[str]] | None


class Rejected(Exception):
    """A plug-in turns the pod away before any node is looked at, or breaks the cycle off."""

    def __init__(self, code: str, *reasons: str) -> None:
        super().__init__(code, *reasons)
        self.verdict = code, list(reasons)


class Skip(Exception):
    """A plug-in has nothing to do for this pod."""


class Plugin:
    """A plug-in that does nothing; ``prefilter`` and ``prescore`` return what the other methods get as ``state``."""

    def __init__(self, cluster: Cluster, arguments: dict[str, Any]) -> None:
        self.cluster = cluster
        self.arguments = arguments

    def prefilter(self, pod: Pod) -> Any:
        return None

    def allowed_nodes(self, pod: Pod) -> set[str] | None:
        """The names of the only nodes that need to be looked at, None for all."""
        return None

    def filter(self, state: Any, pod: Pod, node: NodeState) -> Verdict:
        return None

    def pod_added(self, state: Any, pod: Pod, other: Pod, node: NodeState, sign: int) -> None:
        """Another pod is put on a node (sign 1) or taken off it (-1) for a trial."""

    def copy_state(self, state: Any) -> Any:
        """A copy of the state of ``prefilter`` for a trial."""
        return state

    def prescore(self, pod: Pod, nodes: Sequence[NodeState]) -> Any:
        return None

    def score(self, state: Any, pod: Pod, node: NodeState) -> int:
        raise NotImplementedError

    def normalise(self, state: Any, nodes: Sequence[NodeState], scores: list[int]) -> list[int]:
        return scores

    def reserve(self, state: Any, pod: Pod, node: NodeState) -> None:
        """The pod goes to the node."""


def proportional(scores: list[int], *, reverse: bool) -> list[int]:
    """Scores as hundredths of the highest."""
    highest = max(scores)
    if highest == 0:
        return [100 if reverse else 0 for _ in scores]
    parts = [100 * score // highest for score in scores]
    return [100 - part for part in parts] if reverse else parts
