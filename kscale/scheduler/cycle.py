"""The scheduling cycle, composed of the plug-ins: totals for a template, the best node, and why there is none.

Totals of a template are kept in a memo slot and brought up to date from the change log when the template is asked for
again: only nodes that changed are scored anew (a full pass where that is cheaper). ``memo=False`` composes the twin
without memo: every pod scores every node. Both choose the same nodes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from kscale.composer import Composer
from kscale.kernels import inlined, kernel, parameters, plain
from kscale.scheduler import queue
from kscale.scheduler.fragmentation import measure_node
from kscale.scheduler.profile import Profile

#: Points of the best node (facts of kube-scheduler: MaxNodeScore).
MAX_SCORE = 100
#: A kernel call for one node costs about as much as scoring this many nodes of a range at once
#: (`python -m benchmarks.crossover`); a dear score is never worth a full pass.
_ONE_BY_ONE_CHEAP, _ONE_BY_ONE_DEAR = 32, 1
_BLOCK = 256


@inlined
def random_bits(trace_row: int, attempt: int, stream: int, cluster_seed: Any) -> Any:
    """Return 63 random bits of a try: SplitMix64 of the seed, the pod's place in the trace, the try and the use."""
    bits = cluster_seed[0] + np.uint64(trace_row) * np.uint64(0x9E3779B97F4A7C15)
    bits += (np.uint64(attempt) * np.uint64(4) + np.uint64(stream)) * np.uint64(0xD1B54A32D192ED03)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.int64((bits ^ (bits >> np.uint64(31))) >> np.uint64(1))


@kernel
def start_totals(
    template: int, first: int, last: int, template_description: Any, description_verdict: Any, scan_reject: Any
) -> None:
    """Begin with the verdicts on the nodes' descriptions; the highest bit marks a node that they reject."""
    verdict = description_verdict[template_description[template], first:last]
    reject = scan_reject[first:last]
    for i in range(len(reject)):
        reject[i] = np.int32(0) if verdict[i] == 0 else np.int32(1 << 30)


@kernel
def add_score(first: int, last: int, weight: int, keep: int, totals: Any, scan_raw: Any) -> None:
    """Add a plug-in's weighted scores to the totals, or put them there (``keep`` 0)."""
    total, raw = totals[first:last], scan_raw[first:last]
    factor, kept = np.int32(weight), np.int32(keep)
    for i in range(len(total)):
        total[i] = kept * total[i] + factor * raw[i]


@kernel
def close_totals(first: int, last: int, weight: int, keep: int, totals: Any, scan_raw: Any, scan_reject: Any) -> None:
    """Add the last plug-in's scores, and mark the nodes that do not fit: -1 by description, -1 - bits by usage."""
    total, raw, reject = totals[first:last], scan_raw[first:last], scan_reject[first:last]
    factor, kept = np.int32(weight), np.int32(keep)
    for i in range(len(total)):
        bits = reject[i]
        marked = np.int32(-1) if bits >= np.int32(1 << 30) else np.int32(-1) - bits
        total[i] = marked if bits != 0 else kept * total[i] + factor * raw[i]


@kernel
def first_best(totals: Any) -> int:
    """Return the first node with the highest total, -1 if none fits.

    Block by block: a maximum vectorises, a search does not.
    """
    best, block = np.int32(-1), -1
    for start in range(0, len(totals), _BLOCK):
        part = totals[start : start + _BLOCK]
        highest = np.int32(-1)
        for i in range(len(part)):
            highest = max(highest, part[i])
        if highest > best:
            best, block = highest, start
    if block < 0:
        return -1
    while totals[block] != best:
        block += 1
    return block


@kernel
def drawn_best(totals: Any, draw: int) -> int:
    """Return one of the nodes with the highest total, by the draw; -1 if none fits."""
    best, ties = np.int32(0), 0
    for i in range(len(totals)):
        if totals[i] > best:
            best, ties = totals[i], 1
        elif totals[i] == best:
            ties += 1
    if ties == 0:
        return -1
    wanted = draw % ties
    for i in range(len(totals)):
        if totals[i] == best:
            if wanted == 0:
                return i
            wanted -= 1
    return -1


@kernel
def count_reasons(totals: Any, counts: Any) -> None:
    """Count the nodes that each reason of usage turned away."""
    counts[:] = 0
    for i in range(len(totals)):
        if totals[i] < -1:
            bits = -1 - totals[i]
            for reason in range(len(counts)):
                counts[reason] += (bits >> reason) & 1


@kernel
def move_count(before: int, after: int, counts: Any) -> None:
    """Take one node from the reasons it had before to those it has now."""
    if before < -1:
        bits = -1 - before
        for reason in range(len(counts)):
            counts[reason] -= (bits >> reason) & 1
    if after < -1:
        bits = -1 - after
        for reason in range(len(counts)):
            counts[reason] += (bits >> reason) & 1


@kernel
def copy_totals(totals: Any, sums: Any) -> None:
    """Start from the totals of usage. Element by element: an array assignment would allocate."""
    for i in range(len(totals)):
        sums[i] = totals[i]


@kernel
def normalised(raw: Any, totals: Any, weight: int, reverse: bool, sums: Any) -> None:
    """Add a plane's scores, normalised over the nodes that fit: 100 * raw // max, from 100 down when reversed."""
    highest = 0
    for i in range(len(totals)):
        if totals[i] >= 0 and raw[i] > highest:
            highest = raw[i]
    for i in range(len(totals)):
        if totals[i] >= 0:
            if highest == 0:
                score = MAX_SCORE if reverse else 0
            else:
                score = MAX_SCORE * raw[i] // highest
                if reverse:
                    score = MAX_SCORE - score
            sums[i] += np.int32(weight * score)


@kernel
def choose_slot(
    template: int, template_slot: Any, memo_template: Any, memo_cursor: Any, memo_counted: Any, cluster_memo_next: Any
) -> int:
    """Return the template's memo slot; one without takes the next, from whoever holds it."""
    slot = template_slot[template]
    if slot < 0:
        slot = cluster_memo_next[0]
        cluster_memo_next[0] = (slot + 1) % len(memo_template)
        if memo_template[slot] >= 0:
            template_slot[memo_template[slot]] = -1
        memo_template[slot] = template
        template_slot[template] = slot
        memo_cursor[slot] = -1
        memo_counted[slot] = 0
    return slot


@kernel
def emit_diagnosis(
    template: int, counts: Any,
    template_description: Any, template_diagnosis: Any, template_reason_count: Any, diagnosis_count: Any,
    diagnosis_description: Any, diagnosis_rows: Any, diagnosis_base: Any,
) -> None:  # fmt: skip
    """Note a diagnosis with these counts as the template's latest; the one before serves again when it is the same."""
    same = template_diagnosis[template] >= 0
    for reason in range(len(counts)):
        same = same and template_reason_count[template, reason] == counts[reason]
    if not same:
        row = diagnosis_rows[0]
        diagnosis_rows[0] += 1
        diagnosis_description[row] = template_description[template]
        for reason in range(len(counts)):
            template_reason_count[template, reason] = counts[reason]
            diagnosis_count[row, reason] = counts[reason]
        template_diagnosis[template] = diagnosis_base[0] + row


@inlined
def usage_rejects(template: int, template_reason_count: Any) -> Any:
    """Tell whether some node was turned away by usage, at the template's latest diagnosis."""
    for reason in range(template_reason_count.shape[1]):
        if template_reason_count[template, reason] > 0:
            return np.uint8(1)
    return np.uint8(0)


def define(composer: Composer, profile: Profile, *, memo: bool = True, devices: bool) -> None:
    """Add the cycle: ``select``, ``diagnose``, ``reserve``, ``pick_devices``, ``measure``; and the queue."""
    for function in (
        random_bits, start_totals, add_score, close_totals, first_best, drawn_best, count_reasons, move_count,
        copy_totals, normalised, choose_slot, emit_diagnosis, usage_rejects,
    ):  # fmt: skip
        composer.use(plain(function).__name__, function)
    composer.define("score_range", "template, first, last, totals", _score_range(composer, profile))
    if memo:
        threshold = _ONE_BY_ONE_DEAR if profile.dear else _ONE_BY_ONE_CHEAP
        composer.define(
            "refresh", "template", _REFRESH.replace("THRESHOLD", str(threshold)).replace("DEAR", str(profile.dear))
        )
        composer.define("counted", "template", _COUNTED_MEMO)
    else:
        composer.define("refresh", "template", _REFRESH_SCAN)
        composer.define("counted", "template", _COUNTED_SCAN)
    composer.define("select", "template, draw", _select(composer, profile))
    composer.define("diagnose", "template", "counts = counted(template)\nemit_diagnosis(template, counts)")
    for index, plugin in enumerate(profile.reserving):
        composer.use(f"reserve_{index}", plugin.reserve)
    lines = [f"reserve_{index}(template, node, sign)" for index in range(len(profile.reserving))]
    composer.define("reserve", "template, node, sign", "\n".join(lines) or "pass")
    if devices and profile.assign is not None:
        composer.use("assign", profile.assign.assign)
        composer.use("measure", measure_node)
        picked = "if template_device_count[template] > 0:\n    draw = random_bits(trace_row, attempt, 1)\n"
        picked += "    devices = assign(template, node, draw)\n"
    else:
        picked = ""
    composer.define(
        "pick_devices", "template, node, trace_row, attempt", f"devices = np.uint64(0)\n{picked}return devices"
    )
    queue.define(composer)


def _score_range(composer: Composer, profile: Profile) -> str:
    lines = ["start_totals(template, first, last)"]
    for index, plugin in enumerate(p for p in profile.filters if p.filter and p.reasons):
        composer.use(f"filter_{index}", plugin.filter)
        lines.append(f"filter_{index}(template, first, last, {profile.first_bit(plugin)})")
    # The first score is put where the totals go, the last is added as they are closed: two passes less.
    scores = profile.usage_scores
    for index, (plugin, weight) in enumerate(scores):
        composer.use(f"score_{index}", plugin.score)
        lines.append(f"score_{index}(template, first, last)")
        if index < len(scores) - 1:
            lines.append(f"add_score(first, last, {weight}, {min(index, 1)}, totals)")
    last_weight = scores[-1][1] if scores else 0
    lines.append(f"close_totals(first, last, {last_weight}, {int(len(scores) > 1)}, totals)")
    return "\n".join(lines)


def _select(composer: Composer, profile: Profile) -> str:
    choice = "drawn_best(totals, draw)" if profile.draws else "first_best(totals)"
    lines = ["totals = refresh(template)"]
    if profile.planes:
        lines += ["description = template_description[template]", "if description_uneven[description]:"]
        lines += ["    sums = scan_sums", "    copy_totals(totals, sums)"]
        for plugin, weight in profile.planes:
            lines.append(
                f"    normalised({plugin.plane_column}[description], totals, {weight}, {plugin.reversed}, sums)"
            )
        lines.append("    totals = sums")
    return "\n".join([*lines, f"return {choice}"])


# Only the latest change of a node counts; the ring holds the last len(memo_log) changes. A template that is asked for
# the first time is scored without a slot: in a trace of distinct pods, filling slots would only cost memory traffic.
_REFRESH = """
slot = template_slot[template]
if slot == -2 and not DEAR:
    template_slot[template] = -1
    totals = scan_total
    score_range(template, 0, len(totals), totals)
    cluster_work[0] += len(totals) >> 3
else:
    slot = choose_slot(template)
    totals = memo_total[slot]
    head, cursor = cluster_log_head[0], memo_cursor[slot]
    if cursor < 0 or head - cursor > len(memo_log) or (head - cursor) * THRESHOLD > len(totals):
        score_range(template, 0, len(totals), totals)
        memo_counted[slot] = 0
        cluster_work[0] += len(totals) >> 3
    else:
        for position in range(cursor, head):
            node = memo_log[position & (len(memo_log) - 1)]
            if node_changed_at[node] == position:
                before = totals[node]
                score_range(template, node, node + 1, totals)
                if memo_counted[slot]:
                    move_count(before, totals[node], memo_reason_count[slot])
        cluster_work[0] += head - cursor
    memo_cursor[slot] = head
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


def measure_columns() -> list[str]:
    """Return the columns that ``measure`` takes after the node."""
    return parameters(measure_node)[1:]
