"""Claims of StatefulSets: what each ordinal's come to, and which ordinals need a template of their own.

A pod of ordinal ``i`` mounts the claims ``<template>-<set>-<i>``. Where any node can use their volumes, and these are
there or will be made, the scheduler cannot tell ordinals apart: all go by the set's template, with a count of volumes
by CSI driver. Every other ordinal gets a template that names its claims.

Claims of classes with Immediate binding are settled here, ordinals in order, as the volume controllers would settle
them whatever the scheduler does: by the smallest volume that is free and fits, else by one that the class makes. Where
that is made is the driver's choice in Kubernetes. Assumed here, for a class with a realm: ordinals go round the places
that the class allows. Where neither is possible, the claim stays unbound, and its pod is turned away.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from kscale.state.descriptions import Claim, PodTemplate, StorageClass, Surroundings, Volume
from kscale.state.labels import Labels, Requirement, Term
from kscale.state.lives import PodLife
from kscale.state.manifests.inventory import NodeObject, Ordinals

#: The class's provisioner where volumes are never made.
NO_PROVISIONER = "kubernetes.io/no-provisioner"
#: Labels of volumes that bind them to a place (kube-scheduler's VolumeZone).
_PLACES = frozenset(
    f"{domain}/{level}"
    for domain in ("failure-domain.beta.kubernetes.io", "topology.kubernetes.io")
    for level in ("zone", "region")
)


@dataclass(frozen=True)
class Claimant:
    """A StatefulSet whose pods have claims.

    Attributes:
        start: its first ordinal.
        claims: its volumeClaimTemplates, called as they are.
    """

    namespace: str
    name: str
    start: int
    claims: tuple[Claim, ...]

    def claim(self, template: Claim, ordinal: int) -> str:
        """Return what the claim of an ordinal is called, as ``namespace/name``."""
        return f"{self.namespace}/{template.name}-{self.name}-{ordinal}"


@dataclass
class Claiming:
    """Settles claims; volumes and claims that it makes or binds stand in ``surroundings`` then."""

    surroundings: Surroundings
    nodes: list[NodeObject]

    def __post_init__(self) -> None:
        self._free: dict[str, list[Volume]] = {}
        self._settled: dict[str, Claim] = {}
        for volume in sorted(self.surroundings.volumes.values(), key=lambda one: one.capacity):
            if volume.phase == "Available" and not volume.claim:
                self._free.setdefault(volume.storage_class, []).append(volume)
        self._kept = {volume.claim for volume in self.surroundings.volumes.values()}
        self._offered = {one.storage_class for one in self.surroundings.volumes.values() if one.phase == "Available"}

    def ordinals(self, claimant: Claimant, most: int, base: PodTemplate) -> tuple[PodTemplate, dict[int, PodTemplate]]:
        """Return the template of a set's pods, and those of the ordinals that need their own, of its first ``most``."""
        own: dict[int, list[str]] = {}
        for ordinal in range(claimant.start, claimant.start + most):
            claims = [self._claim(claimant, template, ordinal) for template in claimant.claims]
            if not all(self._is_alike(claim) for claim in claims):
                own[ordinal] = [claim.name for claim in claims]
                self.surroundings.claims.update((claim.name, claim) for claim in claims)
        description = base.description
        drivers = sorted(
            one.provisioner
            for one in (self.surroundings.classes.get(claim.storage_class or "") for claim in claimant.claims)
            if one is not None and _provisions(one)
        )
        shared = replace(
            base, description=replace(description, own_drivers=tuple(drivers)),
            life=base.life and replace(base.life, own_claims=len(claimant.claims)),
            claimant=f"{claimant.namespace}/{claimant.name}" if own else "",
        )  # fmt: skip
        return shared, {ordinal: _with_claims(base, names) for ordinal, names in own.items()}

    def _claim(self, claimant: Claimant, template: Claim, ordinal: int) -> Claim:
        """Return an ordinal's claim as it stands when its pod is tried: the one that is there, or one that is made."""
        name = claimant.claim(template, ordinal)
        if name not in self._settled:
            found = self.surroundings.claims.get(name, replace(template, name=name, lives=True))
            if not found.bound and not found.volume and not found.deleted and not self._waits(found):
                found = self._bind(found, ordinal)
            self._settled[name] = found
        return self._settled[name]

    def _waits(self, claim: Claim) -> bool:
        storage_class = self.surroundings.classes.get(claim.storage_class or "")
        return storage_class is not None and storage_class.waits

    def _is_alike(self, claim: Claim) -> bool:
        """Tell whether a claim says no more of its pod's node than a count of volumes of the class's driver."""
        storage_class = self.surroundings.classes.get(claim.storage_class or "")
        if storage_class is None or not _provisions(storage_class) or claim.deleted:
            return False
        if claim.bound:
            volume = self.surroundings.volumes.get(claim.volume)
            return volume is not None and volume.terms is None and not any(key in _PLACES for key, _ in volume.labels)
        if claim.volume or not storage_class.waits or storage_class.realm or storage_class.topologies:
            return False
        return claim.name not in self._kept and storage_class.name not in self._offered

    def _bind(self, claim: Claim, ordinal: int) -> Claim:
        """Return a claim of Immediate binding, bound where that is possible."""
        volumes = self.surroundings.volumes
        free = self._free.get(claim.storage_class or "", [])
        volume = next((one for one in _fitting(free, claim)), None)
        storage_class = self.surroundings.classes.get(claim.storage_class or "")
        if volume is not None:
            free.remove(volume)
        elif storage_class is not None and _provisions(storage_class):
            made = f"pvc-{claim.name.replace('/', '-')}"
            terms = self._terms(storage_class, ordinal)
            volume = Volume(
                made, claim.request, claim.access_modes, storage_class.name, claim.mode, terms,
                driver=storage_class.provisioner, handle=made,
            )  # fmt: skip
        else:
            return claim
        volumes[volume.name] = replace(volume, claim=claim.name, phase="Bound")
        return replace(claim, volume=volume.name, bound=True)

    def _terms(self, storage_class: StorageClass, ordinal: int) -> tuple[Term, ...] | None:
        """Return the affinity of a volume that a class makes for an ordinal; None binds it to no place."""
        if not storage_class.realm:
            return None
        places = sorted(set(self._places(storage_class)))
        if not places:
            return storage_class.topologies or None
        values = places[ordinal % len(places)]
        return (tuple(Requirement(k, "In", (v,)) for k, v in zip(storage_class.realm, values, strict=True)),)

    def _places(self, storage_class: StorageClass) -> Iterator[tuple[str, ...]]:
        for node in self.nodes:
            if all(key in node.labels for key in storage_class.realm):
                allowed = [
                    all(node.labels.get(one.key) in one.values for one in term) for term in storage_class.topologies
                ]
                if any(allowed) or not allowed:
                    yield tuple(node.labels[key] for key in storage_class.realm)


def _provisions(storage_class: StorageClass) -> bool:
    return storage_class.provisioner not in ("", NO_PROVISIONER)


def _fitting(volumes: Iterable[Volume], claim: Claim) -> Iterator[Volume]:
    """Yield the volumes that would do for a claim (FindMatchingVolume of Kubernetes v1.34.1's component-helpers)."""
    modes = frozenset(claim.access_modes)
    for volume in volumes:
        fits = volume.capacity >= claim.request and volume.mode == claim.mode and modes.issubset(volume.access_modes)
        if fits and claim.selector is not None:
            labels = Labels([dict(volume.labels)])
            fits = all(bool(labels.matches((one,))[0]) for one in claim.selector.requirements)
        if fits:
            yield volume


def _with_claims(base: PodTemplate, names: list[str]) -> PodTemplate:
    claims = tuple(dict.fromkeys((*base.description.claims, *names)))
    life: PodLife | None = base.life and replace(base.life, claims=(*base.life.claims, *names))
    return replace(base, description=replace(base.description, claims=claims), life=life)


def settle(
    claimants: Mapping[int, tuple[Claimant, int]], wanted: list[int], distinct: dict[PodTemplate, int],
    surroundings: Surroundings, nodes: list[NodeObject],
) -> list[Ordinals]:  # fmt: skip
    """Give the sets' pods the templates that their claims make of them; return those of single ordinals.

    Args:
        claimants: by the handle of a wanted template: whose it is, and how many ordinals there may be.
        wanted: rows of templates by handle; those of claimants are changed.
        distinct: the templates with their rows; new ones are added.
        surroundings: claims and volumes that are made or bound are put there.
    """
    claiming = Claiming(surroundings, nodes)
    found: dict[int, Ordinals] = {}
    templates = list(distinct)
    for handle, (claimant, most) in claimants.items():
        shared, own = claiming.ordinals(claimant, most, templates[wanted[handle]])
        wanted[handle] = distinct.setdefault(shared, len(distinct))
        if own:
            rows = {ordinal: distinct.setdefault(one, len(distinct)) for ordinal, one in own.items()}
            found.setdefault(wanted[handle], Ordinals(wanted[handle], {})).rows.update(rows)
    return list(found.values())
