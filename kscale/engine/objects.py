"""Objects and the pods that they control: lists, counts and logs, kept as pods change. Compiled, and by batches.

A pod's share in its owner's counts is taken off (``count_owned`` with -1) before one of its columns changes, and put on
(+1) after that. What changed stands in two logs, each row once, until controllers have looked: see
kscale.engine.reconcile.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from kscale.composer import Composer
from kscale.engine.lists import link, unlink
from kscale.engine.pods import GONE, REMOVED, UNUSED
from kscale.kernels import inlined, kernel, plain
from kscale.state.tables import Cluster
from kscale.vectors import natural

#: Phases, as ``life_phase`` has them.
PENDING, RUNNING_PHASE, SUCCEEDED, FAILED, UNKNOWN_PHASE = range(5)
PHASES = ("Pending", "Running", "Succeeded", "Failed", "Unknown")
#: What an object's deletion waits for, as ``object_finalizer`` has it.
NO_FINALIZER, ORPHAN, FOREGROUND = range(3)
#: Values of ``object_keeps``.
KEEPS_NONE, KEEPS, TRACKS = range(3)
#: Values of ``life_tracked``.
LET_GO, TRACKED, COUNTED = range(3)

#: A list of so many pods is walked; of a longer one, steps that cost more than looking at so many rows.
_FEW, _LOOKED_AT = 64, 1000

Rows = np.ndarray[Any, Any]


@inlined
def _log(row: int, changed: Any, log: Any, count: Any) -> None:
    """Put a row into a log of what changed, where it does not stand there yet."""
    if changed[row] == 0:
        changed[row] = 1
        log[natural(count[0])] = row
        count[0] += 1


@inlined
def _call_controllers(now_us: int, cluster_control_us: Any, cluster_watch_us: Any) -> None:
    """Let controllers look at the next multiple of ``cluster_watch_us``."""
    due = (now_us // cluster_watch_us[0] + 1) * cluster_watch_us[0]
    if due < cluster_control_us[0]:
        cluster_control_us[0] = due


@kernel
def note_object(
    object_: int, now_us: int, object_changed: Any, object_log: Any, cluster_objects_changed: Any,
    cluster_control_us: Any, cluster_watch_us: Any,
) -> None:  # fmt: skip
    """Log that an object changed: controllers see it at the next multiple of ``cluster_watch_us``."""
    _log(object_, object_changed, object_log, cluster_objects_changed)
    _call_controllers(now_us, cluster_control_us, cluster_watch_us)


@kernel
def note_pod(
    pod: int, now_us: int, life_changed: Any, life_log: Any, life_owner: Any, cluster_pods_changed: Any,
    object_changed: Any, object_log: Any, cluster_objects_changed: Any, cluster_control_us: Any, cluster_watch_us: Any,
) -> None:  # fmt: skip
    """Log that a pod changed, and its owner with it."""
    _log(pod, life_changed, life_log, cluster_pods_changed)
    if life_owner[pod] >= 0:
        _log(life_owner[pod], object_changed, object_log, cluster_objects_changed)
    _call_controllers(now_us, cluster_control_us, cluster_watch_us)


@kernel
def count_owned(
    pod: int, sign: int, life_owner: Any, life_deleted_us: Any, life_phase: Any, life_ready: Any, life_available: Any,
    object_pods: Any, object_active: Any, object_running: Any, object_ready: Any, object_available: Any,
    object_terminating: Any,
) -> None:  # fmt: skip
    """Put the pod on (1) or take it off (-1) the counts of its owner."""
    owner = life_owner[pod]
    if owner >= 0:
        object_pods[owner] += sign
        phase = life_phase[pod]
        if phase != SUCCEEDED and phase != FAILED:
            if life_deleted_us[pod] >= 0:
                object_terminating[owner] += sign
            else:
                object_active[owner] += sign
                if phase == RUNNING_PHASE:
                    object_running[owner] += sign
                if life_ready[pod] != 0:
                    object_ready[owner] += sign
                if life_available[pod] != 0:
                    object_available[owner] += sign


@kernel
def fresh_life(
    pod: int, owner: int, number: int, pin: int, life_owner: Any, life_number: Any, life_pin: Any, life_phase: Any,
    life_ready: Any, life_available: Any, life_ready_us: Any, life_deleted_us: Any, life_grace_us: Any,
    life_stage: Any, life_due_us: Any, life_restarts: Any, life_exit_code: Any, life_changed: Any, life_tracked: Any,
    life_addressed: Any, object_keeps: Any,
) -> None:  # fmt: skip
    """Begin a pod's life: Pending, and of this owner."""
    life_owner[pod], life_number[pod], life_pin[pod] = owner, number, pin
    life_phase[pod], life_ready[pod], life_available[pod], life_ready_us[pod] = PENDING, 0, 0, -1
    life_deleted_us[pod], life_grace_us[pod] = -1, 0
    life_stage[pod], life_due_us[pod], life_restarts[pod], life_exit_code[pod] = 0, 1 << 62, 0, 0
    life_changed[pod], life_addressed[pod] = 0, 0
    life_tracked[pod] = TRACKED if owner >= 0 and object_keeps[owner] == TRACKS else LET_GO


@kernel
def adopt(
    pod: int, life_owner: Any, life_next: Any, life_previous: Any, object_first_pod: Any, object_last_pod: Any
) -> None:
    """Put the pod at the end of its owner's list."""
    owner = life_owner[pod]
    if owner >= 0:
        link(pod, object_last_pod[owner], life_next, life_previous, object_first_pod, object_last_pod, owner)


@kernel
def disown(
    pod: int, life_owner: Any, life_next: Any, life_previous: Any, object_first_pod: Any, object_last_pod: Any
) -> None:
    """Take the pod out of its owner's list; it still says who that was."""
    owner = life_owner[pod]
    if owner >= 0:
        unlink(pod, life_next, life_previous, object_first_pod, object_last_pod, owner)


def define(composer: Composer) -> None:
    """Add the kernels that the loop calls."""
    for function in (note_object, note_pod, count_owned, fresh_life, adopt, disown):
        composer.use(plain(function).__name__, function)


def pods_of(cluster: Cluster, objects: Rows) -> tuple[Rows, Rows]:
    """Return the pods that ``objects`` control, the oldest of each first, and for each its place in ``objects``."""
    counts = cluster.object_pods[objects]
    place = np.repeat(np.arange(len(objects)), counts)
    # All lists are walked side by side, in as many steps as the longest has pods: a look at all pods may be shorter.
    if counts.max(initial=0) > _FEW + cluster.sizes["life"] // _LOOKED_AT:
        return _looked_up(cluster, objects), place
    found = np.empty(len(place), np.int64)
    following, pod, at = cluster.life_next, cluster.object_first_pod[objects], np.cumsum(counts) - counts
    left = np.flatnonzero(pod >= 0)
    while len(left):
        found[at[left]] = pod[left]
        at[left] += 1
        pod[left] = following[pod[left]]
        left = left[pod[left] >= 0]
    return found, place


def _looked_up(cluster: Cluster, objects: Rows) -> Rows:
    """Return the same pods from a look at all."""
    place_of = np.full(cluster.sizes["object"] + 1, -1, np.int64)
    place_of[objects] = np.arange(len(objects))
    there = ~np.isin(cluster.pod_state, (UNUSED, GONE, REMOVED))
    listed = np.where(there, cluster.life_owner, -1)
    place = place_of[listed]
    pods = np.flatnonzero(place >= 0)
    return pods[np.lexsort((cluster.pod_trace_row[pods], place[pods]))]
