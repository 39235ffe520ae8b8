"""The twin: one pod after another through the plug-ins of its profile."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tests.twin import configuration, filters, images, interpod, resources, spread, volumes
from tests.twin.cluster import Cluster
from tests.twin.configuration import Profile
from tests.twin.objects import PENDING_START, NodeState, Pod
from tests.twin.plugin import UNRESOLVABLE, Plugin, Rejected, Skip, Verdict
from tests.twin.preemption import preempt

#: Plug-in, code, sorted reasons.
Status = tuple[str, str, tuple[str, ...]]
SUCCESS: Status = ("", "Success", ())

_CLASSES: list[type[Plugin]] = [
    filters.SchedulingGates, filters.NodeUnschedulable, filters.NodeName, filters.TaintToleration,
    filters.NodeAffinity, filters.NodePorts, resources.NodeResourcesFit, volumes.VolumeRestrictions,
    volumes.NodeVolumeLimits, volumes.VolumeBinding, volumes.VolumeZone, spread.PodTopologySpread,
    interpod.InterPodAffinity, resources.NodeResourcesBalancedAllocation, images.ImageLocality,
]  # fmt: skip


def status_of(plugin: str, verdict: Verdict) -> Status:
    """A verdict as a status."""
    return SUCCESS if verdict is None else (plugin, verdict[0], tuple(sorted(verdict[1])))


class Twin:
    """A cluster, its scheduler's profiles, and the pods of a scenario in the order in which they are tried.

    Args:
        scenario: ``objects`` (Kubernetes objects), ``pending`` (pods) and, if need be, ``config`` (text).
        masks: whether results tell which filters would reject a node if run alone.
    """

    def __init__(self, scenario: Mapping[str, Any], *, masks: bool = True) -> None:
        self.cluster = Cluster(scenario["objects"])
        self.profiles = configuration.profiles(scenario.get("config"))
        self.plugins = {name: self._plugins(profile) for name, profile in self.profiles.items()}
        self.masks = masks
        self.pending = [
            Pod(written, PENDING_START + index, self.cluster.classes)
            for index, written in enumerate(scenario.get("pending") or ())
        ]

    def _plugins(self, profile: Profile) -> dict[str, Plugin]:
        found: dict[str, Plugin] = {
            kind.__name__: kind(self.cluster, profile.arguments.get(kind.__name__, {})) for kind in _CLASSES
        }
        found["DynamicResources"] = NoClaims(self.cluster, {})
        return found

    def schedule_given(self) -> list[dict[str, Any]]:
        """Try all pods in the given order; one result each."""
        return [self.schedule(pod) for pod in self.pending]

    def schedule(self, pod: Pod) -> dict[str, Any]:
        """Try one pod; where it fits, or where others can be driven out, it is put at once."""
        result: dict[str, Any] = {"pod": pod.key}
        profile = self.profiles.get(pod.scheduler)
        if profile is None:
            return result | {"status": "no_profile"}
        gate = filters.SchedulingGates(self.cluster, {}).admit(pod)
        if gate is not None and "SchedulingGates" in profile.points["preEnqueue"]:
            return result | {"status": "gated", "prefilter": status_of("SchedulingGates", gate)}
        if profile.name != configuration.DEFAULT:
            result["profile"] = profile.name
        cycle = Cycle(self, profile, pod)
        try:
            result |= cycle.run()
        except Rejected:
            return result | {"status": "error"}
        return result


class NoClaims(Plugin):
    """DynamicResources: no pod here has claims of devices."""

    def prefilter(self, pod: Pod) -> Any:
        raise Skip


class Cycle:
    """One try of one pod."""

    def __init__(self, twin: Twin, profile: Profile, pod: Pod) -> None:
        self.twin, self.profile, self.pod = twin, profile, pod
        self.plugins = twin.plugins[profile.name]
        self.states: dict[str, Any] = {}
        self.skipped: set[str] = set()

    def run(self) -> dict[str, Any]:
        """Find a node, or nodes where preemption helps."""
        nodes = self.twin.cluster.nodes
        result: dict[str, Any] = {}
        rejected = self.prefilter()
        if self.skipped:
            result["skip_filter"] = sorted(self.skipped)
        if rejected is not None:
            return result | {"status": "unschedulable", "prefilter": rejected} | self.post_filter(None)
        allowed = self.allowed_nodes()
        if allowed is not None:
            by_name = self.twin.cluster.by_name
            result["prefilter_nodes"] = sorted(by_name[n].index if n in by_name else -1 for n in allowed)
        statuses = [self.filter(node) if allowed is None or node.name in allowed else EXCLUDED for node in nodes]
        result["filter"] = statuses
        if self.twin.masks:
            result["mask"] = [self.mask(n) if s is not EXCLUDED else -1 for n, s in zip(nodes, statuses, strict=True)]
        feasible = [node for node, status in zip(nodes, statuses, strict=True) if status == SUCCESS]
        if not feasible:
            return result | {"status": "unschedulable"} | self.post_filter(statuses)
        result |= self.score(feasible)
        chosen = nodes[result["ties"][0]]
        self.bind(chosen)
        return result | {"status": "scheduled", "node": chosen.name}

    def prefilter(self) -> Status | None:
        """Run PreFilter; the status of the plug-in that turns the pod away."""
        for name in self.profile.points["preFilter"]:
            try:
                self.states[name] = self.plugins[name].prefilter(self.pod)
            except Skip:
                self.skipped.add(name)
            except Rejected as rejected:
                return status_of(name, rejected.verdict)
        return None

    def allowed_nodes(self) -> set[str] | None:
        """The only nodes to look at, None for all."""
        return self.plugins["NodeAffinity"].allowed_nodes(self.pod) if "NodeAffinity" in self.states else None

    def filters(self) -> list[str]:
        """The filters that have something to do."""
        return [name for name in self.profile.points["filter"] if name not in self.skipped]

    def filter(self, node: NodeState) -> Status:
        """The first rejection of a node, or success."""
        return first_rejection(self.filters(), self.plugins, self.states, self.pod, node)

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

    def post_filter(self, statuses: Sequence[Status] | None) -> dict[str, Any]:
        """Drive out other pods if that helps, and take their place."""
        if "DefaultPreemption" not in self.profile.points["postFilter"]:
            return {}
        described, chosen = preempt(self, statuses)
        result: dict[str, Any] = {"preemption": described}
        if chosen is None:
            return result
        for victim in chosen.victims:
            chosen.node.remove(victim)
        again = Cycle(self.twin, self.profile, self.pod)
        if again.prefilter() is not None or again.filter(chosen.node) != SUCCESS:
            return result | {"status": "nominated_failed"}
        again.bind(chosen.node)
        return result | {"status": "preempted", "node": chosen.node.name}

    def bind(self, node: NodeState) -> None:
        """Put the pod on the node with all that it needs."""
        for name in ("VolumeBinding",):
            if name in self.states:
                self.plugins[name].reserve(self.states[name], self.pod, node)
        node.add(self.pod)

    def trial(self, node: NodeState) -> Trial:
        """Begin to try what it would be like with other pods on a node."""
        return Trial(self, node)


class Trial:
    """A copy of a node and of the states, to add and remove pods."""

    def __init__(self, cycle: Cycle, node: NodeState) -> None:
        self.cycle = cycle
        self.node = node.copy()
        self.states = {name: cycle.plugins[name].copy_state(state) for name, state in cycle.states.items()}

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
        cycle = self.cycle
        return first_rejection(cycle.filters(), cycle.plugins, self.states, cycle.pod, self.node) == SUCCESS


EXCLUDED: Status = ("", UNRESOLVABLE, ("node(s) didn't satisfy plugin(s) [NodeAffinity]",))


def first_rejection(
    names: Iterable[str], plugins: Mapping[str, Plugin], states: Mapping[str, Any], pod: Pod, node: NodeState
) -> Status:
    """The first filter that rejects a node, with its reasons."""
    for name in names:
        verdict = plugins[name].filter(states.get(name), pod, node)
        if verdict is not None:
            return status_of(name, verdict)
    return SUCCESS
