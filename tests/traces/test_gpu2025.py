import polars as pl
import pytest

from kscale.errors import InputError
from kscale.traces import PODS, SPECS, Options
from kscale.traces.gpu2025 import RDMA, READER

HEADER = (
    "instance_sn,role,app_name,cpu_request,cpu_limit,gpu_request,gpu_limit,rdma_request,rdma_limit,memory_request,"
    "memory_limit,disk_request,disk_limit,max_instance_per_node,creation_time,scheduled_time,deletion_time\n"
)
ROWS = (
    "i0,HN,app_0,12,12,1,1,25,25,120.0,120.0,640.0,800.0,8,,,\n"
    "i1,CN,app_0,48,48,0,0,100,100,240.5,240.5,10.0,20,-1,,,50.0\n"
    "i2,CN,app_1,48,48,0,0,100,100,240.5,240.5,10.0,20,-1,10.0,12.5,\n"
    "i3,HN,app_1,12,12,1,1,25,25,120.0,120.0,640.0,800.0,8,10,12,20\n"
)

#: What a file of the format begins with.
HEAD = (
    "instance_sn,role,app_name,cpu_request,gpu_request,rdma_request,memory_request,disk_request"
    ",creation_time,scheduled_time,deletion_time\ni,HN,a,1,0,0,1,1,,,\n"
)


def test_rows_are_mapped(write):
    trace = READER.read(write("t.csv.gz", HEADER + ROWS), Options())
    assert dict(trace.pods.schema) == PODS
    assert dict(trace.specs.schema) == SPECS | {f"resource.{RDMA}": pl.Int64}
    assert trace.pods["owner"].to_list() == ["app_0", "app_0", "app_1", "app_1"]
    assert trace.pods["arrival_us"].to_list() == [0, 0, 10_000_000, 10_000_000]
    assert trace.pods["duration_us"].to_list() == [None, 50_000_000, None, 8_000_000]
    assert trace.pods["end_us"].to_list() == [None, 50_000_000, None, 20_000_000]
    assert trace.pods["spec"].to_list() == [0, 1, 1, 0]
    assert trace.specs["cpu_milli"].to_list() == [12_000, 48_000]
    assert trace.specs["memory_bytes"].to_list() == [120 << 30, (481 << 30) // 2]
    assert trace.specs["ephemeral_storage_bytes"].to_list() == [640 << 30, 10 << 30]
    assert trace.specs["gpu_count"].to_list() == [1, 0]
    assert trace.specs["gpu_milli"].to_list() == [1000, 0]
    assert trace.specs[f"resource.{RDMA}"].to_list() == [25, 100]
    assert "2 instances were there before" in trace.notes[0]
    assert "2 instances outlive" in trace.notes[1]
    assert "max_instance_per_node (2 instances) is not modelled" in trace.notes[3]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("i,HN,a,1,1,0,0,0,0,-1.0,1,1,1,-1,,,", "row 1, field 'memory_request': '-1.0' is negative"),
        ("i,HN,a,1,1,0,0,0,0,1.0,1,1,1,-1,5,6,4", "field 'deletion_time': '4.0' is before the start"),
        ("i,HN,a,1,1,0,0,0,0,1.0,1,1,1,-1,5,4,9", "field 'scheduled_time': '4.0' is before creation_time"),
        ("i,HN,,1,1,0,0,0,0,1.0,1,1,1,-1,5,5,9", "field 'app_name': is missing"),
        ("i,HN,a,1,1,x,0,0,0,1.0,1,1,1,-1,5,5,9", "field 'gpu_request': 'x' is not an integer"),
    ],
)
def test_bad_rows_are_told(write, row, message):
    with pytest.raises(InputError, match=message):
        READER.read(write("t.csv", HEADER + row + "\n"), Options())


@pytest.mark.data
def test_published_counts(data):
    trace = READER.read(data / "other" / "gpu2025" / "disaggregated_DLRM_trace.csv.gz", Options())
    pods = trace.pods.join(trace.specs.with_row_index("spec"), on="spec")
    # CN ask for no GPU, HN for one.
    assert pods.group_by("gpu_count").len().sort("gpu_count").rows() == [(0, 16_485), (1, 7_386)]
    assert pods["end_us"].null_count() == pods["duration_us"].null_count() == 8878
    assert "7,280 instances" in trace.notes[0]
    assert "8,878 instances" in trace.notes[1]
    assert pods["owner"].n_unique() == 156
    whole = pods.filter((pl.col("arrival_us") > 0) & pl.col("end_us").is_not_null())
    lifetime = (whole["end_us"] - whole["arrival_us"]) / 1e6
    assert whole.height == 12_390
    assert lifetime.median() == pytest.approx(8409, rel=0.01)
    assert lifetime.quantile(0.9, "linear") == pytest.approx(286_800, rel=0.01)
