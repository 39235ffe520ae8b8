"""Wrong manifests and scenarios of a replay: one line with file and field, exit code 2, nothing left behind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Cli

NODES = "4cpu,8Gi:2"


def workload(kind: str, name: str, owner: tuple[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    owners = (
        [{"apiVersion": "apps/v1", "kind": owner[0], "name": owner[1], "uid": "u", "controller": True}] if owner else []
    )
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": "web", "image": "web:1"}]}}
    return {
        "apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name, "ownerReferences": owners},
        "spec": {"replicas": 1, "selector": {"matchLabels": {"app": name}}, "template": template, **spec},
    }  # fmt: skip


CYCLE = [workload("ReplicaSet", "a", ("ReplicaSet", "b")), workload("ReplicaSet", "b", ("ReplicaSet", "a"))]
#: What the objects are beside a Deployment, what the scenario says, and the file, the field and words of the line.
BAD: dict[str, tuple[list[dict[str, Any]], Any, tuple[str, ...]]] = {
    "unknown action": (
        [], [{"at": "1m", "scael": {"target": "deployment/web", "replicas": 2}}],
        ("scenario.json, action 1, field 'scael': is not known; did you mean 'scale'?",),
    ),
    "no action": ([], [{"at": "1m"}], ("scenario.json, action 1: has no verb; expected exactly one of",)),
    "two actions": (
        [], [{"at": "1m", "restart": "deployment/web", "pause": "deployment/web"}],
        ("scenario.json, action 1: has ", "pause and restart; expected exactly one of"),
    ),
    "unknown field": (
        [], [{"at": "1m", "scale": {"target": "deployment/web", "replica": 2}}],
        ("scenario.json, action 1, field 'scale.replica': is not known; did you mean 'replicas'?",),
    ),
    "unknown time": (
        [], [{"at": "1m", "restart": "deployment/web"}, {"when": "1m", "restart": "deployment/web"}],
        ("scenario.json, action 2, field 'when': is not known",),
    ),
    "no time": ([], [{"restart": "deployment/web"}], ("scenario.json, action 1",)),
    "a selector of nothing": (
        [], [{"at": "1m", "delete": {"pods": "app=nobody"}}],
        ("scenario.json, action 1, field 'delete.pods': selects no pod that may be there",),
    ),
    "a target that never was": (
        [], [{"at": "1m", "restart": "deployment/wbe"}],
        ("scenario.json, action 1, field 'restart", "there is no Deployment 'wbe'", "did you mean 'web'?"),
    ),
    "a target that is gone": (
        [], [{"at": "1m", "delete": "deployment/web"}, {"at": "2m", "restart": "deployment/web"}],
        ("scenario.json, action 2, field 'restart", "it was deleted by", "action 1, at 1m"),
    ),
    "a target that is not there yet": (
        [], [{"at": "2m", "apply": workload("Deployment", "api")}, {"at": "1m", "restart": "deployment/api"}],
        ("scenario.json, action 2, field 'restart", "there is no Deployment 'api'"),
    ),
    "a cycle that is applied": (
        [], [{"at": "1m", "apply": [workload("ReplicaSet", "a", ("ReplicaSet", "a"))]}],
        ("scenario.json, action 1", "(ReplicaSet default/a), field 'metadata.ownerReferences'", "expected no cycle"),
    ),
    "a cycle at the start": (
        CYCLE, [],
        ("objects.json, item 2 (ReplicaSet default/a), field 'metadata.ownerReferences': go in a circle: ",
         "ReplicaSet a -> ReplicaSet b -> ReplicaSet a"),
    ),
    "a negative count": (
        [workload("Deployment", "api", replicas=-1)], [],
        ("objects.json, item 2 (Deployment default/api), field 'spec.replicas': is -1",),
    ),
    "scaled to a negative count": (
        [], [{"at": "1m", "scale": {"target": "deployment/web", "replicas": -3}}],
        ("scenario.json, action 1, field 'scale.replicas': is -3",),
    ),
    "a negative count that is applied": (
        [], [{"at": "1m", "apply": workload("Deployment", "api", replicas=-1)}],
        ("scenario.json, action 1", "(Deployment default/api), field 'spec.replicas': is -1"),
    ),
    "no such revision": (
        [], [{"at": "1m", "rollback": {"target": "deployment/web", "to": 7}}],
        ("scenario.json, action 1, field 'rollback",),
    ),
    "no list": ([], "restart", ("scenario.json, action 1: is no mapping",)),
    "empty": ([], [], ()),
}  # fmt: skip


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_is_one_line_with_file_and_field(cli: Cli, tmp_path: Path, name: str) -> None:
    objects, actions, said = BAD[name]
    (tmp_path / "objects.json").write_text(
        json.dumps({"apiVersion": "v1", "kind": "List", "items": [workload("Deployment", "web"), *objects]})
    )
    (tmp_path / "scenario.json").write_text(json.dumps(actions))
    before = files(tmp_path)
    script = ("--scenario", "scenario.json") if actions or not objects else ()
    done = cli("replay", "-f", "objects.json", *script, "--nodes", NODES, "--out", "made/run")
    assert done.code == 2, done
    for words in said or ("scenario.json: has no actions",):
        assert words in done.line
    assert "; expected " in done.line or "; did you mean" in done.line
    assert files(tmp_path) == before and not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("-f", "objects.json"), "objects.json: has no Node; expected one node or more, or --nodes"),
        (("--scenario", "scenario.json"), "has no Node"),
        (("-f", "objects.json", "--nodes", "none.csv"), "none.csv"),
        (("pods.csv", "-f", "objects.json"), "field '--nodes': is missing"),
        (("pods.csv",), "field '--nodes': is missing"),
        (("-f", "objects.json", "--nodes", NODES, "--inflate"), "--inflate says nothing with -f"),
        (("pods.csv", "-f", "objects.json", "--nodes", NODES, "--inflate"), "--inflate says nothing with -f"),
        (("-f", "objects.json", "--nodes", NODES, "--ends", "recorded"), "--ends recorded says nothing with -f"),
        (("-f", "cluster.json", "--nodes", NODES), "field '--nodes': there are nodes among the objects, and others"),
        (("-f", "objects.json", "--scenario", "nope.yaml", "--nodes", NODES), "nope.yaml: does not exist"),
        (("-f", "nope.yaml", "--nodes", NODES), "nope.yaml: does not exist"),
        ((), "there is nothing to replay; expected a trace file, -f with Kubernetes objects, or --scenario"),
    ],
)
def test_what_does_not_go_together(cli: Cli, world: Path, arguments: tuple[str, ...], said: str) -> None:
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}, "status": {"allocatable": {"cpu": "4"}}}
    for name, items in (
        ("objects", [workload("Deployment", "web")]),
        ("cluster", [workload("Deployment", "web"), node]),
    ):
        (world / f"{name}.json").write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    (world / "scenario.json").write_text(json.dumps([{"at": "1m", "apply": workload("Deployment", "web")}]))
    (world / "none.csv").write_text("name,cpu,memory\n")
    before = files(world)
    done = cli("replay", *arguments, "--out", "run")
    assert done.code == 2 and said in done.line
    assert files(world) == before and not (world / "run").exists()
