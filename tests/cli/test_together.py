"""A trace, manifests and a scenario in one replay: pods of all on the same nodes, and tables that agree."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from kscale.engine.outputs import LIVING_OUTPUTS, OUTPUTS
from tests.cli.conftest import Cli
from tests.living.stage import workload

PODS = ["name,arrival,duration,cpu,memory"] + [f"train-{k},{10 * k},{45 + k},1500m,1Gi" for k in range(24)]
OBJECTS = [
    workload("Deployment", "web", replicas=5), workload("StatefulSet", "db", replicas=2),
    workload("DaemonSet", "agent"),
    workload("Job", "batch", {"kscale.dev/run-time": "30s"}, completions=4, parallelism=2),
    workload("Job", "broken", {"kscale.dev/run-time": "10s", "kscale.dev/exit-code": "3"}, backoffLimit=1),
]  # fmt: skip
ACTIONS = [
    {"at": "1m", "image": {"target": "deployment/web", "containers": {"web": "web:2"}}},
    {"at": "90s", "delete": {"pods": "app=db"}},
    {"at": "2m", "scale": {"target": "deployment/web", "replicas": 2}},
    {"at": "5m", "delete": {"target": "statefulset/db", "cascade": "foreground"}},
]


@pytest.fixture
def played(cli: Cli, tmp_path: Path) -> Path:
    (tmp_path / "trace.csv").write_text("\n".join(PODS) + "\n")
    (tmp_path / "objects.json").write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": OBJECTS}))
    (tmp_path / "scenario.json").write_text(json.dumps(ACTIONS))
    done = cli(
        "replay", "trace.csv", "-f", "objects.json", "--scenario", "scenario.json", "--nodes", "4cpu,8Gi:3", "--until",
        "10m", "--out", "run", "--check", "-q",
    )  # fmt: skip
    assert done.code == 0 and done.err == ""
    return tmp_path / "run"


def test_pods_of_a_trace_and_of_controllers_share_nodes_and_tables_agree(played: Path) -> None:
    run = json.loads((played / "run.json").read_text())
    tables = {name: pl.read_parquet(played / f"{name}.parquet") for name in (*OUTPUTS, *LIVING_OUTPUTS)}
    pods = tables["pods"]
    traced = pods.filter(pl.col("name").str.starts_with("train-"))
    assert traced.height == 24 and (traced["status"] == "succeeded").all()
    # The trace's pods fill the nodes, so that some of them wait, and stand beside those of controllers.
    assert (traced["bound_us"] > traced["arrived_us"]).any()
    both = pods.group_by("node").agg(pl.col("name").str.starts_with("train-").unique().len().alias("kinds"))
    assert both.filter(pl.col("node").is_not_null())["kinds"].to_list() == [2, 2, 2]
    _check_counts(run["counts"], tables)
    _check_names(pods)
    _check_objects(tables)
    assert [action["time_us"] // 10**6 for action in tables["actions"].to_dicts()] == [60, 90, 120, 300]
    assert {one["role"] for one in run["inputs"]} >= {"trace", "objects", "scenario"}


def _check_counts(counts: dict[str, int], tables: dict[str, pl.DataFrame]) -> None:
    pods, events = tables["pods"], tables["events"]
    statuses = dict(pods["status"].cast(pl.String).value_counts().iter_rows())
    assert counts["arrived"] == pods.height
    for status in ("running", "succeeded", "waiting", "deleted", "failed"):
        assert counts[status] == statuses.get(status, 0), status
    told = dict(events["kind"].cast(pl.String).value_counts().iter_rows())
    assert told["Arrived"] == pods.height and told["Scheduled"] == pods["bound_us"].is_not_null().sum()
    for kind in ("Deleted", "Succeeded", "Failed", "Evicted"):
        assert told.get(kind, 0) == statuses.get(kind.lower(), 0), kind
    assert (
        events.filter(pl.col("kind") == "Failed")["object"].str.starts_with("default/broken-").to_list() == [True] * 2
    )
    last = tables["timeline"].row(-1, named=True)
    assert (last["arrived_pods"], last["running_pods"]) == (pods.height, statuses["running"])
    assert tables["nodes"]["pods_bound"].sum() == told["Scheduled"]


def _check_names(pods: pl.DataFrame) -> None:
    """No two pods of one name are there at one time: db-0 comes again when the old one has gone."""
    again = pods.group_by("namespace", "name").len().filter(pl.col("len") > 1)
    assert set(again["name"]) == {"db-0", "db-1"}
    for (_, name), some in pods.group_by("namespace", "name"):
        some = some.sort("arrived_us")
        ended = some["ended_us"].fill_null(1 << 62).to_list()
        assert all(a <= b for a, b in zip(ended, some["arrived_us"].to_list()[1:], strict=False)), name


def _check_objects(tables: dict[str, pl.DataFrame]) -> None:
    objects, pods = tables["objects"], tables["pods"]
    running = pods.filter(pl.col("status") == "running", ~pl.col("name").str.starts_with("train-")).height
    assert objects["pods"].sum() == running == 2 + 3
    rows = {(row["kind"], row["name"]): row for row in objects.iter_rows(named=True)}
    assert ("StatefulSet", "db") not in rows and rows["Job", "batch"]["succeeded"] == 4
    assert rows["DaemonSet", "agent"]["ready"] == 3
    last = tables["rollouts"].filter(pl.col("name") == "web").row(-1, named=True)
    assert (last["wanted"], last["updated"], last["available"]) == (2, 2, 2)


def test_the_folder_is_whole_and_reads_back(cli: Cli, played: Path) -> None:
    assert cli("report", "run", "-o", "json").code == 0
    assert (played / "report.html").stat().st_size > 10_000


EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"


def test_the_example_of_the_readme_goes_as_its_comments_say(cli: Cli, tmp_path: Path) -> None:
    done = cli(
        "replay", "-f", EXAMPLES / "shop", "--scenario", EXAMPLES / "shop-day.yaml", "--nodes", "16cpu,64Gi:6",
        "--until", "2h40m", "--out", "run", "-q",
    )  # fmt: skip
    assert done.code == 0 and done.err == ""
    front = pl.read_parquet(tmp_path / "run" / "rollouts.parquet").filter(
        pl.col("name") == "front", pl.col("kind") == "Deployment"
    )
    # The image that nobody has pushed holds the rollout up from 2h to 2h20m, and takes no pod away that serves.
    stuck = front.filter(pl.col("time_us").is_between(7_260_000_000, 8_399_000_000))
    assert (stuck["updated"] < stuck["wanted"]).all() and stuck["available"].is_sorted() and stuck.height > 0
    assert stuck["available"].min() > 20
    last = front.row(-1, named=True)
    assert last["updated"] == last["available"] == last["wanted"] > 20
    assert pl.read_parquet(tmp_path / "run" / "objects.parquet")["restarts"].sum() > 10
