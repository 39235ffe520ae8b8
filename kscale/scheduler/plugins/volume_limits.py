"""NodeVolumeLimits: a node takes so many volumes of a CSI driver as its CSINode says.

Rules: pkg/scheduler/framework/plugins/nodevolumelimits of Kubernetes v1.34.1. A volume that several pods of a node
mount counts once there. A claim without a volume counts by its own name for the provisioner of its class. Which volumes
are attached is kept in a pool of (volume, node) pairs, linked volume by volume: it is as long as what live pods mount.

Left out: VolumeAttachments of pods that are gone, and volumes of in-tree drivers that a node has migrated to CSI.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from kscale.kernels import kernel
from kscale.scheduler.plugins import Plugin
from kscale.state.building import Building
from kscale.state.descriptions import PodTemplate, Surroundings
from kscale.state.schema import Column, NewTable, bounds

NAME = "NodeVolumeLimits"
#: A volume: its driver, and what the driver knows it by.
Handle = tuple[str, str]
#: More volumes than a node can have: no limit.
NO_LIMIT = 1 << 62
#: Disks named in the pod itself that may be a CSI driver's on some node.
_MIGRATABLE = ("gcePersistentDisk", "awsElasticBlockStore")

COLUMNS = {
    "driver": NewTable(
        "A CSI driver that some node limits.",
        (
            Column("limit", "int64", "Most volumes that the node takes.", "volumes", dims=("driver", "node")),
            Column("attached", "int64", "Volumes that pods on it mount.", "volumes", dims=("driver", "node")),
        ),
    ),
    "attachable": NewTable(
        "A volume of a driver that some node limits.",
        (
            Column("driver", "int64", "Its driver."),
            Column("first", "int64", "The first of its attachments.", default=-1),
        ),
    ),
    "attachment": NewTable(
        "A volume on a node, or a free row.",
        (
            Column("node", "int64", "The node."),
            Column("pods", "int64", "Pods there that mount it.", "pods"),
            Column("next", "int64", "The next attachment of the volume, or the next free row.", default=-1),
        ),
    ),
    "mount": NewTable(
        "An entry of a template's list of volumes, driver by driver.",
        (
            Column("attachable", "int64", "The volume; -1 is one that the pod has for itself.", default=-1),
            Column("driver", "int64", "Its driver."),
        ),
    ),
    "cluster": (Column("free_attachment", "int64", "The first free row of attachment.", default=-1),),
    "template": (
        *bounds("mount"),
        Column("mounts", "uint8", "1 when its end may free a volume of a CSI driver."),
    ),
}


def handles(surroundings: Surroundings, template: PodTemplate) -> list[Handle]:
    """Return the template's volumes of CSI drivers."""
    found: dict[Handle, None] = {}
    for name in template.description.claims:
        claim = surroundings.claims.get(name)
        if claim is None:
            continue
        volume = surroundings.volumes.get(claim.volume)
        storage_class = surroundings.classes.get(claim.storage_class or "")
        if volume is not None:
            if volume.driver and volume.handle:
                found[volume.driver, volume.handle] = None
        elif storage_class is not None and storage_class.provisioner:
            # No handle has a line break in it.
            found[storage_class.provisioner, f"\n{name}"] = None
    return list(found)


def _limited(building: Building) -> dict[str, int]:
    """Return the drivers that some node limits, with their rows."""
    limits = building.nodes.surroundings.limits.values()
    return {
        name: row
        for row, name in enumerate(dict.fromkeys(n for drivers in limits for n, most in drivers if most is not None))
    }


def _plan(building: Building) -> None:
    drivers, surroundings = _limited(building), building.nodes.surroundings
    rows: dict[Handle, int] = {}
    pods = 0
    for index, template in enumerate(building.templates):
        mine = [handle for handle in handles(surroundings, template) if handle[0] in drivers]
        mounts = [(drivers[handle[0]], rows.setdefault(handle, len(rows))) for handle in mine]
        mounts += [(drivers[driver], -1) for driver in template.description.own_drivers if driver in drivers]
        for driver, attachable in sorted(mounts, key=lambda mount: mount[0]):
            building.append("mount", index, attachable=attachable, driver=driver)
        pods += len(mine) * int(building.pods_of[index]) if building.pods_of is not None else 0
    building.size("driver", len(drivers))
    building.size("attachable", len(rows))
    most = len(rows) * len(building.nodes)
    building.size("attachment", most if building.pods_of is None else min(pods, most))
    building.kept[NAME] = np.array([drivers[driver] for driver, _ in rows], np.int64)


def _fill(building: Building, cluster: Any) -> None:
    drivers = _limited(building)
    cluster.driver_limit[:] = NO_LIMIT
    for node, limits in building.nodes.surroundings.limits.items():
        for driver, most in limits:
            if most is not None:
                cluster.driver_limit[drivers[driver], node] = most
    cluster.attachable_driver[:] = building.kept[NAME]
    size = cluster.sizes["attachment"]
    cluster.attachment_next[:] = np.arange(1, size + 1)
    cluster.attachment_next[size - 1 :] = -1
    cluster.cluster_free_attachment[0] = 0 if size else -1
    for index, template in enumerate(building.templates):
        migratable = any(disk.kind in _MIGRATABLE for disk in template.disks)
        description = template.description
        cluster.template_mounts[index] = bool(description.claims or description.own_drivers) or migratable


@kernel
def over_limit(
    template: int, first: int, last: int, reason: int, sums: Any,
    template_mount_first: Any, template_mount_last: Any, mount_attachable: Any, mount_driver: Any,
    attachable_first: Any, attachment_node: Any, attachment_next: Any, driver_limit: Any, driver_attached: Any,
    scan_wide: Any,
) -> None:  # fmt: skip
    """Reject where the volumes that are not there yet would be too many of their driver."""
    entry, end = template_mount_first[template], template_mount_last[template]
    while entry < end:
        driver, wanted = mount_driver[entry], 0
        for node in range(first, last):
            scan_wide[node] = 0
        while entry < end and mount_driver[entry] == driver:
            attachment = attachable_first[mount_attachable[entry]] if mount_attachable[entry] >= 0 else -1
            while attachment >= 0:
                if first <= attachment_node[attachment] < last:
                    scan_wide[attachment_node[attachment]] += 1
                attachment = attachment_next[attachment]
            wanted += 1
            entry += 1
        limit, attached = driver_limit[driver], driver_attached[driver]
        for node in range(first, last):
            more = wanted - scan_wide[node]
            if sums[node] >= 0 and more > 0 and attached[node] + more > limit[node]:
                sums[node] = np.int32(-1 - (1 << reason))


@kernel
def attach(
    template: int, node: int, sign: int,
    template_mount_first: Any, template_mount_last: Any, mount_attachable: Any, mount_driver: Any,
    attachable_driver: Any, attachable_first: Any, attachment_node: Any, attachment_pods: Any, attachment_next: Any,
    driver_attached: Any,
    cluster_free_attachment: Any,
) -> None:  # fmt: skip
    """Attach the pod's volumes to the node, or detach those that no other pod there mounts."""
    for entry in range(template_mount_first[template], template_mount_last[template]):
        volume = mount_attachable[entry]
        if volume < 0:
            driver_attached[mount_driver[entry], node] += sign
            continue
        before, attachment = -1, attachable_first[volume]
        while attachment >= 0 and attachment_node[attachment] != node:
            before, attachment = attachment, attachment_next[attachment]
        if attachment < 0:
            attachment = cluster_free_attachment[0]
            cluster_free_attachment[0] = attachment_next[attachment]
            attachment_node[attachment], attachment_pods[attachment] = node, 0
            attachment_next[attachment] = attachable_first[volume]
            attachable_first[volume] = attachment
            before = -1
            driver_attached[attachable_driver[volume], node] += 1
        attachment_pods[attachment] += sign
        if attachment_pods[attachment] <= 0:
            if before >= 0:
                attachment_next[before] = attachment_next[attachment]
            else:
                attachable_first[volume] = attachment_next[attachment]
            attachment_next[attachment] = cluster_free_attachment[0]
            cluster_free_attachment[0] = attachment
            driver_attached[attachable_driver[volume], node] -= 1


@kernel
def may_detach(template: int, other: int, added: int, template_mounts: Any) -> bool:
    """Tell whether a pod went that mounted any claim: kube-scheduler's hint asks no more than that either."""
    return added == 0 and template_mounts[other] != 0


def _used(building: Building) -> bool:
    drivers, surroundings = _limited(building), building.nodes.surroundings
    return bool(drivers) and any(
        driver in drivers
        for template in building.templates
        for driver in (*template.description.own_drivers, *(one for one, _ in handles(surroundings, template)))
    )


def _reasons(resources: list[str]) -> list[str]:
    return ["node(s) exceed max volume count"]


LIMITS = Plugin(
    NAME, rank=90, late=over_limit, reasons=_reasons, reserve=attach, hint=may_detach, plan=_plan, fill=_fill,
    lists=("mount",), used=_used, standard=True,
)  # fmt: skip
