"""VolumeZone: a volume with labels of a zone or region is for nodes there.

Rules: pkg/scheduler/framework/plugins/volumezone of Kubernetes v1.34.1. A value may name several zones, joined by two
underscores; a node without any zone or region label takes every volume.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from kscale.kernels import kernel
from kscale.scheduler.plugins import Bar, Plugin
from kscale.scheduler.volumes import EVERYWHERE, is_within, reach_of
from kscale.state.building import Building, Mask
from kscale.state.descriptions import NodeDescriptions, PodDescription, PodTemplate, Surroundings
from kscale.state.labels import Requirement
from kscale.state.schema import Column, NewTable, bounds

#: Labels of volumes that bind them to a place, and the labels of nodes that may stand in for them.
PLACES = {
    "failure-domain.beta.kubernetes.io/zone": "topology.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region": "topology.kubernetes.io/region",
    "topology.kubernetes.io/zone": "topology.kubernetes.io/zone",
    "topology.kubernetes.io/region": "topology.kubernetes.io/region",
}
_SEPARATOR = "__"
#: A label of a volume with the values that it allows.
Place = tuple[str, frozenset[str]]

COLUMNS = {
    "place": NewTable(
        "What the places of a template's volumes come to, where they bind it at all.",
        (Column("reach", "int64", "The nodes there: see volume_reach."),),
    ),
    "template": (*bounds("place"),),
}


def places(surroundings: Surroundings, claims: tuple[str, ...]) -> frozenset[Place]:
    """Return the places that the volumes of these claims are bound to; a value with an empty part says nothing."""
    found = set()
    for name in claims:
        claim = surroundings.claims.get(name)
        volume = surroundings.volumes.get(claim.volume) if claim is not None else None
        for key, value in volume.labels if volume is not None else ():
            values = frozenset(part.strip() for part in value.split(_SEPARATOR))
            if key in PLACES and "" not in values:
                found.add((key, values))
    return frozenset(found)


def within(nodes: NodeDescriptions, wanted: frozenset[Place]) -> Mask:
    """Return the nodes that are in all of these places."""
    labels = nodes.labels
    inside = np.ones(len(nodes), bool)
    for key, values in wanted:
        allowed = tuple(values)
        own = labels.matches((Requirement(key, "Exists"),))
        inside &= np.where(
            own,
            labels.matches((Requirement(key, "In", allowed),)),
            labels.matches((Requirement(PLACES[key], "In", allowed),)),
        )
    placed = np.zeros(len(nodes), bool)
    for key in PLACES:
        placed |= labels.matches((Requirement(key, "Exists"),))
    return inside | ~placed


def _plan(building: Building) -> None:
    known: dict[frozenset[Place], int] = {frozenset(): EVERYWHERE}
    for index, template in enumerate(building.templates):
        wanted = _places_of(building, template)
        if wanted not in known:
            known[wanted] = reach_of(building, within(building.nodes, wanted))
        if known[wanted] != EVERYWHERE:
            building.append("place", index, reach=known[wanted])


def _places_of(building: Building, template: PodTemplate) -> frozenset[Place]:
    return places(building.nodes.surroundings, template.description.claims)


def barred(nodes: NodeDescriptions, pod: PodDescription) -> Bar | None:
    """Turn a pod away whose claims have no volume, unless their class waits for the pod to be placed."""
    surroundings = nodes.surroundings
    for name in pod.claims:
        claim = surroundings.claims.get(name)
        if claim is None:
            return Bar(f'persistentvolumeclaim "{name.partition("/")[2]}" not found')
        if claim.volume:
            if claim.volume not in surroundings.volumes:
                return Bar(f'persistentvolume "{claim.volume}" not found')
        elif not claim.storage_class:
            return Bar("PersistentVolumeClaim had no pv name and storageClass name")
        elif claim.storage_class not in surroundings.classes:
            return Bar(f'storageclass.storage.k8s.io "{claim.storage_class}" not found')
        elif not surroundings.classes[claim.storage_class].waits:
            return Bar("PersistentVolume had no name")
    return None


@kernel
def elsewhere(
    template: int, first: int, last: int, reason: int, sums: Any,
    template_place_first: Any, template_place_last: Any, place_reach: Any, nodemask_node: Any,
) -> None:  # fmt: skip
    """Reject the nodes that are not where the pod's volumes are."""
    for entry in range(template_place_first[template], template_place_last[template]):
        reach = place_reach[entry]
        for node in range(first, last):
            if sums[node] >= 0 and not is_within(reach, node, nodemask_node):
                sums[node] = np.int32(-1 - (1 << reason))


def _used(building: Building) -> bool:
    return any(template.description.claims for template in building.templates)


def _reasons(resources: list[str]) -> list[str]:
    return ["node(s) had no available volume zone"]


ZONE = Plugin(
    "VolumeZone", rank=110, late=elsewhere, reasons=_reasons, unresolvable=(0,), bar=barred, plan=_plan,
    lists=("place",), used=_used, standard=True,
)  # fmt: skip
