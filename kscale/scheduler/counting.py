"""Counting: pods by the domains they are in, for the plug-ins that look at other pods."""

from __future__ import annotations

from typing import Any

import numpy as np

from kscale.kernels import inlined, kernel


@inlined
def touch(
    counter: int, row: int, before: int, sign: int, counter_touched: Any, tally_next: Any, tally_previous: Any
) -> None:
    """Keep the list of a counter's rows that are not 0, when a row goes from ``before`` by ``sign``."""
    if before == 0:
        first = counter_touched[counter]
        tally_next[row], tally_previous[row] = np.int32(first + 1), np.int32(0)
        if first >= 0:
            tally_previous[first] = np.int32(row + 1)
        counter_touched[counter] = row
    elif before + sign == 0:
        after, ahead = tally_next[row] - 1, tally_previous[row] - 1
        if ahead >= 0:
            tally_next[ahead] = np.int32(after + 1)
        else:
            counter_touched[counter] = after
        if after >= 0:
            tally_previous[after] = np.int32(ahead + 1)


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
    cluster_trial: Any, cluster_log_head: Any, counter_moved_at: Any, counter_barring_first: Any,
    counter_barring_last: Any, barring_ask: Any, ask_lane: Any, node_spot: Any, spot_barriers: Any,
) -> None:  # fmt: skip
    """Add (sign 1) or take off (-1) a pod of the template on the node in every counter that counts it.

    A trial leaves the lists of rows alone: it is taken back, and rows may be 0 in it that are not, and the reverse.
    """
    for entry in range(template_counting_first[template], template_counting_last[template]):
        counter = counting_counter[entry]
        domain = topology_domain[counter_topology[counter], node]
        nodemask = counter_nodemask[counter]
        if domain >= 0 and (nodemask < 0 or nodemask_node[nodemask, node] != 0):
            row = counter_first[counter] + domain
            before = tally_count[row]
            tally_count[row] = before + sign
            counter_total[counter] += sign
            if counter_single[counter] != 0 and cluster_trial[0] == 0:
                touch(counter, row, before, sign, counter_touched, tally_next, tally_previous)
                counter_moved_at[counter] = cluster_log_head[0]
                if before == 0 or before + sign == 0:
                    move_barriers(
                        counter, node, 1 if before == 0 else -1, counter_barring_first, counter_barring_last,
                        barring_ask, ask_lane, node_spot, spot_barriers,
                    )  # fmt: skip


@kernel
def count_trial(
    template: int, node: int, sign: int,
    template_trial_first: Any, template_trial_last: Any, trial_counter: Any, counter_topology: Any,
    counter_nodemask: Any, counter_first: Any, topology_domain: Any, nodemask_node: Any, tally_count: Any,
) -> None:  # fmt: skip
    """Do the same in the counters that count the pod in trials only: see the table ``trial``."""
    for entry in range(template_trial_first[template], template_trial_last[template]):
        counter = trial_counter[entry]
        domain = topology_domain[counter_topology[counter], node]
        nodemask = counter_nodemask[counter]
        if domain >= 0 and (nodemask < 0 or nodemask_node[nodemask, node] != 0):
            tally_count[counter_first[counter] + domain] += sign
