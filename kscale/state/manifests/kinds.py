"""The kinds of objects that are read, and how each is decoded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from kscale.state.manifests import devices, models, others

_STORAGE, _APPS, _SCHEDULING, _POLICY = ("storage.k8s.io",), ("apps", "extensions"), ("scheduling.k8s.io",), ("policy",)
_BATCH, _RESOURCE, _CORE = ("batch",), ("resource.k8s.io",), ("",)


@dataclass(frozen=True)
class Kind:
    """A kind: the groups that it may be of, whether it lies in a namespace, and its decoder."""

    groups: tuple[str, ...]
    namespaced: bool
    decode: Callable[[msgspec.Raw | bytes], object]


def _kind(groups: tuple[str, ...], namespaced: bool, model: type) -> Kind:
    return Kind(groups, namespaced, msgspec.json.Decoder(model).decode)


KINDS = {
    "Pod": _kind(_CORE, True, models.Pod),
    "Node": _kind(_CORE, False, others.Node),
    "Namespace": _kind(_CORE, False, others.Plain),
    "Service": _kind(_CORE, True, others.MapSelected),
    "ReplicationController": _kind(_CORE, True, others.MapSelected),
    "ReplicaSet": _kind(_APPS, True, others.Selected),
    "StatefulSet": _kind(_APPS, True, others.Selected),
    "PersistentVolume": _kind(_CORE, False, others.PersistentVolume),
    "PersistentVolumeClaim": _kind(_CORE, True, others.PersistentVolumeClaim),
    "StorageClass": _kind(_STORAGE, False, others.StorageClass),
    "CSINode": _kind(_STORAGE, False, others.CsiNode),
    "PriorityClass": _kind(_SCHEDULING, False, others.PriorityClass),
    "PodDisruptionBudget": _kind(_POLICY, True, others.PodDisruptionBudget),
    "DeviceClass": _kind(_RESOURCE, False, devices.DeviceClass),
    "ResourceClaim": _kind(_RESOURCE, True, devices.ResourceClaim),
    "ResourceClaimTemplate": _kind(_RESOURCE, True, devices.ResourceClaimTemplate),
    "ResourceSlice": _kind(_RESOURCE, False, devices.ResourceSlice),
    "VolumeAttachment": _kind(_STORAGE, False, others.Plain),
    "Deployment": _kind(_APPS, True, others.Plain),
    "DaemonSet": _kind(_APPS, True, others.Plain),
    "Job": _kind(_BATCH, True, others.Plain),
    "CronJob": _kind(_BATCH, True, others.Plain),
    "LimitRange": _kind(_CORE, True, others.Plain),
}
#: Kinds that are read and checked, but of which nothing comes: what they make is there as pods, or is not simulated.
IDLE = {
    "Deployment": "makes no pods here",
    "DaemonSet": "makes no pods here",
    "Job": "makes no pods here",
    "CronJob": "makes no pods here",
    "LimitRange": "limits nothing here",
    "VolumeAttachment": "only volumes of pods count",
}


def group_of(api_version: str) -> str:
    """Return the group of an ``apiVersion``; the core group is empty."""
    return api_version.rpartition("/")[0]


#: Fields of a pod's spec that decide nothing about its node.
PLAIN_FIELDS = frozenset(
    (
        "activeDeadlineSeconds",
        "automountServiceAccountToken",
        "dnsConfig",
        "dnsPolicy",
        "enableServiceLinks",
        "ephemeralContainers",
        "hostAliases",
        "hostIPC",
        "hostPID",
        "hostUsers",
        "hostname",
        "hostnameOverride",
        "imagePullSecrets",
        "readinessGates",
        "securityContext",
        "serviceAccount",
        "serviceAccountName",
        "setHostnameAsFQDN",
        "shareProcessNamespace",
        "subdomain",
        "terminationGracePeriodSeconds",
    )
)
#: Fields that are read, by their names in JSON.
READ_FIELDS = frozenset(field.encode_name for field in msgspec.structs.fields(models.PodSpec))
