"""A published trace with its times: every pod is placed, started and ended, and the books balance all the way."""

from __future__ import annotations

import os
from pathlib import Path

import polars as pl
import pytest

from kscale.replay import Plan, replay
from kscale.traces.common import opening


def conserved(folder: Path, pods: int) -> None:
    """Check that every pod of a run was placed, started and ended, in this order of times."""
    table = pl.read_parquet(folder / "pods.parquet")
    assert table.height == pods
    assert (table["status"] == "succeeded").all()
    assert (table["arrived_us"] <= table["bound_us"]).all()
    assert (table["bound_us"] == table["started_us"]).all()
    assert (table["started_us"] <= table["ended_us"]).all()
    assert sorted(table["decision"].to_list()) == list(range(pods))
    last = pl.read_parquet(folder / "timeline.parquet").row(-1, named=True)
    assert (last["arrived_pods"], last["running_pods"], last["waiting_pods"]) == (pods, 0, 0)


@pytest.mark.data
def test_openb_on_all_its_nodes(tmp_path: Path) -> None:
    source = Path(os.environ["KSCALE_DATA"]) / "data" / "openb"
    nodes = source / "openb_node_list_all_node.csv"
    run, _ = replay(Plan(source / "openb_pod_list_default.csv", str(nodes), tmp_path / "run", check=True))
    assert run.counts["nodes"] == 1523
    assert run.invariants["control_points"] > 500
    assert run.invariants["violations"] == 0
    conserved(tmp_path / "run", 8152)


def test_the_bundled_day_on_its_nodes(tmp_path: Path) -> None:
    folder = opening.bundled()
    run, _ = replay(Plan(folder / "day.parquet", str(folder / "day-nodes.parquet"), tmp_path / "run", check=True))
    assert run.invariants["control_points"] > 500
    conserved(tmp_path / "run", 4000)
    waited = pl.read_parquet(tmp_path / "run" / "pods.parquet").filter(pl.col("bound_us") > pl.col("arrived_us"))
    assert waited.height > 1000
    assert waited["reason"].null_count() == 0
