import io
import math
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale.errors import InputError
from kscale.traces import PODS, Options
from kscale.traces.common import files
from kscale.traces.common.opening import reader_of
from kscale.traces.wta import READER
from tests.traces.holding import assert_read_or_refused, assert_round_trip, assert_same, assert_told_once, mutated


def tasks(**columns: object) -> pl.DataFrame:
    """Tasks as real files have them: ``children`` as doubles, ``resource_used`` as text."""
    count = max((len(values) for values in columns.values() if isinstance(values, list)), default=1)
    numbers = {
        "id": list(range(count)), "workflow_id": [0] * count, "ts_submit": [0] * count, "runtime": [1000] * count,
        "wait_time": [-1] * count, "memory_requested": [-1] * count, "disk_space_requested": [-1] * count,
        "submission_site": [0] * count, "user_id": [-1] * count,
    }  # fmt: skip
    others = {
        "resource_amount_requested": [1.0] * count, "resource_type": ["core"] * count, "resource_used": ["[]"] * count,
        "children": [[1.0]] * count, "parents": [[]] * count, "params": ["{}"] * count,
    }  # fmt: skip
    return pl.DataFrame(numbers | others | columns)


def packed(frame: pl.DataFrame) -> bytes:
    file = io.BytesIO()
    frame.write_parquet(file)
    return file.getvalue()


#: What a file of the format holds.
HEAD = packed(tasks())

EVERYTHING = tasks(
    id=[7, 8, 9, 10, 11, -5],
    workflow_id=[0, 0, 2, -1, 3, 3],
    ts_submit=[5000, 4000, 9000, -1, 6000, 6000],
    runtime=[1500, 0, 10, 10, -1, 20],
    wait_time=[-1, 500, 0, 0, 0, -1],
    resource_amount_requested=[0.5, 2.0, 3.0, 1.0, 1.0, -1.0],
    resource_type=["core", "thread", "GPU", "core", "core", "core"],
    memory_requested=[-1.0, 0.25, 2.0, -1, -1, 1.0],
    disk_space_requested=[-1.0, 1.5, -1.0, -1, -1, -1],
)


def folder(tmp_path: Path, *parts: pl.DataFrame, resources: pl.DataFrame | None = None) -> Path:
    """Write a trace as a folder of tables, with what Spark leaves beside them."""
    inner = tmp_path / "trace" / "tasks" / "schema-1.0"
    inner.mkdir(parents=True)
    (inner / "_SUCCESS").touch()
    (inner / ".part.0.parquet.crc").write_bytes(b"crc")
    for number, part in enumerate(parts):
        part.write_parquet(inner / f"part.{number}.parquet")
    if resources is not None:
        beside = tmp_path / "trace" / "resources" / "schema-1.0"
        beside.mkdir(parents=True)
        resources.write_parquet(beside / "part.0.parquet")
    return tmp_path / "trace"


def test_tasks_are_mapped(write):
    trace = READER.read(write("t.parquet", packed(EVERYTHING)), Options())
    assert dict(trace.pods.schema) == PODS
    assert trace.pods["name"].to_list() == ["task-7", "task-8", "task-9", "task--5"]
    assert trace.pods["owner"].to_list() == ["workflow-0", "workflow-0", "workflow-2", "workflow-3"]
    assert trace.pods["arrival_us"].to_list() == [1_000_000, 0, 5_000_000, 2_000_000]
    assert trace.pods["duration_us"].to_list() == [1_500_000, 0, 10_000, 20_000]
    assert trace.pods["end_us"].to_list() == [None, 500_000, 5_010_000, None]
    assert trace.specs["cpu_milli"].to_list() == [500, 2000, None, None]
    assert trace.specs["gpu_count"].to_list() == [0, 0, 3, 0]
    assert trace.specs["gpu_milli"].to_list() == [0, 0, 1000, 0]
    assert trace.specs["memory_bytes"].to_list() == [None] * 4
    assert trace.specs["ephemeral_storage_bytes"].to_list() == [None, 1_500_000, None, None]
    assert "4 of 6 tasks are pods, 1 of them without an amount" in trace.notes[0]
    assert "left out are 1 without a submission and 1 without a run time" in trace.notes[0]
    assert "unit of memory_requested (3 tasks have some): memory is left out" in trace.notes[1]
    assert "at 4,000 ms" in trace.notes[2]


def test_a_workflow_that_is_unknown_owns_nothing(write):
    trace = READER.read(write("t.parquet", packed(tasks(workflow_id=[-1]))), Options())
    assert trace.pods["owner"].to_list() == [None]


def test_the_machine_unit_says_what_one_is(write):
    trace = READER.read(write("t.parquet", packed(EVERYTHING)), Options(machine_unit="8cpu,32Gi"))
    assert trace.specs["cpu_milli"].to_list() == [4000, 16_000, None, None]
    assert trace.specs["memory_bytes"].to_list() == [None, 8 << 30, 64 << 30, 32 << 30]
    assert "1.0 of resource_amount_requested is 8 cpu" in trace.notes[1]
    assert "1.0 of memory_requested is the memory of 8cpu,32Gi" in trace.notes[1]


def test_a_folder_of_parts_with_resources(tmp_path):
    resources = pl.DataFrame(
        {"id": [1, 2, 3], "type": ["node"] * 3, "num_resources": [16.0, -1.0, 2.5], "proc_model": [""] * 3,
         "memory": [64, 8, 1], "disk_space": [-1, -1, 10], "network": [-1] * 3, "os": [""] * 3, "details": ["{}"] * 3}
    )  # fmt: skip
    path = folder(tmp_path, EVERYTHING[:2], EVERYTHING[2:], resources=resources)
    assert reader_of(path).name == "wta"
    trace = READER.read(path, Options())
    assert trace.pods["name"].to_list() == ["task-7", "task-8", "task-9", "task--5"]
    assert trace.nodes is not None
    assert trace.nodes["name"].to_list() == ["resource-1", "resource-3"]
    assert trace.nodes["cpu_milli"].to_list() == [16_000, 2500]
    assert trace.nodes["memory_bytes"].to_list() == [64 * 10**9, 10**9]
    assert trace.nodes["ephemeral_storage_bytes"].to_list() == [None, 10**10]
    assert "are nodes (2), 1 others are left out" in trace.notes[3]


def test_parts_are_read_by_their_numbers(tmp_path):
    path = folder(tmp_path, *(tasks(id=[number]) for number in range(12)))
    assert READER.read(path, Options()).pods["name"].to_list() == [f"task-{number}" for number in range(12)]


def test_an_id_in_two_parts_is_told(tmp_path):
    path = folder(tmp_path, tasks(id=[1, 2]), tasks(id=[3, 1]))
    with pytest.raises(InputError, match=r"part\.1\.parquet, row 2, field 'id': '1' occurs twice"):
        READER.read(path, Options())
    assert READER.read(path, Options(lenient=True)).dropped == {"id: occurs twice": 1}


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"runtime": [-2]}, "row 1, field 'runtime': '-2' is below -1"),
        ({"runtime": [None]}, "field 'runtime': is missing"),
        ({"resource_amount_requested": [float("nan")]}, "'resource_amount_requested': 'nan' is not a finite number"),
        ({"ts_submit": ["now"]}, "field 'ts_submit': 'now' is not an integer"),
        ({"runtime": [[1]]}, r"field 'runtime': is List\(Int64\) in the file"),
        ({"resource_type": ["gpu"], "resource_amount_requested": [65.0]}, "'65.0' GPUs are too many; expected at most"),
    ],
)
def test_bad_rows_are_told(write, columns, message):
    with pytest.raises(InputError, match=message):
        READER.read(write("t.parquet", packed(tasks(**columns))), Options())


def test_missing_columns_and_tables_are_told(write, tmp_path):
    with pytest.raises(InputError, match="field 'runtime': the column is missing"):
        READER.read(write("t.parquet", packed(tasks().drop("runtime"))), Options())
    with pytest.raises(InputError, match=r"has no tasks; expected Parquet files in tasks/schema-1\.0"):
        READER.read(tmp_path, Options())
    least = READER.read(write("t.parquet", packed(tasks().drop("wait_time", "memory_requested", "resource_type"))),
                        Options())  # fmt: skip
    assert least.specs["cpu_milli"].to_list() == [1000]


@pytest.mark.parametrize("rows", [1, 2, 5])
def test_portions_cut_anywhere_are_one_trace(write, monkeypatch, rows):
    path = write("t.parquet", packed(EVERYTHING))
    whole = READER.read(path, Options(machine_unit="8cpu,32Gi"))
    monkeypatch.setattr(files, "BATCH_ROWS", rows)
    assert_same(READER.read(path, Options(machine_unit="8cpu,32Gi")), whole)


def test_progress_comes_to_the_size_of_the_file(write):
    assert_told_once(READER, write("t.parquet", packed(EVERYTHING)))


def test_round_trip(write, tmp_path):
    trace = READER.read(write("t.parquet", packed(EVERYTHING)), Options(machine_unit="8cpu,32Gi"))
    assert_round_trip(trace, tmp_path)


_amount = st.one_of(st.floats(-2, 9), st.just(float("nan")))
_row = st.fixed_dictionaries(
    {"id": st.integers(0, 4), "ts_submit": st.integers(-3, 9), "runtime": st.integers(-3, 9),
     "resource_amount_requested": _amount}
)  # fmt: skip


@settings(deadline=None, max_examples=60)
@given(rows=st.lists(_row, max_size=8))
def test_lenient_accounts_for_every_row(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("lenient") / "t.parquet"
    columns = {name: [row[name] for row in rows] for name in rows[0]} if rows else {}
    (tasks(**columns) if rows else tasks().clear()).write_parquet(path)
    trace = READER.read(path, Options(lenient=True))
    left = trace.notes[0].split("left out are ")[1].split()
    assert trace.pods.height + int(left[0]) + int(left[5]) + sum(trace.dropped.values()) == len(rows)


def up(value: float) -> int:
    return math.ceil(round(value, 6))


def plainly(rows, cores, gib):
    """What becomes of tasks, one by one, where 1.0 is so many cores and GiB (None: not said)."""
    origin = min((row["ts_submit"] for row in rows if row["ts_submit"] >= 0), default=0)
    pods = []
    for number, row in enumerate(rows):
        if row["ts_submit"] < 0 or row["runtime"] < 0:
            continue
        amount, memory, gpu = row["resource_amount_requested"], row["memory_requested"], row["resource_type"] == "gpu"
        arrival, runtime = (row["ts_submit"] - origin) * 1000, row["runtime"] * 1000
        pods.append(
            (
                f"task-{number}", arrival, runtime,
                arrival + row["wait_time"] * 1000 + runtime if row["wait_time"] >= 0 else None,
                up(amount * (cores or 1) * 1000) if amount >= 0 and not gpu else None,
                up(memory * gib * 2**30) if gib and memory >= 0 else None,
                up(row["disk_space_requested"] * 1e6) if row["disk_space_requested"] >= 0 else None,
                up(amount) if gpu and amount >= 0 else 0,
            )
        )  # fmt: skip
    return pods


_share = st.one_of(st.just(-1.0), st.integers(0, 64).map(lambda n: n / 16))
_known_row = st.fixed_dictionaries(
    {"ts_submit": st.integers(-1, 9), "runtime": st.integers(-1, 9), "wait_time": st.integers(-1, 9),
     "resource_amount_requested": _share, "memory_requested": _share, "disk_space_requested": _share,
     "resource_type": st.sampled_from(["core", "gpu"])}
)  # fmt: skip


@settings(deadline=None, max_examples=100)
@given(rows=st.lists(_known_row, min_size=1, max_size=8), unit=st.sampled_from([None, (4, None), (4, 16)]))
def test_columns_say_what_a_walk_over_the_tasks_says(tmp_path_factory, rows, unit):
    path = tmp_path_factory.mktemp("plain") / "t.parquet"
    tasks(**{name: [row[name] for row in rows] for name in rows[0]}).write_parquet(path)
    cores, gib = unit or (None, None)
    text = None if unit is None else f"{cores}cpu" + (f",{gib}Gi" if gib else "")
    trace = READER.read(path, Options(machine_unit=text))
    wanted = ["cpu_milli", "memory_bytes", "ephemeral_storage_bytes", "gpu_count"]
    specs = trace.specs.select(wanted).rows()
    found = trace.pods.select("name", "arrival_us", "duration_us", "end_us", "spec").rows()
    assert [(*row[:4], *specs[row[4]]) for row in found] == plainly(rows, cores, gib)


@settings(deadline=None, max_examples=60)
@given(data=st.data(), lenient=st.booleans())
def test_mutated_files_are_read_or_refused(tmp_path_factory, data, lenient):
    path = tmp_path_factory.mktemp("mutated") / "t.parquet"
    path.write_bytes(mutated(data, packed(EVERYTHING)))
    assert_read_or_refused(READER, path, lenient)


@pytest.mark.data
def test_the_sample(data, tmp_path):
    path = data / "other" / "formats" / "wta_shell_tasks.parquet"
    assert reader_of(path).name == "wta"
    trace = READER.read(path, Options())
    assert (trace.pods.height, trace.pods["owner"].n_unique()) == (10_208, 3403)
    assert trace.pods["duration_us"].median() == 8_162_000
    assert trace.pods["arrival_us"].max() == 630_000_000
    assert_round_trip(trace, tmp_path)
