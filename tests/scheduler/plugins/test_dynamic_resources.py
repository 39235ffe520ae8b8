"""DynamicResources: whole devices by class and count, claims that pods share, and what a trial may not touch."""

from __future__ import annotations

from typing import Any

import numpy as np

from kscale.placing import outcomes
from kscale.scheduler.plugins.dynamic_resources import (
    DYNAMIC,
    allocate,
    begin_trial,
    end_trial,
    may_free_devices,
    own_amounts,
    shared_amounts,
    unallocatable,
)
from kscale.simulation import Simulation
from kscale.state.descriptions import PodTemplate
from kscale.state.manifests import inventory_of
from tests.scheduler.claims import Object, both, node, nodes_of, placed, pod, rejected, run

NODES = [node("n0"), node("n1")]
FEW = "cannot allocate all claims"
AWAY = "resourceclaim not available on the node"
API = "resource.k8s.io/v1"


def device_class(name: str, driver: str) -> Object:
    cel = {"cel": {"expression": f"device.driver == '{driver}'"}}
    return {"apiVersion": API, "kind": "DeviceClass", "metadata": {"name": name}, "spec": {"selectors": [cel]}}


def devices(on: str, count: int, driver: str = "gpu.example") -> Object:
    return {
        "apiVersion": API, "kind": "ResourceSlice", "metadata": {"name": f"{on}-{driver}"},
        "spec": {
            "driver": driver, "nodeName": on, "pool": {"name": on, "generation": 1, "resourceSliceCount": 1},
            "devices": [{"name": f"d{row}"} for row in range(count)],
        },
    }  # fmt: skip


def spec(**counts: int) -> Object:
    requests = [
        {"name": name, "exactly": {"deviceClassName": name, "allocationMode": "ExactCount", "count": count}}
        for name, count in counts.items()
    ]
    return {"devices": {"requests": requests}}


def template(name: str, **counts: int) -> Object:
    metadata = {"name": name, "namespace": "default"}
    return {"apiVersion": API, "kind": "ResourceClaimTemplate", "metadata": metadata, "spec": {"spec": spec(**counts)}}


def shared(name: str, **counts: int) -> Object:
    metadata = {"name": name, "namespace": "default"}
    return {"apiVersion": API, "kind": "ResourceClaim", "metadata": metadata, "spec": spec(**counts)}


def asking(name: str, *claims: str, **more: Any) -> Object:
    """A pod with claims: of a template, or with = in front a claim of that name."""
    found = pod(name, **more)
    found["spec"]["resourceClaims"] = [
        {
            "name": f"r{row}",
            ("resourceClaimName" if each.startswith("=") else "resourceClaimTemplateName"): each.strip("="),
        }
        for row, each in enumerate(claims)
    ]
    return found


CLUSTER = [
    *NODES, device_class("gpu", "gpu.example"), device_class("nic", "nic.example"), devices("n0", 2), devices("n1", 4),
    devices("n1", 1, "nic.example"), template("one", gpu=1), template("three", gpu=3), template("both", gpu=1, nic=1),
    shared("s", gpu=2), shared("t", nic=1),
]  # fmt: skip


def test_devices_are_taken_by_class_and_count() -> None:
    pods = [asking("p", "three"), asking("q", "one", "one"), asking("r", "both"), asking("s", "one"), asking("t")]
    found = placed(CLUSTER, pods)
    assert nodes_of(found) == ["n1", "n0", "n1", None, "n0"]
    assert found[3].message == f"0/2 nodes are available: 2 {FEW}."


def test_a_class_that_no_node_has_cannot_be_allocated() -> None:
    assert nodes_of(placed([*CLUSTER, template("odd", odd=1)], [asking("p", "odd")])) == [None]


def test_pods_that_are_there_have_devices() -> None:
    there = [asking("a", "one", on="n0"), asking("b", "three", on="n1")]
    assert nodes_of(placed([*CLUSTER, *there], [asking("p", "one", "one"), asking("q", "one")])) == [None, "n0"]


def test_a_shared_claim_is_allocated_once_and_ties_its_pods() -> None:
    pods = [asking("p", "=s"), asking("q", "=s"), asking("r", "=s", selector={"kubernetes.io/hostname": "n1"})]
    found = placed(CLUSTER, [*pods, asking("s", "one", selector={"kubernetes.io/hostname": "n0"})])
    assert nodes_of(found) == ["n0", "n0", None, None]
    assert f"1 {AWAY}" in found[2].message
    # On its node, what else a pod asks for must be free; elsewhere that is looked at first.
    found = placed([*CLUSTER, asking("there", "=s", on="n1")], [asking("p", "=s", "three"), asking("q", "=s", "one")])
    assert found[0].message == f"0/2 nodes are available: 2 {FEW}."
    assert found[1].node == "n1"


def test_what_templates_of_a_claim_have_in_common_is_the_claims() -> None:
    def asks(names: tuple[str, ...], **counts: int) -> PodTemplate:
        return PodTemplate(devices=tuple(sorted(counts.items())), device_claims=names)

    templates = [
        asks(("x",), gpu=3, nic=1), asks(("x",), gpu=2), asks(("x", "y"), gpu=3, nic=1), asks((), gpu=7),
        asks(("z", "w"), nic=2),
    ]  # fmt: skip
    known = shared_amounts(templates)
    assert known == {"x": {"gpu": 2}, "y": {"gpu": 1, "nic": 1}, "z": {"nic": 2}, "w": {}}
    assert [own_amounts(each, known) for each in templates] == [{"gpu": 1, "nic": 1}, {}, {}, {"gpu": 7}, {}]


def test_evicting_pods_does_not_free_devices() -> None:
    there = [asking("low", "three", on="n1"), asking("low2", "one", "one", on="n0")]
    found = placed([*CLUSTER, *there], [asking("p", "three", priority=9)])
    assert (found[0].status, found[0].victims) == ("unschedulable", ())
    # Nor where something else turned the pod away first.
    there = [asking("low", "three", on="n1", cpu="8"), asking("low2", "one", "one", on="n0", cpu="8")]
    found = placed([*CLUSTER, *there], [asking("p", "three", priority=9)])
    assert (found[0].status, found[0].victims) == ("unschedulable", ())
    assert DYNAMIC.unresolvable == (0, 1)


def test_devices_are_free_again_when_pods_have_been_evicted() -> None:
    there = [asking("low", "three", on="n1", cpu="8")]
    pods = [pod("high", priority=9, cpu="8", selector={"kubernetes.io/hostname": "n1"}), asking("p", "three", cpu="0")]
    found = placed([*CLUSTER, *there], pods)
    assert [(f.status, f.node) for f in found] == [("preempted", "n1"), ("scheduled", "n1")]


def simulation_of(*pods: Object) -> Simulation:
    for each in pods:
        each["spec"]["containers"][0]["resources"]["requests"]["cpu"] = "99"
    return run(CLUSTER, list(pods))


def test_kernels_keep_devices_compiled_and_plain() -> None:
    simulation = simulation_of(
        asking("p", "one"), asking("q", "=s", "one"), asking("r", "=s", "=t"), asking("s", "=s")
    )  # fmt: skip
    cluster = simulation.cluster
    assert simulation.building.kept["DynamicResources"][0] == {"gpu": 0, "nic": 1}
    assert [rejected(unallocatable, cluster, row) for row in range(3)] == [[0, 0], [1, 0], [1, 0]]
    both(allocate, cluster, 1, 1, 1)
    assert cluster.device_class_taken.tolist() == [[0, 3], [0, 0]]
    assert rejected(unallocatable, cluster, 2) == [1, 0]  # too few are free there; it is tied to n1 as well
    both(allocate, cluster, 2, 1, 1)
    assert cluster.device_class_taken.tolist() == [[0, 3], [0, 1]]
    assert [rejected(unallocatable, cluster, row) for row in range(3)] == [[0, 0], [2, 0], [2, 0]]
    both(begin_trial, cluster, 1, 0)
    both(allocate, cluster, 1, 1, -1)
    both(allocate, cluster, 0, 0, 1)
    both(end_trial, cluster, 1, 0)
    assert cluster.device_class_taken.tolist() == [[0, 3], [0, 1]]
    both(allocate, cluster, 1, 1, -1)
    assert cluster.device_class_taken.tolist() == [[0, 2], [0, 1]]  # the other pod still has the shared claim
    assert rejected(unallocatable, cluster, 1) == [2, 0]
    both(allocate, cluster, 2, 1, -1)
    assert not cluster.device_class_taken.any()
    assert rejected(unallocatable, cluster, 1) == [1, 0]


def test_the_end_of_a_pod_with_devices_may_help() -> None:
    cluster = simulation_of(asking("p", "one"), asking("q", "=t"), asking("r")).cluster
    assert [bool(both(may_free_devices, cluster, 0, other, 0)) for other in range(3)] == [True, True, False]
    assert not any(both(may_free_devices, cluster, 0, other, 1) for other in range(3))


def test_random_pods_never_take_more_devices_than_there_are() -> None:
    rng = np.random.default_rng(5)
    kinds = [("one",), ("three",), ("both",), ("=s",), ("=t",), ("=t", "one"), ("=s", "=t"), ()]
    pods = [asking(f"p{row}", *kinds[kind]) for row, kind in enumerate(rng.permutation([*range(8)] * 3).tolist())]
    simulation = run(CLUSTER, pods)
    cluster = simulation.cluster
    assert (cluster.device_class_taken <= cluster.device_class_count).all()
    placed_pods = [o.node for o in outcomes(simulation, inventory_of(CLUSTER, pods))]
    needs = {"one": (1, 0), "three": (3, 0), "both": (1, 1), "=s": (2, 0), "=t": (0, 1)}
    for row, name in enumerate(("n0", "n1")):
        own = [c for p, on in zip(pods, placed_pods, strict=True) if on == name for c in _claims(p)]
        once = [c for c in own if not c.startswith("=")] + sorted({c for c in own if c.startswith("=")})
        assert cluster.device_class_taken[:, row].tolist() == [sum(needs[c][k] for c in once) for k in range(2)]


def _claims(found: Object) -> list[str]:
    return [
        f"={c['resourceClaimName']}" if "resourceClaimName" in c else c["resourceClaimTemplateName"]
        for c in found["spec"]["resourceClaims"]
    ]
