"""DefaultPreemption: for a pod that found no node, the node where evicting the least important pods makes room.

On each node that eviction may help, all pods of lower priority are taken off; if the filters pass then, they are put
back one by one, those that would break a disruption budget first, then the others, the most important first; who cannot
be put back is a victim. The node with the fewest broken budgets wins, then the lowest highest priority, the lowest sum
of priorities, the fewest victims, the latest start of the most important ones, then the first node.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from kscale.composer import Composer
from kscale.kernels import inlined, kernel, plain
from kscale.scheduler.profile import Profile
from kscale.scheduler.totals import NOT_LOOKED_AT

#: Added to each priority in the sum of priorities, so that a pod of negative priority counts too: 2^31.
_SHIFT = 1 << 31
_BREAKS, _EVICTED = 1, 2


@inlined
def _more_important(a: int, b: int, pod_template: Any, pod_begun_us: Any, template_priority: Any) -> bool:
    priority_a, priority_b = template_priority[pod_template[a]], template_priority[pod_template[b]]
    return priority_a > priority_b or (priority_a == priority_b and pod_begun_us[a] < pod_begun_us[b])


@kernel
def gather_victims(
    template: int, node: int,
    node_first_pod: Any, pod_node_next: Any, pod_template: Any, pod_begun_us: Any, template_priority: Any,
    scan_victim: Any,
) -> int:  # fmt: skip
    """Put the node's pods of lower priority into ``scan_victim``, the most important first; return how many."""
    priority, count = template_priority[template], 0
    pod = node_first_pod[node]
    while pod >= 0:
        if template_priority[pod_template[pod]] < priority:
            place = count
            while place > 0 and _more_important(
                pod, scan_victim[place - 1], pod_template, pod_begun_us, template_priority
            ):
                scan_victim[place] = scan_victim[place - 1]
                place -= 1
            scan_victim[place] = pod
            count += 1
        pod = pod_node_next[pod]
    return count


@kernel
def mark_broken(
    count: int,
    pod_template: Any, template_budget_of_first: Any, template_budget_of_last: Any, budget_of_budget: Any,
    budget_allowed: Any, budget_left: Any, scan_victim: Any, scan_verdict: Any,
) -> None:  # fmt: skip
    """Mark the victims whose eviction would break a budget; budgets are used up in the order of importance."""
    for budget in range(len(budget_allowed)):
        budget_left[budget] = budget_allowed[budget]
    for place in range(count):
        template = pod_template[scan_victim[place]]
        scan_verdict[place] = np.uint8(0)
        for entry in range(template_budget_of_first[template], template_budget_of_last[template]):
            budget = budget_of_budget[entry]
            budget_left[budget] -= 1
            if budget_left[budget] < 0:
                scan_verdict[place] = np.uint8(_BREAKS)


@kernel
def victim_at(step: int, count: int, scan_verdict: Any) -> int:
    """Return the victim that is looked at in a step: those that break a budget first, each kind by importance."""
    for kind in range(1, -1, -1):
        for place in range(count):
            if (scan_verdict[place] & _BREAKS) == kind:
                if step == 0:
                    return place
                step -= 1
    return -1


@kernel
def is_better(
    count: int,
    pod_template: Any, pod_begun_us: Any, template_priority: Any, scan_victim: Any, scan_verdict: Any,
    cluster_preemption: Any,
) -> bool:  # fmt: skip
    """Compare a node's victims with the best so far (``cluster_preemption``); the better ones are kept there."""
    broken, highest, total, evicted, began = 0, np.int64(-_SHIFT), 0, 0, np.int64(0)
    for place in range(count):
        if scan_verdict[place] & _EVICTED:
            pod = scan_victim[place]
            priority = template_priority[pod_template[pod]]
            broken += scan_verdict[place] & _BREAKS
            if evicted == 0 or priority > highest:
                highest, began = priority, pod_begun_us[pod]
            elif priority == highest:
                began = min(began, pod_begun_us[pod])
            total += priority + _SHIFT
            evicted += 1
    better = cluster_preemption[0] < 0
    if not better:
        if broken != cluster_preemption[1]:
            better = broken < cluster_preemption[1]
        elif highest != cluster_preemption[2]:
            better = highest < cluster_preemption[2]
        elif total != cluster_preemption[3]:
            better = total < cluster_preemption[3]
        elif evicted != cluster_preemption[4]:
            better = evicted < cluster_preemption[4]
        else:
            better = began > cluster_preemption[5]
    if better:
        cluster_preemption[1], cluster_preemption[2], cluster_preemption[3] = broken, highest, total
        cluster_preemption[4], cluster_preemption[5] = evicted, began
    return better


@kernel
def keep_victims(
    node: int, count: int, pod_template: Any, pod_begun_us: Any, template_priority: Any, scan_victim: Any,
    scan_verdict: Any, scan_chosen: Any, cluster_preemption: Any,
) -> None:  # fmt: skip
    """Keep the victims of a node as the best so far: the most important first, of equals one that breaks a budget."""
    cluster_preemption[0] = node
    kept = 0
    for kind in range(1, -1, -1):
        for place in range(count):
            if scan_verdict[place] & _EVICTED and (scan_verdict[place] & _BREAKS) == kind:
                pod, at = scan_victim[place], kept
                while at > 0 and _more_important(
                    pod, scan_chosen[at - 1], pod_template, pod_begun_us, template_priority
                ):
                    scan_chosen[at] = scan_chosen[at - 1]
                    at -= 1
                scan_chosen[at] = pod
                kept += 1


@kernel
def nominate(pod: int, node: int, pod_nominated: Any, nominated_pod: Any, cluster_nominated: Any) -> None:
    """Note that the node was cleared for the pod."""
    if pod_nominated[pod] < 0:
        nominated_pod[cluster_nominated[0]] = pod
        cluster_nominated[0] += 1
    pod_nominated[pod] = node


@kernel
def denominate(pod: int, pod_nominated: Any, nominated_pod: Any, cluster_nominated: Any) -> None:
    """Forget the pod's nominated node."""
    if pod_nominated[pod] >= 0:
        pod_nominated[pod] = -1
        kept = 0
        for place in range(cluster_nominated[0]):
            if nominated_pod[place] != pod:
                nominated_pod[kept] = nominated_pod[place]
                kept += 1
        cluster_nominated[0] = kept


@inlined
def counts_as_there(
    place: int, pod: int, template: int, node: int,
    nominated_pod: Any, pod_nominated: Any, pod_template: Any, template_priority: Any,
) -> bool:  # fmt: skip
    """Tell whether the nominated pod at ``place`` counts as being on the node, for a pod of this template."""
    other = nominated_pod[place]
    return (
        other != pod and pod_nominated[other] == node
        and template_priority[pod_template[other]] >= template_priority[template]
    )  # fmt: skip


def define(composer: Composer, profile: Profile, *, waits: bool) -> None:
    """Add ``passes`` (the filters on one node, nominated pods included), ``preempt`` and ``heed_nominated``.

    ``waits`` tells whether pods wait for the nodes that were cleared for them, instead of taking them at once.
    """
    for function in (
        gather_victims, mark_broken, victim_at, is_better, keep_victims, nominate, denominate, counts_as_there,
    ):  # fmt: skip
        composer.use(plain(function).__name__, function)
    composer.define("passes", "pod, template, node", _PASSES if waits else _PASSES_ALONE)
    composer.define("heed_nominated", "pod, template, sums", _HEED_NOMINATED)
    bits = f"(-1 - code) & {profile.unresolvable_bits}"
    hopeless = ""
    for index, plugin in enumerate(profile.filters):
        if plugin.hopeless is not None:
            composer.use(f"hopeless_{index}", plugin.hopeless)
            hopeless += f" and not ((-1 - code) & {profile.bits(plugin)} != 0 and hopeless_{index}(template, node))"
    text = _PREEMPT.replace("UNRESOLVABLE", bits).replace("HOPELESS", hopeless)
    composer.define("preempt", "pod, template, totals, first, last", text)


_PASSES_ALONE = """
check(template, node)
return scan_reject[node] == 0 and scan_check[node] >= 0
"""

# Both with the nominated pods of the node and without them, as kube-scheduler does.
_PASSES = """
passing = True
others = 0
for place in range(cluster_nominated[0]):
    if counts_as_there(place, pod, template, node):
        others += 1
for turn in range(3):
    if turn == 0 and others > 0:
        remember(node, 1)
    if turn < 2 and others > 0:
        for place in range(cluster_nominated[0]):
            if counts_as_there(place, pod, template, node):
                shift(nominated_pod[place], node, 1 - 2 * turn)
    if turn == 1 and others > 0:
        recall(node, 1)
    if passing and (turn == 2 or (turn == 0 and others > 0)):
        check(template, node)
        passing = scan_reject[node] == 0 and scan_check[node] >= 0
return passing
"""

# A node that is rejected anyway is asked too: with its nominated pods another filter may be the first to reject it.
_HEED_NOMINATED = """
for waiting in range(cluster_nominated[0]):
    node = pod_nominated[nominated_pod[waiting]]
    if nominated_pod[waiting] != pod and sums[node] != -1:
        passing = passes(pod, template, node)
        if not passing:
            if scan_reject[node] != 0:
                sums[node] = -1 - scan_reject[node]
            else:
                sums[node] = scan_check[node]
"""

# Step -1 takes all of them off, each further step puts one back, the last one puts the victims back: it was a trial.
_PREEMPT = f"""
cluster_preemption[0] = -1
if template_preempts[template] != 0 and profile_preempts[template_profile[template]] != 0:
    for node in range(first, last):
        code = totals[node]
        count = 0
        if {NOT_LOOKED_AT} < code < -1 and UNRESOLVABLE == 0 HOPELESS:
            count = gather_victims(template, node)
        if count > 0:
            mark_broken(count)
            remember(node, 0)
        step, trying = -1, count > 0
        while step <= count and count > 0:
            place, undo = -1, False
            if 0 <= step < count:
                place = victim_at(step, count)
            for turn in range(2):
                for other in range(count):
                    evicted = step == count and scan_verdict[other] & {_EVICTED} != 0
                    if (step < 0 or other == place or evicted) and (turn == 0 or undo):
                        shift(scan_victim[other], node, -1 if (step < 0) == (turn == 0) else 1)
                if turn == 0 and step < count:
                    passing = passes(pod, template, node)
                    undo = not passing
            if undo:
                if step < 0:
                    count = 0
                else:
                    scan_verdict[place] |= {_EVICTED}
            step += 1
        if trying:
            recall(node, 0)
        if count > 0:
            if is_better(count):
                keep_victims(node, count)
return cluster_preemption[0]
"""
