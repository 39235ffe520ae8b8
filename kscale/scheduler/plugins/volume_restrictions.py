"""VolumeRestrictions: disks that one machine alone may write, and claims that one pod alone may use.

Rules: pkg/scheduler/framework/plugins/volumerestrictions of Kubernetes v1.34.1. A claim with the access mode
ReadWriteOncePod that a pod on any node mounts rejects every node. How many such claims are taken is found before the
nodes are looked at; in a trial of preemption a pod that is taken off counts less one, one that is put there one more.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from kscale.kernels import kernel
from kscale.scheduler.counting import counted
from kscale.scheduler.plugins import Bar, Plugin
from kscale.state.building import NODE, Building
from kscale.state.descriptions import Disk, NodeDescriptions, PodDescription
from kscale.state.schema import Column, NewTable, bounds

ONE_POD = "ReadWriteOncePod"
#: Kinds of disks that are never shared, not even to be read.
_NEVER_SHARED = "awsElasticBlockStore"
#: Where the monitors begin in the names of an rbd disk.
_MONITORS = 2

COLUMNS = {
    "disk_against": NewTable(
        "An entry of a template's list of what its disks conflict with.",
        (Column("counter", "int64", "Pods with a disk that one of its disks conflicts with, by node."),),
    ),
    "sole": NewTable(
        "An entry of a template's list of claims that one pod alone may use.",
        (Column("counter", "int64", "Pods that mount the claim."),),
    ),
    "mounted": NewTable(
        "An entry of a template's list of claims.", (Column("claim", "int64", "Code of the claim's name."),)
    ),
    "template": (
        *bounds("disk_against"),
        *bounds("sole"),
        *bounds("mounted"),
        Column("names_disks", "uint8", "1 when it names a disk that not every pod may share."),
        Column("namespace_code", "int64", "Code of its namespace."),
    ),
}


def conflict(one: Disk, other: Disk) -> bool:
    """Tell whether a pod with the disk ``one`` may not share a node with a pod with the disk ``other``."""
    if one.kind != other.kind or (one.kind != _NEVER_SHARED and one.read_only and other.read_only):
        return False
    if one.kind == "rbd":
        same = one.names[:_MONITORS] == other.names[:_MONITORS]
        return same and not set(one.names[_MONITORS:]).isdisjoint(other.names[_MONITORS:])
    return one.names == other.names


def _plan(building: Building) -> None:
    count = len(building.templates)
    users: dict[str, list[int]] = {}
    disks: dict[tuple[str, tuple[str, ...]], list[tuple[Disk, int]]] = {}
    for index, template in enumerate(building.templates):
        for name in template.description.claims:
            users.setdefault(name, []).append(index)
        for disk in template.disks:
            disks.setdefault(_alike(disk), []).append((disk, index))
    codes = {name: code for code, name in enumerate(users)}
    claims = building.nodes.surroundings.claims
    for index, template in enumerate(building.templates):
        for name in template.description.claims:
            building.append("mounted", index, claim=codes[name])
            if name in claims and ONE_POD in claims[name].access_modes:
                mask = np.zeros(count, bool)
                mask[users[name]] = True
                building.append("sole", index, counter=building.watched(mask))
        if template.disks:
            mask = np.zeros(count, bool)
            for disk in template.disks:
                mask[[holder for other, holder in disks[_alike(disk)] if conflict(disk, other)]] = True
            building.append("disk_against", index, counter=building.counter(NODE, mask))


def _alike(disk: Disk) -> tuple[str, tuple[str, ...]]:
    """Return what disks that conflict have in common."""
    return disk.kind, disk.names[:_MONITORS]


def _fill(building: Building, cluster: Any) -> None:
    codes: dict[str, int] = {}
    for index, template in enumerate(building.templates):
        cluster.template_names_disks[index] = bool(template.disks)
        cluster.template_namespace_code[index] = codes.setdefault(template.namespace, len(codes))


def barred(nodes: NodeDescriptions, pod: PodDescription) -> Bar | None:
    """Turn a pod away that mounts a claim which is not there."""
    for name in pod.claims:
        if name not in nodes.surroundings.claims:
            return Bar(f'persistentvolumeclaim "{name.partition("/")[2]}" not found')
    return None


@kernel
def restricted(
    template: int, first: int, last: int, reason: int, sums: Any,
    template_disk_against_first: Any, template_disk_against_last: Any, disk_against_counter: Any,
    template_sole_first: Any, template_sole_last: Any, sole_counter: Any, template_names_disks: Any,
    counter_first: Any, counter_total: Any, segment_place: Any, tally_count: Any,
) -> None:  # fmt: skip
    """Reject where a pod has a conflicting disk (bit 0), and everywhere when a claim for one pod is taken (bit 1).

    Where no such claim was taken and the pod names no disk, kube-scheduler does not look again during a trial.
    """
    for entry in range(template_disk_against_first[template], template_disk_against_last[template]):
        start = counter_first[disk_against_counter[entry]]
        for node in range(first, last):
            if sums[node] >= 0 and counted(start, node, segment_place, tally_count) > 0:
                sums[node] = np.int32(-1 - (1 << reason))
    taken, conflicts = 0, 0
    for entry in range(template_sole_first[template], template_sole_last[template]):
        counter = sole_counter[entry]
        tried = counted(counter_first[counter], 0, segment_place, tally_count) - counter_total[counter]
        if counter_total[counter] - tried > 0:
            taken += 1
        conflicts += tried
    if (taken > 0 or template_names_disks[template] != 0) and taken + conflicts > 0:
        for node in range(first, last):
            if sums[node] >= 0:
                sums[node] = np.int32(-1 - (1 << (reason + 1)))


@kernel
def frees_a_volume(
    template: int, other: int, added: int,
    template_mounted_first: Any, template_mounted_last: Any, mounted_claim: Any, template_disk_against_first: Any,
    template_disk_against_last: Any, disk_against_counter: Any, template_counting_first: Any,
    template_counting_last: Any, counting_counter: Any, template_namespace_code: Any,
) -> bool:  # fmt: skip
    """Tell whether a pod that went, of the same namespace, had one of its claims or a disk in conflict with its own."""
    if added == 0 and template_namespace_code[template] == template_namespace_code[other]:
        for entry in range(template_mounted_first[template], template_mounted_last[template]):
            for held in range(template_mounted_first[other], template_mounted_last[other]):
                if mounted_claim[held] == mounted_claim[entry]:
                    return True
        for entry in range(template_disk_against_first[template], template_disk_against_last[template]):
            for held in range(template_counting_first[other], template_counting_last[other]):
                if counting_counter[held] == disk_against_counter[entry]:
                    return True
    return False


def _used(building: Building) -> bool:
    return any(template.description.claims or template.disks for template in building.templates)


def _reasons(resources: list[str]) -> list[str]:
    taken = f"PersistentVolumeClaim with {ONE_POD} access mode already in-use by another pod"
    return ["node(s) had no available disk", f"node(s) unavailable due to {taken}"]


RESTRICTIONS = Plugin(
    "VolumeRestrictions", rank=80, late=restricted, reasons=_reasons, bar=barred, hint=frees_a_volume, plan=_plan,
    fill=_fill, lists=("disk_against", "sole"), used=_used, standard=True,
)  # fmt: skip
