"""Whole runs of StatefulSets with claims: where pods come back, what waits and why, and what becomes of claims."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from kscale import casting
from kscale.simulation import Settings, Simulation
from tests.living.stage import MINUTE, Manifest, live, read, workload
from tests.scheduler.claims import ZONE, claim, node, storage_class

ZONES = ("a", "b", "c")
NODES = [node(f"{zone}{number}", zone=zone) for zone in ZONES for number in (1, 2)]
IMMEDIATE, NONE = "Immediate", "kubernetes.io/no-provisioner"


def stateful(
    name: str = "web", classes: Iterable[str | None] = ("fast",), retention: dict[str, str] | None = None, **spec: Any
) -> Manifest:
    """Return a StatefulSet whose pods have a claim of each class, called data, data1 and so on."""
    templates = []
    for row, one in enumerate(classes):
        templates.append(claim(f"data{row or ''}", storage_class=one))
    more = {"persistentVolumeClaimRetentionPolicy": retention} if retention else {}
    return workload(
        "StatefulSet", name, **{"replicas": 3, "volumeClaimTemplates": templates, **more, **spec}
    )  # fmt: skip


def play(
    objects: Sequence[Manifest], actions: Sequence[Manifest] = (), *, minutes: int = 20, compiled: bool = False
) -> Simulation:
    """Run objects, nodes among them, to the end."""
    with tempfile.TemporaryDirectory() as folder:
        gathering, script = read(Path(folder), objects, actions)
    staged = casting.stage(gathering, None, None, limited=False, scenario=script)
    how = Settings(until_us=minutes * MINUTE, sample_us=MINUTE, check=True, compiled=compiled)
    made = Simulation(staged.trace, staged.nodes, how, objects=staged.objects, cast=staged.cast)
    made.compile()
    return live(made)


def nodes_of(made: Simulation, name: str = "web") -> dict[str, list[str | None]]:
    """Return the nodes of a set's pods in the order in which they came, by pod."""
    pods = made.pods().filter(pl.col("name").str.starts_with(f"{name}-")).sort("arrived_us")
    found: dict[str, list[str | None]] = {}
    for pod, where in zip(pods["name"].to_list(), pods["node"].to_list(), strict=True):
        found.setdefault(pod, []).append(where)
    return found


def zones_of(made: Simulation, name: str = "web") -> dict[str, list[str]]:
    return {pod: [(where or "?")[0] for where in nodes] for pod, nodes in nodes_of(made, name).items()}


def claims_of(made: Simulation) -> list[str]:
    assert made.living is not None
    table = made.living.tables()["objects"]
    return table.filter(pl.col("kind") == "PersistentVolumeClaim")["name"].sort().to_list()


def reasons(made: Simulation, name: str = "web-0") -> str:
    pods = made.pods().filter(pl.col("name") == name)
    return str(pods["message" if "message" in pods.columns else "reason"].to_list()[-1])


#: Pods that take most of the nodes of a zone, and so the place of those that were deleted at the same time.
def hog(zone: str, cpu: str = "7900m") -> Manifest:
    made = workload("Deployment", f"hog-{zone}", replicas=2)
    spec = made["spec"]["template"]["spec"]
    spec["nodeSelector"] = {ZONE: zone}
    spec["containers"][0]["resources"]["requests"]["cpu"] = cpu
    return made


DELETED = [
    {"at": "5m", "delete": {"pods": "app=web", "grace": "1s"}},
    {"at": "5m", "scale": {"target": "deployment/hog-a", "replicas": 2}},
]


def _crowded(fast: Manifest, **how: Any) -> Simulation:
    """Return a run in which the zone of web-0 is full when it comes again."""
    idle = hog("a", "7500m")
    idle["spec"]["replicas"] = 0
    return play([*NODES, fast, stateful(replicas=3, podManagementPolicy="Parallel"), idle], DELETED, **how)


@pytest.mark.parametrize("compiled", [False, True])
def test_a_pod_comes_back_to_the_zone_of_its_volume(compiled: bool) -> None:
    zonal = _crowded(storage_class("fast", zones=ZONES), compiled=compiled)
    before_after = zones_of(zonal)
    assert before_after
    assert all(len(zones) == 2 and len(set(zones)) == 1 for zones in before_after.values())
    print(nodes_of(zonal), nodes_of(_crowded(storage_class("fast"), compiled=compiled)))


if __name__ == "__main__":
    test_a_pod_comes_back_to_the_zone_of_its_volume(False)
