import polars as pl
import pytest

from kscale.errors import InputError
from kscale.state.quantities import parse_quantity
from kscale.traces import Options
from kscale.traces.common.checks import Checker, Field, Rule, microseconds, rounded_up
from kscale.traces.common.files import ROW


def _frame(**columns):
    frame = pl.DataFrame(columns)
    return frame.with_columns(pl.int_range(1, frame.height + 1, dtype=pl.Int64).alias(ROW))


@pytest.mark.parametrize(
    ("raw", "dtype", "expected"),
    [
        (["1", " 2 ", "3.0", "1e3"], pl.Int64, [1, 2, 3, 1000]),
        (["1", " 2.5 ", "1e-3", None], pl.Float64, [1.0, 2.5, 0.001, None]),
        (["true", "False", "1", "0"], pl.Boolean, [True, False, True, False]),
        ([1.0, 2.0], pl.Int64, [1, 2]),
        ([1, 2], pl.String, ["1", "2"]),
        ([None, None], pl.String, [None, None]),
    ],
)
def test_types(raw, dtype, expected):
    check = Checker("f.csv", Options())
    assert check.typed(_frame(x=raw), [Field("x", dtype, nullable=True)])["x"].to_list() == expected


def test_the_first_bad_row_is_told_whatever_its_rule():
    frame = _frame(a=["1", "x", "1"], b=["-1", "1", "1"])
    with pytest.raises(
        InputError, match=r"^f.csv, row 1, field 'b': '-1' is negative; expected an integer from 0 to 9$"
    ):
        Checker("f.csv", Options()).typed(frame, [Field("a"), Field("b", high=9)])


def test_lenient_counts_each_row_once():
    frame = _frame(a=["1", "x", "-5", "7"], b=["-1", "y", "1", "1"])
    check = Checker("f.csv", Options(lenient=True))
    good = check.typed(frame, [Field("a"), Field("b")])
    assert good[ROW].to_list() == [4]
    assert check.dropped == {"a: is not an integer": 1, "a: is negative": 1, "b: is negative": 1}


def test_rules_across_columns():
    check = Checker("f.csv", Options(lenient=True))
    frame = _frame(a=[1, 2, None], b=[2, 1, 1])
    good = check.drop(frame, [Rule(pl.col("b") < pl.col("a"), "b", "'{value}' is before a", "a later time")])
    assert good["b"].to_list() == [2, 1]
    assert check.dropped == {"b: is before a": 1}


def test_names_repeat_over_several_columns():
    frame = _frame(space=["a", "b", "a"], name=["x", "x", "x"])
    with pytest.raises(InputError, match="row 3, field 'name': 'x' occurs twice"):
        Checker("f.csv", Options()).unique(frame, ["space", "name"])
    assert Checker("f.csv", Options()).unique(frame[:2], ["space", "name"]).height == 2


@pytest.mark.parametrize(("cores", "milli"), [(0.07, 70), (1.1, 1100), (0.5, 500), (0.0001, 1), (0, 0), (2.3, 2300)])
def test_amounts_are_rounded_up_in_the_decimals_of_the_file(cores, milli):
    assert pl.select(rounded_up(pl.lit(float(cores)) * 1000)).item() == milli


def test_times_are_rounded_to_the_nearest():
    assert pl.select(microseconds(pl.lit(116.38162544169612))).item() == 116_381_625


def test_texts_that_do_not_parse_count_by_what_is_wrong():
    frame = _frame(cpu=["1", "-1", "-2", "x", "y", "2"])
    check = Checker("f.csv", Options(lenient=True))
    assert check.parsed(frame, "cpu", parse_quantity)[ROW].to_list() == [1, 6]
    assert check.dropped == {"cpu: is negative": 2, "cpu: is not a quantity": 2}
    with pytest.raises(InputError, match="row 2, field 'cpu': '-1' is negative"):
        Checker("f.csv", Options()).parsed(frame, "cpu", parse_quantity)
