"""Kubernetes objects as typed, frozen structs: only the fields that matter for placing pods.

Every field may be missing or null, as the API server reads both alike. What a value may be beyond its type is
checked where it is converted.
"""

from __future__ import annotations

import datetime
from typing import Annotated

import msgspec

#: A quantity as it may stand in JSON: ``"500m"``, ``2``, ``0.5``; null is 0.
Quantity = str | int | float | None
Quantities = dict[str, Quantity]
Time = Annotated[datetime.datetime, msgspec.Meta(tz=True)]


class Part(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel", gc=False):
    """What all structs share: camelCase names as in the API; a missing field is not written."""


class Head(Part, frozen=True):
    """What tells an object's kind, or that it is a list of objects."""

    kind: str | None = None
    api_version: str | None = None
    items: list[msgspec.Raw] | msgspec.UnsetType | None = msgspec.UNSET


class Title(Part, frozen=True):
    """What tells an object's kind."""

    kind: str | None = None
    api_version: str | None = None


class OwnerReference(Part, frozen=True):
    """metav1.OwnerReference."""

    api_version: str | None = None
    kind: str | None = None
    name: str | None = None
    controller: bool | None = None


class Meta(Part, frozen=True):
    """metav1.ObjectMeta."""

    name: str | None = None
    generate_name: str | None = None
    namespace: str | None = None
    labels: dict[str, str] | None = None
    owner_references: tuple[OwnerReference, ...] | None = None
    creation_timestamp: Time | None = None
    deletion_timestamp: str | None = None


class NotedMeta(Meta, frozen=True):
    """metav1.ObjectMeta of the kinds whose annotations are read."""

    uid: str | None = None
    annotations: dict[str, str] | None = None


class SelectorRequirement(Part, frozen=True):
    """A requirement of a label selector, a node selector term, or (without operator) a topology selector term."""

    key: str | None = None
    operator: str | None = None
    values: tuple[str, ...] | None = None


class LabelSelector(Part, frozen=True):
    """metav1.LabelSelector."""

    match_labels: dict[str, str] | None = None
    match_expressions: tuple[SelectorRequirement, ...] | None = None


class NodeSelectorTerm(Part, frozen=True):
    """v1.NodeSelectorTerm."""

    match_expressions: tuple[SelectorRequirement, ...] | None = None
    match_fields: tuple[SelectorRequirement, ...] | None = None


class NodeSelector(Part, frozen=True):
    """v1.NodeSelector."""

    node_selector_terms: tuple[NodeSelectorTerm, ...] | None = None


class PreferredNodeTerm(Part, frozen=True):
    """v1.PreferredSchedulingTerm."""

    weight: int | None = None
    preference: NodeSelectorTerm | None = None


class NodeAffinity(Part, frozen=True):
    """v1.NodeAffinity."""

    required: NodeSelector | None = msgspec.field(default=None, name="requiredDuringSchedulingIgnoredDuringExecution")
    preferred: tuple[PreferredNodeTerm, ...] | None = msgspec.field(
        default=None, name="preferredDuringSchedulingIgnoredDuringExecution"
    )


class PodAffinityTerm(Part, frozen=True):
    """v1.PodAffinityTerm."""

    label_selector: LabelSelector | None = None
    topology_key: str | None = None
    namespaces: tuple[str, ...] | None = None
    namespace_selector: LabelSelector | None = None
    match_label_keys: tuple[str, ...] | None = None
    mismatch_label_keys: tuple[str, ...] | None = None


class WeightedPodTerm(Part, frozen=True):
    """v1.WeightedPodAffinityTerm."""

    weight: int | None = None
    pod_affinity_term: PodAffinityTerm | None = None


class PodAffinity(Part, frozen=True):
    """v1.PodAffinity and v1.PodAntiAffinity."""

    required: tuple[PodAffinityTerm, ...] | None = msgspec.field(
        default=None, name="requiredDuringSchedulingIgnoredDuringExecution"
    )
    preferred: tuple[WeightedPodTerm, ...] | None = msgspec.field(
        default=None, name="preferredDuringSchedulingIgnoredDuringExecution"
    )


class Affinity(Part, frozen=True):
    """v1.Affinity."""

    node_affinity: NodeAffinity | None = None
    pod_affinity: PodAffinity | None = None
    pod_anti_affinity: PodAffinity | None = None


class SpreadConstraint(Part, frozen=True):
    """v1.TopologySpreadConstraint."""

    max_skew: int | None = None
    topology_key: str | None = None
    when_unsatisfiable: str | None = None
    label_selector: LabelSelector | None = None
    min_domains: int | None = None
    node_affinity_policy: str | None = None
    node_taints_policy: str | None = None
    match_label_keys: tuple[str, ...] | None = None


class Toleration(Part, frozen=True):
    """v1.Toleration."""

    key: str | None = None
    operator: str | None = None
    value: str | None = None
    effect: str | None = None


class Resources(Part, frozen=True):
    """v1.ResourceRequirements of a container or a pod."""

    requests: Quantities | None = None
    limits: Quantities | None = None


class ContainerPort(Part, frozen=True):
    """v1.ContainerPort."""

    container_port: int | None = None
    host_port: int | None = None
    host_ip: str | None = msgspec.field(default=None, name="hostIP")
    protocol: str | None = None


class Container(Part, frozen=True):
    """v1.Container, also an init container."""

    name: str | None = None
    image: str | None = None
    resources: Resources | None = None
    ports: tuple[ContainerPort, ...] | None = None
    restart_policy: str | None = None


class ClaimSource(Part, frozen=True):
    """v1.PersistentVolumeClaimVolumeSource."""

    claim_name: str | None = None


class GcePersistentDisk(Part, frozen=True):
    """v1.GCEPersistentDiskVolumeSource."""

    pd_name: str | None = None
    read_only: bool | None = None


class AwsElasticBlockStore(Part, frozen=True):
    """v1.AWSElasticBlockStoreVolumeSource."""

    volume_id: str | None = msgspec.field(default=None, name="volumeID")


class Iscsi(Part, frozen=True):
    """v1.ISCSIVolumeSource."""

    iqn: str | None = None
    read_only: bool | None = None


class Rbd(Part, frozen=True):
    """v1.RBDVolumeSource."""

    monitors: tuple[str, ...] | None = None
    pool: str | None = None
    image: str | None = None
    read_only: bool | None = None


class EphemeralSource(Part, frozen=True):
    """v1.EphemeralVolumeSource: its claim is named after pod and volume."""


class Volume(Part, frozen=True):
    """v1.Volume: the sources that decide where a pod may go. Names differ from pod to pod and are left out."""

    persistent_volume_claim: ClaimSource | None = None
    ephemeral: EphemeralSource | None = None
    gce_persistent_disk: GcePersistentDisk | None = None
    aws_elastic_block_store: AwsElasticBlockStore | None = None
    iscsi: Iscsi | None = None
    rbd: Rbd | None = None


class VolumeName(Part, frozen=True):
    """The name of a v1.Volume."""

    name: str | None = None


class VolumeNames(Part, frozen=True):
    """The volumes' names of a v1.PodSpec."""

    volumes: tuple[VolumeName, ...] | None = None


class NamedVolumes(Part, frozen=True):
    """The volumes' names of a v1.Pod."""

    spec: VolumeNames | None = None


class Gate(Part, frozen=True):
    """v1.PodSchedulingGate."""

    name: str | None = None


class PodResourceClaim(Part, frozen=True):
    """v1.PodResourceClaim."""

    resource_claim_name: str | None = None
    resource_claim_template_name: str | None = None


class PodSpec(msgspec.Struct, kw_only=True, omit_defaults=True, rename="camel", gc=False):
    """v1.PodSpec. What differs from pod to pod is taken out after decoding, so that pods share it."""

    node_name: str | None = None
    node_selector: dict[str, str] | None = None
    affinity: Affinity | None = None
    tolerations: tuple[Toleration, ...] | None = None
    topology_spread_constraints: tuple[SpreadConstraint, ...] | None = None
    containers: tuple[Container, ...] | None = None
    init_containers: tuple[Container, ...] | None = None
    overhead: Quantities | None = None
    resources: Resources | None = None
    host_network: bool | None = None
    priority: int | None = None
    priority_class_name: str | None = None
    preemption_policy: str | None = None
    scheduler_name: str | None = None
    scheduling_gates: tuple[Gate, ...] | None = None
    volumes: tuple[Volume, ...] | None = None
    resource_claims: tuple[PodResourceClaim, ...] | None = None
    restart_policy: str | None = None
    runtime_class_name: str | None = None


class Fields(Part, frozen=True):
    """A pod's spec by the names of its fields."""

    spec: dict[str, msgspec.Raw] | None = None


class Condition(Part, frozen=True):
    """v1.PodCondition."""

    type: str | None = None
    reason: str | None = None


class ContainerStatus(Part, frozen=True):
    """v1.ContainerStatus: what was really allotted, during and after a resize."""

    name: str | None = None
    resources: Resources | None = None
    allocated_resources: Quantities | None = None


class Allotment(Part, frozen=True):
    """What a pod's status says of resources; ``infeasible``: the resize that it waits for cannot be."""

    container_statuses: tuple[ContainerStatus, ...] | None = None
    init_container_statuses: tuple[ContainerStatus, ...] | None = None
    infeasible: bool = False


class PodStatus(Part, frozen=True):
    """v1.PodStatus."""

    phase: str | None = None
    start_time: Time | None = None
    conditions: tuple[Condition, ...] | None = None
    container_statuses: tuple[ContainerStatus, ...] | None = None
    init_container_statuses: tuple[ContainerStatus, ...] | None = None


class Pod(Part, frozen=True):
    """v1.Pod."""

    metadata: Meta | None = None
    spec: PodSpec | None = None
    status: PodStatus | None = None
