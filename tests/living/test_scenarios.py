"""Whole runs in which a scenario is at work: crashes, a registry that fails, evictions, budgets and preemption."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from kscale import casting
from kscale.errors import InputError
from kscale.simulation import Simulation
from kscale.traces import Options
from kscale.traces.common import opening
from tests.living.stage import MINUTE, Manifest, play, read, template, value, workload


def budget(name: str, app: str, least: int) -> Manifest:
    spec = {"minAvailable": least, "selector": {"matchLabels": {"app": app}}}
    return {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": name}, "spec": spec}


def world_of(made: Simulation) -> Any:
    assert made.living is not None
    return made.living.world


def words(made: Simulation) -> list[str]:
    assert made.living is not None
    return made.living.tables()["actions"]["words"].to_list()


def ended(made: Simulation) -> set[str]:
    """The workloads whose pods were evicted for others."""
    pods = made.pods().filter(pl.col("status") == "evicted")
    return {name.split("-")[0] for name in pods["name"].to_list()}


@pytest.mark.parametrize("target", ["deployment/web", "deployment/api"])
def test_the_containers_of_one_workload_crash_for_a_time(target: str) -> None:
    crash = {"at": "2m", "crash": {"target": target, "perStart": 1, "for": "10m"}}
    objects = [workload("Deployment", "web", replicas=2), workload("Deployment", "api", replicas=2)]
    restart = [{"at": "3m", "restart": "deployment/web"}, {"at": "3m", "restart": "deployment/api"}]
    made = play(objects, [crash, *restart], limited=False)
    restarts = {name: value(world_of(made), "Deployment", name, "object_restarts") for name in ("web", "api")}
    table = made.living.tables()["objects"].filter(pl.col("kind") == "ReplicaSet")  # type: ignore[union-attr]
    told = {
        name: table.filter(pl.col("owner") == f"Deployment/{name}")["restarts"].sum() + restarts[name]
        for name in ("web", "api")
    }
    other = "api" if target.endswith("web") else "web"
    assert told[target.partition("/")[2]] > 0
    assert told[other] == 0
    # It is over by now, and the containers run.
    assert [value(world_of(made), "Deployment", name, "object_ready") for name in ("web", "api")] == [0, 0]
    assert table["ready"].sum() == 4


def test_no_image_comes_while_the_registry_fails() -> None:
    objects = [workload("Deployment", "web", replicas=2)]
    fails = {"at": "1m", "registry": {"failing": True, "for": "10m"}}
    image = {"at": "2m", "image": {"target": "deployment/web", "containers": {"web": "web:2"}}}
    made = play(objects, [fails, image], limited=False)
    assert value(world_of(made), "Deployment", "web", "updated_replicas") == 2
    started = made.pods().filter(pl.col("arrived_us") >= 2 * MINUTE)["started_us"].to_list()
    assert len(started) == 2
    assert min(started) > 11 * MINUTE


def test_an_eviction_that_a_budget_refuses_comes_again() -> None:
    objects = [workload("Deployment", "web", replicas=3), budget("web", "web", 2)]
    made = play(objects, [{"at": "5m", "evict": "deployment/web"}], limited=False)
    first, *again = words(made)
    assert first == "evict deployment/web (3 pods, 2 refused)"
    assert again == [
        "evict deployment/web, again (1 pod went, 1 refused)", "evict deployment/web, again (1 pod went)"
    ]  # fmt: skip
    assert value(world_of(made), "PodDisruptionBudget", "web", "granted") == 3


LOW, HIGH = ({
    "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name}, "value": number
} for name, number in (("low", 1), ("high", 1000)))  # fmt: skip


def filling(name: str, priority: str) -> Manifest:
    """A Deployment whose one pod fills a node."""
    pods = template(name, priorityClassName=priority)
    pods["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "3"}}
    return {**workload("Deployment", name), "spec": {"selector": {"matchLabels": {"app": name}}, "template": pods}}


FULL = [LOW, HIGH, filling("first", "low"), filling("second", "low")]
URGENT = {"at": "10m", "apply": filling("urgent", "high")}


@pytest.mark.parametrize(
    ("objects", "actions", "expected"),
    [
        ([], [], "first"),
        ([budget("first", "first", 1)], [], "second"),
        ([budget("first", "first", 1), budget("second", "second", 0)], [], "second"),
        ([budget("first", "first", 0), budget("second", "second", 1)], [], "first"),
        ([], [{"at": "5m", "apply": budget("first", "first", 1)}], "second"),
        ([budget("first", "first", 1)], [{"at": "5m", "delete": "pdb/first"}], "first"),
        ([budget("first", "first", 1)], [{"at": "5m", "apply": budget("first", "first", 0)}], "first"),
        ([budget("first", "second", 1)], [{"at": "5m", "apply": budget("first", "first", 1)}], "second"),
    ],
)
def test_preemption_goes_by_what_budgets_allow_by_now(
    objects: list[Manifest], actions: list[Manifest], expected: str
) -> None:
    made = play([*FULL, *objects], [*actions, URGENT], nodes="4cpu,16Gi:2", limited=False, minutes=15)
    assert ended(made) == {expected}


def test_owners_in_a_circle_are_refused(tmp_path: Path) -> None:
    one, other = workload("ReplicaSet", "one"), workload("ReplicaSet", "other")
    for owned, owner in ((one, other), (other, one)):
        reference = {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "name": owner["metadata"]["name"],
            "controller": True,
        }
        owned["metadata"]["ownerReferences"] = [reference]
    gathering, _ = read(tmp_path, [one, other], [])
    with pytest.raises(InputError, match=r"go in a circle: ReplicaSet one -> ReplicaSet other -> ReplicaSet one"):
        casting.stage(gathering, None, opening.read_nodes("8cpu,32Gi:1", Options()), limited=True)
