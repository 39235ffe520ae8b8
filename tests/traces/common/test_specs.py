import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from kscale.errors import InputError
from kscale.traces import SPECS
from kscale.traces.common.specs import SpecTable, build, repeated


def test_specs_come_in_the_order_of_first_appearance():
    frame = pl.DataFrame({"cpu_milli": [5, 3, 5, None, 3, 0], "node_selector": [None, "a=b", None, None, "a=b", None]})
    table = SpecTable()
    assert table.add(frame).to_list() == [0, 1, 0, 2, 1, 3]
    specs = table.frame()
    assert dict(specs.schema) == SPECS
    assert specs["cpu_milli"].to_list() == [5, 3, None, 0]
    assert specs["gpu_count"].to_list() == specs["priority"].to_list() == [0] * 4


def test_batches_give_what_the_whole_gives():
    rng = np.random.default_rng(1)
    frame = pl.DataFrame({"cpu_milli": rng.integers(0, 5, 500), "priority": rng.integers(0, 4, 500)}).with_columns(
        pl.when(pl.col("cpu_milli") > 1).then("cpu_milli").alias("resource.x/y")
    )
    whole, parts = SpecTable(), SpecTable()
    expected = whole.add(frame)
    found = pl.concat([parts.add(part) for part in frame.iter_slices(7)])
    assert found.equals(expected)
    assert_frame_equal(parts.frame(), whole.frame())


def test_no_rows():
    trace = build("own", pl.DataFrame(schema={"name": pl.String}))
    assert trace.pods.height == trace.specs.height == 0
    assert dict(SpecTable().frame().schema) == SPECS


def test_rows_are_repeated():
    frame, within = repeated(pl.DataFrame({"a": ["x", "y", "z"]}), pl.Series([2, 0, 3]), 5)
    assert frame["a"].to_list() == ["x", "x", "z", "z", "z"]
    assert within.to_list() == [0, 1, 0, 1, 2]
    once, zeros = repeated(frame, pl.Series([1] * 4), 4)
    assert once.equals(frame)
    assert (zeros.name, zeros.dtype, zeros.to_list()) == ("index", pl.Int64, [0] * 4)
    with pytest.raises(InputError, match="comes to 5 pods; expected at most 4"):
        repeated(frame, pl.Series([1] * 5), 4)
