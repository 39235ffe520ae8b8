"""Groups: one search of the class index for a pod whose filters or scores look at domains, or are normalised.

Nodes of one kind differ only in their usage, and in the pods on them that the template counts node by node. So the
plug-ins are asked about groups instead of nodes: each kind without the nodes that have such pods, and each of these by
itself. A group stands with the domains that its nodes have, the number of nodes that fit and the best score by usage.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from kscale.kernels import inlined, kernel
from kscale.scheduler.counting import counted
from kscale.scheduler.lanes import FAN, best_in_kind


@kernel
def gather_groups(
    template: int, lane: int,
    template_hosted_first: Any, template_hosted_last: Any, hosted_counter: Any, counter_touched: Any,
    counter_first: Any, counter_topology: Any, topology_node: Any, topology_domain: Any, segment_place: Any,
    tally_next: Any, node_spot: Any, node_kind: Any, kind_domain: Any, kind_best: Any, kind_fitting: Any,
    spot_score: Any, spot_stamp: Any, block_stamp: Any, bank_stamp: Any, group_kind: Any, group_spot: Any,
    group_domain: Any, group_share: Any, group_sums: Any, cluster_search: Any, cluster_alone: Any,
) -> int:  # fmt: skip
    """Gather the groups; return how many, -1 where more than ``cluster_alone`` nodes would stand by themselves."""
    kinds, most = len(kind_best), cluster_alone[0]
    for kind in range(kinds):
        group_share[kind] = kind_fitting[kind, lane]
        group_sums[kind] = kind_best[kind, lane]
        group_kind[kind] = kind
        for each in range(len(kind_domain)):
            group_domain[each, kind] = kind_domain[each, kind]
    groups = kinds
    cluster_search[0] += 1
    stamp = cluster_search[0]
    for entry in range(template_hosted_first[template], template_hosted_last[template]):
        counter = hosted_counter[entry]
        topology, domain = counter_topology[counter], counter_touched[counter]
        while domain >= 0:
            node = topology_node[topology, domain]
            domain = counted(counter_first[counter], domain, segment_place, tally_next) - 1
            spot = node_spot[node]
            if spot_stamp[spot] != stamp:
                if groups == kinds + most:
                    return -1
                kind, score = node_kind[node], spot_score[spot, lane]
                spot_stamp[spot], block_stamp[spot // FAN], bank_stamp[spot // (FAN * FAN)] = stamp, stamp, stamp
                group_kind[groups], group_spot[groups] = kind, spot
                group_share[groups], group_sums[groups] = 1, score
                for each in range(len(topology_domain)):
                    group_domain[each, groups] = topology_domain[each, node]
                if score >= 0:
                    group_share[kind] -= 1
                    if group_share[kind] == 0:
                        group_sums[kind] = -1
                groups += 1
    return groups


@kernel
def take_group_plane(plane: Any, groups: int, group_kind: Any, group_wide: Any, kind_node: Any) -> None:
    """Take a plane's raw scores."""
    for group in range(groups):
        group_wide[group] = plane[kind_node[group_kind[group]]]


@inlined
def _best_left(
    first_bank: int, last_bank: int, lane: int, stamp: int, spot_score: Any, spot_stamp: Any, block_score: Any,
    block_stamp: Any, bank_score: Any, bank_stamp: Any,
) -> int:  # fmt: skip
    """Return the first spot with the highest score of those that are not left out; -1 where none is."""
    best, where = np.int16(-1), -1
    for bank in range(first_bank, last_bank):
        score = bank_score[bank, lane]
        if bank_stamp[bank] == stamp and score > best:
            score = np.int16(-1)
            for block in range(FAN * bank, FAN * bank + FAN):
                of_block = block_score[block, lane]
                if block_stamp[block] == stamp and of_block > score:
                    of_block = np.int16(-1)
                    for spot in range(FAN * block, FAN * block + FAN):
                        if spot_stamp[spot] != stamp:
                            of_block = max(of_block, spot_score[spot, lane])
                score = max(score, of_block)
        if score > best:
            best, where = score, bank
    if where < 0:
        return -1
    spot = FAN * FAN * where
    while True:
        if spot % FAN == 0:
            while block_score[spot // FAN, lane] < best:
                spot += FAN
        if spot_stamp[spot] != stamp and spot_score[spot, lane] == best:
            return spot
        spot += 1
    return -1


@kernel
def best_group(
    lane: int, groups: int,
    kind_node: Any, kind_best: Any, kind_first_hall: Any, kind_last_hall: Any, hall_first_bank: Any,
    hall_last_bank: Any, hall_score: Any, spot_node: Any, spot_score: Any, spot_stamp: Any, block_score: Any,
    block_stamp: Any, bank_score: Any, bank_stamp: Any, group_spot: Any, group_sums: Any, cluster_search: Any,
) -> int:  # fmt: skip
    """Return the first node with the highest total; -1 when none fits."""
    kinds, stamp = len(kind_node), cluster_search[0]
    best, node = np.int32(-1), -1
    for group in range(kinds, groups):
        total = group_sums[group]
        if total >= 0 and total >= best:
            candidate = spot_node[group_spot[group]]
            if total > best or candidate < node:
                best, node = total, candidate
    for kind in range(kinds):
        total = group_sums[kind]
        # The total of a kind is that of its best node, which may stand by itself: no less than what is left comes to.
        if total < 0 or total < best or (total == best and kind_node[kind] > node):
            continue
        if groups == kinds:
            spot = best_in_kind(
                kind, lane, kind_best, kind_first_hall, hall_first_bank, hall_score, bank_score, block_score,
                spot_score,
            )  # fmt: skip
        else:
            spot = _best_left(
                hall_first_bank[kind_first_hall[kind]], hall_last_bank[kind_last_hall[kind] - 1], lane, stamp,
                spot_score, spot_stamp, block_score, block_stamp, bank_score, bank_stamp,
            )  # fmt: skip
        total += np.int32(spot_score[spot, lane]) - np.int32(kind_best[kind, lane])
        if total > best or (total == best and spot_node[spot] < node):
            best, node = total, spot_node[spot]
    return node
