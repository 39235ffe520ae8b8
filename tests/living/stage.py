"""Whole runs in this process: manifests and scenarios as they are written, controllers and kubelets at work."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kscale import casting, scenario
from kscale.controllers.common.addresses import Ranges
from kscale.engine.kinds import THERE
from kscale.engine.world import World
from kscale.networking import Proxying
from kscale.simulation import Settings, Simulation
from kscale.state.manifests import ReadOptions
from kscale.traces import Options
from kscale.traces.common import opening

Manifest = dict[str, Any]
MINUTE = 60_000_000
#: An annotation of pods whose images cannot be pulled.
BAD = {"kscale.dev/pull-failures": "-1"}
GROUPS = {"Deployment": "apps/v1", "ReplicaSet": "apps/v1", "StatefulSet": "apps/v1", "DaemonSet": "apps/v1",
          "Job": "batch/v1"}  # fmt: skip


def template(name: str, image: str = "web:1", notes: dict[str, str] | None = None, **spec: Any) -> Manifest:
    """Return a pod template; its container is called ``web``."""
    resources = {"requests": {"cpu": "100m", "memory": "64Mi"}}
    return {
        "metadata": {"labels": {"app": name}, "annotations": notes or {}},
        "spec": {"containers": [{"name": "web", "image": image, "resources": resources}], **spec},
    }


def workload(kind: str, name: str, notes: dict[str, str] | None = None, image: str = "web:1", **spec: Any) -> Manifest:
    """Return a workload of a kind; ``spec`` are further fields of its spec."""
    pods = template(name, image, notes, **({"restartPolicy": "Never"} if kind == "Job" else {}))
    selector = {} if kind == "Job" else {"selector": {"matchLabels": {"app": name}}}
    service = {"serviceName": name} if kind == "StatefulSet" else {}
    return {
        "apiVersion": GROUPS[kind], "kind": kind, "metadata": {"name": name},
        "spec": {**selector, **service, "template": pods, **spec},
    }  # fmt: skip


def read(folder: Path, objects: Sequence[Manifest], actions: Sequence[Manifest]) -> tuple[Any, Any]:
    """Return what the files hold into which objects and actions are written."""
    (folder / "objects.json").write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)}))
    (folder / "scenario.json").write_text(json.dumps(list(actions)))
    script = scenario.read([folder / "scenario.json"], ReadOptions()) if actions else None
    return casting.read_objects([str(folder / "objects.json")], ReadOptions()), script


def simulation(
    objects: Sequence[Manifest], actions: Sequence[Manifest] = (), *, nodes: str = "8cpu,32Gi:3", minutes: int = 30,
    limited: bool = True, seed: int = 0, compiled: bool = False, check: bool = True, ranges: Ranges | None = None,
    proxying: Proxying | None = None,
) -> Simulation:  # fmt: skip
    """Return a run that is ready to start."""
    with tempfile.TemporaryDirectory() as folder:
        gathering, script = read(Path(folder), objects, actions)
    frame = opening.read_nodes(nodes, Options())
    staged = casting.stage(
        gathering, None, frame, limited=limited, scenario=script, seed=seed, ranges=ranges, proxying=proxying
    )
    how = Settings(until_us=minutes * MINUTE, sample_us=MINUTE, seed=seed, check=check, compiled=compiled)
    made = Simulation(staged.trace, staged.nodes, how, objects=staged.objects, cast=staged.cast)
    made.compile()
    return made


def live(made: Simulation, look: Callable[[World, int], None] | None = None) -> Simulation:
    """Run to the end; ``look`` is called at each control point with the world and the time."""
    assert made.living is not None
    world = made.living.world

    def _progress(now_us: int, _: int) -> None:
        if look is not None:
            look(world, now_us)

    with np.errstate(over="ignore"):
        made.run(_progress)
    return made


def play(objects: Sequence[Manifest], actions: Sequence[Manifest] = (), **how: Any) -> Simulation:
    """Run objects and a scenario to the end."""
    return live(simulation(objects, actions, **how))


def value(world: World, kind: str, name: str, column: str) -> Any:
    """Return a column of an object's table, or of ``object``."""
    found = world.find(kind, "default", name)
    assert found >= 0, f"there is no {kind} {name}"
    if column.startswith("object_"):
        return world.cluster.columns[column][found].item()
    return world.cluster.columns[f"{world.kinds[kind].table}_{column}"][world.cluster.object_row[found]].item()


def sets_of(world: World, name: str) -> list[int]:
    """Return the ReplicaSets of a Deployment, the oldest first."""
    found, _ = world.dependents_of(np.array([world.find("Deployment", "default", name)]))
    found = found[world.cluster.object_live[found] == THERE]
    return found[np.argsort(world.cluster.object_uid[found])].tolist()
