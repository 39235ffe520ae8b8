import polars as pl
import pytest

from kscale.errors import InputError
from kscale.traces import PODS, Options
from kscale.traces.acme import READER
from kscale.traces.common import joblogs
from kscale.traces.common.opening import reader_of
from tests.traces.mutation import converts, pieces_alike, survives

SEREN = "job_id,user,node_num,gpu_num,cpu_num,type,state,submit_time,start_time,end_time,duration,queue,gpu_time\n"
KALOS = (
    "job_id,user,node_num,gpu_num,cpu_num,mem_per_pod_GB,shared_mem_per_pod,type,state,submit_time,start_time,end_time,"
    "fail_time,stop_time,duration,queue,gpu_time\n"
)
ROWS = (
    "5778432,u5907,1,8,128,Other,FAILED,2023-03-01 00:18:22+08:00,2023-03-01 00:18:54+08:00,2023-03-01 00:20:51+08:00,"
    "117,32,936.0\n"
    "5778469,u5907,3,16,128,Pretrain,COMPLETED,2023-03-01 00:23:58+08:00,2023-03-01 00:24:11+08:00,"
    "2023-03-01 01:09:04+08:00,2693,13,21544.0\n"
    "5778470,u1,1,0,4,Other,CANCELLED,2023-03-01 00:24:00+08:00,,2023-03-01 01:09:04+08:00,0,13,0\n"
    "5778471,u1,0,0,4,Other,TIMEOUT,2023-03-01 00:18:00+08:00,2023-03-01 00:24:00+08:00,,0,13,0\n"
)
PODS_OF_KALOS = (
    "dlctk696s0jbvitv,uf794,8,64,960,1000,100.0,Other,FAILED,2023-05-17 11:00:58+00:00,2023-05-17 11:01:08+00:00,"
    "2023-05-17 11:01:16+00:00,2023-05-17 11:01:16+00:00,,18,10.0,1152.0\n"
    "dlc1t2ypl09b8qtp,uf794,1,8,120,,,Other,CANCELLED,2023-05-17 11:28:42+00:00,2023-05-17 11:28:54+00:00,"
    "2023-05-17 11:30:04+00:00,,2023-05-17 11:30:04+00:00,82,12.0,5248.0\n"
)
#: What a file of the format begins with.
HEAD = SEREN + ROWS.splitlines()[0] + "\n"


def sized(trace):
    return trace.pods.join(trace.specs.with_row_index("spec"), on="spec", maintain_order="left")


def test_a_gang_is_a_pod_a_node(write):
    trace = READER.read(write("trace_seren.csv.gz", SEREN + ROWS), Options())
    assert dict(trace.pods.schema) == PODS
    assert trace.pods["name"].to_list() == ["5778432-0", "5778469-0", "5778469-1", "5778469-2", "5778471-0"]
    assert trace.pods["owner"].to_list() == ["5778432", *["5778469"] * 3, "5778471"]
    assert (trace.pods["arrival_us"] // 10**6).to_list() == [22, 358, 358, 358, 0]
    assert [None if us is None else us // 10**6 for us in trace.pods["duration_us"]] == [117, 2693, 2693, 2693, None]
    assert [None if us is None else us // 10**6 for us in trace.pods["end_us"]] == [171, *[3064] * 3, None]
    assert sized(trace)["gpu_count"].to_list() == [8, 6, 5, 5, 0]
    assert sized(trace)["cpu_milli"].to_list() == [128_000, 43_000, 43_000, 42_000, 4000]
    assert sized(trace)["gpu_milli"].to_list() == [1000] * 4 + [0]
    assert trace.specs["memory_bytes"].null_count() == trace.specs.height
    notes = "\n".join(trace.notes)
    assert "counted from the first submission, 2023-02-28 16:18:00" in notes
    assert (
        "4 jobs, of which 1 never started and are left out; the others are 5 pods, and 1 of the jobs have no end"
        in notes
    )
    assert "1 jobs run on several nodes" in notes
    assert "memory is not stated" in notes
    assert reader_of(write("s.csv", SEREN + ROWS)).name == "acme"


def test_kalos_states_memory_and_its_duration_counts_the_wait(write):
    path = write("trace_kalos.csv", KALOS + PODS_OF_KALOS)
    assert reader_of(path).name == "acme"
    trace = READER.read(path, Options())
    assert trace.pods.height == 9
    assert (trace.pods["duration_us"] // 10**6).to_list() == [8] * 8 + [70]
    assert sized(trace)["gpu_count"].to_list() == [8] * 9
    assert sized(trace)["memory_bytes"].to_list() == [1000 << 30] * 8 + [None]
    assert "memory is mem_per_pod_GB, in GiB" in "\n".join(trace.notes)


T = "2023-03-01 00:18:22"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (f"1,u,1,1,1,x,y,noon,{T},{T},1,1,1", "row 5, field 'submit_time': 'noon' is no date and time"),
        (f"1,u,1,1,1,x,y,,{T},{T},1,1,1", "row 5, field 'submit_time': is missing"),
        (f"1,u,1,1,1,x,y,{T},{T},2023-02-28 23:59:59,1,1,1", "row 5, field 'end_time': is before the job's submission"),
        (f"1,u,-1,1,1,x,y,{T},{T},{T},1,1,1", "row 5, field 'node_num': '-1' is negative"),
        (f"1,u,2,2049,1,x,y,{T},{T},{T},1,1,1", "row 5, field 'gpu_num': '2049' is more than 1,024 GPUs a node"),
        (f"1,u,1000000,1,1,x,y,{T},{T},{T},1,1,1", "row 5, field 'node_num': '1000000' is too large"),
        (f"5778469,u,1,1,1,x,y,{T},{T},{T},1,1,1", "row 5, field 'job_id': '5778469' occurs twice"),
    ],
)
def test_bad_rows_are_told_or_counted(write, row, message):
    path = write("t.csv", SEREN + ROWS + row + "\n")
    with pytest.raises(InputError, match=message):
        READER.read(path, Options())
    trace = READER.read(path, Options(lenient=True))
    assert (trace.pods.height, sum(trace.dropped.values())) == (5, 1)


def test_shares_add_up_and_large_jobs_come_in_portions(write, monkeypatch):
    rows = [f"j{i},u,{i % 9},{i * 3},{i * 5},x,y,{T},{T},{T},0,0,0\n" for i in range(200)]
    path = write("t.csv", SEREN + "".join(rows))
    whole = READER.read(path, Options())
    gpus = pl.col("gpu_count")
    by_job = sized(whole).group_by("owner", maintain_order=True)
    sums = by_job.agg(pl.len(), pl.col("gpu_count", "cpu_milli").sum(), spread=gpus.max() - gpus.min())
    assert sums["gpu_count"].to_list() == [i * 3 for i in range(200)]
    assert sums["cpu_milli"].to_list() == [i * 5000 for i in range(200)]
    assert sums["len"].to_list() == [max(i % 9, 1) for i in range(200)]
    assert sums["spread"].max() == 1
    monkeypatch.setattr(joblogs, "PORTION", 7)
    given = READER.portions(path, Options())
    heights = [frame.height for frame in given]
    assert max(heights) <= 8 and sum(heights) == whole.pods.height
    assert READER.read(path, Options()).pods.equals(whole.pods)


def test_batches_conversion_and_damage(write, tmp_path, monkeypatch):
    rows = "".join(
        f"j{i},u,{i % 3},{i % 16},{i % 50},x,y,2023-03-01 {i // 60:02}:{i % 60:02}:22,2023-03-01 05:00:00+00:00,"
        f"2023-03-0{2 + i % 3} 00:00:00Z,0,0,0\n"
        for i in range(200)
    )
    trace = pieces_alike(monkeypatch, READER, write("t.csv", SEREN + rows))
    assert trace.pods["owner"].n_unique() == 200
    converts(trace, tmp_path / "own.parquet")
    survives(READER, tmp_path / "damaged.csv", (SEREN + ROWS).encode())
    survives(READER, tmp_path / "kalos.csv", (KALOS + PODS_OF_KALOS).encode())
