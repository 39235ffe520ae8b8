import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale.errors import InputError
from kscale.traces import NODE_EVENTS, NODES, PODS, Options
from kscale.traces.common import writing
from kscale.traces.common.opening import open_trace, read_nodes, reader_of
from kscale.traces.helios import READER
from tests.traces.mutation import converts, pieces_alike, survives

HEADER = "job_id,user,vc,gpu_num,cpu_num,node_num,state,submit_time,start_time,end_time,duration,queue\n"
ROWS = (
    "1425511,uXBbc,vcA,1,1,1,COMPLETED,2020-06-09 18:41:01,2020-06-09 18:41:01,2020-06-10 04:55:09,36848,0\n"
    "1425512,uVMrF,vcB,16,32,2,FAILED,2020-06-09 18:41:27,2020-06-09 18:41:28,2020-06-09 18:45:37,249,1\n"
    "1425513,uzqls,vcC,0,4,1,CANCELLED,2020-06-09 18:41:28,2020-06-09 18:41:28,2020-06-17 14:15:21,675233,0\n"
    "1425514,uzqls,vcA,8,4,1,CANCELLED,2020-06-10 18:41:28,,2020-06-17 14:15:21,0,0\n"
)
#: What a file of the format begins with.
HEAD = HEADER + ROWS.splitlines()[0] + "\n"
NUMBERS = (
    "date,vcA,vcB,vcD,total\n2020-06-08,8,8,8,24\n2020-06-09,16,24,0,40\n2020-06-10,16,24,0,40\n2020-06-11,8,12,16,36\n"
    "2020-06-12,16,12,0,28\n"
)


def folder(tmp_path, log=HEADER + ROWS, numbers=NUMBERS):
    path = tmp_path / "Venus"
    path.mkdir(exist_ok=True)
    (path / "cluster_log.csv").write_text(log)
    if numbers is not None:
        (path / "cluster_gpu_number.csv").write_text(numbers)
    return path


def sized(trace):
    return trace.pods.join(trace.specs.with_row_index("spec"), on="spec", maintain_order="left")


def test_a_log_alone(write):
    path = write("cluster_log.csv.gz", HEADER + ROWS)
    assert reader_of(path).name == "helios"
    trace = READER.read(path, Options())
    assert dict(trace.pods.schema) == PODS
    assert trace.pods["name"].to_list() == ["1425511-0", "1425512-0", "1425512-1", "1425513-0"]
    assert trace.pods["namespace"].to_list() == ["vcA", "vcB", "vcB", "vcC"]
    assert (trace.pods["arrival_us"] // 10**6).to_list() == [0, 26, 26, 27]
    assert (trace.pods["duration_us"] // 10**6).to_list() == [36_848, 249, 249, 675_233]
    assert (trace.pods["end_us"] // 10**6).to_list() == [36_848, 276, 276, 675_260]
    assert sized(trace)["gpu_count"].to_list() == [1, 8, 8, 0]
    assert sized(trace)["cpu_milli"].to_list() == [1000, 16_000, 16_000, 4000]
    assert trace.specs["node_selector"].null_count() == trace.specs.height
    assert trace.nodes is None and trace.node_events is None
    assert "4 jobs, of which 1 never started" in trace.notes[1]


def test_a_folder_has_nodes_that_come_and_go(tmp_path):
    path = folder(tmp_path)
    assert reader_of(path).name == "helios"
    trace = open_trace(path)
    assert sized(trace)["node_selector"].to_list() == ["vc=vcA", "vc=vcB", "vc=vcB", None]
    assert trace.nodes is not None and trace.node_events is not None
    assert list(trace.nodes.columns) == list(NODES)
    assert trace.nodes["name"].to_list() == [
        "vcA-000",
        "vcA-001",
        "vcB-000",
        "vcB-001",
        "vcB-002",
        "vcD-000",
        "vcD-001",
    ]
    assert trace.nodes["labels"].to_list() == ["vc=vcA"] * 2 + ["vc=vcB"] * 3 + ["vc=vcD"] * 2
    assert trace.nodes["gpu_count"].to_list() == [8] * 7
    assert trace.nodes["cpu_milli"].to_list() == [48_000] * 7
    assert dict(trace.node_events.schema) == NODE_EVENTS
    hours = 3600 * 10**6
    midnight = 29 * hours + 18 * 60 * 10**6 + 59 * 10**6  # from 18:41:01 on the 9th to the 11th
    assert [row[:3] for row in trace.node_events.iter_rows()] == [
        (midnight, "vcA-001", "leave"),
        (midnight, "vcB-002", "leave"),
        (midnight, "vcD-000", "join"),
        (midnight, "vcD-001", "join"),
        (midnight + 24 * hours, "vcD-000", "leave"),
        (midnight + 24 * hours, "vcD-001", "leave"),
        (midnight + 24 * hours, "vcA-001", "join"),
    ]
    notes = "\n".join(trace.notes)
    assert "7 nodes; they join and leave at midnight" in notes and "(7 events); 2 counts are no multiple of 8" in notes
    assert "48cpu,376Gi" in notes and "1 pods of a virtual cluster without nodes select none" in notes
    out = tmp_path / "nodes.csv"
    writing.write_nodes(trace.nodes, out)
    assert read_nodes(out).equals(trace.nodes)


def test_the_machine_unit(tmp_path):
    trace = READER.read(folder(tmp_path), Options(machine_unit="64cpu,256Gi"))
    assert trace.nodes["memory_bytes"].to_list() == [256 << 30] * 7
    assert "64cpu,256Gi" in "\n".join(trace.notes)
    with pytest.raises(InputError, match="'--machine-unit': '64cpu' states no memory"):
        READER.read(folder(tmp_path), Options(machine_unit="64cpu"))


@settings(max_examples=80, deadline=None)
@given(
    counts=st.lists(st.lists(st.integers(0, 40), min_size=3, max_size=3), min_size=1, max_size=8),
    start=st.integers(-2, 9),
)
def test_nodes_at_any_time_are_those_of_the_day(tmp_path_factory, counts, start):
    rows = "".join(f"2020-06-{10 + i},{','.join(map(str, day))},0\n" for i, day in enumerate(counts))
    submitted = f"2020-06-{10 + start:02} 12:00:00"
    log = HEADER + f"1,u,vcA,1,1,1,FAILED,{submitted},{submitted},{submitted},0,0\n"
    trace = READER.read(folder(tmp_path_factory.mktemp("helios"), log, "date,vcA,vcB,vcC,total\n" + rows), Options())
    joins = trace.node_events.unique("node", keep="first", maintain_order=True).filter(pl.col("event") == "join")
    there = set(trace.nodes["name"]) - set(joins["node"])
    for day in range(max(start, 0), len(counts)):
        midnight = (day - start) * 86_400 - 43_200
        for _, node, event in trace.node_events.filter(pl.col("time_us") == midnight * 10**6).select(
            "time_us", "node", "event"
        ).iter_rows():  # fmt: skip
            assert (node in there) == (event == "leave")
            (there.remove if event == "leave" else there.add)(node)
        expected = {f"vc{vc}-{i:03}" for vc, gpus in zip("ABC", counts[day], strict=True) for i in range(-(-gpus // 8))}
        assert there == expected
    assert (trace.node_events["time_us"] > 0).all()
    assert np.all(np.diff(trace.node_events["time_us"].to_numpy()) >= 0)


T = "2020-06-09 18:41:01"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (f"1,u,v,1,1,1,x,{T},{T},soon,1,1", "row 5, field 'end_time': 'soon' is no date and time"),
        (f"1,u,v,1,1,1,x,{T},{T},2020-06-09 18:41:00,1,1", "row 5, field 'end_time': is before the job's submission"),
        (f"1425511,u,v,1,1,1,x,{T},{T},{T},1,1", "row 5, field 'job_id': '1425511' occurs twice"),
    ],
)
def test_bad_rows_are_told_or_counted(write, row, message):
    path = write("t.csv", HEADER + ROWS + row + "\n")
    with pytest.raises(InputError, match=message):
        READER.read(path, Options())
    trace = READER.read(path, Options(lenient=True))
    assert (trace.pods.height, sum(trace.dropped.values())) == (4, 1)


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        (None, "holds 0 files of the table cluster_gpu_number"),
        ("date,vcA,total\n", "has no days or no virtual clusters"),
        ("date,total\n2020-06-08,1\n", "has no days or no virtual clusters"),
        ("vcA,total\n8,8\n", "field 'date': the column is missing"),
        ("date,vcA\n2020-06-08,-8\n", "field 'vcA': '-8' is negative"),
        ("date,vcA\n2020-06-08,8\n2020-06-08,8\n", "row 2, field 'date': '2020-06-08' occurs twice"),
        ("date,vcA\nMonday,8\n", "row 1, field 'date': 'Monday 00:00:00' is no date"),
        ("date,vcA,vcB\n2020-06-08,80000000,80000000\n", "has too many GPUs; expected at most 10,000,000 nodes of 8"),
    ],
)
def test_bad_numbers_are_told(tmp_path, numbers, message):
    with pytest.raises(InputError, match=message):
        READER.read(folder(tmp_path, numbers=numbers), Options())


def test_batches_conversion_and_damage(tmp_path, monkeypatch):
    rows = "".join(
        f"{i},u,vc{'AB'[i % 2]},{i % 32},{i % 50},{i % 4},x,2020-06-09 {i // 60:02}:{i % 60:02}:22,2020-06-10 05:00:00,"
        f"2020-06-1{2 + i % 3} 00:00:00,0,0\n"
        for i in range(200)
    )
    trace = pieces_alike(monkeypatch, READER, folder(tmp_path, HEADER + rows))
    assert trace.pods["owner"].n_unique() == 200
    converts(trace, tmp_path / "own.parquet")
    survives(READER, tmp_path / "damaged.csv", (HEADER + ROWS).encode())
