import gzip
import os

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale.errors import InputError, MachineError
from kscale.traces import Options
from kscale.traces.common import files
from kscale.traces.common.files import ROW


def test_what_is_no_file(tmp_path):
    empty = tmp_path / "empty.csv"
    empty.touch()
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path, message in (
        (tmp_path / "missing.csv", "does not exist"),
        (tmp_path, "is a directory"),
        (empty, "is empty"),
        (pipe, "is not a regular file"),
        (empty / "below", "does not exist"),
        (tmp_path / "null\x00byte", "cannot be opened"),
    ):
        with pytest.raises(InputError, match=message):
            files.check_file(path)


def test_an_empty_document_in_gzip(write):
    with pytest.raises(InputError, match="is empty"):
        files.whole(write("a.csv.gz", ""), Options())


def test_no_permission(tmp_path, monkeypatch):
    path = tmp_path / "secret.csv"
    path.write_text("name\na\n")

    def refuse(*_args, **_kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(path), "open", refuse)
    with pytest.raises(MachineError, match="Permission denied"):
        files.head(path)


def test_whole_documents_are_bounded(write):
    path = write("a.txt.gz", "x" * 5000)
    assert len(files.whole(path, Options(max_input=5000))) == 5000
    with pytest.raises(InputError, match="is larger than 4,999 bytes; expected less, or a larger --max-input"):
        files.whole(path, Options(max_input=4999))


def test_a_gzip_bomb_is_refused_by_its_ratio(tmp_path):
    path = tmp_path / "bomb.csv.gz"
    path.write_bytes(gzip.compress(b"\n" * (64 << 20)))
    assert files.RATIO * path.stat().st_size < 64 << 20
    with pytest.raises(InputError, match="unpacks to more than 1000 times its size"):
        files.whole(path, Options())


def test_damaged_gzip(tmp_path):
    path = tmp_path / "a.csv.gz"
    raw = gzip.compress(os.urandom(1000))
    path.write_bytes(raw[:-20])
    with pytest.raises(InputError, match="cannot be read as gzip"):
        files.whole(path, Options())
    path.write_bytes(raw[:50] + b"\x00\xff" + raw[52:])
    with pytest.raises(InputError, match="cannot be read as gzip"):
        files.whole(path, Options())


def test_csv_rows_keep_their_texts(write):
    path = write("a.csv", '\ufeffa, b\r\n007,"x\ny"\r\n,""\r\n1\r\n\r\n')
    frame = files.csv_table(path, Options(), {})
    assert frame.columns == ["a", "b", ROW]
    assert frame.rows() == [("007", "x\ny", 1), (None, None, 2), ("1", None, 3)]


def test_ragged_rows(write):
    path = write("a.csv", "a,b\n1,2\n1,2,3\n4,5\n")
    with pytest.raises(InputError, match="row 2: has 3 fields; expected 2 fields"):
        files.csv_table(path, Options(), {})
    dropped: dict[str, int] = {}
    frame = files.csv_table(path, Options(lenient=True), dropped)
    assert frame.rows() == [("1", "2", 1), ("4", "5", 3)]
    assert dropped == {"row: too many fields": 1}


def test_a_record_without_end(write, monkeypatch):
    monkeypatch.setattr(files, "BATCH_BYTES", 1 << 10)
    path = write("a.csv", "a,b\n1,2\n" + "x" * 5000)
    with pytest.raises(InputError, match="row 2: has a record of more than"):
        list(files.csv_batches(path, Options(), {}))


@pytest.mark.parametrize("size", [3, 4, 5, 7, 11, 64, 1000])
def test_batches_give_what_the_whole_gives(write, monkeypatch, size):
    text = "a,b\n" + "".join(f'{i},"q""{i},\n{i}"\n' if i % 3 else f"{i},{i}\n" for i in range(50))
    path = write("a.csv", text)
    expected = files.csv_table(path, Options(), {})
    monkeypatch.setattr(files, "BATCH_BYTES", max(size, 20))
    found = pl.concat(list(files.csv_batches(path, Options(), {})))
    assert found.equals(expected)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.sampled_from(["1,2", "", '"a\n\n",b', '"",""', "x", '"\n"', ","]), max_size=12),
    st.booleans(),
    st.integers(4, 60),
)
def test_blank_lines_are_rows_but_for_those_at_the_end(tmp_path_factory, lines, windows, size):
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    end = "\r\n" if windows else "\n"
    path.write_bytes(end.join(["a,b", *lines, ""]).encode())
    expected = files.csv_table(path, Options(), {})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "BATCH_BYTES", max(size, 4 * len(lines) + 20))
        found = pl.concat(list(files.csv_batches(path, Options(), {})))
        assert found.equals(expected)
    while lines and not lines[-1]:
        lines.pop()
    assert found.height == len(lines)


@pytest.mark.parametrize(
    ("data", "end"),
    [
        (b"", 0),
        (b"ab", 0),
        (b"a\nb", 2),
        (b'a\n"b\nc', 2),
        (b'"a\nb"\nc', 6),
        (b'"a\nb', 0),
        (b'a\n"b""\nc"\n"', 10),
    ],
)
def test_where_the_last_record_ends(data, end):
    assert files._last_record(data) == end


@given(st.lists(st.sampled_from([b"\n", b"\r", b"a", b"\n" * 70]), max_size=6).map(b"".join), st.integers(0, 300))
def test_line_breaks_at_the_end_do_not_count(data, end):
    assert files._without_breaks(data, min(end, len(data))) == len(data[:end].rstrip(b"\r\n"))


def test_heads_are_unpacked(write):
    assert files.head(write("a.csv.gz", "name,x\n")) == b"name,x\n"
    assert files.csv_columns(b'\xef\xbb\xbf"name", x\r\n1,2') == {"name", "x"}
    assert files.csv_columns(b"PAR1\x00\x01") == set()


def test_tables_without_a_header(write):
    path = write("t.csv", "a,1\nb\n")
    for frame in (
        files.csv_table(path, Options(), {}, ["name", "cpu"]),
        pl.concat(files.csv_batches(path, Options(), {}, ["name", "cpu"])),
    ):
        assert frame.rows() == [("a", "1", 1), ("b", None, 2)]


def test_parts_of_a_table(tmp_path):
    for name in ("task_events-0002.csv.gz", "task_events-0001.csv.gz", "task_events_old.csv", "job_events.csv", "task"):
        (tmp_path / name).write_text("x")
    (tmp_path / "usage").mkdir()
    for name in ("part-1", "part-0", ".hidden"):
        (tmp_path / "usage" / name).write_text("x")
    told = {table: [path.name for path in files.parts(tmp_path, table)] for table in ("task_events", "usage", "none")}
    assert told == {
        "task_events": ["task_events-0001.csv.gz", "task_events-0002.csv.gz"], "usage": ["part-0", "part-1"],
        "none": [],
    }  # fmt: skip
