"""``kscale explain``: every form of the output, many nodes, and wrong input."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cli.conftest import Cli
from tests.test_explain import BOUND, NODES, PENDING
from tests.test_verdicts import BUDGET, CLASSES, TAINT, node, pod


def write(folder: Path, objects: list[dict[str, Any]], name: str = "cluster.json") -> None:
    """Write objects as a list; pods on a node run there."""
    running = {"status": {"phase": "Running"}}
    objects = [one | (running if "nodeName" in one.get("spec", {}) else {}) for one in objects]
    (folder / name).write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))


@pytest.fixture
def cluster(tmp_path: Path) -> Path:
    write(tmp_path, [*CLASSES, BUDGET, *NODES, *BOUND, *PENDING])
    return tmp_path


def data(cli: Cli, *words: object) -> Any:
    done = cli("explain", *words, "-f", "cluster.json", "-o", "json", "-q")
    assert done.code == 0 and done.err == "", done.err
    return json.loads(done.out)


def test_json_tells_all(cli: Cli, cluster: Path) -> None:
    found = data(cli, "vip")
    assert list(found) == [
        "pod", "profile", "bound_to", "after", "status", "node", "victims", "message", "why", "ties", "prefilter",
        "nodes",
    ]  # fmt: skip
    assert (found["pod"], found["status"], found["node"]) == ("default/vip", "preempted", "b1")
    assert found["victims"] == ["default/web-1"] and found["prefilter"] is None and found["bound_to"] is None
    assert found["nodes"][0] == {
        "node": "a1", "fits": False, "plugin": "NodeResourcesFit", "code": "Unschedulable",
        "reasons": ["Insufficient cpu"], "rejected_by": ["NodeResourcesFit"], "total": None, "scores": {},
        "evicting": {"helps": True, "victims": ["default/db-0"], "budgets_broken": 1, "reasons": []},
    }  # fmt: skip
    small = data(cli, "small")
    best = small["nodes"][3]
    assert best["fits"] and best["total"] == 417 and best["code"] == "Success" and best["evicting"] is None
    assert best["scores"]["TaintToleration"] == {"raw": 0, "points": 100, "weight": 3}
    assert sum(score["points"] * score["weight"] for score in best["scores"].values()) == 417
    claims = data(cli, "claims")
    assert claims["nodes"] == [] and claims["prefilter"]["plugin"] == "VolumeRestrictions"


def test_yaml_is_the_same(cli: Cli, cluster: Path) -> None:
    for name in ("vip", "small", "claims", "gated"):
        done = cli("explain", name, "-f", "cluster.json", "-o", "yaml")
        assert done.code == 0 and yaml.safe_load(done.out) == data(cli, name)


def test_csv_has_a_row_for_each_node(cli: Cli, cluster: Path) -> None:
    for name in ("vip", "small"):
        rows = list(csv.DictReader(io.StringIO(cli("explain", name, "-f", "cluster.json", "-o", "csv").out)))
        known = data(cli, name)["nodes"]
        assert [row["node"] for row in rows] == [one["node"] for one in known]
        for row, one in zip(rows, known, strict=True):
            assert row["total"] == ("" if one["total"] is None else str(one["total"]))
            assert row["code"] == one["code"] and row["reasons"] == "; ".join(one["reasons"])
            for plugin, score in one["scores"].items():
                assert all(row[f"{plugin} {what}"] == str(score[what]) for what in ("raw", "points", "weight"))
            assert row["victims"] == " ".join((one["evicting"] or {"victims": []})["victims"])


def test_tables_fit_the_terminal(cli: Cli, cluster: Path) -> None:
    for name in ("big", "vip", "small", "claims", "gated", "db-0"):
        done = cli("explain", name, "-f", "cluster.json")
        assert done.code == 0
        known = data(cli, name)
        lines = done.out.splitlines()
        assert lines[0].startswith(f"default/{name}: {known['status']}") and lines[1] == known["why"]
        assert lines[2] == f"event: {known['message']}"
        assert max(map(len, lines[4:]), default=0) <= 80
        assert all(one["node"] in done.out for one in known["nodes"])
    wide = cli("explain", "small", "-f", "cluster.json", "-o", "wide").out
    assert "NodeResourcesBalancedAllocation × 1" in wide and "UnschedulableAndUnresolvable" in wide
    vip = cli("explain", "vip", "-f", "cluster.json").out
    assert "3 nodes where evicting pods makes room" in vip and "1 victim" in vip and "not helpful" in vip
    assert "default/vip: preempted on b1, for which 1 pod would be evicted\n" in vip
    assert "default/db-0: scheduled on a1 (bound to a1 now)\n" in cli("explain", "db-0", "-f", "cluster.json").out


def test_many_nodes_are_told_by_reason(cli: Cli, tmp_path: Path) -> None:
    nodes = [node(f"n{number:02}", taints=TAINT if number % 3 else []) for number in range(60)]
    taken = [pod(f"x{number}", 3500, on=f"n{number:02}") for number in range(0, 60, 6)]
    write(tmp_path, [*nodes, *taken, pod("p", 1000), pod("huge", 9000)])
    huge = cli("explain", "huge", "-f", "cluster.json").out
    assert "60 nodes where it does not fit" in huge and "n01 n02 n04 …" in huge and "no victims" not in huge
    assert len(huge.splitlines()) < 25
    some = cli("explain", "p", "-f", "cluster.json").out
    assert "10 nodes where it fits" in some and "50 nodes where it does not fit" in some
    wide = cli("explain", "p", "-f", "cluster.json", "-o", "wide").out
    assert all(f"\nn{number:02} " in wide for number in range(60))
    write(tmp_path, [*(node(f"n{number:02}") for number in range(30)), pod("p", 1000)])
    many = cli("explain", "p", "-f", "cluster.json").out
    assert "(10 more nodes with -o wide)" in many and "n00 is the first of 30 nodes" in many


def test_what_comes_before_it_and_a_configuration(cli: Cli, cluster: Path) -> None:
    assert data(cli, "small", "--after", "queue")["after"] == 3
    assert data(cli, "vip", "--after", "given")["after"] == 1
    (cluster / "config.yaml").write_text(
        "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n"
        "profiles: [{plugins: {score: {disabled: [{name: TaintToleration}]}}}]\n"
    )
    found = data(cli, "small", "--config", "config.yaml")
    assert found["nodes"][3]["total"] == 117 and "TaintToleration" not in found["nodes"][3]["scores"]
    write(cluster, [{**pod("p", 100), "metadata": {"name": "p", "namespace": "shop"}}], "more.json")
    assert data(cli, "p", "-n", "shop", "-f", "more.json")["pod"] == "shop/p"


def test_wrong_input_is_one_line(cli: Cli, cluster: Path) -> None:
    for words, expected in (
        (("smal", "-f", "cluster.json"), "kscale: field 'POD': there is no pod 'smal'; did you mean default/small?"),
        (("small",), "kscale: -f is missing; expected kscale explain POD -f …"),
        (("-f", "cluster.json"), "kscale: POD is missing"),
        (("small", "-f", "none.json"), "kscale: none.json: does not exist"),
        (("small", "-f", "cluster.json", "-n", "shop"), "kscale: field 'POD': there is no pod 'small'"),
        (("small", "-f", "cluster.json", "--after", "all"), "kscale: field '--after': there is no 'all'"),
        (("small", "-f", "cluster.json", "--config", "none"), "kscale: none: "),
    ):
        done = cli("explain", *words)
        assert done.code == 2 and done.line.startswith(expected), done.line
    write(cluster, [pod("p")], "lone.json")
    assert "has no Node" in cli("explain", "p", "-f", "lone.json").line


def test_notes_go_to_standard_error(cli: Cli, cluster: Path) -> None:
    done = cli("explain", "small", "-f", "cluster.json", "-o", "json")
    assert done.err == "" or done.err.startswith("note: ")
    json.loads(done.out)
