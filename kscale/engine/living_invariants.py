"""Invariants of objects and of the pods that they control, worked out anew: part of what ``--check`` looks at."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from kscale.engine.clock import NEVER
from kscale.engine.kinds import FREE
from kscale.engine.objects import RUNNING_PHASE, SUCCEEDED
from kscale.engine.pods import FINISHED, GONE, REMOVED, RUNNING, UNUSED
from kscale.state.tables import Cluster

Rows = np.ndarray[Any, Any]
Expect = Callable[[object, str], None]


def living_violations(cluster: Cluster, expect: Expect) -> None:
    """Tell what does not hold of owners' counts and lists, of what is due, and of conditions."""
    state = cluster.pod_state
    there = np.flatnonzero(~np.isin(state, (UNUSED, GONE, REMOVED)))
    owned = there[cluster.life_owner[there] >= 0]
    _counts(cluster, owned, expect)
    _lists(cluster, owned, expect)
    expect((cluster.object_live[cluster.life_owner[owned]] != FREE).all(), "a pod is of an object that is not there")
    owner = np.flatnonzero((cluster.object_live != FREE) & (cluster.object_owner >= 0))
    expect((cluster.object_live[cluster.object_owner[owner]] != FREE).all(), "an object is of one that is not there")
    counted = np.bincount(cluster.object_owner[owner], minlength=cluster.sizes["object"])
    expect(np.array_equal(counted, cluster.object_dependents), "dependents are miscounted")
    bound = there[state[there] == RUNNING]
    due = bound[cluster.life_due_us[bound] < NEVER]
    entries = set(zip(cluster.due_pod[: cluster.cluster_due[0]].tolist(), _times(cluster), strict=True))
    wanted = zip(due.tolist(), cluster.life_due_us[due].tolist(), strict=True)
    expect(all(one in entries for one in wanted), "a pod is due, and no one looks at it")
    ready = there[cluster.life_ready[there] == 1]
    expect((cluster.life_phase[ready] == RUNNING_PHASE).all(), "a pod is ready that does not run")
    expect((cluster.life_ready[there[cluster.life_available[there] == 1]] == 1).all(), "what is available is not ready")
    finished = there[state[there] == FINISHED]
    expect((cluster.life_phase[finished] >= SUCCEEDED).all(), "a pod that has finished says that it has not")


def _times(cluster: Cluster) -> list[int]:
    return [int(time) for time in cluster.due_time_us[: cluster.cluster_due[0]]]


def _counts(cluster: Cluster, pods: Rows, expect: Expect) -> None:
    """Every owner's counts, from its pods."""
    finished = cluster.life_phase[pods] >= SUCCEEDED
    deleted = cluster.life_deleted_us[pods] >= 0
    active = ~finished & ~deleted
    for name, counts in {
        "pods": np.ones(len(pods), bool), "active": active, "terminating": ~finished & deleted,
        "running": active & (cluster.life_phase[pods] == RUNNING_PHASE),
        "ready": active & (cluster.life_ready[pods] == 1), "available": active & (cluster.life_available[pods] == 1),
    }.items():  # fmt: skip
        counted = np.bincount(cluster.life_owner[pods[counts]], minlength=cluster.sizes["object"])
        expect(np.array_equal(counted, cluster.columns[f"object_{name}"]), f"object_{name} is not what its pods are")


def _lists(cluster: Cluster, pods: Rows, expect: Expect) -> None:
    """The list of each owner, walked from its first pod, holds its pods and no other, and ends at the last."""
    owner = np.flatnonzero(cluster.object_first_pod >= 0)
    pod, before = cluster.object_first_pod[owner], np.full(len(owner), -1, np.int64)
    listed, right = 0, bool((cluster.object_live[owner] != FREE).all())
    while len(pod) and right and listed <= len(pods):
        listed += len(pod)
        right = bool((cluster.life_owner[pod] == owner).all() and (cluster.life_previous[pod] == before).all())
        after = cluster.life_next[pod]
        right = right and bool((cluster.object_last_pod[owner[after < 0]] == pod[after < 0]).all())
        owner, before, pod = owner[after >= 0], pod[after >= 0], after[after >= 0]
    expect(right and listed == len(pods), "the list of an owner's pods is wrong")
