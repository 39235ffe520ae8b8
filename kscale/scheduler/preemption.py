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
from kscale.engine.pods import more_important
from kscale.kernels import hot, inlined, kernel, plain
from kscale.scheduler.profile import Profile
from kscale.scheduler.totals import NOT_LOOKED_AT

#: Added to each priority in the sum of priorities, so that a pod of negative priority counts too: 2^31.
_SHIFT = 1 << 31
_BREAKS, _EVICTED = 1, 2
#: First cost of a node that cannot be cleared.
_NOWHERE = 1 << 62
#: Of so many nodes the cheapest is known.
STRETCH = 32


@hot
def gather_victims(
    template: int, node: int,
    node_last_pod: Any, pod_node_previous: Any, pod_template: Any, template_priority: Any, scan_victim: Any,
) -> int:  # fmt: skip
    """Put the node's pods of lower priority into ``scan_victim``, the most important first; return how many."""
    priority, count = template_priority[template], 0
    pod = node_last_pod[node]
    while pod >= 0 and template_priority[pod_template[pod]] < priority:
        count += 1
        pod = pod_node_previous[pod]
    pod = node_last_pod[node]
    for place in range(count - 1, -1, -1):
        scan_victim[place] = pod
        pod = pod_node_previous[pod]
    return count


@hot
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


@hot
def evict_by_amounts(
    template: int, node: int, count: int,
    template_fit_request: Any, template_request: Any, pod_template: Any, node_left: Any, scan_victim: Any,
    scan_verdict: Any, scan_room: Any,
) -> int:  # fmt: skip
    """Mark who is evicted where only amounts decide, and return ``count``; 0 where evicting all is not enough."""
    for resource in range(len(scan_room)):
        room = node_left[resource, node]
        for place in range(count):
            room += template_request[pod_template[scan_victim[place]], resource]
        scan_room[resource] = room
        if template_fit_request[template, resource] > max(room, 0):
            return 0
    for kind in range(1, -1, -1):
        for place in range(count):
            if (scan_verdict[place] & _BREAKS) == kind:
                other, kept = pod_template[scan_victim[place]], True
                for resource in range(len(scan_room)):
                    request = template_fit_request[template, resource]
                    kept = kept and (request <= 0 or request <= scan_room[resource] - template_request[other, resource])
                if kept:
                    for resource in range(len(scan_room)):
                        scan_room[resource] -= template_request[other, resource]
                else:
                    scan_verdict[place] |= np.uint8(_EVICTED)
    return count


@hot
def keep_cost(
    clearing: int, node: int, count: int,
    pod_template: Any, pod_begun_us: Any, template_priority: Any, scan_victim: Any, scan_verdict: Any,
    clearing_first_cost: Any, clearing_priorities: Any, clearing_victims: Any, clearing_began_us: Any,
) -> None:  # fmt: skip
    """Note what clearing the node costs, from its victims; it cannot be cleared where ``count`` is 0."""
    broken, highest, total, evicted, began = 0, np.int64(-_SHIFT), 0, 0, np.int64(0)
    for place in range(count):
        if scan_verdict[place] & _EVICTED:
            pod = scan_victim[place]
            priority = template_priority[pod_template[pod]]
            broken += 1 if scan_verdict[place] & _BREAKS else 0
            if evicted == 0 or priority > highest:
                highest, began = priority, pod_begun_us[pod]
            elif priority == highest:
                began = min(began, pod_begun_us[pod])
            total += priority + _SHIFT
            evicted += 1
    clearing_first_cost[clearing, node] = broken * (1 << 33) + highest + _SHIFT if count > 0 else _NOWHERE
    clearing_priorities[clearing, node], clearing_victims[clearing, node] = total, evicted
    clearing_began_us[clearing, node] = began


@inlined
def _cheaper(
    clearing: int, a: int, b: int, clearing_first_cost: Any, clearing_priorities: Any, clearing_victims: Any,
    clearing_began_us: Any,
) -> bool:  # fmt: skip
    """Tell whether node ``a`` costs less than ``b``: budgets, highest priority, sum, number, a later start."""
    if clearing_first_cost[clearing, a] != clearing_first_cost[clearing, b]:
        return clearing_first_cost[clearing, a] < clearing_first_cost[clearing, b]
    if clearing_priorities[clearing, a] != clearing_priorities[clearing, b]:
        return clearing_priorities[clearing, a] < clearing_priorities[clearing, b]
    if clearing_victims[clearing, a] != clearing_victims[clearing, b]:
        return clearing_victims[clearing, a] < clearing_victims[clearing, b]
    return clearing_began_us[clearing, a] > clearing_began_us[clearing, b]


@kernel
def look_over(
    clearing: int, stretch: int, first: int, last: int,
    clearing_first_cost: Any, clearing_priorities: Any, clearing_victims: Any, clearing_began_us: Any,
    clearing_cheapest: Any,
) -> None:  # fmt: skip
    """Note the node of a stretch (of those in a range) that costs least to clear, the first of equals."""
    best = -1
    for node in range(max(first, STRETCH * stretch), min(last, STRETCH * stretch + STRETCH)):
        if clearing_first_cost[clearing, node] < _NOWHERE and (
            best < 0
            or _cheaper(
                clearing, node, best, clearing_first_cost, clearing_priorities, clearing_victims, clearing_began_us
            )
        ):
            best = node
    clearing_cheapest[clearing, stretch] = best


@kernel
def cheapest(
    clearing: int, first: int, last: int,
    clearing_first_cost: Any, clearing_priorities: Any, clearing_victims: Any, clearing_began_us: Any,
    clearing_cheapest: Any,
) -> int:  # fmt: skip
    """Return the node of a range that costs least to clear, the first of equals; -1 where none can be cleared."""
    best = -1
    for stretch in range(first // STRETCH, (last + STRETCH - 1) // STRETCH):
        node = clearing_cheapest[clearing, stretch]
        if node >= 0 and (
            best < 0
            or _cheaper(
                clearing, node, best, clearing_first_cost, clearing_priorities, clearing_victims, clearing_began_us
            )
        ):
            best = node
    return best


@kernel
def clearing_of(
    template: int, template_domains: Any, cluster_nominated: Any, clearing_template: Any, clearing_cursor: Any
) -> int:
    """Return the template's row of ``clearing``, from whoever holds it.

    Costs hold until the node changes; they do not where pods elsewhere count, or nodes were cleared for others: row 0.
    """
    if template_domains[template] != 0 or cluster_nominated[0] > 0 or len(clearing_template) == 1:
        return 0
    clearing = 1 + template % (len(clearing_template) - 1)
    if clearing_template[clearing] != template:
        clearing_template[clearing], clearing_cursor[clearing] = template, -1
    return clearing


@kernel
def keep_victims(
    node: int, count: int, pod_template: Any, pod_begun_us: Any, template_priority: Any, scan_victim: Any,
    scan_verdict: Any, scan_chosen: Any, cluster_preemption: Any,
) -> None:  # fmt: skip
    """Keep the node that is cleared and its victims: the most important first, of equals one that breaks a budget."""
    cluster_preemption[0] = node
    kept, broken = 0, 0
    for kind in range(1, -1, -1):
        for place in range(count):
            if scan_verdict[place] & _EVICTED and (scan_verdict[place] & _BREAKS) == kind:
                pod, at = scan_victim[place], kept
                while at > 0 and more_important(
                    pod, scan_chosen[at - 1], pod_template, pod_begun_us, template_priority
                ):
                    scan_chosen[at] = scan_chosen[at - 1]
                    at -= 1
                scan_chosen[at] = pod
                kept += 1
                broken += kind
    cluster_preemption[1], cluster_preemption[2] = broken, kept


@kernel
def has_going_victim(
    pod: int, template: int, pod_nominated: Any, node_last_pod: Any, pod_node_previous: Any, pod_template: Any,
    template_priority: Any, life_deleted_us: Any, pod_eviction: Any,
) -> bool:  # fmt: skip
    """Tell whether a pod of lower priority that was evicted is still to go from the pod's nominated node."""
    other = node_last_pod[pod_nominated[pod]]
    while other >= 0 and template_priority[pod_template[other]] < template_priority[template]:
        if life_deleted_us[other] >= 0 and pod_eviction[other] >= 0:
            return True
        other = pod_node_previous[other]
    return False


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


def define(composer: Composer, profile: Profile, *, waits: bool, graceful: bool = False) -> None:
    """Add ``passes`` (the filters on one node, nominated pods included), ``preempt`` and ``heed_nominated``.

    ``waits`` tells whether pods wait for the nodes that were cleared for them, instead of taking them at once.
    ``graceful``: victims have their grace period; adds ``awaits_victims``.
    """
    for function in (
        gather_victims, mark_broken, victim_at, evict_by_amounts, keep_cost, look_over, cheapest, clearing_of,
        keep_victims, nominate, denominate, counts_as_there,
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
    text = _PREEMPT.replace("STRETCH", str(STRETCH)).replace("UNRESOLVABLE", bits).replace("HOPELESS", hopeless)
    if graceful:
        composer.use("has_going_victim", has_going_victim)
        composer.define("awaits_victims", "pod, template, totals", _AWAITS_VICTIMS.replace("UNRESOLVABLE", bits))
    composer.define("try_clearing", "pod, template, node, count", _TRY_OUT)
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
_TRY_OUT = f"""
mark_broken(count)
if template_by_amounts[template] != 0 and cluster_nominated[0] == 0:
    count = evict_by_amounts(template, node, count)
else:
    remember(node, 0)
    step, of = -1, count
    while step <= of and count > 0:
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
    recall(node, 0)
return count
"""

# DefaultPreemption's PodEligibleToPreemptOthers (v1.34.1): not again while victims of an earlier try are terminating on
# the nominated node, but where the filters have found by now that no eviction can help there.
_AWAITS_VICTIMS = f"""
waiting = False
if pod_nominated[pod] >= 0:
    code = totals[pod_nominated[pod]]
    if not ({NOT_LOOKED_AT} < code < -1 and UNRESOLVABLE != 0):
        waiting = has_going_victim(pod, template)
return waiting
"""

# Nodes that have changed are tried out and their costs noted; then the cheapest is tried out again, for its victims.
_PREEMPT = f"""
cluster_preemption[0] = -1
if template_preempts[template] != 0 and profile_preempts[template_profile[template]] != 0:
    clearing, head, chosen = 0, cluster_log_head[0], -1
    if first == 0 and last == len(totals):
        clearing = clearing_of(template)
    at = clearing_cursor[clearing]
    whole = clearing == 0 or at < 0 or head - at > len(memo_log)
    if whole:
        at = first
    clearing_cursor[clearing] = head
    while True:
        node = -1
        while node < 0 and at < (last if whole else head):
            if whole:
                node = at
            elif node_changed_at[memo_log[at & (len(memo_log) - 1)]] == at:
                node = memo_log[at & (len(memo_log) - 1)]
            at += 1
        if node < 0:
            if whole:
                for stretch in range(first // STRETCH, (last + STRETCH - 1) // STRETCH):
                    look_over(clearing, stretch, first, last)
            chosen = cheapest(clearing, first, last)
            node = chosen
        if node < 0:
            break
        code = totals[node]
        count = 0
        if {NOT_LOOKED_AT} < code < -1 and UNRESOLVABLE == 0 HOPELESS:
            count = gather_victims(template, node)
        if count > 0:
            count = try_clearing(pod, template, node, count)
        if chosen >= 0:
            keep_victims(node, count)
            break
        keep_cost(clearing, node, count)
        if not whole:
            look_over(clearing, node // STRETCH, first, last)
return cluster_preemption[0]
"""
