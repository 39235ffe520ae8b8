"""Labels, selectors, taints and tolerations: their written forms, and programs against a matcher of dicts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kscale.errors import InputError
from kscale.state.labels import (
    Labels,
    Requirement,
    Taint,
    Toleration,
    format_term,
    integer,
    parse_labels,
    parse_preferred_terms,
    parse_taints,
    parse_term,
    parse_terms,
    parse_tolerations,
)

# Written forms


def test_labels() -> None:
    assert parse_labels(None) == parse_labels("") == parse_labels(" , ") == {}
    assert parse_labels("a=b, example.com/c-d_e.f = x ,g=") == {"a": "b", "example.com/c-d_e.f": "x", "g": ""}
    assert parse_labels("a=b,a=c") == {"a": "c"}


@pytest.mark.parametrize(
    "text",
    [
        "a",
        "a:b",
        "=b",
        "a=b c",
        "-a=b",
        "a-=b",
        "a=-b",
        "a=b-",
        "a/b/c=d",
        "a=b=c",
        "é=a",
        "a" * 64 + "=b",
        "a=" + "b" * 64,
    ],
)
def test_what_is_no_label(text: str) -> None:
    with pytest.raises(InputError, match="is not a label"):
        parse_labels(text)


def test_taints() -> None:
    assert parse_taints(None) == ()
    assert parse_taints("a=b:NoSchedule,c:NoExecute,d=:PreferNoSchedule") == (
        Taint("a", "b", "NoSchedule"), Taint("c", "", "NoExecute"), Taint("d", "", "PreferNoSchedule"),
    )  # fmt: skip


@pytest.mark.parametrize("text", ["a", "a=b", "a:Never", "a:", ":NoSchedule", "a=b c:NoSchedule", "a:noschedule"])
def test_what_is_no_taint(text: str) -> None:
    with pytest.raises(InputError, match="is not a"):
        parse_taints(text)


def test_tolerations() -> None:
    assert parse_tolerations(None) == ()
    assert parse_tolerations("a=b:NoSchedule,a:NoExecute,a,a=,*,*:NoExecute") == (
        Toleration("a", "Equal", "b", "NoSchedule"), Toleration("a", "Exists", "", "NoExecute"),
        Toleration("a", "Exists", "", ""), Toleration("a", "Equal", "", ""),
        Toleration("", "Exists", "", ""), Toleration("", "Exists", "", "NoExecute"),
    )  # fmt: skip


@pytest.mark.parametrize("text", ["a:Never", "a b", "=b", "*=b", "a=b c"])
def test_what_is_no_toleration(text: str) -> None:
    with pytest.raises(InputError, match="is not a"):
        parse_tolerations(text)


@pytest.mark.parametrize(
    ("toleration", "tolerated"),
    [
        ("a=b:NoSchedule", True),
        ("a=b", True),  # no effect: every effect
        ("a", True),
        ("a:NoSchedule", True),
        ("*", True),
        ("*:NoSchedule", True),
        ("a=", False),  # Equal compares the empty value too
        ("a=c", False),
        ("b", False),
        ("a:NoExecute", False),
        ("*:PreferNoSchedule", False),
    ],
)
def test_tolerates(toleration: str, tolerated: bool) -> None:
    (only,) = parse_tolerations(toleration)
    assert only.tolerates(Taint("a", "b", "NoSchedule")) is tolerated


def test_equal_tolerates_a_taint_without_value_only_when_empty() -> None:
    assert Toleration("a", "Equal", "").tolerates(Taint("a", "", "NoSchedule"))
    assert not Toleration("a", "Equal", "x").tolerates(Taint("a", "", "NoSchedule"))


@pytest.mark.parametrize(
    ("text", "requirements"),
    [
        ("", ()),
        (" , ", ()),
        ("zone in (a, b)", (Requirement("zone", "In", ("a", "b")),)),
        ("zone notin (a)", (Requirement("zone", "NotIn", ("a",)),)),
        ("zone in ()", (Requirement("zone", "In", ("",)),)),
        ("zone=a", (Requirement("zone", "In", ("a",)),)),
        ("zone==a", (Requirement("zone", "In", ("a",)),)),
        ("zone!=a", (Requirement("zone", "NotIn", ("a",)),)),
        ("zone=", (Requirement("zone", "In", ("",)),)),
        ("gpu", (Requirement("gpu", "Exists"),)),
        ("!gpu", (Requirement("gpu", "DoesNotExist"),)),
        ("gen>5", (Requirement("gen", "Gt", ("5",)),)),
        ("gen < -5", (Requirement("gen", "Lt", ("-5",)),)),
        ("a in (x,y),b=c , !d", (Requirement("a", "In", ("x", "y")), Requirement("b", "In", ("c",)),
                                 Requirement("d", "DoesNotExist"))),
    ],
)  # fmt: skip
def test_terms(text: str, requirements: tuple[Requirement, ...]) -> None:
    assert parse_term(text) == requirements


@pytest.mark.parametrize(
    "text", ["=a", "a b", "zone in a", "zone IN (a)", "!", "!!a", "a=b c", "zone in (a b)", "-a", "a/b/c"]
)
def test_what_is_no_term(text: str) -> None:
    with pytest.raises(InputError, match="is not a label"):
        parse_term(text)


def test_alternatives() -> None:
    assert parse_terms(None) is None
    assert parse_terms("") is None
    assert parse_terms(" ") == ((),)  # one empty term, which matches nothing
    assert parse_terms("a | b") == ((Requirement("a", "Exists"),), (Requirement("b", "Exists"),))


def test_preferred_terms() -> None:
    assert parse_preferred_terms(None) == ()
    assert parse_preferred_terms("1: a | 100:b=c") == (
        (1, (Requirement("a", "Exists"),)), (100, (Requirement("b", "In", ("c",)),)),
    )  # fmt: skip


@pytest.mark.parametrize("text", ["a", "0: a", "101: a", "-1: a", "1.5: a", ": a", "x: a", "\u0661: a"])
def test_what_is_no_preferred_term(text: str) -> None:
    with pytest.raises(InputError, match="weight of 1 to 100"):
        parse_preferred_terms(text)


# Programs over label columns

NODES: list[dict[str, str]] = [
    {"zone": "a", "gen": "5"},
    {"zone": "b", "gen": "007"},
    {"zone": "a", "gen": "3.5", "empty": ""},
    {"gen": "9223372036854775807"},
    {"gen": "9223372036854775808"},
    {"gen": "x", "zone": "c"},
    {},
]
ALL = set(range(7))


@pytest.mark.parametrize(
    ("term", "matches"),
    [
        ("", set()),  # an empty term matches nothing
        ("zone in (a,c)", {0, 2, 5}),
        ("zone in (nowhere)", set()),
        ("zone in ()", set()),  # the empty value, which no zone has
        ("empty=", {2}),
        ("zone notin (a)", {1, 3, 4, 5, 6}),  # also where the key is absent
        ("zone notin (nowhere)", ALL),
        ("zone", {0, 1, 2, 5}),
        ("!zone", {3, 4, 6}),
        ("rack", set()),  # a key that no node has
        ("!rack", ALL),
        ("rack=a", set()),
        ("rack!=a", ALL),
        ("rack>1", set()),
        ("gen>5", {1, 3}),  # 007 is 7; 3.5, x and 2^63 are no integers of 64 bits
        ("gen>4", {0, 1, 3}),
        ("gen<7", {0}),
        ("gen<8", {0, 1}),
        ("gen>9223372036854775806", {3}),
        ("gen<9223372036854775807", {0, 1}),
        ("gen<9223372036854775808", set()),  # the bound itself is no int64
        ("gen>-5", set()),  # kube-scheduler cannot parse it
        ("gen>+5", set()),
        ("gen>3.5", set()),
        ("gen>", set()),
        ("gen>\u00b2", set()),
        ("zone=a,gen>4", {0}),
    ],
)  # fmt: skip
def test_matches(term: str, matches: set[int]) -> None:
    assert set(np.flatnonzero(Labels(NODES).matches(parse_term(term)))) == matches


def test_nodes_without_any_label() -> None:
    labels = Labels([{}, {}])
    assert labels.columns.shape == (0, 2)
    assert labels.matches(parse_term("a!=b")).tolist() == [True, True]
    assert labels.matches(parse_term("a>1")).tolist() == [False, False]
    assert Labels([]).matches(parse_term("a")).tolist() == []


def test_columns_hold_codes_of_values() -> None:
    labels = Labels([{"k": "x"}, {"j": "x", "k": "a"}, {}])
    assert labels.keys == {"j": 0, "k": 1}
    assert labels.values == {"a": 0, "x": 1}
    assert labels.columns.tolist() == [[-1, 1, -1], [1, 0, -1]]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("007", 7),
        ("0" * 62 + "7", 7),
        (str(2**63 - 1), 2**63 - 1),
        (str(2**63), None),
        ("3.5", None),
        ("", None),
        ("1e3", None),
        ("\u0661", None),
        ("9" * 63, None),
    ],
)
def test_integers_are_int64_in_base_ten(text: str, value: int | None) -> None:
    assert integer(text) == value


KEYS = ("a", "b", "n")
VALUES = ("", "x", "y", "0", "7", "007", "10", "3.5", "9223372036854775807", "9223372036854775808")
BOUNDS = (*VALUES, "-1", "+7")
node_labels = st.dictionaries(st.sampled_from(KEYS), st.sampled_from(VALUES))
requirements = st.one_of(
    st.builds(Requirement, st.sampled_from((*KEYS, "none")), st.sampled_from(["In", "NotIn"]),
              st.lists(st.sampled_from(VALUES), min_size=1, max_size=3).map(tuple)),
    st.builds(Requirement, st.sampled_from((*KEYS, "none")), st.sampled_from(["Exists", "DoesNotExist"])),
    st.builds(Requirement, st.sampled_from((*KEYS, "none")), st.sampled_from(["Gt", "Lt"]),
              st.sampled_from(BOUNDS).map(lambda bound: (bound,))),
)  # fmt: skip


def holds(requirement: Requirement, labels: dict[str, str]) -> bool:
    """The rules as Kubernetes writes them, on one node."""
    has, value = requirement.key in labels, labels.get(requirement.key)
    if requirement.operator == "In":
        return has and value in requirement.values
    if requirement.operator == "NotIn":
        return not has or value not in requirement.values
    if requirement.operator in ("Exists", "DoesNotExist"):
        return has is (requirement.operator == "Exists")
    numbers = [value or "", requirement.values[0]]
    if not all(n.isascii() and n.isdigit() and int(n) < 2**63 for n in numbers):
        return False
    node, bound = map(int, numbers)
    return node > bound if requirement.operator == "Gt" else node < bound


@given(st.lists(node_labels, max_size=6), st.lists(requirements, max_size=3))
def test_programs_agree_with_a_matcher_of_dicts(nodes: list[dict[str, str]], term: list[Requirement]) -> None:
    found = Labels(nodes).matches(tuple(term)).tolist()
    assert found == [bool(term) and all(holds(r, labels) for r in term) for labels in nodes]


@given(st.lists(requirements, max_size=4).map(tuple))
def test_terms_come_back_from_their_written_form(term: tuple[Requirement, ...]) -> None:
    assert parse_term(format_term(term)) == term
