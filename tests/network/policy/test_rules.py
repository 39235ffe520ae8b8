"""Rules as columns: what stands in them, and which ports are open at whom."""

from __future__ import annotations

from kscale.network.policy.bits import unpacked
from kscale.network.policy.ends import ends_of
from kscale.network.policy.rules import EGRESS, INGRESS, Question, Rules, asked_ports, open_at, rules_of
from tests.network.policy.making import Object, outside, pod, policy, read

WEB: Object = {"name": "web", "containerPort": 8080}
OTHER: Object = {"name": "web", "containerPort": 81}
DNS: Object = {"name": "web", "containerPort": 53, "protocol": "UDP"}
RULES: list[Object] = [
    {"from": [{"podSelector": {}}]},
    {"ports": [{"port": "web"}]},
    {"ports": [{"port": 80, "endPort": 90}, {"port": 53}]},
]
OBJECTS = [
    pod("x", "a", {}, ["10.1.0.1"], [WEB, OTHER]), pod("x", "b", {}, ["10.1.0.2"], [DNS]),
    pod("y", "c", {}, ["10.1.0.3"]), policy("x", "p", ingress=RULES),
    policy("x", "q", policyTypes=["Egress"], egress=[{"to": [{"podSelector": {}}]}]), policy("y", "r"),
]  # fmt: skip
CLUSTER = read(OBJECTS)
ENDS = ends_of(CLUSTER.pods, CLUSTER.namespaces, CLUSTER.policies, (outside("192.0.2.7"),))


def rules() -> Rules:
    return rules_of(CLUSTER.policies, ENDS)


def members(found: Rules, row: int) -> list[str]:
    return [name for name, flag in zip(ENDS.names, unpacked(found.sets[row], len(ENDS)).tolist(), strict=True) if flag]


def test_columns() -> None:
    found = rules()
    assert found.direction.tolist() == [INGRESS, INGRESS, INGRESS, EGRESS]
    assert found.policy.tolist() == [0, 0, 0, 1] and found.number.tolist() == [0, 1, 2, 0]
    assert all(members(found, row) == ["x/a", "x/b"] for row in found.subjects)
    assert members(found, found.peers[0]) == members(found, found.peers[3]) == ["x/a", "x/b"]
    assert members(found, found.peers[1]) == ENDS.names
    assert [list(map(str, found.port_lists[row])) for row in found.ports] == [
        [], ["web/TCP"], ["80-90/TCP", "53/TCP"], []
    ]  # fmt: skip
    # Each distinct set once: everybody, the pods of x, the pod of y.
    assert len(found.sets) == 3 and members(found, found.policy_subjects[2]) == ["y/c"]
    assert found.isolates.tolist() == [[True, False], [False, True], [True, False]]
    isolated = [unpacked(found.isolated(direction), len(ENDS)).tolist() for direction in (INGRESS, EGRESS)]
    assert isolated == [[True, True, True, False], [True, True, False, False]]


def test_the_port_that_is_asked_for() -> None:
    assert asked_ports(ENDS, Question("TCP", 80)).tolist() == [80] * 4
    # The first of two of one name; another protocol is another port; an address has no names.
    assert asked_ports(ENDS, Question("TCP", "web")).tolist() == [8080, -1, -1, -1]
    assert asked_ports(ENDS, Question("UDP", "web")).tolist() == [-1, 53, -1, -1]


def test_where_ports_are_open() -> None:
    found = rules()

    def opened(*question: object) -> list[list[bool]]:
        return unpacked(open_at(found, ENDS, Question(*question)), len(ENDS)).tolist()  # type: ignore[arg-type]

    everywhere, nowhere, at_a = [True] * 4, [False] * 4, [True, False, False, False]
    assert opened("TCP", 85) == [everywhere, nowhere, everywhere]
    assert opened("TCP", 8080) == [everywhere, at_a, nowhere]
    assert opened("TCP", 81) == [everywhere, nowhere, everywhere]
    assert opened("UDP", 53) == [everywhere, nowhere, nowhere]
    # Where there is no port of the name, none is open, whatever a rule says.
    assert opened("TCP", "web") == [at_a, at_a, nowhere]


def test_no_policies_and_no_pods() -> None:
    nothing = ends_of([], {}, [])
    found = rules_of([], nothing)
    assert len(found) == 0 and found.isolated(INGRESS).shape == (0,) and len(nothing) == 0
    alone = ends_of([], {}, CLUSTER.policies, (outside("192.0.2.7"),))
    assert [members_of.sum() for members_of in unpacked(rules_of(CLUSTER.policies, alone).sets, 1)] == [1, 0]
