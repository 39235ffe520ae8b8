from importlib import import_module

import polars as pl
import pytest

from kscale.errors import InputError
from kscale.traces import Options, Reader
from kscale.traces.common import specs
from kscale.traces.common.opening import bundled, check_models, open_trace, read_nodes, reader_of, readers

#: What a file of each format begins with, as the test of its reader says in ``HEAD``.
HEADS = {name: import_module(f"tests.traces.test_{name}").HEAD for name in readers()}


def test_the_shelf_holds_the_readers():
    assert {"own", "openb", "swf"} <= set(readers())
    for name, reader in readers().items():
        assert isinstance(reader, Reader)
        assert reader.name == name
        assert reader.doc.endswith(".")


@pytest.mark.parametrize("name", HEADS)
def test_formats_are_found_by_looking(write, name):
    packed = isinstance(HEADS[name], str)  # tables in binary are packed within
    path = write("some.gz" if packed else "some", HEADS[name])
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
    with pytest.raises(InputError, match=f"is of no known format; expected one of {', '.join(readers())}"):
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


def test_folders_of_no_format(tmp_path):
    expected = "expected a file, or a folder with the tables of a known format"
    with pytest.raises(InputError, match=f"is a directory; {expected}"):
        open_trace(tmp_path)
