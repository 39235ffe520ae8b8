"""Traffic at the door: tables and report of a run, and what is said where a scenario is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.living.stage import workload

SERVICE = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
           "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]}}  # fmt: skip

LOST = ("terminating", "not_ready", "gone")


def written(folder: Path, traffic: dict[str, Any]) -> list[Any]:
    """Write a Service, its pods and their traffic; return the arguments that replay them."""
    objects = [SERVICE, workload("Deployment", "web", replicas=3)]
    (folder / "objects.json").write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
    actions = [{"at": "1m", "traffic": traffic}, {"at": "3m", "restart": "deployment/web"}]
    (folder / "scenario.json").write_text(json.dumps(actions))
    return ["replay", "-f", "objects.json", "--scenario", "scenario.json", "--nodes", "8cpu,32Gi:3", "--until", "5m",
            "--out", "run"]  # fmt: skip


def test_a_run_with_traffic(cli: Any, tmp_path: Path) -> None:
    done = cli(*written(tmp_path, {"to": "web", "rate": 2000, "duration": "300ms"}))
    assert done.code == 0
    assert "traffic" in done.out
    tables = {name: pl.read_parquet(tmp_path / "run" / f"{name}.parquet") for name in
              ("traffic", "traffic_endpoints", "traffic_stale")}  # fmt: skip
    total = tables["traffic"]["connections"].sum()
    assert abs(total - 240 * 2000) < 5 * (240 * 2000) ** 0.5
    assert tables["traffic_endpoints"].height == 6
    assert tables["traffic_stale"].height == 3
    assert (tmp_path / "run" / "figures" / "traffic.svg").exists()
    report = (tmp_path / "run" / "report.md").read_text()
    assert f"Of {total:,} connections" in report
    told = json.loads(cli("report", "run", "-o", "json").out)["headline"]
    headline = {row["metric"]: row["value"] for row in told}
    assert headline["connections"] == total
    assert headline["connections_astray"] == sum(tables["traffic"][name].sum() for name in LOST)


@pytest.mark.parametrize(
    ("traffic", "options", "words"),
    [
        ({"to": "wbe", "rate": 1}, [], "field 'traffic.to': there is no Service 'wbe'"),
        ({"to": "web", "rate": "many"}, [], "field 'traffic.rate'"),
        ({"to": "web", "rate": 1}, ["--proxy-mode", "none"], "needs kube-proxies"),
    ],
)
def test_what_is_wrong_is_one_line(
    cli: Any, tmp_path: Path, traffic: dict[str, Any], options: list[str], words: str
) -> None:
    done = cli(*written(tmp_path, traffic), *options, "-q")
    assert (done.code, done.out) == (2, "")
    assert words in done.err
    assert len(done.err.strip().splitlines()) == 1
    assert not (tmp_path / "run").exists()
    assert {one.name for one in tmp_path.iterdir()} == {"objects.json", "scenario.json"}
