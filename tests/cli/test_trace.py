"""``kscale trace convert``: nodes and node events beside the pods."""

import json

import polars as pl
import pytest

from kscale.traces import NODE_EVENTS, Reader, Rest
from kscale.traces.common import opening, specs

EVENTS = pl.DataFrame({"time_us": [5], "node": ["n1"], "event": ["leave"]})


def _portions(path, options):
    yield pl.DataFrame({"name": ["a"], "namespace": ["default"], "arrival_us": [1], "cpu_milli": [5]})
    nodes = pl.DataFrame({"name": ["n1"], "cpu_milli": [4000], "memory_bytes": [1 << 30]})
    return Rest(("made: by hand.",), specs.conform_nodes(nodes), node_events=specs.conform(EVENTS, NODE_EVENTS))


@pytest.fixture
def made(monkeypatch, tmp_path):
    """A trace of a format that has nodes and node events of its own."""
    reader = Reader(
        "made",
        "By hand.",
        lambda path, head: head.startswith(b"made"),
        specs.reading("made", _portions),
        portions=_portions,
    )
    known = opening.readers()
    monkeypatch.setattr(opening, "readers", lambda: known | {"made": reader})
    (tmp_path / "t.made").write_text("made")
    return "t.made"


def test_a_trace_gives_its_nodes_and_their_events(cli, made):
    done = cli("trace", "convert", made, "p.csv", "--nodes-out", "n.csv", "--events-out", "e.csv")
    assert done.code == 0
    assert done.out.splitlines() == ["p.csv: 1 pods", "n.csv: 1 nodes", "e.csv: 1 node events"]
    assert "made: by hand." in done.err
    assert opening.read_nodes("n.csv")["name"].to_list() == ["n1"]
    assert pl.read_csv("e.csv").select("time_us", "node", "event").rows() == [(5, "n1", "leave")]


def test_nodes_that_are_given_come_before_those_of_the_trace(cli, made):
    assert cli("trace", "convert", made, "p.csv", "--nodes", "8cpu,8Gi:3", "--nodes-out", "n.csv").code == 0
    assert opening.read_nodes("n.csv").height == 3


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--nodes-out", "n.csv"], "'--nodes-out': the trace has no nodes of its own; expected --nodes too"),
        (["--events-out", "e.csv"], "'--events-out': the trace has no node events"),
        (["--events-out", "./out.csv"], "is the file for the pods too"),
        (["--nodes-out", "n.csv", "--events-out", "n.csv"], "is the file for the nodes too"),
        (["--events-out", "n.txt"], "n.txt: has no ending of a format"),
    ],
)
def test_what_a_trace_does_not_have_is_refused_and_nothing_written(cli, tmp_path, options, said):
    (tmp_path / "pods.csv").write_text("name,arrival_us\na,1\n")
    done = cli("trace", "convert", "pods.csv", "out.csv", *options)
    assert done.code == 2
    assert said in done.err
    assert [path.name for path in tmp_path.iterdir()] == ["pods.csv"]


def _pods(tmp_path, rows=400):
    lines = [f"p{i},o{i // 4},{i},n{i % 5}" for i in range(rows)]
    (tmp_path / "pods.csv").write_text("name,owner,arrival,node_name\n" + "\n".join(lines) + "\n")


@pytest.mark.parametrize("by", ["owner", "machine", "time"])
def test_a_sample_is_written_and_the_same_again(cli, tmp_path, by):
    _pods(tmp_path)
    texts = []
    for out in ("a.csv", "b.csv"):
        command = ("trace", "sample", "pods.csv", out, "--by", by, "--share", "0.4", "--seed", "3")
        done = cli(*command, "--nodes", "8cpu,8Gi:5", "--nodes-out", "n.csv")
        assert done.code == 0, done.err
        texts.append((tmp_path / out).read_text())
    assert texts[0] == texts[1]
    rows = texts[0].count("\n") - 1
    assert 0 < rows < 400
    assert done.out.startswith(f"b.csv: {rows} pods\nn.csv: ")
    assert opening.read_nodes("n.csv").height == int(done.out.split()[-2]) and (by != "time" or "5 nodes" in done.out)


def test_a_window_is_cut_out(cli, tmp_path):
    _pods(tmp_path)
    assert cli("trace", "sample", "pods.csv", "a.csv", "--by", "time", "--from", "1m", "--until", "100s").code == 0
    found = opening.open_trace(tmp_path / "a.csv").pods
    assert found["name"].to_list() == [f"p{i}" for i in range(60, 100)]
    assert found["arrival_us"].to_list() == [i * 1_000_000 for i in range(40)]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "'--share': is missing"),
        (["--share", "2"], "'--share': 2.0 is out of range"),
        (["--share", "0.5", "--until", "1d"], "--from and --until are for --by time"),
        (["--by", "time", "--share", "0.5", "--from", "1d"], "--share says nothing with --from or --until"),
        (["--by", "time", "--from", "2d", "--until", "1d"], "'--from': is not before --until"),
        (["--by", "machine", "--share", "0.5"], "does not say on which node a pod ran"),
        (["--share", "0.5", "--seed", "-1"], "'--seed': is out of range"),
    ],
)
def test_samples_that_cannot_be_taken(cli, tmp_path, options, said):
    (tmp_path / "pods.csv").write_text("name,arrival\na,1\n")
    done = cli("trace", "sample", "pods.csv", "out.csv", *options)
    assert done.code == 2
    assert said in done.line
    assert [path.name for path in tmp_path.iterdir()] == ["pods.csv"]


def test_info_writes_figures_and_takes_the_nodes_of_the_trace(cli, made, tmp_path):
    done = cli("trace", "info", made, "--out", "figures", "-o", "json")
    assert done.code == 0
    tables = json.loads(done.out)
    assert tables["Load on the nodes"][0]["offered"] == 4000
    assert {row["what"]: row["value"] for row in tables["Overview"]}["node events in the trace"] == 1
    assert sorted(path.name for path in (tmp_path / "figures").iterdir()) == [
        "arrivals.svg",
        "load.svg",
        "requests.svg",
    ]
    assert "figure: figures/load.svg" in done.err


def test_info_refuses_a_file_in_place_of_its_folder(cli, made):
    done = cli("trace", "info", made, "--out", made)
    assert done.code == 2
    assert "t.made, field '--out': is a file" in done.err


def test_a_trace_is_replayed_on_its_own_nodes_as_they_change(cli, made, tmp_path):
    done = cli("replay", made, "--out", "run", "--check")
    assert done.code == 0, done.err
    assert "note: Node events: 1 leave." in done.err
    assert "--on-node-leave" in done.err
    events = pl.read_parquet(tmp_path / "run" / "events.parquet").select(
        pl.col("time_us"), pl.col("kind").cast(pl.String)
    )
    assert (5, "NodeLeft") in events.rows()
    assert (5, "Lost") in events.rows()
    nodes = pl.read_parquet(tmp_path / "run" / "nodes.parquet").row(0, named=True)
    assert (nodes["joined_us"], nodes["left_us"], nodes["present_us"]) == (0, 5, 5)
    timeline = pl.read_parquet(tmp_path / "run" / "timeline.parquet")
    assert timeline["allocatable_cpu"].to_list()[-1] == 0
    plain = cli("replay", made, "--out", "plain", "--node-events", "none")
    assert plain.code == 0
    assert "Node events" not in plain.err


WORLD = {
    "pods.csv": "name,arrival,duration,cpu\na,0,100,1\nb,10,100,1\n",
    "nodes.csv": "name,cpu,memory\nn0,1,1Gi\nn1,1,1Gi\n",
    "events.csv": "time,node,event\n20,n0,leave\n50,n0,join\n",
}


@pytest.fixture
def world(tmp_path):
    for name, content in WORLD.items():
        (tmp_path / name).write_text(content)


@pytest.mark.parametrize(("leaving", "statuses"), [("requeue", ["a", "a~r1", "b"]), ("fail", ["a", "b"])])
def test_node_events_of_a_file_are_replayed(cli, world, tmp_path, leaving, statuses):
    command = ("replay", "pods.csv", "--nodes", "nodes.csv", "--node-events", "events.csv", "--out", "run", "--check")
    done = cli(*command, "--on-node-leave", leaving)
    assert done.code == 0, done.err
    pods = pl.read_parquet(tmp_path / "run" / "pods.parquet").sort("name")
    assert pods["name"].to_list() == statuses
    assert pods["status"].to_list()[0] == "lost"
    assert "lost" in done.out
    if leaving == "requeue":
        assert pods["bound_us"].to_list()[1] == 50_000_000
    run = json.loads((tmp_path / "run" / "run.json").read_text())
    assert run["counts"]["lost"] == 1
    assert [one["role"] for one in run["inputs"]] == ["trace", "nodes", "node_events"]
    assert cli("report", "run").code == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--nodes", "nodes.csv", "--node-events", "none.csv"], "none.csv: does not exist"),
        (["--nodes", "nodes.csv", "--node-events", "pods.csv"], "field 'name': is not a column of the format"),
        (
            ["--nodes", "4cpu,4Gi", "--node-events", "events.csv"],
            "an event is of the node 'n0', which the node list does",
        ),
        (["--nodes", "nodes.csv", "--node-events", "events.csv", "--inflate"], "--node-events is for a trace in time"),
        ([], "pods.csv, field '--nodes': is missing, and the trace has no nodes of its own"),
    ],
)
def test_node_events_that_cannot_be_replayed(cli, world, tmp_path, options, said):
    done = cli("replay", "pods.csv", "--out", "run", *options)
    assert done.code == 2
    assert said in done.line
    assert not (tmp_path / "run").exists()
