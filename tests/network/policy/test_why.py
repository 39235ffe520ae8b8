"""Why one pod does not reach another: the words, and that they agree with the matrix."""

from __future__ import annotations

from random import Random

import pytest

from kscale.network.policy.policies import Policy
from kscale.network.policy.reach import Reach
from kscale.network.policy.why import Reason, why
from tests.network.policy.making import Object, flags, outside, pod, policy, reach, read, three
from tests.network.policy.worlds import OUTSIDE, PORT_NAMES, cluster

A: Object = {"matchLabels": {"pod": "a"}}
B: Object = {"matchLabels": {"pod": "b"}}
DENY = policy("x", "deny", podSelector=A, policyTypes=["Ingress", "Egress"])
TO_B = policy(
    "x", "to-b", podSelector=A, policyTypes=["Egress"], egress=[{"to": [{"podSelector": B}], "ports": [{"port": 80}]}]
)  # fmt: skip


def asked(objects: list[Object], source: str, target: str, port: int | str = 80, version: int = 4) -> Reason:
    found = reach(objects, "TCP", port, tuple(map(outside, OUTSIDE)), version)
    names = found.ends.names
    reason = why(found, read(objects).policies, names.index(source), names.index(target))
    assert reason.reached == flags(found)[names.index(source), names.index(target)]
    return reason


def text(*given: object, **more: object) -> str:
    return asked(*given, **more).text  # type: ignore[arg-type]


def test_words() -> None:
    objects = [*three(), DENY]
    assert text(objects, "x/a", "y/b", 81) == "egress of x/a: isolated by x/deny, no rule allows y/b:81/TCP"
    assert text(objects, "y/b", "x/a") == "ingress of x/a: isolated by x/deny, no rule allows y/b on 80/TCP"
    assert text(objects, "192.0.2.7", "x/a") == "ingress of x/a: isolated by x/deny, no rule allows 192.0.2.7 on 80/TCP"
    assert text(objects, "x/a", "fd01::99", version=6).endswith("no rule allows [fd01::99]:80/TCP")
    assert text(objects, "x/a", "x/a") == "x/a always reaches itself"
    free = "egress of x/b: no policy isolates it; ingress of x/c: no policy isolates it"
    assert text(objects, "x/b", "x/c") == free
    objects.append(TO_B)
    assert text(objects, "x/a", "x/b") == (
        "egress of x/a: allowed by x/to-b egress[0]; ingress of x/b: no policy isolates it"
    )
    blocked = "egress of x/a: isolated by x/deny and 1 more, no rule allows "
    assert text(objects, "x/a", "x/b", 81) == (
        f"{blocked}x/b:81/TCP; nearest is x/to-b egress[0], which allows it on 80/TCP"
    )
    assert text(objects, "x/a", "x/c") == f"{blocked}x/c:80/TCP; nearest is x/to-b egress[0], which allows others there"
    assert text(objects, "x/a", "x/c", 81) == (
        f"{blocked}x/c:81/TCP; nearest is x/to-b egress[0], which allows neither it nor the port"
    )


def test_both_sides_are_told() -> None:
    objects = [*three(), DENY, policy("y", "closed")]
    reason = asked(objects, "x/a", "y/a")
    assert [(side.direction, side.end, side.isolated_by) for side in reason.sides] == [
        ("Egress", "x/a", ("x/deny",)), ("Ingress", "y/a", ("y/closed",))
    ]  # fmt: skip
    assert reason.text.count("isolated by") == 2 and not any(side.passes for side in reason.sides)


def test_the_right_peer_comes_before_the_right_port() -> None:
    ports: list[Object] = [{"port": 81}, {"port": 82}, {"port": "web"}, {"port": 83}, {"port": 84}]
    rules = [{"from": [{"podSelector": A}]}, {"from": [{"podSelector": B}], "ports": ports}]
    objects = [*three(), policy("x", "some", podSelector=A, ingress=rules)]
    assert asked(objects, "x/b", "x/a").sides[1].nearest == (
        "x/some ingress[1], which allows it on 81/TCP, 82/TCP, web/TCP, 83/TCP …"
    )


def test_where_policies_are_not_what_decides() -> None:
    objects = [*three(), pod("x", "host", {}, ["192.0.2.9"], node="n1", hostNetwork=True), policy("x", "deny")]
    objects += [pod("x", "near", {}, ["10.1.9.1"], node="n1"), pod("x", "far", {}, ["10.1.9.2"], node="n2")]
    assert text(objects, "x/host", "x/near") == "a pod and its node, here n1, always reach each other"
    assert "isolated by x/deny" in text(objects, "x/host", "x/far")
    assert text(objects, "x/a", "x/near", "serve-80-tcp") == "x/near has no port serve-80-tcp/TCP"
    assert text(objects, "x/near", "x/a", version=6) == "x/near has no IPv6 address"


@pytest.mark.parametrize("seed", range(25))
def test_reasons_agree_with_the_matrix(seed: int) -> None:
    rng = Random(seed)
    objects, port, version = cluster(rng), rng.choice([80, 81, *PORT_NAMES]), rng.choice([4, 6])
    found: Reach = reach(objects, "TCP", port, tuple(map(outside, OUTSIDE)), version)
    policies: list[Policy] = read(objects).policies
    matrix = flags(found)
    for source in range(len(found.ends)):
        for target in range(len(found.ends)):
            reason = why(found, policies, source, target)
            assert reason.reached == matrix[source, target], reason.text
            for side in reason.sides:
                assert bool(side.nearest) <= (not side.allowed_by) and bool(side.allowed_by) <= bool(side.isolated_by)
