"""NodeAffinity: the selector, the required and the preferred terms."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kscale.scheduler.configuration import ProfileConfiguration
from kscale.scheduler.plugins.node_affinity import (
    ADDED_REASON,
    AFFINITY,
    REASON,
    barred,
    named_nodes,
    preference,
    unmatched,
)
from kscale.state.descriptions import NodeDescriptions, PodDescription
from kscale.state.intake import describe_pod
from kscale.state.labels import Labels, Requirement
from tests import naive
from tests.worlds import PREFERRED, SELECTORS, TERMS


def nodes(*labels: dict[str, str]) -> NodeDescriptions:
    count = len(labels)
    names = tuple(f"n{i}" for i in range(count))
    return NodeDescriptions(names, Labels(list(labels)), ((),), np.zeros(count, np.int32), np.zeros(count, bool))


NODES = nodes({"zone": "a", "disk": "ssd"}, {"zone": "a"}, {"zone": "b", "gen": "7"}, {})


def fits(**row: Any) -> list[bool]:
    rejected, reasons = unmatched(NODES, describe_pod(row))
    assert reasons == [REASON, ADDED_REASON]
    assert REASON == "node(s) didn't match Pod's node affinity/selector"
    assert ADDED_REASON == "node(s) didn't match scheduler-enforced node affinity"
    assert (rejected < 1).all()  # nothing is added
    return (rejected < 0).tolist()


@pytest.mark.parametrize(
    ("selector", "terms", "expected"),
    [
        ("", "", [True, True, True, True]),
        ("zone=a", "", [True, True, False, False]),
        ("zone=a,disk=ssd", "", [True, False, False, False]),
        ("zone=none", "", [False] * 4),
        ("", "zone=b | disk", [True, False, True, False]),  # one of the terms
        ("zone=a", "zone=b | disk", [True, False, False, False]),  # and the selector
        ("", "zone notin (b)", [True, True, False, True]),
        ("", " ", [False] * 4),  # an empty term matches nothing
        ("", " | zone=b", [False, False, True, False]),
        ("", "gen>-5", [False] * 4),
        ("", "gen>-5 | zone=a", [True, True, False, False]),  # spoils its own term alone
    ],
)
def test_required(selector: str, terms: str, expected: list[bool]) -> None:
    assert fits(node_selector=selector, node_affinity=terms) == expected


@pytest.mark.parametrize(
    ("preferred", "expected"),
    [
        ("", [0, 0, 0, 0]),
        ("10: zone=a", [10, 10, 0, 0]),
        ("10: zone=a | 5: disk", [15, 10, 0, 0]),
        ("1: zone!=a | 100: !zone", [0, 0, 1, 101]),
        ("7: ", [0, 0, 0, 0]),  # an empty term matches nothing
    ],
)
def test_preferred_weights_add_up(preferred: str, expected: list[int]) -> None:
    assert preference(NODES, describe_pod({"preferred_node_affinity": preferred})).tolist() == expected


def term(*parts: str | Requirement) -> tuple[Requirement, ...]:
    """A term of names of nodes (``n0 n1``, ``-n0`` without) and labels (``zone``)."""
    result = []
    for part in parts:
        names = part.removeprefix("-").split() if isinstance(part, str) else []
        operator = "NotIn" if str(part).startswith("-") else "In"
        result.append(Requirement("metadata.name", operator, tuple(names), field=True) if names else part)
    return tuple(result)  # type: ignore[arg-type]


ZONE = Requirement("zone", "Exists")


@pytest.mark.parametrize(
    ("terms", "expected", "named"),
    [
        ([term("n1 n9")], [False, True, False, False], {"n1", "n9"}),
        ([term("n1 n2", "n2 n3")], [False, False, True, False], {"n2"}),
        ([term("n0"), term("n3")], [True, False, False, True], {"n0", "n3"}),
        ([term("n0"), term(ZONE)], [True, True, True, False], None),  # the second names no node
        ([term("n0 n3", ZONE)], [True, False, False, False], {"n0", "n3"}),
        ([term("-n0")], [False, True, True, True], None),
        ([term("n1", "n2")], [False] * 4, set()),
        ([()], [False] * 4, None),
    ],
)
def test_terms_by_name(terms: list[Any], expected: list[bool], named: set[str] | None) -> None:
    pod = PodDescription(terms=tuple(terms))
    assert (unmatched(NODES, pod)[0] < 0).tolist() == expected
    assert named_nodes(pod) == named
    assert (barred(NODES, pod) is not None) == (named == set())


def test_no_terms_name_no_nodes() -> None:
    assert named_nodes(PodDescription()) is None
    assert named_nodes(PodDescription(terms=())) is None


@pytest.mark.parametrize(
    ("values", "bad"), [(("5",), False), (("x",), True), ((), True), (("1", "2"), True), (("9" * 30,), True)]
)
def test_preferred_terms_that_cannot_be_parsed_bar_a_pod(values: tuple[str, ...], bad: bool) -> None:
    for operator in ("Gt", "Lt"):
        found = barred(NODES, PodDescription(preferred=((1, (Requirement("gen", operator, values),)),)))
        assert (found is not None and found.code == "Error") is bad


def test_a_profile_adds_to_what_pods_ask() -> None:
    added = replace(
        ProfileConfiguration(), added_terms=((Requirement("zone", "In", ("a",)),),), added_preferred=((4, (ZONE,)),)
    )
    described = replace(NODES, configurations={"default-scheduler": added})
    pod = describe_pod({"node_selector": "disk=ssd", "preferred_node_affinity": "10: zone=a"})
    rejected, reasons = unmatched(described, pod)
    told = [None if code < 0 else reasons[code] for code in rejected]
    # Nodes that both turn away are told what the profile asks.
    assert told == [None, REASON, ADDED_REASON, ADDED_REASON]
    assert preference(described, pod).tolist() == [14, 14, 4, 0]
    other = replace(pod, profile="other")
    assert (unmatched(described, other)[0] < 1).all()
    assert preference(described, other).tolist() == [10, 10, 0, 0]


def test_it_weighs_twice_and_more_is_better() -> None:
    assert (AFFINITY.normalise, AFFINITY.weight, AFFINITY.plane_column) == ("highest", 2, "description_preference")


labels = st.fixed_dictionaries(
    {},
    optional={"zone": st.sampled_from("abc"), "disk": st.just("ssd"), "gen": st.sampled_from(["1", "2", "x", "007"])},
)


@given(
    st.lists(labels, min_size=1, max_size=5),
    st.sampled_from(SELECTORS),
    st.sampled_from(TERMS),
    st.sampled_from(PREFERRED),
)
def test_it_agrees_with_the_twin(given_: list[dict[str, str]], selector: str, terms: str, preferred: str) -> None:
    row = {"node_selector": selector, "node_affinity": terms, "preferred_node_affinity": preferred}
    spec, pod = naive.spec_of(row), describe_pod(row)
    described = nodes(*given_)
    rejected, points = unmatched(described, pod)[0], preference(described, pod)
    for node, carried in enumerate(given_):
        state = naive.NodeState(naive.Node("n", {}, labels=carried))
        assert (rejected[node] < 0) == (naive.node_affinity(state, spec) == [])
        assert points[node] == naive.affinity_score(state, spec, ())
