"""Traces that come in portions."""

from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale.errors import InputError
from kscale.traces import PODS, Options, Rest
from kscale.traces.common import specs
from kscale.traces.common.checks import Checker


def _portions(path, options):
    yield pl.DataFrame({"name": ["a", "b"], "namespace": ["n", "n"], "arrival_us": [1, 2], "cpu_milli": [5, 6]})
    yield pl.DataFrame({"name": ["c"], "namespace": ["n"], "arrival_us": [3], "cpu_milli": [5]})
    return Rest(("said",), dropped={"why": 2})


def _nothing(path, options):
    yield from ()
    return Rest()


def test_portions_are_one_trace():
    trace = specs.reading("x", _portions)(Path("f"), Options())
    assert dict(trace.pods.schema) == PODS
    assert trace.pods["name"].to_list() == ["a", "b", "c"]
    assert trace.pods["spec"].to_list() == [0, 1, 0]
    assert trace.specs["cpu_milli"].to_list() == [5, 6]
    assert (trace.notes, trace.dropped, trace.timed) == (("said",), {"why": 2}, True)


def test_no_portion_is_an_empty_trace():
    trace = specs.reading("x", _nothing)(Path("f"), Options())
    assert dict(trace.pods.schema) == PODS
    assert trace.pods.height == trace.specs.height == 0


def _rows(names, first=1):
    return pl.DataFrame({"#row": range(first, first + len(names)), "name": names})


def test_a_name_that_comes_again_in_a_later_portion_is_told():
    check = Checker(Path("f"), Options())
    check.fresh(_rows(["a", "b"]), "name")
    with pytest.raises(InputError, match="row 4, field 'name': 'b' occurs twice"):
        check.fresh(_rows(["c", "b"], 3), "name")


def test_names_that_repeat_are_counted_when_lenient():
    check = Checker(Path("f"), Options(lenient=True))
    kept = [check.fresh(_rows(names), "name")["name"].to_list() for names in (["a", "b", "a"], ["b", "c"], ["a", "d"])]
    assert kept == [["a", "b"], ["c"], ["d"]]
    assert check.dropped == {"name: occurs twice": 3}


@settings(max_examples=200, deadline=None)
@given(
    batches=st.lists(
        st.one_of(
            st.lists(st.integers(-3, 12), max_size=6),
            st.tuples(st.integers(-3, 12), st.integers(0, 6)).map(lambda t: list(range(t[0], t[0] + t[1]))),
        ),
        max_size=5,
    )
)
def test_numbers_that_ascend_are_looked_at_no_further(batches):
    check, seen = Checker(Path("f"), Options(lenient=True)), set()
    row = 1
    for numbers in batches:
        kept = check.fresh(_rows(numbers, row).with_columns(pl.col("name").cast(pl.Int64)), "name")["name"].to_list()
        expected = [n for i, n in enumerate(numbers) if n not in seen and n not in numbers[:i]]
        seen.update(numbers)
        row += len(numbers)
        assert kept == expected
    assert check.dropped.get("name: occurs twice", 0) == sum(map(len, batches)) - len(seen)
