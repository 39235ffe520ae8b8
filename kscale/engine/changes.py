"""Nodes that come and go: what the loop has for it, and what happens to pods; composed into it (kscale.engine.loop).

The loop comes back in the middle of an instant, after its ends and before its arrivals, when nodes are to change
(``cluster_change_us``). Who drives it changes the columns of nodes, and calls the entries that are defined here.
"""

from __future__ import annotations

from kscale.composer import Composer
from kscale.engine.clock import NEVER, RESTING
from kscale.engine.pods import EVICTED, STATUS_LOST

#: Values of ``node_shut``.
OPEN, CORDONED, ABSENT = range(3)


def define(composer: Composer) -> None:
    """Add the entries ``lose``, ``break_try`` and ``wake``."""
    composer.define("lose", "pod, trace_row, now_us", _LOSE, entry=True)
    composer.define("break_try", "now_us", _BREAK_TRY, entry=True)
    composer.define("wake", "pod, now_us", "unrest(pod)\nrequeue(pod, now_us)", entry=True)


# Timers of resting pods count as long as something else is to come.
DUE = f"""
        if cluster_change_us[0] < {NEVER}:
            if due >= {NEVER} and queue_size[{RESTING}] > 0:
                due = min(cluster_next_leftover_us[0], cluster_next_flush_us[0])
            due = max(min(due, cluster_change_us[0]), cluster_now_us[0])"""

LOOK = """
    if cluster_phase[0] == 1 and cluster_change_us[0] <= now_us:
        return CHANGE_CODE"""

# A pod that is still in the calendar gives its row back when its time there comes. Another takes its place, unless
# ``trace_row`` is below 0.
_LOSE = f"""
pod_ended_us[pod] = now_us
cluster_running_pods[0] -= 1
cluster_lost_pods[0] += 1
occupy(pod, pod_node[pod], -1, now_us)
to_ledger(pod, {STATUS_LOST})
if cluster_events[0] >= len(event_template):
    tell_queue(now_us)
note_event(pod_template[pod], 0)
if pod_end_us[pod] >= 0 or pod_duration_us[pod] >= 0:
    pod_state[pod] = {EVICTED}
else:
    free_row(pod)
if trace_row >= 0:
    fresh = renew(pod, trace_row, now_us)
    reset(fresh)
    count_arrival(pod_template[fresh])
    if pod_end_us[fresh] >= 0:
        calendar_push(fresh, max(pod_end_us[fresh], now_us))
    come(fresh, now_us)
"""

# The pod in flight has lost the node that it was to be bound to: it is tried again after its back-off. A recorded end
# that was passed over meanwhile is due now.
_BREAK_TRY = """
pod = cluster_pod_in_flight[0]
occupy(pod, cluster_node_in_flight[0], -1, now_us)
pod_devices[pod] = np.uint64(0)
cluster_pod_in_flight[0], cluster_node_in_flight[0] = -1, -1
back_off(pod, now_us)
enter(pod, now_us)
requeue(pod, now_us)
if pod_end_us[pod] >= 0 and pod_end_us[pod] <= now_us:
    calendar_push(pod, now_us)
"""
