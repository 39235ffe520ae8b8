"""Kubernetes objects around volumes, pods placed among them, and random ones that the plain twin decides on too."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from random import Random
from typing import Any

import numpy as np

from kscale.kernels import parameters, plain_form
from kscale.placing import Outcome, outcomes, simulation_of
from kscale.simulation import Settings, Simulation
from kscale.state.manifests import inventory_of
from kscale.state.tables import Cluster

Object = dict[str, Any]
ZONE, REGION, HOST = "topology.kubernetes.io/zone", "topology.kubernetes.io/region", "kubernetes.io/hostname"
BETA_ZONE = "failure-domain.beta.kubernetes.io/zone"
WAITS = "WaitForFirstConsumer"


def node(name: str, cpu: str = "8", **labels: str) -> Object:
    """Return a node; ``zone`` and ``region`` stand for their labels."""
    keys = {"zone": ZONE, "region": REGION, "beta": BETA_ZONE}
    return {
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": name, "labels": {HOST: name, **{keys.get(k, k): v for k, v in labels.items()}}},
        "status": {"allocatable": {"cpu": cpu, "memory": "64Gi", "pods": "110"}},
    }  # fmt: skip


def csi_node(name: str, **limits: int | None) -> Object:
    """Return a CSINode with most volumes by driver."""
    drivers = [
        {"name": driver, "nodeID": name, **({} if most is None else {"allocatable": {"count": most}})}
        for driver, most in limits.items()
    ]
    return {
        "apiVersion": "storage.k8s.io/v1", "kind": "CSINode", "metadata": {"name": name}, "spec": {"drivers": drivers},
    }  # fmt: skip


def storage_class(name: str, provisioner: str = "csi", mode: str = WAITS, zones: Iterable[str] = ()) -> Object:
    """Return a StorageClass; with ``zones``, volumes are made there only."""
    found: Object = {
        "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": name},
        "provisioner": provisioner, "volumeBindingMode": mode,
    }  # fmt: skip
    if zones:
        found["allowedTopologies"] = [{"matchLabelExpressions": [{"key": ZONE, "values": list(zones)}]}]
    return found


def only(key: str, *values: str, operator: str = "In") -> Object:
    """Return a node affinity of one requirement."""
    requirement = {"key": key, "operator": operator, **({"values": list(values)} if values else {})}
    return {"required": {"nodeSelectorTerms": [{"matchExpressions": [requirement]}]}}


def volume(
    name: str, gib: int = 1, storage_class: str = "local", claim: str = "", affinity: Object | None = None,
    labels: dict[str, str] | None = None, modes: Iterable[str] = ("ReadWriteOnce",), mode: str = "Filesystem",
    phase: str = "Available", handle: str = "", driver: str = "csi",
) -> Object:  # fmt: skip
    """Return a PersistentVolume of ``gib``; ``claim`` is what it is kept for."""
    spec: Object = {
        "capacity": {"storage": f"{gib}Gi"}, "accessModes": list(modes), "storageClassName": storage_class,
        "volumeMode": mode,
    }  # fmt: skip
    if affinity is not None:
        spec["nodeAffinity"] = affinity
    if claim:
        spec["claimRef"] = {"namespace": "default", "name": claim}
    if handle:
        spec["csi"] = {"driver": driver, "volumeHandle": handle}
    return {
        "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name, "labels": labels or {}},
        "spec": spec, "status": {"phase": phase},
    }  # fmt: skip


def claim(
    name: str, gib: int = 1, storage_class: str | None = "local", volume: str = "", bound: bool | None = None,
    modes: Iterable[str] = ("ReadWriteOnce",), selected: str = "", tier: str = "", mode: str = "Filesystem",
    deleted: bool = False,
) -> Object:  # fmt: skip
    """Return a claim for ``gib``; it is bound where it names a volume, unless ``bound`` says otherwise."""
    notes = {"pv.kubernetes.io/bind-completed": "yes"} if (bool(volume) if bound is None else bound) else {}
    if selected:
        notes["volume.kubernetes.io/selected-node"] = selected
    spec: Object = {
        "accessModes": list(modes), "resources": {"requests": {"storage": f"{gib}Gi"}}, "volumeMode": mode,
        **({"storageClassName": storage_class} if storage_class is not None else {}),
        **({"volumeName": volume} if volume else {}),
        **({"selector": {"matchLabels": {"tier": tier}}} if tier else {}),
    }  # fmt: skip
    metadata: Object = {"name": name, "namespace": "default", "annotations": notes}
    if deleted:
        metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec}


def pod(
    name: str, *claims: str, on: str = "", priority: int = 0, cpu: str = "100m", volumes: Iterable[Object] = (),
    namespace: str = "default", selector: dict[str, str] | None = None,
) -> Object:  # fmt: skip
    """Return a pod that mounts claims; ``on`` binds it to a node."""
    spec: Object = {
        "priority": priority,
        "containers": [{"name": "c", "image": "i", "resources": {"requests": {"cpu": cpu}}}],
        "volumes": [
            *({"name": f"v{row}", "persistentVolumeClaim": {"claimName": each}} for row, each in enumerate(claims)),
            *({"name": f"d{row}", **each} for row, each in enumerate(volumes)),
        ],
        "nodeSelector": selector or {},
    }
    found = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace}, "spec": spec}
    if on:
        spec["nodeName"] = on
        found["status"] = {"phase": "Running"}
    return found


def run(objects: list[Object], pending: list[Object], *, given: bool = True, every: bool = False) -> Simulation:
    """Return a run, done, of pods that are tried once each (``given``) or that wait in the queue."""
    inventory = inventory_of(objects, pending)
    settings = Settings(compiled=every, every=every, until_us=None if given else 60_000_000)
    simulation = simulation_of(inventory, settings, given=given)
    simulation.compile()
    simulation.run()
    return simulation


def placed(objects: list[Object], pending: list[Object]) -> list[Outcome]:
    """Return what becomes of pods that are tried once each, in order."""
    return outcomes(run(objects, pending), inventory_of(objects, pending))


def nodes_of(found: Iterable[Outcome]) -> list[str | None]:
    """Return where pods were placed."""
    return [outcome.node for outcome in found]


def both(function: Callable[..., Any], cluster: Cluster, *own: Any) -> Any:
    """Call a kernel compiled and plain on copies: they must leave the same behind. The plain one's work is kept."""
    names = parameters(function)[len(own) :]
    before = {name: cluster.columns[name].copy() for name in names}
    own_before = [each.copy() if isinstance(each, np.ndarray) else each for each in own]
    returned = function(*own_before, *before.values())
    expected = plain_form(function)(*own, *cluster.arguments(names))
    assert returned == expected
    for name in names:
        assert np.array_equal(before[name], cluster.columns[name]), name
    for one, other in zip(own, own_before, strict=True):
        assert not isinstance(one, np.ndarray) or np.array_equal(one, other)
    return expected


def rejected(function: Callable[..., Any], cluster: Cluster, template: int) -> list[int]:
    """Return the bits, per node, of the reasons for which a late filter rejects it."""
    sums = np.zeros(cluster.sizes["node"], np.int32)
    both(function, cluster, template, 0, len(sums), 0, sums)
    return [-1 - int(total) if total < 0 else 0 for total in sums]


def random_scenario(rng: Random) -> dict[str, Any]:
    """Return a few nodes with volumes, claims of all kinds and pods that mount them, of several priorities."""
    count = rng.randint(1, 6)
    objects = [_random_node(rng, row) for row in range(count)]
    objects += [
        storage_class("made"), storage_class("zoned", zones=("z0", "z1")), storage_class("mixed", "nfs", zones=("z1",)),
        storage_class("local", "kubernetes.io/no-provisioner"), storage_class("now", mode="Immediate"),
    ]  # fmt: skip
    for row in range(count):
        if rng.random() < 0.8:
            objects.append(csi_node(f"n{row}", csi=rng.choice([0, 1, 2, 3, None]), nfs=rng.choice([1, None])))
    names = []
    for row in range(rng.randint(1, 7)):
        objects.append(
            _random_volume(rng, count, f"kept{row}", rng.choice(["made", "now", "local"]), f"b{row}", "Bound")
        )
        objects.append(claim(f"b{row}", volume=f"kept{row}", modes=_random_modes(rng)))
        names.append(f"b{row}")
    for row in range(rng.randint(1, 9)):
        kind = rng.choice(["made", "zoned", "local", "local", "mixed", "mixed"])
        selected = rng.choice([f"n{rng.randrange(count)}", "gone"]) if kind != "local" and rng.random() < 0.1 else ""
        tier = rng.choice(["", "", "", "", "", "a", "b"])
        objects.append(claim(f"w{row}", rng.randint(1, 3), kind, "", None, _random_modes(rng), selected, tier))
        names.append(f"w{row}")
        if rng.random() < 0.2:
            objects.append(_random_volume(rng, count, f"pre{row}", kind, f"w{row}", "Available"))
    for row in range(rng.randrange(12)):
        kind = rng.choice(["made", "zoned", "local", "local", "mixed"])
        phase = rng.choice(["Available"] * 6 + ["Released"])
        objects.append(_random_volume(rng, count, f"free{row}", kind, "", phase))
    objects.append(claim("now", storage_class="now"))
    objects += [_random_pod(rng, f"e{row}", names, f"n{rng.randrange(count)}") for row in range(rng.randrange(8))]
    pending = [_random_pod(rng, f"p{row}", [*names, "missing", "now"]) for row in range(rng.randint(5, 20))]
    return {"name": "random", "objects": objects, "pending": pending}


def _random_node(rng: Random, row: int) -> Object:
    labels = {
        **({"zone": f"z{rng.randrange(3)}"} if rng.random() < 0.85 else {}),
        **({"beta": f"z{rng.randrange(3)}"} if rng.random() < 0.2 else {}),
        **({"region": f"r{rng.randrange(2)}"} if rng.random() < 0.3 else {}),
    }
    return node(f"n{row}", rng.choice(["1", "2", "4"]), **labels)


def _random_modes(rng: Random) -> list[str]:
    return rng.choice([["ReadWriteOnce"], ["ReadWriteOnce"], ["ReadWriteOncePod"], ["ReadWriteMany"]])


def _random_volume(rng: Random, count: int, name: str, kind: str, kept: str, phase: str) -> Object:
    affinity = rng.choice([
        only(HOST, f"n{rng.randrange(count)}"), only(ZONE, f"z{rng.randrange(3)}"), None, None,
        only(HOST, f"n{rng.randrange(count)}", operator="NotIn"), only("none", operator="Exists") if kept else None,
    ])  # fmt: skip
    place = (
        {rng.choice([ZONE, BETA_ZONE, REGION]): rng.choice(["z0", "z1", "z0__z2", "r0"])} if rng.random() < 0.3 else {}
    )
    return volume(
        name, rng.choice([1, 2, 2, 3, 5]), kind, kept, affinity, place | {"tier": rng.choice("ab")},
        rng.choice([["ReadWriteOnce"], ["ReadWriteOnce", "ReadWriteMany"], ["ReadWriteOncePod", "ReadWriteOnce"]]),
        rng.choice(["Filesystem"] * 5 + ["Block"]), phase, rng.choice([f"h-{name}", f"h-{name}", "shared", ""]),
        rng.choice(["csi", "csi", "nfs"]),
    )  # fmt: skip


def _random_pod(rng: Random, name: str, names: list[str], on: str = "") -> Object:
    mine = rng.sample(names, min(len(names), rng.choice([0, 0, 1, 1, 1, 2, 2, 3])))
    disk = {"gcePersistentDisk": {"pdName": f"pd{rng.randrange(3)}", "readOnly": rng.random() < 0.5}}
    return pod(
        name, *mine, on=on, priority=rng.choice([-1, 0, 5] if on else [0, 0, 5, 10]),
        cpu=rng.choice(["100m", "500m", "1"]), volumes=[disk] if rng.random() < 0.25 else [],
    )  # fmt: skip
