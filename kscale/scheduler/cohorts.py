"""The queue of whole classes: pods that wait are moved by cohorts and lines, so that an event costs by these.

A try takes no time here, so that an instant ends with every queue empty: each pod that was woken has been tried again.
Pods that were last tried in one go, and as often, back off alike and are woken together: they are a *cohort*. Its
*lines* hold the pods of one template that were turned away for the same reasons. Only one pod of a line has to be
tried: while pods only come, what found no node finds none, and the pods of its template behind it neither.

Cohorts stand in the order of their last tries; within one, a pod's ``pod_queue_sequence`` is its place. A cohort that
was tried again joins the one before it when both have failed as often. The smaller one's pods are renumbered then, so
that a pod is renumbered no more often than its cohort doubles. Two lines of a template become one in the same way.

It gives the same as the queue that moves pod by pod (kscale.scheduler.queue), which is its twin and serves where
pods may be evicted, wait for hints, differ in priority, or are tried in virtual time.
"""

from __future__ import annotations

import numpy as np

from kscale.composer import Composer
from kscale.engine.clock import ACTIVE, RESTING, WOKEN
from kscale.engine.pods import QUEUED, RESTING_STATE
from kscale.kernels import plain
from kscale.scheduler import lines, queue
from kscale.scheduler.profile import Profile
from kscale.scheduler.queue import LEFTOVER_AFTER_US, LEFTOVER_PERIOD_US
from kscale.state.tables import Cluster

#: Kinds of lines: what only a change of nodes may help, and what the end of any pod may.
FOR_NODES, FOR_ENDS = 1, 2
#: Before every place.
_BEFORE = -(1 << 62)


def settle(cluster: Cluster) -> None:
    """Bring the rows of all pods up to date that wait in lines, at the end of a run."""
    pods = np.flatnonzero(cluster.pod_line >= 0)
    line = cluster.pod_line[pods]
    cluster.pod_attempts[pods] += cluster.cohort_tries[cluster.line_cohort[line]]
    cluster.pod_diagnosis[pods] = cluster.line_diagnosis[line]


def define(composer: Composer, profile: Profile) -> None:
    """Add the drivers of the queue: ``join_cohort``, ``unrest``, ``settle_events``, ``wake_leftover``, ``take_next``.

    And ``looked_at``, which is told what a search for a line came to.
    """
    for function in (
        lines.open_cohort, lines.close_cohort, lines.open_line, lines.close_line, lines.append_pod, lines.remove_pod,
        lines.wake_cohort, lines.pop_cohort, lines.move_line, lines.couple_lines, lines.fewer_before, lines.give_pods,
        lines.first_fitting, lines.back_off_cohort, lines.to_the_end, queue.push_active, queue.pop_active, queue.enter,
        queue.note_event,
    ):  # fmt: skip
        composer.use(plain(function).__name__, function)
    always = sum(profile.bits(plugin) for plugin in profile.filters if plugin.always)
    composer.define("kind_of", "template", _KIND_OF.replace("ALWAYS", str(always)))
    composer.define("join_cohort", "pod, now_us", _JOIN)
    composer.define("leave_line", "pod", _LEAVE_LINE)
    composer.define("unrest", "pod", _UNREST)
    composer.define("part_for_ends", "cohort", _PART)
    composer.define("settle_events", "now_us", _SETTLE_EVENTS)
    composer.define("wake_leftover", "now_us", _WAKE_LEFTOVER)
    composer.define("join_lines", "line, cohort", _JOIN_LINES)
    composer.define("gather", "cohort", _GATHER)
    composer.define("follow", "cohort, before", _FOLLOW)
    composer.define("precede", "cohort, before", _PRECEDE)
    composer.define("advance", "cohort, now_us", _ADVANCE)
    composer.define("looked_at", "line, node", _LOOKED_AT)
    composer.define("take_next", "now_us", _TAKE_NEXT)


_KIND_OF = f"""
kind = {FOR_NODES}
if rejecting_reasons(template) & ALWAYS != 0:
    kind = {FOR_ENDS}
return kind
"""

# A pod that found no node joins those that were tried just before it, if they too have failed once.
_JOIN = f"""
template = pod_template[pod]
cohort = cluster_last_cohort[0]
joins = False
if cohort >= 0:
    joins = cohort_woken[cohort] == 0 and cohort_tried_us[cohort] == now_us and cohort_level[cohort] == 1
if not joins:
    cohort = open_cohort(now_us, 1, cluster_last_cohort[0])
    back_off_cohort(cohort, now_us)
    to_the_end(cohort)
kind = kind_of(template)
cohort_kinds[cohort] |= kind
line = template_line[template]
known = False
if line >= 0:
    known = line_cohort[line] == cohort and line_template[line] == template
    known = known and line_diagnosis[line] == template_diagnosis[template]
if not known:
    line = open_line(cohort, template, cohort_last_line[cohort], template_diagnosis[template], kind)
    template_line[template] = line
append_pod(pod, line)
pod_state[pod] = {RESTING_STATE}
if queue_size[{RESTING}] == 0:
    cluster_next_leftover_us[0] = (now_us // {LEFTOVER_PERIOD_US} + 1) * {LEFTOVER_PERIOD_US}
queue_size[{RESTING}] += 1
"""

_LEAVE_LINE = f"""
line = remove_pod(pod)
if line_pods[line] == 0:
    close_line(line)
queue_size[{RESTING}] -= 1
"""

# One that is woken is given up when its turn comes.
_UNREST = """
cohort = line_cohort[pod_line[pod]]
leave_line(pod)
if cohort_pods[cohort] == 0 and cohort_woken[cohort] == 0:
    close_cohort(cohort)
"""

# Lines that the end of a pod may help leave those that it cannot; their places stay.
_PART = f"""
part = open_cohort(cohort_tried_us[cohort], cohort_level[cohort], cohort)
cohort_low[part], cohort_high[part] = cohort_low[cohort], cohort_high[cohort]
cohort_backoff_us[part], cohort_order[part] = cohort_backoff_us[cohort], cohort_order[cohort]
cohort_tries[part] = cohort_tries[cohort]
cohort_kinds[part], cohort_kinds[cohort] = {FOR_ENDS}, {FOR_NODES}
line = cohort_first_line[cohort]
while line >= 0:
    after = line_next[line]
    if line_kind[line] == {FOR_ENDS}:
        move_line(line, part, cohort_last_line[part], 0, 0)
    line = after
if cohort_pods[cohort] == 0:
    close_cohort(cohort)
return part
"""

# What has rested so long that it is woken now in any case is woken whole.
_SETTLE_EVENTS = f"""
ended = False
for event in range(cluster_events[0]):
    ended = ended or event_added[event] == 0
cluster_events[0] = 0
cohort = -1
if ended:
    cohort = cluster_first_cohort[0]
while cohort >= 0:
    after = cohort_next[cohort]
    if cohort_woken[cohort] == 0 and cohort_kinds[cohort] & {FOR_ENDS} != 0:
        old = cluster_next_leftover_us[0] <= now_us and now_us - cohort_tried_us[cohort] > {LEFTOVER_AFTER_US}
        if cohort_kinds[cohort] != {FOR_ENDS} and not old:
            cohort = part_for_ends(cohort)
        wake_cohort(cohort, now_us)
    cluster_work[0] += 1
    cohort = after
"""

_WAKE_LEFTOVER = f"""
cohort = cluster_first_cohort[0]
while cohort >= 0:
    if cohort_woken[cohort] == 0 and now_us - cohort_tried_us[cohort] > {LEFTOVER_AFTER_US}:
        wake_cohort(cohort, now_us)
    cohort = cohort_next[cohort]
cluster_next_leftover_us[0] = now_us + {LEFTOVER_PERIOD_US}
"""

# Behind the line of its template that stands last in the cohort before it.
_JOIN_LINES = """
template = line_template[line]
other = template_line[template]
kept = line
joins = False
if other >= 0 and other != line:
    joins = line_cohort[other] == cohort and line_template[other] == template
    joins = joins and line_diagnosis[other] == line_diagnosis[line]
if joins:
    left = couple_lines(other, line)
    if left == line:
        kept = other
    close_line(left)
template_line[template] = kept
"""

_GATHER = """
line = cohort_first_line[cohort]
while line >= 0:
    template_line[line_template[line]] = -1
    line = line_next[line]
cohort_kinds[cohort] = 0
line = cohort_first_line[cohort]
while line >= 0:
    after = line_next[line]
    cohort_kinds[cohort] |= line_kind[line]
    join_lines(line, cohort)
    line = after
"""

_FOLLOW = """
shift = cohort_high[before] - cohort_low[cohort]
tries = cohort_tries[cohort] - cohort_tries[before]
line = cohort_first_line[cohort]
while line >= 0:
    after = line_next[line]
    move_line(line, before, cohort_last_line[before], shift, tries)
    cohort_kinds[before] |= line_kind[line]
    join_lines(line, before)
    line = after
cohort_high[before] += cohort_high[cohort] - cohort_low[cohort]
close_cohort(cohort)
"""

_PRECEDE = """
shift = cohort_low[cohort] - cohort_high[before]
tries = cohort_tries[before] - cohort_tries[cohort]
line = cohort_last_line[before]
while line >= 0:
    after = line_previous[line]
    move_line(line, cohort, -1, shift, tries)
    line = after
cohort_low[cohort] -= cohort_high[before] - cohort_low[before]
close_cohort(before)
gather(cohort)
"""

# All of its pods that are left have failed once more.
_ADVANCE = """
if cohort_pods[cohort] == 0:
    close_cohort(cohort)
else:
    cluster_attempts[0] += cohort_pods[cohort]
    cohort_tries[cohort] += 1
    cohort_level[cohort] += 1
    cohort_tried_us[cohort] = now_us
    cohort_woken[cohort] = 0
    back_off_cohort(cohort, now_us)
    to_the_end(cohort)
    before = cohort_previous[cohort]
    joins = False
    if before >= 0:
        joins = cohort_woken[before] == 0 and cohort_tried_us[before] == now_us
        joins = joins and cohort_level[before] == cohort_level[cohort]
    if not joins:
        gather(cohort)
    elif cohort_pods[before] >= cohort_pods[cohort]:
        follow(cohort, before)
    else:
        precede(cohort, before)
"""

# Pods before the one that was bound last have failed for the reasons that stood then.
_LOOKED_AT = """
template = line_template[line]
line_fits[line] = int(node >= 0)
if node < 0 and line_diagnosis[line] != template_diagnosis[template]:
    part = line
    if pod_queue_sequence[line_first[line]] < cluster_cut[0]:
        count = fewer_before(line, cluster_cut[0])
        if count > 0:
            other = open_line(line_cohort[line], template, line_previous[line], line_diagnosis[line], line_kind[line])
            give_pods(line, other, count)
        else:
            part = open_line(line_cohort[line], template, line, line_diagnosis[line], line_kind[line])
            give_pods(line, part, count)
    line_diagnosis[part] = template_diagnosis[template]
    kind = kind_of(template)
    line_kind[part] = kind
"""

# What backs off no more comes before what has just arrived: it entered the queue earlier. A line is looked at by its
# first pod (``cluster_probe``); when all are, the first pod that has a node is tried, and the lines are looked at anew.
_TAKE_NEXT = f"""
pod = -1
cluster_probe[0] = -1
if cluster_cohort[0] < 0:
    waits = queue_size[{WOKEN}] > 0
    if waits and queue_size[{ACTIVE}] > 0:
        waits = cohort_due_us[queue_woken[0]] < 0
    if waits:
        cluster_cohort[0] = pop_cohort()
        cluster_cut[0] = {_BEFORE}
        cluster_line[0] = cohort_first_line[cluster_cohort[0]]
    else:
        pod = pop_active()
if cluster_cohort[0] >= 0:
    cohort, line = cluster_cohort[0], cluster_line[0]
    if line >= 0:
        cluster_line[0] = line_next[line]
        line_fits[line] = 0
        if pod_queue_sequence[line_last[line]] > cluster_cut[0]:
            pod = line_first[line]
            cluster_probe[0] = line
    else:
        pod = first_fitting(cohort)
        if pod >= 0:
            cluster_cut[0] = pod_queue_sequence[pod]
            leave_line(pod)
            pod_state[pod] = {QUEUED}
            cluster_line[0] = cohort_first_line[cohort]
        else:
            cluster_cohort[0] = -1
            queue_size[{WOKEN}] -= 1
            advance(cohort, now_us)
return pod
"""
