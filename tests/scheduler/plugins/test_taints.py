"""TaintToleration: which taint rejects, and which cost points."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kscale.scheduler.plugins.taints import TAINTS, intolerable, untolerated
from kscale.state.descriptions import NodeDescriptions, PodDescription
from kscale.state.labels import Labels, Taint, Toleration, parse_taints, parse_tolerations
from tests import naive


def nodes(*sets: tuple[Taint, ...]) -> NodeDescriptions:
    count = len(sets)
    distinct = tuple(dict.fromkeys(sets))
    index = np.array([distinct.index(taints) for taints in sets], np.int32)
    return NodeDescriptions(
        tuple(f"n{i}" for i in range(count)), Labels([{}] * count), distinct, index, np.zeros(count, bool)
    )


def told(taints: list[str], tolerations: str) -> list[str | None]:
    described = nodes(*(parse_taints(text) for text in taints))
    rejected, reasons = untolerated(described, PodDescription(tolerations=parse_tolerations(tolerations)))
    return [None if reason < 0 else reasons[reason] for reason in rejected]


@pytest.mark.parametrize(
    ("tolerations", "taint"),
    [
        ("", "a: b"),
        ("a=b", "c: "),  # the first that is left, in the node's order
        ("a,c", None),  # PreferNoSchedule keeps nobody out
        ("a=x,c", "a: b"),
        ("a:NoExecute,c", "a: b"),
        ("*:NoSchedule", "c: "),
        ("*", None),
    ],
)
def test_the_first_taint_that_is_not_tolerated_is_told(tolerations: str, taint: str | None) -> None:
    expected = f"node(s) had untolerated taint {{{taint}}}" if taint else None
    assert told(["p=q:PreferNoSchedule,a=b:NoSchedule,c:NoExecute", "", "p:PreferNoSchedule"], tolerations) == [
        expected,
        None,
        None,
    ]


def test_nodes_may_have_different_reasons() -> None:
    assert told(["a:NoSchedule", "b=c:NoExecute", "", "a:NoSchedule,b:NoExecute"], "") == [
        "node(s) had untolerated taint {a: }",
        "node(s) had untolerated taint {b: c}",
        None,
        "node(s) had untolerated taint {a: }",
    ]


@pytest.mark.parametrize(
    ("tolerations", "counts"),
    [
        ("", [0, 1, 2]),
        ("a", [0, 0, 1]),
        ("a:PreferNoSchedule", [0, 0, 1]),
        ("a:NoSchedule", [0, 1, 2]),  # another effect does not count in the score
        ("a=x", [0, 1, 2]),
        ("*", [0, 0, 0]),
        ("*:NoExecute", [0, 1, 2]),
    ],
)
def test_taints_that_would_rather_not_cost_points(tolerations: str, counts: list[int]) -> None:
    described = nodes(
        parse_taints("z:NoSchedule"),
        parse_taints("a:PreferNoSchedule"),
        parse_taints("a:PreferNoSchedule,b=c:PreferNoSchedule"),
    )
    assert intolerable(described, PodDescription(tolerations=parse_tolerations(tolerations))).tolist() == counts


def test_fewest_taints_get_the_most_points_threefold() -> None:
    assert (TAINTS.normalise, TAINTS.weight, TAINTS.plane_column) == ("reversed", 3, "description_intolerable")


taints = st.builds(
    Taint,
    st.sampled_from("ab"),
    st.sampled_from(["", "x"]),
    st.sampled_from(["NoSchedule", "PreferNoSchedule", "NoExecute"]),
)
tolerations = st.builds(
    Toleration, st.sampled_from(["", "a", "b"]), st.sampled_from(["Equal", "Exists"]), st.sampled_from(["", "x"]),
    st.sampled_from(["", "NoSchedule", "PreferNoSchedule", "NoExecute"]),
)  # fmt: skip


@given(st.lists(st.lists(taints, max_size=3).map(tuple), min_size=1, max_size=4), st.lists(tolerations, max_size=3))
def test_it_agrees_with_the_twin(sets: list[tuple[Taint, ...]], given_: list[Toleration]) -> None:
    described, pod = nodes(*sets), PodDescription(tolerations=tuple(given_))
    spec = naive.Spec(tolerations=given_)
    rejected, reasons = untolerated(described, pod)
    counts = intolerable(described, pod)
    for node, carried in enumerate(sets):
        state = naive.NodeState(naive.Node("n", {}, taints=carried))
        assert ([] if rejected[node] < 0 else [reasons[rejected[node]]]) == naive.taint_toleration(state, spec)
        assert counts[node] == naive.taint_score(state, spec, ())
