"""The plug-ins of volumes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.twin.objects import NodeState, Pod
from tests.twin.plugin import UNRESOLVABLE, UNSCHEDULABLE, Plugin, Rejected, Skip, Verdict
from tests.twin.storage import ONE_POD, Claim, Volume

BETA = {
    "failure-domain.beta.kubernetes.io/zone": "topology.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region": "topology.kubernetes.io/region",
}
TOPOLOGY_LABELS = [*BETA, *BETA.values()]


class VolumePlugin(Plugin):
    """What these plug-ins share."""

    def claim(self, pod: Pod, name: str) -> Claim:
        """A claim of the pod; a missing one turns it away."""
        found = self.cluster.storage.claims.get(f"{pod.namespace}/{name}")
        if found is None:
            raise Rejected(UNRESOLVABLE, f'persistentvolumeclaim "{name}" not found')
        return found


@dataclass
class SharedClaims:
    """The claims of a pod that one pod only may use, and how often others use them."""

    claims: set[str]
    conflicts: int


class VolumeRestrictions(VolumePlugin):
    """A disk can be written on one machine only, a ReadWriteOncePod claim be used by one pod only."""

    def prefilter(self, pod: Pod) -> Any:
        claims = {name for name in pod.claims if ONE_POD in self.claim(pod, name).modes}
        state = SharedClaims(claims, sum(self.is_used(pod.namespace, name) for name in claims))
        if not state.conflicts and not any(volume.get("gcePersistentDisk") for volume in pod.volumes):
            raise Skip
        return state

    def is_used(self, namespace: str, claim: str) -> bool:
        """Whether a pod on a node has the claim."""
        return any(
            other.namespace == namespace and claim in other.claims for node in self.cluster.nodes for other in node.pods
        )

    def copy_state(self, state: SharedClaims) -> SharedClaims:
        return SharedClaims(state.claims, state.conflicts)

    def pod_added(self, state: SharedClaims, pod: Pod, other: Pod, node: NodeState, sign: int) -> None:
        if other.namespace == pod.namespace:
            state.conflicts += sign * sum(name in state.claims for name in other.claims)

    def filter(self, state: SharedClaims, pod: Pod, node: NodeState) -> Verdict:
        for volume in pod.volumes:
            for other in node.pods:
                if any(disks_conflict(volume, v) for v in other.volumes):
                    return UNSCHEDULABLE, ["node(s) had no available disk"]
        if state.conflicts > 0:
            reason = "PersistentVolumeClaim with ReadWriteOncePod access mode already in-use by another pod"
            return UNSCHEDULABLE, [f"node(s) unavailable due to {reason}"]
        return None


def disks_conflict(volume: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two volumes are the same disk, and one of them is written."""
    one, two = volume.get("gcePersistentDisk"), other.get("gcePersistentDisk")
    if not one or not two or one["pdName"] != two["pdName"]:
        return False
    return not (one.get("readOnly") and two.get("readOnly"))


class NodeVolumeLimits(VolumePlugin):
    """A node takes so many volumes of a driver."""

    def prefilter(self, pod: Pod) -> Any:
        if not pod.claims and not any(volume.get("gcePersistentDisk") for volume in pod.volumes):
            raise Skip

    def filter(self, state: Any, pod: Pod, node: NodeState) -> Verdict:
        limits = self.cluster.storage.limits.get(node.name) or {}
        new = self.handles(pod)
        if not new or not limits:
            return None
        attached: dict[str, str] = {}
        for other in node.pods:
            attached |= self.handles(other)
        for driver, limit in limits.items():
            more = sum(d == driver for handle, d in new.items() if handle not in attached)
            if more and sum(d == driver for d in attached.values()) + more > limit:
                return UNSCHEDULABLE, ["node(s) exceed max volume count"]
        return None

    def handles(self, pod: Pod) -> dict[str, str]:
        """The volumes of a pod, each with its driver; a claim without a volume counts by its own name."""
        found = {}
        storage = self.cluster.storage
        for name in pod.claims:
            claim = storage.claims.get(f"{pod.namespace}/{name}")
            if claim is None:
                continue
            volume = storage.volumes.get(claim.volume)
            if volume is not None:
                if volume.driver is not None:
                    found["/".join(volume.driver)] = volume.driver[0]
            elif claim.storage_class in storage.classes:
                driver = storage.classes[claim.storage_class].provisioner
                found[f"{driver}/claim {claim.key}"] = driver
        return found


@dataclass
class Found:
    """Volumes for unbound claims on a node: each volume with its claim, and claims that get a new one."""

    matched: dict[str, Claim] = field(default_factory=dict)
    provisioned: list[Claim] = field(default_factory=list)


@dataclass
class Claims:
    """The claims of a pod: bound ones, ones that wait for a node, and by node what was found for these."""

    bound: list[Claim] = field(default_factory=list)
    waiting: list[Claim] = field(default_factory=list)
    found: dict[str, Found] = field(default_factory=dict)


class VolumeBinding(VolumePlugin):
    """Bound claims must be reachable; unbound ones need a volume that fits or one that can be made."""

    def prefilter(self, pod: Pod) -> Any:
        if not pod.claims:
            raise Skip
        state = Claims()
        for claim in [self.claim(pod, name) for name in pod.claims]:
            storage_class = self.cluster.storage.classes.get(claim.storage_class)
            if claim.bound:
                state.bound.append(claim)
            elif storage_class is not None and storage_class.waits and not claim.volume:
                state.waiting.append(claim)
            else:
                raise Rejected(UNRESOLVABLE, "pod has unbound immediate PersistentVolumeClaims")
        return state

    def filter(self, state: Claims, pod: Pod, node: NodeState) -> Verdict:
        reasons = []
        for claim in state.bound:
            volume = self.cluster.storage.volumes.get(claim.volume)
            if volume is None:
                reasons.append("node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)")
                break
            if not volume.reachable(node.labels):
                reasons.append("node(s) didn't match PersistentVolume's node affinity")
                break
        found = self.find(state.waiting, node)
        if found is None:
            reasons.append("node(s) didn't find available persistent volumes to bind")
        else:
            state.found[node.name] = found
        return (UNRESOLVABLE, reasons) if reasons else None

    def find(self, claims: list[Claim], node: NodeState) -> Found | None:
        """Volumes for unbound claims on a node, None if there are not enough."""
        if any(claim.selected_node not in (None, node.name) for claim in claims):
            return None
        found = Found()
        to_provision = [claim for claim in claims if claim.selected_node is not None]
        for claim in sorted((c for c in claims if c.selected_node is None), key=lambda c: c.size):
            volume = self.match(claim, node, found.matched)
            if volume is not None:
                found.matched[volume.name] = claim
            else:
                to_provision.append(claim)
        for claim in to_provision:
            storage_class = self.cluster.storage.classes.get(claim.storage_class)
            if storage_class is None or not storage_class.provisions(node.labels):
                return None
            found.provisioned.append(claim)
        return found

    def match(self, claim: Claim, node: NodeState, taken: dict[str, Claim]) -> Volume | None:
        """The volume kept for the claim, else the smallest free one that fits."""
        best: Volume | None = None
        for volume in self.cluster.storage.volumes.values():
            if volume.storage_class != claim.storage_class or volume.name in taken:
                continue
            if volume.claim not in (None, claim.key) or volume.size < claim.size or volume.mode != claim.mode:
                continue
            reachable = volume.reachable(node.labels)
            if volume.claim == claim.key:
                return volume if reachable else None
            if volume.phase != "Available" or not reachable:
                continue
            if not claim.selector.matches(volume.labels) or not claim.modes <= volume.modes:
                continue
            if best is None or volume.size < best.size:
                best = volume
        return best

    def prescore(self, pod: Pod, nodes: Sequence[NodeState]) -> Any:
        raise Skip  # it scores only with a feature that is off

    def reserve(self, state: Claims, pod: Pod, node: NodeState) -> None:
        found = state.found[node.name]
        for name, claim in found.matched.items():
            self.cluster.storage.volumes[name].claim = claim.key
        for claim in found.provisioned:
            claim.selected_node = node.name


class VolumeZone(VolumePlugin):
    """A volume with labels of a zone or region is for nodes there."""

    def prefilter(self, pod: Pod) -> Any:
        zones = []
        storage = self.cluster.storage
        for claim in [self.claim(pod, name) for name in pod.claims]:
            if not claim.volume:
                if not claim.storage_class:
                    raise Rejected(UNRESOLVABLE, "PersistentVolumeClaim had no pv name and storageClass name")
                if not storage.classes[claim.storage_class].waits:
                    raise Rejected(UNRESOLVABLE, "PersistentVolume had no name")
                continue
            labels = storage.volumes[claim.volume].labels
            zones += [(key, set(labels[key].split("__"))) for key in TOPOLOGY_LABELS if key in labels]
        if not zones:
            raise Skip
        return zones

    def filter(self, state: list[tuple[str, set[str]]], pod: Pod, node: NodeState) -> Verdict:
        if not any(key in node.labels for key in TOPOLOGY_LABELS):
            return None
        for key, values in state:
            value = node.labels.get(key, node.labels.get(BETA.get(key, key)))
            if value not in values:
                return UNRESOLVABLE, ["node(s) had no available volume zone"]
        return None
