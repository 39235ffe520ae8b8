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
from tests.living.test_scenarios import budget
from tests.object_worlds import World
from tests.test_queue_worlds import victims_of
from tests.twin.queue import Timed

SECOND = 1_000_000
LOWEST, LOW, HIGH, HIGHER = ({
    "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name}, "value": number
} for name, number in (("lowest", 0), ("low", 1), ("high", 1000), ("higher", 2000)))  # fmt: skip


def of_class(kind: str, name: str, priority: str, cpu: str = "3", stop: str = "0s", **spec: Any) -> Manifest:
    """A workload whose pods ask for so much cpu, and take so long to stop of the 20 s that they have."""
    pods = template(
        name, notes={"kscale.dev/stop-time": stop}, priorityClassName=priority, terminationGracePeriodSeconds=20,
        **({"restartPolicy": "Never"} if kind == "Job" else {}),
    )  # fmt: skip
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


def test_while_a_victim_goes_no_other_is_evicted_and_nobody_takes_its_place() -> None:
    """A budget protects the less important pod of the other node until the first victim was asked to go.

    Short pods that end wake the pod that waits; it would choose the other node by then.
    """
    fills = [
        of_class("ReplicaSet", "old", "low", cpu="3500m", stop="1m"),
        of_class("ReplicaSet", "weak", "lowest", cpu="3500m", stop="1m"), budget("weak", "weak", 1),
    ]  # fmt: skip
    actions = [
        {"at": "5m", "apply": of_class("ReplicaSet", "urgent", "high", cpu="3600m")},
        {"at": "5m1s", "delete": "pdb/weak"},
        {"at": "5m2s", "apply": workload("Job", "short", {"kscale.dev/run-time": "2s"}, completions=4, parallelism=1)},
        # It would fit where the victim goes, if that place were not kept for the more important pod.
        {"at": "5m3s", "apply": of_class("ReplicaSet", "greedy", "low", cpu="3500m")},
    ]
    polite = {**LOW, "preemptionPolicy": "Never"}
    made = play([LOWEST, polite, HIGH, *fills], actions, nodes="4cpu,16Gi:2", minutes=10, limited=False)
    pods = made.pods()
    (victim,), (new,) = of(pods, "old", "evicted"), of(pods, "urgent", "running")
    assert victim["ended_us"] - 5 * MINUTE >= 20 * SECOND
    assert new["bound_us"] == victim["ended_us"] and (new["victims"], new["node"]) == (1, victim["node"])
    assert new["attempts"] >= 4
    assert len(of(pods, "short", "succeeded")) == 4 and len(of(pods, "weak", "running")) == 1
    assert of(pods, "greedy", "running") == []


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
    made = play(
        [LOW, HIGH, job], [{"at": "5m", "apply": of_class("ReplicaSet", "urgent", "high")}], nodes="4cpu,16Gi:1",
        minutes=10, limited=False,
    )  # fmt: skip
    assert made.living is not None
    (row,) = made.living.tables()["objects"].filter(pl.col("name") == "batch").to_dicts()
    job_row = made.living.world.cluster.object_row[made.living.world.find("Job", "default", "batch")]
    assert made.living.world.cluster.job_failed[job_row] == 1 and row["pods"] == 1


@pytest.mark.compiled
def test_compiled_and_plain_are_equal() -> None:
    objects = [
        LOW, HIGH, HIGHER, of_class("ReplicaSet", "old", "low", cpu="900m", stop="7s", replicas=12),
        of_class("DaemonSet", "agent", "higher", cpu="500m", stop="3s"),
    ]  # fmt: skip
    actions = [
        {"at": "2m", "apply": of_class("Deployment", "urgent", "high", cpu="1500m", stop="30s", replicas=4)},
        {"at": "3m", "apply": of_class("Job", "top", "higher", cpu="3500m", stop="1m", completions=2)},
        {"at": "4m", "restart": "daemonset/agent"},
    ]
    plain, fast = (
        play(objects, actions, nodes="4cpu,16Gi:3", minutes=8, compiled=compiled).pods() for compiled in (False, True)
    )
    assert plain.equals(fast)
    assert (plain["status"] == "evicted").sum() > 6 and plain["victims"].sum() > 6


# As the plain twin says

END = 600 * SECOND


def scenario_of(seed: int) -> tuple[dict[str, Any], list[tuple[int, dict[str, Any], int | None]]]:
    """Few nodes, and pods of many priorities that come in time, some of which keep others of their app off a node.

    One in four worlds is one of every kind of object, its budgets and what was terminating before left out.
    """
    world, draw = World(seed), random.Random(seed)
    scenario = world.scenario(pending=14)
    scenario["objects"] = [
        one for one in scenario["objects"]
        if one["kind"] != "PodDisruptionBudget" and "deletionTimestamp" not in one["metadata"]
    ]  # fmt: skip
    if seed % 4:
        nodes = [one for one in map(world.node, range(draw.randint(1, 3))) if one["spec"].pop("taints", 1)]
        classes = [{**LOW, "metadata": {"name": f"c{value}"}, "value": value} for value in range(1, 6)]
        scenario["objects"] = [*classes, *nodes]
        scenario["pending"] = [crowding(f"p{number}", draw) for number in range(draw.randint(5, 25))]
    arrivals = [
        (draw.choice((0, 1, 2, 5, 8, 11, 19, 30, 50, 400)) * SECOND + draw.choice((0, 0, 300_000)), pod,
         draw.choice((None, None, 3 * SECOND, 15 * SECOND, 40 * SECOND)))
        for pod in scenario["pending"]
    ]  # fmt: skip
    # What comes at the end keeps timers going until then, in both.
    arrivals.append((END, {**world.pod("last"), "spec": {"containers": [{"name": "c"}]}}, None))
    return scenario, arrivals


def crowding(name: str, draw: random.Random) -> dict[str, Any]:
    """A pod of some priority that asks for a good part of a node."""
    spec: dict[str, Any] = {
        "priorityClassName": f"c{draw.randint(1, 5)}",
        "containers": [{"name": "c", "resources": {"requests": {"cpu": draw.choice(("600m", "1", "1500m", "2"))}}}],
    }
    app = draw.choice(("web", "db"))
    if draw.random() < 0.3:
        term = {"labelSelector": {"matchLabels": {"app": app}}, "topologyKey": "kubernetes.io/hostname"}
        spec["affinity"] = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    return {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default", "labels": {"app": app}},
        "spec": spec,
    }  # fmt: skip


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


@settings(max_examples=15, deadline=None)
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
