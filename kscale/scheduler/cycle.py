"""The scheduling cycle, composed of the plug-ins: totals for a template, the best node, and why there is none.

Totals of a template by its nodes' usage are kept in a memo slot and brought up to date from the change log when the
template is asked for again: only nodes that changed are scored anew (a full pass where that is cheaper). What depends
on pods elsewhere, or on which nodes fit, is worked out for every try, on a copy. ``memo=False`` composes the twin
without memo: every pod scores every node. Both choose the same nodes.
"""

from __future__ import annotations

from kscale.composer import Composer
from kscale.kernels import plain
from kscale.scheduler import classes, cohorts, preemption, queue
from kscale.scheduler.counting import count_pod, count_trial
from kscale.scheduler.fragmentation import measure_node
from kscale.scheduler.plugins import Plugin
from kscale.scheduler.profile import Profile
from kscale.scheduler.totals import (
    add_points,
    add_score,
    choose_slot,
    close_totals,
    copy_totals,
    count_reasons,
    diagnose_pinned,
    drawn_best,
    emit_diagnosis,
    first_best,
    keep_first,
    look_no_further,
    move_count,
    normalise,
    normalise_plane,
    random_bits,
    rejecting_reasons,
    start_totals,
    take_plane,
)

#: A kernel call for one node costs about as much as scoring this many nodes of a range at once
#: (`python -m benchmarks.crossover`); a dear score is never worth a full pass.
_ONE_BY_ONE_CHEAP, _ONE_BY_ONE_DEAR = 60, 1


def define(
    composer: Composer,
    profile: Profile,
    *,
    memo: bool = True,
    index: bool = False,
    devices: bool,
    waits: bool = True,
    by_class: bool = False,
    graceful: bool = False,
) -> None:
    """Add the cycle: ``weigh``, ``choose``, ``diagnose``, ``reserve``, ``pick_devices``, ``measure``; and the queue.

    ``waits`` tells whether a pod waits for a node that was cleared for it, ``index`` whether the class index is asked
    before the scan, ``by_class`` whether pods wait by whole classes, ``graceful`` whether victims of preemption have
    their grace period.
    """
    for function in (
        random_bits, start_totals, add_score, close_totals, keep_first, first_best, drawn_best, count_reasons,
        move_count, copy_totals, take_plane, normalise, normalise_plane, add_points, choose_slot, emit_diagnosis,
        rejecting_reasons, diagnose_pinned,
    ):  # fmt: skip
        composer.use(plain(function).__name__, function)
    _use_plugins(composer, profile)
    composer.define("score_range", "template, first, last, totals", _score_range(profile))
    if memo:
        threshold = _ONE_BY_ONE_DEAR if profile.dear else _ONE_BY_ONE_CHEAP
        composer.define(
            "refresh", "template", _REFRESH.replace("THRESHOLD", str(threshold)).replace("DEAR", str(profile.dear))
        )
        composer.define("counted", "template", _COUNTED_MEMO)
    else:
        composer.define("refresh", "template", _REFRESH_SCAN)
        composer.define("counted", "template", _COUNTED_SCAN)
    composer.define("check", "template, node", _check(profile))
    skips = [
        f"scan_skip[{profile.filters.index(plugin)}] = skips_{index}(template)"
        for index, plugin in enumerate(profile.late_filters)
        if plugin.skips is not None
    ]
    composer.define("note_skips", "template", "\n".join(skips) or "pass")
    composer.define("sift", "template, sums", "\n".join(_late_lines(profile, "0", "len(sums)", "sums")) or "pass")
    if profile.preempts:
        preemption.define(composer, profile, waits=waits, graceful=graceful)
    nominates = profile.preempts and waits
    composer.define("weigh", "pod, template", _weigh(profile, nominates))
    composer.define("choose", "pod, totals, draw", _choose(profile, nominates))
    composer.define("diagnose", "template", _DIAGNOSE)
    if index:
        classes.define(composer, profile, nominates=nominates)
    else:
        composer.define("find_node", "template", "return -1")
        composer.define("give_lane", "template, totals", "pass")
    _define_reserve(composer, profile, devices)
    (cohorts if by_class else queue).define(composer, profile)


def _use_plugins(composer: Composer, profile: Profile) -> None:
    for index, plugin in enumerate(profile.usage_filters):
        composer.use(f"filter_{index}", plugin.filter)
    for index, plugin in enumerate(profile.late_filters):
        composer.use(f"late_{index}", plugin.late)
        if plugin.skips is not None:
            composer.use(f"skips_{index}", plugin.skips)
    for place, plugin in profile.usage_scores:
        composer.use(f"score_{place}", plugin.score)
    for place, plugin in profile.summed_scores:
        if plugin.raw:
            composer.use(f"raw_{place}", plugin.raw)
        if plugin.points:
            composer.use(f"points_{place}", plugin.points)
    for index, plugin in enumerate(profile.reserving):
        composer.use(f"reserve_{index}", plugin.reserve)
        if plugin.remember is not None:
            composer.use(f"remember_{index}", plugin.remember)
            composer.use(f"recall_{index}", plugin.recall)
    if profile.counts:
        composer.use("count_pod", count_pod)
    if profile.trials:
        composer.use("count_trial", count_trial)
    if profile.samples:
        composer.use("look_no_further", look_no_further)


def _define_reserve(composer: Composer, profile: Profile, devices: bool) -> None:
    lines = [f"reserve_{index}(template, node, sign)" for index in range(len(profile.reserving))]
    if profile.counts:
        lines.append("count_pod(template, node, sign)")
    composer.define("reserve", "template, node, sign", "\n".join(lines) or "pass")
    keeping = [index for index, plugin in enumerate(profile.reserving) if plugin.remember is not None]
    for verb in ("remember", "recall"):
        composer.define(verb, "node, slot", "\n".join(f"{verb}_{index}(node, slot)" for index in keeping) or "pass")
    composer.define(
        "try_out", "template, node, sign", "count_trial(template, node, sign)" if profile.trials else "pass"
    )
    picked = ""
    if devices and profile.assign is not None:
        composer.use("assign", profile.assign.assign)
        composer.use("measure", measure_node)
        picked = "if template_device_count[template] > 0:\n    draw = random_bits(trace_row, attempt, 1)\n"
        picked += "    devices = assign(template, node, draw)\n"
    composer.define(
        "pick_devices", "template, node, trace_row, attempt", f"devices = np.uint64(0)\n{picked}return devices"
    )


def _filter_lines(profile: Profile, first: str, last: str) -> list[str]:
    """Return the calls of the filters on usage; the reasons of the first to reject are kept."""
    lines, before = [], 0
    for index, plugin in enumerate(profile.usage_filters):
        guard = profile.guard(plugin)
        lines += [guard] if guard else []
        lines.append(f"{'    ' if guard else ''}filter_{index}(template, {first}, {last}, {profile.first_bit(plugin)})")
        if before:
            lines.append(f"keep_first({before}, {profile.bits(plugin)}, {first}, {last})")
        before |= profile.bits(plugin)
    return lines


def _late_lines(profile: Profile, first: str, last: str, sums: str) -> list[str]:
    lines = []
    for index, plugin in enumerate(profile.late_filters):
        guard = profile.guard(plugin)
        if plugin.skips is not None:
            guard = f"{guard[:-1] + ' and' if guard else 'if'} scan_skip[{profile.filters.index(plugin)}] == 0:"
        lines += [guard] if guard else []
        lines.append(
            f"{'    ' if guard else ''}late_{index}(template, {first}, {last}, {profile.first_bit(plugin)}, {sums})"
        )
    return lines


def _score_range(profile: Profile) -> str:
    lines = ["start_totals(template, first, last)", *_filter_lines(profile, "first", "last")]
    # The first score is put where the totals go, the last is added as they are closed: two passes less.
    scores = profile.usage_scores
    for index, (place, _) in enumerate(scores):
        lines.append(f"score_{place}(template, first, last)")
        if index < len(scores) - 1:
            lines.append(f"add_score(first, last, {profile.weight(place)}, {min(index, 1)}, totals)")
    last_weight = profile.weight(scores[-1][0]) if scores else "0"
    lines.append(f"close_totals(first, last, {last_weight}, {int(len(scores) > 1)}, totals)")
    return "\n".join(lines)


def _check(profile: Profile) -> str:
    """Run every filter on one node: ``scan_reject`` and ``scan_check`` tell."""
    return "\n".join(
        [
            "start_totals(template, node, node + 1)",
            *_filter_lines(profile, "node", "node + 1"),
            "scan_check[node] = 0",
            *_late_lines(profile, "node", "node + 1", "scan_check"),
        ]
    )


def points_line(profile: Profile, place: int, weight: str) -> str:
    """Return the call that turns a plug-in's raw scores into points and adds them."""
    plugin = profile.scores[place][0]
    if plugin.points:
        return f"points_{place}(template, {weight}, sums)"
    if plugin.normalise == "none":
        return f"add_points({weight}, sums)"
    return f"normalise({plugin.normalise == 'reversed'}, {weight}, sums)"


def _summed_lines(profile: Profile, place: int, plugin: Plugin) -> list[str]:
    weight = profile.weight(place)
    if plugin.raw:
        guard = "" if weight.isdigit() else f"{weight} != 0 and "
        return [f"if {guard}raw_{place}(template, sums):", f"    {points_line(profile, place, weight)}"]
    # A plane that is the same on all nodes adds the same to all.
    plane = f"{plugin.plane_column}[template_description[template]]"
    condition = f"if description_uneven[template_description[template]] & {1 << place} != 0:"
    if plugin.points or plugin.normalise == "none":
        return [condition, f"    take_plane({plane})", f"    {points_line(profile, place, weight)}"]
    return [condition, f"    normalise_plane({plugin.normalise == 'reversed'}, {weight}, {plane}, sums)"]


def _weigh(profile: Profile, nominates: bool) -> str:
    conditions = []
    if profile.late_filters or any(plugin.raw for _, plugin in profile.summed_scores):
        conditions.append("template_domains[template] != 0")
    if any(plugin.plane for _, plugin in profile.summed_scores):
        # Where no node fits there is nothing to normalise.
        conditions.append("(cluster_nowhere[0] == 0 and description_uneven[template_description[template]] != 0)")
    if nominates:
        conditions.append("cluster_nominated[0] > 0")
    if profile.samples:
        conditions = ["True"]
    if not conditions:
        return "cluster_summed[0] = 0\nreturn refresh(template)"
    lines = ["sift(template, sums)"]
    if nominates:
        lines.append("heed_nominated(pod, template, sums)")
    if profile.samples:
        look = "look_no_further(template, sums)"
        # A node that was cleared for the pod is looked at alone, and leaves the search where it was.
        kept = "if pod_nominated[pod] < 0 or sums[pod_nominated[pod]] < 0: "
        lines.append(kept + look if nominates else look)
    for place, plugin in profile.summed_scores:
        lines += _summed_lines(profile, place, plugin)
    body = "\n".join(f"    {line}" for line in lines)
    return f"""
note_skips(template)
totals = refresh(template)
cluster_summed[0] = 0
if {" or ".join(conditions)}:
    cluster_summed[0] = 1
    sums = scan_sums
    copy_totals(totals, sums)
{body}
    totals = sums
return totals
"""


def _choose(profile: Profile, nominates: bool) -> str:
    best = "drawn_best(totals, draw)" if profile.draws else "first_best(totals)"
    if not nominates:
        return f"return {best}"
    # A pod goes to the node that was cleared for it when it fits there, whatever others score.
    return f"""
node = -1
if pod_nominated[pod] >= 0 and totals[pod_nominated[pod]] >= 0:
    node = pod_nominated[pod]
else:
    node = {best}
return node
"""


_DIAGNOSE = """
if cluster_summed[0] != 0:
    counts = scan_reason_count
    count_reasons(scan_sums, counts)
else:
    counts = counted(template)
emit_diagnosis(template, counts)
"""

# Only the latest change of a node counts; the ring holds the last len(memo_log) changes. A template that is asked for
# the first time is scored without a slot: in a trace of distinct pods, filling slots would only cost memory traffic.
# The full pass and the single nodes call score_range apart: with one call for both, FGD took a quarter longer.
_REFRESH = """
slot = template_slot[template]
head, full = cluster_log_head[0], True
cursor = head - 1
if slot == -2 and not DEAR:
    template_slot[template] = -1
    totals = scan_total
else:
    slot = choose_slot(template)
    totals = memo_total[slot]
    behind = head - memo_cursor[slot]
    if memo_cursor[slot] >= 0 and behind <= len(memo_log) and behind * THRESHOLD <= len(totals):
        full = False
        cursor = memo_cursor[slot]
    else:
        memo_counted[slot] = 0
    memo_cursor[slot] = head
cluster_work[0] += len(totals) >> 3 if full else head - cursor
if full:
    score_range(template, 0, len(totals), totals)
else:
    for position in range(cursor, head):
        node = memo_log[position & (len(memo_log) - 1)]
        if node_changed_at[node] == position:
            before = totals[node]
            score_range(template, node, node + 1, totals)
            if memo_counted[slot]:
                move_count(before, totals[node], memo_reason_count[slot])
give_lane(template, totals)
return totals
"""

_COUNTED_MEMO = """
slot = template_slot[template]
if slot < 0:
    counts = scan_reason_count
    count_reasons(scan_total, counts)
else:
    counts = memo_reason_count[slot]
    if not memo_counted[slot]:
        count_reasons(memo_total[slot], counts)
        memo_counted[slot] = 1
return counts
"""

_REFRESH_SCAN = """
score_range(template, 0, len(scan_total), scan_total)
cluster_work[0] += len(scan_total) >> 3
return scan_total
"""

_COUNTED_SCAN = """
count_reasons(scan_total, scan_reason_count)
return scan_reason_count
"""
