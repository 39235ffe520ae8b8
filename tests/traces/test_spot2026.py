"""The reader of Alibaba's spot GPU trace 2026."""

import pytest

from kscale.errors import InputError
from kscale.traces import NODES, PODS, Options
from kscale.traces.common import files, tables
from kscale.traces.common.opening import open_trace, read_nodes, reader_of
from kscale.traces.spot2026 import PRIORITIES, READER

HEADER = "job_name,organization,gpu_model,cpu_request,gpu_request,worker_num,submit_time,duration,job_type\n"
ROWS = (
    "j1,o1,A10,8,1,2,0,100,HP\n"
    "j2,o2,H800,96.5,8,1,10.5,1000.25,Spot\n"
    "j3,o2,A10,4,0.5,1,11,,Spot\n"
    "j4,,,4,0,1,12,5,HP\n"
    "j5,o2,A10,4,1,0,13,5,Spot\n"
)
NODE_HEADER = "gpu_model,gpu_capacity_num,cpu_num,node_name\n"
NODE_ROWS = "GPU-series-1,4,192,0\nA10,1,128,1\n,0,64,2\n"

#: What a file of the format begins with.
HEAD = HEADER + "j1,o1,A10,8,1,1,0,100,HP\n"


def flat(trace):
    return trace.pods.join(trace.specs.with_row_index("spec"), on="spec", maintain_order="left")


@pytest.fixture
def folder(write):
    write("node_info_df.csv", NODE_HEADER + NODE_ROWS)
    return write("job_info_df.csv", HEADER + ROWS).parent


def test_jobs_are_their_workers(folder):
    trace = open_trace(folder)
    assert (trace.format, trace.dropped) == ("spot2026", {})
    assert dict(trace.pods.schema) == PODS
    assert PRIORITIES["HP"] > PRIORITIES["Spot"]
    pods = flat(trace)
    assert pods.select("name", "owner", "arrival_us", "duration_us", "end_us").rows() == [
        ("j1-0", "j1", 0, 100_000_000, None),
        ("j1-1", "j1", 0, 100_000_000, None),
        ("j2-0", "j2", 10_500_000, 1_000_250_000, None),
        ("j3-0", "j3", 11_000_000, None, None),
        ("j4-0", "j4", 12_000_000, 5_000_000, None),
    ]
    columns = ("cpu_milli", "memory_bytes", "gpu_count", "gpu_milli", "gpu_models", "priority")
    assert pods.select(columns).rows() == [
        (8000, None, 1, 1000, "A10", PRIORITIES["HP"]),
        (8000, None, 1, 1000, "A10", PRIORITIES["HP"]),
        (96_500, None, 8, 1000, "H800", PRIORITIES["Spot"]),
        (4000, None, 1, 500, "A10", PRIORITIES["Spot"]),
        (4000, None, 0, 0, None, PRIORITIES["HP"]),
    ]
    assert "5 jobs are 5 pods" in trace.notes[0]
    assert "1 jobs without a duration never end, 1 have no workers" in trace.notes[0]
    assert "a node has 1Ti" in trace.notes[-1]


def test_nodes(folder):
    nodes = open_trace(folder, options=Options(machine_unit="2Ti")).nodes
    assert dict(nodes.schema) == NODES
    assert nodes.select("name", "cpu_milli", "memory_bytes", "gpu_count", "gpu_model", "labels").rows() == [
        ("node-0", 192_000, 2 << 40, 4, "GPU-series-1", "gpu-model=GPU-series-1"),
        ("node-1", 128_000, 2 << 40, 1, "A10", "gpu-model=A10"),
        ("node-2", 64_000, 2 << 40, 0, None, None),
    ]
    assert read_nodes(folder / "node_info_df.csv")["memory_bytes"].unique().to_list() == [1 << 40]


def test_a_file_of_jobs_alone(write):
    path = write("x.csv.gz", HEADER + ROWS)
    assert reader_of(path).name == "spot2026"
    trace = open_trace(path)
    assert trace.nodes is None
    assert "has no nodes" in trace.notes[-1]
    with pytest.raises(InputError, match="it looks like a node list of the format spot2026"):
        open_trace(write("n.csv", NODE_HEADER + NODE_ROWS))


def test_a_folder_without_jobs(write):
    path = write("node_info_df.csv", NODE_HEADER + NODE_ROWS)
    with pytest.raises(InputError, match="holds 0 tables of jobs and 1 of nodes; expected one job_info_df"):
        open_trace(path.parent, "spot2026")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("j,o,A10,8,1,2,0,100,Best", "row 1, field 'job_type': 'Best' is no type of jobs; expected HP or Spot"),
        ("j,o,A10,8,1,1.5,0,100,HP", "row 1, field 'worker_num': '1.5' is not a whole number"),
        ("j,o,A10,-8,1,1,0,100,HP", "row 1, field 'cpu_request': '-8' is negative"),
        ("j,o,A10,8,1,1,,100,HP", "row 1, field 'submit_time': is missing"),
        ("j,o,a b,8,1,1,0,100,HP", "row 1, field 'gpu_model': '.*' is not a label value"),
        ("j1,o,A10,8,1,1,0,100,HP\nj1,o,A10,8,1,1,0,100,HP", "row 2, field 'job_name': 'j1' occurs twice"),
    ],
)
def test_bad_rows_are_told(write, row, message):
    path = write("job_info_df.csv", HEADER + row + "\n")
    with pytest.raises(InputError, match=message):
        READER.read(path, Options())
    assert sum(READER.read(path, Options(lenient=True)).dropped.values()) == 1


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("A10,65,1,n", "field 'gpu_capacity_num': '65' is too large"),
        ("A10,1.5,1,n", "field 'gpu_capacity_num': '1.5' is not a whole number"),
        (",1,1,n", "field 'gpu_model': is missing"),
        ("A10,1,1,n\nA10,1,1,n", "row 2, field 'node_name': 'n' occurs twice"),
        ("", "has no nodes"),
    ],
)
def test_bad_nodes_are_told(write, row, message):
    with pytest.raises(InputError, match=message):
        READER.read_nodes(write("n.csv", NODE_HEADER + row + "\n"), Options())


def test_where_portions_are_cut_changes_nothing(folder, monkeypatch):
    whole = open_trace(folder)
    monkeypatch.setattr(files, "BATCH_BYTES", 110)
    monkeypatch.setattr(tables, "PORTION", 1)
    trace = open_trace(folder)
    assert trace.pods.equals(whole.pods)
    assert trace.specs.equals(whole.specs)
    assert trace.notes == whole.notes


@pytest.mark.data
def test_published_nodes(data):
    nodes = read_nodes(data / "other" / "spotgpu2026" / "node_info_df.csv")
    assert (nodes.height, nodes["gpu_count"].sum()) == (4278, 10_412)
    assert dict(nodes.group_by("gpu_model").len().rows()) == {
        "A10": 2494, "GPU-series-1": 989, "A100-SXM4-80GB": 432, "H800": 219, "GPU-series-2": 122,
        "A800-SXM4-80GB": 22,
    }  # fmt: skip
    assert set(nodes.filter(gpu_model="GPU-series-1")["gpu_count"]) == {1, 4, 8}
