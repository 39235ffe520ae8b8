"""How nodes are described, and what pods ask: the input of intake and of every plug-in.

A ``PodTemplate`` is all that the scheduler reads of a pod; pods that it cannot tell apart share one. A
``PodDescription`` is the part of it that asks something of how nodes are described.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from kscale.state.labels import Labels, Requirement, Taint, Term, Toleration
from kscale.state.lives import PodLife

#: The scheduler's name where a pod states none.
DEFAULT_SCHEDULER = "default-scheduler"


@dataclass(frozen=True)
class Selector:
    """A label selector: all requirements must hold; none at all select everything.

    Where a selector is missing (None in place of a ``Selector``), nothing is selected.
    """

    requirements: tuple[Requirement, ...] = ()


@dataclass(frozen=True)
class PodTerm:
    """A term of pod affinity or anti-affinity, ``matchLabelKeys`` merged into the selector.

    Attributes:
        topology_key: the node label whose values are the domains.
        selector: the pods that count.
        namespaces: names of namespaces in which they count.
        namespace_selector: further namespaces by their labels; None adds none.
            With neither, the pod's own namespace counts (filled into ``namespaces`` by the reader).
    """

    topology_key: str
    selector: Selector | None
    namespaces: tuple[str, ...] = ()
    namespace_selector: Selector | None = None


@dataclass(frozen=True)
class SpreadConstraint:
    """A topology spread constraint, ``matchLabelKeys`` merged into the selector.

    Attributes:
        hard: DoNotSchedule; otherwise ScheduleAnyway.
        min_domains: None where not stated.
        honor_affinity: whether only nodes that pass the pod's node selector and affinity count.
        honor_taints: whether only nodes whose taints it tolerates count.
    """

    max_skew: int
    topology_key: str
    hard: bool
    selector: Selector | None
    min_domains: int | None = None
    honor_affinity: bool = True
    honor_taints: bool = False


@dataclass(frozen=True)
class Disk:
    """A volume named in the pod itself that not every pod may share.

    Attributes:
        kind: ``gcePersistentDisk``, ``awsElasticBlockStore``, ``iscsi`` or ``rbd``.
        names: what makes it the same disk (for rbd: pool, image, then the monitors; one common monitor is enough).
        read_only: whether it is mounted read-only.
    """

    kind: str
    names: tuple[str, ...]
    read_only: bool = False


@dataclass(frozen=True)
class PodDescription:
    """What a pod asks of a node's description. Templates that ask the same share a row of planes.

    Attributes:
        node_selector: labels that the node must have.
        terms: required node affinity, alternatives; None asks for nothing, an empty tuple matches nothing.
        preferred: (weight, term) pairs.
        tolerations: in the pod's order.
        node_name: ``spec.nodeName`` of a pod that has yet to be placed.
        profile: the name of the scheduler that takes the pod.
        images: image names, one per init and ordinary container, tag included.
        claims: claims it mounts, as ``namespace/name``.
        own_drivers: CSI drivers of volumes that each of its pods has for itself, and any node can use; sorted, one for
            each volume.
    """

    node_selector: tuple[tuple[str, str], ...] = ()
    terms: tuple[Term, ...] | None = None
    preferred: tuple[tuple[int, Term], ...] = ()
    tolerations: tuple[Toleration, ...] = ()
    node_name: str = ""
    profile: str = DEFAULT_SCHEDULER
    images: tuple[str, ...] = ()
    claims: tuple[str, ...] = ()
    own_drivers: tuple[str, ...] = ()


@dataclass(frozen=True)
class PodTemplate:
    """All that the scheduler reads of a pod.

    Attributes:
        description: what it asks of a node's description.
        namespace: its namespace.
        labels: sorted pairs.
        requests: (resource, amount) pairs sorted by name; cpu in milli; true sums, overhead included; ``pods`` left
            out. A resource that is stated as 0 may be left out.
        nonzero: cpu (milli) and memory (bytes) as the allocation scores count them (None: as a frame's row says).
        scored: the same of the pod that is being placed, where it differs: kube-scheduler v1.34.1 then leaves out what
            is requested for the pod as a whole. None where it is the same.
        priority: after admission.
        preempts: False with preemptionPolicy Never.
        ports: sorted (protocol, host IP, host port) triples; the IP is 0.0.0.0 where none is stated.
        spread: the pod's own constraints, in order.
        default_selector: selector of the default spreading constraints (services and owner merged); None for a pod
            that no service selects and no known controller owns.
        affinity, anti_affinity: required terms.
        preferred_affinity, preferred_anti_affinity: (weight, term) pairs.
        disks: volumes named in the pod itself.
        gates: names of its scheduling gates, in order.
        terminating: whether it has a deletion timestamp.
        devices: (device class, count) pairs that its resource claims ask for, and ``device_claims``: the claims by
            ``namespace/name`` that it shares with other pods.
        life: what its kubelet reads; None in runs without kubelets.
        claimant: ``namespace/name`` of the StatefulSet some of whose ordinals go by templates with claims of their own;
            empty for all other templates.
        refused: why the API server refuses pods that controllers would make of it; empty where it takes them.
    """

    description: PodDescription = PodDescription()
    namespace: str = "default"
    labels: tuple[tuple[str, str], ...] = ()
    requests: tuple[tuple[str, int], ...] = ()
    nonzero: tuple[int, int] | None = None
    priority: int = 0
    preempts: bool = True
    ports: tuple[tuple[str, str, int], ...] = ()
    spread: tuple[SpreadConstraint, ...] = ()
    default_selector: Selector | None = None
    affinity: tuple[PodTerm, ...] = ()
    anti_affinity: tuple[PodTerm, ...] = ()
    preferred_affinity: tuple[tuple[int, PodTerm], ...] = ()
    preferred_anti_affinity: tuple[tuple[int, PodTerm], ...] = ()
    disks: tuple[Disk, ...] = ()
    gates: tuple[str, ...] = ()
    terminating: bool = False
    devices: tuple[tuple[str, int], ...] = ()
    device_claims: tuple[str, ...] = ()
    scored: tuple[int, int] | None = None
    life: PodLife | None = None
    claimant: str = ""
    refused: str = ""


@dataclass(frozen=True)
class Volume:
    """A PersistentVolume.

    Attributes:
        capacity: bytes.
        terms: required node affinity; None asks for nothing.
        labels: all of its labels (zone and region labels bind it to a zone).
        driver, handle: of its CSI source; empty for another source.
        claim: ``namespace/name`` of the claim it is reserved for or bound to, and ``claim_uid``, where stated.
        phase: status.phase.
    """

    name: str
    capacity: int = 0
    access_modes: tuple[str, ...] = ()
    storage_class: str = ""
    mode: str = "Filesystem"
    terms: tuple[Term, ...] | None = None
    labels: tuple[tuple[str, str], ...] = ()
    driver: str = ""
    handle: str = ""
    claim: str = ""
    claim_uid: str = ""
    phase: str = ""


@dataclass(frozen=True)
class Claim:
    """A PersistentVolumeClaim.

    Attributes:
        name: ``namespace/name``.
        storage_class: None where the field is missing, "" where it is empty.
        bound: whether it is fully bound (volume named and the bind-completed annotation there).
        selected_node: of its annotation; empty where there is none.
        deleted: whether it has a deletion timestamp.
        lives: whether it is bound for good once its pod is placed, as volume controllers do; otherwise it is only told
            where its volume is to be.
    """

    name: str
    uid: str = ""
    request: int = 0
    access_modes: tuple[str, ...] = ()
    storage_class: str | None = None
    mode: str = "Filesystem"
    selector: Selector | None = None
    volume: str = ""
    bound: bool = False
    selected_node: str = ""
    deleted: bool = False
    lives: bool = False


@dataclass(frozen=True)
class StorageClass:
    """A StorageClass.

    Attributes:
        topologies: its allowedTopologies as terms; empty allows every node.
        realm: node labels that bind a volume which is made: only nodes that share the values of the one that it is made
            for can use it. Empty where every node can.
    """

    name: str
    provisioner: str = ""
    waits: bool = False
    topologies: tuple[Term, ...] = ()
    realm: tuple[str, ...] = ()


@dataclass(frozen=True)
class DisruptionBudget:
    """A PodDisruptionBudget: whom it covers, and how many disruptions its status allows now.

    ``disrupted`` are the names of pods whose disruption is already counted (status.disruptedPods).
    """

    name: str
    namespace: str
    selector: Selector | None
    allowed: int
    disrupted: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Surroundings:
    """What else decides where a pod may go, beside nodes and pods.

    Attributes:
        namespaces: labels by name.
        volumes, claims, classes: by name.
        limits: per node row, (CSI driver, most volumes or None) of its CSINode; a node without one is missing.
        budgets: in the order given.
        device_counts: per device class, how many devices each node has (node row, count).
    """

    namespaces: dict[str, dict[str, str]] = field(default_factory=dict)
    volumes: dict[str, Volume] = field(default_factory=dict)
    claims: dict[str, Claim] = field(default_factory=dict)
    classes: dict[str, StorageClass] = field(default_factory=dict)
    limits: dict[int, tuple[tuple[str, int | None], ...]] = field(default_factory=dict)
    budgets: tuple[DisruptionBudget, ...] = ()
    device_counts: dict[str, tuple[tuple[int, int], ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class NodeDescriptions:
    """How all nodes are described, by row.

    Attributes:
        names: node names.
        labels: label columns.
        taint_sets: the distinct lists of taints.
        taint_set: int32 (node,), which list each node has.
        unschedulable: bool (node,).
        image_sets: the distinct sets of images, each as sorted (name, bytes) pairs; ``image_set`` int32 (node,).
        surroundings: what else decides where a pod may go.
        configurations: per profile name, its arguments for the plug-ins (kscale.scheduler.configuration).
    """

    names: tuple[str, ...]
    labels: Labels
    taint_sets: tuple[tuple[Taint, ...], ...]
    taint_set: npt.NDArray[np.int32]
    unschedulable: npt.NDArray[np.bool_]
    image_sets: tuple[tuple[tuple[str, int], ...], ...] = ((),)
    image_set: npt.NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))
    surroundings: Surroundings = field(default_factory=Surroundings)
    configurations: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def images(self) -> dict[str, tuple[npt.NDArray[np.int64], int, float]]:
        """Per image: the image sets that hold it, its size in bytes, and the share of nodes that have it.

        kube-scheduler keeps one size per image: that of the first node that it saw with it.
        """
        found: dict[str, tuple[list[int], int]] = {}
        order = dict.fromkeys(self.image_set.tolist())
        for row in order:
            for name, size in dict(reversed(self.image_sets[row])).items():
                found.setdefault(name, ([], size))[0].append(row)
        counts = np.bincount(self.image_set, minlength=len(self.image_sets))
        return {
            name: (np.array(rows, np.int64), size, float(counts[rows].sum()) / float(max(len(self), 1)))
            for name, (rows, size) in found.items()
        }

    def matches(self, term: Term) -> npt.NDArray[np.bool_]:
        """Return which nodes match a term of node affinity, ``matchFields`` included; an empty term matches none."""
        fields = [requirement for requirement in term if requirement.field]
        if not fields:
            return self.labels.matches(term)
        expressions = tuple(requirement for requirement in term if not requirement.field)
        result = self.labels.matches(expressions) if expressions else np.ones(len(self), bool)
        for requirement in fields:
            named = np.array([name in requirement.values for name in self.names], bool)
            result &= ~named if requirement.operator == "NotIn" else named
        return result
