"""Tables without headers: found by their rows, looked up by their keys, rows that stand for many."""

import tempfile
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale.errors import InputError
from kscale.traces import Options
from kscale.traces.common import files, tables
from kscale.traces.common.checks import Field, Rule
from kscale.traces.common.tables import NUMBER, Lookup, Table

THINGS = Table(
    "things",
    ("name", "skipped", "count"),
    (Field("name", pl.String), Field("count", high=9)),
    {"count": r"\d"},
    rules=(Rule(pl.col("count") == 7, "count", "'{value}' is unlucky", "another number"),),
    labels=("name",),
)
OTHERS = Table("others", ("a", "b"), (Field("a", pl.String), Field("b", pl.String)), {"a": "x+"})


def test_a_table_is_known_by_its_first_row():
    assert THINGS.matches(b"a,b,1\nwhatever")
    assert THINGS.matches(b"a,b,1")
    assert not THINGS.matches(b"a,b,12\n")
    assert not THINGS.matches(b"a,b,1,2\n")
    assert not THINGS.matches(b"a,b\n")
    assert not THINGS.matches(b"\xff\xfe\x00")
    assert not THINGS.matches(b"a" * (files.HEAD - 4) + b",b,1")  # longer than what was looked at


def test_tables_are_found(write, tmp_path):
    path = write("x", "a,b,1\n")
    assert tables.find(path, [OTHERS, THINGS]) == {"things": [path]}
    named = write("others.csv", "no,t,one\n")
    assert tables.find(named, [OTHERS, THINGS]) == {"others": [named]}
    with pytest.raises(InputError, match="y: holds no table of the format; expected one of others, things"):
        tables.find(write("y", "1\n"), [OTHERS, THINGS])
    first, second = write("things-0.csv", "a,b,1\n"), write("things-1.csv.gz", "c,d,2\n")
    write("things.header", "name,skipped,count\n")
    write("things-0.csv.gz", "a,b,1\n")
    assert tables.find(tmp_path, [OTHERS, THINGS]) == {"others": [named], "things": [first, second]}
    assert tables.known([THINGS], tmp_path)
    assert not tables.known([OTHERS], tmp_path)
    first.write_bytes(b"")  # cannot tell
    assert not tables.known([THINGS], tmp_path)


def test_rows_are_numbered_over_all_files(write):
    paths = [write("1", "a,b,1\nc,d,2\n"), write("2", "e,f,3\n")]
    batches = [batch for batch in tables.rows(THINGS, paths, Options(), {}) if batch.height]
    assert [batch.select(NUMBER, files.ROW, "name", "count").rows() for batch in batches] == [
        [(1, 1, "a", 1), (2, 2, "c", 2)],
        [(3, 1, "e", 3)],
    ]
    assert tables.whole(THINGS, paths, Options(), {})["name"].to_list() == ["a", "c", "e"]


@pytest.mark.parametrize("read", [tables.whole, lambda *arguments: list(tables.rows(*arguments))])
def test_rules_and_labels_are_held(write, read):
    path = write("1", "a,b,1\nc,d,7\ne e,f,3\n")
    with pytest.raises(InputError, match=r"1, row 2, field 'count': '7' is unlucky; expected another number"):
        read(THINGS, [path], Options(), {})
    with pytest.raises(InputError, match=r"1, row 1, field 'name': 'a a' is not a label value"):
        read(THINGS, [write("1", "a a,b,1\n")], Options(), {})
    dropped = {}
    read(THINGS, [write("1", "a,b,1\nc,d,7\ne e,f,3\n")], Options(lenient=True), dropped)
    assert sum(dropped.values()) == 2


words = st.sampled_from(["", "a", "b", "ab", "j_1", "a,b"])


@settings(deadline=None)
@given(
    st.lists(st.lists(st.tuples(words, words, st.none() | st.integers(0, 9)), max_size=6), max_size=4),
    st.lists(st.tuples(words, words), max_size=8),
)
def test_a_lookup_is_a_dictionary(batches, wanted):
    found: dict[tuple[str, str], int | None] = {}
    lookup = Lookup({"value": pl.Int64})
    for batch in batches:
        for first, second, value in batch:
            found.setdefault((first, second), value)
        frame = pl.DataFrame(batch, schema={"a": pl.String, "b": pl.String, "value": pl.Int64}, orient="row")
        lookup.add([frame["a"], frame["b"]], frame.select("value"))
    lookup.seal()
    assert lookup.height == len(found)
    assert lookup.repeated == sum(map(len, batches)) - len(found)
    keys = pl.DataFrame(wanted, schema={"a": pl.String, "b": pl.String}, orient="row")
    result = lookup.find([keys["a"], keys["b"]])
    assert result.schema == {"value": pl.Int64}
    assert result["value"].to_list() == [found.get(key) for key in wanted]
    assert lookup.missed == sum(key not in found for key in wanted)
    assert lookup.used.sum() == len(set(wanted) & set(found))


@settings(deadline=None)
@given(st.lists(st.integers(0, 7), max_size=8), st.integers(1, 9))
def test_rows_stand_for_many(counts, portion):
    frame = pl.DataFrame({"row": range(len(counts))}, schema={"row": pl.Int64})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "PORTION", portion)
        chunks = list(tables.repeated(frame, pl.Series(counts, dtype=pl.Int64)))
    expected = [(row, index) for row, count in enumerate(counts) for index in range(count)]
    assert [row for chunk in chunks for row in chunk.rows()] == expected
    assert all(chunk.height == portion for chunk in chunks[:-1])


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=60), st.booleans())
def test_any_bytes_are_rows_or_one_error(data, lenient):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "things")
        path.write_bytes(data)
        try:
            for batch in tables.rows(THINGS, [path], Options(lenient=lenient), {}):
                assert batch.filter(pl.col("count") == 7).height == 0
        except InputError as error:
            assert str(path) in str(error)
