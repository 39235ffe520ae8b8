"""Random clusters under random policies: the columns say what the plain evaluator says of every pair."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale.network.policy import bits
from tests.network.policy.making import PROTOCOLS, Object, flags, namespace, outside, pod, policy, reach
from tests.network.policy.plain import Plain

KEYS, VALUES, SPACES = ("app", "tier"), ("a", "b", "c"), ("x", "y", "z")
labels = st.dictionaries(st.sampled_from(KEYS), st.sampled_from(VALUES), max_size=2)
PORT_NAMES = ("web", "dns")
OUTSIDE = ("10.1.0.200", "192.0.2.7", "fd01::99")
BLOCKS = (
    ("0.0.0.0/0", ("10.1.0.0/16", "10.1.0.0/25", "192.0.2.0/24")),
    ("10.1.0.0/16", ("10.1.0.0/24", "10.1.0.4/30")), ("10.1.0.0/30", ("10.1.0.1/32",)), ("192.0.2.0/24", ()),
    ("fd01::/16", ("fd01::/120",)), ("fd01::2/127", ()),
)  # fmt: skip


@st.composite
def requirements(draw: Any) -> Object:
    operator = draw(st.sampled_from(["In", "NotIn", "Exists", "DoesNotExist"]))
    values = draw(st.lists(st.sampled_from(VALUES), min_size=1, max_size=2, unique=True)) if "In" in operator else None
    return {"key": draw(st.sampled_from(KEYS)), "operator": operator, **({"values": values} if values else {})}


@st.composite
def selectors(draw: Any) -> Object:
    found: Object = {}
    if draw(st.booleans()):
        found["matchLabels"] = draw(labels)
    if draw(st.booleans()):
        found["matchExpressions"] = draw(st.lists(requirements(), max_size=2))
    return found


@st.composite
def peers(draw: Any) -> Object:
    form = draw(st.integers(0, 3))
    if form == 3:
        cidr, parts = draw(st.sampled_from(BLOCKS))
        excepted = draw(st.lists(st.sampled_from(parts), unique=True, max_size=2)) if parts else []
        return {"ipBlock": {"cidr": cidr, **({"except": excepted} if excepted else {})}}
    found = {"podSelector": draw(selectors())} if form != 1 else {}
    return {**found, **({"namespaceSelector": draw(selectors())} if form else {})}


@st.composite
def ports(draw: Any) -> Object:
    protocol = draw(st.sampled_from(PROTOCOLS))
    form = draw(st.integers(0, 3))
    found: Object = {"protocol": protocol} if protocol != "TCP" or draw(st.booleans()) else {}
    if form == 1:
        found["port"] = draw(st.sampled_from(PORT_NAMES))
    elif form > 1:
        found["port"] = draw(st.sampled_from([79, 80, 81]))
        if form == 3:
            found["endPort"] = draw(st.sampled_from([81, 82]))
    return found


@st.composite
def policies(draw: Any, number: int) -> Object:
    spec: Object = {"podSelector": draw(selectors())}
    for direction, side in (("ingress", "from"), ("egress", "to")):
        if draw(st.booleans()):
            rules = []
            for _ in range(draw(st.integers(0, 2))):
                rule: Object = {}
                if draw(st.booleans()):
                    rule[side] = draw(st.lists(peers(), max_size=2))
                if draw(st.booleans()):
                    rule["ports"] = draw(st.lists(ports(), max_size=2))
                rules.append(rule)
            spec[direction] = rules
    if draw(st.booleans()):
        spec["policyTypes"] = draw(st.lists(st.sampled_from(["Ingress", "Egress"]), unique=True, max_size=2))
    return policy(draw(st.sampled_from(SPACES)), f"policy-{number}", **spec)


@st.composite
def clusters(draw: Any) -> list[Object]:
    found = [namespace(name, **draw(labels)) for name in SPACES]
    for number in range(draw(st.integers(1, 9))):
        host, node = draw(st.integers(0, 5)) == 0, draw(st.sampled_from(["", "n1", "n2"]))
        both = draw(st.sampled_from([3, 3, 3, 1, 2]))
        ips = [f"10.1.0.{number + 1}"] * (both & 1) + [f"fd01::{number + 1}"] * (both >> 1)
        named = []
        for name in PORT_NAMES if draw(st.booleans()) else ():
            number, protocol = draw(st.sampled_from([80, 81])), draw(st.sampled_from(PROTOCOLS))
            named.append({"name": name, "containerPort": number, "protocol": protocol})
        spec = {"hostNetwork": True} if host else {}
        found.append(pod(draw(st.sampled_from(SPACES)), f"p{number}", draw(labels), ips, named, node, **spec))
    return found + [draw(policies(number)) for number in range(draw(st.integers(0, 5)))]


questions = st.tuples(st.sampled_from(PROTOCOLS), st.sampled_from([80, 81, 82, *PORT_NAMES]), st.sampled_from([4, 6]))


@settings(max_examples=120, deadline=None)
@given(clusters(), questions)
def test_every_pair_as_the_plain_evaluator_has_it(objects: list[Object], asked: tuple[str, int | str, int]) -> None:
    protocol, port, version = asked
    found = reach(objects, protocol, port, tuple(map(outside, OUTSIDE)), version)
    plain = Plain(objects, version)
    ends = [*plain.pods, *OUTSIDE]
    expected = np.array([[plain.reaches(s, t, protocol, port) for t in ends] for s in ends])
    # An address outside is an end as a pod is, so that it also reaches itself: there is nothing between.
    assert np.array_equal(flags(found), expected)
    sources, targets = (side.ravel() for side in np.indices(expected.shape))
    assert np.array_equal(found.reaches(sources, targets), expected.ravel())
    spaces = np.array([SPACES.index(p["metadata"]["namespace"]) for p in plain.pods] + [-1] * len(OUTSIDE))
    reached, pairs = found.counts(spaces, len(SPACES))
    for i in range(3):
        for j in range(3):
            here = [(s, t) for s in np.flatnonzero(spaces == i) for t in np.flatnonzero(spaces == j) if s != t]
            assert (reached[i, j], pairs[i, j]) == (sum(bool(expected[pair]) for pair in here), len(here))


def test_the_twin_would_be_heard() -> None:
    """Random policies do part pods: a plain evaluator that let all pass would be caught."""
    objects = [namespace("x"), pod("x", "p0", {}, ["10.1.0.1"]), pod("x", "p1", {}, ["10.1.0.2"]), policy("x", "deny")]
    assert flags(reach(objects)).tolist() == [[True, False], [False, True]]


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 9), st.integers(0, 200), st.integers(0, 1 << 32))
def test_sets_of_bits(height: int, width: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.random((height, width)) < rng.choice([0.02, 0.5])
    packed = bits.packed(rows)
    assert np.array_equal(bits.unpacked(packed, width), rows)
    assert np.array_equal(bits.unpacked(bits.transposed(packed, width), height), rows.T)
    row, member = rng.integers(0, height, 20), rng.integers(0, max(width, 1), 20)
    assert not width or np.array_equal(bits.has(packed, row, member), rows[row, member])
    texts = [tuple(one) for one in rows.tolist()]
    firsts = list(dict.fromkeys(texts))
    first, place = bits.alike(packed)
    assert first.tolist() == [texts.index(one) for one in firsts]
    assert place.tolist() == [firsts.index(one) for one in texts]
    wanted = rng.random((3, height)) < 0.3
    unions = bits.unpacked(bits.unions(packed, bits.packed(wanted)), width)
    assert np.array_equal(unions, np.array([rows[one].any(axis=0) for one in wanted]).reshape(3, width))
