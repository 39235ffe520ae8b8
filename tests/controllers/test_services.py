"""How Services are read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kscale import controllers
from kscale.controllers.common.services import ANYWHERE, SAME_NODE, SAME_ZONE, TABLE
from kscale.errors import InputError
from kscale.state.manifests.inventory import Inventory
from kscale.state.manifests.taking import take_inventory

PORT = {"port": 80}


def read(folder: Path, *specs: dict[str, Any]) -> Inventory:
    items = [
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": f"s{place}", "namespace": "shop"}, "spec": spec}
        for place, spec in enumerate(specs)
    ]
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
    assert found == {"selection": 0, "ports": found["ports"], "families": 1, "headless": 0, "publish_not_ready": 0,
                     "traffic_distribution": ANYWHERE}  # fmt: skip
    assert found["ports"] > 0


def test_columns_are_those_of_the_table(tmp_path: Path) -> None:
    assert set(columns(tmp_path)) == {column.name for column in TABLE.columns}


def test_all_that_may_be_stated(tmp_path: Path) -> None:
    found = columns(
        tmp_path, selector={"app": "web"}, clusterIP="None", publishNotReadyAddresses=True, ports=[],
        trafficDistribution="PreferClose", ipFamilies=["IPv6", "IPv4"],
    )  # fmt: skip
    assert found == {"selection": 0, "ports": 0, "families": 3, "headless": 1, "publish_not_ready": 1,
                     "traffic_distribution": SAME_ZONE}  # fmt: skip
    for said, meant in (("PreferSameZone", SAME_ZONE), ("PreferSameNode", SAME_NODE)):
        assert columns(tmp_path, trafficDistribution=said)["traffic_distribution"] == meant


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
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_in_one_line(tmp_path: Path, spec: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError) as caught:
        columns(tmp_path, **spec)
    assert told in str(caught.value)
    assert "item 1 (Service shop/s0)" in str(caught.value)
