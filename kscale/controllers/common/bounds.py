"""What controllers promise of the objects that they look after: part of what ``--check`` looks at.

A promise is kept from one control point to the next: what is out of bounds already (a scale, a crash, a bound that was
made narrower) is no fault as long as nobody makes it worse.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from kscale.controllers.common.covering import KIND as BUDGET
from kscale.controllers.common.covering import TABLE as BUDGET_TABLE
from kscale.controllers.common.family import Family
from kscale.engine.kinds import THERE
from kscale.engine.objects import SUCCEEDED
from kscale.engine.pods import GONE, REMOVED, UNUSED
from kscale.engine.world import World

Rows = np.ndarray[Any, Any]


@dataclass
class _Rollouts:
    """Rolling updates at a control point, by ``object_uid`` of their Deployments.

    Attributes:
        resting: whether none of its ReplicaSets is yet to be scaled for other replicas.
        wanted, most, least: pods asked for, the most that there may be, the fewest available ones.
        asked, active: pods that its ReplicaSets are asked for, and that they have.
        sets, of: uids of the ReplicaSets, ascending, and the Deployment of each; ``available`` by their statuses.
    """

    uid: Rows
    resting: Rows
    wanted: Rows
    most: Rows
    least: Rows
    asked: Rows
    active: Rows
    sets: Rows
    of: Rows
    sizes: Rows
    available: Rows


class Bounds:
    """Watches a world from control point to control point."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._rollouts = _rollouts(world)
        self._jobs = _jobs(world)
        self._crowded = _crowded(world)

    def violations(self) -> list[str]:
        """Return what does not hold now, or was held before and is not any more."""
        world, cluster = self._world, self._world.cluster
        found: list[str] = []
        pods = np.flatnonzero(~np.isin(cluster.pod_state, (UNUSED, GONE, REMOVED)) & (cluster.life_owner >= 0))
        kinds = cluster.object_kind[cluster.life_owner[pods]]
        of_set = pods[(kinds == world.codes["StatefulSet"]) & (cluster.life_number[pods] >= 0)]
        places = np.stack([cluster.life_owner[of_set], cluster.life_number[of_set]], axis=1)
        if len(np.unique(places, axis=0)) < len(of_set):
            found.append("two pods of a StatefulSet have one ordinal")
        budgets = world.all_of(BUDGET)
        rows = cluster.object_row[budgets[cluster.object_live[budgets] == THERE]]
        allowed, healthy, desired = (
            cluster.columns[f"{BUDGET_TABLE}_{name}"][rows] for name in ("allowed", "healthy", "desired")
        )
        if (allowed < 0).any() or (allowed > np.maximum(healthy - desired, 0)).any():
            found.append("a disruption budget allows evictions that it cannot bear")
        before, self._jobs = self._jobs, _jobs(world)
        found += _of_jobs(before, self._jobs)
        earlier, self._crowded = self._crowded, _crowded(world)
        if any(count > max(most, earlier.get(key, (0, 0))[0]) for key, (count, most) in self._crowded.items()):
            found.append("a DaemonSet has more pods on a node than its update may have")
        rollouts, self._rollouts = self._rollouts, _rollouts(world)
        return found + _of_rollouts(rollouts, self._rollouts)


def _crowded(world: World) -> dict[tuple[int, int], tuple[int, int]]:
    """Return how many active pods a DaemonSet has on a node, and how many it may have, where it has more than one.

    A second one may be there where the new pod comes before the old one goes (maxSurge).
    """
    cluster = world.cluster
    pods = np.flatnonzero(~np.isin(cluster.pod_state, (UNUSED, GONE, REMOVED)) & (cluster.life_owner >= 0))
    pods = pods[(cluster.life_deleted_us[pods] < 0) & (cluster.life_phase[pods] < SUCCEEDED)]
    pods = pods[cluster.object_kind[cluster.life_owner[pods]] == world.codes["DaemonSet"]]
    node = np.where(cluster.life_pin[pods] >= 0, cluster.life_pin[pods], cluster.pod_node[pods])
    places = np.stack([cluster.life_owner[pods], node], axis=1)[node >= 0]
    cells, counts = np.unique(places, axis=0, return_counts=True)
    several = np.flatnonzero(counts > 1)
    surges = cluster.daemonset_max_surge[cluster.object_row[cells[several, 0]]] > 0
    uids = cluster.object_uid[cells[several, 0]].tolist()
    values = zip(counts[several].tolist(), (1 + surges).tolist(), strict=True)
    return dict(zip(zip(uids, cells[several, 1].tolist(), strict=True), values, strict=True))


def _jobs(world: World) -> Rows:
    """Return (uid, parallelism, active pods) of each Job that is there."""
    cluster, jobs = world.cluster, world.all_of("Job")
    jobs = jobs[cluster.object_live[jobs] == THERE]
    parallelism = cluster.job_parallelism[cluster.object_row[jobs]]
    return np.stack([cluster.object_uid[jobs], parallelism, cluster.object_active[jobs]], axis=1)


def _of_jobs(before: Rows, now: Rows) -> list[str]:
    # What was above its parallelism when that was lowered sinks.
    known = dict(zip(before[:, 0].tolist(), before[:, 2].tolist(), strict=True))
    earlier = np.array([known.get(uid, 0) for uid in now[:, 0].tolist()], np.int64)
    return ["a Job has more pods than its parallelism"] if (now[:, 2] > np.maximum(now[:, 1], earlier)).any() else []


def _rollouts(world: World) -> _Rollouts:
    cluster, keys = world.cluster, world.all_of("Deployment")
    keys = keys[(cluster.object_live[keys] == THERE) & (cluster.object_deleted_us[keys] < 0)]
    family = Family(world, keys)
    keys_rolling = family.rolling
    wanted = family.of("replicas")
    stale = (family.asked > 0) & (family.of_sets("desired") != wanted[family.place])
    order = np.argsort(cluster.object_uid[family.sets])
    return _Rollouts(
        cluster.object_uid[keys], keys_rolling & (family.total(stale.astype(np.int64)) == 0), wanted,
        wanted + family.surge, wanted - family.unavailable, family.total(family.asked),
        family.total(cluster.object_active[family.sets]), cluster.object_uid[family.sets][order],
        cluster.object_uid[keys][family.place[order]], family.asked[order], family.available[order],
    )  # fmt: skip


def _of_rollouts(before: _Rollouts, now: _Rollouts) -> list[str]:
    """Tell what a Deployment's controller did that its bounds do not bear.

    It goes by what specs and statuses say: by the statuses of the control point before, as nobody has written since.
    """
    found = []
    place = {uid: at for at, uid in enumerate(before.uid.tolist())}
    known = np.array([place.get(uid, -1) for uid in now.uid.tolist()], np.int64)
    at = np.flatnonzero(known >= 0)
    was = known[at]
    same = now.resting[at] & before.resting[was]
    for name in ("wanted", "most", "least"):
        same &= getattr(now, name)[at] == getattr(before, name)[was]
    at, was = at[same], was[same]
    if (now.asked[at] > np.maximum(now.most[at], before.asked[was])).any():
        found.append("a Deployment asks for more pods than its rollout may have")
    if (now.active[at] > np.maximum(now.most[at], before.active[was])).any():
        found.append("a Deployment has more pods than its rollout may have")
    # ReplicaSets that were not there before had no pods that were available.
    seen = np.zeros(len(now.sets), np.int64)
    if len(before.sets):
        earlier = np.minimum(np.searchsorted(before.sets, now.sets), len(before.sets) - 1)
        seen = np.where(before.sets[earlier] == now.sets, before.available[earlier], 0)
    left = _sums(np.minimum(now.sizes, seen), now.of, now.uid[at])
    had = _sums(np.minimum(before.sizes, before.available), before.of, now.uid[at])
    if (left < np.minimum(now.least[at], had)).any():
        found.append("a Deployment gives up more available pods than its rollout may miss")
    return found


def _sums(values: Rows, of: Rows, uids: Rows) -> Rows:
    """Return for each of ``uids`` the sum of the values that are of it."""
    totals = np.zeros(len(uids), np.int64)
    order = np.argsort(uids)
    if len(uids):
        place = np.minimum(np.searchsorted(uids, of, sorter=order), len(uids) - 1)
        right = uids[order[place]] == of
        np.add.at(totals, order[place[right]], values[right])
    return totals
