"""NodeAffinity: the selector, the required and the preferred terms."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kscale.scheduler.plugins.node_affinity import AFFINITY, REASON, preference, unmatched
from kscale.state.descriptions import NodeDescriptions
from kscale.state.intake import describe_pod
from kscale.state.labels import Labels
from tests import naive
from tests.worlds import PREFERRED, SELECTORS, TERMS


def nodes(*labels: dict[str, str]) -> NodeDescriptions:
    count = len(labels)
    names = tuple(f"n{i}" for i in range(count))
    return NodeDescriptions(names, Labels(list(labels)), ((),), np.zeros(count, np.int32), np.zeros(count, bool))


NODES = nodes({"zone": "a", "disk": "ssd"}, {"zone": "a"}, {"zone": "b", "gen": "7"}, {})


def fits(**row: Any) -> list[bool]:
    rejected, reasons = unmatched(NODES, describe_pod(row))
    assert reasons == [REASON] == ["node(s) didn't match Pod's node affinity/selector"]
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


def test_it_weighs_twice_and_more_is_better() -> None:
    assert (AFFINITY.reversed, AFFINITY.weight, AFFINITY.plane_column) == (False, 2, "description_preference")


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
