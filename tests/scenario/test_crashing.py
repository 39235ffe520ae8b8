"""Whose pods a crash concerns: templates of workloads that crash are their own, and those of what they control."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from kscale.scenario import plan, read
from tests.scenario.stage import KINDS, gathered, workload, written

WEB = workload("Deployment", "web")


def yaml(*entries: dict[str, Any]) -> str:
    return msgspec.json.encode(entries).decode()


@pytest.mark.parametrize("crashing", [None, "rs/web", "rs/api", "deploy/web"])
def test_templates_of_workloads_that_crash_are_shared_with_no_others(tmp_path: Path, crashing: str | None) -> None:
    """Two ReplicaSets ask for the same pods; one is a Deployment's."""
    reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "controller": True}
    pods = workload("Deployment", "web")["spec"]["template"]
    sets = [workload("ReplicaSet", "web", metadata={"ownerReferences": [reference]}, template=pods),
            workload("ReplicaSet", "api", template=pods, selector={"matchLabels": {"app": "web"}})]  # fmt: skip
    crash = [] if crashing is None else [{"at": 2, "crash": {"target": crashing, "perStart": 0.1}}]
    image = {"target": "rs/web", "containers": {"web": "nginx:2"}}
    gathering = gathered(WEB, *sets)
    plan(read([written(tmp_path, yaml({"at": 1, "image": image}, *crash))]), gathering, KINDS, 0)
    inventory = gathering.inventory()
    of = {
        (one.kind, one.name): inventory.templates[inventory.wanted[one.columns["template"]]]
        for one in gathering.workloads.made
    }
    key = {"rs/web": ("ReplicaSet", "default", "web"), "rs/api": ("ReplicaSet", "default", "api"),
           "deploy/web": ("Deployment", "default", "web"), None: None}[crashing]  # fmt: skip
    told = {name: one.life.crashing if one.life is not None else () for name, one in of.items()}
    assert told == {
        ("Deployment", "web"): (key,) if crashing == "deploy/web" else (),
        ("ReplicaSet", "web"): (key,) if crashing in ("rs/web", "deploy/web") else (),
        ("ReplicaSet", "api"): (key,) if crashing == "rs/api" else (),
    }
    # The template that the scenario gives the one ReplicaSet is its own as well.
    new = [one for one in inventory.templates if one.description.images[0] == "nginx:2"]
    assert [one.life is not None for one in new] == [crashing in ("rs/web", "deploy/web")]
    assert len({id(one) for one in of.values()}) == (1 if crashing is None else 2)


def test_pods_that_are_there_crash_with_their_workload(tmp_path: Path) -> None:
    def pod(name: str, owner: str) -> dict[str, Any]:
        reference = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": owner, "controller": True}
        return {
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "ownerReferences": [reference]},
            "spec": {"nodeName": "node-1", "containers": [{"name": "web"}]}, "status": {"phase": "Running"},
        }  # fmt: skip

    reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "controller": True}
    owned = workload("ReplicaSet", "web-1", metadata={"ownerReferences": [reference]})
    gathering = gathered(WEB, owned, pod("a", "web-1"), pod("b", "other"))
    text = yaml({"at": 0, "crash": {"target": "deploy/web", "perHour": 3}})
    plan(read([written(tmp_path, text)]), gathering, KINDS, 0)
    inventory = gathering.inventory()
    told = [inventory.templates[row].life for row in inventory.pods.template.tolist()]
    assert [one.crashing if one else None for one in told] == [(("Deployment", "default", "web"),), None]
