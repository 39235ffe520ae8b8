import polars as pl
import pytest

from kscale.errors import InputError
from kscale.traces import Options, Reader
from kscale.traces.common import specs
from kscale.traces.common.opening import bundled, check_models, open_trace, read_nodes, reader_of, readers

HEADS = {
    "openb": "name,cpu_milli,memory_mib,num_gpu,gpu_milli\na,1,1,0,0\n",
    "jobs2017": ",submit_time,duration,cpu,memory,job_id,task_id,instances_num,disk\n0,1,1,1,0.1,1,1,1,0\n",
    "swf": "1 0 0 1 1 0 0 1 1 1 1 1 1 1 1 1 1 1\n",
    "gpu2025": "instance_sn,role,app_name,cpu_request,gpu_request,rdma_request,memory_request,disk_request,"
    "creation_time,scheduled_time,deletion_time\ni,HN,a,1,0,0,1,1,,,\n",
    "own": "name,arrival_us,cpu\na,1,2\n",
}


def test_the_shelf_holds_the_readers():
    assert set(readers()) == set(HEADS)
    for name, reader in readers().items():
        assert isinstance(reader, Reader)
        assert reader.name == name
        assert reader.doc.endswith(".")


@pytest.mark.parametrize("name", HEADS)
def test_formats_are_found_by_looking(write, name):
    path = write("some.gz", HEADS[name])
    assert reader_of(path).name == name
    assert open_trace(path).format == name
    assert open_trace(path, name).pods.height == 1


@pytest.mark.parametrize(
    ("name", "column"),
    [("openb", "memory_mib"), ("jobs2017", "duration"), ("gpu2025", "app_name"), ("own", "name")],
)
def test_a_missing_column_is_told_by_the_right_reader(write, name, column):
    path = write("t.csv", HEADS[name].replace(column, "other", 1))
    with pytest.raises(InputError):
        open_trace(path)
    with pytest.raises(InputError, match=f"field '({column}|other)'"):
        open_trace(path, name)


def test_unknown_formats(write):
    path = write("t.csv", "x,y\n1,2\n")
    with pytest.raises(InputError, match="is of no known format; expected one of gpu2025, jobs2017, openb, own, swf"):
        open_trace(path)
    with pytest.raises(InputError, match="'open' is not a format; did you mean 'openb'"):
        open_trace(path, "open")
    nodes = write("n.csv", "sn,cpu_milli,memory_mib,gpu,model\nn,1,1,0,\n")
    with pytest.raises(InputError, match="it looks like a node list of the format openb"):
        open_trace(nodes)


def test_nodes_from_files_and_shapes(write):
    assert read_nodes(write("n.csv", "sn,cpu_milli,memory_mib,gpu,model\nn,1,1,0,\n"))["pods"].to_list() == [1001]
    assert read_nodes(write("n.csv", "name,cpu,memory\nn,1,1Gi\n"))["pods"].to_list() == [110]
    assert read_nodes("1cpu,1Gi:3").height == 3
    assert read_nodes("1cpu,1Gi," + ",".join(f"label{i}=x" for i in range(1000))).height == 1
    with pytest.raises(InputError, match=r"^nodes.csv: does not exist; expected a node file, or shapes such as"):
        read_nodes("nodes.csv")
    with pytest.raises(InputError, match="is no node list of a known format"):
        read_nodes(write("pods.csv", HEADS["own"]))
    with pytest.raises(InputError, match="is a directory"):
        read_nodes(write("x", "x").parent)


def test_unknown_models(write):
    path = write("t.csv", "")
    frame = pl.DataFrame({"name": ["a", "b", "c"], "gpu_count": [1, 0, 1], "gpu_models": ["T4", None, "G2|G1"]})
    trace = specs.build("openb", frame)
    nodes = read_nodes("1cpu,1Gi,2xT4")
    with pytest.raises(InputError, match=r"row 3, field 'gpu_spec': no node has the GPU model 'G2\|G1'; expected T4"):
        check_models(trace, nodes, path, Options())
    found = check_models(trace, nodes, path, Options(lenient=True))
    assert found.pods["name"].to_list() == ["a", "b"]
    assert found.dropped == {"gpu_models: no node has the model": 1}
    assert found.specs["gpu_models"].to_list() == ["T4", None]
    assert check_models(trace, read_nodes("1cpu,1Gi,2xT4;1cpu,1Gi,1xG1"), path, Options()).notes == (
        "GPU models that pods allow beside others, and no node has: G2.",
    )
    nodes = "1cpu,1Gi,2xT4;1cpu,1Gi,1xG1;1cpu,1Gi,1xG2"
    assert check_models(trace, read_nodes(nodes), path, Options()) is trace


def test_the_bundled_trace_is_found():
    assert (bundled() / "day.parquet").is_file()
