"""One pod through the plug-ins of its profile: filters, scores, and trials with other pods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tests.twin.configuration import Profile
from tests.twin.objects import NodeState, Pod
from tests.twin.plugin import UNRESOLVABLE, Rejected, Skip, Verdict

if TYPE_CHECKING:
    from tests.twin.schedule import Twin

#: Plug-in, code, sorted reasons.
Status = tuple[str, str, tuple[str, ...]]
SUCCESS: Status = ("", "Success", ())
EXCLUDED: Status = ("", UNRESOLVABLE, ("node(s) didn't satisfy plugin(s) [NodeAffinity]",))


def status_of(plugin: str, verdict: Verdict) -> Status:
    """A verdict as a status."""
    return SUCCESS if verdict is None else (plugin, verdict[0], tuple(sorted(verdict[1])))


class Cycle:
    """One try of one pod; ``chosen`` is the node found for it, ``statuses`` what the filters said of each node."""

    def __init__(self, twin: Twin, profile: Profile, pod: Pod) -> None:
        self.twin, self.profile, self.pod = twin, profile, pod
        self.plugins = twin.plugins[profile.name]
        self.states: dict[str, Any] = {}
        self.skipped: set[str] = set()
        self.rejected: Status | None = None  # before any node was looked at
        self.allowed: set[str] | None = None
        self.statuses: list[Status] = []
        self.chosen: NodeState | None = None

    def find(self) -> dict[str, Any]:
        """Look for the best node; a node that was cleared for the pod is looked at first, and alone if it passes."""
        nodes = self.twin.cluster.nodes
        result: dict[str, Any] = {}
        self.prefilter()
        if self.skipped:
            result["skip_filter"] = sorted(self.skipped)
        if self.rejected is not None:
            return result | {"prefilter": self.rejected}
        if self.allowed is not None:
            by_name = self.twin.cluster.by_name
            result["prefilter_nodes"] = sorted(by_name[n].index if n in by_name else -1 for n in self.allowed)
        if self.pod.key in self.twin.nominated:
            _, cleared = self.twin.nominated[self.pod.key]
            if self.filter(cleared) == SUCCESS:
                self.chosen = cleared
                return result
        self.statuses = [self.filter(n) if self.allowed is None or n.name in self.allowed else EXCLUDED for n in nodes]
        result["filter"] = self.statuses
        if self.twin.masks:
            pairs = zip(nodes, self.statuses, strict=True)
            result["mask"] = [-1 if status is EXCLUDED else self.mask(node) for node, status in pairs]
        feasible = [node for node, status in zip(nodes, self.statuses, strict=True) if status == SUCCESS]
        if feasible:
            result |= self.score(feasible)
            self.chosen = nodes[result["ties"][0]]
        return result

    def prefilter(self) -> None:
        """Run PreFilter up to the plug-in that turns the pod away."""
        for name in self.profile.points["preFilter"]:
            try:
                self.states[name] = self.plugins[name].prefilter(self.pod)
            except Skip:
                self.skipped.add(name)
            except Rejected as rejected:
                self.rejected = status_of(name, rejected.verdict)
                return
        if "NodeAffinity" in self.states:
            self.allowed = self.plugins["NodeAffinity"].allowed_nodes(self.pod)

    def rejectors(self) -> set[str]:
        """The plug-ins that turned nodes away, or the pod."""
        found = {status[0] for status in self.statuses if status != SUCCESS} - {""}
        if self.rejected is not None:
            found.add(self.rejected[0])
        return found if self.allowed is None else found | {"NodeAffinity"}

    def filters(self) -> list[str]:
        """The filters that have something to do."""
        return [name for name in self.profile.points["filter"] if name not in self.skipped]

    def filter(self, node: NodeState) -> Status:
        """The first rejection of a node, or success."""
        return self.status(node, self.states)

    def status(self, node: NodeState, states: Mapping[str, Any]) -> Status:
        """The first rejection: with the pods on the node for which it was cleared, then without them."""
        nominated = self.twin.nominated.values()
        others = [other for other, cleared in nominated if cleared.name == node.name and other is not self.pod]
        others = [other for other in others if other.priority >= self.pod.priority]
        if others:
            trial = Trial(self, node, states)
            for other in others:
                trial.add(other)
            status = self._first_rejection(trial.node, trial.states)
            if status != SUCCESS:
                return status
        return self._first_rejection(node, states)

    def _first_rejection(self, node: NodeState, states: Mapping[str, Any]) -> Status:
        for name in self.filters():
            verdict = self.plugins[name].filter(states.get(name), self.pod, node)
            if verdict is not None:
                return status_of(name, verdict)
        return SUCCESS

    def mask(self, node: NodeState) -> int:
        """Which filters reject a node, as bits."""
        bits = 0
        for bit, name in enumerate(self.profile.points["filter"]):
            if name not in self.skipped:
                if self.plugins[name].filter(self.states.get(name), self.pod, node) is not None:
                    bits |= 1 << bit
        return bits

    def score(self, feasible: Sequence[NodeState]) -> dict[str, Any]:
        """Scores of the feasible nodes, raw, normalised and in total."""
        states, skipped = dict[str, Any](), set[str]()
        for name in self.profile.points["preScore"]:
            try:
                states[name] = self.plugins[name].prescore(self.pod, feasible)
            except Skip:
                skipped.add(name)
        raw, norm = dict[str, list[int]](), dict[str, list[int]]()
        scorers = self.profile.points["score"]
        total = [0 if scorers else 1 for _ in feasible]
        for name in scorers:
            if name in skipped:
                continue
            plugin, state = self.plugins[name], states.get(name)
            raw[name] = [plugin.score(state, self.pod, node) for node in feasible]
            norm[name] = plugin.normalise(state, feasible, raw[name])
            weight = self.profile.weights[name]
            total = [sum_ + weight * score for sum_, score in zip(total, norm[name], strict=True)]
        best = max(total)
        indices = [node.index for node in feasible]
        result: dict[str, Any] = {"feasible": indices, "total": total}
        result["ties"] = [index for index, score in zip(indices, total, strict=True) if score == best]
        result |= {"skip_score": sorted(skipped)} if skipped else {}
        result |= {"raw": raw, "norm": norm} if raw else {}
        return result

    def bind(self, node: NodeState) -> None:
        """Put the pod on the node with all that it needs."""
        for name in ("VolumeBinding",):
            if name in self.states:
                self.plugins[name].reserve(self.states[name], self.pod, node)
        node.add(self.pod)


class Trial:
    """A copy of a node and of the states, to add and remove pods."""

    def __init__(self, cycle: Cycle, node: NodeState, states: Mapping[str, Any]) -> None:
        self.cycle = cycle
        self.node = node.copy()
        self.states = {name: cycle.plugins[name].copy_state(state) for name, state in states.items()}

    def remove(self, other: Pod) -> None:
        """Without a pod."""
        self.node.remove(other)
        self._tell(other, -1)

    def add(self, other: Pod) -> None:
        """With a pod."""
        self.node.add(other)
        self._tell(other, 1)

    def _tell(self, other: Pod, sign: int) -> None:
        for name, state in self.states.items():
            self.cycle.plugins[name].pod_added(state, self.cycle.pod, other, self.node, sign)

    def fits(self) -> bool:
        """Whether the pod would fit."""
        return self.cycle.status(self.node, self.states) == SUCCESS
