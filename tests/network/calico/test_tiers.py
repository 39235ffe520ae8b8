"""Tiers: the order of policies and what it means, and columns against the plain evaluator, pair by pair."""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale.errors import InputError
from kscale.network.calico.manifests import calico_of
from kscale.network.calico.policies import built_in_tiers
from kscale.network.calico.reach import Decided
from kscale.network.policy.ends import ends_of
from kscale.network.policy.rules import EGRESS, INGRESS, Question
from tests.network.calico.plain_tiers import PlainTiers, Says
from tests.network.policy.making import PROTOCOLS, Object, flags, items, outside, pod, policy, read, three
from tests.network.policy.making import reach as kubernetes_reach
from tests.network.policy.worlds import KEYS, OUTSIDE, PORT_NAMES, SPACES, VALUES, cluster, labels


def decided(objects: list[Object], protocol: str = "TCP", port: int | str = 80, version: int = 4) -> Any:
    found, calico = read(objects), calico_of(items(objects))
    ends = ends_of(found.pods, found.namespaces, found.policies, tuple(map(outside, OUTSIDE)), version)
    return Decided(calico, found, ends, Question(protocol, port))


def reach(objects: list[Object], *asked: Any, **named: Any) -> Any:
    return decided(objects, *asked, **named).reach


def everywhere(name: str, order: float | None = None, **spec: Any) -> Object:
    stated = {} if order is None else {"order": order}
    return {
        "apiVersion": "projectcalico.org/v3", "kind": "GlobalNetworkPolicy", "metadata": {"name": name},
        "spec": {**stated, **spec},
    }  # fmt: skip


def within(namespace: str, name: str, order: float | None = None, **spec: Any) -> Object:
    found = everywhere(name, order, **spec)
    found["kind"], found["metadata"]["namespace"] = "NetworkPolicy", namespace
    return found


def tier(name: str, **spec: Any) -> Object:
    return {"apiVersion": "projectcalico.org/v3", "kind": "Tier", "metadata": {"name": name}, "spec": spec}


def to_xa(objects: list[Object], **asked: Any) -> list[str]:
    """Which pods reach x/a."""
    found = reach([*three(), *objects], **asked)
    matrix = flags(found)[: found.ends.pods, 0]
    return [name for name, good in zip(found.ends.names, matrix, strict=False) if good and name != "x/a"]


ALL = ["x/b", "x/c", "y/a", "y/b", "y/c", "z/a", "z/b", "z/c"]
ALLOW, DENY, PASS, LOG = ({"action": action} for action in ("Allow", "Deny", "Pass", "Log"))


def source(action: str, **entity: Any) -> Object:
    return {"action": action, "source": entity}


@pytest.mark.parametrize(
    ("policies", "expected"),
    [
        ([], ALL),
        # What is selected and not decided is denied at the end of the tier; without rules, all of it.
        ([everywhere("p", selector="pod == 'a'")], []),
        ([everywhere("p", selector="pod == 'b'")], ALL),
        ([everywhere("p", selector="pod == 'a'", ingress=[source("Allow", selector="pod == 'b'")])],
         ["x/b", "y/b", "z/b"]),
        # In a namespaced policy, a selector is about its own namespace, unless it says which.
        ([within("x", "p", ingress=[source("Allow", selector="pod == 'b'")])], ["x/b"]),
        ([within("x", "p", ingress=[source("Allow", selector="pod == 'b'", namespaceSelector="ns == 'y'")])], ["y/b"]),
        ([within("x", "p", ingress=[source("Allow", namespaceSelector="all()")])], ALL),
        ([within("x", "p", ingress=[source("Allow", namespaceSelector="global()")])], []),
        ([within("x", "p", ingress=[source("Allow", notSelector="pod == 'b'")])], ["x/c"]),
        ([everywhere("p", namespaceSelector="ns == 'y'")], ALL),
        ([everywhere("p", namespaceSelector="ns == 'x'")], []),
        # The lower order is first; none is last; equal ones go by name.
        ([everywhere("p", 2, ingress=[ALLOW]), everywhere("q", 1, ingress=[DENY])], []),
        ([everywhere("p", ingress=[ALLOW]), everywhere("q", 10**9, ingress=[DENY])], []),
        ([everywhere("b", 5, ingress=[DENY]), everywhere("a", 5, ingress=[ALLOW])], ALL),
        # Log decides nothing, Pass leaves the tier.
        ([everywhere("p", ingress=[LOG, ALLOW])], ALL),
        ([everywhere("p", 1, ingress=[PASS]), everywhere("q", 2, ingress=[DENY])], ALL),
        ([tier("early", order=1), everywhere("p", tier="early", ingress=[source("Pass", selector="pod == 'b'")]),
          everywhere("q", ingress=[source("Allow", selector="pod in {'b', 'c'}")])], ["x/b", "y/b", "z/b"]),
        # The tier's default action; those that are always there.
        ([tier("early", order=1, defaultAction="Pass"), everywhere("p", tier="early")], ALL),
        ([everywhere("p", tier="kube-admin", ingress=[source("Deny", selector="pod == 'c'")])],
         ["x/b", "y/a", "y/b", "z/a", "z/b"]),
        ([everywhere("p", tier="kube-baseline", ingress=[DENY]), everywhere("q", ingress=[ALLOW])], ALL),
        ([tier("last"), everywhere("p", tier="last", ingress=[DENY]), everywhere("q", ingress=[PASS])], []),
        # Kubernetes' policies stand at 1000 in the tier default.
        ([policy("x", "n"), everywhere("p", 999, ingress=[source("Allow", selector="pod == 'c'")])],
         ["x/c", "y/c", "z/c"]),
        ([policy("x", "n", ingress=[{}]), everywhere("p", 1001, ingress=[DENY])], ALL),
        ([policy("x", "n"), everywhere("p", 1001, ingress=[ALLOW])], ALL),
        ([policy("x", "n"), everywhere("p", tier="kube-admin", ingress=[PASS])], []),
        # Types are the directions of the rules, or Ingress.
        ([everywhere("p", egress=[ALLOW])], ALL),
        ([everywhere("p", types=["Egress"], ingress=[DENY], egress=[ALLOW])], ALL),
        ([everywhere("p", selector="pod == 'b'", egress=[source("Deny"), ALLOW])], ["x/c", "y/a", "y/c", "z/a", "z/c"]),
    ],
)  # fmt: skip
def test_what_reaches_x_a(policies, expected):
    assert to_xa(policies) == expected


def test_ports_and_protocols():
    def rule(**more: Any) -> Object:
        return everywhere("p", ingress=[{"action": "Allow", **more}])

    assert to_xa([rule(protocol="TCP", destination={"ports": [80]})]) == ALL
    assert to_xa([rule(protocol="TCP", destination={"ports": ["79:81", 99]})]) == ALL
    assert to_xa([rule(protocol="UDP", destination={"ports": [80]})]) == []
    assert to_xa([rule(protocol=17, destination={"ports": [80]})], protocol="UDP") == ALL
    assert to_xa([rule(protocol="TCP", destination={"ports": ["serve-80-tcp"]})]) == ALL
    assert to_xa([rule(protocol="TCP", destination={"ports": ["serve-81-tcp"]})]) == []
    assert to_xa([rule(protocol="TCP", destination={"notPorts": [80]})]) == []
    assert to_xa([rule(notProtocol="TCP")]) == []
    assert to_xa([rule(notProtocol="UDP")]) == ALL
    assert to_xa([rule(protocol="ICMP")]) == []
    assert to_xa([rule(ipVersion=6)]) == []
    assert to_xa([rule(source={"nets": ["10.1.1.0/24"], "notNets": ["10.1.1.2"]})]) == ["y/a", "y/c"]


def test_sets_of_addresses_and_service_accounts():
    nets = {
        "apiVersion": "projectcalico.org/v3", "kind": "GlobalNetworkSet",
        "metadata": {"name": "s", "labels": {"feed": "good"}}, "spec": {"nets": ["10.1.1.0/30"]},
    }  # fmt: skip
    rule = everywhere("p", ingress=[source("Allow", selector="feed == 'good'")])
    assert to_xa([nets, rule]) == ["y/a", "y/b", "y/c"]
    assert to_xa(
        [nets, everywhere("p", ingress=[source("Allow", selector="feed == 'good'", namespaceSelector="global()")])]
    ) == ["y/a", "y/b", "y/c"]
    assert to_xa([nets, everywhere("p", ingress=[source("Allow", notSelector="feed == 'good'")])]) == [
        "x/b", "x/c", "z/a", "z/b", "z/c",
    ]  # fmt: skip
    account = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "robot", "namespace": "y", "labels": {"kind": "r"}},
    }
    robot = pod("y", "robot", {}, ["10.1.1.9"], serviceAccountName="robot")
    for entity in ({"names": ["robot"]}, {"selector": "kind == 'r'"}, {"names": ["robot"], "selector": "has(kind)"}):
        found = everywhere("p", selector="pod == 'a'", ingress=[source("Allow", serviceAccounts=entity)])
        assert to_xa([account, robot, found]) == ["y/robot"]
    assert to_xa([account, robot, everywhere("p", serviceAccountSelector="kind == 'r'", egress=[DENY])]) == ALL


def test_what_is_not_modelled_is_told_by_name():
    calico = calico_of(items([
        everywhere("p", ingress=[{"action": "Allow", "http": {"methods": ["GET"]}},
                                 {"action": "Allow", "source": {"ports": [1]}, "protocol": "TCP"}],
                   egress=[{"action": "Allow", "destination": {"services": {"name": "web"}}}]),
        everywhere("untracked", doNotTrack=True),
        everywhere("lost", tier="nowhere"),
        {"apiVersion": "projectcalico.org/v3", "kind": "StagedGlobalNetworkPolicy", "metadata": {"name": "s"}},
        {"apiVersion": "crd.projectcalico.org/v1", "kind": "HostEndpoint", "metadata": {"name": "h"}},
    ]))  # fmt: skip
    assert calico.left_out == [
        "policy p: the rule with spec.ingress[0].http",
        "policy p: the rule with spec.ingress[1].source.ports",
        "policy p: the rule with spec.egress[0].destination.services",
        "policy untracked: doNotTrack and preDNAT are for host endpoints",
        "1 of kind HostEndpoint", "1 of kind StagedGlobalNetworkPolicy",
        "policy lost: its tier nowhere is not there",
    ]  # fmt: skip
    assert [(one.name, one.ingress, one.egress) for one in calico.policies] == [("p", (), ())]


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"selector": "a = 'b'"}, "spec.selector"),
        ({"types": ["In"]}, "spec.types[0]"),
        ({"ingress": [{}]}, "spec.ingress[0].action"),
        ({"ingress": [{"action": "allow"}]}, "spec.ingress[0].action"),
        ({"ingress": [{"action": "Allow", "protocol": "TCPP"}]}, "spec.ingress[0].protocol"),
        ({"ingress": [{"action": "Allow", "protocol": 256}]}, "spec.ingress[0].protocol"),
        ({"ingress": [{"action": "Allow", "ipVersion": 5}]}, "spec.ingress[0].ipVersion"),
        ({"ingress": [{"action": "Allow", "destination": {"ports": [80]}}]}, "spec.ingress[0].destination.ports"),
        ({"egress": [{"action": "Deny", "protocol": "TCP", "destination": {"ports": ["90:80"]}}]},
         "spec.egress[0].destination.ports[0]"),
        ({"egress": [{"action": "Deny", "protocol": "TCP", "destination": {"ports": [65536]}}]},
         "spec.egress[0].destination.ports[0]"),
        ({"egress": [{"action": "Deny", "source": {"nets": ["10.0.0.0/33"]}}]}, "spec.egress[0].source.nets[0]"),
        ({"egress": [{"action": "Deny", "source": {"selector": "("}}]}, "spec.egress[0].source.selector"),
        ({"order": "first"}, "spec.order"),
    ],
)  # fmt: skip
def test_policies_that_cannot_be(spec, field):
    with pytest.raises(InputError, match="xpected") as error:
        calico_of(items([everywhere("p", **spec)]))
    assert error.value.field == field
    assert "item 1 (GlobalNetworkPolicy p)" in str(error.value.file)


def test_tiers_that_cannot_be_and_those_that_always_are():
    with pytest.raises(InputError, match="defaultAction"):
        calico_of(items([tier("t", defaultAction="Allow")]))
    with pytest.raises(InputError, match="twice"):
        calico_of(items([tier("t"), tier("t")]))
    assert {one.name: (one.order, one.default_action) for one in built_in_tiers().values()} == {
        "kube-admin": (1000, "Pass"), "default": (1_000_000, "Deny"), "kube-baseline": (10_000_000, "Pass"),
    }  # fmt: skip


questions = st.tuples(st.sampled_from(PROTOCOLS), st.sampled_from([80, 81, 82, *PORT_NAMES]), st.sampled_from([4, 6]))


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 1 << 32), questions)
def test_kubernetes_policies_mean_the_same_without_calico_s(seed: int, asked: tuple[str, Any, int]) -> None:
    objects = cluster(Random(seed))
    found = reach(objects, *asked)
    expected = kubernetes_reach(objects, asked[0], asked[1], tuple(map(outside, OUTSIDE)), asked[2])
    assert np.array_equal(flags(found), flags(expected))


NETS = ["0.0.0.0/0", "10.1.0.0/30", "10.1.0.4/32", "192.0.2.0/24", "fd01::/126", "::/0"]


class World:
    """A cluster with Kubernetes' policies and Calico's; ``says`` tells what each selector says of labels."""

    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)
        self.says: dict[str, Says] = {}
        self.objects = cluster(self.rng)
        self.objects += [self.policy(number) for number in range(self.rng.randint(1, 5))]
        self.objects.append(tier("early", order=5, defaultAction=self.rng.choice(["Deny", "Pass"])))
        self.objects += [self.network_set(number) for number in range(self.rng.randint(0, 2))]
        for one in self.objects:
            if one["kind"] == "Pod" and self.maybe(0.4):
                one["spec"]["serviceAccountName"] = "robot"
        robot = {"name": "robot", "namespace": "x", "labels": labels(self.rng)}
        self.objects.append({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": robot})

    def maybe(self, chance: float = 0.25) -> bool:
        return self.rng.random() < chance

    def selector(self, depth: int = 2) -> str:
        text, says = self.told(depth)
        self.says[text] = says
        return text

    def told(self, depth: int) -> tuple[str, Says]:
        key, value = self.rng.choice([*KEYS, "projectcalico.org/namespace"]), self.rng.choice([*VALUES, "x"])
        form = self.rng.randint(0, 5 if depth else 2)
        if form == 0:
            return f"{key} == '{value}'", lambda own: own.get(key) == value
        if form == 1:
            return f"{key} not in {{'{value}'}}", lambda own: own.get(key) != value
        if form == 2:
            return f"has({key})", lambda own: key in own
        left, says_left = self.told(depth - 1)
        if form == 3:
            return f"!({left})", lambda own: not says_left(own)
        right, says_right = self.told(depth - 1)
        if form == 4:
            return f"({left}) && ({right})", lambda own: says_left(own) and says_right(own)
        return f"({left}) || ({right})", lambda own: says_left(own) or says_right(own)

    def entity(self, ported: bool) -> Object:
        found: Object = {key: self.selector() for key in ("selector", "notSelector") if self.maybe()}
        if self.maybe():
            found["namespaceSelector"] = self.rng.choice(["all()", "global()", self.selector()])
        for key in ("nets", "notNets"):
            if self.maybe(0.15):
                found[key] = self.rng.sample(NETS, self.rng.randint(0, 2))
        if self.maybe(0.15):
            found["serviceAccounts"] = self.rng.choice([{"names": ["robot"]}, {"selector": self.selector()}])
        for key in ("ports", "notPorts") if ported else ():
            if self.maybe(0.3):
                found[key] = self.rng.sample([80, "80:81", 82, *PORT_NAMES], self.rng.randint(0, 2))
        return found

    def rule(self) -> Object:
        found: Object = {"action": self.rng.choice(["Allow", "Deny", "Pass", "Log", "Allow"])}
        if self.maybe(0.5):
            found["protocol"] = self.rng.choice(PROTOCOLS)
        elif self.maybe():
            found["notProtocol"] = self.rng.choice(PROTOCOLS)
        return {**found, "source": self.entity(False), "destination": self.entity("protocol" in found)}

    def policy(self, number: int) -> Object:
        spec: Object = {"tier": self.rng.choice(["default", "default", "early", "kube-admin", "kube-baseline"])}
        if self.maybe(0.5):
            spec["order"] = self.rng.choice([1, 1000, 1000.5, 2000])
        for direction in ("ingress", "egress"):
            if self.maybe(0.5):
                spec[direction] = [self.rule() for _ in range(self.rng.randint(0, 2))]
        if self.maybe(0.5):
            spec["selector"] = self.selector()
        if self.maybe(0.15):
            spec["serviceAccountSelector"] = self.selector()
        if self.maybe(0.3):
            return within(self.rng.choice(SPACES), f"c{number}", **spec)
        if self.maybe():
            spec["namespaceSelector"] = self.selector()
        return everywhere(f"c{number}", **spec)

    def network_set(self, number: int) -> Object:
        found = {
            "apiVersion": "projectcalico.org/v3", "kind": "GlobalNetworkSet",
            "metadata": {"name": f"s{number}", "labels": labels(self.rng)},
            "spec": {"nets": self.rng.sample(NETS, self.rng.randint(0, 2))},
        }  # fmt: skip
        if self.maybe(0.5):
            found["kind"] = "NetworkSet"
            found["metadata"]["namespace"] = "x"
        return found


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 1 << 32), questions)
def test_every_pair_as_the_plain_evaluator_has_it(seed: int, asked: tuple[str, Any, int]) -> None:
    world = World(seed)
    protocol, port, version = asked
    found = decided(world.objects, protocol, port, version)
    plain = PlainTiers(world.objects, world.says, version)
    ends = [*plain.pods, *OUTSIDE]
    expected = np.array([[plain.reaches(s, t, protocol, port) for t in ends] for s in ends])
    assert np.array_equal(flags(found.reach), expected)
    for source, one in enumerate(ends):
        for target, other in enumerate(ends):
            number = found.reach.asked[target]
            if not found.reach.ends.addressed[[source, target]].all() or number < 0:
                continue
            assert found.side(EGRESS, source, target).passes == plain.passes(
                "Egress", one, other, other, protocol, number
            )
            assert found.side(INGRESS, source, target).passes == plain.passes(
                "Ingress", other, one, other, protocol, number
            )
