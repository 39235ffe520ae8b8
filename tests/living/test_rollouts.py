"""Rollouts from end to end: the worked examples of Kubernetes' documentation, and bounds at every control point."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kscale.controllers.common.progress import (
    DEPLOYMENT_PAUSED,
    MINIMUM_REPLICAS_AVAILABLE,
    NEW_REPLICA_SET_AVAILABLE,
    PROGRESS_DEADLINE_EXCEEDED,
)
from kscale.engine.world import World
from kscale.simulation import Simulation
from tests.living.stage import BAD, MINUTE, Manifest, live, play, sets_of, simulation, value, workload

WEB_2 = {"image": {"target": "deployment/web", "containers": {"web": "web:2"}}}


def sizes(objects: list[Manifest], actions: list[Manifest], **how: Any) -> tuple[Simulation, list[tuple[int, ...]]]:
    """Return the run, and how large the ReplicaSets of ``web`` were asked to be, as that changed."""
    seen: list[tuple[int, ...]] = [()]

    def look(world: World, _: int) -> None:
        rows = world.cluster.object_row[sets_of(world, "web")]
        now = tuple(world.cluster.replicaset_replicas[rows].tolist())
        if now != seen[-1]:
            seen.append(now)

    return live(simulation(objects, actions, **how), look), seen[1:]


@pytest.mark.parametrize("limited", [True, False])
def test_three_replicas_roll_as_documented(limited: bool) -> None:
    made, seen = sizes([workload("Deployment", "web", replicas=3)], [{"at": "5m", **WEB_2}], limited=limited)
    assert seen == [(3,), (3, 1), (2, 1), (2, 2), (1, 2), (1, 3), (0, 3)]
    world = made.living.world
    assert value(world, "Deployment", "web", "progressing") == NEW_REPLICA_SET_AVAILABLE
    assert value(world, "Deployment", "web", "availability") == MINIMUM_REPLICAS_AVAILABLE
    assert value(world, "Deployment", "web", "updated_replicas") == 3


def test_a_bad_image_stands_still_and_is_scaled_in_proportion() -> None:
    strategy = {"rollingUpdate": {"maxSurge": 3, "maxUnavailable": 2}}
    good, bad = (
        workload("Deployment", "web", notes, image, replicas=10, strategy=strategy)
        for image, notes in (("web:1", {}), ("web:2", BAD))
    )
    scaled = {"at": "20m", "scale": {"target": "deployment/web", "replicas": 15}}
    made, seen = sizes([good], [{"at": "5m", "apply": bad}, scaled], minutes=40)
    assert seen == [(10,), (8, 3), (8, 5), (11, 7)]
    world = made.living.world
    assert value(world, "Deployment", "web", "progressing") == PROGRESS_DEADLINE_EXCEEDED
    # 8 are available, and 11 when the old one has grown: fewer than the 13 of 15 that there have to be.
    assert value(world, "Deployment", "web", "available_replicas") == 11
    assert value(world, "Deployment", "web", "availability") != MINIMUM_REPLICAS_AVAILABLE
    back = {"at": "30m", "rollback": "deployment/web"}
    made, seen = sizes([good], [{"at": "5m", "apply": bad}, scaled, back], minutes=40)
    assert seen[-1] == (15, 0)
    assert value(made.living.world, "Deployment", "web", "progressing") == NEW_REPLICA_SET_AVAILABLE


@pytest.mark.parametrize("limited", [True, False])
def test_five_hundred_replicas_roll_within_their_bounds(limited: bool) -> None:
    most, least, seen = 0, 500, 0

    def look(world: World, now_us: int) -> None:
        nonlocal most, least, seen
        if now_us >= 5 * MINUTE:
            sets, cluster = sets_of(world, "web"), world.cluster
            most = max(most, int(cluster.object_active[sets].sum()))
            least = min(least, int(cluster.object_available[sets].sum()))
            seen += 1

    made = simulation(
        [workload("Deployment", "web", replicas=500)], [{"at": "5m", **WEB_2}], nodes="64cpu,256Gi:8", limited=limited,
        minutes=10, check=False,
    )  # fmt: skip
    world = live(made, look).living.world
    # 25 % of 500 on top and missing, both reached and never passed.
    assert (most, least) == (625, 375) and seen > 300
    assert value(world, "Deployment", "web", "updated_replicas") == 500
    assert value(world, "Deployment", "web", "available_replicas") == 500
    assert value(world, "Deployment", "web", "progressing") == NEW_REPLICA_SET_AVAILABLE
    calls = made.living.manager.reconcilers["replicaset"].calls
    # 500 pods made, 500 more made and 500 deleted, and writes of the status.
    assert calls > 1500
    # A client of 20 calls a second needs 50 s for a thousand calls.
    last = int(made.living.tables()["rollouts"]["time_us"][-1])
    assert (last > 340_000_000) == limited


def test_a_rollout_that_is_paused_goes_on_where_it_stood() -> None:
    pause, resume = {"at": "301s", "pause": "deployment/web"}, {"at": "10m", "resume": "deployment/web"}
    made, stood = sizes([workload("Deployment", "web", replicas=4)], [{"at": "5m", **WEB_2}, pause], minutes=12)
    # One of 4 may be on top, and one missing: the pods of the first step are there when it is paused.
    assert stood == [(4,), (3, 1), (3, 2)]
    assert value(made.living.world, "Deployment", "web", "progressing") == DEPLOYMENT_PAUSED
    made, seen = sizes([workload("Deployment", "web", replicas=4)], [{"at": "5m", **WEB_2}, pause, resume])
    assert seen[:3] == stood and seen[-1] == (0, 4)
    assert value(made.living.world, "Deployment", "web", "progressing") == NEW_REPLICA_SET_AVAILABLE


@pytest.mark.parametrize(("cascade", "left"), [("background", 0), ("foreground", 0), ("orphan", 3)])
def test_each_cascade_leaves_what_it_is_to_leave(cascade: str, left: int) -> None:
    actions = [{"at": "5m", "delete": {"target": "deployment/web", "cascade": cascade}}]
    made = play([workload("Deployment", "web", replicas=3)], actions)
    world, cluster = made.living.world, made.cluster
    assert world.find("Deployment", "default", "web") < 0
    sets = world.all_of("ReplicaSet")
    assert len(sets) == (left > 0)
    assert cluster.object_ready[sets].sum() == left and (cluster.object_owner[sets] == -1).all()
    assert int(np.isin(made.pods()["status"].to_numpy(), ["running"]).sum()) == left
