"""Tiers: the order of policies and what it means, and columns against the plain evaluator, pair by pair."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale.errors import InputError
from kscale.network.calico.manifests import calico_of
from kscale.network.calico.policies import built_in_tiers
from kscale.network.calico.reach import reach_of
from kscale.network.policy.ends import ends_of
from kscale.network.policy.rules import Question
from tests.network.calico.plain_tiers import PlainTiers
from tests.network.calico.test_selectors import joined
from tests.network.policy.making import PROTOCOLS, Object, flags, items, outside, pod, policy, read, three
from tests.network.policy.making import reach as kubernetes_reach
from tests.network.policy.test_twin import KEYS, OUTSIDE, PORT_NAMES, SPACES, VALUES, clusters, labels, questions

pytestmark = pytest.mark.plain


def reach(objects: list[Object], protocol: str = "TCP", port: int | str = 80, version: int = 4) -> Any:
    cluster, calico = read(objects), calico_of(items(objects))
    ends = ends_of(cluster.pods, cluster.namespaces, cluster.policies, tuple(map(outside, OUTSIDE)), version)
    return reach_of(calico, cluster, ends, Question(protocol, port))


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
        ([everywhere("p", selector="pod == 'b'", egress=[source("Deny"), ALLOW])], [one for one in ALL if one[-1] != "b"]),
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
        everywhere("p", ingress=[{"action": "Allow", "http": {"methods": ["GET"]}}, {"action": "Allow", "source": {"ports": [1]}, "protocol": "TCP"}],
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
    with pytest.raises(InputError, match="spec.defaultAction"):
        calico_of(items([tier("t", defaultAction="Allow")]))
    with pytest.raises(InputError, match="twice"):
        calico_of(items([tier("t"), tier("t")]))
    assert {one.name: (one.order, one.default_action) for one in built_in_tiers().values()} == {
        "kube-admin": (1000, "Pass"), "default": (1_000_000, "Deny"), "kube-baseline": (10_000_000, "Pass"),
    }  # fmt: skip


@settings(max_examples=80, deadline=None)
@given(clusters(), questions)
def test_kubernetes_policies_mean_the_same_without_calico_s(objects: list[Object], asked: tuple[str, Any, int]) -> None:
    found = reach(objects, *asked)
    expected = kubernetes_reach(objects, asked[0], asked[1], tuple(map(outside, OUTSIDE)), asked[2])
    assert np.array_equal(flags(found), flags(expected))


def told() -> Any:
    key, value = st.sampled_from([*KEYS, "projectcalico.org/namespace"]), st.sampled_from([*VALUES, "x"])
    leaf = st.one_of(
        st.builds(lambda k, v: (f"{k} == '{v}'", lambda own: own.get(k) == v), key, value),
        st.builds(lambda k, v: (f"{k} not in {{'{v}'}}", lambda own: own.get(k) != v), key, value),
        st.builds(lambda k: (f"has({k})", lambda own: k in own), key),
    )
    return st.recursive(leaf, joined, max_leaves=3)


NETS = ["0.0.0.0/0", "10.1.0.0/30", "10.1.0.4", "192.0.2.0/24", "fd01::/126", "::/0"]


@st.composite
def worlds(draw: Any) -> tuple[list[Object], dict[str, Any]]:
    """A cluster with Kubernetes' policies and Calico's, and what its selectors say."""
    objects, says = draw(clusters()), {}

    def selector() -> str:
        text, function = draw(told())
        says[text] = function
        return text

    def maybe(chance: int = 3) -> bool:
        return draw(st.integers(0, chance)) == 0

    def entity(ported: bool) -> Object:
        found: Object = {}
        for key in ("selector", "notSelector"):
            if maybe():
                found[key] = selector()
        if maybe():
            found["namespaceSelector"] = draw(st.sampled_from(["all()", "global()"])) if maybe(1) else selector()
        for key in ("nets", "notNets"):
            if maybe(5):
                texts = draw(st.lists(st.sampled_from(NETS), max_size=2))
                found[key] = [text if "/" in text else f"{text}/32" for text in texts]
        if maybe(6):
            found["serviceAccounts"] = {"names": ["robot"]} if maybe(1) else {"selector": selector()}
        for key in ("ports", "notPorts") if ported else ():
            if maybe(2):
                found[key] = draw(st.lists(st.sampled_from([80, "80:81", 82, *PORT_NAMES]), max_size=2))
        return found

    def rule() -> Object:
        found: Object = {"action": draw(st.sampled_from(["Allow", "Deny", "Pass", "Log", "Allow"]))}
        if maybe(1):
            found["protocol"] = draw(st.sampled_from(PROTOCOLS))
        elif maybe():
            found["notProtocol"] = draw(st.sampled_from(PROTOCOLS))
        return {**found, "source": entity(False), "destination": entity("protocol" in found)}

    for number in range(draw(st.integers(1, 5))):
        spec: Object = {"tier": draw(st.sampled_from(["default", "default", "early", "kube-admin", "kube-baseline"]))}
        if maybe(1):
            spec["order"] = draw(st.sampled_from([1, 1000, 1000.5, 2000]))
        for direction in ("ingress", "egress"):
            if maybe(1):
                spec[direction] = [rule() for _ in range(draw(st.integers(0, 2)))]
        if maybe(1):
            spec["selector"] = selector()
        if maybe(5):
            spec["serviceAccountSelector"] = selector()
        if maybe():
            objects.append(within(draw(st.sampled_from(SPACES)), f"c{number}", **spec))
        else:
            objects.append(everywhere(f"c{number}", **spec, **({"namespaceSelector": selector()} if maybe() else {})))
    objects.append(tier("early", order=5, defaultAction=draw(st.sampled_from(["Deny", "Pass"]))))
    for number in range(draw(st.integers(0, 2))):
        meta = {"name": f"s{number}", "labels": draw(labels), **({"namespace": "x"} if maybe(1) else {})}
        nets = [net for net in draw(st.lists(st.sampled_from(NETS), max_size=2)) if "/" in net]
        kind = "NetworkSet" if "namespace" in meta else "GlobalNetworkSet"
        objects.append({"apiVersion": "projectcalico.org/v3", "kind": kind, "metadata": meta, "spec": {"nets": nets}})
    for one in objects:
        if one["kind"] == "Pod" and maybe(2):
            one["spec"]["serviceAccountName"] = "robot"
    robot = {"name": "robot", "namespace": "x", "labels": draw(labels)}
    return [*objects, {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": robot}], says


@settings(max_examples=150, deadline=None)
@given(worlds(), questions)
def test_every_pair_as_the_plain_evaluator_has_it(world: Any, asked: tuple[str, Any, int]) -> None:
    objects, says = world
    protocol, port, version = asked
    found = reach(objects, protocol, port, version)
    plain = PlainTiers(objects, says, version)
    ends = [*plain.pods, *OUTSIDE]
    expected = np.array([[plain.reaches(s, t, protocol, port) for t in ends] for s in ends])
    assert np.array_equal(flags(found), expected)
