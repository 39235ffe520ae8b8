"""Volumes: which nodes can use them, which claims they would do for, and both as rows of tables.

Sets of nodes are codes: all nodes, none, one node (as local disks have) or a row of ``nodemask``. So fifty thousand
volumes on five thousand nodes need no table of both.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from kscale.kernels import inlined
from kscale.state.building import Building, Mask
from kscale.state.descriptions import (
    Claim,
    NodeDescriptions,
    PodDescription,
    Selector,
    Surroundings,
    Volume,
)
from kscale.state.labels import Labels, Term

#: Codes of sets of nodes; 0 and above are rows of nodemask, ``ONE_NODE`` less a node is that node alone.
EVERYWHERE, NOWHERE, ONE_NODE = -1, -2, -3
#: Where a claim's volume is to be made: not decided, or on a node that is not there.
UNDECIDED, UNKNOWN_NODE = -1, -2
#: The class's provisioner where volumes are never made.
NO_PROVISIONER = "kubernetes.io/no-provisioner"


def reach_of(building: Building, mask: Mask) -> int:
    """Return the code of a set of nodes; one for a single node, as local disks have, costs no row of nodemask."""
    nodes = np.flatnonzero(mask)
    if len(nodes) <= 1 < len(mask):
        return ONE_NODE - int(nodes[0]) if len(nodes) else NOWHERE
    return building.nodemask(mask) if len(nodes) else NOWHERE


@inlined
def is_within(reach: int, node: int, nodemask_node: Any) -> bool:
    """Tell whether a node is in a set by its code."""
    if reach >= 0:
        return nodemask_node[reach, node] != 0
    return reach == EVERYWHERE or reach == ONE_NODE - node


def reachable(nodes: NodeDescriptions, terms: tuple[Term, ...] | None) -> Mask:
    """Return the nodes that a volume's affinity allows; it sees their labels alone, not their names."""
    if terms is None:
        return np.ones(len(nodes), bool)
    found = np.zeros(len(nodes), bool)
    for term in terms:
        rest = tuple(requirement for requirement in term if not requirement.field)
        if term and all(requirement.operator == "NotIn" for requirement in term if requirement.field):
            found |= nodes.labels.matches(rest) if rest else np.ones(len(nodes), bool)
    return found


def is_bound_to(volume: Volume, claim: Claim) -> bool:
    """Tell whether the volume is kept for the claim; a uid counts where both state one."""
    return volume.claim == claim.name and (not volume.claim_uid or claim.uid in ("", volume.claim_uid))


def waits(surroundings: Surroundings, claim: Claim) -> bool:
    """Tell whether an unbound claim waits for a pod to be placed."""
    storage_class = surroundings.classes.get(claim.storage_class or "")
    return storage_class is not None and storage_class.waits and not claim.volume


def refusal(nodes: NodeDescriptions, pod: PodDescription) -> str | None:
    """Return why a pod's claims turn it away: one is missing, is being deleted, or should have been bound by now."""
    surroundings = nodes.surroundings
    for name in pod.claims:
        short = name.partition("/")[2]
        if name not in surroundings.claims:
            return f'persistentvolumeclaim "{short}" not found'
        if surroundings.claims[name].deleted:
            return f'persistentvolumeclaim "{short}" is being deleted'
    for name in pod.claims:
        claim = surroundings.claims[name]
        if not claim.bound and not waits(surroundings, claim):
            return "pod has unbound immediate PersistentVolumeClaims"
    return None


class Binding:
    """The claims that wait, and the volumes they may get, as rows."""

    def __init__(self, building: Building) -> None:
        self.building, self.surroundings = building, building.nodes.surroundings
        self.claims: dict[str, int] = {}
        self.volumes: dict[str, int] = {}
        self.candidates: list[int] = []
        self._wants: dict[object, tuple[int, int]] = {}
        self._reach: dict[object, int] = {}
        self._kept: dict[str, list[Volume]] = {}
        self._by_class: dict[str, list[Volume]] = {}
        self.realms: dict[tuple[str, ...], tuple[int, list[int]]] = {}
        for volume in self.surroundings.volumes.values():
            self._by_class.setdefault(volume.storage_class, []).append(volume)
            if volume.claim:
                self._kept.setdefault(volume.claim, []).append(volume)
        self.most = max((self._plan(index) for index in range(len(building.templates))), default=0)
        building.size("claim", len(self.claims))
        building.size("volume", len(self.volumes))
        building.size("candidate", len(self.candidates))
        building.size("choice", self.most)
        building.size("realm", len(self.realms))

    def reach(self, terms: tuple[tuple[Term, ...] | None, ...]) -> int:
        """Return the code of the nodes that can use volumes with these affinities."""
        if terms not in self._reach:
            masks = [reachable(self.building.nodes, each) for each in terms]
            mask = np.logical_and.reduce(masks) if masks else np.ones(len(self.building.nodes), bool)
            self._reach[terms] = reach_of(self.building, mask)
        return self._reach[terms]

    def provisions(self, claim: Claim) -> int:
        """Return the code of the nodes for which the claim's class can make a volume."""
        storage_class = self.surroundings.classes[claim.storage_class or ""]
        if storage_class.provisioner in ("", NO_PROVISIONER):
            return NOWHERE
        return self.reach((storage_class.topologies or None,))

    def realm(self, claim: Claim) -> int:
        """Return the row of who can use the volume that is made for a claim; -1 for one that does not live."""
        if not claim.lives:
            return -1
        keys = self.surroundings.classes[claim.storage_class or ""].realm
        if keys not in self.realms:
            self.realms[keys] = len(self.realms), self._reach_by_node(keys)
        return self.realms[keys][0]

    def _reach_by_node(self, keys: tuple[str, ...]) -> list[int]:
        """Return per node the nodes that share its values of these labels; all, where it lacks one of them."""
        building, labels = self.building, self.building.nodes.labels
        values = list(zip(*(labels.texts(key) for key in keys), strict=True)) or [()] * len(building.nodes)
        codes = {one: code for code, one in enumerate(dict.fromkeys(values))}
        code = np.array([codes[one] for one in values], np.int64)
        reach = [EVERYWHERE if None in one else reach_of(building, code == of) for one, of in codes.items()]
        return [reach[of] for of in code.tolist()]

    def claim(self, claim: Claim) -> int:
        """Return the row of a claim that waits."""
        if claim.name not in self.claims:
            self.claims[claim.name] = len(self.claims)
            self.want(claim)
            self.provisions(claim)
            self.realm(claim)
            kept = self.kept(claim)
            if kept is not None:
                self.volume(kept)
        return self.claims[claim.name]

    def volume(self, volume: Volume) -> int:
        """Return the row of a volume."""
        self.reach((volume.terms,))
        return self.volumes.setdefault(volume.name, len(self.volumes))

    def kept(self, claim: Claim) -> Volume | None:
        """Return the volume that is kept for a claim: the first that is large enough and of its mode and class."""
        for volume in self._kept.get(claim.name, ()):
            if volume.storage_class == claim.storage_class and is_bound_to(volume, claim):
                if volume.capacity >= claim.request and volume.mode == claim.mode:
                    return volume
        return None

    def want(self, claim: Claim) -> tuple[int, int]:
        """Return the bounds of the list of volumes that would do for the claim, and for others that ask the same."""
        modes = frozenset(claim.access_modes)
        want = (claim.storage_class, claim.request, claim.mode, claim.selector, modes)
        if want not in self._wants:
            volumes = self._by_class.get(claim.storage_class or "", [])
            selected = _selected(claim.selector, volumes)
            fitting = [
                volume for volume, good in zip(volumes, selected, strict=True)
                if good and not volume.claim and volume.phase == "Available" and volume.capacity >= claim.request
                and volume.mode == claim.mode and modes.issubset(volume.access_modes)
            ]  # fmt: skip
            first = len(self.candidates)
            self.candidates += [self.volume(volume) for volume in sorted(fitting, key=lambda v: v.capacity)]
            self._wants[want] = first, len(self.candidates)
        return self._wants[want]

    def _plan(self, index: int) -> int:
        """List the claims of a template; return how many wait. One that is turned away as a whole has no lists."""
        building, claims = self.building, self.surroundings.claims
        template = building.templates[index]
        if not template.description.claims or refusal(building.nodes, template.description) is not None:
            return 0
        mine = [claims[name] for name in template.description.claims]
        volumes = [self.surroundings.volumes.get(claim.volume) for claim in mine if claim.bound]
        before = volumes.index(None) if None in volumes else len(volumes)
        reach = self.reach(tuple(dict.fromkeys(volume.terms for volume in volumes[:before] if volume is not None)))
        if reach != EVERYWHERE or before < len(volumes):
            building.append("bound", index, reach=reach, missing=int(before < len(volumes)))
        waiting = sorted((claim for claim in mine if not claim.bound), key=lambda claim: claim.request)
        for claim in waiting:
            building.append("waiting", index, claim=self.claim(claim))
        return len(waiting)

    def fill(self, cluster: Any) -> None:
        """Write the tables of claims, volumes and candidates."""
        names = {name: row for row, name in enumerate(self.building.nodes.names)}
        cluster.candidate_volume[:] = self.candidates
        for row, reach in self.realms.values():
            cluster.realm_reach[row] = reach
        for name, row in self.volumes.items():
            cluster.volume_reach[row] = self.reach((self.surroundings.volumes[name].terms,))
        for name, row in self.claims.items():
            claim = self.surroundings.claims[name]
            cluster.claim_candidate_first[row], cluster.claim_candidate_last[row] = self.want(claim)
            cluster.claim_provisions[row] = self.provisions(claim)
            cluster.claim_realm[row] = self.realm(claim)
            if claim.selected_node:
                cluster.claim_node[row] = names.get(claim.selected_node, UNKNOWN_NODE)
            kept = self.kept(claim)
            if kept is not None:
                cluster.claim_volume[row] = self.volumes[kept.name]
                cluster.volume_claim[self.volumes[kept.name]] = row


def _selected(selector: Selector | None, volumes: list[Volume]) -> list[bool]:
    good = np.ones(len(volumes), bool)
    if selector is not None and selector.requirements:
        labels = Labels([dict(volume.labels) for volume in volumes])
        for requirement in selector.requirements:
            good &= labels.matches((requirement,))
    return good.tolist()
