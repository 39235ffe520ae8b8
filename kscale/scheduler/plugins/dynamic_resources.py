"""DynamicResources: whole devices that pods ask for in resource claims, by device class and count.

Rules: pkg/scheduler/framework/plugins/dynamicresources of Kubernetes v1.34.1. A claim of a pod's own takes its devices
while the pod is on its node. A claim that pods share takes them with the first pod, ties the others to that node, and
gives them back with the last. Evicting pods does not help: their claims count as they were when the try began.

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
from kscale.state.building import Building, Mask
from kscale.state.descriptions import PodTemplate
from kscale.state.schema import Column, NewTable

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
            Column("tried", "int64", "Scratch: devices that a trial has taken, less those it has freed.", "devices"),
        ),
    ),
    "portion": NewTable(
        "A number of devices of a class that claims of a pod's own ask for.",
        (
            Column("device_class", "int64", "The class."),
            Column("count", "int64", "The number.", "devices"),
            Column("counter", "int64", "Pods that ask for it; it tells of trials."),
        ),
    ),
    "demand": NewTable(
        "An entry of a template's list of what its own claims ask for.", (Column("portion", "int64", "The portion."),)
    ),
    "device_claim": NewTable(
        "A claim for devices that pods share.",
        (
            Column("part_first", "int64", "Its first row of part."),
            Column("part_last", "int64", "The row after its last."),
            Column("users", "int64", "Pods that have it.", "pods"),
            Column("node", "int64", "The node of its devices, while pods have it.", default=-1),
            Column("counter", "int64", "Pods that have it; it tells of trials."),
        ),
    ),
    "part": NewTable(
        "What a shared claim asks for of one class.",
        (Column("device_class", "int64", "The class."), Column("count", "int64", "The number.", "devices")),
    ),
    "sharing": NewTable(
        "An entry of a template's list of claims that it shares.", (Column("claim", "int64", "The claim."),)
    ),
    "template": (
        Column("demand_first", "int64", "Its first row of demand."),
        Column("demand_last", "int64", "The row after its last."),
        Column("sharing_first", "int64", "Its first row of sharing."),
        Column("sharing_last", "int64", "The row after its last."),
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


def _mask(building: Building, rows: list[int]) -> Mask:
    mask = np.zeros(len(building.templates), bool)
    mask[rows] = True
    return mask


class _Demands:
    """Classes, portions and shared claims as rows."""

    def __init__(self, building: Building) -> None:
        templates = building.templates
        self.shared = shared_amounts(templates)
        self.classes: dict[str, int] = {}
        self.portions: dict[tuple[str, int], list[int]] = {}
        users: dict[str, list[int]] = {}
        for index, template in enumerate(templates):
            for name, _ in template.devices:
                self.classes.setdefault(name, len(self.classes))
            for portion in own_amounts(template, self.shared).items():
                self.portions.setdefault(portion, []).append(index)
            for claim in template.device_claims:
                users.setdefault(claim, []).append(index)
        for row, rows in enumerate(self.portions.values()):
            for index in rows:
                building.append("demand", index, portion=row)
        for row, rows in enumerate(users.values()):
            for index in rows:
                building.append("sharing", index, claim=row)
        self.claims = list(users)
        self.counters = [building.watched(_mask(building, rows)) for rows in [*self.portions.values(), *users.values()]]
        building.size("device_class", len(self.classes))
        building.size("portion", len(self.portions))
        building.size("device_claim", len(self.claims))
        building.size("part", sum(len(self.shared[claim]) for claim in self.claims))

    def fill(self, building: Building, cluster: Any) -> None:
        """Write the tables."""
        for name, row in self.classes.items():
            for node, count in building.nodes.surroundings.device_counts.get(name, ()):
                cluster.device_class_count[row, node] = count
        cluster.portion_device_class[:] = [self.classes[name] for name, _ in self.portions]
        cluster.portion_count[:] = [count for _, count in self.portions]
        cluster.portion_counter[:] = self.counters[: len(self.portions)]
        cluster.device_claim_counter[:] = self.counters[len(self.portions) :]
        part = 0
        for row, claim in enumerate(self.claims):
            cluster.device_claim_part_first[row] = part
            for name, count in self.shared[claim].items():
                cluster.part_device_class[part], cluster.part_count[part] = self.classes[name], count
                part += 1
            cluster.device_claim_part_last[row] = part


def _plan(building: Building) -> None:
    building.kept[NAME] = _Demands(building)


def _fill(building: Building, cluster: Any) -> None:
    building.kept[NAME].fill(building, cluster)


@kernel
def _see_trial(
    portion_device_class: Any, portion_count: Any, portion_counter: Any, device_claim_part_first: Any,
    device_claim_part_last: Any, device_claim_users: Any, device_claim_counter: Any, part_device_class: Any,
    part_count: Any, device_class_tried: Any, counter_first: Any, counter_total: Any, tally_count: Any,
) -> None:  # fmt: skip
    """Find what a trial has taken of each class, less what it has freed; it does so on one node at a time."""
    for row in range(len(device_class_tried)):
        device_class_tried[row] = 0
    for portion in range(len(portion_counter)):
        counter = portion_counter[portion]
        tried = tally_count[counter_first[counter]] - counter_total[counter]
        device_class_tried[portion_device_class[portion]] += tried * portion_count[portion]
    for claim in range(len(device_claim_counter)):
        counter, users = device_claim_counter[claim], device_claim_users[claim]
        before = users - (tally_count[counter_first[counter]] - counter_total[counter])
        if (before > 0) != (users > 0):
            sign = 1 if users > 0 else -1
            for part in range(device_claim_part_first[claim], device_claim_part_last[claim]):
                device_class_tried[part_device_class[part]] += sign * part_count[part]


@kernel
def unallocatable(
    template: int, first: int, last: int, reason: int, sums: Any,
    template_demand_first: Any, template_demand_last: Any, demand_portion: Any, template_sharing_first: Any,
    template_sharing_last: Any, sharing_claim: Any, portion_device_class: Any, portion_count: Any,
    portion_counter: Any, device_claim_part_first: Any, device_claim_part_last: Any, device_claim_users: Any,
    device_claim_node: Any, device_claim_counter: Any, part_device_class: Any, part_count: Any,
    device_class_count: Any, device_class_taken: Any, device_class_wanted: Any, device_class_tried: Any,
    counter_first: Any, counter_total: Any, tally_count: Any,
) -> None:  # fmt: skip
    """Reject where too few devices are free (bit 0), and nodes other than those of shared claims (bit 1)."""
    begin, end = template_sharing_first[template], template_sharing_last[template]
    if begin == end and template_demand_first[template] == template_demand_last[template]:
        return
    _see_trial(
        portion_device_class, portion_count, portion_counter, device_claim_part_first, device_claim_part_last,
        device_claim_users, device_claim_counter, part_device_class, part_count, device_class_tried, counter_first,
        counter_total, tally_count,
    )  # fmt: skip
    for row in range(len(device_class_wanted)):
        device_class_wanted[row] = 0
    for entry in range(template_demand_first[template], template_demand_last[template]):
        portion = demand_portion[entry]
        device_class_wanted[portion_device_class[portion]] += portion_count[portion]
    for turn in range(2):
        for entry in range(begin, end):
            claim = sharing_claim[entry]
            counter = device_claim_counter[claim]
            tried = tally_count[counter_first[counter]] - counter_total[counter]
            allocated = device_claim_users[claim] - tried > 0
            if turn == 0 and not allocated:
                for part in range(device_claim_part_first[claim], device_claim_part_last[claim]):
                    device_class_wanted[part_device_class[part]] += part_count[part]
            elif turn == 1 and allocated:
                for node in range(first, last):
                    if sums[node] >= 0 and node != device_claim_node[claim]:
                        sums[node] = np.int32(-1 - (1 << (reason + 1)))
        for row in range(len(device_class_wanted) if turn == 0 else 0):
            wanted = device_class_wanted[row] - device_class_tried[row]
            for node in range(first, last):
                few = device_class_taken[row, node] + wanted > device_class_count[row, node]
                if sums[node] >= 0 and device_class_wanted[row] > 0 and few:
                    sums[node] = np.int32(-1 - (1 << reason))


@kernel
def allocate(
    template: int, node: int, sign: int,
    template_demand_first: Any, template_demand_last: Any, demand_portion: Any, template_sharing_first: Any,
    template_sharing_last: Any, sharing_claim: Any, portion_device_class: Any, portion_count: Any,
    device_claim_part_first: Any, device_claim_part_last: Any, device_claim_users: Any, device_claim_node: Any,
    part_device_class: Any, part_count: Any, device_class_taken: Any,
) -> None:  # fmt: skip
    """Take the pod's devices or give them back; those of a shared claim with its first pod and with its last."""
    for entry in range(template_demand_first[template], template_demand_last[template]):
        portion = demand_portion[entry]
        device_class_taken[portion_device_class[portion], node] += sign * portion_count[portion]
    for entry in range(template_sharing_first[template], template_sharing_last[template]):
        claim = sharing_claim[entry]
        if sign > 0 and device_claim_users[claim] == 0:
            device_claim_node[claim] = node
        device_claim_users[claim] += sign
        if device_claim_users[claim] == (1 if sign > 0 else 0):
            for part in range(device_claim_part_first[claim], device_claim_part_last[claim]):
                device_class_taken[part_device_class[part], device_claim_node[claim]] += sign * part_count[part]


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
    NAME, rank=140, late=unallocatable, reasons=_reasons, unresolvable=(0, 1), reserve=allocate, hint=may_free_devices,
    plan=_plan, fill=_fill, lists=("demand", "sharing"), used=_used, standard=True,
)  # fmt: skip
