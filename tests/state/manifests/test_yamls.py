"""Plain scalars as kubectl reads them (go-yaml v2), and documents without recursion."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from kscale.state.manifests.yamls import documents, plain


def load(text: str) -> list[Any]:
    return [json.loads(msgspec.json.encode(one)) for one in documents(text.encode(), "f")]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", True), ("No", False), ("on", True), ("OFF", False), ("y", True), ("N", False), ("True", True),
        ("yES", "yES"), ("", None), ("~", None), ("null", None), ("nil", "nil"), ("<<", "<<"),
        ("0", 0), ("-1", -1), ("+7", 7), ("0777", 511), ("0o17", 15), ("08", 8), ("0x1F", 31), ("0b101", 5),
        ("1_000", 1000), ("1e3", 1000), ("1.5", 1.5), (".5", 0.5), ("5.", 5), ("1.0", 1), ("1e400", "1e400"),
        ("18446744073709551615", 2**64 - 1), ("18446744073709551616", 2.0**64), ("-", "-"), (".", "."), ("+", "+"),
        ("12:30", "12:30"), ("12:30:45", "12:30:45"), ("2026-01-01", "2026-01-01"),
        ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z"), ("1Gi", "1Gi"), ("100m", "100m"), ("1.2.3", "1.2.3"),
        ("0.1e-1", 0.01), (".inf", ".inf"), ("0xZ", "0xZ"), ("９", "９"), ("1e", "1e"), ("e3", "e3"),
    ],
)  # fmt: skip
def test_plain_scalars(text: str, value: object) -> None:
    found = plain(text)
    assert found == value and type(found) is type(value)


def test_quoted_and_tagged_scalars() -> None:
    text = """
a: "yes"
b: 'no'
c: !!str 12
d: ! 12
e: !!int "12"
f: !!float 1
g: !!bool "on"
h: !!null ""
i: !!binary aGk=
j: !!timestamp 2026-01-01
k: |
  1
  2
l: >-
  folded
  text
"""
    (found,) = load(text)
    assert found == {
        "a": "yes", "b": "no", "c": "12", "d": "12", "e": 12, "f": 1, "g": True, "h": None, "i": "hi",
        "j": "2026-01-01", "k": "1\n2\n", "l": "folded text",
    }  # fmt: skip


def test_keys_become_texts() -> None:
    assert load("{1: a, on: b, 1.5: c, 0x10: d}") == [{"1": "a", "true": "b", "1.5": "c", "16": "d"}]


def test_anchors_and_merges() -> None:
    text = """
base: &base {a: 1, b: {c: 2}}
one: {<<: *base, a: 3}
two: {<<: [{a: 9}, *base], d: 4}
three: *base
list: [&x 5, *x]
quoted: {"<<": 1}
"""
    (found,) = load(text)
    assert found["one"] == {"a": 3, "b": {"c": 2}}
    assert found["two"] == {"a": 9, "b": {"c": 2}, "d": 4}
    assert found["three"] == {"a": 1, "b": {"c": 2}}
    assert found["list"] == [5, 5]
    assert found["quoted"] == {"<<": 1}


def test_items_of_lists_with_anchors() -> None:
    assert load("items: [&a {x: 1}, *a, {<<: *a, z: 2}]") == [{"items": [{"x": 1}, {"x": 1}, {"x": 1, "z": 2}]}]


def test_documents() -> None:
    assert load("a: 1\n---\n---\n# no\n--- ~\n--- b\n...\n---\n- c\n") == [{"a": 1}, "b", ["c"]]
    assert load("") == load("# nothing") == load("---\n...\n") == []


TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Cn", "Co")), max_size=9)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("ab1", min_size=1), inner, max_size=4),
    max_leaves=20,
)


@given(VALUES, st.sampled_from([None, True, False]))
def test_what_is_written_is_read_back(value: object, flow: bool | None) -> None:
    text = yaml.safe_dump({"x": value}, default_flow_style=flow, allow_unicode=True, default_style='"')
    assert load(text) == [{"x": value}]


@given(VALUES)
def test_json_is_yaml(value: object) -> None:
    assert load("# yaml\n" + json.dumps({"x": value}, ensure_ascii=False)) == [{"x": value}]
