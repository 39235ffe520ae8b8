"""What nodes carry, counted once more pod by pod and rule by rule."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from random import Random
from typing import Any

import pytest

from kscale.network.policy.carried import PARAMETERS, Carried, carried
from kscale.network.policy.ends import ends_of
from kscale.network.policy.rules import rules_of
from kscale.state.manifests.selectors import selects
from tests.network.policy.making import Object, namespace, pod, policy, read
from tests.network.policy.worlds import cluster

VALUE = {one.name: one.value for one in PARAMETERS}


def counted(objects: list[Object]) -> dict[str, dict[str, int]]:
    """What is carried, by node."""
    found = read(objects)
    ends = ends_of(found.pods, found.namespaces, found.policies)
    result: Carried = carried(found.policies, rules_of(found.policies, ends), ends)
    return {
        node: {field.name: int(getattr(result, field.name)[row]) for field in fields(result)}
        for row, node in enumerate(ends.nodes)
    }


def plain(objects: list[Object]) -> dict[str, dict[str, int]]:
    found = read(objects)
    pods = [one for one in found.pods if not one.host]
    result: dict[str, dict[str, int]] = {}
    for node in dict.fromkeys(one.node for one in found.pods if one.node):
        local = [one for one in pods if one.node == node]
        mine = {
            id(one): [p for p in found.policies if p.namespace == one.namespace and selects(p.selector, one.labels)]
            for one in local
        }
        active = [p for p in found.policies if any(p in chosen for chosen in mine.values())]
        count = dict.fromkeys((field.name for field in fields(Carried)), 0)
        count["endpoints"], count["policies"] = len(local), len(active)
        count["isolated"] = sum(bool(chosen) for chosen in mine.values())
        for p in active:
            for rules in p.rules:
                count["chains"] += rules is not None
                count["rules"] += sum(written(rule) for rule in rules or ())
        for one in local:
            count["chains"] += 2
            for direction, fixed in enumerate((VALUE["to_fixed"], VALUE["from_fixed"])):
                chosen = [p.rules[direction] for p in mine[id(one)] if p.rules[direction] is not None]
                own = fixed + (VALUE["tier"] if chosen else 0) + VALUE["jump"] * len(chosen)
                count["rules"] += own
                own += sum(written(rule) for rules in chosen for rule in rules or ())
                count["longest"] = max(count["longest"], own)
        keys = ip_sets(active)
        count["sets"] = len(keys)
        count["members"] = sum(members(found, pods, key) for key in keys)
        result[node] = count
    return result


def written(rule: Any) -> int:
    matches = 0
    for protocol in {ports.protocol for ports in rule.ports}:
        single = [1 if p.first == p.last else 2 for p in rule.ports if p.protocol == protocol and not p.name]
        matches += -(-sum(single) // VALUE["ports_of_a_match"])
        matches += len([p for p in rule.ports if p.protocol == protocol and p.name])
    excepts = [len(peer.excepted) for peer in rule.peers] if rule.peers else [0]
    return sum(VALUE["allow"] * max(matches, 1) + VALUE["except"] * count for count in excepts)


def ip_sets(policies: list[Any]) -> set[Any]:
    keys: set[Any] = set()
    for p in policies:
        for rule in (*(p.ingress or ()), *(p.egress or ())):
            keys |= {ports for ports in rule.ports if ports.name}
            for peer in rule.peers or ():
                if peer.block is None:
                    keys.add((peer.pods, peer.namespaces if peer.namespaces is not None else p.namespace))
    return keys


def members(found: Any, pods: list[Any], key: Any) -> int:
    count = 0
    for one in pods:
        if not any(address.version == 4 for address in one.addresses):
            continue
        if hasattr(key, "protocol"):
            count += sum(port.name == key.name and port.protocol == key.protocol for port in one.ports)
        elif isinstance(key[1], str):
            count += key[1] == one.namespace and selects(key[0], one.labels)
        else:
            count += selects(key[1], found.namespaces[one.namespace]) and selects(key[0], one.labels)
    return count


@pytest.mark.parametrize("seed", range(60))
def test_as_counted_one_by_one(seed: int) -> None:
    objects = cluster(Random(seed))
    assert counted(objects) == plain(objects)


def test_one_by_hand() -> None:
    spec: dict[str, Any] = {
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [{"from": [{"podSelector": {}}], "ports": [{"port": number} for number in range(1, 17)]}],
    }
    objects = [
        namespace("x"), pod("x", "a", {}, ["10.1.0.1"], node="n1"), pod("x", "b", {}, ["10.1.0.2"], node="n2"),
        pod("y", "c", {}, ["10.1.0.3"], node="n2"), policy("x", "p", **spec),
    ]  # fmt: skip
    found = counted(objects)
    # Two chains of the pod and two of the policy; 16 ports are two matches of two rules each.
    assert found["n1"] == {
        "endpoints": 1, "isolated": 1, "policies": 1, "chains": 4, "rules": 8 + 10 + 2 * (2 + 2) + 4, "sets": 1,
        "members": 2, "longest": 8 + 2 + 2 + 4,
    }  # fmt: skip
    assert found["n2"]["endpoints"] == 2 and found["n2"]["rules"] == found["n1"]["rules"] + 18


def test_the_page_has_every_parameter() -> None:
    page = (Path(__file__).parents[3] / "docs" / "network-policy.md").read_text()
    for one in PARAMETERS:
        assert f"| {one.name} | {one.value} | {one.unit} | {one.kind} | {one.source} |\n" in page
