"""CSV read right into its types, and its slow twin: texts that are checked."""

from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from kscale.errors import InputError
from kscale.traces import Options
from kscale.traces.common import files
from kscale.traces.common.checks import Checker, Field
from kscale.traces.common.files import ROW

FIELDS = (
    Field("count", high=1000),
    Field("time", pl.Float64, nullable=True, low=-1, high=1e9),
    Field("name", pl.String, high=8),
    Field("kind", pl.String, nullable=True, required=False),
    Field("ready", pl.Boolean, nullable=True, required=False),
)
COLUMNS = ["other", "count", "time", "name", "kind", "ready"]

numbers = st.one_of(st.integers(-2, 1001).map(str), st.floats(-2, 1e9).map(str), st.integers(0, 9).map(str))
odd = st.sampled_from(
    ["", " 5", "5 ", "+5", "-0", "5.0", "1e2", ".5", "5.", "nan", "NaN", "inf", "-Infinity", "1e400", "0x1", "1_0", "x",
     "007", '"5"', '""', '"a,b"', '"a\nb"', '"a""b"', 'a"b', "\x00", "ä", "9223372036854775808", "#", "true", "False",
     "1,2", "- 5", "١", "a longer name", "null", "5\t", "\t5", "1E5", "5e-1", "--5", "5-", "4.9999999999999999999"]
)  # fmt: skip
cell = st.one_of(numbers, numbers, odd)
good = st.tuples(
    st.just("o"), st.integers(0, 1000).map(str), st.floats(0, 1e9).map(str), st.sampled_from("abc"),
    st.sampled_from("xy"), st.sampled_from(["true", "false", ""]),
)  # fmt: skip
record = st.one_of(good, good, good, st.lists(cell, min_size=0, max_size=7))
ending = st.sampled_from(["\n", "\n", "\r\n"])


def told(batches, dropped):
    """All rows of the batches, what was dropped, and what went wrong in the end."""
    frames, problem = [], ""
    try:
        for frame in batches:
            frames.append(frame)
    except InputError as error:
        problem = str(error)
    return pl.concat(frames) if frames else None, dict(dropped), problem


def slowly(check, names):
    for raw in files.csv_batches(check.path, check.options, check.dropped, names):
        check.columns(raw.columns, FIELDS)
        yield check.typed(raw, FIELDS)


def both(path, options, names=None):
    """Read a file both ways, hold them equal, and return what they gave."""
    fast, slow = Checker(path, options), Checker(path, options)
    found = told(fast.csv(FIELDS, names), fast.dropped)
    expected = told(slowly(slow, names), slow.dropped)
    assert found[1:] == expected[1:]
    assert (found[0] is None) == (expected[0] is None)
    if found[0] is not None:
        assert_frame_equal(found[0], expected[0], check_exact=True)
    return found


@settings(max_examples=400, deadline=None)
@given(records=st.lists(record, max_size=12), end=ending, size=st.integers(24, 200), lenient=st.booleans())
def test_both_ways_give_the_same(tmp_path_factory, records, end, size, lenient):
    path = tmp_path_factory.mktemp("csv") / "t.csv"
    path.write_bytes(end.join(["other,count,time,name,kind,ready", *(",".join(row) for row in records), ""]).encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "BATCH_BYTES", size)
        both(path, Options(lenient=lenient))


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_damaged_bytes_give_the_same(tmp_path_factory, data):
    text = bytearray(b"other,count,time,name\n" + b"".join(b"o,%d,%d.5,n%d\n" % (i, i, i) for i in range(9)))
    for _ in range(data.draw(st.integers(1, 3))):
        text[data.draw(st.integers(0, len(text) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("csv") / "t.csv"
    path.write_bytes(text)
    both(path, Options(lenient=data.draw(st.booleans())))


def test_a_clean_file_is_never_read_as_texts(write, monkeypatch):
    path = write("t.csv", "other,count,time,name,ready\n" + "o,1,2.5,a,true\no,7,,b,\n" * 50)
    expected = told(slowly(Checker(path, Options()), None), {})[0]
    monkeypatch.setattr(files, "BATCH_BYTES", 100)
    monkeypatch.setattr(files, "csv_texts", None)
    assert_frame_equal(pl.concat(Checker(path, Options()).csv(FIELDS)), expected)


def test_only_the_batch_with_a_fault_is_read_as_texts(write, monkeypatch):
    rows = ["o,1,2.5,a"] * 99
    rows[50] = "o, 1.0,2.5,a"
    path = write("t.csv", "\n".join(rows) + "\n")
    read = []
    texts = files.csv_texts
    monkeypatch.setattr(files, "csv_texts", lambda data, *rest: read.append(data) or texts(data, *rest))
    monkeypatch.setattr(files, "BATCH_BYTES", 100)
    frame = pl.concat(Checker(path, Options()).csv(FIELDS, COLUMNS[:4]))
    assert frame["count"].to_list() == [1] * 99
    assert frame[ROW].to_list() == list(range(1, 100))
    assert len(read) == 1 and b" 1.0" in read[0]


def test_rows_that_are_left_out_count_when_their_batch_comes(write, monkeypatch):
    path = write("t.csv", "other,count,time,name\n" + "o,1,1,a\n" * 9 + "o,x,1,a\n" + "o,1,1,a\n" * 9 + "o,,1,a\n")
    monkeypatch.setattr(files, "BATCH_BYTES", 32)
    check, twin = Checker(path, Options(lenient=True)), Checker(path, Options(lenient=True))
    for frame, expected in zip(check.csv(FIELDS), slowly(twin, None), strict=True):
        assert frame.height == expected.height
        assert check.dropped == twin.dropped
    assert check.dropped == {"count: is not an integer": 1, "count: is missing": 1}


def test_a_missing_column_and_an_empty_table(write):
    assert "the column is missing; did you mean 'tim'" in both(write("a.csv", "count,tim,name\n1,2,a\n"), Options())[2]
    frame, _, problem = both(write("b.csv", "count,time,name\n"), Options())
    assert problem == "" and frame is not None
    assert dict(frame.schema) == {ROW: pl.Int64, "count": pl.Int64, "time": pl.Float64, "name": pl.String}
    assert both(write("c.csv", "1,2,a\n"), Options(), ["count", "time", "name"])[0]["count"].to_list() == [1]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("o,1001,1,a", "row 2, field 'count': '1001' is too large; expected an integer from 0 to 1,000"),
        ("o,1,-2,a", "row 2, field 'time': '-2' is below -1"),
        ("o,,1,a", "row 2, field 'count': is missing"),
        ("o,1,1,a long name", "row 2, field 'name': is longer than 8 bytes"),
        ("o,1,1,a,5", "row 2: has 5 fields; expected 4 fields"),
    ],
)
def test_messages_quote_the_file(write, row, message):
    path: Path = write("t.csv", f"other,count,time,name\no,1,1,a\n{row}\n")
    assert message in both(path, Options())[2]
    frame, dropped, problem = both(path, Options(lenient=True))
    assert (frame.height, sum(dropped.values()), problem) == (1, 1, "")
