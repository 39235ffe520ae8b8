"""Rows, times, nodes, volumes, budgets and devices of whole inventories."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kscale.errors import InputError
from kscale.state.descriptions import Claim, DisruptionBudget, Selector, StorageClass, Volume
from kscale.state.labels import Requirement, Taint
from kscale.state.manifests import inventory_of, take_inventory
from kscale.state.manifests.pods import microseconds
from kscale.state.manifests.taking import FIRST_BOUND, FIRST_PENDING
from tests.state.manifests.making import SELECT, container, node, objects, pod, thing

NODE_LABEL = "kubernetes.io/metadata.name"
WEB = Selector((Requirement("app", "In", ("web",)), Requirement("tier", "In", ("front",))))


def take(tmp_path: Path, *found: dict[str, Any]) -> Any:
    path = tmp_path / "objects.json"
    path.write_text(json.dumps({"kind": "List", "items": found}))
    return take_inventory([path])


def running(name: str, on: str = "n1", **status: Any) -> dict[str, Any]:
    return {**pod(name, nodeName=on), "status": {"phase": "Running", **status}}


def test_nodes() -> None:
    inventory = inventory_of(objects())
    (found,) = inventory.nodes
    assert found.labels == {"zone": "b", "gen": "4"}
    assert found.taints == (Taint("k", "v", "NoSchedule"),)
    assert found.unschedulable
    assert found.allocatable == {"cpu": 4000, "memory": 8 << 30, "nvidia.com/gpu": 2}
    assert found.images == (("app:v1", 100), ("app@sha256:0", 100))


def test_allocatable_defaults_to_capacity_only_where_it_is_missing() -> None:
    capacity = {"cpu": "1", "pods": "10"}
    stated = {"capacity": capacity, "allocatable": {"cpu": "100m", "odd": "7"}}
    nodes = [
        node("a", status={"capacity": capacity}),
        node("b", status=stated),
        node("c", status={}),
        node("d", status=None),
    ]
    nodes.append(node("e", status={"capacity": capacity, "allocatable": {}}))
    found = [one.allocatable for one in inventory_of(nodes).nodes]
    assert found == [{"cpu": 1000, "pods": 10}, {"cpu": 100, "odd": 7}, {}, {}, {}]


def test_bound_pods_come_first_and_pending_ones_keep_their_order(tmp_path: Path) -> None:
    found = [pod("c"), running("b", "n2"), pod("a"), running("d", "n1"), node("n1"), node("n2")]
    inventory = take(tmp_path, *found)
    assert inventory.pods.names == ["b", "d", "c", "a"]
    assert inventory.pods.node.tolist() == [1, 0, -1, -1]
    assert inventory.pending.tolist() == [2, 3]
    assert [inventory.source(i)["metadata"]["name"] for i in range(2)] == ["c", "a"]
    assert len(inventory.templates) == 1  # being bound makes no difference
    assert inventory.pods.template.dtype == inventory.pods.node.dtype == np.int32


def test_a_pod_is_bound_when_it_names_a_node_and_has_a_status(tmp_path: Path) -> None:
    named = pod("named", nodeName="n1")
    empty = {**pod("empty", nodeName="n1"), "status": {}}
    gone = running("gone", "elsewhere")
    ended = [running("x", phase="Succeeded"), running("y", phase="Failed")]
    started = {**pod("started", nodeName="n1"), "status": {"startTime": "2026-01-01T00:00:00Z"}}
    inventory = take(tmp_path, node(), named, empty, gone, *ended, started, running("waits", phase="Pending"))
    assert inventory.pods.names == ["started", "waits", "named", "empty"]
    assert inventory.ignored == {"Pod: bound to a node that is not there": 1, "Pod: has ended": 2}
    assert inventory.notes == (
        "1 pods are left out: their nodes are not there (elsewhere).",
        "2 pods name a node and have no status: they are pending.",
    )
    names = [inventory.templates[t].description.node_name for t in inventory.pods.template]
    assert names == ["", "", "n1", "n1"]


def test_objects_that_are_decoded_already() -> None:
    inventory = inventory_of(
        [node(), pod("a", nodeName="n1")], [{k: pod("b")[k] for k in ("metadata", "spec")}, running("c")]
    )
    assert inventory.pods.names == ["a", "b", "c"]
    assert inventory.pods.node.tolist() == [0, -1, -1]
    assert inventory.templates[inventory.pods.template[2]].description.node_name == "n1"
    assert inventory.surroundings.namespaces == {}


@pytest.mark.parametrize(
    "found", [3, None, [], {}, {"kind": 3}, {"kind": "Pod", "spec": object()}, {"kind": "Pod", "x": "\ud800"}]
)
def test_what_is_no_object(found: Any) -> None:
    with pytest.raises(InputError, match="objects, item 1"):
        inventory_of([found])


def test_times_are_filled_in() -> None:
    bound = [running("a"), running("b", startTime="2026-07-01T00:00:00.25Z"), running("c")]
    inventory = inventory_of(
        [node(), *bound], [pod("d"), pod("e", meta={"creationTimestamp": "2026-01-01T00:00:00+01:00"})]
    )
    july = microseconds(datetime.datetime(2026, 7, 1, tzinfo=datetime.UTC))
    starts = [FIRST_BOUND, july + 250_000, FIRST_BOUND + 2_000_000, july + 1_250_000, july + 2_250_000]
    assert inventory.pods.start_us.tolist() == starts
    assert inventory.pods.created_us.tolist() == [-1, -1, -1, -1, FIRST_BOUND - 3_600_000_000]
    assert inventory_of([node()], [pod()]).pods.start_us.tolist() == [FIRST_PENDING]
    assert microseconds(datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)) == FIRST_BOUND
    assert microseconds(datetime.datetime(2026, 6, 1, tzinfo=datetime.UTC)) == FIRST_PENDING


@pytest.mark.parametrize("time", ["yesterday", "2026-01-01", "2026-01-01T00:00:00", 5, "2026-13-01T00:00:00Z"])
def test_times_are_times(time: object) -> None:
    with pytest.raises(InputError, match=r"item 1 \(Pod default/a\), field 'status.startTime'"):
        inventory_of([running("a", startTime=time)])


def test_namespaces(tmp_path: Path) -> None:
    stated = thing("Namespace", "a", meta={"labels": {"x": "y"}})
    assert inventory_of([stated]).surroundings.namespaces == {"a": {"x": "y", NODE_LABEL: "a"}}
    found = take(tmp_path, stated, pod(meta={"namespace": None}), pod(meta={"namespace": "b"}))
    assert found.surroundings.namespaces == {"a": {"x": "y", NODE_LABEL: "a"}} | {
        n: {NODE_LABEL: n} for n in ("default", "b")
    }
    assert found.pods.namespaces == ["default", "b"]


def test_volumes_claims_and_classes() -> None:
    around = inventory_of(objects()).surroundings
    assert set(around.volumes) == {"pv"}
    found = around.volumes["pv"]
    assert found == Volume(
        "pv", 10 << 30, ("ReadWriteOnce",), "fast", "Block", found.terms, (), "d", "h", "default/data", "u", "Bound"
    )
    assert found.terms is not None and len(found.terms[0]) == 3
    assert around.claims == {
        "default/data": Claim(
            "default/data", "u", 5 << 30, ("ReadWriteOnce",), "fast", "Filesystem", WEB, "pv", True, "", False
        )
    }
    topology = (Requirement("zone", "In", ("b",)),)
    assert around.classes == {"fast": StorageClass("fast", "d", True, (topology,), ("zone",))}
    assert around.limits == {0: (("d", 3), ("e", None))}


def test_classes_of_claims() -> None:
    default = {
        "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
        "creationTimestamp": "2026-01-01T00:00:00Z",
    }
    newer = default | {"creationTimestamp": "2026-02-01T00:00:00Z"}
    claims = [
        thing("PersistentVolumeClaim", "none"),
        thing("PersistentVolumeClaim", "empty", spec={"storageClassName": ""}),
        thing("PersistentVolumeClaim", "old", meta={"annotations": {"volume.beta.kubernetes.io/storage-class": "x"}}),
        thing("PersistentVolumeClaim", "node", meta={"annotations": {"volume.kubernetes.io/selected-node": "n1"}}),
    ]
    classes = [thing("StorageClass", name, "storage.k8s.io/v1", meta) for name, meta in (("a", default), ("b", newer))]
    found = inventory_of(claims).surroundings.claims
    assert [claim.storage_class for claim in found.values()] == [None, "", "x", None]
    assert found["default/node"].selected_node == "n1"
    found = inventory_of([*claims, *classes]).surroundings.claims
    assert [claim.storage_class for claim in found.values()] == ["b", "", "x", "b"]


def test_budgets() -> None:
    budgets = [
        thing("PodDisruptionBudget", "all", "policy/v1", spec={"selector": {}}),
        thing("PodDisruptionBudget", "none", "policy/v1", status={"disruptionsAllowed": 2}),
    ]
    found = inventory_of([*budgets, *objects()]).surroundings.budgets
    assert found == (
        DisruptionBudget("all", "default", Selector(), 0),
        DisruptionBudget("none", "default", None, 2),
        DisruptionBudget("web", "default", WEB, 1, frozenset({"x"})),
    )


def test_devices() -> None:
    inventory = inventory_of(objects())
    assert inventory.surroundings.device_counts == {"gpu": ((0, 2),)}
    full = inventory.templates[inventory.pods.template[inventory.pending[0]]]
    assert full.devices == (("gpu", 4),)
    assert full.device_claims == ("default/shared",)


def device_class(name: str, *expressions: str) -> dict[str, Any]:
    selectors = [{"cel": {"expression": text}} for text in expressions]
    return thing("DeviceClass", name, "resource.k8s.io/v1beta1", spec={"selectors": selectors})


def old_slices() -> list[dict[str, Any]]:
    devices = [
        {"basic": {"attributes": {"size": {"int": 2}, "x.y/fast": {"bool": True}, "model": {"string": "m"}}}},
        {"basic": {"attributes": {"size": {"int": 1}}}},
        {},
    ]
    pool = {"name": "p", "generation": 2}
    return [
        thing(
            "ResourceSlice",
            "a",
            "resource.k8s.io/v1beta1",
            spec={"driver": "d", "nodeName": "n1", "pool": pool, "devices": devices},
        ),
        thing(
            "ResourceSlice",
            "b",
            "resource.k8s.io/v1beta1",
            spec={"driver": "d", "nodeName": "n1", "pool": {"name": "p", "generation": 1}, "devices": [{}]},
        ),
        thing(
            "ResourceSlice",
            "c",
            "resource.k8s.io/v1beta1",
            spec={"driver": "d", "allNodes": True, "pool": {"name": "q"}},
        ),
        thing(
            "ResourceSlice",
            "d",
            "resource.k8s.io/v1beta1",
            spec={"driver": "d", "nodeName": "gone", "pool": {"name": "r"}},
        ),
    ]


def test_devices_of_older_apis_and_expressions_beyond_equalities() -> None:
    slices = old_slices()
    big = "device.driver == 'd' && device.attributes['d'].size == 2 && (device.attributes[\"x.y\"].fast == true)"
    classes = [
        device_class("big", big),
        device_class("model", 'device.attributes["d"].model == "m"'),
        device_class("driver", "device.driver == 'd'"),
        device_class("any"),
        device_class("odd", "device.attributes['d'].size > 1"),
    ]
    request = {"name": "r", "deviceClassName": "big"}
    claim = {
        "devices": {
            "requests": [request, request | {"count": 3}, request | {"allocationMode": "All"}],
            "constraints": [{}],
        }
    }
    template = thing("ResourceClaimTemplate", "t", "resource.k8s.io/v1beta1", spec={"spec": claim})
    asking = pod(
        resourceClaims=[
            {"name": "a", "resourceClaimTemplateName": "t"},
            {"name": "b", "resourceClaimTemplateName": "gone"},
        ]
    )
    inventory = inventory_of([node(), *classes, *slices, template], [asking])
    assert inventory.surroundings.device_counts == {
        "big": ((0, 1),), "model": ((0, 1),), "driver": ((0, 3),), "any": ((0, 3),)
    }  # fmt: skip
    assert inventory.templates[0].devices == (("big", 4),)
    assert inventory.ignored == {
        "DeviceClass.spec.selectors: beyond equalities; none of its devices count": 1,
        "ResourceSlice: of no one node": 1,
        "ResourceSlice: of a node that is not there": 1,
        "ResourceClaim.spec.devices.constraints": 1,
        "ResourceClaim.spec.devices.requests.allocationMode: All": 1,
    }


def test_fields_that_are_not_modelled_are_counted() -> None:
    found = pod(nodeSelectors={"a": "b"}, hostPID=True, runtimeClassName="kata", volumes=None)
    assert inventory_of([node()], [found]).ignored == {
        "Pod.spec.nodeSelectors": 1,
        "Pod.spec.runtimeClassName: only the overhead that the pod states counts": 1,
    }


def test_volumes_whose_limits_are_not_counted() -> None:
    volumes = [
        thing("PersistentVolume", "a", spec={"awsElasticBlockStore": {"volumeID": "v"}}),
        thing("PersistentVolume", "b", spec={"gcePersistentDisk": None, "nfs": {}}),
    ]
    ignored = inventory_of(volumes).ignored
    assert ignored == {"PersistentVolume of aws_elastic_block_store: counts towards no limit": 1}


def test_null_is_as_good_as_nothing() -> None:
    nulls = pod(
        **dict.fromkeys(
            ("affinity", "tolerations", "volumes", "nodeSelector", "initContainers", "priority", "resources")
        ),
        containers=[container(resources=None, ports=None)],
    )
    nulls["metadata"] |= {"labels": None, "creationTimestamp": None}
    nulls["status"] = None
    assert inventory_of([node(spec=None)], [nulls]).templates == inventory_of([node()], [pod()]).templates


@pytest.mark.parametrize(
    ("found", "field"),
    [
        (node(spec={"taints": [{"key": "a", "effect": "No"}]}), "spec.taints[0].effect"),
        (node(spec={"taints": [{"effect": "NoExecute"}]}), "spec.taints[0].key"),
        (node(status={"allocatable": {"cpu": "-1"}}), "status.allocatable.cpu"),
        (node(status={"capacity": {"memory": "1X"}}), "status.capacity.memory"),
        (node(status={"images": [{"sizeBytes": -1}]}), "status.images[0].sizeBytes"),
        (thing("PriorityClass", "p", "scheduling.k8s.io/v1"), "value"),
        (thing("PriorityClass", "p", "scheduling.k8s.io/v1", value=1 << 40), "value"),
        (thing("PriorityClass", "p", "scheduling.k8s.io/v1", value=1, preemptionPolicy="x"), "preemptionPolicy"),
        (thing("StorageClass", "s", "storage.k8s.io/v1", volumeBindingMode="Later"), "volumeBindingMode"),
        (
            thing(
                "StorageClass", "s", "storage.k8s.io/v1", allowedTopologies=[{"matchLabelExpressions": [{"key": "a"}]}]
            ),
            "allowedTopologies[0].matchLabelExpressions[0].values",
        ),
        (thing("PersistentVolume", "v", spec={"volumeMode": "File"}), "spec.volumeMode"),
        (
            thing("PersistentVolumeClaim", "v", spec={"resources": {"requests": {"storage": "x"}}}),
            "spec.resources.requests.storage",
        ),
        (thing("CSINode", "n1", "storage.k8s.io/v1", spec={"drivers": [{}]}), "spec.drivers[0].name"),
        (
            thing(
                "CSINode", "n1", "storage.k8s.io/v1", spec={"drivers": [{"name": "d", "allocatable": {"count": -1}}]}
            ),
            "spec.drivers[0].allocatable.count",
        ),
        (
            thing("PodDisruptionBudget", "b", "policy/v1", status={"disruptionsAllowed": -1}),
            "status.disruptionsAllowed",
        ),
        (thing("Service", "s", spec={"selector": {"a b": "c"}}), "spec.selector"),
        (thing("ReplicaSet", "s", "apps/v1", spec={"selector": {"matchLabels": []}}), "spec.selector.matchLabels"),
        (
            thing(
                "ResourceClaim", "c", "resource.k8s.io/v1", spec={"devices": {"requests": [{"exactly": {"count": 0}}]}}
            ),
            "spec.devices.requests[0].count",
        ),
        (running("p", phase="Gone"), "status.phase"),
        (thing("Pod", "p"), "spec"),
    ],
)
def test_wrong_objects_are_refused_with_their_field(found: dict[str, Any], field: str) -> None:
    with pytest.raises(InputError) as told:
        inventory_of([found])
    assert told.value.field == field
    assert f"objects, item 1 ({found['kind']} " in str(told.value)


def test_selectors_of_objects_keep_only_what_they_read() -> None:
    budget = thing("PodDisruptionBudget", "b", "policy/v1", spec={"selector": SELECT})
    found = inventory_of([node(), budget], [pod(meta={"labels": {"app": "web", "other": "x"}})])
    assert found.templates[0].labels == (("app", "web"),)
