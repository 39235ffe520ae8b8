"""Lanes: the kernels of the class index. Scores by usage of the asks that come often, kept for every node.

A score is an int16 at (spot, lane). When a pod comes to a node or goes, the node's row is worked out for all lanes,
then the highest scores of its block (8 spots), its bank (8 blocks), its hall (8 banks) and its kind. A search reads
one column from the top down. A row costs 2 to 4 ns a lane, where bringing one node of one template up to date takes
170 (`python -m benchmarks.crossover`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from kscale.kernels import hot, inlined, kernel
from kscale.vectors import WIDTH, natural, raise_rows

#: Lanes are taken by so many, so that passes over them have no rest.
CHUNK = WIDTH
#: Up to so many are settled one by one: the passes over lanes cost more to begin than to do.
FEW = 4
#: Spots of a block, blocks of a bank, banks of a hall.
FAN = 8
#: What ``lane_of`` returns instead of a lane: the ask is to be scanned, or to be given the lane -2 - result.
SCAN = -1
#: An ask keeps its lane until it has not been asked for during so many times the events that a lane is worth.
_IDLE = 4


@hot
def lane_of(
    ask: int,
    ask_lane: Any, ask_used_at: Any, lane_ask: Any, cluster_lanes: Any, cluster_lanes_swept_at: Any,
    cluster_lanes_wanted: Any, cluster_lanes_limit: Any, cluster_log_head: Any, node_spot: Any,
) -> int:  # fmt: skip
    """Return the ask's lane, ``SCAN``, or -2 - the lane that it is to be given.

    Keeping a lane costs about as much per event as scanning costs per node: an ask is worth one when it comes again
    within as many events as there are nodes.
    """
    now, worth = cluster_log_head[0], len(node_spot)
    lane, last = ask_lane[ask], ask_used_at[ask]
    ask_used_at[ask] = now
    if lane >= 0:
        if now - cluster_lanes_swept_at[0] > _IDLE * worth:
            _sweep(now, worth, ask_lane, ask_used_at, lane_ask, cluster_lanes, cluster_lanes_swept_at)
        return lane
    if last < 0 or now - last > worth:
        return SCAN
    for free in range(len(lane_ask)):
        if lane_ask[free] < 0:
            return -2 - free
    if now - cluster_lanes_swept_at[0] > worth:
        _sweep(now, worth, ask_lane, ask_used_at, lane_ask, cluster_lanes, cluster_lanes_swept_at)
    if len(lane_ask) < cluster_lanes_limit[0]:
        cluster_lanes_wanted[0] = 1
    return SCAN


@inlined
def _sweep(
    now: int, worth: int, ask_lane: Any, ask_used_at: Any, lane_ask: Any, cluster_lanes: Any,
    cluster_lanes_swept_at: Any,
) -> None:  # fmt: skip
    """Take the lanes back from asks that have not come for long."""
    cluster_lanes_swept_at[0] = now
    taken = 0
    for lane in range(cluster_lanes[0]):
        ask = lane_ask[lane]
        if ask >= 0 and now - ask_used_at[ask] > _IDLE * worth:
            ask_lane[ask] = -1
            lane_ask[lane] = -1
        elif ask >= 0:
            taken = lane + 1
    cluster_lanes[0] = taken


@kernel
def open_lane(
    template: int, lane: int, totals: Any,
    template_ask: Any, template_profile: Any, template_description: Any, description_verdict: Any, ask_lane: Any,
    lane_ask: Any, lane_template: Any, lane_points_weight: Any, profile_weight: Any, cluster_lanes: Any,
    kind_node: Any, kind_welcome: Any, kind_best: Any, kind_fitting: Any, kind_first_hall: Any, kind_last_hall: Any,
    hall_first_bank: Any, hall_last_bank: Any, hall_score: Any, bank_score: Any, block_score: Any, spot_node: Any,
    spot_score: Any, spot_barriers: Any,
) -> None:  # fmt: skip
    """Give the template's ask the lane, whose scores are ``totals``, but for its barriers."""
    ask = template_ask[template]
    ask_lane[ask] = lane
    lane_ask[lane], lane_template[lane] = ask, template
    cluster_lanes[0] = max(cluster_lanes[0], lane + 1)
    for place in range(profile_weight.shape[1]):
        lane_points_weight[place, lane] = np.int32(profile_weight[template_profile[template], place])
    for block in range(len(block_score)):
        highest = np.int16(-1)
        for spot in range(FAN * block, FAN * block + FAN):
            node = spot_node[spot]
            score = np.int16(max(totals[node], np.int32(-1))) if node >= 0 else np.int16(-1)
            if len(spot_barriers) > 0 and spot_barriers[spot, lane] != 0:
                score = np.int16(-1)
            spot_score[spot, lane] = score
            highest = max(highest, score)
        block_score[block, lane] = highest
    for bank in range(len(bank_score)):
        bank_score[bank, lane] = _highest(FAN * bank, FAN * bank + FAN, lane, block_score)
    verdict = description_verdict[template_description[template]]
    for kind in range(len(kind_node)):
        kind_welcome[kind, lane] = np.uint8(1 if verdict[kind_node[kind]] == 0 else 0)
        fitting = 0
        for hall in range(kind_first_hall[kind], kind_last_hall[kind]):
            hall_score[hall, lane] = _highest(hall_first_bank[hall], hall_last_bank[hall], lane, bank_score)
            for spot in range(FAN * FAN * hall_first_bank[hall], FAN * FAN * hall_last_bank[hall]):
                fitting += spot_score[spot, lane] >= 0
        kind_best[kind, lane] = _highest(kind_first_hall[kind], kind_last_hall[kind], lane, hall_score)
        kind_fitting[kind, lane] = np.int32(fitting)


@inlined
def _highest(first: int, last: int, lane: int, scores: Any) -> Any:
    highest = np.int16(-1)
    for each in range(first, last):
        highest = max(highest, scores[each, lane])
    return highest


@hot
def start_lanes(node: int, lanes: int, node_kind: Any, kind_welcome: Any, lane_reject: Any) -> None:
    """Begin a node's row with the verdicts on its description."""
    welcome, reject = kind_welcome[node_kind[node], :lanes], lane_reject[:lanes]
    for lane in range(len(reject)):
        reject[lane] = np.int32(1) - np.int32(welcome[lane])


@hot
def put_lanes(place: int, lanes: int, lane_points_weight: Any, lane_raw: Any, lane_total: Any) -> None:
    """Begin the totals with a plug-in's weighted scores."""
    weight, raw, total = lane_points_weight[place, :lanes], lane_raw[:lanes], lane_total[:lanes]
    for lane in range(len(total)):
        total[lane] = weight[lane] * raw[lane]


@hot
def add_lanes(place: int, lanes: int, lane_points_weight: Any, lane_raw: Any, lane_total: Any) -> None:
    """Add a plug-in's weighted scores."""
    weight, raw, total = lane_points_weight[place, :lanes], lane_raw[:lanes], lane_total[:lanes]
    for lane in range(len(total)):
        total[lane] += weight[lane] * raw[lane]


@hot
def settle_lanes(
    node: int, lanes: int,
    lane_reject: Any, lane_total: Any, lane_before: Any, node_kind: Any, node_spot: Any, kind_best: Any,
    kind_fitting: Any, kind_first_hall: Any, kind_last_hall: Any, bank_hall: Any, hall_first_bank: Any,
    hall_last_bank: Any, hall_score: Any, bank_score: Any, block_score: Any, spot_score: Any,
) -> None:  # fmt: skip
    """Put a node's row in place, and bring the highest scores above it up to date as far as they change."""
    kind, spot = natural(node_kind[node]), natural(node_spot[node])
    block, bank = spot // FAN, spot // (FAN * FAN)
    hall = natural(bank_hall[bank])
    if lanes <= FEW:
        for lane in range(lanes):
            score = np.int16(-1) if lane_reject[lane] != 0 else np.int16(lane_total[lane])
            before = spot_score[spot, lane]
            kind_fitting[kind, lane] += np.int32(score >= 0) - np.int32(before >= 0)
            spot_score[spot, lane] = score
            # Most changes end in the block: another spot has as high a score.
            if (score > block_score[block, lane] or before == block_score[block, lane]) and before != score:
                block_score[block, lane] = _highest(FAN * block, FAN * block + FAN, lane, spot_score)
                bank_score[bank, lane] = _highest(FAN * bank, FAN * bank + FAN, lane, block_score)
                hall_score[hall, lane] = _highest(hall_first_bank[hall], hall_last_bank[hall], lane, bank_score)
                kind_best[kind, lane] = _highest(kind_first_hall[kind], kind_last_hall[kind], lane, hall_score)
        return
    # All bits of a total that is rejected are set, without a choice: that makes -1.
    reject, total = lane_reject[:lanes], lane_total[:lanes]
    row, fitting, before = spot_score[spot, :lanes], kind_fitting[kind, :lanes], lane_before[:lanes]
    for lane in range(len(row)):
        score, was = np.int16(total[lane] | -reject[lane]), row[lane]
        fitting[lane] += np.int32(score >= 0) - np.int32(was >= 0)
        before[lane], row[lane] = was, score
    if raise_rows(spot, FAN * block, FAN * block + FAN, block, lanes, spot_score, block_score, lane_before):
        if raise_rows(block, FAN * bank, FAN * bank + FAN, bank, lanes, block_score, bank_score, lane_before):
            first, last = hall_first_bank[hall], hall_last_bank[hall]
            if raise_rows(bank, first, last, hall, lanes, bank_score, hall_score, lane_before):
                first, last = kind_first_hall[kind], kind_last_hall[kind]
                raise_rows(hall, first, last, kind, lanes, hall_score, kind_best, lane_before)


@kernel
def best_in_kind(
    kind: int, lane: int, kind_best: Any, kind_first_hall: Any, hall_first_bank: Any, hall_score: Any,
    bank_score: Any, block_score: Any, spot_score: Any,
) -> int:  # fmt: skip
    """Return the first spot of the kind with its highest score, which is not below 0."""
    best, hall = kind_best[kind, lane], natural(kind_first_hall[kind])
    while hall_score[natural(hall), lane] != best:
        hall += 1
    bank = hall_first_bank[natural(hall)]
    while bank_score[natural(bank), lane] != best:
        bank += 1
    block = FAN * bank
    while block_score[natural(block), lane] != best:
        block += 1
    spot = FAN * block
    while spot_score[natural(spot), lane] != best:
        spot += 1
    return spot


@hot
def best_of_lane(
    lane: int, kind_node: Any, kind_best: Any, kind_first_hall: Any, hall_first_bank: Any, hall_score: Any,
    bank_score: Any, block_score: Any, spot_node: Any, spot_score: Any,
) -> int:  # fmt: skip
    """Return the first node with the lane's highest score; -1 when none fits."""
    best, node = np.int16(-1), -1
    for kind in range(len(kind_node)):
        score = kind_best[kind, lane]
        # Within a kind spots are in the order of nodes: one whose first node comes later cannot come first.
        if score > best or (score == best and node >= 0 and kind_node[kind] < node):
            spot = best_in_kind(
                kind, lane, kind_best, kind_first_hall, hall_first_bank, hall_score, bank_score, block_score,
                spot_score,
            )  # fmt: skip
            if score > best or spot_node[spot] < node:
                best, node = score, spot_node[spot]
    return node
