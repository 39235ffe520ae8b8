"""NetworkPolicies and pods as they are read: defaults, addresses, and what is refused in one line."""

from __future__ import annotations

import copy
import ipaddress
import json
from pathlib import Path
from typing import Any

import pytest

from kscale.errors import InputError
from kscale.network.policy.policies import Policy, Ports
from kscale.network.policy.reading import cluster_of, read_cluster
from kscale.state.manifests import ReadOptions
from tests.network.policy.making import BLOCK, Object, items, namespace, pod, policy, read


def taken(**spec: Any) -> Policy:
    (found,) = read([policy("x", "p", **spec)]).policies
    return found


def test_policy_types_default() -> None:
    assert (taken().ingress, taken().egress) == ((), None)
    assert (taken(egress=[]).ingress, taken(egress=[]).egress) == ((), None)
    both = taken(egress=[{}])
    assert both.ingress == () and both.egress is not None and both.egress[0].peers is None
    only = taken(policyTypes=["Ingress"], egress=[{}])
    assert (only.ingress, only.egress) == ((), None)
    assert (taken(policyTypes=["Egress"]).ingress, taken(policyTypes=["Egress"]).egress) == (None, ())
    assert (taken(policyTypes=[]).ingress, taken(policyTypes=[]).egress) == ((), None)


def test_empty_lists_are_everything() -> None:
    for rule in ({}, {"from": []}, {"from": None}, {"ports": []}, {"from": [], "ports": None}):
        found = taken(ingress=[rule]).ingress
        assert found is not None and found[0].peers is None and found[0].ports == ()
    missing = policy("x", "p")
    del missing["spec"]["podSelector"]
    assert read([missing]).policies[0].selector.requirements == ()


def test_ports() -> None:
    stated = [{}, {"port": 80}, {"port": 80, "endPort": 90, "protocol": "UDP"}, {"port": "web", "protocol": "SCTP"}]
    found = taken(ingress=[{"ports": stated}]).ingress
    assert found is not None
    assert found[0].ports == (
        Ports("TCP"), Ports("TCP", 80, 80), Ports("UDP", 80, 90), Ports("SCTP", name="web")
    )  # fmt: skip
    assert list(map(str, found[0].ports)) == ["every port/TCP", "80/TCP", "80-90/UDP", "web/SCTP"]


def block(cidr: Any, *excepted: Any) -> Object:
    return {"ingress": [{"from": [{"ipBlock": {"cidr": cidr, **({"except": list(excepted)} if excepted else {})}}]}]}


def test_bits_beyond_a_prefix_are_dropped() -> None:
    found = taken(**block("10.1.2.3/8", "10.1.2.3/24")).ingress
    assert found is not None and found[0].peers is not None
    assert found[0].peers[0].block == ipaddress.ip_network("10.0.0.0/8")
    assert found[0].peers[0].excepted == (ipaddress.ip_network("10.1.2.0/24"),)


WRONG: list[tuple[Object, str]] = [
    (block(""), "field 'spec.ingress[0].from[0].ipBlock.cidr': is missing; expected a CIDR"),
    (block("10.0.0.0"), "field 'spec.ingress[0].from[0].ipBlock.cidr': '10.0.0.0' is not a CIDR; expected an address"),
    (block("10.0.0.0/33"), "'10.0.0.0/33' is not a CIDR"),
    (block("10.0.0/8"), "'10.0.0/8' is not a CIDR"),
    (block("10.0.0.0/255.0.0.0"), "'10.0.0.0/255.0.0.0' is not a CIDR"),
    (block("300.0.0.0/8"), "'300.0.0.0/8' is not a CIDR"),
    (block("10.0.0.0/-1"), "'10.0.0.0/-1' is not a CIDR"),
    (block("10.0.0.0/08"), "'10.0.0.0/08' is not a CIDR"),
    (block("fe80::%eth0/64"), "'fe80::%eth0/64' is not a CIDR"),
    (block("fd00::/129"), "'fd00::/129' is not a CIDR"),
    (block(8), "field 'spec.ingress[0].from[0].ipBlock.cidr': is a whole number; expected text"),
    (block("10.0.0.0/8", "10.0.0.0/8"), "field 'spec.ingress[0].from[0].ipBlock.except[0]': '10.0.0.0/8' is no part"),
    (block("10.0.0.0/8", "10.1.0.0/16", "11.0.0.0/16"), "except[1]': '11.0.0.0/16' is no part of 10.0.0.0/8"),
    (block("10.0.0.0/8", "0.0.0.0/0"), "'0.0.0.0/0' is no part of 10.0.0.0/8"),
    (block("10.0.0.0/8", "fd00::/16"), "'fd00::/16' is no part of 10.0.0.0/8"),
    ({"ingress": [{"from": [{}]}]}, "field 'spec.ingress[0].from[0]': is empty; expected a podSelector"),
    (
        {"egress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}, "podSelector": {}}]}]},
        "field 'spec.egress[0].to[0].ipBlock': stands beside a selector; expected a peer of its own",
    ),
    ({"policyTypes": ["ingress"]}, "field 'spec.policyTypes[0]': 'ingress' is not known; did you mean 'Ingress'?"),
    ({"policyTypes": ["Ingress", "Egress", "Ingress"]}, "field 'spec.policyTypes': has 3 values; expected at most two"),
    ({"ingress": [{"ports": [{"protocol": "ICMP"}]}]}, "ports[0].protocol': 'ICMP' is not known"),
    ({"ingress": [{"ports": [{"port": 0}]}]}, "ports[0].port': is 0; expected 1 to 65535"),
    ({"ingress": [{"ports": [{"port": 65536}]}]}, "ports[0].port': is 65536"),
    ({"ingress": [{"ports": [{"port": "80"}]}]}, "ports[0].port': '80' is no port name"),
    ({"ingress": [{"ports": [{"port": "much-too-long-a-name"}]}]}, "is no port name"),
    ({"ingress": [{"ports": [{"port": 80, "endPort": 79}]}]}, "endPort': is 79; expected 80 or more, as port is 80"),
    ({"ingress": [{"ports": [{"port": 80, "endPort": 70000}]}]}, "endPort': is 70000; expected 1 to 65535"),
    ({"ingress": [{"ports": [{"port": "web", "endPort": 90}]}]}, "endPort': is stated; expected a number as port"),
    ({"ingress": [{"ports": [{"endPort": 90}]}]}, "endPort': is stated; expected a number as port"),
    ({"podSelector": {"matchLabels": {"a b": "c"}}}, "field 'spec.podSelector.matchLabels': 'a b' is not a label key"),
    (
        {"podSelector": {"matchExpressions": [{"key": "a", "operator": "In"}]}},
        "field 'spec.podSelector.matchExpressions[0].values': is empty",
    ),
    (
        {"ingress": [{"from": [{"namespaceSelector": {"matchExpressions": [{"key": "a", "operator": "Is"}]}}]}]},
        "from[0].namespaceSelector.matchExpressions[0].operator': 'Is' is not known",
    ),
    ({"ingress": {}}, "field 'spec.ingress': is a mapping; expected a list"),
]


@pytest.mark.parametrize(("spec", "line"), WRONG, ids=[line[-40:] for _, line in WRONG])
def test_what_the_api_server_refuses(spec: Object, line: str) -> None:
    with pytest.raises(InputError) as caught:
        taken(**spec)
    text = str(caught.value)
    assert text.startswith("objects, item 1 (NetworkPolicy x/p), field '") and line in text and "\n" not in text


def test_whatever_is_put_in_one_line_comes_out() -> None:
    """Every place of a pod, a namespace, a node, a Service and a policy with values of other types and sizes."""
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}}
    node["status"] = {"addresses": [{"type": "InternalIP", "address": "192.0.2.1"}]}
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": {"clusterIP": "10.9.0.1"}}
    rule = {"from": [{"podSelector": {}, "namespaceSelector": {"matchLabels": {"a": "b"}}}], "ports": [{"port": 80}]}
    away = {"to": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}], "ports": [{"port": "web"}]}
    port = {"name": "web", "containerPort": 80, "protocol": "TCP"}
    good = [
        namespace("x", a="b"), pod("x", "a", {"a": "b"}, ["10.1.0.1", "fd00::1"], [port], "n"), node, service,
        policy("x", "p", policyTypes=["Ingress", "Egress"], ingress=[rule], egress=[away]),
    ]  # fmt: skip
    read(good)
    refused = 0
    for number, found in enumerate(good):
        for path in paths(found):
            for odd in (None, True, -1, 2**70, 1.5, "", "x\n\x00", "é" * 300, [], {}, [{}], {"a": []}, [None]):
                changed = copy.deepcopy(good)
                holder: Any = changed[number]
                for key in path[:-1]:
                    holder = holder[key]
                holder[path[-1]] = odd
                if path[-1] in ("kind", "apiVersion"):
                    continue
                try:
                    read(changed)
                except InputError as error:
                    refused += 1
                    assert "\n" not in str(error) and len(str(error)) <= 600
    assert refused > 500


def paths(value: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [*([here] if here else []), *(path for key, one in inner for path in paths(one, (*here, key)))]


def test_pods_without_an_address_get_one() -> None:
    done, host = pod("x", "done"), pod("x", "host", node="n", hostNetwork=True)
    done["status"] = {"phase": "Succeeded", "podIP": "10.244.0.1"}
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}}
    node["status"] = {"addresses": [{"type": "InternalIP", "address": "10.244.0.2"}, {"type": "Hostname"}]}
    objects = [pod("x", "one"), pod("x", "two", ips=["10.244.0.3"]), done, node, pod("x", "three"), host]
    found = read(objects)
    addresses = {one.name: list(map(str, one.addresses)) for one in found.pods}
    # In input order, the lowest that nobody has; what has ended has no network.
    assert addresses == {
        "one": ["10.244.0.1"], "two": ["10.244.0.3"], "three": ["10.244.0.4"], "host": ["10.244.0.2"]
    }  # fmt: skip
    assert (found.ended, found.unnumbered) == (1, [0, 2, 3])
    with pytest.raises(InputError, match=r"'10\.0\.0\.0/30' has no address left for x/c") as caught:
        cluster_of(items([pod("x", name) for name in "abc"]), ipaddress.ip_network("10.0.0.0/30"))
    assert "field '--pod-cidr'" in str(caught.value)


def test_ports_of_containers() -> None:
    sidecar = {"name": "side", "restartPolicy": "Always", "ports": [{"name": "metrics", "containerPort": 9}]}
    before = {"name": "init", "ports": [{"name": "early", "containerPort": 8}]}
    found = read([pod("x", "a", ports=[{"containerPort": 1}], initContainers=[before, sidecar])]).pods[0]
    assert [(port.name, port.protocol, port.number) for port in found.ports] == [("metrics", "TCP", 9)]
    with pytest.raises(InputError, match=r"spec\.containers\[0\]\.ports\[0\]\.containerPort': is 0"):
        read([pod("x", "a", ports=[{"containerPort": 0}])])


def test_objects_beside(tmp_path: Path) -> None:
    other = {"apiVersion": "projectcalico.org/v3", "kind": "GlobalNetworkPolicy", "metadata": {"name": "g"}}
    calico = {"apiVersion": "crd.projectcalico.org/v1", "kind": "NetworkPolicy", "metadata": {"name": "c"}}
    deployment = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}}
    found = read([pod("x", "a"), other, calico, deployment])
    assert found.ignored == {
        "GlobalNetworkPolicy.projectcalico.org": 1, "NetworkPolicy.crd.projectcalico.org": 1
    }  # fmt: skip
    assert found.namespaces == {"x": {"kubernetes.io/metadata.name": "x"}} and not found.policies
    with pytest.raises(InputError, match=r"item 2 .Pod x/a.: is there twice"):
        read([pod("x", "a"), pod("x", "a")])
    path = tmp_path / "dump.json"
    path.write_text(json.dumps(deployment))
    with pytest.raises(InputError, match=r"dump\.json: has no pods; expected pods and NetworkPolicies"):
        read_cluster([path], ReadOptions(), BLOCK)
    path.write_text(json.dumps({"kind": "List", "items": [pod("x", "a")]}))
    assert read_cluster([path], ReadOptions(), BLOCK).inputs == [str(path)]
