"""Writes a dump of a cluster that never was, as ``kubectl get`` gives it: every scheduling field somewhere.

``python -m benchmarks.dump --pods 150000 --nodes 5000 dump.json``; the same seed gives the same bytes.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ZONES = ("eu-west-1a", "eu-west-1b", "eu-west-1c")
NAMESPACES = 60
PODS_PER_APP = 25
#: Of a hundred apps: StatefulSets, and those with pods that wait.
STATEFUL, WAITING = 8, 30
TIME = "2026-05-04T08:00:00Z"
REGISTRY = "registry.example.com/team"
HOSTNAME, ZONE = "kubernetes.io/hostname", "topology.kubernetes.io/zone"


def managed(manager: str, fields: int) -> list[dict[str, Any]]:
    """Return managedFields, which make up much of a dump."""
    leaves = {f"f:field{i}": {} for i in range(fields)}
    return [
        {
            "apiVersion": "v1",
            "fieldsType": "FieldsV1",
            "fieldsV1": {"f:metadata": {"f:labels": {".": {}, "f:app": {}}}, "f:spec": leaves, "f:status": leaves},
            "manager": manager,
            "operation": "Update",
            "time": TIME,
        }
    ]


def condition(kind: str, **more: str) -> dict[str, Any]:
    """Return a condition that holds."""
    return {"lastProbeTime": None, "lastTransitionTime": TIME, "status": "True", "type": kind, **more}


def thing(kind: str, name: str, namespace: str | None = None, version: str = "v1", **more: Any) -> dict[str, Any]:
    """Return an object."""
    meta = {"name": name, "creationTimestamp": TIME, "uid": f"{kind}-{namespace}-{name}".lower()}
    if namespace:
        meta["namespace"] = namespace
    found = {"apiVersion": version, "kind": kind, "metadata": {**meta, **more.pop("metadata", {})}}
    return found | more


def node(rng: random.Random, number: int) -> dict[str, Any]:
    """Return a node of one of four shapes."""
    cores, memory = rng.choice(((32, 128), (64, 256), (64, 512), (96, 768)))
    offer = {"cpu": f"{cores}", "memory": f"{memory}Gi", "ephemeral-storage": "500Gi", "pods": "110"}
    gpu = number % 20 == 0
    if gpu:
        offer["nvidia.com/gpu"] = "8"
    name = f"node-{number:05d}"
    labels = {
        HOSTNAME: name,
        ZONE: ZONES[number % 3],
        "topology.kubernetes.io/region": "eu-west-1",
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64",
        "node.kubernetes.io/instance-type": f"m{cores}.{memory}",
        "disk": "ssd" if number % 2 else "hdd",
    }
    spec: dict[str, Any] = {"podCIDR": "10.0.0.0/24", "providerID": f"cloud:///{name}"}
    if gpu:
        spec["taints"] = [{"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}]
    if number % 97 == 5:
        spec["unschedulable"] = True
        spec["taints"] = [{"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule", "timeAdded": TIME}]
    images = [
        {"names": [f"{REGISTRY}/app-{i}@sha256:{i:064x}", f"{REGISTRY}/app-{i}:v1"], "sizeBytes": 50_000_000 + i * 7919}
        for i in rng.sample(range(200), 20)
    ]
    conditions = [condition(k) for k in ("Ready",)]
    status = {"allocatable": offer, "capacity": offer, "images": images, "conditions": conditions}
    status["addresses"] = [{"address": name, "type": "Hostname"}]
    return thing(
        "Node", name, metadata={"labels": labels, "managedFields": managed("kubelet", 40)}, spec=spec, status=status
    )


def features(rng: random.Random, app: str) -> dict[str, Any]:
    """Return the scheduling fields of an app's pods, a few at a time."""
    select = {"matchLabels": {"app": app}}
    term = {"labelSelector": select, "topologyKey": HOSTNAME, "matchLabelKeys": ["pod-template-hash"]}
    wide = {"labelSelector": {"matchExpressions": [{"key": "tier", "operator": "In", "values": ["web", "db"]}]}}
    wide |= {"topologyKey": ZONE, "namespaceSelector": {"matchLabels": {"team": "a"}}}
    near = "preferredDuringSchedulingIgnoredDuringExecution"
    hard = "requiredDuringSchedulingIgnoredDuringExecution"
    disk = {"matchExpressions": [{"key": "disk", "operator": "In", "values": ["ssd"]}]}
    choices: list[dict[str, Any]] = [
        {},
        {},
        {"affinity": {"podAntiAffinity": {near: [{"weight": 100, "podAffinityTerm": term}]}}},
        {"affinity": {"podAntiAffinity": {hard: [term]}}},
        {"affinity": {"podAffinity": {hard: [{"labelSelector": select, "topologyKey": ZONE}]}}},
        {"affinity": {"podAffinity": {near: [{"weight": 10, "podAffinityTerm": wide}]}}},
        {"affinity": {"nodeAffinity": {hard: {"nodeSelectorTerms": [disk]}}}},
        {"affinity": {"nodeAffinity": {near: [{"weight": 20, "preference": disk}]}}},
        {"nodeSelector": {"kubernetes.io/os": "linux", "disk": "ssd"}},
        {
            "topologySpreadConstraints": [
                {"maxSkew": 1, "topologyKey": ZONE, "whenUnsatisfiable": "DoNotSchedule", "labelSelector": select},
                {"maxSkew": 3, "topologyKey": HOSTNAME, "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": select}
                | {"matchLabelKeys": ["pod-template-hash"], "nodeTaintsPolicy": "Honor"},
            ]
        },
        {"overhead": {"cpu": "250m", "memory": "120Mi"}, "runtimeClassName": "kata"},
        {"resources": {"requests": {"cpu": "1", "memory": "1Gi"}}},
        {"hostNetwork": True},
        {"resourceClaims": [{"name": "gpu", "resourceClaimTemplateName": "one-gpu"}]},
        {"tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}]},
    ]
    return rng.choice(choices)


def containers(rng: random.Random, app: str, number: int) -> dict[str, Any]:
    """Return an app's containers, some with a sidecar, an init container, a host port or a GPU."""
    requests: dict[str, str] = {
        "cpu": f"{rng.choice((50, 100, 250, 500))}m",
        "memory": f"{rng.choice((64, 128, 512))}Mi",
    }
    resources = {"requests": requests, "limits": {"memory": "1Gi"}}
    if number % 40 == 0:
        resources["limits"] = {"memory": "1Gi", "nvidia.com/gpu": "1"}
    port: dict[str, Any] = {"containerPort": 8080, "name": "http", "protocol": "TCP"}
    if number % 30 == 0:
        port["hostPort"] = 20000 + number % 1000
    probe = {
        "failureThreshold": 3,
        "httpGet": {"path": "/healthz", "port": "http", "scheme": "HTTP"},
        "periodSeconds": 10,
    }
    main: dict[str, Any] = {
        "name": "main",
        "image": f"{REGISTRY}/app-{number % 200}:v1",
        "imagePullPolicy": "IfNotPresent",
        "args": ["--config=/etc/app/config.yaml", f"--name={app}", "--log-format=json"],
        "env": [{"name": f"SETTING_{i}", "value": f"value-{i}"} for i in range(12)],
        "ports": [port],
        "resources": resources,
        "livenessProbe": probe,
        "readinessProbe": probe,
        "volumeMounts": [
            {"mountPath": "/etc/app", "name": "config"},
            {"mountPath": "/var/run/secrets/kubernetes.io/serviceaccount", "name": "@TOKEN@", "readOnly": True},
        ],
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
    }
    found = {"containers": [main]}
    if number % 5 == 0:
        found["containers"].append({"name": "logs", "image": f"{REGISTRY}/logs", "resources": {}})
    if number % 4 == 0:
        small = {"requests": {"cpu": "20m", "memory": "32Mi"}}
        sidecar = {"name": "mesh", "image": f"{REGISTRY}/mesh:v2", "restartPolicy": "Always", "resources": small}
        setup = {"name": "setup", "image": f"{REGISTRY}/setup:v1", "resources": {"requests": {"cpu": "1"}}}
        found["initContainers"] = [sidecar, setup]
    return found


def running(spec: dict[str, Any]) -> dict[str, Any]:
    """Return the status of a pod that runs."""
    statuses = [
        {
            "allocatedResources": one["resources"].get("requests", {}),
            "containerID": "containerd://@UID@",
            "image": one["image"],
            "name": one["name"],
            "ready": True,
            "resources": one["resources"],
            "restartCount": 0,
            "state": {"running": {"startedAt": TIME}},
        }
        for one in spec["containers"]
    ]
    kinds = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")
    return {
        "conditions": [condition(kind) for kind in kinds],
        "containerStatuses": statuses,
        "hostIP": "10.1.2.3",
        "phase": "Running",
        "podIP": "@IP@",
        "podIPs": [{"ip": "@IP@"}],
        "qosClass": "Burstable",
        "startTime": TIME,
    }


class App:
    """A workload: its controller, Service and budget, and the text of one of its pods with marks to fill in."""

    def __init__(self, rng: random.Random, number: int, pretty: bool) -> None:
        self.name, self.namespace = f"app-{number:05d}", f"team-{number % NAMESPACES:02d}"
        self.stateful, self.waiting = number % 100 < STATEFUL, number % 100 == WAITING
        self.hash = f"{rng.getrandbits(32):08x}"
        self.kind = "StatefulSet" if self.stateful else "ReplicaSet"
        self.labels = {"app": self.name, "tier": ("web", "db", "batch")[number % 3]}
        if self.stateful:
            self.owner = self.name
        else:
            self.owner = f"{self.name}-{self.hash}"
            self.labels["pod-template-hash"] = self.hash
        self.text = text_of(self._pod(rng, number), pretty)

    def _pod(self, rng: random.Random, number: int) -> dict[str, Any]:
        labels = self.labels | ({"statefulset.kubernetes.io/pod-name": "@NAME@"} if self.stateful else {})
        token = [{"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}}]
        volumes: list[dict[str, Any]] = [
            {"name": "config", "configMap": {"name": self.name, "defaultMode": 420}},
            {"name": "@TOKEN@", "projected": {"defaultMode": 420, "sources": token}},
        ]
        if self.stateful:
            volumes.append({"name": "data", "persistentVolumeClaim": {"claimName": "data-@NAME@"}})
        kept = [
            {"effect": "NoExecute", "key": f"node.kubernetes.io/{key}", "operator": "Exists", "tolerationSeconds": 300}
            for key in ("not-ready", "unreachable")
        ]
        more = features(rng, self.name)
        priority = (0, 1000, 100_000)[number % 3]
        spec = containers(rng, self.name, number) | {
            "dnsPolicy": "ClusterFirst",
            "enableServiceLinks": True,
            "nodeName": "@NODE@",
            "preemptionPolicy": "PreemptLowerPriority",
            "priority": priority,
            "restartPolicy": "Always",
            "schedulerName": "default-scheduler",
            "securityContext": {},
            "serviceAccountName": "default",
            "terminationGracePeriodSeconds": 30,
            "volumes": volumes,
            **more,
            "tolerations": kept + more.get("tolerations", []),
        }
        if priority:
            spec["priorityClassName"] = ("", "low", "high")[number % 3]
        owner = {"apiVersion": "apps/v1", "kind": self.kind, "name": self.owner, "uid": f"uid-{self.owner}"}
        metadata = {
            "annotations": {"prometheus.io/scrape": "true", "checksum/config": self.hash * 8},
            "generateName": f"{self.owner}-",
            "labels": labels,
            "managedFields": managed("kube-controller-manager", 30) + managed("kubelet", 20),
            "ownerReferences": [owner | {"blockOwnerDeletion": True, "controller": True}],
            "resourceVersion": "@NUMBER@",
            "uid": "@UID@",
        }
        status = running(spec)
        pod = thing("Pod", "@NAME@", self.namespace, metadata=metadata, spec=spec, status=status)
        if self.waiting:
            del spec["nodeName"]
            spec["schedulingGates"] = [{"name": "example.com/quota"}] if number % 200 == WAITING else []
            pod["status"] = {"phase": "Pending", "qosClass": "Burstable", "conditions": [condition("PodScheduled")]}
        return pod

    def around(self) -> Iterator[dict[str, Any]]:
        """Yield the objects beside the pods."""
        selector = {"matchLabels": {key: value for key, value in self.labels.items() if key != "tier"}}
        spec = {"replicas": PODS_PER_APP, "selector": selector, "template": {"metadata": {"labels": self.labels}}}
        yield thing(self.kind, self.owner, self.namespace, "apps/v1", spec=spec)
        yield thing(
            "Service", self.name, self.namespace, spec={"selector": {"app": self.name}, "ports": [{"port": 80}]}
        )
        budget = {"maxUnavailable": 1, "selector": {"matchLabels": {"app": self.name}}}
        status = {"disruptionsAllowed": 1, "currentHealthy": 25, "desiredHealthy": 24, "expectedPods": 25}
        yield thing("PodDisruptionBudget", self.name, self.namespace, "policy/v1", spec=budget, status=status)

    def pod(self, rng: random.Random, ordinal: int, nodes: int) -> tuple[str, str, str]:
        """Return a pod's name, its node and its text."""
        suffix = f"{rng.getrandbits(40):010x}"
        name = f"{self.owner}-{ordinal}" if self.stateful else f"{self.owner}-{suffix[:5]}{ordinal % 10}"
        name = name if self.stateful or ordinal < 10 else f"{name}{ordinal // 10}"
        place = f"node-{rng.randrange(nodes):05d}"
        text = self.text.replace("@NAME@", name).replace("@NODE@", place).replace("@UID@", f"{suffix}-{name}")
        text = text.replace("@TOKEN@", f"kube-api-access-{suffix[5:]}").replace("@IP@", f"10.{ordinal}.0.7")
        return name, place, text.replace("@NUMBER@", str(rng.randrange(10**9)))


def claim(app: App, pod: str, place: str) -> Iterator[dict[str, Any]]:
    """Yield a StatefulSet's claim and the volume that it is bound to."""
    name, volume = f"data-{pod}", f"pvc-{pod}"
    zone = ZONES[int(place[-5:]) % 3]
    size = {"storage": "20Gi"}
    notes = {"pv.kubernetes.io/bind-completed": "yes", "pv.kubernetes.io/bound-by-controller": "yes"}
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": size}, "storageClassName": "fast"}
    spec |= {"volumeMode": "Filesystem", "volumeName": volume}
    bound = {"phase": "Bound"}
    yield thing(
        "PersistentVolumeClaim",
        name,
        app.namespace,
        metadata={"annotations": notes, "uid": f"u-{name}"},
        spec=spec,
        status=bound,
    )
    where = {"matchExpressions": [{"key": ZONE, "operator": "In", "values": [zone]}]}
    spec = {"accessModes": ["ReadWriteOnce"], "capacity": size, "storageClassName": "fast", "volumeMode": "Filesystem"}
    spec |= {
        "claimRef": {"kind": "PersistentVolumeClaim", "namespace": app.namespace, "name": name, "uid": f"u-{name}"}
    }
    spec |= {"csi": {"driver": "disk.csi.example.com", "volumeHandle": f"vol-{volume}"}}
    spec |= {"nodeAffinity": {"required": {"nodeSelectorTerms": [where]}}}
    yield thing("PersistentVolume", volume, spec=spec, status=bound)


def frame(rng: random.Random, nodes: int) -> Iterator[dict[str, Any]]:
    """Yield nodes, namespaces and classes."""
    for number in range(nodes):
        yield node(rng, number)
    driver = {"name": "disk.csi.example.com", "allocatable": {"count": 39}, "topologyKeys": [ZONE]}
    for number in range(nodes):
        name = f"node-{number:05d}"
        yield thing("CSINode", name, version="storage.k8s.io/v1", spec={"drivers": [driver | {"nodeID": name}]})
    for number in range(NAMESPACES):
        yield thing("Namespace", f"team-{number:02d}", metadata={"labels": {"team": "ab"[number % 2]}})
    for name, value in (("low", 1000), ("high", 100_000)):
        yield thing("PriorityClass", name, version="scheduling.k8s.io/v1", value=value, globalDefault=False)
    mode = {"provisioner": "disk.csi.example.com", "volumeBindingMode": "WaitForFirstConsumer"}
    yield thing("StorageClass", "fast", version="storage.k8s.io/v1", **mode)
    gpu = "resource.k8s.io/v1"
    yield thing(
        "DeviceClass", "gpu", version=gpu, spec={"selectors": [{"cel": {"expression": "device.driver == 'gpu'"}}]}
    )
    exactly = {"deviceClassName": "gpu", "allocationMode": "ExactCount", "count": 1}
    request = {"devices": {"requests": [{"name": "gpu", "exactly": exactly}]}}
    for number in range(NAMESPACES):
        yield thing("ResourceClaimTemplate", "one-gpu", f"team-{number:02d}", gpu, spec={"spec": request})
    for number in range(0, nodes, 20):
        spec = {
            "driver": "gpu",
            "nodeName": f"node-{number:05d}",
            "pool": {"name": f"node-{number:05d}", "generation": 1},
        }
        devices = [{"name": f"gpu-{i}"} for i in range(8)]
        yield thing("ResourceSlice", f"node-{number:05d}", version=gpu, spec=spec | {"devices": devices})
    yield thing("ConfigMap", "kube-root-ca.crt", "team-00", data={"ca.crt": "-----BEGIN CERTIFICATE-----"})


def text_of(found: dict[str, Any], pretty: bool) -> str:
    """Return an item of a list as ``kubectl get --raw`` writes it, or as ``kubectl get -o json`` does."""
    if pretty:
        return json.dumps(found, indent=4).replace("\n", "\n        ")
    return json.dumps(found, separators=(",", ":"))


def objects(pods: int, nodes: int, seed: int, pretty: bool) -> Iterator[str]:
    """Yield the texts of all objects."""
    rng = random.Random(seed)
    for found in frame(rng, nodes):
        yield text_of(found, pretty)
    for number in range(-(-pods // PODS_PER_APP)):
        app = App(rng, number, pretty)
        for found in app.around():
            yield text_of(found, pretty)
        for ordinal in range(min(PODS_PER_APP, pods - number * PODS_PER_APP)):
            name, place, text = app.pod(rng, ordinal, nodes)
            if app.stateful:
                for found in claim(app, name, place):
                    yield text_of(found, pretty)
            yield text


def write(path: Path, pods: int, nodes: int, seed: int = 1, pretty: bool = False) -> None:
    """Write a dump of ``pods`` and ``nodes`` to ``path``, object by object."""
    first, between, last = '{"apiVersion":"v1","kind":"List","items":[', ",", "]}\n"
    if pretty:
        first, between = '{\n    "apiVersion": "v1",\n    "items": [\n        ', ",\n        "
        last = '\n    ],\n    "kind": "List",\n    "metadata": {\n        "resourceVersion": ""\n    }\n}\n'
    with path.open("w") as file:
        file.write(first)
        for number, text in enumerate(objects(pods, nodes, seed, pretty)):
            file.write(between if number else "")
            file.write(text)
        file.write(last)


def main() -> None:
    """Write a dump from the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dump", description=__doc__)
    parser.add_argument("--pods", type=int, default=150_000)
    parser.add_argument("--nodes", type=int, default=5_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--pretty", action="store_true", help="indented, as kubectl get -o json writes")
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    write(arguments.out, arguments.pods, arguments.nodes, arguments.seed, arguments.pretty)


if __name__ == "__main__":
    main()
