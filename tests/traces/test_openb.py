import re

import polars as pl
import pytest

from kscale.errors import InputError
from kscale.traces import NODES, PODS, SPECS, Options
from kscale.traces.openb import READER

HEADER = (
    "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,pod_phase,creation_time,deletion_time,scheduled_time\n"
)
ROWS = (
    "a,12000,16384,1,1000,,LS,Running,0,100,10\n"
    "b,6000,0,1,460,V100M16|V100M32|V100M32,BE,Pending,5,50,\n"
    "c,4000,8192,0,0,,LS,Failed,5,5,5\n"
    "d,64200,1024,8,1000,T4,LS,Running,7,90,8\n"
    "e,12000,16384,1,1000,,LS,Running,9,99,9\n"
)

#: What a file of the format begins with.
HEAD = "name,cpu_milli,memory_mib,num_gpu,gpu_milli\na,1,1,0,0\n"
BAD = {
    "negative": ("a,-1,1,0,0,,LS,R,0,1,0\n", "row 1, field 'cpu_milli': '-1' is negative; expected an integer"),
    "nan": ("a,NaN,1,0,0,,LS,R,0,1,0\n", "row 1, field 'cpu_milli': 'NaN' is not an integer"),
    "type": ("a,1,1,0,0,,LS,R,0,1,0\nb,x,1,0,0,,L,R,0,1,0\n", "row 2, field 'cpu_milli': 'x' is not an integer"),
    "large": (f"a,{(1 << 59) + 1},1,0,0,,LS,R,0,1,0\n", "field 'cpu_milli': '.*' is too large"),
    "beyond int64": (
        "a,99999999999999999999,1,0,0,,LS,R,0,1,0\n",
        "is not an integer; expected an integer from 0 to",
    ),
    "share": ("a,1,1,1,1001,,LS,R,0,1,0\n", "field 'gpu_milli': '1001' is too large"),
    "no share": ("a,1,1,1,0,,LS,R,0,1,0\n", "field 'gpu_milli': is 0 with GPUs"),
    "share of none": ("a,1,1,0,500,,LS,R,0,1,0\n", "field 'num_gpu': is 0 with a share"),
    "end": ("a,1,1,0,0,,LS,R,9,8,\n", "row 1, field 'deletion_time': '8' is before the start"),
    "end before its start": ("a,1,1,0,0,,LS,R,1,8,9\n", "field 'deletion_time': '8' is before the start"),
    "scheduled": ("a,1,1,0,0,,LS,R,9,20,8\n", "field 'scheduled_time': '8' is before creation_time"),
    "null": ("a,1,1,0,0,,LS,R,,8,\n", "row 1, field 'creation_time': is missing"),
    "no name": (",1,1,0,0,,LS,R,1,8,\n", "row 1, field 'name': is missing"),
    "twice": ("a,1,1,0,0,,LS,R,0,1,0\na,1,1,0,0,,LS,R,0,1,0\n", "row 2, field 'name': 'a' occurs twice"),
    "ragged": ("a,1,1,0,0,,LS,R,0,1,0\na,1,1,0,0,,LS,R,0,1,0,7\n", "row 2: has 12 fields; expected 11 fields"),
    "short": ("a,1,1\n", "row 1, field 'num_gpu': is missing"),
}


def test_rows_are_mapped(write):
    trace = READER.read(write("p.csv", HEADER + ROWS), Options())
    assert (trace.format, trace.timed, trace.nodes, trace.dropped) == ("openb", True, None, {})
    assert dict(trace.pods.schema) == PODS
    assert dict(trace.specs.schema) == SPECS
    assert trace.pods["name"].to_list() == ["a", "b", "c", "d", "e"]
    assert trace.pods["namespace"].unique().to_list() == ["default"]
    assert trace.pods["owner"].null_count() == 5
    assert trace.pods["arrival_us"].to_list() == [0, 5_000_000, 5_000_000, 7_000_000, 9_000_000]
    assert trace.pods["duration_us"].to_list() == [90_000_000, 45_000_000, 0, 82_000_000, 90_000_000]
    assert trace.pods["end_us"].to_list() == [100_000_000, 50_000_000, 5_000_000, 90_000_000, 99_000_000]
    assert trace.pods["spec"].to_list() == [0, 1, 2, 3, 0]
    assert trace.specs["memory_bytes"].to_list() == [16 << 30, 0, 8 << 30, 1 << 30]
    assert trace.specs["gpu_count"].to_list() == [1, 1, 0, 8]
    assert trace.specs["gpu_milli"].to_list() == [1000, 460, 0, 1000]
    assert trace.specs["gpu_models"].to_list() == [None, "V100M16|V100M32|V100M32", None, "T4"]
    assert trace.specs["priority"].to_list() == [0, 0, 0, 0]


def test_files_of_five_columns_have_no_times(write):
    trace = READER.read(
        write("p.csv", "name,cpu_milli,memory_mib,num_gpu,gpu_milli\na,1,2,0,0\nb,1,2,1,500\n"), Options()
    )
    assert not trace.timed
    assert trace.pods["arrival_us"].to_list() == [0, 1]
    assert trace.pods["duration_us"].null_count() == trace.pods["end_us"].null_count() == 2
    assert any("no times" in note for note in trace.notes)


@pytest.mark.parametrize("case", BAD)
def test_bad_rows_are_told(write, case):
    rows, message = BAD[case]
    path = write("p.csv", HEADER + rows)
    with pytest.raises(InputError, match=message) as found:
        READER.read(path, Options())
    assert str(found.value).startswith(str(path))
    assert "; expected " in str(found.value)


@pytest.mark.parametrize("case", BAD)
def test_lenient_counts_bad_rows(write, case):
    rows = BAD[case][0]
    trace = READER.read(write("p.csv", HEADER + "good,1,1,0,0,,LS,R,0,1,0\n" + rows), Options(lenient=True))
    assert trace.pods["name"][0] == "good"
    assert sum(trace.dropped.values()) == 1
    assert trace.pods.height + 1 == 1 + rows.count("\n")


def test_missing_columns_name_the_nearest(write):
    path = write("p.csv", HEADER.replace("cpu_milli", "cpu_mili") + ROWS)
    with pytest.raises(InputError, match="field 'cpu_milli': the column is missing; did you mean 'cpu_mili'"):
        READER.read(path, Options())
    path = write("q.csv", "name,cpu_milli,memory_mib,num_gpu,gpu_milli,creation_time\n")
    with pytest.raises(InputError, match="field 'deletion_time': the column is missing"):
        READER.read(path, Options())


def test_nodes_are_mapped(write):
    path = write("n.csv", "sn,cpu_milli,memory_mib,gpu,model\nn0,32000,262144,0,\nn1,96000,393216,8,G2\n")
    nodes = READER.read_nodes(path, Options())
    assert dict(nodes.schema) == NODES
    assert nodes["pods"].to_list() == [1001, 1001]
    assert nodes["labels"].to_list() == [None, "gpu-model=G2"]
    assert nodes["gpu_count"].to_list() == [0, 8]
    assert nodes["memory_bytes"].to_list() == [256 << 30, 384 << 30]
    assert nodes["unschedulable"].to_list() == [False, False]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("n0,1,1,65,G2\n", "field 'gpu': '65' is too large"),
        ("n0,1,1,1,\n", "field 'model': is missing"),
        ("n0,1,1,0,\nn0,1,1,0,\n", "row 2, field 'sn': 'n0' occurs twice"),
        ("", "has no nodes"),
    ],
)
def test_bad_nodes_are_told(write, rows, message):
    with pytest.raises(InputError, match=message):
        READER.read_nodes(write("n.csv", "sn,cpu_milli,memory_mib,gpu,model\n" + rows), Options())


def test_notes_are_sentences(write):
    for note in READER.read(write("p.csv", HEADER + ROWS), Options()).notes:
        assert re.match(r"openb: .*\.$", note)


# Table B of the facts: rows, CPU-only, share, one GPU, two, four, eight, with spec, GPU requests.
PUBLISHED = {
    "default": (8152, 1088, 3078, 3911, 16, 15, 44, 0, 6086.8),
    "cpu100": (7853, 789, 3078, 3911, 16, 15, 44, 0, 6086.8),
    "gpushare40": (8152, 1088, 4001, 3001, 12, 11, 39, 0, 5641.2),
    "gpuspec33": (8152, 1088, 3078, 3911, 16, 15, 44, 2388, 6086.8),
    "multigpu20": (8324, 1088, 3078, 3911, 54, 52, 141, 0, 7086.8),
}


@pytest.mark.data
@pytest.mark.parametrize("name", PUBLISHED)
def test_published_counts(data, name):
    trace = READER.read(data / "openb" / f"openb_pod_list_{name}.csv", Options())
    pods = trace.pods.join(trace.specs.with_row_index("spec"), on="spec")
    gpus, milli = pods["gpu_count"], pods["gpu_milli"]
    counts = [pods.height, (gpus == 0).sum(), ((gpus == 1) & (milli < 1000)).sum()]
    counts += [((gpus == many) & (milli == 1000)).sum() for many in (1, 2, 4, 8)]
    counts += [pods["gpu_models"].is_not_null().sum(), round((gpus * milli).sum() / 1000, 1)]
    assert tuple(counts) == PUBLISHED[name]


@pytest.mark.data
def test_published_times(data):
    trace = READER.read(data / "openb" / "openb_pod_list_default.csv", Options())
    assert trace.specs.height == 151
    lifetime = (trace.pods["end_us"] - trace.pods["arrival_us"]) / 1e6
    found = [lifetime.quantile(q, "linear") for q in (0.1, 0.25, 0.5, 0.75, 0.9)]
    assert found == pytest.approx([80, 167, 540, 1972, 6573], rel=0.01)
    assert (lifetime * 1e6 - trace.pods["duration_us"]).median() == pytest.approx(2e6, abs=1e6)
    assert trace.pods.filter(pl.col("end_us") == 12_902_960_000_000).height == 34


@pytest.mark.data
def test_published_nodes(data):
    nodes = READER.read_nodes(data / "openb" / "openb_node_list_gpu_node.csv", Options())
    assert (nodes.height, nodes["gpu_count"].sum()) == (1213, 6212)
    assert (nodes["cpu_milli"].sum(), nodes["memory_bytes"].sum() >> 20) == (107_018_000, 503_828_480)
    models = dict(nodes.group_by("gpu_model").agg(pl.col("gpu_count").sum()).rows())
    assert models == {"G2": 4392, "T4": 842, "G3": 312, "P100": 265, "V100M32": 204, "V100M16": 195, "A10": 2}
    every = READER.read_nodes(data / "openb" / "openb_node_list_all_node.csv", Options())
    assert (every.height, every["cpu_milli"].sum()) == (1523, 125_514_000)
