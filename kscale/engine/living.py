"""Pods that live: the loop's drivers for runs with controllers and kubelets.

The kubelet's rules are kernels of kscale.node, which the loop calls by name: ``kubelet_admit`` when a pod is bound,
``kubelet_stop`` when its deletion is asked for, ``kubelet_leave`` when it goes, in whichever way, and ``kubelet_look``
when the time comes that it has set in ``life_due_us``. A look that comes too early changes nothing. ``kubelet_look``
answers in bits: the pod's conditions changed, it has finished, it has stopped after its deletion.
"""

from __future__ import annotations

from typing import Any

from kscale.composer import Composer
from kscale.engine.clock import FREE, NEVER
from kscale.engine.kinds import CREATE, DELETE, THERE, TRACK
from kscale.engine.objects import FAILED, KEEPS, SUCCEEDED
from kscale.engine.pods import (
    FINISHED,
    GONE,
    HELD,
    IN_FLIGHT,
    QUEUED,
    REMOVED,
    RESTING_STATE,
    RUNNING,
    STATUS_DELETED,
    STATUS_EVICTED,
    STATUS_FAILED,
    STATUS_SUCCEEDED,
    UNKNOWN_START,
    UNUSED,
)
from kscale.kernels import inlined, kernel, plain
from kscale.vectors import natural

#: What ``kubelet_look`` answers.
CHANGED, HAS_FINISHED, HAS_STOPPED = 1, 2, 4
#: Entries of the heap that one step may add.
MOST_DUES = 4
#: Exit code of a container that SIGTERM ended (128 + 15).
TERMINATED = 143
#: Whether the heap may be too small for the next step.
DUES_FULL = f"cluster_due[0] + {MOST_DUES} >= len(due_pod)"
#: The same where it may evict all pods of a node.
DUES_FULL_OF_VICTIMS = f"cluster_due[0] + cluster_running_pods[0] + {MOST_DUES} >= len(due_pod)"


@inlined
def _is_due_sooner(time_a: int, pod_a: int, time_b: int, pod_b: int, pod_trace_row: Any) -> bool:
    return time_a < time_b or (time_a == time_b and pod_trace_row[pod_a] < pod_trace_row[pod_b])


@kernel
def due_push(pod: int, time_us: int, pod_trace_row: Any, due_pod: Any, due_time_us: Any, cluster_due: Any) -> None:
    """Note that the kubelet looks at ``pod`` at ``time_us``."""
    place = natural(cluster_due[0])
    cluster_due[0] += 1
    while place > 0:
        above = natural((place - 1) >> 2)
        if not _is_due_sooner(time_us, pod, due_time_us[above], due_pod[above], pod_trace_row):
            break
        due_pod[place], due_time_us[place] = due_pod[above], due_time_us[above]
        place = above
    due_pod[place], due_time_us[place] = pod, time_us


@kernel
def due_pop(pod_trace_row: Any, due_pod: Any, due_time_us: Any, cluster_due: Any) -> int:
    """Take out and return the pod that is looked at next."""
    first = due_pod[0]
    cluster_due[0] -= 1
    size = cluster_due[0]
    pod, time_us = due_pod[size], due_time_us[size]
    place = 0
    while True:
        best, child = -1, 4 * place + 1
        for other in range(child, min(child + 4, size)):
            if best < 0 or _is_due_sooner(
                due_time_us[other], due_pod[other], due_time_us[best], due_pod[best], pod_trace_row
            ):
                best = other
        if best < 0 or not _is_due_sooner(due_time_us[best], due_pod[best], time_us, pod, pod_trace_row):
            break
        due_pod[place], due_time_us[place] = due_pod[best], due_time_us[best]
        place = best
    if size > 0:
        due_pod[place], due_time_us[place] = pod, time_us
    return first


@kernel
def next_living(
    due: int, due_time_us: Any, cluster_due: Any, cluster_now_us: Any, cluster_control_us: Any,
    cluster_next_leftover_us: Any, cluster_next_flush_us: Any, queue_size: Any,
) -> int:  # fmt: skip
    """Return the next instant of a run with controllers, where ``due`` is that of pods and the scheduler alone."""
    living = cluster_control_us[0]
    if cluster_due[0] > 0:
        living = min(living, due_time_us[0])
    # Timers of resting pods count as long as something else is to come.
    if due >= NEVER and living < NEVER and queue_size[4] > 0:
        living = min(living, cluster_next_leftover_us[0], cluster_next_flush_us[0])
    return max(min(due, living), cluster_now_us[0])


@kernel
def create_pod(
    request: int, now_us: int, pod_trace_row: Any, pod_template: Any, pod_arrived_us: Any, pod_duration_us: Any,
    pod_end_us: Any, pod_begun_us: Any, life_revision: Any, request_template: Any, request_revision: Any,
    cluster_serial: Any, queue_free: Any, queue_size: Any,
) -> int:  # fmt: skip
    """Give the pod that a request creates a row and return it."""
    queue_size[FREE] -= 1
    pod = natural(queue_free[natural(queue_size[FREE])])
    pod_trace_row[pod] = cluster_serial[0]
    cluster_serial[0] += 1
    pod_template[pod], life_revision[pod] = request_template[request], request_revision[request]
    pod_arrived_us[pod], pod_duration_us[pod], pod_end_us[pod] = now_us, -1, -1
    pod_begun_us[pod] = UNKNOWN_START
    return pod


@kernel
def become_available(
    pod: int, now_us: int, life_owner: Any, life_ready: Any, life_available: Any, life_ready_us: Any, life_due_us: Any,
    object_min_ready_us: Any,
) -> int:  # fmt: skip
    """Make the pod available once it has been ready for long enough; return 1 where that changed."""
    before = life_available[pod]
    if life_ready[pod] == 0:
        life_available[pod] = 0
    elif before == 0:
        owner = life_owner[pod]
        at = life_ready_us[pod] + (object_min_ready_us[owner] if owner >= 0 else 0)
        if at <= now_us:
            life_available[pod] = 1
        else:
            life_due_us[pod] = min(life_due_us[pod], at)
    return 1 if life_available[pod] != before else 0


@kernel
def is_kept(
    pod: int, stopped: int, life_owner: Any, life_tracked: Any, life_deleted_us: Any, object_live: Any,
    object_keeps: Any,
) -> int:  # fmt: skip
    """Return 1 where the pod stays as an object when it has ended; ``stopped``: since its deletion was asked for.

    One that its controller tracks stays until that lets go of it, others until they are deleted.
    """
    owner = life_owner[pod]
    if owner < 0:
        return 0
    if life_tracked[pod] != 0 and object_live[owner] == THERE:
        return 1
    kept = stopped == 0 and life_deleted_us[pod] < 0 and object_keeps[owner] == KEEPS
    return 1 if kept else 0


LOOK_DUE = f"""
        while cluster_due[0] > 0 and due_time_us[0] <= due and cluster_events[0] < len(event_template):
            if ledger_rows[0] >= len(ledger_trace_row):
                return FULL_CODE
            if {DUES_FULL}:
                return DUES_CODE
            time_us = due_time_us[0]
            pod = natural(due_pop())
            if life_due_us[pod] == time_us:
                look(pod, due)
            cluster_work[0] += 1
        if cluster_due[0] > 0 and due_time_us[0] <= due:
            continue"""


def define(composer: Composer) -> None:
    """Add the drivers of living pods; the kubelet's own are there already. The entry is ``carry_out``."""
    for function in (due_push, due_pop, next_living, create_pod, become_available, is_kept):
        composer.use(plain(function).__name__, function)
    composer.define("depart", "pod", _DEPART)
    composer.define("wake", "pod", _WAKE)
    composer.define("settle_life", "pod, what, now_us", _SETTLE_LIFE)
    composer.define("look", "pod, now_us", _LOOK, apart=True)
    composer.define("begin_life", "pod, node, now_us", _BEGIN_LIFE)
    composer.define("ask_deletion", "pod, grace_us, now_us", _ASK_DELETION)
    composer.define("track", "pod, tracked, now_us", _TRACK)
    composer.define("take_owner", "pod, now_us", _TAKE_OWNER)
    composer.define("carry_out", "now_us", _CARRY_OUT, entry=True)


# The row is used again when no heap of the scheduler holds it, and controllers have seen that the pod is gone.
_DEPART = f"""
kubelet_leave(pod)
disown(pod)
life_due_us[pod] = {NEVER}
if pod_state[pod] == {QUEUED}:
    pod_state[pod] = {GONE}
elif pod_state[pod] == {IN_FLIGHT}:
    pod_state[pod] = {GONE}
else:
    pod_state[pod] = {REMOVED}
"""

_WAKE = f"""
if life_due_us[pod] < {NEVER}:
    due_push(pod, life_due_us[pod])
"""

# Finished pods give their room back at once. Those that their controller has yet to count stay as objects, and those
# of them that were deleted have failed, as their kubelets say.
_SETTLE_LIFE = f"""
if what & {HAS_FINISHED | HAS_STOPPED} != 0:
    life_due_us[pod] = {NEVER}
    pod_ended_us[pod] = now_us
    cluster_running_pods[0] -= 1
    occupy(pod, pod_node[pod], -1, now_us)
    note_event(pod_template[pod], 0)
    if what & {HAS_STOPPED} != 0:
        if pod_eviction[pod] >= 0:
            cluster_evicted_pods[0] += 1
            to_ledger(pod, {STATUS_EVICTED})
        else:
            cluster_deleted_pods[0] += 1
            to_ledger(pod, {STATUS_DELETED})
    elif life_phase[pod] == {SUCCEEDED}:
        cluster_ended_pods[0] += 1
        to_ledger(pod, {STATUS_SUCCEEDED})
    else:
        cluster_failed_pods[0] += 1
        to_ledger(pod, {STATUS_FAILED})
    owner = life_owner[pod]
    if what & {HAS_STOPPED} == 0 and owner >= 0:
        if life_phase[pod] == {SUCCEEDED}:
            object_succeeded[owner] += 1
        else:
            object_failed[owner] += 1
    if is_kept(pod, what & {HAS_STOPPED}) != 0:
        if what & {HAS_STOPPED} != 0:
            life_phase[pod], life_ready[pod], life_available[pod] = {FAILED}, 0, 0
            life_exit_code[pod] = {TERMINATED}
        pod_state[pod] = {FINISHED}
        count_owned(pod, 1)
    else:
        depart(pod)
else:
    count_owned(pod, 1)
    wake(pod)
if what != 0:
    note_pod(pod, now_us)
"""

_LOOK = f"""
count_owned(pod, -1)
life_due_us[pod] = {NEVER}
what = kubelet_look(pod, now_us)
if become_available(pod, now_us) != 0:
    what = what | {CHANGED}
settle_life(pod, what, now_us)
"""

_BEGIN_LIFE = """
count_owned(pod, -1)
kubelet_admit(pod, node, now_us)
count_owned(pod, 1)
wake(pod)
note_pod(pod, now_us)
"""

# kube-apiserver: a pod that is not bound, or has finished, goes at once; a later request may only shorten the grace.
_ASK_DELETION = f"""
state = pod_state[pod]
if state == {FINISHED}:
    if is_kept(pod, 1) != 0:
        life_deleted_us[pod] = now_us if life_deleted_us[pod] < 0 else life_deleted_us[pod]
    else:
        count_owned(pod, -1)
        depart(pod)
    note_pod(pod, now_us)
elif state == {RUNNING} or (state == {IN_FLIGHT} and cluster_node_in_flight[0] >= 0):
    grace = template_grace_us[pod_template[pod]] if grace_us < 0 else grace_us
    if life_deleted_us[pod] < 0 or life_deleted_us[pod] + life_grace_us[pod] > now_us + grace:
        count_owned(pod, -1)
        if life_deleted_us[pod] < 0:
            life_deleted_us[pod] = now_us
        life_grace_us[pod] = now_us + grace - life_deleted_us[pod]
        count_owned(pod, 1)
        if state == {RUNNING}:
            kubelet_stop(pod, now_us)
            wake(pod)
        note_pod(pod, now_us)
elif state == {QUEUED} or state == {RESTING_STATE} or state == {IN_FLIGHT} or state == {HELD}:
    count_owned(pod, -1)
    cluster_waiting_pods[0] -= 1
    cluster_deleted_pods[0] += 1
    pod_ended_us[pod] = now_us
    if state == {RESTING_STATE}:
        unrest(pod)
    elif state == {HELD}:
        cluster_held_pods[0] -= 1
    to_ledger(pod, {STATUS_DELETED})
    give_up(pod)
    depart(pod)
    note_pod(pod, now_us)
"""

_TAKE_OWNER = """
note_pod(pod, now_us)
count_owned(pod, -1)
disown(pod)
life_owner[pod] = -1
"""

_TRACK = f"""
life_tracked[pod] = tracked
if tracked == 0 and pod_state[pod] == {FINISHED}:
    count_owned(pod, -1)
    depart(pod)
    note_pod(pod, now_us)
"""

_CARRY_OUT = f"""
while cluster_requests_cursor[0] < cluster_requests[0]:
    if ledger_rows[0] + 1 >= len(ledger_trace_row) or {DUES_FULL}:
        return 1
    row = natural(cluster_requests_cursor[0])
    cluster_requests_cursor[0] += 1
    if request_verb[row] == {CREATE}:
        pod = create_pod(row, now_us)
        reset(pod)
        fresh_life(pod, request_owner[row], request_number[row], request_pin[row])
        adopt(pod)
        count_owned(pod, 1)
        count_arrival(pod_template[pod])
        note_pod(pod, now_us)
        if template_held[pod_template[pod]] != 0:
            pod_state[pod] = {HELD}
            cluster_held_pods[0] += 1
        else:
            come(pod, now_us)
    else:
        pod = natural(request_pod[row])
        state = pod_state[pod]
        if pod_trace_row[pod] == request_serial[row] and state != {UNUSED} and state != {REMOVED} and state != {GONE}:
            if request_verb[row] == {DELETE}:
                ask_deletion(pod, request_grace_us[row], now_us)
            elif request_verb[row] == {TRACK}:
                track(pod, request_tracked[row], now_us)
            else:
                take_owner(pod, now_us)
return 0
"""

# In the place of what the loop does where pods start when bound, and end by their durations.
ARRIVE = """
fresh_life(pod, arrival_owner[cluster_arrivals_cursor[0] - 1], arrival_number[cluster_arrivals_cursor[0] - 1], -1)
adopt(pod)
count_owned(pod, 1)
note_pod(pod, now_us)
"""

# What was bound before the run is taken to be running, and ready.
RESUME = """
    count_owned(pod, -1)
    kubelet_resume(pod, node, now_us)
    become_available(pod, now_us)
    count_owned(pod, 1)
    wake(pod)"""

FREE_LEFT = f"""
if life_changed[pod] != 0:
    pod_state[pod] = {REMOVED}
else:
    free_row(pod)
"""

SUCCEED = """
bind(pod, node, now_us)
pod_started_us[pod] = -1
begin_life(pod, node, now_us)
if life_deleted_us[pod] >= 0:
    kubelet_stop(pod, now_us)
    wake(pod)
note_event(pod_template[pod], 1)
"""

# kube-scheduler asks for the deletion of victims: they have their own grace period.
EVICT = "ask_deletion(pod, -1, now_us)"

CONTROL_PHASE = """
    if cluster_phase[0] == 2:
        if cluster_control_us[0] <= now_us:
            return CONTROL_CODE
        cluster_phase[0] = 3"""

TRY_THERE = f"""if pod_state[pod] == {GONE}:
                    free_left(pod)
                else:
                    try_pod(pod, now_us)"""
