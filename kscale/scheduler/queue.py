"""The scheduling queue of kube-scheduler v1.34.1: active, back-off, and unschedulable pods at rest.

Back-off is 1 s, doubled for each further consecutive failure, at most 10 s, where the configuration says nothing else.

Rules and default times: pkg/scheduler/backend/queue. A pod enters with a number of its own: order by that number is
order by time of entering, and equal times are first come, first served. What changes a result lives here; the loop
(kscale.engine.loop) only says when.
"""

from __future__ import annotations

from typing import Any

from kscale.composer import Composer
from kscale.engine.clock import ACTIVE, BACKOFF, NEVER, RESTING, SECOND
from kscale.engine.lists import link, unlink
from kscale.engine.pods import QUEUED
from kscale.kernels import hot, inlined, kernel, plain
from kscale.scheduler.profile import Profile
from kscale.vectors import natural

#: A pod that rests longer than this is woken anyway; looked at each LEFTOVER_PERIOD_US.
LEFTOVER_AFTER_US = 300 * SECOND
LEFTOVER_PERIOD_US = 30 * SECOND


@inlined
def _goes_first(a: int, b: int, pod_template: Any, pod_queue_sequence: Any, template_priority: Any) -> bool:
    priority_a, priority_b = template_priority[pod_template[a]], template_priority[pod_template[b]]
    return priority_a > priority_b or (priority_a == priority_b and pod_queue_sequence[a] < pod_queue_sequence[b])


@inlined
def _backs_off_first(
    a: int, b: int, pod_backoff_us: Any, pod_template: Any, pod_queue_sequence: Any, template_priority: Any
) -> bool:
    if pod_backoff_us[a] != pod_backoff_us[b]:
        return pod_backoff_us[a] < pod_backoff_us[b]
    return _goes_first(a, b, pod_template, pod_queue_sequence, template_priority)


@hot
def push_active(
    pod: int, pod_template: Any, pod_queue_sequence: Any, template_priority: Any, queue_active: Any, queue_size: Any
) -> None:
    """Put the pod into the active queue."""
    place = natural(queue_size[ACTIVE])
    queue_size[ACTIVE] += 1
    while place > 0:
        above = natural((place - 1) >> 1)
        if not _goes_first(pod, queue_active[above], pod_template, pod_queue_sequence, template_priority):
            break
        queue_active[place] = queue_active[above]
        place = above
    queue_active[place] = pod


@hot
def pop_active(
    pod_template: Any, pod_queue_sequence: Any, template_priority: Any, queue_active: Any, queue_size: Any
) -> int:
    """Take out and return the first pod of the active queue."""
    first = queue_active[0]
    queue_size[ACTIVE] -= 1
    size = natural(queue_size[ACTIVE])
    pod, place = natural(queue_active[size]), 0
    while 2 * place + 1 < size:
        child = 2 * place + 1
        if child + 1 < size and _goes_first(
            queue_active[child + 1], queue_active[child], pod_template, pod_queue_sequence, template_priority
        ):
            child += 1
        if not _goes_first(queue_active[child], pod, pod_template, pod_queue_sequence, template_priority):
            break
        queue_active[place] = queue_active[child]
        place = child
    queue_active[place] = pod
    return first


@kernel
def push_backoff(
    pod: int, now_us: int,
    pod_backoff_us: Any, pod_template: Any, pod_queue_sequence: Any, template_priority: Any, queue_backoff: Any,
    queue_size: Any, cluster_next_flush_us: Any,
) -> None:  # fmt: skip
    """Put the pod into the back-off queue, which is flushed at the next whole second."""
    place = queue_size[BACKOFF]
    queue_size[BACKOFF] += 1
    while place > 0:
        above = (place - 1) >> 1
        if not _backs_off_first(
            pod, queue_backoff[above], pod_backoff_us, pod_template, pod_queue_sequence, template_priority
        ):
            break
        queue_backoff[place] = queue_backoff[above]
        place = above
    queue_backoff[place] = pod
    cluster_next_flush_us[0] = min(cluster_next_flush_us[0], (now_us // SECOND + 1) * SECOND)


@kernel
def pop_backoff(
    pod_backoff_us: Any,
    pod_template: Any,
    pod_queue_sequence: Any,
    template_priority: Any,
    queue_backoff: Any,
    queue_size: Any,
) -> int:
    """Take out and return the pod whose back-off expires first."""
    first = queue_backoff[0]
    queue_size[BACKOFF] -= 1
    size = queue_size[BACKOFF]
    pod, place = queue_backoff[size], 0
    while 2 * place + 1 < size:
        child = 2 * place + 1
        if child + 1 < size and _backs_off_first(
            queue_backoff[child + 1],
            queue_backoff[child],
            pod_backoff_us,
            pod_template,
            pod_queue_sequence,
            template_priority,
        ):
            child += 1
        if not _backs_off_first(
            queue_backoff[child], pod, pod_backoff_us, pod_template, pod_queue_sequence, template_priority
        ):
            break
        queue_backoff[place] = queue_backoff[child]
        place = child
    queue_backoff[place] = pod
    return first


@inlined
def is_backing_off(pod: int, now_us: int, pod_backoff_us: Any) -> bool:
    """Tell whether its back-off lasts; within the second of its expiry it still does."""
    return pod_backoff_us[pod] >= now_us // SECOND * SECOND


@hot
def enter(pod: int, now_us: int, pod_queued_us: Any, pod_queue_sequence: Any, cluster_sequence: Any) -> None:
    """Number the pod as it enters the queue."""
    pod_queued_us[pod] = now_us
    pod_queue_sequence[pod] = cluster_sequence[0]
    cluster_sequence[0] += 1


@kernel
def rest(
    pod: int, now_us: int,
    pod_rests_for: Any, pod_next: Any, pod_previous: Any, queue_resting: Any, queue_resting_last: Any, queue_size: Any,
    cluster_next_leftover_us: Any,
) -> None:  # fmt: skip
    """Put the pod to rest, behind those that were tried before it."""
    kind = pod_rests_for[pod]
    link(pod, queue_resting_last[kind], pod_next, pod_previous, queue_resting, queue_resting_last, kind)
    if queue_size[RESTING] == 0:
        cluster_next_leftover_us[0] = (now_us // LEFTOVER_PERIOD_US + 1) * LEFTOVER_PERIOD_US
    queue_size[RESTING] += 1


@kernel
def unrest(
    pod: int,
    pod_rests_for: Any,
    pod_next: Any,
    pod_previous: Any,
    queue_resting: Any,
    queue_resting_last: Any,
    queue_size: Any,
) -> None:
    """Take the pod out of those at rest."""
    unlink(pod, pod_next, pod_previous, queue_resting, queue_resting_last, pod_rests_for[pod])
    queue_size[RESTING] -= 1


@hot
def note_event(template: int, added: int, event_template: Any, event_added: Any, cluster_events: Any) -> None:
    """Note that a pod of the template came to a node (1) or went (0)."""
    event_template[cluster_events[0]] = template
    event_added[cluster_events[0]] = added
    cluster_events[0] += 1


@kernel
def back_off(
    pod: int, now_us: int, pod_unschedulable_count: Any, pod_backoff_us: Any, cluster_initial_backoff_us: Any,
    cluster_max_backoff_us: Any,
) -> None:  # fmt: skip
    """Count a failed try and set when its back-off expires, cut down to whole seconds; a maximum of 0 sets none."""
    pod_unschedulable_count[pod] += 1
    wait, most = cluster_initial_backoff_us[0], cluster_max_backoff_us[0]
    for _ in range(1, pod_unschedulable_count[pod]):
        if wait > most - wait:
            wait = most
            break
        wait += wait
    pod_backoff_us[pod] = (now_us + min(wait, most)) // SECOND * SECOND if most > 0 else -1


#: The lists of resting pods: those that only a change of nodes may help; the end of any pod; the end of any pod or a
#: pod that comes and fits a hint; only what fits a hint. The last one holds those whose try broke off in an error: they
#: wait their back-off out.
RESTS_FOR_NODES, RESTS_FOR_ENDS, RESTS_FOR_ENDS_OR_HINT, RESTS_FOR_HINT, RESTS_BROKEN = range(5)


def define(composer: Composer, profile: Profile) -> None:
    """Add the queue's kernels and the drivers that join them."""
    for function in (
        push_active, pop_active, push_backoff, pop_backoff, enter, rest, unrest, back_off, is_backing_off, note_event,
    ):  # fmt: skip
        composer.use(plain(function).__name__, function)
    hints = [plugin for plugin in profile.filters if plugin.hint is not None]
    always = sum(profile.bits(plugin) for plugin in profile.filters if plugin.always)
    hinting = sum(profile.bits(plugin) for plugin in hints)
    for index, plugin in enumerate(hints):
        composer.use(f"hint_{index}", plugin.hint)
    lines = [
        f"if not helps and pod_rejectors[pod] & {profile.bits(plugin)} != 0:\n"
        f"    helps = hint_{index}(pod_template[pod], other, added)"
        for index, plugin in enumerate(hints)
    ]
    composer.define("ask_hints", "pod, other, added, helps", "\n".join([*lines, "return helps"]))
    composer.define("set_rest", "pod, bits", _SET_REST.replace("ALWAYS", str(always)).replace("HINTING", str(hinting)))
    composer.define("requeue", "pod, now_us", _REQUEUE)
    composer.define("settle_events", "now_us", _SETTLE_EVENTS)
    composer.define("wake_leftover", "now_us", _WAKE_LEFTOVER)
    composer.define("flush_backoff", "now_us", _FLUSH_BACKOFF)
    composer.define("break_off", "pod, now_us", _BREAK_OFF)
    composer.define("pop_next", "", _POP_NEXT)


_SET_REST = f"""
pod_rejectors[pod] = bits
if bits & ALWAYS != 0:
    pod_rests_for[pod] = {RESTS_FOR_ENDS_OR_HINT} if bits & HINTING != 0 else {RESTS_FOR_ENDS}
else:
    pod_rests_for[pod] = {RESTS_FOR_HINT} if bits & HINTING != 0 else {RESTS_FOR_NODES}
"""

_REQUEUE = f"""
if is_backing_off(pod, now_us):
    push_backoff(pod, now_us)
else:
    push_active(pod)
pod_state[pod] = {QUEUED}
"""

# Each event asks the pod that is being tried, if it found no node, then those at rest that an event may help. The end
# of a pod may help every pod that resources turned away: kube-scheduler's hint asks no more than that either.
_SETTLE_EVENTS = f"""
if queue_size[{RESTING}] > 0 or cluster_pod_in_flight[0] >= 0:
    for event in range(cluster_events[0]):
        other, added = event_template[event], event_added[event]
        for kind in range(4):
            pod = queue_resting[kind]
            if kind == {RESTS_FOR_NODES}:
                pod = cluster_pod_in_flight[0]
                if cluster_node_in_flight[0] >= 0:
                    pod = -1
            while pod >= 0:
                after = pod_next[pod]
                rests_for = pod_rests_for[pod]
                helps = added == 0 and (rests_for == {RESTS_FOR_ENDS} or rests_for == {RESTS_FOR_ENDS_OR_HINT})
                helps = ask_hints(pod, other, added, helps)
                cluster_work[0] += 1
                if kind == {RESTS_FOR_NODES}:
                    after = -1
                    if helps:
                        cluster_woken_in_flight[0] = 1
                elif helps:
                    unrest(pod)
                    requeue(pod, now_us)
                pod = after
cluster_events[0] = 0
"""

_WAKE_LEFTOVER = f"""
for kind in range(4):
    while queue_resting[kind] >= 0 and now_us - pod_queued_us[queue_resting[kind]] > {LEFTOVER_AFTER_US}:
        pod = queue_resting[kind]
        unrest(pod)
        requeue(pod, now_us)
cluster_next_leftover_us[0] = now_us + {LEFTOVER_PERIOD_US}
"""

_FLUSH_BACKOFF = f"""
while queue_size[{BACKOFF}] > 0 and not is_backing_off(queue_backoff[0], now_us):
    pod = pop_backoff()
    push_active(pod)
pod = queue_resting[{RESTS_BROKEN}]
while pod >= 0:
    after = pod_next[pod]
    if not is_backing_off(pod, now_us):
        unrest(pod)
        push_active(pod)
        pod_state[pod] = {QUEUED}
    pod = after
waiting = queue_size[{BACKOFF}] > 0 or queue_resting[{RESTS_BROKEN}] >= 0
cluster_next_flush_us[0] = now_us + {SECOND} if waiting else {NEVER}
"""

_BREAK_OFF = f"""
pod_rests_for[pod] = {RESTS_BROKEN}
rest(pod, now_us)
cluster_next_flush_us[0] = min(cluster_next_flush_us[0], (now_us // {SECOND} + 1) * {SECOND})
"""

_POP_NEXT = f"""
if queue_size[{ACTIVE}] > 0:
    pod = pop_active()
else:
    pod = pop_backoff()
    if queue_size[{BACKOFF}] == 0 and queue_resting[{RESTS_BROKEN}] < 0:
        cluster_next_flush_us[0] = {NEVER}
return pod
"""
