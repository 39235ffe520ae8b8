"""Kubernetes' own table of what NetworkPolicy does (test/e2e/network/netpol), row by row, as it is published.

Pods a, b, c in namespaces x, y, z; what is not said to be blocked passes; a pod and itself are left out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.network.policy.making import PROTOCOLS, Object, flags, policy, reach, three
from tests.network.policy.plain import Plain

PODS = [f"{ns}/{name}" for ns in "xyz" for name in "abc"]


def match(**labels: str) -> Object:
    return {"matchLabels": labels}


def one(key: str, operator: str, *values: str) -> Object:
    return {"matchExpressions": [{"key": key, "operator": operator, "values": list(values)}]}


def pods(selector: Object) -> Object:
    return {"podSelector": selector}


def spaces(selector: Object) -> Object:
    return {"namespaceSelector": selector}


def port(number: int | str, protocol: str = "TCP") -> Object:
    return {"port": number, "protocol": protocol}


def ingress(*rules: Object, to: Object | None = None, name: str = "policy", ns: str = "x") -> Object:
    return policy(ns, name, podSelector=to or {}, policyTypes=["Ingress"], ingress=list(rules))


def egress(*rules: Object, of: Object | None = None, name: str = "policy", ns: str = "x") -> Object:
    return policy(ns, name, podSelector=of or {}, policyTypes=["Egress"], egress=list(rules))


A, B, C = match(pod="a"), match(pod="b"), match(pod="c")
NOT_X, NOT_Y = one("ns", "NotIn", "x"), one("ns", "NotIn", "y")


def everybody(pattern: str) -> set[str]:
    """Pods by ``x/*``, ``*``, or names joined by a space."""
    found: set[str] = set()
    for part in pattern.split():
        ns, _, name = part.partition("/")
        found |= {pod for pod in PODS if ns in ("*", pod[0]) and name in ("", "*", pod[2])}
    return found


@dataclass(frozen=True)
class Row:
    """A row of the table: policies, and for each port the pairs (sources, destinations) blocked and excepted."""

    name: str
    policies: list[Object]
    blocked: dict[int, list[tuple[str, str]]]
    excepted: dict[int, list[tuple[str, str]]] = field(default_factory=dict)
    protocols: tuple[str, ...] = ("TCP",)

    def expected(self, protocol: str, number: int) -> dict[tuple[str, str], bool]:
        found = {(source, target): True for source in PODS for target in PODS if source != target}
        for pairs, value in ((self.blocked, False), (self.excepted, True)):
            for sources, targets in pairs.get(number, []):
                for source in everybody(sources):
                    for target in everybody(targets) - {source}:
                        found[source, target] = value
        return found


def both(*pairs: tuple[str, str]) -> dict[int, list[tuple[str, str]]]:
    return {80: list(pairs), 81: list(pairs)}


TABLE = [
    Row("deny-ingress, all pods", [ingress()], both(("*", "x/*"))),
    Row("deny-all", [policy("x", "deny-all", policyTypes=["Ingress", "Egress"])], both(("*", "x/*"), ("x/*", "*"))),
    Row("a from pod=b (same ns)", [ingress({"from": [pods(B)]}, to=A)], both(("*", "x/a")), both(("x/b", "x/a"))),
    Row(
        "deny-all ingress + a from everywhere (both selectors empty)",
        [ingress(name="deny"), ingress({"from": [{**pods({}), **spaces({})}]}, to=A, name="open")],
        both(("*", "x/b x/c")),
    ),
    Row("a from namespaceSelector {}", [ingress({"from": [spaces({})]}, to=A)], both()),
    Row("a from ns y", [ingress({"from": [spaces(match(ns="y"))]}, to=A)], both(("x/* z/*", "x/a"))),
    Row(
        "a from podSelector In[b]", [ingress({"from": [pods(one("pod", "In", "b"))]}, to=A)], both(("*", "x/a")),
        both(("x/b", "x/a")),
    ),
    Row("a from ns NotIn[x] OR pod b", [ingress({"from": [spaces(NOT_X), pods(B)]}, to=A)], both(("x/a x/c", "x/a"))),
    Row(
        "a from ns NotIn[x] AND pod b", [ingress({"from": [{**spaces(NOT_X), **pods(B)}]}, to=A)], both(("*", "x/a")),
        both(("y/b z/b", "x/a")),
    ),
    Row(
        "a from ns NotIn[x] AND pod In[b,c]",
        [ingress({"from": [{**spaces(NOT_X), **pods(one("pod", "In", "b", "c"))}]}, to=A)],
        both(("x/* y/a z/a", "x/a")),
    ),
    Row(
        "a from pod b OR pod c", [ingress({"from": [pods(B), pods(C)]}, to=A)], both(("*", "x/a")),
        both(("x/b x/c", "x/a")),
    ),
    Row(
        "a from (ns y AND pod a)", [ingress({"from": [{**spaces(match(ns="y")), **pods(A)}]}, to=A)],
        both(("*", "x/a")), both(("y/a", "x/a")),
    ),
    Row(
        "a from ns y, port 81", [ingress({"from": [spaces(match(ns="y"))], "ports": [port(81)]}, to=A)],
        {80: [("*", "x/a")], 81: [("x/* z/*", "x/a")]},
    ),
    Row(
        "a from ns y, port 81; adding second policy for 80",
        [
            ingress({"from": [spaces(match(ns="y"))], "ports": [port(81)]}, to=A),
            ingress({"from": [spaces(match(ns="y"))], "ports": [port(80)]}, to=A, name="second"),
        ],
        both(("x/* z/*", "x/a")),
    ),
    Row("allow-all ingress", [ingress({})], both()),
    Row("all pods, named port serve-81", [ingress({"ports": [port("serve-81-tcp")]})], {80: [("*", "x/*")]}),
    Row("egress to named port serve-80", [egress({"ports": [port("serve-80-tcp")]})], {81: [("x/*", "*")]}),
    Row("ingress from podSelector {}", [ingress({"from": [pods({})]})], both(("y/* z/*", "x/*"))),
    Row("egress none, pod a", [egress(of=A)], both(("x/a", "*"))),
    Row("egress none, ns x", [egress()], both(("x/*", "*"))),
    Row(
        "a: ingress from b; egress port 80",
        [
            policy(
                "x", "policy", podSelector=A, policyTypes=["Ingress", "Egress"], ingress=[{"from": [pods(B)]}],
                egress=[{"ports": [port(80)]}],
            )
        ],
        {80: [("*", "x/a")], 81: [("*", "x/a"), ("x/a", "*")]}, both(("x/b", "x/a")),
    ),
    Row(
        "egress x/a → (y,a); y/a ingress from (x,a); y/b ingress from (x,a)",
        [
            egress({"to": [{**spaces(match(ns="y")), **pods(A)}]}, of=A, name="out"),
            ingress({"from": [{**spaces(match(ns="x")), **pods(A)}]}, to=A, name="in", ns="y"),
            ingress({"from": [{**spaces(match(ns="x")), **pods(A)}]}, to=B, name="other", ns="y"),
        ],
        both(("x/a", "*"), ("*", "y/a"), ("*", "y/b")), both(("x/a", "y/a")),
    ),
    Row(
        "egress a → ipBlock y/b /32", [egress({"to": [{"ipBlock": {"cidr": "10.1.1.2/32"}}]}, of=A)],
        both(("x/a", "*")), both(("x/a", "y/b")),
    ),
    Row(
        "egress a → large CIDR except x/b",
        [egress({"to": [{"ipBlock": {"cidr": "10.1.0.0/16", "except": ["10.1.0.2/32"]}}]}, of=A)],
        both(("x/a", "x/b")),
    ),
    Row(
        "then policy replaced by ipBlock x/b", [egress({"to": [{"ipBlock": {"cidr": "10.1.0.2/32"}}]}, of=A)],
        both(("x/a", "*")), both(("x/a", "x/b")),
    ),
    Row(
        "egress open for a + ingress deny a", [egress({}, of=A, name="open"), ingress(to=A, name="deny")],
        both(("*", "x/a")),
    ),
    Row("ingress protocol TCP only", [ingress({"ports": [{"protocol": "TCP"}]}, to=A)], both()),
    Row(
        "ingress protocol TCP only: UDP", [ingress({"ports": [{"protocol": "TCP"}]}, to=A)], both(("*", "x/a")),
        protocols=("UDP", "SCTP"),
    ),
    Row(
        "deny + SCTP 81", [ingress(name="deny"), ingress({"ports": [port(81, "SCTP")]}, to=A, name="sctp")],
        both(("*", "x/*")),
    ),
    Row("UDP 81 only", [ingress({"ports": [port(81, "UDP")]}, to=A)], both(("*", "x/a"))),
    Row("UDP 81 only: UDP", [ingress({"ports": [port(81, "UDP")]}, to=A)], {80: [("*", "x/a")]}, protocols=("UDP",)),
    Row(
        "egress ns NotIn[y] by default ns label",
        [egress({"to": [spaces(one("kubernetes.io/metadata.name", "NotIn", "y"))]}, of=A)], both(("x/a", "y/*")),
    ),
    Row(
        "multiple ingress: port 80 only, then + allow all: first", [ingress({"ports": [port(80)]})],
        {81: [("*", "x/*")]},
    ),
    Row(
        "multiple ingress: port 80 only, then + allow all: second",
        [ingress({"ports": [port(80)]}), ingress({}, name="all")], both(),
    ),
]  # fmt: skip


def verdicts(objects: list[Object], protocol: str, number: int) -> dict[tuple[str, str], bool]:
    found = reach(objects, protocol, number)
    matrix = flags(found)
    assert found.ends.names == PODS
    return {(s, t): bool(matrix[i, j]) for i, s in enumerate(PODS) for j, t in enumerate(PODS) if i != j}


def plain(objects: list[Object], protocol: str, number: int) -> dict[tuple[str, str], bool]:
    found = Plain(objects)
    names = {f"{p['metadata']['namespace']}/{p['metadata']['name']}": p for p in found.pods}
    return {(s, t): found.reaches(names[s], names[t], protocol, number) for s in PODS for t in PODS if s != t}


@pytest.mark.parametrize("number", [80, 81])
@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_truth_table(row: Row, number: int) -> None:
    objects = three() + row.policies
    for protocol in row.protocols:
        expected = row.expected(protocol, number)
        assert verdicts(objects, protocol, number) == expected
        assert plain(objects, protocol, number) == expected


def test_without_policies_all_reach_all() -> None:
    for protocol in PROTOCOLS:
        assert all(verdicts(three(), protocol, 80).values())


def test_a_label_that_changes_is_a_new_state() -> None:
    deny: Any = [ingress(to=match(pod="renamed"))]
    assert all(verdicts(three() + deny, "TCP", 80).values())
    changed = three()
    changed[3]["metadata"]["labels"] = {"pod": "renamed"}
    row = Row("", deny, both(("*", "x/a")))
    assert verdicts(changed + deny, "TCP", 80) == row.expected("TCP", 80)
    from_y = [ingress({"from": [spaces(match(ns="y"))]})]
    changed = three()
    changed[1]["metadata"]["labels"] = {"ns": "other"}
    row = Row("", from_y, both(("*", "x/*")))
    assert verdicts(changed + from_y, "TCP", 80) == row.expected("TCP", 80)
