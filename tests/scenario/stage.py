"""Kinds that are read and changed by scenarios: ReplicaSets, and made-up Deployments that no controller looks at."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from kscale import controllers
from kscale.engine.kinds import Kind
from kscale.engine.world import World
from kscale.errors import InputError
from kscale.scenario import Action, plan, read
from kscale.state.manifests import models
from kscale.state.manifests.reading import ReadOptions, objects_of
from kscale.state.manifests.selectors import keys_read, label_selector
from kscale.state.manifests.taking import Gathering
from kscale.state.manifests.workloads import Manifest, PodTemplateSpec, Taking
from kscale.state.schema import Column, NewTable
from kscale.state.tables import Cluster
from tests.controllers.world import SIZES

TABLE = {
    "made_up": NewTable(
        "A made-up Deployment.",
        (
            Column("replicas", "int64", "Pods asked for."),
            Column("template", "int64", "Template of its pods.", default=-1),
            Column("content", "int64", "What its template says."),
            Column("paused", "uint8", "1 when paused."),
            Column("selection", "int64", "Its pods."),
            Column("min_ready_us", "int64", "How long a pod is ready before it is available."),
        ),
    )
}


class Spec(models.Part, frozen=True):
    replicas: int | None = None
    paused: bool | None = None
    min_ready_seconds: int | None = None
    selector: models.LabelSelector | None = None
    template: PodTemplateSpec | None = None


class Model(models.Part, frozen=True):
    metadata: models.NotedMeta | None = None
    spec: Spec | None = None


def take(taking: Taking, found: Model) -> dict[str, Any]:
    spec = found.spec or Spec()
    replicas = 1 if spec.replicas is None else spec.replicas
    if replicas < 0:
        raise InputError(f"is {replicas}", field="spec.replicas", expected="0 or more")
    return {
        "replicas": replicas,
        "template": taking.template(spec.template),
        "min_ready_us": (spec.min_ready_seconds or 0) * 1_000_000,
    }


def take_made_up(taking: Taking, found: Model) -> dict[str, Any]:
    spec = found.spec or Spec()
    return {
        **take(taking, found),
        "content": taking.content(spec.template),
        "paused": bool(spec.paused),
        "selection": taking.selection(label_selector(spec.selector, "spec.selector"), keys_read(spec.selector)),
    }


KINDS = {
    "ReplicaSet": replace(controllers.kinds()["ReplicaSet"], manifest=Manifest(("apps",), Model, take, ("template",))),
    "Deployment": Kind(
        "Deployment", "made_up", min_ready="min_ready_us",
        manifest=Manifest(("apps",), Model, take_made_up, ("template",)),
    ),
}  # fmt: skip


def workload(kind: str, name: str, replicas: int | None = 2, image: str = "nginx:1", **more: Any) -> dict[str, Any]:
    labels = {"app": name}
    spec = {
        **({} if replicas is None else {"replicas": replicas}),
        "selector": {"matchLabels": labels},
        "template": {
            "metadata": {"labels": labels},
            "spec": {"containers": [{"name": "web", "image": image}, {"name": "side", "image": "side:1"}]},
        },
    }
    meta = {"name": name, **more.pop("metadata", {})}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": meta, "spec": {**spec, **more}}


NODE = {
    "apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-1"},
    "status": {"allocatable": {"cpu": "8", "memory": "16Gi", "pods": "110"}},
}  # fmt: skip


def gathered(*objects: dict[str, Any], kinds: dict[str, Kind] = KINDS) -> Gathering:
    gathering = Gathering(manifests={name: kind.manifest for name, kind in kinds.items() if kind.manifest is not None})
    for item in objects_of(memoryview(msgspec.json.encode([NODE, *objects])), "objects.json"):
        gathering.take(item)
    return gathering


def written(folder: Path, text: str, name: str = "s.yaml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def planned(folder: Path, text: str, *objects: dict[str, Any], seed: int = 1) -> list[Action]:
    return plan(read([written(folder, text)], ReadOptions()), gathered(*objects), KINDS, seed)


def refusal(folder: Path, text: str, *objects: dict[str, Any]) -> str:
    """The one line that reading and planning end in, without the folder."""
    try:
        planned(folder, text, *objects)
    except InputError as error:
        assert "\n" not in str(error)
        return str(error).replace(f"{folder}/", "")
    raise AssertionError("nothing was refused")


class Stage:
    """A world of made-up Deployments and ReplicaSets, in which a scenario is carried out."""

    def __init__(self, *objects: dict[str, Any]) -> None:
        self.gathering = gathered(*objects)
        additions = [*controllers.columns(), TABLE]
        self.cluster = Cluster({"made_up": 1, **SIZES}, additions)
        self.world = World(self.cluster, {**controllers.kinds(), **KINDS}, lambda now_us: None)

    def plan(self, folder: Path, text: str, seed: int = 1) -> list[Action]:
        actions = plan(read([written(folder, text)]), self.gathering, KINDS, seed)
        self.wanted = np.arange(len(self.gathering.pods.wanted)) + 10
        self.start()
        return actions

    def start(self) -> None:
        for one in self.gathering.workloads.made:
            columns = {name: np.array([value]) for name, value in one.columns.items()}
            columns["template"] = self.wanted[columns["template"]]
            self.world.create(one.kind, columns, 0, names=[one.name], namespaces=[one.namespace])

    def read(self, kind: str, name: str, column: str, namespace: str = "default") -> Any:
        row = self.world.find(kind, namespace, name)
        assert row >= 0, "it is not there"
        if column.startswith("object_"):
            return self.cluster.columns[column][row].item()
        table = self.world.kinds[kind].table
        return self.cluster.columns[f"{table}_{column}"][self.cluster.object_row[row]].item()
