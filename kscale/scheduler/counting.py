"""Counting: pods by the domains they are in, for the plug-ins that look at other pods."""

from __future__ import annotations

from typing import Any

from kscale.kernels import kernel


@kernel
def count_pod(
    template: int, node: int, sign: int,
    template_counting_first: Any, template_counting_last: Any, counting_counter: Any, counter_topology: Any,
    counter_nodemask: Any, counter_first: Any, counter_total: Any, topology_domain: Any, nodemask_node: Any,
    tally_count: Any,
) -> None:  # fmt: skip
    """Add (sign 1) or take off (-1) a pod of the template on the node in every counter that counts it."""
    for entry in range(template_counting_first[template], template_counting_last[template]):
        counter = counting_counter[entry]
        domain = topology_domain[counter_topology[counter], node]
        nodemask = counter_nodemask[counter]
        if domain >= 0 and (nodemask < 0 or nodemask_node[nodemask, node] != 0):
            tally_count[counter_first[counter] + domain] += sign
            counter_total[counter] += sign


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
