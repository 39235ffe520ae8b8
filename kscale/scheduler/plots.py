"""Plots: the groups of a template whose own pods are on many nodes, kept as pods come and go.

A group (a patch of the plot) is what nodes of one kind with the same counts of the template's counters are. For each
group and bank the highest score is kept: a node that changes costs a few comparisons, and a look at its bank (64
spots, two vector passes) where it was the best of its group.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from kscale.kernels import hot, inlined, kernel
from kscale.scheduler.counting import counted
from kscale.scheduler.lanes import FAN

#: Groups of a plot at most; a template with more is scanned.
MOST_PATCHES = 256
#: Places of the hash table.
PLACES = 1024
_BANK = FAN * FAN
#: A plot is given up when it was not asked for during so many events per node.
_IDLE = 2
#: What ``plot_of`` returns where the template is to be scanned.
NONE = -1


@kernel
def patch_of(
    plot: int, kind: int, node: int, template_hosted_first: Any, template_hosted_last: Any, hosted_counter: Any,
    counter_first: Any, counter_topology: Any, topology_domain: Any, segment_place: Any, tally_count: Any,
    plot_template: Any, plot_patches: Any, plot_kind: Any, plot_count: Any, plot_place: Any, plot_fitting: Any,
    plot_best: Any, plot_member: Any, node_spot: Any, scan_count: Any,
) -> int:  # fmt: skip
    """Return the group that a node belongs to, a new one where it is the first; -1 where there are too many."""
    template = plot_template[plot]
    first, last = template_hosted_first[template], template_hosted_last[template]
    code = np.uint64(kind + 1)
    for entry in range(first, last):
        counter = hosted_counter[entry]
        domain = topology_domain[counter_topology[counter], node]
        count = np.int32(0)
        if domain >= 0:
            count = counted(counter_first[counter], domain, segment_place, tally_count)
        scan_count[entry - first] = count
        code = code * np.uint64(0x9E3779B1) + np.uint64(count)
    place: Any = np.int64((code ^ (code >> np.uint64(17))) & np.uint64(PLACES - 1))
    while True:
        patch = int(plot_place[plot, place])
        if patch < 0:
            break
        same = plot_kind[plot, patch] == kind
        for entry in range(last - first):
            same = same and plot_count[plot, patch, entry] == scan_count[entry]
        if same:
            return patch
        place = (place + 1) & (PLACES - 1)
    patch = plot_patches[plot]
    if patch == MOST_PATCHES:
        return -1
    plot_patches[plot] = patch + 1
    plot_place[plot, place] = np.int16(patch)
    plot_kind[plot, patch], plot_fitting[plot, patch] = np.int32(kind), np.int32(0)
    plot_member[plot, patch] = np.int32(node_spot[node])
    for entry in range(last - first):
        plot_count[plot, patch, entry] = scan_count[entry]
    for bank in range(plot_best.shape[2]):
        plot_best[plot, patch, bank] = np.int16(-1)
    return patch


@kernel
def clear_plot(plot: int, plot_template: Any, plot_patches: Any, plot_place: Any) -> None:
    """Give a plot up."""
    plot_template[plot], plot_patches[plot] = -1, 0
    for place in range(PLACES):
        plot_place[plot, place] = np.int16(-1)


@inlined
def _idle(plot: int, plot_used_at: Any, cluster_log_head: Any, node_spot: Any) -> bool:
    return cluster_log_head[0] - plot_used_at[plot] > _IDLE * len(node_spot)


@hot
def plot_of(
    template: int, template_plot: Any, plot_template: Any, plot_used_at: Any, cluster_log_head: Any, node_spot: Any
) -> int:
    """Return the template's plot, or ``NONE``. One that was idle may not have been kept up to date."""
    plot = template_plot[template]
    if plot < 0 or plot_template[plot] != template or _idle(plot, plot_used_at, cluster_log_head, node_spot):
        return NONE
    plot_used_at[plot] = cluster_log_head[0]
    return plot


@kernel
def free_plot(
    template: int, plot_template: Any, plot_used_at: Any, template_scanned_until: Any, cluster_log_head: Any,
    node_spot: Any,
) -> int:  # fmt: skip
    """Return a plot for the template, or ``NONE``: it has had too many groups lately, or all are in use."""
    if cluster_log_head[0] >= template_scanned_until[template]:
        for plot in range(len(plot_template)):
            if plot_template[plot] < 0 or _idle(plot, plot_used_at, cluster_log_head, node_spot):
                return plot
    return NONE


@kernel
def lay_plot(
    plot: int, template: int, lane: int,
    template_hosted_first: Any, template_hosted_last: Any, hosted_counter: Any, counter_first: Any,
    counter_topology: Any, topology_domain: Any, segment_place: Any, tally_count: Any, plot_template: Any,
    plot_patches: Any, plot_kind: Any, plot_count: Any, plot_place: Any, plot_fitting: Any, plot_best: Any,
    plot_member: Any, node_spot: Any, scan_count: Any, plot_used_at: Any, plot_spot_patch: Any, plot_spot_score: Any,
    spot_node: Any, spot_score: Any, node_kind: Any, template_scanned_until: Any, template_plot: Any,
    cluster_log_head: Any, cluster_plots: Any,
) -> bool:  # fmt: skip
    """Give the template a plot; tell whether its groups are few enough."""
    clear_plot(plot, plot_template, plot_patches, plot_place)
    template_plot[template] = plot
    plot_template[plot], plot_used_at[plot] = template, cluster_log_head[0]
    cluster_plots[0] = max(cluster_plots[0], plot + 1)
    for spot in range(len(spot_node)):
        node = spot_node[spot]
        if node < 0:
            continue
        patch = patch_of(
            plot, node_kind[node], node, template_hosted_first, template_hosted_last, hosted_counter, counter_first,
            counter_topology, topology_domain, segment_place, tally_count, plot_template, plot_patches, plot_kind,
            plot_count, plot_place, plot_fitting, plot_best, plot_member, node_spot, scan_count,
        )  # fmt: skip
        if patch < 0:
            clear_plot(plot, plot_template, plot_patches, plot_place)
            template_scanned_until[template] = cluster_log_head[0] + 4 * len(node_spot)
            return False
        score = spot_score[spot, lane]
        plot_spot_patch[plot, spot], plot_spot_score[plot, spot] = np.int16(patch), score
        if score >= 0:
            plot_fitting[plot, patch] += np.int32(1)
            plot_best[plot, patch, spot // _BANK] = max(plot_best[plot, patch, spot // _BANK], score)
    return True


@inlined
def _look_again(plot: int, patch: int, bank: int, plot_spot_patch: Any, plot_spot_score: Any, plot_best: Any) -> None:
    """Work out a group's highest score in a bank."""
    patches = plot_spot_patch[plot, _BANK * bank : _BANK * bank + _BANK]
    scores = plot_spot_score[plot, _BANK * bank : _BANK * bank + _BANK]
    wanted, best = np.int16(patch), np.int16(-1)
    for spot in range(len(scores)):
        # -1 has all bits set. Written as a choice this does not vectorise: 500 ns for 256 spots, not 50.
        other = patches[spot] ^ wanted
        best = max(best, np.int16(scores[spot] | np.int16(0 if other == 0 else -1)))
    plot_best[plot, patch, bank] = best


@hot
def settle_plots(
    node: int, since: int, counter_moved_at: Any,
    template_ask: Any, ask_lane: Any, template_hosted_first: Any, template_hosted_last: Any, hosted_counter: Any,
    counter_first: Any, counter_topology: Any, topology_domain: Any, segment_place: Any, tally_count: Any,
    plot_template: Any, plot_patches: Any, plot_kind: Any, plot_count: Any, plot_place: Any, plot_fitting: Any,
    plot_best: Any, plot_member: Any, node_spot: Any, scan_count: Any, plot_used_at: Any, plot_spot_patch: Any,
    plot_spot_score: Any, spot_score: Any, node_kind: Any, template_scanned_until: Any, cluster_log_head: Any,
    cluster_plots: Any,
) -> None:  # fmt: skip
    """Bring every plot up to date with a node that has changed, at the position ``since`` of the log or later."""
    spot, kind, now = node_spot[node], node_kind[node], cluster_log_head[0]
    bank = spot // _BANK
    for plot in range(cluster_plots[0]):
        template = plot_template[plot]
        if template < 0:
            continue
        lane = ask_lane[template_ask[template]]
        if lane < 0 or _idle(plot, plot_used_at, cluster_log_head, node_spot):
            clear_plot(plot, plot_template, plot_patches, plot_place)
            continue
        before, score = plot_spot_score[plot, spot], spot_score[spot, lane]
        patch = int(plot_spot_patch[plot, spot])
        old, moved = patch, False
        first = template_hosted_first[template]
        for entry in range(first, template_hosted_last[template]):
            counter = hosted_counter[entry]
            # A pod moves few counters; to read the counts of all would be a miss of the caches for each.
            if counter_moved_at[counter] < since:
                continue
            domain = topology_domain[counter_topology[counter], node]
            if domain >= 0:
                count = counted(counter_first[counter], domain, segment_place, tally_count)
                moved = moved or count != plot_count[plot, patch, entry - first]
        if moved:
            patch = patch_of(
                plot, kind, node, template_hosted_first, template_hosted_last, hosted_counter, counter_first,
                counter_topology, topology_domain, segment_place, tally_count, plot_template, plot_patches, plot_kind,
                plot_count, plot_place, plot_fitting, plot_best, plot_member, node_spot, scan_count,
            )  # fmt: skip
            if patch < 0:
                clear_plot(plot, plot_template, plot_patches, plot_place)
                template_scanned_until[template] = now + 4 * len(node_spot)
                continue
        elif score == before:
            continue
        plot_spot_patch[plot, spot], plot_spot_score[plot, spot] = np.int16(patch), score
        plot_fitting[plot, old] -= np.int32(before >= 0)
        plot_fitting[plot, patch] += np.int32(score >= 0)
        if before >= 0 and before == plot_best[plot, old, bank] and (patch != old or score < before):
            _look_again(plot, old, bank, plot_spot_patch, plot_spot_score, plot_best)
        if score > plot_best[plot, patch, bank]:
            plot_best[plot, patch, bank] = score


@kernel
def gather_patches(
    plot: int,
    plot_patches: Any, plot_kind: Any, plot_fitting: Any, plot_best: Any, plot_member: Any, plot_spot_patch: Any,
    plot_spot_score: Any, spot_node: Any, topology_domain: Any, group_kind: Any, group_spot: Any, group_domain: Any,
    group_share: Any, group_sums: Any,
) -> int:  # fmt: skip
    """Gather the plot's groups that have nodes that fit; return how many. ``group_spot`` tells which group it is."""
    groups = 0
    for patch in range(plot_patches[plot]):
        if plot_fitting[plot, patch] > 0:
            # A group is shown by one of its nodes that fit, so that what looks at domains reads the right counts: one
            # that does not may have barriers, which groups do not tell apart.
            spot = int(plot_member[plot, patch])
            while plot_spot_patch[plot, spot] != patch or plot_spot_score[plot, spot] < 0:
                spot = spot + 1 if spot + 1 < len(spot_node) else 0
            plot_member[plot, patch] = np.int32(spot)
            bests = plot_best[plot, patch]
            best = np.int16(-1)
            for bank in range(len(bests)):
                best = max(best, bests[bank])
            group_kind[groups], group_spot[groups] = plot_kind[plot, patch], patch
            group_share[groups], group_sums[groups] = plot_fitting[plot, patch], best
            for each in range(len(topology_domain)):
                group_domain[each, groups] = topology_domain[each, spot_node[spot]]
            groups += 1
    return groups


@kernel
def best_patch(
    plot: int, groups: int, plot_best: Any, plot_spot_patch: Any, plot_spot_score: Any, group_spot: Any,
    group_sums: Any, spot_node: Any,
) -> int:  # fmt: skip
    """Return the first node with the highest total; -1 when none fits."""
    most = np.int32(-1)
    for group in range(groups):
        most = max(most, group_sums[group])
    node = -1
    if most < 0:
        return node
    for group in range(groups):
        if group_sums[group] == most:
            patch = group_spot[group]
            bests = plot_best[plot, patch]
            best, bank = np.int16(-1), 0
            for each in range(len(bests)):
                if bests[each] > best:
                    best, bank = bests[each], each
            spot = _BANK * bank
            while plot_spot_patch[plot, spot] != patch or plot_spot_score[plot, spot] != best:
                spot += 1
            if node < 0 or spot_node[spot] < node:
                node = spot_node[spot]
    return node
