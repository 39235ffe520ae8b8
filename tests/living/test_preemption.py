"""Preemption with kubelets: victims have their grace period, the pod waits for them; by hand, and as the twin says."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale.living import Cast
from kscale.placing import frames
from kscale.simulation import Settings, Simulation
from kscale.state.lives import ContainerLife, PodLife
from kscale.state.manifests import inventory_of
from tests.living.stage import MINUTE, Manifest, play, template, workload
from tests.object_worlds import World
from tests.test_queue_worlds import victims_of
from tests.twin.queue import Timed

SECOND = 1_000_000
LOW, HIGH, HIGHER = ({
    "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name}, "value": number
} for name, number in (("low", 1), ("high", 1000), ("higher", 2000)))  # fmt: skip


def of_class(kind: str, name: str, priority: str, cpu: str = "3", stop: str = "0s", **spec: Any) -> Manifest:
    """A workload whose pods ask for so much cpu, and take so long to stop of the 20 s that they have."""
    pods = template(
        name, notes={"kscale.dev/stop-time": stop}, priorityClassName=priority, terminationGracePeriodSeconds=20
    )
    pods["spec"]["containers"][0]["resources"] = {"requests": {"cpu": cpu}}
    made = workload(kind, name, **spec)
    made["spec"]["template"] = pods
    return made


def of(pods: pl.DataFrame, app: str, status: str) -> list[dict[str, Any]]:
    return pods.filter(pl.col("name").str.starts_with(app), pl.col("status") == status).sort("arrived_us").to_dicts()


@pytest.mark.parametrize(("stop", "least", "most"), [("5s", 5, 7), ("1m", 20, 22), ("0s", 0, 2)])
def test_the_victim_stops_within_its_grace_and_the_pod_waits_for_it(stop: str, least: int, most: int) -> None:
    urgent = {"at": "5m", "apply": of_class("ReplicaSet", "urgent", "high")}
    made = play(
        [LOW, HIGH, of_class("ReplicaSet", "old", "low", stop=stop)], [urgent], nodes="4cpu,16Gi:1", minutes=10,
        limited=False,
    )  # fmt: skip
    pods = made.pods()
    (victim,), (new,) = of(pods, "old", "evicted"), of(pods, "urgent", "running")
    assert least <= (victim["ended_us"] - 5 * MINUTE) / SECOND <= most
    # An idle scheduler takes what backs off too.
    assert new["bound_us"] == victim["ended_us"]
    assert (new["victims"], new["attempts"], victim["preempted_by"]) == (1, 2, f"default/{new['name']}")
    # The ReplicaSet makes another pod as soon as the first one is terminating, and that one finds no room.
    (again,) = of(pods, "old", "waiting")
    assert 5 * MINUTE < again["arrived_us"] <= 5 * MINUTE + SECOND


def test_other_pods_that_end_meanwhile_bring_no_second_eviction_and_nobody_takes_the_place() -> None:
    """Two nodes are full. While the victim takes 20 s, others end on the other node, which wake the pod four times."""
    fills = of_class("ReplicaSet", "old", "low", cpu="3500m", stop="1m", replicas=2)
    short = workload("Job", "short", {"kscale.dev/run-time": "4s"}, completions=6, parallelism=1)
    actions = [
        {"at": "5m", "apply": of_class("ReplicaSet", "urgent", "high", cpu="3600m")},
        {"at": "5m2s", "apply": short},
        # It would fit where the victim goes, if that place were not kept for the more important pod.
        {"at": "5m3s", "apply": of_class("ReplicaSet", "greedy", "low", cpu="3500m")},
    ]
    made = play([LOW, HIGH, fills], actions, nodes="4cpu,16Gi:2", minutes=10, limited=False)
    pods = made.pods()
    (victim,), (new,) = of(pods, "old", "evicted"), of(pods, "urgent", "running")
    assert victim["ended_us"] - 5 * MINUTE >= 20 * SECOND
    assert new["bound_us"] == victim["ended_us"] and new["victims"] == 1
    assert new["attempts"] >= 4
    assert of(pods, "greedy", "running") == [] and len(of(pods, "short", "succeeded")) == 6


def test_one_that_is_terminating_already_is_no_victim_of_its_own() -> None:
    """It was deleted before; the pod waits for it all the same, and nobody was evicted."""
    actions = [
        {"at": "5m", "scale": {"target": "replicaset/old", "replicas": 0}},
        {"at": "5m5s", "apply": of_class("ReplicaSet", "urgent", "high")},
    ]
    made = play(
        [LOW, HIGH, of_class("ReplicaSet", "old", "low", stop="1m")], actions, nodes="4cpu,16Gi:1", minutes=10,
        limited=False,
    )  # fmt: skip
    pods = made.pods()
    (gone,), (new,) = of(pods, "old", "deleted"), of(pods, "urgent", "running")
    assert (gone["preempted_by"], new["victims"]) == (None, 0)
    assert new["bound_us"] == gone["ended_us"] >= 5 * MINUTE + 20 * SECOND


def test_a_preempted_pod_of_a_job_counts_as_one_that_failed() -> None:
    job = of_class("Job", "batch", "low", stop="3s", completions=1, backoffLimit=3)
    job["spec"]["template"]["spec"]["restartPolicy"] = "Never"
    made = play(
        [LOW, HIGH, job], [{"at": "5m", "apply": of_class("ReplicaSet", "urgent", "high")}], nodes="4cpu,16Gi:1",
        minutes=10, limited=False,
    )  # fmt: skip
    assert made.living is not None
    (row,) = made.living.tables()["objects"].filter(pl.col("name") == "batch").to_dicts()
    job_row = made.living.world.cluster.object_row[made.living.world.find("Job", "default", "batch")]
    assert made.living.world.cluster.job_failed[job_row] == 1 and row["pods"] == 1


# As the plain twin says

END = 600 * SECOND


def scenario_of(seed: int) -> tuple[dict[str, Any], list[tuple[int, dict[str, Any], int | None]]]:
    """A random world, its budgets and what was terminating before left out, and pods that come in time."""
    world = World(seed)
    scenario = world.scenario(pending=14)
    scenario["objects"] = [
        one for one in scenario["objects"]
        if one["kind"] != "PodDisruptionBudget" and "deletionTimestamp" not in one["metadata"]
    ]  # fmt: skip
    draw = world.draw
    arrivals = [
        (draw.choice((0, 1, 2, 2, 5, 8, 30, 400)) * SECOND + draw.choice((0, 0, 300_000)), pod,
         draw.choice((None, None, 3 * SECOND, 40 * SECOND)))
        for pod in scenario["pending"]
    ]  # fmt: skip
    # What comes at the end keeps timers going until then, in both.
    arrivals.append((END, {**world.pod("last"), "spec": {"containers": [{"name": "c"}]}}, None))
    return scenario, arrivals


def lived(scenario: dict[str, Any], arrivals: list[tuple[int, dict[str, Any], int | None]], seed: int) -> Simulation:
    """The same in kscale with kubelets: graces, and times to stop, of all kinds."""
    inventory = inventory_of(scenario["objects"], [pod for _, pod, _ in arrivals])
    taken, draw = frames(inventory, given=False), random.Random(seed)
    for row, found in enumerate(taken.objects.templates):
        container = ContainerLife(stop_us=draw.choice((0, 1, 7, 90)) * SECOND)
        life = PodLife((container,), grace_us=draw.choice((0, 1, 10, 30)) * SECOND)
        taken.objects.templates[row] = replace(found, life=life)  # type: ignore[index]
    bound = len(inventory.pods) - len(inventory.pending)
    times = np.array([0] * bound + [time for time, _, _ in arrivals], np.int64)
    durations = [None] * bound + [duration for _, _, duration in arrivals]
    pods = taken.trace.pods.with_columns(arrival_us=pl.Series(times), duration_us=pl.Series(durations, dtype=pl.Int64))
    how = Settings(every=True, compiled=False, check=True, until_us=END, sample_us=20 * SECOND)
    made = Simulation(replace(taken.trace, pods=pods), taken.nodes, how, objects=taken.objects, cast=Cast())
    made.compile()
    with np.errstate(over="ignore"):
        made.run()
    return made


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 1 << 32))
def test_a_random_world_goes_as_the_twin_says(seed: int) -> None:
    """Kubelets say when a pod has ended or stopped; the twin says all else: who is bound when, tried, or evicted."""
    scenario, arrivals = scenario_of(seed)
    made = lived(scenario, arrivals, seed)
    table = made.pods().with_columns(key=pl.concat_str("namespace", pl.lit("/"), "name"))
    rows = {row["key"]: row for row in table.iter_rows(named=True)}
    gone = {key: row["ended_us"] for key, row in rows.items() if row["status"] == "evicted"}
    names, bound = list(rows), table.height - len(arrivals)
    ran = [rows[names[bound + number]] for number in range(len(arrivals))]
    told = [
        (time, pod, row["ended_us"] - row["bound_us"] if row["status"] == "succeeded" else None)
        for (time, pod, _), row in zip(arrivals, ran, strict=True)
    ]
    twin = Timed(scenario, told, gone=gone, until=END)
    for number, (row, outcome) in enumerate(zip(ran, twin.run(), strict=True)):
        status = "waiting" if outcome.status in ("gated", "no_profile") else outcome.status
        found = (row["status"], row["node"], row["bound_us"], row["attempts"])
        assert found == (status, outcome.node, outcome.bound_us, outcome.attempts), (seed, row["name"])
        assert victims_of(made.ledger, names, bound + number) == outcome.victims, (seed, row["name"])
    # What was evicted went within its grace and the two seconds that SIGTERM has at the least.
    templates = made.building.templates
    for key, asked in twin.asked.items():
        life = templates[made.trace.pods["spec"][names.index(key)]].life
        assert life is not None
        most = min(life.containers[0].stop_us, max(life.grace_us, 2 * SECOND)) if life.grace_us else 0
        if key in gone:
            assert 0 <= gone[key] - asked <= most + 3 * SECOND, (seed, key)
        else:
            assert END - asked <= most + 3 * SECOND, (seed, key)
