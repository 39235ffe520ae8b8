"""Whole runs in which pods are refused at admission: their template names a PriorityClass that is not there."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from kscale import casting
from kscale.engine.world import World
from kscale.errors import InputError
from kscale.traces import Options
from kscale.traces.common import opening
from tests.living.stage import MINUTE, Manifest, live, play, read, simulation, template, value, workload

CLASS: Manifest = {
    "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "high"}, "value": 1000
}  # fmt: skip
REASON = "no PriorityClass with name hihg was found"


def of_class(kind: str, name: str, priority: str, **spec: object) -> Manifest:
    """A workload whose pods name a PriorityClass."""
    found = workload(kind, name, **spec)
    found["spec"]["template"]["spec"]["priorityClassName"] = priority
    return found


@pytest.mark.parametrize("limited", [False, True])
def test_pods_are_refused_until_the_template_is_put_right(limited: bool) -> None:
    objects = [CLASS, of_class("Deployment", "web", "hihg", replicas=10), workload("Deployment", "api", replicas=3)]
    right = {"at": "10m", "apply": of_class("Deployment", "web", "high", replicas=10)}
    before: list[int] = []

    def look(world: World, now_us: int) -> None:
        if now_us < 10 * MINUTE:
            before.append(int(world.cluster.object_refused_pods.sum()))

    made = live(simulation(objects, [right], minutes=20, limited=limited), look)
    assert made.living is not None
    # Ten are asked for, one is tried at a time: two at once, and after 5 ms, 20, 40 and so on, the last after 328 s.
    assert max(before) == 17
    pods = made.pods().filter(pl.col("name").str.starts_with("web-"))
    assert pods.height == 10 and (pods["status"] == "running").all()
    assert pods["arrived_us"].min() >= 10 * MINUTE  # type: ignore[operator]
    table = made.living.tables()["objects"]
    sets = table.filter(pl.col("owner") == "Deployment/web").sort("created_us")
    (old, new) = sets.select("pods", "refused_pods", "refused_reason").rows()
    # With each step down of the rollout it tries again.
    assert old[0] == 0 and 17 < old[1] < 40 and old[2] == REASON
    assert new == (10, 0, None)
    told = made.living.tables()["controllers"].filter(pl.col("name") == "replicaset")
    assert told["errors"].item() == old[1]
    assert value(made.living.world, "Deployment", "web", "replica_failure") == 0


def test_one_that_stays_wrong_never_has_a_pod_and_the_run_ends() -> None:
    kinds = [("Deployment", {"replicas": 4}), ("StatefulSet", {"replicas": 2}), ("DaemonSet", {}),
             ("Job", {"completions": 2, "parallelism": 2})]  # fmt: skip
    objects = [of_class(kind, kind.lower(), "hihg", **spec) for kind, spec in kinds]
    made = play(objects, minutes=30)
    assert made.living is not None
    assert made.pods().height == 0
    assert value(made.living.world, "Deployment", "deployment", "replica_failure") == 1
    table = made.living.tables()["objects"].filter(
        pl.col("kind").is_in(["ReplicaSet", "StatefulSet", "DaemonSet", "Job"])
    )
    assert (table["refused_pods"] > 10).all() and set(table["refused_reason"]) == {REASON}
    assert value(made.living.world, "Job", "job", "active") == 0


def test_notes_say_so_and_a_pod_by_itself_is_refused_as_input(tmp_path: Path) -> None:
    objects = [of_class("Deployment", f"web-{row}", "hihg") for row in range(4)] + [of_class("Job", "job", "other")]
    gathering, _ = read(tmp_path, objects, [])
    staged = casting.stage(gathering, None, opening.read_nodes("8cpu,32Gi:1", Options()), limited=True)
    assert staged.inventory.notes == (
        "The pods of Deployment default/web-0, Deployment default/web-1, Deployment default/web-2 and others are "
        f"refused: {REASON}.",
        "The pods of Job default/job are refused: no PriorityClass with name other was found.",
    )
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "alone"},
           "spec": {**template("alone")["spec"], "priorityClassName": "hihg"}}  # fmt: skip
    gathering, _ = read(tmp_path, [CLASS, pod], [])
    with pytest.raises(InputError, match=r"there is no PriorityClass 'hihg'; did you mean 'high'\?"):
        casting.stage(gathering, None, opening.read_nodes("8cpu,32Gi:1", Options()), limited=True)


def test_the_classes_that_every_cluster_has_are_there() -> None:
    made = play([of_class("DaemonSet", "agent", "system-node-critical")], minutes=5)
    assert (made.pods()["status"] == "running").sum() == 3
