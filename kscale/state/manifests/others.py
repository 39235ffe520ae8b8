"""The structs of all kinds beside pods; like ``models``."""

from __future__ import annotations

import msgspec

from kscale.state.manifests.models import LabelSelector, Meta, NodeSelector, NotedMeta, Part, Quantities


class Taint(Part, frozen=True):
    """v1.Taint."""

    key: str | None = None
    value: str | None = None
    effect: str | None = None


class NodeSpec(Part, frozen=True):
    """v1.NodeSpec."""

    taints: tuple[Taint, ...] | None = None
    unschedulable: bool | None = None


class Image(Part, frozen=True):
    """v1.ContainerImage."""

    names: tuple[str, ...] | None = None
    size_bytes: int | None = None


class NodeStatus(Part, frozen=True):
    """v1.NodeStatus."""

    allocatable: Quantities | None = None
    capacity: Quantities | None = None
    images: tuple[Image, ...] | None = None


class Node(Part, frozen=True):
    """v1.Node."""

    metadata: Meta | None = None
    spec: NodeSpec | None = None
    status: NodeStatus | None = None


class Plain(Part, frozen=True):
    """An object of which only the name and the labels are read."""

    metadata: Meta | None = None


class MapSelectorSpec(Part, frozen=True):
    """Spec of a Service or a ReplicationController: the selector is a mapping."""

    selector: dict[str, str] | None = None
    template: Plain | None = None


class MapSelected(Part, frozen=True):
    """v1.Service and v1.ReplicationController."""

    metadata: Meta | None = None
    spec: MapSelectorSpec | None = None


class SelectorSpec(Part, frozen=True):
    """Spec of a ReplicaSet or a StatefulSet."""

    selector: LabelSelector | None = None


class Selected(Part, frozen=True):
    """apps/v1 ReplicaSet and StatefulSet."""

    metadata: Meta | None = None
    spec: SelectorSpec | None = None


class PriorityClass(Part, frozen=True):
    """scheduling.k8s.io/v1 PriorityClass."""

    metadata: Meta | None = None
    value: int | None = None
    global_default: bool | None = None
    preemption_policy: str | None = None


class Reference(Part, frozen=True):
    """v1.ObjectReference."""

    namespace: str | None = None
    name: str | None = None
    uid: str | None = None


class CsiSource(Part, frozen=True):
    """v1.CSIPersistentVolumeSource."""

    driver: str | None = None
    volume_handle: str | None = None


class VolumeNodeAffinity(Part, frozen=True):
    """v1.VolumeNodeAffinity."""

    required: NodeSelector | None = None


class VolumeSpec(Part, frozen=True):
    """v1.PersistentVolumeSpec."""

    capacity: Quantities | None = None
    access_modes: tuple[str, ...] | None = None
    storage_class_name: str | None = None
    volume_mode: str | None = None
    node_affinity: VolumeNodeAffinity | None = None
    csi: CsiSource | None = None
    claim_ref: Reference | None = None
    gce_persistent_disk: dict[str, msgspec.Raw] | None = None
    aws_elastic_block_store: dict[str, msgspec.Raw] | None = None
    azure_disk: dict[str, msgspec.Raw] | None = None
    cinder: dict[str, msgspec.Raw] | None = None
    vsphere_volume: dict[str, msgspec.Raw] | None = None


class Phase(Part, frozen=True):
    """The phase of a status."""

    phase: str | None = None


class PersistentVolume(Part, frozen=True):
    """v1.PersistentVolume."""

    metadata: NotedMeta | None = None
    spec: VolumeSpec | None = None
    status: Phase | None = None


class ClaimResources(Part, frozen=True):
    """v1.VolumeResourceRequirements."""

    requests: Quantities | None = None


class ClaimSpec(Part, frozen=True):
    """v1.PersistentVolumeClaimSpec."""

    access_modes: tuple[str, ...] | None = None
    resources: ClaimResources | None = None
    storage_class_name: str | None = None
    volume_mode: str | None = None
    volume_name: str | None = None
    selector: LabelSelector | None = None


class PersistentVolumeClaim(Part, frozen=True):
    """v1.PersistentVolumeClaim."""

    metadata: NotedMeta | None = None
    spec: ClaimSpec | None = None


class TopologyRequirement(Part, frozen=True):
    """v1.TopologySelectorLabelRequirement."""

    key: str | None = None
    values: tuple[str, ...] | None = None


class TopologyTerm(Part, frozen=True):
    """v1.TopologySelectorTerm."""

    match_label_expressions: tuple[TopologyRequirement, ...] | None = None


class StorageClass(Part, frozen=True):
    """storage.k8s.io/v1 StorageClass."""

    metadata: NotedMeta | None = None
    provisioner: str | None = None
    volume_binding_mode: str | None = None
    parameters: dict[str, str] | None = None
    allowed_topologies: tuple[TopologyTerm, ...] | None = None


class DriverCount(Part, frozen=True):
    """storage.k8s.io/v1 VolumeNodeResources."""

    count: int | None = None


class CsiDriver(Part, frozen=True):
    """storage.k8s.io/v1 CSINodeDriver."""

    name: str | None = None
    allocatable: DriverCount | None = None


class CsiNodeSpec(Part, frozen=True):
    """storage.k8s.io/v1 CSINodeSpec."""

    drivers: tuple[CsiDriver, ...] | None = None


class CsiNode(Part, frozen=True):
    """storage.k8s.io/v1 CSINode."""

    metadata: Meta | None = None
    spec: CsiNodeSpec | None = None


class BudgetStatus(Part, frozen=True):
    """policy/v1 PodDisruptionBudgetStatus."""

    disruptions_allowed: int | None = None
    disrupted_pods: dict[str, msgspec.Raw] | None = None


class PodDisruptionBudget(Part, frozen=True):
    """policy/v1 PodDisruptionBudget."""

    metadata: Meta | None = None
    spec: SelectorSpec | None = None
    status: BudgetStatus | None = None
