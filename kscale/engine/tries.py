"""Tries: a search for a node, and what follows from it; composed into the loop (kscale.engine.loop)."""

from __future__ import annotations

from kscale.composer import Composer
from kscale.engine.pods import IN_FLIGHT


def define(
    composer: Composer, *, preempts: bool, waits: bool, by_class: bool, pins: bool = False, graceful: bool = False
) -> None:
    """Add ``make_room`` and ``try_pod``; ``by_class`` where pods wait by whole classes, which are tried by one pod.

    ``pins``: pods may be pinned to a node, which is the only one that is looked at. ``graceful``: victims have their
    grace period, and the pod that they make room for evicts no others until they are gone.
    """
    if preempts:
        clear = _CLEAR_AND_WAIT if waits else ""
        text = _MAKE_ROOM.replace("GOING", _ASKED if graceful else _GONE) + clear
        if graceful:
            text = _AWAIT + "".join(f"    {line}\n" for line in text.strip().splitlines())
        composer.define("make_room_within", "pod, template, totals, first, last, now_us", text + "return cleared")
        all_nodes = "cleared = make_room_within(pod, template, totals, 0, len(totals), now_us)\nreturn cleared"
        composer.define("make_room", "pod, template, totals, now_us", all_nodes)
    else:
        composer.define("make_room", "pod, template, totals, now_us", "return -1")
    search = _SEARCH
    if pins:
        composer.define("make_room_on", "pod, template, node, now_us", _MAKE_ROOM_ON if preempts else "return -1")
        composer.define("look_at_pin", "pod, template, now_us", _LOOK_AT_PIN)
        search = _SEARCH_PINNED + "".join(f"    {line}\n" for line in _SEARCH.strip().splitlines())
    text = _look_or_try() if by_class else _TRY.replace("SEARCH", search).replace("REST", _REST)
    composer.define("try_pod", "pod, now_us", text)


_MAKE_ROOM = """
cleared = preempt(pod, template, totals, first, last)
if cleared >= 0:
    for place in range(cluster_preemption[2]):
        victim = scan_chosen[place]
        GOING
"""

_GONE = """pod_preemptor[victim] = pod_trace_row[pod]
        pod_eviction[victim] = cluster_evictions[0]
        cluster_evictions[0] += 1
        pod_victims[pod] += 1
        evict(victim, now_us)"""

# One that is being deleted already is not asked again; a static pod cannot be deleted (kscale.node.stopping).
_ASKED = """if life_deleted_us[victim] < 0:
            evict(victim, now_us)
            if life_deleted_us[victim] >= 0:
                pod_preemptor[victim] = pod_trace_row[pod]
                pod_eviction[victim] = cluster_evictions[0]
                cluster_evictions[0] += 1
                pod_victims[pod] += 1"""

_AWAIT = """
cleared = -1
waiting = awaits_victims(pod, template, totals)
if not waiting:
"""

# The pod waits for its node; others of lower priority that were waiting for it do not any more.
_CLEAR_AND_WAIT = """
if cleared >= 0:
    place = 0
    while place < cluster_nominated[0]:
        other = nominated_pod[place]
        lower = template_priority[pod_template[other]] < template_priority[template]
        if pod_nominated[other] == cleared and lower:
            denominate(other)
        else:
            place += 1
    nominate(pod, cleared)
else:
    denominate(pod)
cleared = -1
"""

# What found no node finds none while no node has changed, for the same reasons: no other pod of the template is tried.
_SEARCH = """
node = -1
if template_failed_at[template] != cluster_log_head[0] or cluster_nominated[0] > 0:
    node = find_node(template)
    if node < 0:
        totals = weigh(pod, template)
        node = choose(pod, totals, draw)
        if node < 0:
            diagnose(template)
            node = make_room(pod, template, totals, now_us)
            if node < 0 and cluster_nominated[0] == 0:
                template_failed_at[template] = cluster_log_head[0]
"""

# Pods of a DaemonSet are bound to one node by an affinity to its name: no other node is looked at, none is scored.
_SEARCH_PINNED = """
if life_pin[pod] >= 0:
    node = look_at_pin(pod, template, now_us)
else:
"""

_LOOK_AT_PIN = """
node = life_pin[pod]
check(template, node)
if scan_reject[node] != 0 or scan_check[node] < 0:
    diagnose_pinned(template, scan_reject[node], scan_check[node])
    node = make_room_on(pod, template, node, now_us)
return node
"""

_MAKE_ROOM_ON = """
score_range(template, node, node + 1, scan_total)
cleared = make_room_within(pod, template, scan_total, node, node + 1, now_us)
return cleared
"""

# The room is taken at once; the pod is bound (or comes back) when the scheduler's time for it is over.
_TRY = f"""
template = natural(pod_template[pod])
pod_attempts[pod] += 1
cluster_attempts[0] += 1
cluster_woken_in_flight[0] = 0
cluster_work[0] += 1
draw = random_bits(pod_trace_row[pod], pod_attempts[pod], 0)
SEARCH
REST
if node >= 0:
    pod_devices[pod] = pick_devices(template, node, pod_trace_row[pod], pod_attempts[pod])
    occupy(pod, node, 1, now_us)
pod_state[pod] = {IN_FLIGHT}
cluster_pod_in_flight[0] = pod
cluster_node_in_flight[0] = node
cluster_scheduler_free_us[0] = now_us + cluster_scheduler_us[0]
"""


_REST = """
if node < 0:
    set_rest(pod, rejecting_reasons(template))
"""


def _look_or_try() -> str:
    """Return the text of a try where a line may be looked at by its first pod, which is not tried by that."""
    begin, end = _TRY.split("SEARCH\nREST")
    tried = begin.replace("template = natural(pod_template[pod])\n", "")
    indented = ["\n    ".join(["", *part.strip().splitlines()]) for part in (tried, end)]
    look = "if cluster_probe[0] >= 0:\n    looked_at(cluster_probe[0], node)\nelse:"
    text = "template, draw = natural(pod_template[pod]), np.uint64(0)\nif cluster_probe[0] < 0:"
    return f"{text}{indented[0]}\n{_SEARCH}\n{look}{indented[1]}"
