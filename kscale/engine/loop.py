"""The compiled loop: from one control point to the next, in virtual time.

``define`` writes the loop's drivers. They call, by name, functions that the rooms declare: the scheduler gives
``find_node`` (the node for a pod by the class index, or -1), ``weigh`` and ``choose`` (by the scan), ``pick_devices``,
``reserve``, ``diagnose``, ``preempt`` and the queue's verbs; ``measure`` keeps a node's fragmented share where the
cluster has devices.
"""

from __future__ import annotations

from dataclasses import dataclass

from kscale.composer import Composer
from kscale.engine import changes, living, objects, pods, tries
from kscale.engine.clock import (
    ACTIVE,
    BACKOFF,
    CALENDAR,
    FREE,
    NEVER,
    RESTING,
    WOKEN,
    calendar_pop,
    calendar_push,
    next_due,
)
from kscale.engine.pods import (
    EVICTED,
    GONE,
    HELD,
    IN_FLIGHT,
    QUEUED,
    RESTING_STATE,
    RUNNING,
    STATUS_EVICTED,
    STATUS_FAILED,
    STATUS_REFUSED,
    STATUS_SUCCEEDED,
)
from kscale.vectors import natural

#: What ``run`` returns: why it came back.
DONE, BUDGET, FULL, REACHED, ARRIVALS, ROWS, LANES, LINES, CONTROL, DUES, CHANGE = range(11)


@dataclass(frozen=True)
class Kind:
    """What a run needs of the loop; what it does not need is not compiled.

    Attributes:
        inflate: nothing ends, what does not fit is refused, and the timeline has a row after each arrival.
        devices: some node has devices.
        preempts: pods may be evicted for others.
        objects: pods may be bound before the run, or held outside the queue.
        cohorts: pods wait by whole classes (kscale.scheduler.cohorts); else each by itself (kscale.scheduler.queue).
        living: controllers and kubelets are at work (kscale.engine.living).
        changes: nodes join, leave and change; not with ``living``, ``inflate`` or ``cohorts``.
    """

    inflate: bool = False
    devices: bool = False
    preempts: bool = False
    objects: bool = False
    cohorts: bool = False
    living: bool = False
    changes: bool = False

    @property
    def removes(self) -> bool:
        """Whether pods may go before the end that the calendar has of them."""
        return self.preempts or self.changes


def define(composer: Composer, kind: Kind) -> None:
    """Add the loop's drivers; the entries are ``run`` and ``sample``. ``define_moves`` comes first."""
    waits = not kind.inflate
    composer.define("come", "pod, now_us", _COME)
    sort = _SORT_OBJECTS.replace("START", living.RESUME if kind.living else _START)
    arrive = _ARRIVE + (living.ARRIVE if kind.living else _ARRIVE_WITH_END)
    composer.define("arrive", "now_us", arrive + (sort if kind.objects else "come(pod, now_us)"))
    composer.define("note_failure", "pod, now_us", _NOTE_FAILURE)
    back = _JOIN_COHORT if kind.cohorts else _COME_BACK.replace("CLEARED", "False" if kind.living else _CLEARED)
    composer.define("come_back", "pod, now_us", back if waits else _REFUSE)
    if kind.living:
        composer.define("give_up", "pod", _LEAVE_NOMINATED if kind.preempts else "pass")
        composer.define("free_left", "pod", living.FREE_LEFT)
        living.define(composer)
    else:
        composer.define("free_left", "pod", "free_row(pod)")
    end = _END.replace("EVICTED_FIRST", _END_EVICTED if kind.removes else "")
    end = end.replace("LEAVE", _LEAVE_NOMINATED if kind.preempts else "pass")
    composer.define("end", "pod, now_us", end)
    succeed = living.SUCCEED if kind.living else _SUCCEED
    bound = succeed + ("denominate(pod)" if kind.preempts else "") if waits else "bind(pod, node, now_us)"
    composer.define("succeed", "pod, node, now_us", bound)
    composer.define("finish_try", "pod, now_us", _FINISH_TRY)
    if kind.preempts:
        gone = _EVICT + (_EVICT_IN_TIME if waits else _EVICT_AT_ONCE)
        composer.define("evict", "pod, now_us", living.EVICT if kind.living else gone, apart=kind.living)
    tries.define(
        composer, preempts=kind.preempts, waits=waits, by_class=kind.cohorts, pins=kind.living and not kind.cohorts,
        graceful=kind.living,
    )  # fmt: skip
    timers = _TIMERS + ("" if kind.cohorts else _TIMER_OF_BACKOFF) if waits else "pass"
    composer.define("run_timers", "now_us", timers)
    composer.define("tell_queue", "now_us", "settle_events(now_us)" if waits else "pass")
    if not kind.cohorts:
        composer.define("take_next", "now_us", f"pod = {'pop_next' if waits else 'pop_active'}()\nreturn natural(pod)")
    text = _RUN.replace("AFTER_INSTANT", "pass" if waits else _AFTER_ARRIVAL)
    full = living.DUES_FULL_OF_VICTIMS if kind.preempts else living.DUES_FULL
    text = text.replace("DUES_WANTED", f"if {full}: return {DUES}" if kind.living else "pass")
    text = text.replace("AFTER_TIMERS", "2" if kind.living else "3")
    text = text.replace("NEXT_LIVING", "due = next_living(due)" if kind.living else "pass")
    text = text.replace(
        "CONTROL_PHASE", living.CONTROL_PHASE.replace("CONTROL_CODE", str(CONTROL)) if kind.living else "pass"
    )
    looks = living.LOOK_DUE.replace("FULL_CODE", str(FULL)).replace("DUES_CODE", str(DUES))
    text = text.replace("END_DUE", looks if kind.living else _END_DUE if waits else "pass")
    line = _TAKE_LINE.replace("TRY_LINE", living.TRY_THERE if kind.living else "try_pod(pod, now_us)")
    text = text.replace("TAKE", line if kind.cohorts else _TAKE).replace(
        "LINES_WANTED", _LINES_WANTED if kind.cohorts else "pass"
    )
    text = text.replace("DROP_EVICTED", _DROP_EVICTED if waits and kind.removes else "pass")
    text = text.replace("CHANGE_DUE", changes.DUE if kind.changes else "pass")
    text = text.replace("CHANGES", changes.LOOK.replace("CHANGE_CODE", str(CHANGE)) if kind.changes else "pass")
    composer.define("run", "until_us, budget", text, entry=True)
    if kind.changes:
        changes.define(composer)
    composer.define("record_now", "now_us", f"record(now_us, {int(kind.devices)})")
    composer.define("sample", "now_us", "record_now(now_us)", entry=True)


def define_moves(composer: Composer, kind: Kind) -> None:
    """Add what takes and gives back room: ``shift`` for a trial, ``occupy`` for good."""
    composer.use("calendar_push", calendar_push)
    composer.use("calendar_pop", calendar_pop)
    composer.use("next_due", next_due)
    composer.use("natural", natural)
    pods.define(composer)
    if kind.living:
        objects.define(composer)
    composer.define("move", "pod, node, sign", _MOVE + (_MOVE_DEVICES if kind.devices else ""))
    composer.define("shift", "pod, node, sign", _SHIFT)
    listed = _LISTED if kind.preempts else ""
    composer.define("occupy", "pod, node, sign, now_us", _OCCUPY + listed + ("measure(node)" if kind.devices else ""))


_AFTER_ARRIVAL = f"""if timeline_rows[0] >= len(timeline_time_us):
                return {FULL}
            record_now(now_us)"""

_MOVE = """
template = natural(pod_template[pod])
take_resources(template, natural(node), sign)
reserve(template, node, sign)
"""

_SHIFT = """
cluster_trial[0] = 1
move(pod, node, sign)
try_out(pod_template[pod], node, sign)
cluster_trial[0] = 0
"""

_MOVE_DEVICES = """
if pod_devices[pod] != np.uint64(0):
    take_devices(pod_devices[pod], template_device_milli[template], node, sign)
"""

_OCCUPY = """
move(pod, node, sign)
log_change(natural(node), now_us, sign)
"""

_LISTED = """
if sign > 0:
    join_node(pod, node)
else:
    leave_node(pod, node)
"""

_END_EVICTED = f"""
if pod_state[pod] == {EVICTED}:
    free_row(pod)
el"""

_LEAVE_NOMINATED = "denominate(pod)"

# A pod in flight whose try found a node is bound first and ends then; one that found none leaves like any that waits.
_END = f"""
EVICTED_FIRSTif pod_state[pod] == {RUNNING}:
    pod_ended_us[pod] = now_us
    cluster_running_pods[0] -= 1
    cluster_ended_pods[0] += 1
    occupy(pod, pod_node[pod], -1, now_us)
    note_event(pod_template[pod], 0)
    to_ledger(pod, {STATUS_SUCCEEDED})
    free_row(pod)
elif pod_state[pod] != {IN_FLIGHT} or cluster_node_in_flight[0] < 0:
    cluster_waiting_pods[0] -= 1
    cluster_failed_pods[0] += 1
    pod_ended_us[pod] = now_us
    if pod_state[pod] == {RESTING_STATE}:
        unrest(pod)
    to_ledger(pod, {STATUS_FAILED})
    LEAVE
    if pod_state[pod] == {RESTING_STATE}:
        free_row(pod)
    elif pod_state[pod] == {HELD}:
        cluster_held_pods[0] -= 1
        free_row(pod)
    else:
        pod_state[pod] = {GONE}
"""

_ARRIVE = """
pod = natural(admit())
reset(pod)
count_arrival(pod_template[pod])
"""

_ARRIVE_WITH_END = """
if pod_end_us[pod] >= 0:
    calendar_push(pod, max(pod_end_us[pod], now_us))
"""

_START = """
    if ends_us >= 0 and pod_end_us[pod] < 0:
        calendar_push(pod, ends_us)"""

_COME = f"""
pod_state[pod] = {QUEUED}
enter(pod, now_us)
push_active(pod)
"""

# The held ones wait for what never comes in a run: their gates gone, or a scheduler of their name.
_SORT_OBJECTS = f"""
node = arrival_node[cluster_arrivals_cursor[0] - 1]
if node >= 0:
    occupy(pod, node, 1, now_us)
    ends_us = start_bound(pod, node, now_us)START
elif template_held[pod_template[pod]] != 0:
    pod_state[pod] = {HELD}
    cluster_held_pods[0] += 1
else:
    come(pod, now_us)
"""

# A recorded end that came while the pod was in flight was passed over: it is due now.
_SUCCEED = """
ends_us = bind(pod, node, now_us)
if pod_end_us[pod] >= 0:
    if pod_end_us[pod] <= now_us and cluster_scheduler_us[0] > 0:
        calendar_push(pod, now_us)
elif ends_us >= 0:
    calendar_push(pod, ends_us)
note_event(pod_template[pod], 1)
"""

_NOTE_FAILURE = """
template = natural(pod_template[pod])
pod_diagnosis[pod] = template_diagnosis[template]
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

# The victims of a pod are gone by the time its try is over: it may be tried again. With kubelets, they have their grace
# period, and the end of each of them wakes the pod.
_CLEARED = "pod_nominated[pod] >= 0"

_COME_BACK = f"""
note_failure(pod, now_us)
back_off(pod, now_us)
enter(pod, now_us)
if cluster_woken_in_flight[0] != 0 or CLEARED:
    requeue(pod, now_us)
else:
    pod_state[pod] = {RESTING_STATE}
    if template_breaks[pod_template[pod]] != 0:
        break_off(pod, now_us)
    else:
        rest(pod, now_us)
"""

_JOIN_COHORT = """
note_failure(pod, now_us)
join_cohort(pod, now_us)
"""

_FINISH_TRY = f"""
cluster_pod_in_flight[0] = -1
node = cluster_node_in_flight[0]
if pod_state[pod] == {GONE}:
    free_left(pod)
elif node >= 0:
    succeed(pod, node, now_us)
else:
    come_back(pod, now_us)
"""

_EVICT = f"""
pod_ended_us[pod] = now_us
cluster_running_pods[0] -= 1
cluster_evicted_pods[0] += 1
occupy(pod, pod_node[pod], -1, now_us)
to_ledger(pod, {STATUS_EVICTED})
"""

# A victim that is still in the calendar gives its row back when its time there comes.
_EVICT_IN_TIME = f"""
note_event(pod_template[pod], 0)
if pod_end_us[pod] >= 0 or pod_duration_us[pod] >= 0:
    pod_state[pod] = {EVICTED}
else:
    free_row(pod)
"""

_EVICT_AT_ONCE = "free_row(pod)"

_TIMERS = f"""
if queue_size[{RESTING}] > 0 and cluster_next_leftover_us[0] <= now_us:
    wake_leftover(now_us)
"""

_TIMER_OF_BACKOFF = """
if cluster_next_flush_us[0] <= now_us:
    flush_backoff(now_us)
"""

# A line that is looked at is a step of its own: the call may end after it.
_TAKE_LINE = f"""elif queue_size[{ACTIVE}] + queue_size[{WOKEN}] > 0:
            pod = take_next(now_us)
            cluster_work[0] += 1
            if pod >= 0:
                TRY_LINE"""

_TAKE = f"""elif queue_size[{ACTIVE}] + queue_size[{BACKOFF}] > 0:
            pod = take_next(now_us)
            if pod_state[pod] == {GONE}:
                free_left(pod)
            else:
                try_pod(pod, now_us)"""

# A step opens a line and a cohort at most; telling the queue of ends may part every cohort in two.
_LINES_WANTED = f"""if max(cluster_lines[0], 2 * cluster_cohorts[0]) + 4 > len(line_first):
            return {LINES}"""

# Ends stop short when there is no room for their events: the queue is told of these first.
_END_DUE = f"""
        while queue_size[{CALENDAR}] > 0 and queue_calendar_us[0] <= due and cluster_events[0] < len(event_template):
            if ledger_rows[0] >= len(ledger_trace_row):
                return {FULL}
            pod = calendar_pop()
            end(pod, due)
            cluster_work[0] += 1
        if queue_size[{CALENDAR}] > 0 and queue_calendar_us[0] <= due:
            continue"""

# What was evicted keeps no run going until the time at which it would have ended.
_DROP_EVICTED = f"""
        while queue_size[{CALENDAR}] > 0 and pod_state[queue_calendar[0]] == {EVICTED}:
            pod = calendar_pop()
            free_row(pod)"""

# An instant is taken up again in the phase in which a call left it, so that returning changes no result.
_RUN = f"""
while True:
    if cluster_events[0] > 0:
        tell_queue(cluster_now_us[0])
    if cluster_phase[0] == 0:
        if cluster_arrivals_cursor[0] >= cluster_arrivals[0] and cluster_more_arrivals[0]:
            return {ARRIVALS}
        DROP_EVICTED
        due = next_due()
        NEXT_LIVING
        CHANGE_DUE
        if due >= {NEVER}:
            return {DONE}
        if due > until_us:
            return {REACHED}
        cluster_now_us[0] = due
        END_DUE
        cluster_phase[0] = 1
        if cluster_events[0] > 0:
            continue
    now_us = cluster_now_us[0]
    CHANGES
    if cluster_phase[0] == 1:
        while cluster_arrivals_cursor[0] < cluster_arrivals[0]:
            if arrival_time_us[cluster_arrivals_cursor[0]] > now_us:
                break
            if queue_size[{FREE}] == 0:
                return {ROWS}
            DUES_WANTED
            arrive(now_us)
        if cluster_arrivals_cursor[0] >= cluster_arrivals[0] and cluster_more_arrivals[0]:
            return {ARRIVALS}
        run_timers(now_us)
        cluster_phase[0] = AFTER_TIMERS
    CONTROL_PHASE
    while True:
        if cluster_events[0] > 0:
            break
        if cluster_work[0] >= budget:
            return {BUDGET}
        if cluster_lanes_wanted[0] != 0:
            return {LANES}
        LINES_WANTED
        DUES_WANTED
        if ledger_rows[0] * 2 > len(ledger_trace_row) or diagnosis_rows[0] >= len(diagnosis_description):
            return {FULL}
        pod = cluster_pod_in_flight[0]
        if pod >= 0:
            if cluster_scheduler_free_us[0] > now_us:
                cluster_phase[0] = 0
                break
            finish_try(pod, now_us)
        TAKE
        else:
            AFTER_INSTANT
            cluster_phase[0] = 0
            break
"""
