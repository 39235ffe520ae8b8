"""What the API server fills in and admits of a pod, and the template that the scheduler sees.

Defaults: k8s.io/kubernetes core/v1 (v1.34) with PodLevelResources; admission: Priority. Tolerations that other
admission plug-ins add (DefaultTolerationSeconds, ...) are not added: a dump has them already.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from kscale.errors import InputError, nearest
from kscale.state.descriptions import DEFAULT_SCHEDULER, Disk, PodDescription, PodTemplate, Selector
from kscale.state.labels import EFFECTS, Toleration
from kscale.state.manifests import models
from kscale.state.manifests.faults import need, one_of
from kscale.state.manifests.names import check_key, check_labels, check_name, check_value
from kscale.state.manifests.requests import requests_of
from kscale.state.manifests.selectors import (
    INT32,
    node_terms,
    pod_terms,
    preferred_node_terms,
    spread_constraint,
)

PROTOCOLS = ("TCP", "UDP", "SCTP")
PREEMPTION = ("PreemptLowerPriority", "Never")


@dataclass(frozen=True)
class Priority:
    """A PriorityClass: its value, whether its pods preempt, and whether it is for pods that name none."""

    value: int
    preempts: bool = True
    default: bool = False


#: Classes that every cluster has (Kubernetes' scheduling API).
SYSTEM_CLASSES = {
    "system-cluster-critical": Priority(2_000_000_000),
    "system-node-critical": Priority(2_000_001_000),
}


def priority_of(spec: models.PodSpec, classes: Mapping[str, Priority]) -> tuple[int, bool]:
    """Return a pod's priority and whether it preempts (admission plug-in Priority).

    A priority that is stated stands, as in a dump of a live cluster. Raises InputError for an unknown class.
    """
    name = spec.priority_class_name
    found = classes.get(name) if name else None
    if found is None and name and spec.priority is None:
        raise InputError(
            f"there is no PriorityClass '{name[:80]}'{nearest(name[:80], classes)}",
            field="spec.priorityClassName",
            expected="the name of a PriorityClass among the objects",
        )
    if found is None and not name:
        defaults = [one for one in classes.values() if one.default]
        found = min(defaults, key=lambda one: one.value, default=None)
    value = spec.priority if spec.priority is not None else found.value if found else 0
    if not -INT32 - 1 <= value <= INT32:
        raise InputError(f"is {value}", field="spec.priority", expected="a number of 32 bits")
    if spec.preemption_policy is None:
        return value, found.preempts if found else True
    return value, one_of(spec.preemption_policy, PREEMPTION, "spec.preemptionPolicy") != "Never"


def refusal(spec: models.PodSpec, classes: Mapping[str, Priority]) -> str:
    """Return why the admission plug-in Priority refuses a pod, in its words; empty where it does not.

    A workload is taken all the same: nobody looks for the class until a pod is made of its template.
    """
    name = spec.priority_class_name
    if not name or name in classes or spec.priority is not None:
        return ""
    return f"no PriorityClass with name {name[:80]} was found"


def image_name(name: str) -> str:
    """Return an image name with its tag (kube-scheduler's ImageLocality)."""
    return name if name.rfind(":") > name.rfind("/") else f"{name}:latest"


def tolerations(found: Sequence[models.Toleration] | None) -> tuple[Toleration, ...]:
    """Return tolerations as stated. Raises InputError."""
    result = []
    for i, one in enumerate(found or ()):
        field = f"spec.tolerations[{i}]"
        key, value, effect = one.key or "", one.value or "", one.effect or ""
        operator = one_of(one.operator or "Equal", ("Equal", "Exists"), f"{field}.operator")
        if effect:
            one_of(effect, EFFECTS, f"{field}.effect")
        if key:
            check_key(key, f"{field}.key")
        elif operator != "Exists":
            raise InputError("has no key", field=field, expected="a key, or the operator Exists")
        if operator == "Exists" and value:
            raise InputError("is stated", field=f"{field}.value", expected="no value with the operator Exists")
        if operator == "Equal":
            check_value(value, f"{field}.value")
        result.append(Toleration(key, operator, value, effect))
    return tuple(result)


def _port(number: int | None, field: str) -> int:
    if number is not None and not 0 <= number <= 65535:
        raise InputError(f"is {number}", field=field, expected="a port, 1 to 65535")
    return number or 0


def host_ports(spec: models.PodSpec) -> tuple[tuple[str, str, int], ...]:
    """Return the ports that a pod takes on its node, those of sidecars included. Raises InputError."""
    ports = set()
    kinds = (("containers", spec.containers), ("initContainers", spec.init_containers))
    for kind, containers in kinds:
        for i, container in enumerate(containers or ()):
            for j, port in enumerate(container.ports or ()):
                field = f"spec.{kind}[{i}].ports[{j}]"
                number = _port(port.host_port, f"{field}.hostPort")
                inner = _port(port.container_port, f"{field}.containerPort")
                number = number or (inner if spec.host_network else 0)
                protocol = one_of(port.protocol or "TCP", PROTOCOLS, f"{field}.protocol")
                if number and (kind == "containers" or container.restart_policy == "Always"):
                    ports.add((protocol, port.host_ip or "0.0.0.0", number))
    return tuple(sorted(ports))


def _disk(volume: models.Volume, field: str) -> Disk | None:
    if volume.gce_persistent_disk is not None:
        gce = volume.gce_persistent_disk
        name = need(gce.pd_name, f"{field}.gcePersistentDisk.pdName", "the name of a disk")
        return Disk("gcePersistentDisk", (name,), bool(gce.read_only))
    if volume.aws_elastic_block_store is not None:
        name = need(volume.aws_elastic_block_store.volume_id, f"{field}.awsElasticBlockStore.volumeID", "a volume")
        return Disk("awsElasticBlockStore", (name,))
    if volume.iscsi is not None:
        name = need(volume.iscsi.iqn, f"{field}.iscsi.iqn", "a name")
        return Disk("iscsi", (name,), bool(volume.iscsi.read_only))
    if volume.rbd is not None:
        rbd = volume.rbd
        names = (rbd.pool or "rbd", need(rbd.image, f"{field}.rbd.image", "an image"), *sorted(rbd.monitors or ()))
        return Disk("rbd", names, bool(rbd.read_only))
    return None


def with_volumes(template: PodTemplate, volumes: Sequence[models.Volume]) -> PodTemplate:
    """Return the template of a pod that has ``volumes`` besides: claims, and disks that it names itself.

    Raises InputError with the field that is wrong.
    """
    claims, disks = [], []
    for volume in volumes:
        field = "spec.volumes"
        if volume.persistent_volume_claim is not None:
            where = f"{field}.persistentVolumeClaim.claimName"
            name = check_name(need(volume.persistent_volume_claim.claim_name, where, "the name of a claim"), where)
            claims.append(f"{template.namespace}/{name}")
        else:
            disk = _disk(volume, field)
            if disk is not None:
                disks.append(disk)
    description = replace(template.description, claims=tuple(dict.fromkeys(claims)))
    return replace(template, description=description, disks=tuple(dict.fromkeys(disks)))


def describe(spec: models.PodSpec) -> PodDescription:
    """Return what a pod asks of a node's description. Raises InputError."""
    check_labels(spec.node_selector or {}, "spec.nodeSelector")
    affinity = spec.affinity.node_affinity if spec.affinity else None
    field = "spec.affinity.nodeAffinity"
    images = (*(spec.init_containers or ()), *(spec.containers or ()))
    return PodDescription(
        node_selector=tuple(sorted((spec.node_selector or {}).items())),
        terms=node_terms(affinity.required, f"{field}.requiredDuringSchedulingIgnoredDuringExecution")
        if affinity
        else None,
        preferred=preferred_node_terms(affinity.preferred, f"{field}.preferredDuringSchedulingIgnoredDuringExecution")
        if affinity
        else (),
        tolerations=tolerations(spec.tolerations),
        node_name=check_name(spec.node_name, "spec.nodeName") if spec.node_name else "",
        profile=spec.scheduler_name or DEFAULT_SCHEDULER,
        images=tuple(image_name(container.image or "") for container in images),
    )


@dataclass(frozen=True)
class Place:
    """What a template depends on beside the pod's spec.

    ``labels`` are those that a selector reads; ``statuses`` and ``infeasible`` tell of a resize.
    """

    namespace: str
    labels: Mapping[str, str]
    terminating: bool
    classes: Mapping[str, Priority]
    default_selector: Selector | None
    statuses: Mapping[str, models.ContainerStatus]
    infeasible: bool = False
    devices: tuple[tuple[str, int], ...] = ()
    device_claims: tuple[str, ...] = ()


def template_of(spec: models.PodSpec, place: Place) -> PodTemplate:
    """Return all that the scheduler reads of a pod, volumes aside. Raises InputError with the field that is wrong."""
    _check_containers(spec)
    priority, preempts = priority_of(spec, place.classes)
    requests = requests_of(spec, place.statuses, place.infeasible)
    affinity = spec.affinity or models.Affinity()
    near, rather_near = pod_terms(affinity.pod_affinity, "spec.affinity.podAffinity", place.namespace, place.labels)
    apart, rather_apart = pod_terms(
        affinity.pod_anti_affinity, "spec.affinity.podAntiAffinity", place.namespace, place.labels
    )
    spread = tuple(
        spread_constraint(one, f"spec.topologySpreadConstraints[{i}]", place.labels)
        for i, one in enumerate(spec.topology_spread_constraints or ())
    )
    return PodTemplate(
        description=describe(spec),
        namespace=place.namespace,
        labels=tuple(sorted(place.labels.items())),
        requests=requests.requests(),
        nonzero=requests.nonzero(),
        scored=requests.scored(),
        priority=priority,
        preempts=preempts,
        ports=host_ports(spec),
        spread=spread,
        default_selector=None if spread else place.default_selector,
        affinity=near,
        anti_affinity=apart,
        preferred_affinity=rather_near,
        preferred_anti_affinity=rather_apart,
        gates=tuple(
            need(gate.name, f"spec.schedulingGates[{i}].name", "a name")
            for i, gate in enumerate(spec.scheduling_gates or ())
        ),
        terminating=place.terminating,
        devices=place.devices,
        device_claims=place.device_claims,
    )


def _check_containers(spec: models.PodSpec) -> None:
    if not spec.containers:
        raise InputError("is empty", field="spec.containers", expected="at least one container")
    one_of(spec.restart_policy or "Always", ("Always", "OnFailure", "Never"), "spec.restartPolicy")
    for i, container in enumerate(spec.init_containers or ()):
        if container.restart_policy is not None:
            policies = ("Always", "OnFailure", "Never")
            one_of(container.restart_policy, policies, f"spec.initContainers[{i}].restartPolicy")
