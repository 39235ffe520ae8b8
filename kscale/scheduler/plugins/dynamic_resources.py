"""DynamicResources: whole devices that pods ask for in resource claims, by device class and count.

Rules: pkg/scheduler/framework/plugins/dynamicresources of Kubernetes v1.34.1. A claim of a pod's own takes its devices
while the pod is on its node. A claim that pods share takes them with the first pod, ties the others to that node, and
gives them back with the last. Evicting pods does not help: in a trial of preemption claims keep their devices.

Left out: selectors beyond the driver and equal attributes, requests for all devices or with alternatives, constraints
between requests, partitionable and consumable devices, admin access, devices that several nodes can reach, taints of
devices, and allocations that claims state. A device counts in each class that it belongs to. Of a template's devices
the shared claims are told apart by the templates that share them: what the templates of a claim have in common is its.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from kscale.kernels import kernel
from kscale.scheduler.plugins import Plugin
from kscale.state.building import Building
from kscale.state.descriptions import PodTemplate
from kscale.state.schema import Column, NewTable, bounds

NAME = "DynamicResources"
#: Devices by class.
Amounts = dict[str, int]

COLUMNS = {
    "device_class": NewTable(
        "A device class that some template asks for.",
        (
            Column("count", "int64", "Devices of the class.", "devices", dims=("device_class", "node")),
            Column("taken", "int64", "Devices that claims have.", "devices", dims=("device_class", "node")),
            Column("wanted", "int64", "Scratch: devices that claims of the pod are still to get.", "devices"),
        ),
    ),
    "demand": NewTable(
        "An entry of a template's list of what claims of its own ask for.",
        (Column("device_class", "int64", "The class."), Column("count", "int64", "The number.", "devices")),
    ),
    "device_claim": NewTable(
        "A claim for devices that pods share.",
        (
            *bounds("part"),
            Column("users", "int64", "Pods that have it.", "pods"),
            Column("node", "int64", "The node of its devices, while pods have it.", default=-1),
        ),
    ),
    "part": NewTable(
        "What a shared claim asks for of one class.",
        (Column("device_class", "int64", "The class."), Column("count", "int64", "The number.", "devices")),
    ),
    "sharing": NewTable(
        "An entry of a template's list of claims that it shares.", (Column("claim", "int64", "The claim."),)
    ),
    "cluster": (Column("device_trials", "int64", "Trials that have begun and not ended."),),
    "template": (
        *bounds("demand"),
        *bounds("sharing"),
    ),
}


def shared_amounts(templates: list[PodTemplate]) -> dict[str, Amounts]:
    """Return what each shared claim asks for: what is common to its templates, those with the fewest claims first."""
    known: dict[str, Amounts] = {}
    for most in sorted({len(template.device_claims) for template in templates} - {0}):
        found: dict[str, Amounts] = {}
        for template in templates:
            unknown = [name for name in template.device_claims if name not in known]
            if len(template.device_claims) == most and unknown:
                rest = own_amounts(template, known)
                before = found.get(unknown[0], rest)
                found[unknown[0]] = {name: min(before[name], count) for name, count in rest.items() if name in before}
                for name in unknown[1:]:
                    found.setdefault(name, {})
        known |= found
    return known


def own_amounts(template: PodTemplate, shared: dict[str, Amounts]) -> Amounts:
    """Return what is left of a template's devices without those of its shared claims."""
    rest = dict(template.devices)
    for claim in template.device_claims:
        for name, count in shared.get(claim, {}).items():
            rest[name] = rest.get(name, 0) - count
    return {name: count for name, count in rest.items() if count > 0}


def _plan(building: Building) -> None:
    templates = building.templates
    classes = {name: row for row, name in enumerate(dict.fromkeys(n for t in templates for n, _ in t.devices))}
    claims = {name: row for row, name in enumerate(dict.fromkeys(n for t in templates for n in t.device_claims))}
    shared = shared_amounts(templates)
    for index, template in enumerate(templates):
        for name, count in own_amounts(template, shared).items():
            building.append("demand", index, device_class=classes[name], count=count)
        for name in template.device_claims:
            building.append("sharing", index, claim=claims[name])
    building.size("device_class", len(classes))
    building.size("device_claim", len(claims))
    building.size("part", sum(len(shared[name]) for name in claims))
    building.kept[NAME] = classes, [shared[name] for name in claims]


def _fill(building: Building, cluster: Any) -> None:
    classes, shared = building.kept[NAME]
    for name, row in classes.items():
        for node, count in building.nodes.surroundings.device_counts.get(name, ()):
            cluster.device_class_count[row, node] = count
    part = 0
    for row, amounts in enumerate(shared):
        cluster.device_claim_part_first[row] = part
        for name, count in amounts.items():
            cluster.part_device_class[part], cluster.part_count[part] = classes[name], count
            part += 1
        cluster.device_claim_part_last[row] = part


@kernel
def unallocatable(
    template: int, first: int, last: int, reason: int, sums: Any,
    template_demand_first: Any, template_demand_last: Any, demand_device_class: Any, demand_count: Any,
    template_sharing_first: Any, template_sharing_last: Any, sharing_claim: Any, device_claim_part_first: Any,
    device_claim_part_last: Any, device_claim_users: Any, device_claim_node: Any, part_device_class: Any,
    part_count: Any, device_class_count: Any, device_class_taken: Any, device_class_wanted: Any,
) -> None:  # fmt: skip
    """Reject where too few devices are free (bit 0), and nodes other than those of shared claims (bit 1)."""
    for row in range(len(device_class_wanted)):
        device_class_wanted[row] = 0
    for entry in range(template_demand_first[template], template_demand_last[template]):
        device_class_wanted[demand_device_class[entry]] += demand_count[entry]
    for entry in range(template_sharing_first[template], template_sharing_last[template]):
        claim = sharing_claim[entry]
        if device_claim_users[claim] == 0:
            for part in range(device_claim_part_first[claim], device_claim_part_last[claim]):
                device_class_wanted[part_device_class[part]] += part_count[part]
    for row in range(len(device_class_wanted)):
        wanted, taken, count = device_class_wanted[row], device_class_taken[row], device_class_count[row]
        if wanted > 0:
            for node in range(first, last):
                if sums[node] >= 0 and taken[node] + wanted > count[node]:
                    sums[node] = np.int32(-1 - (1 << reason))
    for entry in range(template_sharing_first[template], template_sharing_last[template]):
        claim = sharing_claim[entry]
        if device_claim_users[claim] > 0:
            for node in range(first, last):
                if sums[node] >= 0 and node != device_claim_node[claim]:
                    sums[node] = np.int32(-1 - (1 << (reason + 1)))


@kernel
def allocate(
    template: int, node: int, sign: int,
    template_demand_first: Any, template_demand_last: Any, demand_device_class: Any, demand_count: Any,
    template_sharing_first: Any, template_sharing_last: Any, sharing_claim: Any, device_claim_part_first: Any,
    device_claim_part_last: Any, device_claim_users: Any, device_claim_node: Any, part_device_class: Any,
    part_count: Any, device_class_taken: Any, cluster_device_trials: Any,
) -> None:  # fmt: skip
    """Take the pod's devices or give them back; those of a shared claim with its first pod and with its last."""
    if cluster_device_trials[0] != 0:
        return
    for entry in range(template_demand_first[template], template_demand_last[template]):
        device_class_taken[demand_device_class[entry], node] += sign * demand_count[entry]
    for entry in range(template_sharing_first[template], template_sharing_last[template]):
        claim = sharing_claim[entry]
        if sign > 0 and device_claim_users[claim] == 0:
            device_claim_node[claim] = node
        device_claim_users[claim] += sign
        if device_claim_users[claim] == (1 if sign > 0 else 0):
            for part in range(device_claim_part_first[claim], device_claim_part_last[claim]):
                device_class_taken[part_device_class[part], device_claim_node[claim]] += sign * part_count[part]


@kernel
def begin_trial(node: int, slot: int, cluster_device_trials: Any) -> None:
    """Note that pods move for a trial only."""
    cluster_device_trials[0] += 1


@kernel
def end_trial(node: int, slot: int, cluster_device_trials: Any) -> None:
    """Note that the trial is over."""
    cluster_device_trials[0] -= 1


@kernel
def may_free_devices(
    template: int, other: int, added: int,
    template_demand_first: Any, template_demand_last: Any, template_sharing_first: Any, template_sharing_last: Any,
) -> bool:  # fmt: skip
    """Tell whether a pod with devices went."""
    has = template_demand_first[other] < template_demand_last[other]
    return added == 0 and (has or template_sharing_first[other] < template_sharing_last[other])


def _used(building: Building) -> bool:
    return any(template.devices or template.device_claims for template in building.templates)


def _reasons(resources: list[str]) -> list[str]:
    return ["cannot allocate all claims", "resourceclaim not available on the node"]


DYNAMIC = Plugin(
    NAME, rank=140, late=unallocatable, reasons=_reasons, unresolvable=(0, 1), reserve=allocate,
    remember=begin_trial, recall=end_trial, hint=may_free_devices, plan=_plan, fill=_fill, lists=("demand", "sharing"),
    used=_used, standard=True,
)  # fmt: skip
