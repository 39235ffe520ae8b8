"""The twin: one pod after another, each put where it fits best or where others are driven out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.twin import configuration, filters, images, interpod, resources, spread, volumes
from tests.twin.cluster import Cluster
from tests.twin.configuration import Profile
from tests.twin.cycle import SUCCESS, Cycle, status_of
from tests.twin.objects import PENDING_START, NodeState, Pod
from tests.twin.plugin import Plugin, Rejected, Skip
from tests.twin.preemption import preempt

_CLASSES: list[type[Plugin]] = [
    filters.SchedulingGates, filters.NodeUnschedulable, filters.NodeName, filters.TaintToleration,
    filters.NodeAffinity, filters.NodePorts, resources.NodeResourcesFit, volumes.VolumeRestrictions,
    volumes.NodeVolumeLimits, volumes.VolumeBinding, volumes.VolumeZone, spread.PodTopologySpread,
    interpod.InterPodAffinity, resources.NodeResourcesBalancedAllocation, images.ImageLocality,
]  # fmt: skip


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
        #: Pods that wait for a node that was cleared for them, by key; only a queue leaves pods waiting.
        self.nominated: dict[str, tuple[Pod, NodeState]] = {}
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
        gate = filters.SchedulingGates.admit(pod)
        if gate is not None and "SchedulingGates" in profile.points["preEnqueue"]:
            return result | {"status": "gated", "prefilter": status_of("SchedulingGates", gate)}
        if profile.name != configuration.DEFAULT:
            result["profile"] = profile.name
        cycle = Cycle(self, profile, pod)
        try:
            result |= cycle.find()
        except Rejected:
            return result | {"status": "error"}
        if cycle.chosen is not None:
            cycle.bind(cycle.chosen)
            return result | {"status": "scheduled", "node": cycle.chosen.name}
        if "DefaultPreemption" not in profile.points["postFilter"]:
            return result | {"status": "unschedulable"}
        result["preemption"], candidate = preempt(cycle)
        if candidate is None:
            return result | {"status": "unschedulable"}
        for victim in candidate.victims:
            candidate.node.remove(victim)
        again = Cycle(self, profile, pod)
        again.prefilter()
        if again.rejected is not None or again.filter(candidate.node) != SUCCESS:
            return result | {"status": "nominated_failed"}
        again.bind(candidate.node)
        return result | {"status": "preempted", "node": candidate.node.name}


class NoClaims(Plugin):
    """DynamicResources: no pod here has claims of devices."""

    def prefilter(self, pod: Pod) -> Any:
        raise Skip
