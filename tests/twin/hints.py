"""Which events on other pods may help a pod that plug-ins have turned away."""

from __future__ import annotations

from dataclasses import dataclass

from tests.twin.cluster import Cluster
from tests.twin.filters import NodePorts, ports_conflict
from tests.twin.interpod import InterPodAffinity, matches_all
from tests.twin.objects import Pod
from tests.twin.plugin import Plugin
from tests.twin.resources import NodeResourcesFit
from tests.twin.spread import HARD, PodTopologySpread
from tests.twin.volumes import NodeVolumeLimits, VolumeRestrictions, disks_conflict


@dataclass(frozen=True)
class Event:
    """A pod came to a node or went from it."""

    pod: Pod
    added: bool


def concerns(cluster: Cluster, other: Pod, pod: Pod, rejectors: set[str]) -> bool:
    """Whether a pod at rest is asked at all when another one comes to a node."""
    if "PodTopologySpread" in rejectors and other.namespace == pod.namespace:
        return True
    labels = cluster.namespace_labels(other.namespace)
    return any(term.matches(other, labels) for term in pod.affinity)


def may_help(plugin: Plugin, event: Event, pod: Pod) -> bool:
    """Whether a plug-in that turned the pod away thinks that the event may help it."""
    other = event.pod
    match plugin:
        case InterPodAffinity():
            # It must match all terms. Their selectors of namespaces see no labels, and the anti-affinity of a pod that
            # went is not looked at.
            return matches_all(pod.affinity if event.added else pod.anti_affinity, other)
        case PodTopologySpread():
            constraints = plugin.constraints(pod, HARD)
            return other.namespace == pod.namespace and any(c.selector.matches(other.labels) for c in constraints)
    if event.added:
        return False
    match plugin:
        case NodeResourcesFit():
            return True
        case NodePorts():
            return ports_conflict(pod.ports, other.ports)
        case VolumeRestrictions():
            if other.namespace != pod.namespace:
                return False
            shared = set(pod.claims) & set(other.claims)
            return bool(shared) or any(disks_conflict(v, w) for v in pod.volumes for w in other.volumes)
        case NodeVolumeLimits():
            return bool(other.claims) or any(volume.get("gcePersistentDisk") for volume in other.volumes)
    return False
