"""``kscale fit``: every form of the output, pods of a file, and wrong input."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cli.conftest import Cli
from tests.cli.test_explain import write
from tests.test_verdicts import TAINT, node, pod


@pytest.fixture
def cluster(tmp_path: Path) -> Path:
    write(
        tmp_path,
        [node("a1"), node("a2"), node("a3", taints=TAINT), pod("x", 2500, on="a1"), pod("p", 500), pod("q", 9000)],
    )
    return tmp_path


EVENT = "0/3 nodes are available: 1 node(s) had untolerated taint {a: b}, 2 Insufficient cpu."


def data(cli: Cli, *words: object) -> Any:
    done = cli("fit", *words, "-f", "cluster.json", "-o", "json", "-q")
    assert done.code == 0 and done.err == "", done.err
    found = json.loads(done.out)
    assert yaml.safe_load(cli("fit", *words, "-f", "cluster.json", "-o", "yaml", "-q").out) == found
    return found["pods"]


def test_json_and_yaml(cli: Cli, cluster: Path) -> None:
    assert data(cli, "p") == [
        {"pod": "default/p", "fits": 11, "limited": False, "message": EVENT, "nodes": {"a1": 3, "a2": 8}}
    ]
    assert data(cli, "p", "--limit", 2) == [
        {"pod": "default/p", "fits": 2, "limited": True, "message": None, "nodes": {"a2": 2}}
    ]
    assert [one["fits"] for one in data(cli, "x", "p", "default/x")] == [1, 11]
    assert [one["fits"] for one in data(cli, "x", "p", "--together")] == [1, 6]


def test_tables(cli: Cli, cluster: Path) -> None:
    done = cli("fit", "p", "q", "-f", "cluster.json")
    assert done.code == 0
    assert (
        f"default/p: 11 more fit, on 2 nodes\nthe next one: {EVENT}\n" in done.out
        and "default/q: 0 more fit\n" in done.out
    )
    assert "by node\nnode  fits\na2       8\na1       3\n" in "\n".join(map(str.rstrip, done.out.splitlines()))
    limited = cli("fit", "p", "-f", "cluster.json", "--limit", 1).out
    assert "default/p: at least 1 more fits, on 1 node\nthe next one: the limit of 1 was reached\n" in limited
    assert (
        cli("fit", "p", "q", "-f", "cluster.json", "-o", "csv").out == "pod,node,fits\ndefault/p,a1,3\ndefault/p,a2,8\n"
    )
    assert "| default/p | a1 | 3 |" in cli("fit", "p", "-f", "cluster.json", "-o", "markdown").out


def test_many_nodes(cli: Cli, tmp_path: Path) -> None:
    write(tmp_path, [*(node(f"n{number:02}") for number in range(30)), pod("p", 2000)])
    assert "(10 more nodes with -o wide)" in cli("fit", "p", "-f", "cluster.json").out
    wide = cli("fit", "p", "-f", "cluster.json", "-o", "wide").out
    assert all(f"\nn{number:02} " in wide for number in range(30)) and "more nodes with" not in wide


def test_pods_of_a_file(cli: Cli, cluster: Path) -> None:
    write(
        cluster,
        [pod("new", 4000), {**pod("other", 1000), "metadata": {"name": "other", "namespace": "shop"}}],
        "new.json",
    )
    found = data(cli, "--pod", "new.json")
    assert [(one["pod"], one["fits"]) for one in found] == [("default/new", 1), ("shop/other", 5)]
    assert [one["pod"] for one in data(cli, "p", "--pod", "new.json")] == ["default/p", "default/new", "shop/other"]


def test_wrong_input_is_one_line(cli: Cli, cluster: Path) -> None:
    write(cluster, [node("z")], "nodes.json")
    for words, expected in (
        ((), "kscale: PODS is missing; expected names of pods, or --pod FILE"),
        (("pp",), "kscale: field 'POD': there is no pod 'pp'"),
        (("p", "--limit", 0), "kscale: field '--limit': is 0; expected 1 to 10,000,000"),
        (("p", "--limit", "x"), "kscale: field '--limit': cannot be 'x'"),
        (("--pod", "none.json"), "kscale: none.json: does not exist"),
        (("--pod", "nodes.json"), "kscale: nodes.json: has no pods"),
        (("--pod=-",), "kscale: field '--pod': cannot be standard input"),
        (("--pod", "cluster.json"), "kscale: cluster.json, item 1 (Node a1): is there twice"),
    ):
        done = cli("fit", *words, "-f", "cluster.json")
        assert done.code == 2 and done.line.startswith(expected), done.line
