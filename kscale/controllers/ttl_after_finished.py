"""TTL after finished: Jobs go some time after they have finished (pkg/controller/ttlafterfinished)."""

from __future__ import annotations

from typing import Any

import numpy as np

from kscale.controllers.common.jobs import UNFINISHED
from kscale.engine.objects import FOREGROUND
from kscale.engine.reconcile import Controller
from kscale.engine.requests import Requests
from kscale.engine.world import World

Rows = np.ndarray[Any, Any]


def time_left(world: World, jobs: Rows, now_us: int) -> Rows:
    """Return how long jobs that have finished, and that have a time to live, still stay: 0 or less is over."""
    cluster, rows = world.cluster, world.cluster.object_row[jobs]
    if ((cluster.job_finished[rows] == UNFINISHED) | (cluster.job_ttl_us[rows] < 0)).any():
        raise ValueError("only a job that has finished, and has a time to live, has any left")
    return cluster.job_finish_us[rows] + cluster.job_ttl_us[rows] - now_us


def _step(world: World, keys: Rows, now_us: int) -> Requests:
    """Delete the jobs whose time is over, and come again for the others when it will be."""
    cluster, requests = world.cluster, Requests()
    rows = cluster.object_row[keys]
    places = np.flatnonzero(
        (cluster.job_finished[rows] != UNFINISHED) & (cluster.job_ttl_us[rows] >= 0)
        & (cluster.object_deleted_us[keys] < 0)
    )  # fmt: skip
    left = time_left(world, keys[places], now_us)
    requests.again(places[left > 0], now_us + left[left > 0])
    over = places[left <= 0]
    # It is read live before it is deleted, in the foreground.
    requests.delete_objects(
        over, keys[over], cluster.object_uid[keys[over]], np.full(len(over), FOREGROUND), cost=2
    )  # fmt: skip
    return requests


TTL_AFTER_FINISHED = Controller("ttl-after-finished", "Job", _step)
