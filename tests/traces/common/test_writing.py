import polars as pl
import pytest

from kscale.errors import InputError, MachineError
from kscale.traces.common import writing
from kscale.traces.common.opening import open_trace, read_nodes
from kscale.traces.common.writing import format_of, template, write_nodes, write_template, write_trace


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "parquet"])
@pytest.mark.parametrize("kind", ["pods", "nodes"])
def test_templates(tmp_path, ending, kind):
    path = tmp_path / f"t.{ending}"
    write_template(path, kind)
    assert (open_trace(path).pods if kind == "pods" else read_nodes(path)).height == template(kind).height
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_unfit_names(tmp_path):
    trace = open_trace(_pods(tmp_path))
    for path, message in (
        (tmp_path / "t.json", "expected a name that ends in .parquet, .csv or .csv.gz"),
        (tmp_path / "no" / "t.csv", "is no directory"),
        (tmp_path / "d.csv", "is a directory"),
    ):
        (tmp_path / "d.csv").mkdir(exist_ok=True)
        with pytest.raises(InputError, match=message):
            write_trace(trace, path)
    with pytest.raises(InputError, match="'jobs' is no kind of template; expected pods, nodes or node-events"):
        template("jobs")
    assert format_of(tmp_path / "a.csv.gz") == "csv.gz"


def _pods(tmp_path):
    path = tmp_path / "pods.csv"
    write_template(path)
    return path


def test_nothing_half_written_stays(tmp_path, monkeypatch):
    trace = open_trace(_pods(tmp_path))
    before = (tmp_path / "pods.csv").read_bytes()

    def full(self, path, **_kwargs):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pl.LazyFrame, "sink_csv", full)
    with pytest.raises(MachineError, match="No space left on device"):
        write_trace(trace, tmp_path / "pods.csv")
    assert [p.name for p in tmp_path.iterdir()] == ["pods.csv"]
    assert (tmp_path / "pods.csv").read_bytes() == before


def test_a_trace_without_times_is_written_without_them(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("name,cpu\nb,1\na,2\n")
    trace = open_trace(path)
    write_trace(trace, tmp_path / "u.parquet")
    assert "arrival_us" not in pl.read_parquet_schema(tmp_path / "u.parquet")
    again = open_trace(tmp_path / "u.parquet")
    assert not again.timed
    assert again.pods.equals(trace.pods)


def test_flat_has_a_row_a_pod(tmp_path):
    trace = open_trace(_pods(tmp_path))
    flat = writing.flat(trace).collect()
    assert flat["name"].to_list() == trace.pods["name"].to_list()
    assert flat["cpu_milli"].to_list() == [500, 500, 16_000, 250]


def test_nodes_are_written_whole(tmp_path):
    nodes = read_nodes("96cpu,512Gi,8xA100:2;1cpu,1Gi,3xa.b/c,k=v")
    write_nodes(nodes, tmp_path / "n.csv.gz")
    assert read_nodes(tmp_path / "n.csv.gz").equals(nodes)
