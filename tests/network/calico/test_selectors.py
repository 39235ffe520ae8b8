"""Selectors: what Calico's own tests say of them, and columns against a slow evaluator of text."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale.errors import InputError
from kscale.network.calico.selectors import Always, Compare, LabelColumns, parse

#: Selectors, labels that match, labels that do not (libcalico-go/lib/selector/parser/parser_test.go).
TABLE = [
    ('a == "b"', [{"a": "b"}, {"a": "b", "c": "d"}], [{}, {"a": "c"}, {"c": "d"}]),
    ('a == "b" && c == "d"', [{"a": "b", "c": "d"}], [{}, {"a": "b", "c": "e"}, {"a": "c", "c": "d"}, {"a": "b"}]),
    ('a == "b" || c == "d"', [{"a": "b"}, {"c": "d"}], [{}, {"a": "e", "c": "e"}]),
    ("""a in {"'", '"', "c"}""", [{"a": "c"}, {"a": '"'}, {"a": "'"}], [{}, {"a": "e"}]),
    ("""a not in {"'", '"', "c"}""", [{}, {"a": "e"}], [{"a": "c"}, {"a": '"'}, {"a": "'"}]),
    ('a != "b"', [{"a": "a"}, {}], [{"a": "b"}]),
    ('a contains "a"', [{"a": "bab"}, {"a": "a"}], [{}, {"a": "b"}, {"b": "aaa"}]),
    ('a starts with "a"', [{"a": "abb"}], [{}, {"a": "baa"}, {"b": "aaa"}]),
    ('a ends with "a"', [{"a": "bba"}], [{}, {"a": "aab"}, {"b": "aaa"}]),
    ('!a in {"a"}', [{"a": "b"}, {}], [{"a": "a"}]),
    ("has(a)", [{"a": "b"}], [{"b": "b"}]),
    ("!!! has(a)", [{"b": "b"}], [{"a": "b"}]),
    ("!! ! has(a)", [{}], [{"a": "b"}]),
    ("", [{}, {"a": "b"}], []),
    (" ", [{}], []),
    (" all()", [{}, {"a": "b"}], []),
    ("global()", [{}, {"a": "b"}], []),
    ("a == 'a1' && b != 'b1'", [{"a": "a1"}], [{"a": "a1", "b": "b1"}]),
    ("a != 'a1' && !b == 'b1'", [{}], [{"a": "a1", "b": "b1"}]),
    ("!(!has(a) || has(b))", [{"a": "a"}], [{"a": "a", "b": ""}, {}]),
    ("! a == 'a1' || ! b == 'b1'", [{"a": "a1"}], [{"a": "a1", "b": "b1"}]),
    ("a startswith '\"'", [{"a": '"x'}], [{"a": "x"}]),
    ("has( b)||! has(a )", [{"b": ""}, {}], [{"a": ""}]),
    ("in in {'in'} && not not in {'a',}", [{"in": "in"}], [{"in": "in", "not": "a"}]),
    ("a.b/c-d_e=='x'", [{"a.b/c-d_e": "x"}], [{}]),
    ("a in {}", [], [{}, {"a": ""}]),
]
BAD = [
    "b == b", "b contains b", "b starts with b", "b ends with b", "'b1' == b", "b", "a b", "!", 'foo == "bar" &',
    'foo == "bar" |', "foo != ||", 'foo in {"", ||', 'foo in ""', '"FOO', "\"FOO'", "'FOO", "(", '(a == "foo"', ")",
    "()", "%", 'a == "b" && %', 'a == "b" || %', "a ", "has(foo) &&", "has()", "has(a", "all(", "all(a)", "a = 'b'",
    "a starts 'b'", "a == 'b' c == 'd'", "a == 'b'\n", "{", "a in {'b' 'c'}", "k" * 513 + " == 'a'",
    "(" * 60 + "all()" + ")" * 60, "ключ == 'a'",
]  # fmt: skip


@pytest.mark.parametrize(("text", "matching", "other"), TABLE)
def test_as_calico_s_own_tests_have_it(text, matching, other):
    expression = parse(text)
    assert LabelColumns(matching).matches(expression).all()
    assert not LabelColumns(other).matches(expression).any()


@pytest.mark.parametrize("text", BAD)
def test_bad_selectors_are_refused_in_one_line(text):
    with pytest.raises(InputError, match="expected") as error:
        parse(text, "spec.selector")
    assert error.value.field == "spec.selector"
    assert "\n" not in str(error.value)


def test_what_is_wrong_is_told_with_its_place():
    with pytest.raises(InputError) as error:
        parse("app == 'web' && tier = 'db'")
    assert "unexpected '=' at character 22" in error.value.problem or "expected an operator" in error.value.problem
    with pytest.raises(InputError) as error:
        parse("has(a) && (b == 'c'")
    assert "expected ')' at character 20" in error.value.problem


def test_values_of_a_set_stand_once_and_sorted():
    assert parse("a in {'z', 'x', 'z'}") == Compare("a", "in", ("x", "z"))
    assert parse("a != 'b'") == Compare("a", "not in", ("b",))
    assert parse("((all()))") == Always()


def test_all_and_global_among_namespaces():
    columns = LabelColumns([{"a": "b"}, {}])
    namespaced = np.array([True, False])
    assert columns.matches(parse("all()"), namespaced).tolist() == [True, False]
    assert columns.matches(parse("global()"), namespaced).tolist() == [False, True]
    assert columns.matches(parse("!has(a) || global()"), namespaced).tolist() == [False, True]


KEYS, VALUES = ("a", "b"), ("x", "xy", "yx")
labels = st.dictionaries(st.sampled_from(KEYS), st.sampled_from(VALUES))


def leaves():
    """Selectors with what they say of labels, as a function."""
    key, value = st.sampled_from(KEYS), st.sampled_from(VALUES)
    several = st.lists(value, max_size=3)
    return st.one_of(
        st.builds(lambda k, v: (f'{k} == "{v}"', lambda own: own.get(k) == v), key, value),
        st.builds(lambda k, v: (f"{k}!='{v}'", lambda own: own.get(k) != v), key, value),
        st.builds(lambda k, v: (f"{k} in {{{','.join(map(repr, v))}}}", lambda own: own.get(k) in v), key, several),
        st.builds(
            lambda k, v: (f"{k} not  in{{{', '.join(map(repr, v))}}}", lambda own: own.get(k) not in v), key, several
        ),
        st.builds(lambda k, v: (f"{k} contains '{v}'", lambda own: v in own.get(k, "")), key, value),
        st.builds(lambda k, v: (f"{k} starts with '{v}'", lambda own: own.get(k, "").startswith(v)), key, value),
        st.builds(lambda k, v: (f"{k} ends with '{v}'", lambda own: own.get(k, "").endswith(v)), key, value),
        st.builds(lambda k: (f"has({k})", lambda own: k in own), key),
        st.just(("all()", lambda own: True)),
    )


def joined(inner):
    return st.one_of(
        st.builds(lambda one: (f"!({one[0]})", lambda own: not one[1](own)), inner),
        st.builds(lambda a, b: (f"({a[0]}) && ({b[0]})", lambda own: a[1](own) and b[1](own)), inner, inner),
        st.builds(lambda a, b: (f"({a[0]})||({b[0]})", lambda own: a[1](own) or b[1](own)), inner, inner),
    )


@settings(max_examples=150, deadline=None)
@given(st.recursive(leaves(), joined, max_leaves=6), st.lists(labels, min_size=1, max_size=6))
def test_columns_say_what_each_says_alone(selector, rows):
    text, says = selector
    assert LabelColumns(rows).matches(parse(text)).tolist() == [says(own) for own in rows]


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet="ab=!&|(){}'\", hasin contains", max_size=30))
def test_any_text_is_read_or_refused(text):
    try:
        parse(text)
    except InputError as error:
        assert error.expected
