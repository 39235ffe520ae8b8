"""How Services are read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kscale import controllers
from kscale.controllers.common.service_manifest import ANYWHERE, CLUSTER_IP, LOAD_BALANCER, SAME_NODE, SAME_ZONE
from kscale.controllers.common.services import TABLE
from kscale.errors import InputError
from kscale.state.manifests.inventory import Inventory
from kscale.state.manifests.taking import take_inventory

PORT = {"port": 80}


def read(
    folder: Path,
    *specs: dict[str, Any],
    status: dict[str, Any] | None = None,
    annotations: dict[str, str] | None = None,
) -> Inventory:
    items = [
        {
            "apiVersion": "v1", "kind": "Service", "spec": spec, "status": status or {},
            "metadata": {"name": f"s{place}", "namespace": "shop", "annotations": annotations or {}},
        }
        for place, spec in enumerate(specs)
    ]  # fmt: skip
    file = folder / "services.json"
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    manifests = {name: kind.manifest for name, kind in controllers.kinds().items() if kind.manifest is not None}
    return take_inventory([file], manifests=manifests)


def columns(folder: Path, **spec: Any) -> dict[str, Any]:
    (made,) = read(folder, {"ports": [PORT], **spec}).workloads.made
    assert (made.kind, made.namespace, made.name) == ("Service", "shop", "s0")
    return made.columns


def test_what_is_not_stated_has_kubernetes_defaults(tmp_path: Path) -> None:
    found = columns(tmp_path, selector={"app": "web"})
    assert found["ports"] > 0
    assert {name: value for name, value in found.items() if not name.startswith("port")} == {
        "type": CLUSTER_IP, "selection": 0, "families": 1, "headless": 0, "publish_not_ready": 0,
        "traffic_distribution": ANYWHERE, "topology_auto": 0, "affinity_us": 0, "internal_policy": 0,
        "external_policy": 0, "allocates": 1, "asked_ip": -1, "cluster_ip6": -1, "asked_health_port": 0,
        "external_ip": [-1], "load_balancer_ip": [-1], "source_range": [-1],
    }  # fmt: skip
    assert [found[f"port_{name}"] for name in ("number", "protocol", "target", "target_name", "asked")] == [
        [80], [0], [80], [-1], [0]
    ]  # fmt: skip


def test_columns_are_those_of_the_table_that_are_not_given_out(tmp_path: Path) -> None:
    given = {"cluster_ip", "health_port", "port_node", "port_node_for", "refusal", "refusals"}
    assert set(columns(tmp_path)) == {column.name for column in TABLE.columns} - given


def test_all_that_may_be_stated(tmp_path: Path) -> None:
    found = columns(
        tmp_path, selector={"app": "web"}, clusterIP="None", publishNotReadyAddresses=True, ports=[],
        trafficDistribution="PreferClose", ipFamilies=["IPv6", "IPv4"],
    )  # fmt: skip
    expected = {"selection": 0, "ports": 0, "families": 3, "headless": 1, "publish_not_ready": 1,
                "traffic_distribution": SAME_ZONE, "port_number": [0], "port_name": [-1]}  # fmt: skip
    assert {name: found[name] for name in expected} == expected
    for said, meant in (("PreferSameZone", SAME_ZONE), ("PreferSameNode", SAME_NODE)):
        assert columns(tmp_path, trafficDistribution=said)["traffic_distribution"] == meant


def test_a_load_balancer_with_all_that_it_may_have(tmp_path: Path) -> None:
    spec = {
        "type": "LoadBalancer", "clusterIP": "10.96.0.20", "clusterIPs": ["10.96.0.20", "fd00::20"],
        "ipFamilies": ["IPv4", "IPv6"], "externalIPs": ["192.0.2.1", "192.0.2.2"], "sessionAffinity": "ClientIP",
        "loadBalancerSourceRanges": ["10.0.0.0/8"], "internalTrafficPolicy": "Local", "healthCheckNodePort": 30300,
        "externalTrafficPolicy": "Local", "allocateLoadBalancerNodePorts": False,
        "ports": [
            {"name": "dns", "port": 53, "protocol": "UDP", "nodePort": 30053}, {"name": "web", "port": 80,
                                                                                "targetPort": "http"},
        ],
    }  # fmt: skip
    ingress = [{"ip": "198.51.100.1"}, {"hostname": "a.example"}, {"ip": "198.51.100.2", "ipMode": "Proxy"}]
    noted = {"service.kubernetes.io/topology-mode": "Auto"}
    inventory = read(tmp_path, spec, status={"loadBalancer": {"ingress": ingress}}, annotations=noted)
    ((made,), texts) = inventory.workloads.made, list(inventory.workloads.texts)
    found = made.columns
    assert (found["type"], found["allocates"], found["topology_auto"]) == (LOAD_BALANCER, 0, 1)
    assert (found["asked_ip"], texts[found["cluster_ip6"]]) == ((10 << 24) + (96 << 16) + 20, "fd00::20")
    assert [texts[handle] for handle in found["external_ip"]] == ["192.0.2.1", "192.0.2.2"]
    assert [texts[handle] for handle in found["load_balancer_ip"]] == ["198.51.100.1"]
    assert [texts[handle] for handle in found["source_range"]] == ["10.0.0.0/8"]
    assert (found["affinity_us"], found["internal_policy"], found["external_policy"]) == (10_800_000_000, 1, 1)
    assert (found["asked_health_port"], found["port_asked"]) == (30300, [30053, 0])
    assert (found["port_number"], found["port_protocol"], found["port_target"]) == ([53, 80], [1, 0], [53, -1])
    assert [texts[handle] for handle in found["port_name"]] == ["dns", "web"]
    assert texts[found["port_target_name"][1]] == "http"


@pytest.mark.parametrize(
    ("noted", "auto"),
    [
        ({"service.kubernetes.io/topology-mode": "auto"}, 1), ({"service.kubernetes.io/topology-mode": "Disabled"}, 0),
        ({"service.kubernetes.io/topology-aware-hints": "Auto"}, 1),
        ({"service.kubernetes.io/topology-aware-hints": "", "service.kubernetes.io/topology-mode": "Auto"}, 0),
    ],
)  # fmt: skip
def test_the_older_annotation_of_topology_goes_first(tmp_path: Path, noted: dict[str, str], auto: int) -> None:
    (made,) = read(tmp_path, {"ports": [PORT]}, annotations=noted).workloads.made
    assert made.columns["topology_auto"] == auto


def test_affinity_lasts_as_long_as_it_says(tmp_path: Path) -> None:
    config = {"clientIP": {"timeoutSeconds": 86400}}
    found = columns(tmp_path, sessionAffinity="ClientIP", sessionAffinityConfig=config)
    assert found["affinity_us"] == 86_400_000_000


def test_the_selector_selects_in_its_namespace(tmp_path: Path) -> None:
    inventory = read(tmp_path, {"ports": [PORT], "selector": {"app": "web", "tier": "front"}})
    ((selector, namespace),) = inventory.workloads.selections
    assert selector is not None and namespace == "shop"
    assert [(one.key, one.values) for one in selector.requirements] == [("app", ("web",)), ("tier", ("front",))]


@pytest.mark.parametrize(
    "spec", [{}, {"selector": {}}, {"type": "ExternalName", "externalName": "example.com", "selector": {"app": "web"}}]
)
def test_without_a_selector_nothing_is_selected(tmp_path: Path, spec: dict[str, Any]) -> None:
    assert columns(tmp_path, **spec)["selection"] == -1


def test_equal_ports_have_one_number(tmp_path: Path) -> None:
    alike = [[PORT], [{"port": 80, "targetPort": 80, "protocol": "TCP"}], [{"port": 8080, "targetPort": 80}]]
    other = [
        [{"port": 80, "protocol": "UDP"}], [{"port": 80, "targetPort": 81}], [{"port": 80, "name": "web"}],
        [{"port": 80, "targetPort": "web"}], [{"port": 80, "appProtocol": "h2c"}],
        [{"name": "a", "port": 80}, {"name": "b", "port": 80, "protocol": "UDP"}],
    ]  # fmt: skip
    inventory = read(tmp_path, *({"ports": ports} for ports in alike + other))
    numbers = [made.columns["ports"] for made in inventory.workloads.made]
    assert numbers[0] == numbers[1] == numbers[2]
    assert len(set(numbers)) == 1 + len(other)
    assert sum(count for note, count in inventory.ignored.items() if "port by its name" in note) == 1


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ({"ports": []}, "field 'spec.ports': is missing; expected a port or more"),
        ({"type": "Balanced"}, "field 'spec.type': 'Balanced' is not known"),
        ({"type": "NodePort", "clusterIP": "None"}, "field 'spec.clusterIP': is None; expected an address"),
        ({"type": "ExternalName"}, "field 'spec.externalName': is missing"),
        ({"selector": {"a b": "c"}}, "field 'spec.selector': 'a b' is not a label key"),
        ({"trafficDistribution": "Close"}, "field 'spec.trafficDistribution': 'Close' is not known"),
        ({"ipFamilies": ["IPv5"]}, "field 'spec.ipFamilies[0]': 'IPv5' is not known"),
        ({"ipFamilies": ["IPv4", "IPv4"]}, "field 'spec.ipFamilies': names a family twice"),
        ({"ports": [{}]}, "field 'spec.ports[0].port': is missing"),
        ({"ports": [{"port": 0}]}, "field 'spec.ports[0].port': is 0; expected 1 to 65535"),
        ({"ports": [{"port": 80, "protocol": "HTTP"}]}, "field 'spec.ports[0].protocol': 'HTTP' is not known"),
        ({"ports": [{"port": 80, "targetPort": 70000}]}, "field 'spec.ports[0].targetPort': is 70000"),
        ({"ports": [{"port": 80, "targetPort": "8080"}]}, "field 'spec.ports[0].targetPort': '8080' is no port name"),
        ({"ports": [{"port": 80, "name": "Web"}]}, "field 'spec.ports[0].name': 'Web' is no port name"),
        ({"ports": [PORT, {"port": 81, "name": "b"}]}, "field 'spec.ports[0].name': is missing"),
        (
            {"ports": [{"port": 80, "name": "a"}, {"port": 81, "name": "a"}]},
            "field 'spec.ports[1].name': 'a' is there twice",
        ),
        (
            {"ports": [{"port": 80, "name": "a"}, {"port": 80, "name": "b"}]},
            "field 'spec.ports[1]': 80/TCP is there twice",
        ),
        ({"ports": "all"}, "field 'spec.ports': is text; expected a list"),
        ({"clusterIP": "10.96.0"}, "field 'spec.clusterIP': '10.96.0' is no address; expected an IPv4 or IPv6 address"),
        ({"clusterIP": "10.96.0.9", "clusterIPs": ["10.96.0.8"]}, "field 'spec.clusterIPs': begins with '10.96.0.8'"),
        ({"clusterIPs": ["10.96.0.9", "10.96.0.8"]}, "field 'spec.clusterIPs': has two addresses of a family"),
        ({"clusterIP": "fd00::1", "ipFamilies": ["IPv4"]}, "field 'spec.clusterIP': is an IPv6 address; expected"),
        (
            {"type": "ExternalName", "externalName": "a.example", "clusterIP": "10.96.0.9"},
            "field 'spec.clusterIP': is stated; expected none, for the type ExternalName",
        ),
        ({"sessionAffinity": "Client"}, "field 'spec.sessionAffinity': 'Client' is not known"),
        (
            {"sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 5}}},
            "field 'spec.sessionAffinityConfig': is stated, and sessionAffinity is None; expected one of the two",
        ),
        (
            {"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 86_401}}},
            "field 'spec.sessionAffinityConfig.clientIP.timeoutSeconds': is 86401; expected 1 to 86,400 seconds",
        ),
        ({"internalTrafficPolicy": "Node"}, "field 'spec.internalTrafficPolicy': 'Node' is not known"),
        (
            {"externalTrafficPolicy": "Local"},
            "field 'spec.externalTrafficPolicy': is stated; expected it with a Service that is reached",
        ),
        ({"type": "NodePort", "externalTrafficPolicy": "Near"}, "field 'spec.externalTrafficPolicy': 'Near' is not"),
        (
            {"type": "NodePort", "externalTrafficPolicy": "Local", "healthCheckNodePort": 30000},
            "field 'spec.healthCheckNodePort': is stated; expected it with the type LoadBalancer with",
        ),
        (
            {"type": "LoadBalancer", "externalTrafficPolicy": "Local", "healthCheckNodePort": 70000},
            "field 'spec.healthCheckNodePort': is 70000; expected 1 to 65535",
        ),
        (
            {"type": "NodePort", "allocateLoadBalancerNodePorts": True},
            "field 'spec.allocateLoadBalancerNodePorts': is stated; expected it with the type LoadBalancer only",
        ),
        (
            {"type": "NodePort", "loadBalancerSourceRanges": ["10.0.0.0/8"]},
            "field 'spec.loadBalancerSourceRanges': is stated; expected it with the type LoadBalancer only",
        ),
        (
            {"type": "LoadBalancer", "loadBalancerSourceRanges": ["10.0.0.0/33"]},
            "field 'spec.loadBalancerSourceRanges[0]': '10.0.0.0/33' is no range; expected addresses such as",
        ),
        ({"externalIPs": ["web"]}, "field 'spec.externalIPs[0]': 'web' is no address"),
        ({"ports": [{"port": 80, "nodePort": 30080}]}, "field 'spec.ports[0].nodePort': is 30080; expected none, for"),
        (
            {
                "type": "NodePort",
                "ports": [{"name": "a", "port": 80, "nodePort": 30080}, {"name": "b", "port": 81, "nodePort": 30080}],
            },
            "field 'spec.ports[1].nodePort': 30080 is there twice; expected each node port once",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_in_one_line(tmp_path: Path, spec: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError) as caught:
        columns(tmp_path, **spec)
    assert told in str(caught.value)
    assert "item 1 (Service shop/s0)" in str(caught.value)
