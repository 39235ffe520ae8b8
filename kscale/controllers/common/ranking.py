"""Which pods go first when some have to (pkg/controller, ActivePodsWithRanks)."""

from __future__ import annotations

from typing import Any

import numpy as np

from kscale.engine.objects import RUNNING_PHASE, SUCCEEDED, UNKNOWN_PHASE, pods_of
from kscale.engine.world import World

Rows = np.ndarray[Any, Any]


def deletion_order(world: World, pods: Rows, place: Rows, now_us: int) -> Rows:
    """Return the order in which ``pods`` are deleted, those of each ``place`` together, places ascending.

    Not bound before bound; Pending before Unknown before Running; not ready before ready; by deletion cost; those with
    more pods of the same owner's owner on their node; the shorter time ready, in powers of two; more restarts; the
    younger, in powers of two. Where all is the same, Kubernetes compares UIDs, which are random: here the pod that
    came later goes first.
    """
    cluster = world.cluster
    state, phase, ready = cluster.pod_node[pods], cluster.life_phase[pods], cluster.life_ready[pods]
    phase_rank = np.select([phase == RUNNING_PHASE, phase == UNKNOWN_PHASE], [2, 1], 0)
    since = cluster.life_ready_us[pods]
    # One that does not say since when it is ready counts as ready later than all others.
    ready_age = np.where(ready == 1, np.where(since < 0, -2, _power(now_us - since)), 0)
    age = _power(now_us - cluster.pod_arrived_us[pods])
    keys = [
        state >= 0,
        phase_rank,
        ready,
        cluster.template_deletion_cost[cluster.pod_template[pods]],
        -crowding(world, pods),
        ready_age,
        -cluster.life_restarts[pods],
        age,
        -cluster.pod_trace_row[pods],
    ]
    return np.lexsort([*reversed(keys), place])


def crowding(world: World, pods: Rows) -> Rows:
    """Return for each pod how many active pods of owners with the same controller share its node."""
    cluster = world.cluster
    owners = cluster.life_owner[pods]
    tops = cluster.object_owner[owners]
    tops = np.where(tops >= 0, tops, owners)
    related = _related(world, np.unique(tops), np.unique(owners))
    pair = _pair(cluster.object_owner, cluster.life_owner[related], cluster.pod_node[related])
    counted, counts = np.unique(pair[cluster.pod_node[related] >= 0], return_counts=True)
    own = _pair(cluster.object_owner, owners, cluster.pod_node[pods])
    at = np.minimum(np.searchsorted(counted, own), max(len(counted) - 1, 0))
    if not len(counted):
        return np.zeros(len(pods), np.int64)
    return np.where((counted[at] == own) & (cluster.pod_node[pods] >= 0), counts[at], 0)


def _pair(object_owner: Rows, owners: Rows, nodes: Rows) -> Rows:
    tops = object_owner[owners]
    tops = np.where(tops >= 0, tops, owners)
    return tops * (1 << 32) + nodes


def _related(world: World, tops: Rows, owners: Rows) -> Rows:
    """Return the active pods of all owners that ``tops`` control, and of ``owners``."""
    cluster = world.cluster
    dependents, _ = world.dependents_of(tops)
    pods, _ = pods_of(cluster, np.union1d(dependents, owners))
    return pods[(cluster.life_deleted_us[pods] < 0) & (cluster.life_phase[pods] < SUCCEEDED)]


def _power(age_us: Rows) -> Rows:
    """Return the power of two below an age in nanoseconds, as Kubernetes buckets ages."""
    nanoseconds = np.maximum(age_us, 0) * 1000.0
    return np.where(nanoseconds >= 1, np.floor(np.log2(np.maximum(nanoseconds, 1))), -1).astype(np.int64)
