"""PodTopologySpread: pods that a selector selects are spread over the domains of a topology.

Hard constraints reject where the skew would pass its limit; soft ones cost points. Only pods of the namespace that are
not terminating count, on nodes that have every key of the pod's constraints and pass the constraint's policies.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from kscale.kernels import inlined, kernel
from kscale.scheduler.counting import counted
from kscale.scheduler.plugins import Plugin
from kscale.scheduler.plugins.node_affinity import matches_required
from kscale.scheduler.plugins.taints import untolerated
from kscale.scheduler.totals import hundredths_of
from kscale.state.building import NODE, Building, Mask
from kscale.state.descriptions import PodTemplate, SpreadConstraint
from kscale.state.schema import Column, NewTable, bounds
from kscale.state.tables import Cluster

HOSTNAME = "kubernetes.io/hostname"
ZONE = "topology.kubernetes.io/zone"
#: The system's default constraints (kube-scheduler v1.34.1: max skew and key, all of them ScheduleAnyway).
SYSTEM_DEFAULTS = ((3, HOSTNAME), (5, ZONE))

COLUMNS = {
    "spread_hard": NewTable(
        "An entry of a template's list of hard spread constraints.",
        (
            Column("counter", "int64", "What it counts."),
            Column("max_skew", "int64", "maxSkew.", "pods"),
            Column("min_domains", "int64", "minDomains, 1 where none is stated.", "domains"),
            Column("itself", "int64", "1 when the pod itself counts."),
        ),
    ),
    "spread_soft": NewTable(
        "An entry of a template's list of soft spread constraints.",
        (
            Column("counter", "int64", "What it counts."),
            Column("max_skew", "int64", "maxSkew.", "pods"),
            Column("topology", "int64", "The topology of its key."),
            Column("by_node", "int64", "1 when its key is the hostname: each node counts its own pods."),
        ),
    ),
    "template": (
        *bounds("spread_hard"),
        *bounds("spread_soft"),
        Column("spread_peers", "int64", "Templates that its hard constraints select.", default=-1),
        Column("spread_all_keys", "uint8", "1 when a node without one of the soft keys gets no points."),
    ),
}


def constraints_of(building: Building, template: PodTemplate) -> tuple[Sequence[SpreadConstraint], bool]:
    """Return the pod's constraints, or the defaults for it; and whether a node needs all of the keys."""
    if template.spread:
        return template.spread, True
    configuration = building.configuration(template)
    if configuration is None or template.default_selector is None:
        return (), True
    if configuration.system_defaults:
        rows = [(skew, key, False) for skew, key in SYSTEM_DEFAULTS]
    else:
        rows = [(c.max_skew, c.topology_key, c.hard) for c in configuration.default_constraints]
    selector = template.default_selector
    return [SpreadConstraint(skew, key, hard, selector) for skew, key, hard in rows], not configuration.system_defaults


def _plan(building: Building) -> None:
    for index, template in enumerate(building.templates):
        constraints, all_keys = constraints_of(building, template)
        selected = np.zeros(len(building.templates), bool)
        for constraint in constraints:
            if constraint.hard:
                selected |= building.selected(constraint.selector, (template.namespace,))
        building.mark("spread_peers", index, building.peers(selected))
        building.mark("spread_all_keys", index, int(all_keys))
        for hard in (True, False):
            kept = [constraint for constraint in constraints if constraint.hard is hard]
            keys = np.ones(len(building.nodes), bool)
            if hard or all_keys:
                for constraint in kept:
                    keys &= building.has_key(building.topology(constraint.topology_key))
            for constraint in kept:
                _append(building, index, template, constraint, keys)


def _append(building: Building, index: int, template: PodTemplate, constraint: SpreadConstraint, keys: Mask) -> None:
    topology = building.topology(constraint.topology_key)
    selected = building.selected(constraint.selector, (template.namespace,))
    itself = bool(selected[index])
    # An empty selector selects the pod itself, but no other (kube-scheduler v1.34.1).
    empty = constraint.selector is not None and not constraint.selector.requirements
    counted = np.zeros(len(selected), bool) if empty else selected & ~building.terminating
    if constraint.hard:
        counter = building.counter(
            topology, counted, building.nodemask(keys & _policies(building, template, constraint))
        )
        building.append(
            "spread_hard", index, counter=counter, max_skew=constraint.max_skew,
            min_domains=constraint.min_domains or 1, itself=int(itself),
        )  # fmt: skip
        for other in np.flatnonzero(selected & ~counted).tolist():
            building.append("trial", other, counter=counter)
        return
    by_node = constraint.topology_key == HOSTNAME
    if by_node:
        counter = building.counter(NODE, counted)
    else:
        counter = building.counter(
            topology, counted, building.nodemask(keys & _policies(building, template, constraint))
        )
    building.append(
        "spread_soft", index, counter=counter, max_skew=constraint.max_skew, topology=topology, by_node=int(by_node)
    )


def _policies(building: Building, template: PodTemplate, constraint: SpreadConstraint) -> Mask:
    """Return the nodes that pass the constraint's nodeAffinityPolicy and nodeTaintsPolicy."""
    nodes, description = building.nodes, template.description
    passes = np.ones(len(nodes), bool)
    if constraint.honor_affinity:
        passes &= matches_required(nodes, description)
    if constraint.honor_taints:
        passes &= untolerated(nodes, description)[0] < 0
    return passes


@kernel
def skewed(
    template: int, first: int, last: int, reason: int, sums: Any,
    template_spread_hard_first: Any, template_spread_hard_last: Any, spread_hard_counter: Any,
    spread_hard_max_skew: Any, spread_hard_min_domains: Any, spread_hard_itself: Any, counter_topology: Any,
    counter_first: Any, counter_domains: Any, counter_eligible: Any, counter_seen_first: Any, seen_eligible: Any,
    topology_domain: Any, segment_place: Any, tally_count: Any,
) -> None:  # fmt: skip
    """Reject where a hard constraint's skew would pass its limit (bit 0), or its label is missing (bit 1)."""
    for entry in range(template_spread_hard_first[template], template_spread_hard_last[template]):
        counter = spread_hard_counter[entry]
        start = counter_first[counter]
        eligible = seen_eligible[counter_seen_first[counter] : counter_seen_first[counter] + counter_domains[counter]]
        lowest = np.int32(0)
        if counter_eligible[counter] >= spread_hard_min_domains[entry]:
            lowest = np.int32(2147483647)
            for domain in range(len(eligible)):
                count = counted(start, domain, segment_place, tally_count)
                lowest = min(lowest, count if eligible[domain] != 0 else np.int32(2147483647))
        limit = spread_hard_max_skew[entry] + lowest - spread_hard_itself[entry]
        domain_of = topology_domain[counter_topology[counter]]
        for node in range(first, last):
            if sums[node] >= 0:
                if domain_of[node] < 0:
                    sums[node] = np.int32(-1 - (1 << (reason + 1)))
                elif counted(start, domain_of[node], segment_place, tally_count) > limit:
                    sums[node] = np.int32(-1 - (1 << reason))


@inlined
def _ignored(
    template: int, node: int, template_spread_all_keys: Any, template_spread_soft_first: Any,
    template_spread_soft_last: Any, spread_soft_topology: Any, topology_domain: Any,
) -> bool:  # fmt: skip
    """Tell whether the node lacks a key that it needs for points."""
    if template_spread_all_keys[template] != 0:
        for entry in range(template_spread_soft_first[template], template_spread_soft_last[template]):
            if topology_domain[spread_soft_topology[entry], node] < 0:
                return True
    return False


@kernel
def soft_skew(
    template: int, sums: Any,
    template_spread_all_keys: Any, template_spread_soft_first: Any, template_spread_soft_last: Any,
    spread_soft_counter: Any, spread_soft_max_skew: Any, spread_soft_topology: Any, spread_soft_by_node: Any,
    counter_first: Any, topology_domain: Any, segment_place: Any, tally_count: Any, scan_stamp: Any,
    cluster_stamp: Any, scan_place: Any, scan_share: Any, scan_double: Any, scan_wide: Any,
) -> bool:  # fmt: skip
    """Score the soft constraints: per constraint its count times ln(domains + 2), plus maxSkew - 1.

    ``scan_double`` is below 0 where the node lacks a key that it needs: no points. ``scan_place`` lists the others.
    """
    first_entry, last_entry = template_spread_soft_first[template], template_spread_soft_last[template]
    if first_entry == last_entry:
        return False
    looked_at, nodes = 0, 0
    for node in range(len(sums)):
        scan_double[node] = -1.0
        scan_wide[node] = 0
        if sums[node] >= 0 and not _ignored(
            template, node, template_spread_all_keys, template_spread_soft_first, template_spread_soft_last,
            spread_soft_topology, topology_domain,
        ):  # fmt: skip
            scan_double[node] = 0.0
            scan_place[looked_at] = node
            looked_at += 1
            nodes += scan_share[node]
    for entry in range(first_entry, last_entry):
        domain_of = topology_domain[spread_soft_topology[entry]]
        start = counter_first[spread_soft_counter[entry]]
        by_node = spread_soft_by_node[entry] != 0
        size = nodes
        if not by_node:
            cluster_stamp[0] += 1
            stamp, size, without = cluster_stamp[0], 0, 0
            for place in range(looked_at):
                domain = domain_of[scan_place[place]]
                if domain < 0:
                    without = 1
                elif scan_stamp[domain] != stamp:
                    scan_stamp[domain] = stamp
                    size += 1
            # Nodes without the label are one more value, the empty one (system defaults only).
            size += without
        weight = math.log(float(size + 2))
        more = float(spread_soft_max_skew[entry] - 1)
        for place in range(looked_at):
            node = scan_place[place]
            domain = domain_of[node]
            if domain >= 0:
                if by_node:
                    domain = topology_domain[NODE, node]
                count = counted(start, domain, segment_place, tally_count)
                scan_double[node] += float(count) * weight + more
    for place in range(looked_at):
        value = scan_double[scan_place[place]]
        whole = np.int64(value)
        scan_wide[scan_place[place]] = whole + (1 if value - float(whole) >= 0.5 else 0)
    return True


@kernel
def spread_points(template: int, weight: int, sums: Any, scan_double: Any, scan_wide: Any) -> None:
    """Turn raw scores round, and add them: 100 * (highest + lowest - raw) // highest over the nodes that are scored."""
    lowest, highest = np.int64(9223372036854775807), np.int64(0)
    for node in range(len(sums)):
        if scan_double[node] >= 0.0:
            lowest, highest = min(lowest, scan_wide[node]), max(highest, scan_wide[node])
    for node in range(len(sums)):
        if scan_double[node] >= 0.0:
            points = hundredths_of(highest + lowest - scan_wide[node], highest) if highest > 0 else np.int64(100)
            scan_wide[node] = points
            sums[node] += np.int32(weight * points)


@kernel
def may_unskew(template: int, other: int, added: int, template_spread_peers: Any, peers_member: Any) -> bool:
    """Tell whether a pod that came or went is one that a hard constraint selects."""
    peers = template_spread_peers[template]
    return peers >= 0 and peers_member[peers, other] != 0


def _ungrouped(cluster: Cluster) -> npt.NDArray[np.bool_]:
    """Soft constraints count the domains of the nodes that fit: of single nodes a group has many, but shows one."""
    result = np.zeros(cluster.sizes["template"], bool)
    for template in np.flatnonzero(cluster.template_spread_soft_first < cluster.template_spread_soft_last).tolist():
        entries = slice(cluster.template_spread_soft_first[template], cluster.template_spread_soft_last[template])
        single = cluster.topology_single[cluster.spread_soft_topology[entries]] != 0
        result[template] = bool((single & (cluster.spread_soft_by_node[entries] == 0)).any())
    return result


def _used(building: Building) -> bool:
    return any(constraints_of(building, template)[0] for template in building.templates)


def _reasons(resources: list[str]) -> list[str]:
    text = "node(s) didn't match pod topology spread constraints"
    return [text, f"{text} (missing required label)"]


SPREAD = Plugin(
    "PodTopologySpread", rank=120, late=skewed, reasons=_reasons, unresolvable=(1,), raw=soft_skew,
    points=spread_points, normalise="own", hint=may_unskew, plan=_plan,
    lists=("spread_hard", "spread_soft"), by_domain=True, ungrouped=_ungrouped, used=_used, weight=2, standard=True,
)  # fmt: skip
