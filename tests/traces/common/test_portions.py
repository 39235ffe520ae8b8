"""Traces that come in portions."""

from pathlib import Path

import polars as pl
import pytest

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
