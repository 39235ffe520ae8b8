"""Attributes and constraints as labels and terms."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kscale.state.labels import Labels, parse_labels, parse_term
from kscale.traces.common.attributes import (
    ABSENT,
    EQUAL,
    GREATER,
    GREATER_EQUAL,
    LESS,
    LESS_EQUAL,
    NOT_EQUAL,
    PRESENT,
    Terms,
    label_text,
    labels,
    requirement,
)


@given(st.text(max_size=80))
def test_every_text_becomes_a_label(text):
    assert parse_labels(f"borg/{label_text(text) or 'x'}={label_text(text)}")
    assert label_text(label_text(text)) == label_text(text)


def test_texts_that_differ_stay_different():
    texts = ["a/b=", "a+b=", "a-b", "a b", "/", "+", "", "x" * 63, "x" * 64, "x" * 65]
    assert len({label_text(text) for text in texts}) == len(texts)
    assert label_text("a-b") == "a-b"
    assert label_text("x" * 63) == "x" * 63


MEANING = {
    EQUAL: lambda there, value: there == value,
    NOT_EQUAL: lambda there, value: there != value,
    LESS: lambda there, value: there is not None and there < value,
    GREATER: lambda there, value: there is not None and there > value,
    LESS_EQUAL: lambda there, value: there is not None and there <= value,
    GREATER_EQUAL: lambda there, value: there is not None and there >= value,
    PRESENT: lambda there, value: there is not None,
    ABSENT: lambda there, value: there is None,
}


@pytest.mark.parametrize("comparison", MEANING)
@pytest.mark.parametrize("value", range(4))
def test_comparisons_mean_the_same(comparison, value):
    machines = [None, 0, 1, 2, 3, 4]
    nodes = Labels([{} if there is None else {"borg/a": str(there)} for there in machines])
    text = requirement("borg/a", comparison, str(value))
    expected = [MEANING[comparison](there, value) for there in machines]
    assert nodes.matches(parse_term(text)).tolist() == expected


def test_what_kubernetes_cannot_say():
    for value in ("", "x", "-1", "1.5", "9" * 19):
        assert requirement("a", LESS, value) is None
    assert requirement("a", EQUAL, "") == "a="
    assert requirement("a", NOT_EQUAL, "x/") == f"a!={label_text('x/')}"


def test_terms_of_rows():
    rows = pl.DataFrame(
        {
            "row": [7, 7, 7, 8, 9, 5], "name": ["b", "a/", "b", "b", "b", "c"], "comparison": [0, 6, 0, 0, 2, 2],
            "value": ["1", None, "1", "1", "x", "3"],
        }
    )  # fmt: skip
    terms = Terms("borg/")
    found = terms.numbers(rows, ["row"]).sort("row")
    a = label_text("a/")
    assert found["row"].to_list() == [5, 7, 8]
    assert terms.affinity(found["term"]).to_list() == ["borg/c<3", f"borg/{a},borg/b=1", "borg/b=1"]
    assert terms.inexpressible == 1
    again = terms.numbers(rows.filter(pl.col("row") == 8), ["row"])
    assert again["term"].to_list() == found.filter(pl.col("row") == 8)["term"].to_list()
    assert terms.numbers(rows.clear(), ["row"]).height == 0
    assert terms.affinity(pl.Series([None, 0.0], dtype=pl.Float64)).to_list()[0] is None
    assert Terms("x").affinity(pl.Series([None], dtype=pl.Float64)).to_list() == [None]


def test_terms_of_lists():
    terms = Terms("borg/")
    lists = {"[1]": [("a", 0, "1"), ("b", 6, ""), ("a", 0, "1")], "[2]": [("a", 2, "x")], "[]": []}
    found = terms.of_lists(pl.Series("l", ["[1]", None, "[2]", "[]", "[1]"]), lists.__getitem__)
    assert terms.affinity(found).to_list() == ["borg/a=1,borg/b", None, None, None, "borg/a=1,borg/b"]
    assert (terms.constraints, terms.inexpressible) == (7, 1)
    assert terms.of_lists(pl.Series("l", [None], dtype=pl.String), lists.__getitem__).to_list() == [None]


def test_labels_of_machines():
    rows = pl.DataFrame({"machine": [2, 1, 2], "name": ["z", "a", "b"], "value": ["1", None, "x="]})
    found = labels(rows, "borg/").sort("machine")
    assert found.rows() == [(1, "borg/a="), (2, f"borg/b={label_text('x=')},borg/z=1")]
    assert labels(rows.clear(), "borg/").height == 0
