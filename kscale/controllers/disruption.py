"""PodDisruptionBudgets, and evictions, which they allow or refuse (pkg/controller/disruption, the eviction API).

The controller keeps each budget's status: how many of its pods are healthy, and how many may be evicted. The API server
decides on evictions by that status alone, when they come, and takes what it grants off at once.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from kscale.controllers.common.budgets import PodDisruptionBudget, take
from kscale.controllers.common.covering import KIND, TABLE, Counts, covering, there_are
from kscale.controllers.common.scale import replicas_of
from kscale.engine.kinds import Kind
from kscale.engine.objects import FAILED, PENDING, SUCCEEDED
from kscale.engine.reconcile import Controller
from kscale.engine.requests import Requests
from kscale.engine.world import World
from kscale.state.manifests.workloads import Manifest
from kscale.state.schema import Column, NewTable

Rows = np.ndarray[Any, Any]
#: How long an eviction that was granted waits for the pod's deletion (DeletionTimeout).
TIMEOUT_US = 120_000_000
#: Most evictions that wait so (MaxDisruptedPodSize).
MOST_DISRUPTED = 2000
#: Statuses of the condition DisruptionAllowed, and its reasons by number.
UNKNOWN, TRUE, FALSE = range(3)
REASONS = ("", "SufficientPods", "InsufficientPods", "SyncFailed")
_SUFFICIENT, _INSUFFICIENT, _SYNC_FAILED = 1, 2, 3
_NO_TIME = -1

COLUMNS = {
    TABLE: NewTable(
        "A PodDisruptionBudget.",
        (
            Column("selection", "int64", "Its selection of pods.", default=-1, path="spec.selector"),
            Column("least", "int64", "Pods that have to be available; -1 is not stated so.", "pods", -1,
                   path="spec.minAvailable"),
            Column("least_percent", "int64", "The same in percent.", "percent", -1, path="spec.minAvailable"),
            Column("most", "int64", "Pods that may be unavailable; -1 is not stated so.", "pods", -1,
                   path="spec.maxUnavailable"),
            Column("most_percent", "int64", "The same in percent.", "percent", -1, path="spec.maxUnavailable"),
            Column("always", "uint8", "1 when pods that are not ready may always be evicted.",
                   path="spec.unhealthyPodEvictionPolicy"),
            Column("expected", "int64", "Pods that it counts on.", "pods", path="status.expectedPods"),
            Column("desired", "int64", "Healthy pods that there have to be.", "pods", path="status.desiredHealthy"),
            Column("healthy", "int64", "Healthy pods that there are.", "pods", path="status.currentHealthy"),
            Column("allowed", "int64", "Evictions that are allowed now.", "pods", path="status.disruptionsAllowed"),
            Column("may", "uint8", "0 is not there, 1 True, 2 False.",
                   path="status.conditions['DisruptionAllowed'].status"),
            Column("may_reason", "uint8", "1 SufficientPods, 2 InsufficientPods, 3 SyncFailed.",
                   path="status.conditions['DisruptionAllowed'].reason"),
            Column("disrupted", "int64", "Pods whose eviction was granted and that are not yet being deleted.",
                   default=-1, dims=(TABLE, "disruption"), path="status.disruptedPods"),
            Column("disrupted_serial", "int64", "Their places in the order of arrival.", default=-1,
                   dims=(TABLE, "disruption")),
            Column("disrupted_us", "int64", "When it was granted; -1 is no pod.", "us", _NO_TIME,
                   (TABLE, "disruption"), path="status.disruptedPods"),
            Column("granted", "int64", "Evictions that it granted, so far."),
            Column("refused", "int64", "Evictions that were refused for it, so far."),
        ),
    ),
    "disruption": NewTable("A place in the list of evictions that a budget has granted.", ()),
}  # fmt: skip
_STATUS = ("expected", "desired", "healthy", "allowed", "may", "may_reason", "disrupted_us")


def _keys(world: World, objects: Rows, pods: Rows) -> Rows:
    """Budgets that changed, and those that cover pods that did."""
    found = covering(world, pods)
    places, _ = found.of_templates(np.unique(world.cluster.pod_template[pods]))
    return np.union1d(world.of_kind(objects, KIND), found.budgets[places])


def _step(world: World, keys: Rows, now_us: int) -> Requests:
    """Work out each budget's status, and write what changed."""
    cluster, requests = world.cluster, Requests()
    found = covering(world)
    # The row of one that is gone may be another object's when its time comes.
    order = np.flatnonzero(cluster.object_kind[keys] == world.codes[KIND])
    order = order[np.argsort(keys[order])]
    places = np.searchsorted(found.budgets, keys[order])
    rows = cluster.object_row[keys[order]]
    counts = found.counts(world, places)
    expected, desired, lost = _expected(world, rows, counts)
    status = {name: _column(world, name)[rows].copy() for name in _STATUS}
    kept = _disrupted(world, rows, status["disrupted_us"], now_us)
    status["disrupted_us"][~kept] = _NO_TIME
    healthy = counts.ready - _waiting(world, rows, kept)
    allowed = np.where((expected > 0) & ~lost, np.maximum(healthy - desired, 0), 0)
    for name, values in (("expected", expected), ("desired", desired), ("healthy", healthy)):
        status[name] = np.where(lost, status[name], values)
    status["allowed"], status["may"] = allowed, np.where(allowed > 0, TRUE, FALSE)
    status["may_reason"] = np.select([lost, allowed > 0], [_SYNC_FAILED, _SUFFICIENT], _INSUFFICIENT)
    changed = (cluster.object_observed[keys[order]] != cluster.object_generation[keys[order]]) & ~lost
    for name, values in status.items():
        differs = values != _column(world, name)[rows]
        changed |= differs.any(axis=1) if differs.ndim > 1 else differs
    writes = {name: values[changed] for name, values in status.items()}
    generation = cluster.object_generation[keys[order]]
    writes["object_observed"] = np.where(lost, cluster.object_observed[keys[order]], generation)[changed]
    # An eviction that is granted before the write passes makes it void, as a conflict does; the budget comes again.
    granted = {"granted": _column(world, "granted")[rows[changed]]}
    requests.update(order[changed], KIND, keys[order[changed]], writes, given=granted)
    ends = np.where(kept, status["disrupted_us"] + TIMEOUT_US, 1 << 62).min(axis=1, initial=1 << 62)
    requests.again(order[kept.any(axis=1)], ends[kept.any(axis=1)])
    requests.fail(order[lost])
    return requests


def _column(world: World, name: str) -> Rows:
    return world.cluster.columns[f"{TABLE}_{name}"]


def _expected(world: World, rows: Rows, counts: Counts) -> tuple[Rows, Rows, Rows]:
    """Return expected pods, the healthy ones that are desired, and budgets of which a controller has no scale.

    A number that has to be available counts on the pods that there are, all else on what their controllers ask for.
    """
    least, least_percent, most, most_percent = (
        _column(world, name)[rows] for name in ("least", "least_percent", "most", "most_percent")
    )
    controller, place = counts.controller, counts.place
    above = world.cluster.object_owner[controller]
    controller = np.where((above >= 0) & (replicas_of(world, above) >= 0), above, controller)
    distinct = np.unique((place << 32) | controller)
    place, controller = distinct >> 32, distinct & 0xFFFFFFFF
    scale = replicas_of(world, controller)
    asked = np.zeros(len(rows), np.int64)
    np.add.at(asked, place, np.maximum(scale, 0))
    by_scale = (least_percent >= 0) | (most >= 0) | (most_percent >= 0)
    lost = np.zeros(len(rows), bool)
    lost[place[scale < 0]] = True
    expected = np.where(by_scale, asked, np.where(least >= 0, counts.pods, 0))
    unavailable = np.where(most_percent >= 0, -(-most_percent * expected // 100), most)
    desired = np.select(
        [most + most_percent > -2, least_percent >= 0, least >= 0],
        [expected - unavailable, -(-least_percent * expected // 100), least], 0,
    )  # fmt: skip
    return expected, np.maximum(desired, 0), lost & by_scale


def _disrupted(world: World, rows: Rows, since_us: Rows, now_us: int) -> Rows:
    """Tell which evictions still wait for the deletion of their pods."""
    pods = _column(world, "disrupted")[rows]
    there = (since_us != _NO_TIME) & (world.cluster.pod_trace_row[pods] == _column(world, "disrupted_serial")[rows])
    there &= there_are(world, pods) & (world.cluster.life_deleted_us[pods] < 0)
    return there & (since_us + TIMEOUT_US > now_us)


def _waiting(world: World, rows: Rows, kept: Rows) -> Rows:
    """Count pods that wait so and are still ready: they do not count as healthy."""
    pods = _column(world, "disrupted")[rows]
    ready = (world.cluster.life_ready[pods] == 1) & (world.cluster.life_phase[pods] < SUCCEEDED)
    return (kept & ready).sum(axis=1)


def evict(world: World, pods: Rows, now_us: int) -> Rows:
    """Tell which pods may be evicted, in their order, and note that in their budgets."""
    cluster = world.cluster
    phase = cluster.life_phase[pods]
    free = (phase == PENDING) | (phase == SUCCEEDED) | (phase == FAILED) | (cluster.life_deleted_us[pods] >= 0)
    found = covering(world)
    places, of = found.of_templates(cluster.pod_template[pods])
    budgets = found.budgets[places]
    many = np.bincount(of, minlength=len(pods))
    granted = free | (many == 0)
    # A pod of several budgets cannot be evicted at all.
    asked = ~granted[of]
    _refuse(world, budgets[asked & (many[of] > 1)])
    single = asked & (many[of] == 1)
    budgets, of = budgets[single], of[single]
    rows = cluster.object_row[budgets]
    unready = cluster.life_ready[pods[of]] == 0
    enough = (_column(world, "healthy")[rows] >= _column(world, "desired")[rows]) & (
        _column(world, "desired")[rows] > 0
    )
    passes = unready & ((_column(world, "always")[rows] == 1) | enough)
    granted[of[passes]] = True
    of, budgets = of[~passes], budgets[~passes]
    order = np.argsort(budgets, kind="stable")
    of, budgets = of[order], budgets[order]
    rank = np.arange(len(of)) - np.searchsorted(budgets, budgets)
    rows = cluster.object_row[budgets]
    waiting = (_column(world, "disrupted_us")[rows] != _NO_TIME).sum(axis=1) + rank
    seen = cluster.object_observed[budgets] >= cluster.object_generation[budgets]
    taken = seen & (rank < _column(world, "allowed")[rows]) & (waiting <= MOST_DISRUPTED)
    granted[of[taken]] = True
    _take(world, budgets[taken], pods[of[taken]], now_us)
    _refuse(world, budgets[~taken])
    return granted


def _take(world: World, budgets: Rows, pods: Rows, now_us: int) -> None:
    """Take evictions off what budgets allow; each budget's together."""
    cluster = world.cluster
    for budget in np.unique(budgets).tolist():
        some, row = pods[budgets == budget], int(cluster.object_row[budget])
        free = np.flatnonzero(_column(world, "disrupted_us")[row] == _NO_TIME)
        width = cluster.sizes["disruption"]
        if len(some) > len(free):
            cluster.resize("disruption", max(2 * width, width + len(some) - len(free)))
            free = np.concatenate([free, np.arange(width, cluster.sizes["disruption"])])
        at = free[: len(some)]
        _column(world, "disrupted")[row, at], _column(world, "disrupted_us")[row, at] = some, now_us
        _column(world, "disrupted_serial")[row, at] = cluster.pod_trace_row[some]
        _column(world, "allowed")[row] -= len(some)
        _column(world, "granted")[row] += len(some)
        if _column(world, "allowed")[row] == 0:
            _column(world, "may")[row], _column(world, "may_reason")[row] = FALSE, _INSUFFICIENT
    world.note(budgets, now_us)


def _refuse(world: World, budgets: Rows) -> None:
    np.add.at(_column(world, "refused"), world.cluster.object_row[budgets], 1)


BUDGET = Kind(KIND, TABLE, manifest=Manifest(("policy",), PodDisruptionBudget, take), evicts=evict)
DISRUPTION = Controller("disruption", KIND, _step, keys=_keys, workers=1)
