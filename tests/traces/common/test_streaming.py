"""Traces that are written as they are read."""

import re
import subprocess
import sys
from dataclasses import replace
from itertools import chain

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from kscale.errors import InputError
from kscale.traces import NODE_EVENTS, Options, Rest
from kscale.traces.common import files, opening, writing
from kscale.traces.common.node_events import EVENT_FIELDS, read_node_events
from kscale.traces.common.repeats import Repeats
from kscale.traces.own import READER

EVENTS = "time,node,event,cpu,memory\n5,n1,update,2,4Gi\n1,n2,leave,,\n5,n1,cordon,,\n"


def _same(read, again):
    assert_frame_equal(read.pods, again.pods)
    assert_frame_equal(read.specs, again.specs)
    assert (read.timed, read.dropped) == (again.timed, again.dropped)


_ROW = st.tuples(
    st.sampled_from(["a", "b", "c", "d", "e", ""]),
    st.sampled_from(["", "n", "m"]),
    st.sampled_from(["0", "7", "-1", "9"]),
    st.sampled_from(["", "5"]),
    st.sampled_from(["", "500", "2000"]),
)


def _plainly(rows, timed):
    """Return the good rows (name, namespace, arrival, duration, cpu), and the number of others by reason."""
    good, dropped = {}, {}
    for name, namespace, arrival, duration, cpu in rows:
        called = (namespace or "default", name)
        reason = None
        if not name:
            reason = "name: is missing"
        elif timed and arrival == "-1":
            reason = "arrival_us: is negative"
        elif called in good:
            reason = "name: occurs twice"
        if reason:
            dropped[reason] = dropped.get(reason, 0) + 1
            continue
        times = (int(arrival), int(duration) if duration else None) if timed else (len(good), None)
        good[called] = (name, called[0], *times, int(cpu) if cpu else None)
    return list(good.values()), dropped


@settings(deadline=None)
@given(st.lists(_ROW, max_size=12), st.booleans(), st.booleans(), st.integers(60, 200))
def test_portions_are_what_reading_row_by_row_gives(tmp_path_factory, rows, timed, lenient, batch):
    """However the file is cut, with and without bad rows and repeated names."""
    names = ["name", "namespace", "arrival_us", "duration_us", "cpu_milli"]
    kept = names if timed else [*names[:2], "cpu_milli"]
    table = pl.DataFrame(rows, schema=dict.fromkeys(names, pl.String), orient="row").select(kept)
    path = tmp_path_factory.mktemp("t") / "t.csv"
    table.with_columns(pl.col(pl.String).replace("", None)).write_csv(path)
    good, dropped = _plainly(rows, timed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "BATCH_BYTES", batch)
        if dropped and not lenient:
            with pytest.raises(InputError, match=r"is missing|is negative|occurs twice"):
                READER.read(path, Options())
            return
        trace = READER.read(path, Options(lenient=lenient))
    assert writing.flat(replace(trace, timed=True)).select(names).collect().rows() == good
    assert (trace.dropped, trace.timed) == (dropped, timed)


@pytest.mark.parametrize("ending", writing.FORMATS)
@pytest.mark.parametrize("header", ["name,arrival_us,cpu_milli,resource.example.com/nic", "name,cpu_milli"])
def test_what_is_written_is_read_again(write, tmp_path, monkeypatch, header, ending):
    monkeypatch.setattr(files, "BATCH_BYTES", 60)
    columns = header.count(",")
    path = write("t.csv", f"{header}\n" + "".join(f"p{i}{f',{i % 3}' * columns}\n" for i in range(50)))
    out = tmp_path / f"again.{ending}"
    seen = []
    rest = writing.write_portions(opening.portions(path), out, lambda frame: seen.append(frame.height))
    assert sum(seen) == 50
    assert len(seen) > 5
    monkeypatch.undo()
    assert rest.timed == ("arrival_us" in header)
    _same(READER.read(path, Options()), READER.read(out, Options()))


def test_a_format_that_is_read_whole_is_written_too(write, tmp_path):
    path = write("t.swf", "; MaxProcs: 8\n1 0 0 10 2 -1 -1 2 -1 -1 1 1 1 1 1 1 -1 -1\n")
    out = tmp_path / "again.csv"
    writing.write_portions(opening.portions(path, "swf"), out)
    _same(opening.open_trace(path, "swf"), READER.read(out, Options()))


def test_a_trace_without_pods_is_written(tmp_path):
    def portions():
        yield from ()
        return Rest(("said",))

    out = tmp_path / "t.parquet"
    assert writing.write_portions(portions(), out).notes == ("said",)
    assert READER.read(out, Options()).pods.height == 0


@pytest.mark.parametrize("before", [0, 3])
def test_an_error_on_the_way_leaves_nothing(write, tmp_path, monkeypatch, before):
    monkeypatch.setattr(files, "BATCH_BYTES", 20)
    rows = [*(f"p{i},1" for i in range(10 * before)), "bad,-5"]
    path = write("t.csv", "name,arrival_us\n" + "\n".join(rows) + "\n")
    with pytest.raises(InputError, match=rf"t.csv, row {len(rows)}, field 'arrival_us': '-5' is negative"):
        writing.write_portions(opening.portions(path), tmp_path / "out.csv")
    assert [found.name for found in tmp_path.iterdir()] == ["t.csv"]


def test_a_name_that_repeats_leaves_nothing(write, tmp_path, monkeypatch):
    monkeypatch.setattr(files, "BATCH_BYTES", 20)
    path = write("t.csv", "name,arrival_us\n" + "".join(f"p{i % 30},1\n" for i in range(40)))
    with pytest.raises(InputError, match="row 31, field 'name': 'p0' occurs twice"):
        writing.write_portions(opening.portions(path), tmp_path / "out.csv")
    assert [found.name for found in tmp_path.iterdir()] == ["t.csv"]


@given(st.lists(st.lists(st.integers(0, 40), max_size=9), max_size=9), st.integers(1, 20))
def test_rows_that_repeat_are_found(batches, held):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("kscale.traces.common.repeats._HELD", held)
        names, row = Repeats(), 0
        for batch in batches:
            names.add(
                pl.Series(range(row, row + len(batch)), dtype=pl.Int64), pl.DataFrame({"n": batch}, {"n": pl.Int64})
            )
            row += len(batch)
        found = names.suspects().to_list()
    values = list(chain(*batches))
    assert found == [row for row, value in enumerate(values) if values.count(value) > 1]


def test_bytes_are_told(write):
    text = "name,arrival_us\n" + "".join(f"p{i},1\n" for i in range(1000))
    for name in ("t.csv", "t.csv.gz"):
        told = []
        path = write(name, text)
        for _ in READER.portions(path, Options(told=told.append)):
            pass
        assert sum(told) == path.stat().st_size


_CONVERT = """
import sys
from kscale.traces.common import files, opening, repeats, writing
from pathlib import Path
files.BATCH_ROWS, files.BATCH_BYTES, repeats._HELD = 20_000, 1 << 20, 1 << 16
writing.write_portions(opening.portions(Path(sys.argv[1])), Path(sys.argv[2]))
print(Path("/proc/self/status").read_text())
"""


@pytest.mark.slow
@pytest.mark.parametrize(("source", "out"), [("parquet", "parquet"), ("csv", "parquet"), ("csv.gz", "csv")])
def test_memory_does_not_grow_with_the_trace(tmp_path, source, out):
    """Portions are small here, so that a short trace has many."""
    peaks = []
    for rows in (200_000, 2_000_000):
        number = pl.int_range(rows, eager=True)
        frame = pl.DataFrame({"name": "a-pod-with-a-name-" + number.cast(pl.String), "arrival_us": number})
        writing._sink(frame.with_columns(cpu_milli=number % 100).lazy(), tmp_path / f"t.{source}")
        names = [str(tmp_path / f"t.{source}"), str(tmp_path / f"out.{out}")]
        done = subprocess.run([sys.executable, "-c", _CONVERT, *names], capture_output=True, text=True, check=True)
        peaks.append(int(re.search(r"VmHWM:\s+(\d+) kB", done.stdout)[1]) / 1024)
    assert peaks[1] < peaks[0] + 60, peaks


@pytest.mark.parametrize("ending", writing.FORMATS)
def test_node_events_are_read_again(write, tmp_path, ending):
    events = read_node_events(write("e.csv", EVENTS), Options())
    assert dict(events.schema) == NODE_EVENTS
    assert events.rows() == [
        (1_000_000, "n2", "leave", None, None),
        (5_000_000, "n1", "update", 2000, 4 << 30),
        (5_000_000, "n1", "cordon", None, None),
    ]
    path = tmp_path / f"again.{ending}"
    writing.write_node_events(events, path)
    assert_frame_equal(read_node_events(path, Options()), events)


def test_the_template_of_node_events_has_every_kind(tmp_path):
    path = tmp_path / "e.csv"
    writing.write_template(path, "node-events")
    assert read_node_events(path, Options())["event"].n_unique() == 5


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("node,event\nn,join\n", "field 'time_us': the column is missing; expected time_us, or time"),
        ("time_us,event\n1,join\n", "field 'node': the column is missing"),
        ("time_us,node,event\n1,n,jion\n", "row 1, field 'event': 'jion' is no event; expected one of join, leave"),
        ("time_us,node,event\n1,n,join\n,n,join\n", "row 2, field 'time_us': is missing"),
        ("time_us,node,event\n-1,n,join\n", "row 1, field 'time_us': '-1' is negative"),
        ("time_us,node,event,cpu\n1,n,leave,4\n", "row 1, field 'cpu_milli': says nothing with this event"),
        ("time_us,node,event,pods\n1,n,leave,4\n", "field 'pods': is not a column of the format"),
        ("time_us,node,event\n", "has no events"),
    ],
)
def test_bad_node_events(write, text, said):
    with pytest.raises(InputError) as caught:
        read_node_events(write("e.csv", text), Options())
    assert said in str(caught.value)


def test_bad_node_events_are_left_out_when_lenient(write):
    text = "time_us,node,event\n1,n,jion\n2,n,join\n"
    assert read_node_events(write("e.csv", text), Options(lenient=True)).rows() == [(2, "n", "join", None, None)]


def test_every_column_of_node_events_is_known():
    long = {field.name for field in EVENT_FIELDS} - {"time", "cpu", "memory"}
    assert long == set(NODE_EVENTS)
