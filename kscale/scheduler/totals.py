"""Kernels of the scheduling cycle: totals of a template over the nodes, the best node, and why there is none.

A total is an int32: points where the node fits; -1 where its description rejects it; -1 - m where the reasons with the
bits of m do; ``NOT_LOOKED_AT`` where the search ended before it came to the node.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from kscale.kernels import inlined, kernel

#: Points of the best node (facts of kube-scheduler: MaxNodeScore).
MAX_SCORE = 100
#: Total of a node that a search with percentageOfNodesToScore did not look at.
NOT_LOOKED_AT = -(1 << 31)
#: Fewest nodes that a search finds before it may end (kube-scheduler v1.34.1: minFeasibleNodesToFind), and the least
#: percentage that adapting to the number of nodes comes to.
_FEWEST, _LEAST_PERCENTAGE = 100, 5
_BLOCK = 256
#: Below this a hundredfold is exact in doubles.
_NARROW = 1 << 46
#: Below this a hundredfold is exact in singles.
_SINGLE = 1 << 16
#: Below this a raw score is an int32.
_SHORT = 1 << 31


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
        if NOT_LOOKED_AT < totals[i] < -1:
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
def keep_first(lower: int, upper: int, first: int, last: int, scan_reject: Any) -> None:
    """Clear the reasons ``upper`` where one of ``lower``, of plug-ins that come first, is set."""
    reject = scan_reject[first:last]
    below, rest = np.int32(lower), np.int32(~upper)
    for i in range(len(reject)):
        reject[i] &= rest if reject[i] & below != 0 else np.int32(-1)


@kernel
def take_plane(plane: Any, scan_wide: Any) -> None:
    """Take a plane's raw scores."""
    for i in range(len(plane)):
        scan_wide[i] = plane[i]


@inlined
def hundredths_of(raw: int, highest: int) -> Any:
    """Return 100 * raw // highest for 0 <= raw <= highest, 0 < highest < 2^46.

    A quotient of two doubles below 2^53 never rounds up to the next integer; a division of int64 takes three times as
    long (scale_deploy: 28,000 pods/s with it, `python -m benchmarks`).
    """
    return np.int64(float(100 * raw) / float(highest))


@kernel
def normalise(reverse: bool, weight: int, sums: Any, scan_wide: Any) -> None:
    """Turn raw scores into points over the nodes that fit, and add them: 100 * raw // highest, or 100 less that."""
    highest, wide = np.int64(0), scan_wide[: len(sums)]
    for i in range(len(wide)):
        highest = max(highest, wide[i] if sums[i] >= 0 else np.int64(0))
    if highest < _SHORT:
        _normalise_short(reverse, weight, highest, sums, wide)
        return
    narrow = highest < _NARROW
    for i in range(len(wide)):
        if sums[i] >= 0:
            points = hundredths_of(wide[i], highest) if narrow else MAX_SCORE * wide[i] // highest
            if reverse:
                points = MAX_SCORE - points
            wide[i] = points
            sums[i] += np.int32(weight * points)


@inlined
def _normalise_short(reverse: bool, weight: int, highest: int, sums: Any, wide: Any) -> None:
    """Do it with int32 and without branches, which vectorises: twice as fast."""
    top, base, sign = float(max(highest, 1)), np.int32(0), np.int32(1)
    if reverse:
        base, sign = np.int32(MAX_SCORE), np.int32(-1)
    factor = np.int32(weight)
    for i in range(len(wide)):
        # What does not fit may hold anything. Stored all the same: a masked store takes longer than the division.
        raw = np.int32(min(max(wide[i], np.int64(0)), highest))
        points = base + sign * np.int32(100.0 * float(raw) / top)
        wide[i] = np.int64(points)
        sums[i] += factor * points if sums[i] >= 0 else np.int32(0)


@kernel
def normalise_plane(reverse: bool, weight: int, plane: Any, sums: Any) -> None:
    """Do the same with a plane's raw scores, none of which is below 0.

    Below 2^16 a hundredfold is exact as a single, and the quotient, below 128, is further from the next integer than
    it is rounded by. Singles divide twice as fast as doubles, and planes are a third of a scan of 5,000 nodes.
    """
    highest = np.int32(0)
    for i in range(len(plane)):
        highest = max(highest, np.int32(plane[i]) if sums[i] >= 0 else np.int32(0))
    base, sign, factor = np.int32(0), np.int32(1), np.int32(weight)
    if reverse:
        base, sign = np.int32(MAX_SCORE), np.int32(-1)
    if highest < _SINGLE:
        top = np.float32(max(highest, np.int32(1)))
        for i in range(len(plane)):
            raw = np.float32(min(np.int32(plane[i]), highest))
            points = base + sign * np.int32(np.float32(100) * raw / top)
            sums[i] += factor * points if sums[i] >= 0 else np.int32(0)
    else:
        for i in range(len(plane)):
            if sums[i] >= 0:
                points = base + sign * np.int32(hundredths_of(np.int64(plane[i]), np.int64(highest)))
                sums[i] += factor * points


@kernel
def add_points(weight: int, sums: Any, scan_wide: Any) -> None:
    """Add a plug-in's weighted points to the sums of the nodes that fit."""
    for i in range(len(sums)):
        if sums[i] >= 0:
            sums[i] += np.int32(weight * scan_wide[i])


@kernel
def look_no_further(
    template: int, sums: Any,
    template_profile: Any, template_description: Any, description_verdict: Any, description_left_out: Any,
    profile_percentage: Any, node_search: Any, cluster_start_node: Any, cluster_nodes: Any,
) -> None:  # fmt: skip
    """End the search where kube-scheduler would: enough nodes found, from where the last search ended.

    Nodes that the pod's own terms leave out (verdict 1) are no part of the search. Only the first ``cluster_nodes`` of
    the search order are there.
    """
    percentage = profile_percentage[template_profile[template]]
    description = template_description[template]
    verdict = description_verdict[description]
    there = cluster_nodes[0]
    nodes = there
    if description_left_out[description] > 0:
        for place in range(there):
            nodes -= verdict[node_search[place]] == 1
    if nodes < _FEWEST or percentage >= 100:
        wanted = nodes
    else:
        if percentage == 0:
            percentage = max(50 - nodes // 125, _LEAST_PERCENTAGE)
        wanted = max(nodes * percentage // 100, _FEWEST)
    start, found, looked_at = cluster_start_node[0], 0, 0
    for place in range(there):
        node = node_search[(start + place) % there]
        if verdict[node] != 1:
            if found >= wanted:
                sums[node] = np.int32(NOT_LOOKED_AT)
            else:
                looked_at += 1
                found += sums[node] >= 0
    cluster_start_node[0] = (start + looked_at) % max(there, 1)


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


@kernel
def diagnose_pinned(
    template: int, reject: int, check: int, template_description: Any, template_diagnosis: Any,
    template_reason_count: Any, diagnosis_count: Any, diagnosis_description: Any, diagnosis_rows: Any,
    diagnosis_base: Any,
) -> None:  # fmt: skip
    """Note why the only node that a pod may go to does not take it; the description says -2 and below.

    ``reject`` and ``check`` are what the filters said of the node.
    """
    bits = reject if reject != 0 else -1 - check
    if bits >= 1 << 30:
        bits = 0
    same = template_diagnosis[template] >= 0
    for reason in range(template_reason_count.shape[1]):
        same = same and template_reason_count[template, reason] == (bits >> reason) & 1
    if not same:
        row = diagnosis_rows[0]
        diagnosis_rows[0] += 1
        diagnosis_description[row] = -2 - template_description[template]
        for reason in range(template_reason_count.shape[1]):
            template_reason_count[template, reason] = (bits >> reason) & 1
            diagnosis_count[row, reason] = (bits >> reason) & 1
        template_diagnosis[template] = diagnosis_base[0] + row


@inlined
def rejecting_reasons(template: int, template_reason_count: Any) -> int:
    """Return the bits of the reasons that turned some node away, at the template's latest diagnosis."""
    bits = 0
    for reason in range(template_reason_count.shape[1]):
        if template_reason_count[template, reason] > 0:
            bits |= 1 << reason
    return bits
