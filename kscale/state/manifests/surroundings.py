"""All kinds beside pods become what ``kscale.state`` knows of nodes, volumes, budgets and namespaces."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from kscale.errors import InputError
from kscale.state.descriptions import Claim, DisruptionBudget, Selector, StorageClass, Volume
from kscale.state.labels import EFFECTS, Requirement, Taint, Term
from kscale.state.manifests import models, others
from kscale.state.manifests.admission import PREEMPTION, SYSTEM_CLASSES, Priority
from kscale.state.manifests.devices import Allocation
from kscale.state.manifests.faults import full_name, need, one_of
from kscale.state.manifests.inventory import NodeObject
from kscale.state.manifests.names import check_key, check_labels, check_value
from kscale.state.manifests.requests import allocatable, storage
from kscale.state.manifests.selectors import (
    INT32,
    equality_selector,
    keys_read,
    label_selector,
    node_terms,
)

NAMESPACE_LABEL = "kubernetes.io/metadata.name"
_CLASS_NOTE = "volume.beta.kubernetes.io/storage-class"
_BOUND_NOTE = "pv.kubernetes.io/bind-completed"
_SELECTED_NOTE = "volume.kubernetes.io/selected-node"
_DEFAULT_NOTES = ("storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class")
_MODES = ("Filesystem", "Block")
#: The parameter of a StorageClass that says, in kscale, that its volumes stay in a zone; and the label of zones.
_TOPOLOGY, ZONE_LABEL = "topology", "topology.kubernetes.io/zone"


@dataclass
class Kept:
    """What the objects beside pods amount to.

    Attributes:
        services: selectors by namespace, each under the first of its pairs.
        owners: selectors by (kind, namespace, name).
        keys: label keys that a selector reads, by the namespace of the pods that it looks at.
        drivers: (CSI driver, most volumes) by node name.
        ignored: what is not modelled.
    """

    nodes: list[NodeObject] = field(default_factory=list)
    namespaces: dict[str, dict[str, str]] = field(default_factory=dict)
    services: dict[str, dict[tuple[str, str], list[Selector]]] = field(default_factory=dict)
    owners: dict[tuple[str, str, str], Selector] = field(default_factory=dict)
    keys: dict[str, set[str]] = field(default_factory=dict)
    priorities: dict[str, Priority] = field(default_factory=lambda: dict(SYSTEM_CLASSES))
    volumes: dict[str, Volume] = field(default_factory=dict)
    claims: dict[str, Claim] = field(default_factory=dict)
    classes: dict[str, StorageClass] = field(default_factory=dict)
    default_classes: list[tuple[float, str]] = field(default_factory=list)
    drivers: dict[str, tuple[tuple[str, int | None], ...]] = field(default_factory=dict)
    budgets: list[DisruptionBudget] = field(default_factory=list)
    allocation: Allocation = field(default_factory=Allocation)
    ignored: Counter[str] = field(default_factory=Counter)

    def reads(self, namespace: str, keys: Iterable[str]) -> None:
        """Note that a selector reads ``keys`` of pods in ``namespace``."""
        self.keys.setdefault(namespace, set()).update(keys)


def add(kept: Kept, kind: str, found: object, namespace: str, name: str) -> None:
    """Add a decoded object. Raises InputError with the field that is wrong."""
    if isinstance(found, others.Node):
        kept.nodes.append(node_of(found, name))
    elif isinstance(found, others.MapSelected):
        _add_mapped(kept, kind, found, namespace, name)
    elif isinstance(found, others.Selected):
        selector = found.spec.selector if found.spec else None
        checked = label_selector(selector, "spec.selector")
        if checked is not None:
            kept.owners[kind, namespace, name] = checked
            kept.reads(namespace, keys_read(selector))
    elif isinstance(found, others.PriorityClass):
        kept.priorities[name] = _priority(found)
    elif isinstance(found, others.PersistentVolume):
        kept.volumes[name] = _volume(found, name)
        _count_source(kept, found.spec)
    elif isinstance(found, others.PersistentVolumeClaim):
        claim = claim_of(found, f"{namespace}/{name}")
        kept.claims[claim.name] = claim
    elif isinstance(found, others.StorageClass):
        kept.classes[name] = _storage_class(found, name)
        notes = (found.metadata.annotations if found.metadata else None) or {}
        if any(notes.get(note) == "true" for note in _DEFAULT_NOTES):
            created = found.metadata.creation_timestamp if found.metadata else None
            kept.default_classes.append((-created.timestamp() if created else 0.0, name))
    elif isinstance(found, others.CsiNode):
        kept.drivers[name] = _drivers(found)
    elif isinstance(found, others.PodDisruptionBudget):
        kept.budgets.append(_budget(found, namespace, name))
        kept.reads(namespace, keys_read(found.spec.selector if found.spec else None))
    elif kind == "Namespace" and isinstance(found, others.Plain):
        labels = (found.metadata.labels if found.metadata else None) or {}
        kept.namespaces[name] = {**labels, NAMESPACE_LABEL: name}
    else:
        kept.allocation.add(kind, found, namespace, name)


def node_of(node: others.Node, name: str) -> NodeObject:
    """Return a node; what it can allot defaults to its capacity. Raises InputError."""
    spec, status = node.spec or others.NodeSpec(), node.status or others.NodeStatus()
    taints = []
    for i, taint in enumerate(spec.taints or ()):
        where = f"spec.taints[{i}]"
        key = check_key(need(taint.key, f"{where}.key", "a taint key"), f"{where}.key")
        value = check_value(taint.value or "", f"{where}.value")
        effect = one_of(need(taint.effect, f"{where}.effect", "an effect"), EFFECTS, f"{where}.effect")
        taints.append(Taint(key, value, effect))
    offered = status.allocatable if status.allocatable is not None else status.capacity
    images = {}
    for i, image in enumerate(status.images or ()):
        size = image.size_bytes or 0
        if not 0 <= size < 1 << 63:
            raise InputError(f"is {size}", field=f"status.images[{i}].sizeBytes", expected="bytes")
        images.update(dict.fromkeys(image.names or (), size))
    return NodeObject(
        name,
        dict((node.metadata.labels if node.metadata else None) or {}),
        tuple(taints),
        bool(spec.unschedulable),
        allocatable(offered, "status.allocatable" if status.allocatable is not None else "status.capacity"),
        tuple(images.items()),
    )


def _add_mapped(kept: Kept, kind: str, found: others.MapSelected, namespace: str, name: str) -> None:
    spec = found.spec or others.MapSelectorSpec()
    labels = spec.selector
    if kind == "ReplicationController" and not labels and spec.template and spec.template.metadata:
        labels = spec.template.metadata.labels
    if not labels:
        return
    check_labels(labels, "spec.selector")
    selector = equality_selector(labels)
    kept.reads(namespace, labels)
    if kind == "Service":
        first = selector.requirements[0]
        kept.services.setdefault(namespace, {}).setdefault((first.key, first.values[0]), []).append(selector)
    else:
        kept.owners[kind, namespace, name] = selector


def _priority(found: others.PriorityClass) -> Priority:
    value = need(found.value, "value", "a whole number")
    if not -INT32 - 1 <= value <= INT32:
        raise InputError(f"is {value}", field="value", expected="a number of 32 bits")
    policy = one_of(found.preemption_policy or PREEMPTION[0], PREEMPTION, "preemptionPolicy")
    return Priority(value, policy != "Never", bool(found.global_default))


def _storage_class_name(notes: dict[str, str], stated: str | None) -> str | None:
    """Return the class of a volume or claim; the old annotation comes before the field."""
    return notes.get(_CLASS_NOTE, stated)


def _volume(found: others.PersistentVolume, name: str) -> Volume:
    meta, spec = found.metadata or models.NotedMeta(), found.spec or others.VolumeSpec()
    csi, claim = spec.csi or others.CsiSource(), spec.claim_ref or others.Reference()
    required = spec.node_affinity.required if spec.node_affinity else None
    return Volume(
        name=name,
        capacity=storage(spec.capacity, "spec.capacity"),
        access_modes=spec.access_modes or (),
        storage_class=_storage_class_name(meta.annotations or {}, spec.storage_class_name) or "",
        mode=one_of(spec.volume_mode or "Filesystem", _MODES, "spec.volumeMode"),
        terms=node_terms(required, "spec.nodeAffinity.required"),
        labels=tuple(sorted((meta.labels or {}).items())),
        driver=csi.driver or "",
        handle=csi.volume_handle or "",
        claim=full_name(claim.namespace, claim.name),
        claim_uid=claim.uid or "",
        phase=(found.status.phase if found.status else None) or "",
    )


def _count_source(kept: Kept, spec: others.VolumeSpec | None) -> None:
    """Count volumes of sources that kube-scheduler counts as those of CSI drivers."""
    for source in ("gce_persistent_disk", "aws_elastic_block_store", "azure_disk", "cinder", "vsphere_volume"):
        if spec is not None and getattr(spec, source) is not None:
            kept.ignored[f"PersistentVolume of {source}: counts towards no limit"] += 1


def claim_of(found: others.PersistentVolumeClaim, name: str) -> Claim:
    """Return a claim; ``name`` is ``namespace/name``. Raises InputError."""
    meta, spec = found.metadata or models.NotedMeta(), found.spec or others.ClaimSpec()
    notes = meta.annotations or {}
    return Claim(
        name=name,
        uid=meta.uid or "",
        request=storage(spec.resources.requests if spec.resources else None, "spec.resources.requests"),
        access_modes=spec.access_modes or (),
        storage_class=_storage_class_name(notes, spec.storage_class_name),
        mode=one_of(spec.volume_mode or "Filesystem", _MODES, "spec.volumeMode"),
        selector=label_selector(spec.selector, "spec.selector"),
        volume=spec.volume_name or "",
        bound=bool(spec.volume_name) and _BOUND_NOTE in notes,
        selected_node=notes.get(_SELECTED_NOTE, ""),
        deleted=meta.deletion_timestamp is not None,
    )


def _storage_class(found: others.StorageClass, name: str) -> StorageClass:
    modes = ("Immediate", "WaitForFirstConsumer")
    mode = one_of(found.volume_binding_mode or modes[0], modes, "volumeBindingMode")
    topologies = []
    for i, term in enumerate(found.allowed_topologies or ()):
        topologies.append(_topology(term, f"allowedTopologies[{i}]"))
    keys = {requirement.key for term in topologies for requirement in term}
    if (found.parameters or {}).get(_TOPOLOGY):
        keys.add(ZONE_LABEL)
    return StorageClass(
        name, found.provisioner or "", mode == "WaitForFirstConsumer", tuple(topologies), tuple(sorted(keys))
    )


def _topology(term: others.TopologyTerm, field: str) -> Term:
    requirements = []
    for i, one in enumerate(term.match_label_expressions or ()):
        where = f"{field}.matchLabelExpressions[{i}]"
        key = check_key(need(one.key, f"{where}.key", "a node label"), f"{where}.key")
        requirements.append(Requirement(key, "In", need(one.values or None, f"{where}.values", "values")))
    return tuple(requirements)


def _drivers(found: others.CsiNode) -> tuple[tuple[str, int | None], ...]:
    drivers = []
    for i, driver in enumerate((found.spec.drivers if found.spec else None) or ()):
        name = need(driver.name, f"spec.drivers[{i}].name", "the name of a driver")
        count = driver.allocatable.count if driver.allocatable else None
        if count is not None and not 0 <= count <= INT32:
            raise InputError(f"is {count}", field=f"spec.drivers[{i}].allocatable.count", expected="0 or more")
        drivers.append((name, count))
    return tuple(drivers)


def _budget(found: others.PodDisruptionBudget, namespace: str, name: str) -> DisruptionBudget:
    status = found.status or others.BudgetStatus()
    selector = label_selector(found.spec.selector if found.spec else None, "spec.selector")
    allowed = status.disruptions_allowed or 0
    if not 0 <= allowed <= INT32:
        raise InputError(f"is {allowed}", field="status.disruptionsAllowed", expected="0 or more")
    return DisruptionBudget(name, namespace, selector, allowed, frozenset(status.disrupted_pods or ()))
