import gzip
import re
import sqlite3

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from kscale.errors import InputError
from kscale.traces import Options
from kscale.traces.common import sqlite
from kscale.traces.common.checks import Checker, Field
from kscale.traces.common.files import ROW

FIELDS = (
    Field("id", pl.String, high=20),
    Field("kind", high=9),
    Field("at", pl.Float64, nullable=True, low=-5, high=1e9),
)


def made(*statements, rows=()):
    base = sqlite3.connect(":memory:")
    for statement in statements or ("CREATE TABLE t (id, kind, at)",):
        base.execute(statement)
    if rows:
        base.executemany("INSERT INTO t VALUES (?, ?, ?)", rows)
    base.commit()
    return base.serialize()


def read(path, *, lenient=False, fields=FIELDS):
    check = Checker(path, Options(lenient=lenient))
    with sqlite.opened(path, check.options) as base:
        return pl.concat(sqlite.batches(base, "t", fields, check)), check


@pytest.mark.parametrize("size", [1, 2, 100])
def test_rows_are_typed_and_numbered(tmp_path, monkeypatch, size):
    monkeypatch.setattr(sqlite, "BATCH_ROWS", size)
    path = tmp_path / "a b#?%.sqlite"
    path.write_bytes(made(rows=[(7, 1, 0.5), ("x", 2, None), (8, 3, 4)]))
    assert read(path)[0].rows() == [(1, "7", 1, 0.5), (2, "x", 2, None), (3, "8", 3, 4.0)]
    path.write_bytes(gzip.compress(path.read_bytes()))
    assert read(path)[0].height == 3


def test_an_empty_table(tmp_path):
    path = tmp_path / "t.sqlite"
    path.write_bytes(made())
    assert dict(read(path)[0].schema) == {ROW: pl.Int64, "id": pl.String, "kind": pl.Int64, "at": pl.Float64}


value = st.one_of(
    st.none(), st.integers(-2, 10), st.floats(-6, 10), st.sampled_from(["5", " 5 ", "x", "", "nan", "1e3", "ä"]),
    st.binary(max_size=3), st.sampled_from([float("inf"), 1 << 62, -(1 << 63)]),
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 99), value, value), max_size=12), st.integers(1, 5), st.booleans())
def test_both_ways_give_the_same(tmp_path_factory, rows, size, lenient):
    path = tmp_path_factory.mktemp("sqlite") / "t.sqlite"
    path.write_bytes(made(rows=rows))
    results = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sqlite, "BATCH_ROWS", size)
        for way in (sqlite._frame, sqlite._texts):
            patch.setattr(sqlite, "_frame", way)
            try:
                frame, check = read(path, lenient=lenient)
                results.append((frame, check.dropped, ""))
            except InputError as error:
                # Numbers are told as Python writes them: an integer among floats as one of these.
                results.append((None, {}, re.sub(r": '.*' is", ": is", str(error))))
    assert results[0][1:] == results[1][1:]
    if results[0][0] is not None:
        assert_frame_equal(results[0][0], results[1][0], check_exact=True)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([(1, 1, 1), (2, 10, 1)], "row 2, field 'kind': '10' is too large"),
        ([(1, "x", 1)], "row 1, field 'kind': 'x' is not an integer"),
        ([(1, None, 1)], "row 1, field 'kind': is missing"),
        ([(1, 1, float("inf"))], "row 1, field 'at': 'inf' is not a finite number"),
        ([(1, 1, b"\xff")], "row 1, field 'at': .* is not a number"),
        ([("x" * 30, 1, 1)], "row 1, field 'id': is longer than 20 bytes"),
        ([("x" * 9000, 1, 1)], "cannot be read as SQLite: string or blob too big"),
    ],
)
def test_bad_rows_are_told(tmp_path, rows, message):
    path = tmp_path / "t.sqlite"
    path.write_bytes(made(rows=rows))
    with pytest.raises(InputError, match=message):
        read(path)


def test_what_is_no_table(tmp_path):
    path = tmp_path / "t.sqlite"
    endless = (
        "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x AS id, x AS kind, x AS at FROM n"
    )
    for statements, message in (
        (("CREATE TABLE u (id)",), "has no table t"),
        ((f"CREATE VIEW t AS {endless}",), "has no table t"),
        (("CREATE TABLE t (id, kind, other)",), "field 'at': the column is missing"),
    ):
        path.write_bytes(made(*statements))
        with pytest.raises(InputError, match=message):
            read(path)


def test_what_is_no_database(tmp_path):
    path = tmp_path / "t.sqlite"
    path.write_bytes(b"id,kind,at\n1,1,1\n")
    with pytest.raises(InputError, match="is no SQLite file"):
        read(path)
    path.write_bytes(made(rows=[(i, 1, 1) for i in range(2000)])[:5000])
    with pytest.raises(InputError, match="cannot be read as SQLite"):
        read(path)
    path.write_bytes(gzip.compress(made(rows=[(i, 1, 1) for i in range(2000)])))
    with (
        pytest.raises(InputError, match="unpacks to more than 1,000 bytes"),
        sqlite.opened(path, Options(max_input=1000)),
    ):
        pass


def test_reading_leaves_the_file_as_it_is(tmp_path):
    path = tmp_path / "t.sqlite"
    data = made(rows=[(1, 1, 1)])
    path.write_bytes(data)
    path.chmod(0o400)
    with sqlite.opened(path, Options()) as base, pytest.raises(sqlite3.Error):
        base.execute("INSERT INTO t VALUES (1, 2, 3)")
    assert path.read_bytes() == data and [p.name for p in tmp_path.iterdir()] == ["t.sqlite"]
