"""The kinds of objects that are read, and how each is decoded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from kscale.state.manifests import models, others

_STORAGE, _APPS, _SCHEDULING, _POLICY = ("storage.k8s.io",), ("apps", "extensions"), ("scheduling.k8s.io",), ("policy",)
_BATCH, _CORE = ("batch",), ("",)


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
}


def group_of(api_version: str) -> str:
    """Return the group of an ``apiVersion``; the core group is empty."""
    return api_version.rpartition("/")[0]
