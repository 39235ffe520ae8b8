"""VolumeBinding: bound claims must be reachable; those that wait for a pod need a volume that fits or can be made.

Rules: pkg/scheduler/framework/plugins/volumebinding of Kubernetes v1.34.1 and FindMatchingVolume of its
component-helpers. Once a pod is placed its waiting claims are settled: a volume is given to them, or the node is noted
where theirs is to be made. That stays when the pod ends, as nobody takes a bound volume back.

In runs with volume controllers (claims that live) such a claim is bound for good instead: to the volume that it was
given, or to one that its class makes at once. A volume of a class with a realm (StorageClass.realm) can be used by the
nodes that share those labels with the node that it was made for; any other by all nodes.

Left out: how long it takes to make a volume, storage capacities of CSI drivers, and volumes that are being deleted.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from kscale.kernels import inlined, kernel
from kscale.scheduler.plugins import Bar, Plugin
from kscale.scheduler.volumes import EVERYWHERE, NOWHERE, ONE_NODE, UNDECIDED, Binding, is_within, refusal
from kscale.state.building import Building
from kscale.state.descriptions import NodeDescriptions, PodDescription
from kscale.state.schema import Column, NewTable, bounds

NAME = "VolumeBinding"
COLUMNS = {
    "bound": NewTable(
        "What the volumes of a template's bound claims come to, where they bind it at all.",
        (
            Column("reach", "int64", "The nodes that can use them: see volume_reach."),
            Column("missing", "int64", "1 when one of the volumes is not there."),
        ),
    ),
    "waiting": NewTable(
        "An entry of a template's list of claims that wait for a pod to be placed, the smallest first.",
        (Column("claim", "int64", "The claim."),),
    ),
    "claim": NewTable(
        "A claim that waits for a pod to be placed.",
        (
            *bounds("candidate"),
            Column("provisions", "int64", "The nodes for which a volume can be made: see volume_reach.", default=-2),
            Column("volume", "int64", "The volume that is kept for it.", default=-1),
            Column("node", "int64", "The node for which its volume is to be made; -1 is not decided.", default=-1),
            Column("realm", "int64", "Who can use a volume made for it; -1 where it does not live.", default=-1),
            Column("settled", "uint8", "1 where it lives and is bound for good."),
            Column("reach", "int64", "The nodes that can use its volume then: see volume_reach."),
        ),
    ),
    "realm": NewTable(
        "Node labels that bind a volume which is made.",
        (
            Column("reach", "int64", "The nodes that can use a volume which is made for a node: see volume_reach.",
                   dims=("realm", "node")),
        ),
    ),
    "candidate": NewTable(
        "A volume that would do for claims that ask the same, the smallest first.",
        (Column("volume", "int64", "The volume."),),
    ),
    "volume": NewTable(
        "A volume that a waiting claim may get.",
        (
            Column(
                "reach", "int64",
                "The nodes that can use it: -1 all, -2 none, -3 less a node that one, else a row of nodemask.",
            ),
            Column("claim", "int64", "The claim that it is kept for.", default=-1),
        ),
    ),
    "choice": NewTable(
        "Scratch: the volume that each of a template's waiting claims would get, in their order.",
        (Column("volume", "int64", "The volume; -1 is none.", default=-1, dims=("choice", "node")),),
    ),
    "nodemask": (Column("looked_at", "int64", "Scratch: free volumes with this reach that were looked at."),),
    "cluster": (
        Column("binding_template", "int64", "The template whose claims were looked at last.", default=-1),
        Column("binding_trials", "int64", "Trials that have begun and not ended."),
    ),
    "template": (
        *bounds("bound"),
        *bounds("waiting"),
    ),
}  # fmt: skip


def _plan(building: Building) -> None:
    building.kept[NAME] = Binding(building)


def _fill(building: Building, cluster: Any) -> None:
    building.kept[NAME].fill(cluster)


def barred(nodes: NodeDescriptions, pod: PodDescription) -> Bar | None:
    """Turn a pod away with a claim that is missing, is being deleted, or should have been bound by now."""
    reason = refusal(nodes, pod)
    return None if reason is None else Bar(reason)


@kernel
def match_volumes(
    template: int, first: int, last: int,
    template_waiting_first: Any, template_waiting_last: Any, waiting_claim: Any, claim_candidate_first: Any,
    claim_candidate_last: Any, claim_volume: Any, claim_node: Any, claim_settled: Any, candidate_volume: Any,
    volume_reach: Any, volume_claim: Any, choice_volume: Any, nodemask_looked_at: Any, nodemask_node: Any,
) -> None:  # fmt: skip
    """Find, for each waiting claim and node, the volume kept for it, else the smallest free one in reach.

    Of the volumes of one reach only so many are looked at as the claims before may have taken on some node, and one.
    """
    first_entry = template_waiting_first[template]
    for entry in range(first_entry, template_waiting_last[template]):
        row, claim = entry - first_entry, waiting_claim[entry]
        for node in range(first, last):
            choice_volume[row, node] = -1
        if claim_node[claim] != UNDECIDED or claim_settled[claim] != 0:
            continue
        if claim_volume[claim] >= 0:
            for node in range(first, last):
                if is_within(volume_reach[claim_volume[claim]], node, nodemask_node):
                    choice_volume[row, node] = claim_volume[claim]
            continue
        everywhere = 0
        for reach in range(len(nodemask_looked_at)):
            nodemask_looked_at[reach] = 0
        for place in range(claim_candidate_first[claim], claim_candidate_last[claim]):
            volume = candidate_volume[place]
            reach, begin, end = volume_reach[volume], first, last
            if volume_claim[volume] >= 0 or reach == NOWHERE:
                continue
            if reach <= ONE_NODE:
                begin, end = max(first, ONE_NODE - reach), min(last, ONE_NODE - reach + 1)
            elif reach == EVERYWHERE:
                everywhere += 1
                end = last if everywhere <= row + 1 else first
            else:
                nodemask_looked_at[reach] += 1
                end = last if nodemask_looked_at[reach] <= row + 1 else first
            for node in range(begin, end):
                free = choice_volume[row, node] < 0 and is_within(reach, node, nodemask_node)
                for other in range(row):
                    free = free and choice_volume[other, node] != volume
                if free:
                    choice_volume[row, node] = volume


@inlined
def _satisfied(
    template: int, node: int, template_waiting_first: Any, template_waiting_last: Any, waiting_claim: Any,
    claim_provisions: Any, claim_node: Any, claim_settled: Any, choice_volume: Any, nodemask_node: Any,
) -> bool:  # fmt: skip
    """Tell whether each claim that still waits has found a volume for the node, or one can be made there."""
    for entry in range(template_waiting_first[template], template_waiting_last[template]):
        claim = waiting_claim[entry]
        if claim_settled[claim] != 0:
            continue
        if claim_node[claim] != UNDECIDED and claim_node[claim] != node:
            return False
        found = choice_volume[entry - template_waiting_first[template], node] >= 0
        if not found and not is_within(claim_provisions[claim], node, nodemask_node):
            return False
    return True


@kernel
def unbindable(
    template: int, first: int, last: int, reason: int, sums: Any,
    template_bound_first: Any, template_bound_last: Any, bound_reach: Any, bound_missing: Any,
    template_waiting_first: Any, template_waiting_last: Any, waiting_claim: Any, claim_candidate_first: Any,
    claim_candidate_last: Any, claim_provisions: Any, claim_volume: Any, claim_node: Any, claim_settled: Any,
    claim_reach: Any, candidate_volume: Any, volume_reach: Any, volume_claim: Any, choice_volume: Any,
    nodemask_looked_at: Any, nodemask_node: Any,
    cluster_binding_template: Any,
) -> None:  # fmt: skip
    """Reject where bound volumes cannot be used (bit 0) or are not there (bit 2), and where none is found (bit 1)."""
    cluster_binding_template[0] = template
    match_volumes(
        template, first, last, template_waiting_first, template_waiting_last, waiting_claim, claim_candidate_first,
        claim_candidate_last, claim_volume, claim_node, claim_settled, candidate_volume, volume_reach, volume_claim,
        choice_volume, nodemask_looked_at, nodemask_node,
    )  # fmt: skip
    for node in range(first, last):
        if sums[node] >= 0:
            bits = 0
            for entry in range(template_bound_first[template], template_bound_last[template]):
                if not is_within(bound_reach[entry], node, nodemask_node):
                    bits |= 1 << reason
                elif bound_missing[entry] != 0:
                    bits |= 1 << (reason + 2)
            for entry in range(template_waiting_first[template], template_waiting_last[template]):
                claim = waiting_claim[entry]
                if claim_settled[claim] != 0 and not is_within(claim_reach[claim], node, nodemask_node):
                    bits |= 1 << reason
            if not _satisfied(
                template, node, template_waiting_first, template_waiting_last, waiting_claim, claim_provisions,
                claim_node, claim_settled, choice_volume, nodemask_node,
            ):  # fmt: skip
                bits |= 1 << (reason + 1)
            if bits != 0:
                sums[node] = np.int32(-1 - bits)


@kernel
def settle(
    template: int, node: int, sign: int,
    template_waiting_first: Any, template_waiting_last: Any, waiting_claim: Any, claim_candidate_first: Any,
    claim_candidate_last: Any, claim_provisions: Any, claim_volume: Any, claim_node: Any, claim_settled: Any,
    claim_reach: Any, claim_realm: Any, candidate_volume: Any, volume_reach: Any, volume_claim: Any,
    choice_volume: Any, nodemask_looked_at: Any, nodemask_node: Any, realm_reach: Any,
    cluster_binding_template: Any, cluster_binding_trials: Any,
) -> None:  # fmt: skip
    """Settle the waiting claims of a pod that has just been placed: of the template that was looked at last.

    Pods that were there before the run settle nothing, nor do those that a trial moves.
    """
    if sign < 0 or cluster_binding_trials[0] != 0 or cluster_binding_template[0] != template:
        return
    match_volumes(
        template, node, node + 1, template_waiting_first, template_waiting_last, waiting_claim, claim_candidate_first,
        claim_candidate_last, claim_volume, claim_node, claim_settled, candidate_volume, volume_reach, volume_claim,
        choice_volume, nodemask_looked_at, nodemask_node,
    )  # fmt: skip
    if _satisfied(
        template, node, template_waiting_first, template_waiting_last, waiting_claim, claim_provisions, claim_node,
        claim_settled, choice_volume, nodemask_node,
    ):  # fmt: skip
        for entry in range(template_waiting_first[template], template_waiting_last[template]):
            claim, volume = waiting_claim[entry], choice_volume[entry - template_waiting_first[template], node]
            if claim_settled[claim] != 0:
                continue
            if volume >= 0:
                claim_volume[claim], volume_claim[volume] = volume, claim
            elif claim_realm[claim] < 0:
                claim_node[claim] = node
            if claim_realm[claim] >= 0:
                claim_settled[claim] = 1
                claim_reach[claim] = volume_reach[volume] if volume >= 0 else realm_reach[claim_realm[claim], node]


@kernel
def begin_trial(node: int, slot: int, cluster_binding_trials: Any) -> None:
    """Note that pods move for a trial only."""
    cluster_binding_trials[0] += 1


@kernel
def end_trial(node: int, slot: int, cluster_binding_trials: Any) -> None:
    """Note that the trial is over."""
    cluster_binding_trials[0] -= 1


def _used(building: Building) -> bool:
    return any(template.description.claims for template in building.templates)


def _reasons(resources: list[str]) -> list[str]:
    return [
        "node(s) didn't match PersistentVolume's node affinity",
        "node(s) didn't find available persistent volumes to bind",
        "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)",
    ]


BINDING = Plugin(
    NAME, rank=100, late=unbindable, reasons=_reasons, unresolvable=(0, 1, 2), bar=barred, reserve=settle,
    remember=begin_trial, recall=end_trial, plan=_plan, fill=_fill, lists=("bound", "waiting"), used=_used,
    standard=True,
)  # fmt: skip
