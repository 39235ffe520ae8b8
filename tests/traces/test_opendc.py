from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale.errors import InputError
from kscale.traces import PODS, Options
from kscale.traces.common import files
from kscale.traces.common.opening import reader_of
from kscale.traces.opendc import READER
from tests.traces.holding import assert_read_or_refused, assert_round_trip, assert_same, assert_told_once, mutated
from tests.traces.test_wta import packed

TASKS = pl.DataFrame(
    {
        "id": pl.Series([30, 10, 20], dtype=pl.Int32),
        "submission_time": [1_664_575_201_500, 1_664_575_200_000, 1_664_575_200_000],
        "duration": [1000, 0, 250],
        "cpu_count": pl.Series([16, 1, 2], dtype=pl.Int32),
        "cpu_capacity": [33_600.0, 2100.0, None],
        "mem_capacity": [100_000, 0, 1],
        "deferrable": [True, False, None],
        "deadline": [0, 0, 0],
    }
)
#: What a file of the format holds.
HEAD = packed(TASKS[:1])


def test_tasks_are_mapped(write):
    trace = READER.read(write("tasks.parquet", packed(TASKS)), Options())
    assert dict(trace.pods.schema) == PODS
    assert trace.pods["name"].to_list() == ["task-30", "task-10", "task-20"]
    assert trace.pods["arrival_us"].to_list() == [1_500_000, 0, 0]
    assert trace.pods["duration_us"].to_list() == [1_000_000, 0, 250_000]
    assert trace.specs["cpu_milli"].to_list() == [16_000, 1000, 2000]
    assert trace.specs["memory_bytes"].to_list() == [10**11, 0, 10**6]
    assert trace.specs["gpu_count"].to_list() == [0, 0, 0]
    assert trace.pods["owner"].null_count() == 3
    assert "3 tasks are pods" in trace.notes[0]
    assert "at 1,664,575,200,000 ms since 1970" in trace.notes[1]


def test_ids_may_be_texts_and_tasks_may_ask_for_gpus(write):
    newer = TASKS.with_columns(pl.col("id").cast(pl.String), gpu_count=pl.Series([2, None, 0], dtype=pl.Int32))
    trace = READER.read(write("tasks.parquet", packed(newer)), Options())
    assert trace.pods["name"].to_list() == ["task-30", "task-10", "task-20"]
    assert trace.specs["gpu_count"].to_list() == [2, 0, 0]
    assert trace.specs["gpu_milli"].to_list() == [1000, 0, 0]


def test_a_folder_with_fragments(tmp_path: Path):
    TASKS.write_parquet(tmp_path / "tasks.parquet")
    pl.DataFrame({"id": [10], "duration": [250], "cpu_count": [1], "cpu_usage": [5.0]}).write_parquet(
        tmp_path / "fragments.parquet"
    )
    assert reader_of(tmp_path).name == "opendc"
    trace = READER.read(tmp_path, Options())
    assert trace.pods.height == 3
    assert "1 tables of fragments (use over time) are not read" in trace.notes[2]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"cpu_count": [0, 1, 1]}, "row 1, field 'cpu_count': '0' is no processor; expected 1 or more"),
        ({"duration": [1, -1, 1]}, "row 2, field 'duration': '-1' is negative"),
        ({"id": [1, 1, 2]}, "row 2, field 'id': '1' occurs twice"),
        ({"mem_capacity": [1 << 60, 1, 1]}, "field 'mem_capacity': '.*' is too large"),
        ({"submission_time": ["a", "b", "c"]}, "field 'submission_time': 'a' is not an integer"),
    ],
)
def test_bad_rows_are_told(write, columns, message):
    frame = TASKS.with_columns(pl.Series(name, values) for name, values in columns.items())
    with pytest.raises(InputError, match=message):
        READER.read(write("tasks.parquet", packed(frame)), Options())


def test_missing_columns_and_tables_are_told(write, tmp_path):
    with pytest.raises(InputError, match="field 'mem_capacity': the column is missing"):
        READER.read(write("t.parquet", packed(TASKS.drop("mem_capacity"))), Options())
    with pytest.raises(InputError, match=r"has no tasks; expected tasks\.parquet"):
        READER.read(tmp_path, Options())


@pytest.mark.parametrize("rows", [1, 2])
def test_portions_cut_anywhere_are_one_trace(write, monkeypatch, rows):
    path = write("tasks.parquet", packed(TASKS))
    whole = READER.read(path, Options())
    monkeypatch.setattr(files, "BATCH_ROWS", rows)
    assert_same(READER.read(path, Options()), whole)


def test_progress_comes_to_the_size_of_the_file(write):
    assert_told_once(READER, write("tasks.parquet", packed(TASKS)))


def test_round_trip(write, tmp_path):
    assert_round_trip(READER.read(write("tasks.parquet", packed(TASKS)), Options()), tmp_path)


@settings(deadline=None, max_examples=60)
@given(rows=st.lists(st.tuples(st.integers(0, 4), st.integers(-2, 9), st.integers(-1, 9)), max_size=8))
def test_lenient_accounts_for_every_row(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("lenient") / "t.parquet"
    frame = pl.DataFrame(rows, schema=["id", "duration", "cpu_count"], orient="row", infer_schema_length=None)
    frame = frame.cast(pl.Int64).with_columns(submission_time=pl.lit(5), mem_capacity=pl.lit(1))
    frame.write_parquet(path)
    trace = READER.read(path, Options(lenient=True))
    assert trace.pods.height + sum(trace.dropped.values()) == len(rows)


_task = st.tuples(st.integers(0, 99), st.integers(0, 99), st.integers(1, 4), st.integers(0, 3), st.integers(0, 2))


@settings(deadline=None, max_examples=60)
@given(rows=st.lists(_task, min_size=1, max_size=8), texts=st.booleans())
def test_columns_say_what_a_walk_over_the_tasks_says(tmp_path_factory, rows, texts):
    path = tmp_path_factory.mktemp("plain") / "t.parquet"
    names = ["submission_time", "duration", "cpu_count", "mem_capacity", "gpu_count"]
    frame = pl.DataFrame(rows, schema=dict.fromkeys(names, pl.Int64), orient="row").with_row_index("id")
    frame.with_columns(pl.col("id").cast(pl.String if texts else pl.Int32)).write_parquet(path)
    trace = READER.read(path, Options())
    specs = trace.specs.select("cpu_milli", "memory_bytes", "gpu_count", "gpu_milli").rows()
    found = trace.pods.select("name", "arrival_us", "duration_us", "spec").rows()
    origin = min(row[0] for row in rows)
    assert [(*row[:3], *specs[row[3]]) for row in found] == [
        (f"task-{number}", (submitted - origin) * 1000, duration * 1000, cpus * 1000, memory * 10**6, gpus,
         1000 if gpus else 0)
        for number, (submitted, duration, cpus, memory, gpus) in enumerate(rows)
    ]  # fmt: skip


@settings(deadline=None, max_examples=60)
@given(data=st.data(), lenient=st.booleans())
def test_mutated_files_are_read_or_refused(tmp_path_factory, data, lenient):
    path = tmp_path_factory.mktemp("mutated") / "tasks.parquet"
    path.write_bytes(mutated(data, packed(TASKS)))
    assert_read_or_refused(READER, path, lenient)


@pytest.mark.data
def test_published_figures(data, tmp_path):
    path = data / "other" / "formats" / "opendc_surf_month_tasks.parquet"
    assert reader_of(path).name == "opendc"
    trace = READER.read(path, Options())
    assert trace.pods.height == 68_648
    seconds = trace.pods["duration_us"] / 1e6
    assert seconds.median() == 69
    assert seconds.quantile(0.9) == 3611
    assert seconds.quantile(0.99) == pytest.approx(1.3e5, rel=0.01)
    assert trace.specs["cpu_milli"].to_list() == [16_000]
    assert_round_trip(trace, tmp_path)
