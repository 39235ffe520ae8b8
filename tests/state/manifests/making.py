"""Small valid objects, and the template that comes of one pod."""

from __future__ import annotations

import copy
import json
from typing import Any

from kscale.state.descriptions import PodTemplate
from kscale.state.manifests import Inventory, inventory_of


def node(name: str = "n1", **more: Any) -> dict[str, Any]:
    status = {"allocatable": {"cpu": "4", "memory": "8Gi", "pods": "110"}}
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "status": status, **more}


def container(**more: Any) -> dict[str, Any]:
    return {"name": "c", "image": "app:v1", **more}


def pod(name: str = "p", *, meta: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "default", **(meta or {})}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [container()], **spec}}


def thing(kind: str, name: str, version: str = "v1", meta: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, **(meta or {})}, **more}


def template(found: dict[str, Any], *others: dict[str, Any]) -> PodTemplate:
    """Return the template of one pending pod among ``others``."""
    inventory = inventory_of([node(), *others], [found])
    return inventory.templates[inventory.pods.template[inventory.pending[0]]]


def same(a: Inventory, b: Inventory) -> bool:
    """Tell whether two inventories say the same, whatever they were read from."""
    columns = ("names", "namespaces", "template", "node", "start_us", "created_us")
    return (
        a.nodes == b.nodes
        and a.templates == b.templates
        and all(list(getattr(a.pods, c)) == list(getattr(b.pods, c)) for c in columns)
        and list(a.pending) == list(b.pending)
        and a.surroundings == b.surroundings
        and [json.loads(s) for s in a.sources] == [json.loads(s) for s in b.sources]
        and (a.read, a.ignored) == (b.read, b.ignored)
    )


#: One object of each kind, with as many fields as there are.
LABELS = {"app": "web", "tier": "front"}
SELECT = {"matchLabels": {"app": "web"}, "matchExpressions": [{"key": "tier", "operator": "In", "values": ["front"]}]}
TERM = {
    "labelSelector": SELECT,
    "topologyKey": "zone",
    "namespaces": ["default"],
    "namespaceSelector": {"matchLabels": {"team": "a"}},
    "matchLabelKeys": ["hash"],
    "mismatchLabelKeys": ["tenant"],
}
NODE_TERM = {
    "matchExpressions": [
        {"key": "zone", "operator": "NotIn", "values": ["a"]},
        {"key": "gen", "operator": "Gt", "values": ["3"]},
    ],
    "matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n1"]}],
}
_HARD, _SOFT = "requiredDuringSchedulingIgnoredDuringExecution", "preferredDuringSchedulingIgnoredDuringExecution"
_PODS = {_HARD: [TERM], _SOFT: [{"weight": 5, "podAffinityTerm": TERM}]}
FULL_POD = pod(
    "full",
    meta={
        "labels": {**LABELS, "hash": "1", "tenant": "x"},
        "creationTimestamp": "2026-02-01T00:00:00Z",
        "ownerReferences": [
            {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "u", "controller": True}
        ],
    },
    containers=[
        container(
            ports=[{"containerPort": 80, "hostPort": 8080, "hostIP": "10.0.0.1", "protocol": "UDP"}],
            resources={
                "requests": {"cpu": "100m", "nvidia.com/gpu": 1},
                "limits": {"memory": "1Gi", "nvidia.com/gpu": 1},
            },
        )
    ],
    initContainers=[container(restartPolicy="Always", resources={"requests": {"cpu": 0.5}})],
    overhead={"cpu": "10m"},
    resources={"requests": {"cpu": "2"}, "limits": {"cpu": "3", "memory": "2Gi"}},
    nodeSelector={"zone": "b"},
    affinity={
        "nodeAffinity": {_HARD: {"nodeSelectorTerms": [NODE_TERM]}, _SOFT: [{"weight": 1, "preference": NODE_TERM}]},
        "podAffinity": _PODS,
        "podAntiAffinity": _PODS,
    },
    tolerations=[
        {"key": "a", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 30},
        {"operator": "Exists"},
    ],
    topologySpreadConstraints=[
        {
            "maxSkew": 2,
            "topologyKey": "zone",
            "whenUnsatisfiable": "DoNotSchedule",
            "labelSelector": SELECT,
            "minDomains": 2,
            "nodeAffinityPolicy": "Ignore",
            "nodeTaintsPolicy": "Honor",
            "matchLabelKeys": ["hash"],
        }
    ],
    priorityClassName="high",
    preemptionPolicy="Never",
    schedulerName="other",
    schedulingGates=[{"name": "example.com/gate"}],
    volumes=[
        {"name": "a", "persistentVolumeClaim": {"claimName": "data"}},
        {"name": "b", "gcePersistentDisk": {"pdName": "d", "readOnly": True}},
        {"name": "c", "awsElasticBlockStore": {"volumeID": "v"}},
        {"name": "d", "iscsi": {"iqn": "iqn.2026", "readOnly": False}},
        {"name": "e", "rbd": {"monitors": ["m2", "m1"], "image": "i"}},
        {"name": "f", "ephemeral": {"volumeClaimTemplate": {"spec": {}}}},
        {"name": "kube-api-access-abcde", "projected": {}},
    ],
    resourceClaims=[{"name": "gpu", "resourceClaimTemplateName": "one"}, {"name": "s", "resourceClaimName": "shared"}],
    hostNetwork=True,
    restartPolicy="Never",
    runtimeClassName="kata",
)
_DEVICES = {"devices": {"requests": [{"name": "r", "exactly": {"deviceClassName": "gpu", "count": 2}}]}}
OBJECTS: list[dict[str, Any]] = [
    node(
        "n1",
        metadata={"name": "n1", "labels": {"zone": "b", "gen": "4"}},
        spec={"unschedulable": True, "taints": [{"key": "k", "value": "v", "effect": "NoSchedule"}]},
        status={
            "capacity": {"cpu": 4, "memory": "8Gi", "nvidia.com/gpu": "2"},
            "images": [{"names": ["app:v1", "app@sha256:0"], "sizeBytes": 100}],
        },
    ),
    thing("Namespace", "default", meta={"labels": {"team": "a"}}),
    thing("Service", "web", meta={"namespace": "default"}, spec={"selector": {"app": "web"}}),
    thing("ReplicaSet", "web", "apps/v1", {"namespace": "default"}, spec={"selector": SELECT}),
    thing("StatefulSet", "db", "apps/v1", {"namespace": "default"}, spec={"selector": SELECT}),
    thing("ReplicationController", "old", spec={"selector": {"app": "old"}}),
    thing("Deployment", "web", "apps/v1", spec={"replicas": 3}),
    thing("LimitRange", "limits", spec={}),
    thing("PriorityClass", "high", "scheduling.k8s.io/v1", value=1000, preemptionPolicy="PreemptLowerPriority"),
    thing(
        "PersistentVolume",
        "pv",
        spec={
            "capacity": {"storage": "10Gi"},
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": "fast",
            "volumeMode": "Block",
            "nodeAffinity": {"required": {"nodeSelectorTerms": [NODE_TERM]}},
            "csi": {"driver": "d", "volumeHandle": "h"},
            "claimRef": {"namespace": "default", "name": "data", "uid": "u"},
        },
        status={"phase": "Bound"},
    ),
    thing(
        "PersistentVolumeClaim",
        "data",
        meta={"uid": "u", "annotations": {"pv.kubernetes.io/bind-completed": "yes"}},
        spec={
            "resources": {"requests": {"storage": "5Gi"}},
            "accessModes": ["ReadWriteOnce"],
            "volumeName": "pv",
            "selector": SELECT,
        },
    ),
    thing(
        "StorageClass",
        "fast",
        "storage.k8s.io/v1",
        {"annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
        provisioner="d",
        volumeBindingMode="WaitForFirstConsumer",
        allowedTopologies=[{"matchLabelExpressions": [{"key": "zone", "values": ["b"]}]}],
    ),
    thing(
        "CSINode",
        "n1",
        "storage.k8s.io/v1",
        spec={"drivers": [{"name": "d", "allocatable": {"count": 3}}, {"name": "e"}]},
    ),
    thing(
        "PodDisruptionBudget",
        "web",
        "policy/v1",
        spec={"selector": SELECT},
        status={"disruptionsAllowed": 1, "disruptedPods": {"x": "2026-01-01T00:00:00Z"}},
    ),
    thing(
        "DeviceClass",
        "gpu",
        "resource.k8s.io/v1",
        spec={"selectors": [{"cel": {"expression": "device.driver == 'gpu.example.com'"}}]},
    ),
    thing("ResourceClaimTemplate", "one", "resource.k8s.io/v1", spec={"spec": _DEVICES}),
    thing("ResourceClaim", "shared", "resource.k8s.io/v1", spec=_DEVICES),
    thing(
        "ResourceSlice",
        "n-gpu",
        "resource.k8s.io/v1",
        spec={
            "driver": "gpu.example.com",
            "nodeName": "n1",
            "pool": {"name": "n1", "generation": 2},
            "devices": [{"name": "a"}, {"name": "b"}],
        },
    ),
    thing("ConfigMap", "c", data={"a": "b"}),
    {**pod("running", nodeName="n1"), "status": {"phase": "Running", "startTime": "2026-03-01T12:00:00.5Z"}},
    FULL_POD,
]


def objects() -> list[dict[str, Any]]:
    """Return a fresh copy of all of them."""
    return copy.deepcopy(OBJECTS)
