"""Counting: pods by the domains they are in, for the plug-ins that look at other pods."""

from __future__ import annotations

from typing import Any

import numpy as np

from kscale.kernels import inlined, kernel
from kscale.state.schema.segment import BITS

#: The bits of a domain that tell its place in its segment.
LAST = (1 << BITS) - 1


@inlined
def counted(first: int, domain: int, segment_place: Any, tally_count: Any) -> Any:
    """Return a counter's count in a domain; ``first`` is the counter's first segment."""
    return tally_count[segment_place[first + (domain >> BITS)] + (domain & LAST)]


@inlined
def place_of(segment: int, segment_place: Any, segment_free: Any, cluster_places: Any, cluster_free_places: Any) -> int:
    """Return a segment's first row of ``tally``, and give it one where it has none."""
    if segment_place[segment] == 0:
        if cluster_free_places[0] > 0:
            cluster_free_places[0] -= 1
            segment_place[segment] = segment_free[cluster_free_places[0]]
        else:
            cluster_places[0] += 1
            segment_place[segment] = cluster_places[0] << BITS
    return segment_place[segment]


@inlined
def give_up(segment: int, segment_place: Any, segment_free: Any, cluster_free_places: Any) -> None:
    """Give up the place of a segment, all of whose counts are 0."""
    segment_free[cluster_free_places[0]] = segment_place[segment]
    cluster_free_places[0] += 1
    segment_place[segment] = 0


@inlined
def touch(
    counter: int, domain: int, row: int, before: int, sign: int, counter_first: Any, counter_touched: Any,
    segment_place: Any, tally_next: Any, tally_previous: Any,
) -> None:  # fmt: skip
    """Keep the list of a counter's domains that are not 0, when one goes from ``before`` by ``sign``."""
    first_segment = counter_first[counter]
    if before == 0:
        first = counter_touched[counter]
        tally_next[row], tally_previous[row] = np.int32(first + 1), np.int32(0)
        if first >= 0:
            tally_previous[segment_place[first_segment + (first >> BITS)] + (first & LAST)] = np.int32(domain + 1)
        counter_touched[counter] = domain
    elif before + sign == 0:
        after, ahead = tally_next[row] - 1, tally_previous[row] - 1
        if ahead >= 0:
            tally_next[segment_place[first_segment + (ahead >> BITS)] + (ahead & LAST)] = np.int32(after + 1)
        else:
            counter_touched[counter] = after
        if after >= 0:
            tally_previous[segment_place[first_segment + (after >> BITS)] + (after & LAST)] = np.int32(ahead + 1)


@inlined
def move_barriers(
    counter: int, node: int, by: int, counter_barring_first: Any, counter_barring_last: Any, barring_ask: Any,
    ask_lane: Any, node_spot: Any, spot_barriers: Any,
) -> None:  # fmt: skip
    """Raise (1) or take away (-1) what the counter's first pod on a node bars."""
    for entry in range(counter_barring_first[counter], counter_barring_last[counter]):
        lane = ask_lane[barring_ask[entry]]
        if lane >= 0:
            spot_barriers[node_spot[node], lane] += np.int16(by)


@kernel
def count_pod(
    template: int, node: int, sign: int,
    template_counting_first: Any, template_counting_last: Any, counting_counter: Any, counter_topology: Any,
    counter_nodemask: Any, counter_first: Any, counter_total: Any, counter_single: Any, counter_touched: Any,
    topology_domain: Any, nodemask_node: Any, tally_count: Any, tally_next: Any, tally_previous: Any,
    segment_place: Any, segment_used: Any, segment_free: Any, cluster_places: Any, cluster_free_places: Any,
    cluster_trial: Any, cluster_log_head: Any, counter_moved_at: Any, counter_barring_first: Any,
    counter_barring_last: Any, barring_ask: Any, ask_lane: Any, node_spot: Any, spot_barriers: Any,
) -> None:  # fmt: skip
    """Add (sign 1) or take off (-1) a pod of the template on the node in every counter that counts it.

    A trial leaves the lists alone, and the places: it is taken back, and counts may be 0 in it that are not, and the
    reverse.
    """
    for entry in range(template_counting_first[template], template_counting_last[template]):
        counter = counting_counter[entry]
        domain = topology_domain[counter_topology[counter], node]
        nodemask = counter_nodemask[counter]
        if domain >= 0 and (nodemask < 0 or nodemask_node[nodemask, node] != 0):
            segment = counter_first[counter] + (domain >> BITS)
            place = place_of(segment, segment_place, segment_free, cluster_places, cluster_free_places)
            row = place + (domain & LAST)
            before = tally_count[row]
            tally_count[row] = before + sign
            if before == 0:
                segment_used[segment] += np.int16(1)
            elif before + sign == 0:
                segment_used[segment] -= np.int16(1)
            counter_total[counter] += sign
            if counter_single[counter] != 0 and cluster_trial[0] == 0:
                touch(
                    counter, domain, row, before, sign, counter_first, counter_touched, segment_place, tally_next,
                    tally_previous,
                )  # fmt: skip
                counter_moved_at[counter] = cluster_log_head[0]
                if before == 0 or before + sign == 0:
                    move_barriers(
                        counter, node, 1 if before == 0 else -1, counter_barring_first, counter_barring_last,
                        barring_ask, ask_lane, node_spot, spot_barriers,
                    )  # fmt: skip
            if segment_used[segment] == 0 and cluster_trial[0] == 0:
                give_up(segment, segment_place, segment_free, cluster_free_places)


@kernel
def count_trial(
    template: int, node: int, sign: int,
    template_trial_first: Any, template_trial_last: Any, trial_counter: Any, counter_topology: Any,
    counter_nodemask: Any, counter_first: Any, topology_domain: Any, nodemask_node: Any, tally_count: Any,
    segment_place: Any, segment_used: Any, segment_free: Any, cluster_places: Any, cluster_free_places: Any,
) -> None:  # fmt: skip
    """Do the same in the counters that count the pod in trials only: see the table ``trial``."""
    for entry in range(template_trial_first[template], template_trial_last[template]):
        counter = trial_counter[entry]
        domain = topology_domain[counter_topology[counter], node]
        nodemask = counter_nodemask[counter]
        if domain >= 0 and (nodemask < 0 or nodemask_node[nodemask, node] != 0):
            segment = counter_first[counter] + (domain >> BITS)
            place = place_of(segment, segment_place, segment_free, cluster_places, cluster_free_places)
            row = place + (domain & LAST)
            before = tally_count[row]
            tally_count[row] = before + sign
            if before == 0:
                segment_used[segment] += np.int16(1)
            elif before + sign == 0:
                segment_used[segment] -= np.int16(1)
