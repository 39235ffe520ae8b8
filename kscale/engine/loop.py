"""The compiled loop: from one control point to the next, in virtual time.

``define`` writes the loop's drivers. They call, by name, functions that the rooms declare: the scheduler gives
``select`` (the node for a template, or -1), ``pick_devices``, ``reserve``, ``diagnose`` and the queue's verbs;
``measure`` keeps a node's fragmented share where the cluster has devices.
"""

from __future__ import annotations

from kscale.composer import Composer
from kscale.engine import pods
from kscale.engine.clock import ACTIVE, BACKOFF, CALENDAR, FREE, NEVER, RESTING, calendar_pop, calendar_push, next_due
from kscale.engine.pods import (
    GONE,
    IN_FLIGHT,
    QUEUED,
    RESTING_STATE,
    RUNNING,
    STATUS_FAILED,
    STATUS_REFUSED,
    STATUS_SUCCEEDED,
)

#: What ``run`` returns: why it came back.
DONE, BUDGET, FULL, REACHED, ARRIVALS, ROWS = range(6)


def define(composer: Composer, *, inflate: bool, devices: bool) -> None:
    """Add the loop's drivers; the entries are ``run`` and ``sample``.

    ``inflate``: nothing ends, what does not fit is refused, and the timeline has a row after each arrival.
    """
    composer.use("calendar_push", calendar_push)
    composer.use("calendar_pop", calendar_pop)
    composer.use("next_due", next_due)
    pods.define(composer)
    composer.define(
        "occupy", "pod, template, node, devices, sign, now_us", _OCCUPY + (_OCCUPY_DEVICES if devices else "")
    )
    composer.define("end", "pod, now_us", _END)
    composer.define("arrive", "now_us", _ARRIVE)
    composer.define("succeed", "pod, node, now_us", _SUCCEED)
    composer.define("note_failure", "pod, now_us", _NOTE_FAILURE)
    composer.define("come_back", "pod, now_us", _REFUSE if inflate else _COME_BACK)
    composer.define("finish_try", "pod, now_us", _FINISH_TRY)
    composer.define("try_pod", "pod, now_us", _TRY)
    composer.define(
        "run", "until_us, budget", _RUN.replace("AFTER_INSTANT", _AFTER_ARRIVAL if inflate else "pass"), entry=True
    )
    composer.define("sample", "now_us", "record(now_us)", entry=True)


_AFTER_ARRIVAL = f"""if timeline_rows[0] >= len(timeline_time_us):
        return {FULL}
    record(now_us)"""

_OCCUPY = """
take_resources(template, node, sign)
reserve(template, node, sign)
log_change(node, now_us, sign)
"""

_OCCUPY_DEVICES = """
if devices != np.uint64(0):
    take_devices(devices, template_device_milli[template], node, sign)
measure(node)
"""

# A pod in flight whose try found a node is bound first and ends then; one that found none leaves like any that waits.
_END = f"""
if pod_state[pod] == {RUNNING}:
    pod_ended_us[pod] = now_us
    cluster_running_pods[0] -= 1
    cluster_ended_pods[0] += 1
    occupy(pod, pod_template[pod], pod_node[pod], pod_devices[pod], -1, now_us)
    wake_all(now_us)
    to_ledger(pod, {STATUS_SUCCEEDED})
    free_row(pod)
elif pod_state[pod] != {IN_FLIGHT} or cluster_node_in_flight[0] < 0:
    cluster_waiting_pods[0] -= 1
    cluster_failed_pods[0] += 1
    pod_ended_us[pod] = now_us
    to_ledger(pod, {STATUS_FAILED})
    if pod_state[pod] == {RESTING_STATE}:
        unrest(pod)
        free_row(pod)
    else:
        pod_state[pod] = {GONE}
"""

_ARRIVE = f"""
pod = admit()
reset(pod)
pod_state[pod] = {QUEUED}
count_arrival(pod_template[pod])
if pod_end_us[pod] >= 0:
    calendar_push(pod, max(pod_end_us[pod], now_us))
enter(pod, now_us)
push_active(pod)
"""

# A recorded end that came while the pod was in flight was passed over: it is due now.
_SUCCEED = """
ends_us = bind(pod, node, now_us)
if pod_end_us[pod] >= 0:
    if pod_end_us[pod] <= now_us and cluster_scheduler_us[0] > 0:
        calendar_push(pod, now_us)
elif ends_us >= 0:
    calendar_push(pod, ends_us)
"""

_NOTE_FAILURE = """
template = pod_template[pod]
pod_diagnosis[pod] = template_diagnosis[template]
pod_rests_for[pod] = usage_rejects(template)
if pod_failed_us[pod] < 0:
    pod_failed_us[pod] = now_us
"""

_REFUSE = f"""
note_failure(pod, now_us)
cluster_waiting_pods[0] -= 1
cluster_refused_pods[0] += 1
to_ledger(pod, {STATUS_REFUSED})
free_row(pod)
"""

_COME_BACK = f"""
note_failure(pod, now_us)
back_off(pod, now_us)
enter(pod, now_us)
if pod_rests_for[pod] != 0 and cluster_woken_in_flight[0] > 0:
    requeue(pod, now_us)
else:
    pod_state[pod] = {RESTING_STATE}
    rest(pod, now_us)
"""

_FINISH_TRY = f"""
cluster_pod_in_flight[0] = -1
node = cluster_node_in_flight[0]
if pod_state[pod] == {GONE}:
    free_row(pod)
elif node >= 0:
    succeed(pod, node, now_us)
else:
    come_back(pod, now_us)
"""

# The room is taken at once; the pod is bound (or comes back) when the scheduler's time for it is over.
_TRY = f"""
template = pod_template[pod]
pod_attempts[pod] += 1
cluster_attempts[0] += 1
cluster_woken_in_flight[0] = 0
cluster_work[0] += 1
draw = random_bits(pod_trace_row[pod], pod_attempts[pod], 0)
node = select(template, draw)
if node >= 0:
    devices = pick_devices(template, node, pod_trace_row[pod], pod_attempts[pod])
    pod_devices[pod] = devices
    occupy(pod, template, node, devices, 1, now_us)
else:
    diagnose(template)
pod_state[pod] = {IN_FLIGHT}
cluster_pod_in_flight[0] = pod
cluster_node_in_flight[0] = node
cluster_scheduler_free_us[0] = now_us + cluster_scheduler_us[0]
"""

# An instant is taken up again in the phase in which a call left it, so that returning changes no result.
_RUN = f"""
while True:
    if cluster_phase[0] == 0:
        if cluster_arrivals_cursor[0] >= cluster_arrivals[0] and cluster_more_arrivals[0]:
            return {ARRIVALS}
        due = next_due()
        if due >= {NEVER}:
            return {DONE}
        if due > until_us:
            return {REACHED}
        cluster_now_us[0] = due
        while queue_size[{CALENDAR}] > 0 and queue_calendar_us[0] <= due:
            if ledger_rows[0] >= len(ledger_trace_row):
                return {FULL}
            pod = calendar_pop()
            end(pod, due)
            cluster_work[0] += 1
        cluster_phase[0] = 1
    now_us = cluster_now_us[0]
    if cluster_phase[0] == 1:
        while cluster_arrivals_cursor[0] < cluster_arrivals[0]:
            if arrival_time_us[cluster_arrivals_cursor[0]] > now_us:
                break
            if queue_size[{FREE}] == 0:
                return {ROWS}
            arrive(now_us)
        if cluster_arrivals_cursor[0] >= cluster_arrivals[0] and cluster_more_arrivals[0]:
            return {ARRIVALS}
        if queue_size[{RESTING}] > 0 and cluster_next_leftover_us[0] <= now_us:
            wake_leftover(now_us)
        if cluster_next_flush_us[0] <= now_us:
            flush_backoff(now_us)
        cluster_phase[0] = 3
    while True:
        if cluster_work[0] >= budget:
            return {BUDGET}
        if ledger_rows[0] >= len(ledger_trace_row) or diagnosis_rows[0] >= len(diagnosis_description):
            return {FULL}
        pod = cluster_pod_in_flight[0]
        if pod >= 0:
            if cluster_scheduler_free_us[0] > now_us:
                break
            finish_try(pod, now_us)
        elif queue_size[{ACTIVE}] + queue_size[{BACKOFF}] > 0:
            pod = pop_next()
            if pod_state[pod] == {GONE}:
                free_row(pod)
            else:
                try_pod(pod, now_us)
        else:
            break
    AFTER_INSTANT
    cluster_phase[0] = 0
"""
