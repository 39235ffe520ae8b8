"""NodeResourcesFit, its scoring strategies and the balanced allocation in their second form: one node, many lanes.

Asks are kept as doubles lane by lane, so that a pass over the lanes vectorises. The class index is not used where
doubles do not divide exactly (``resource_wide``).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from kscale.kernels import hot, inlined, kernel
from kscale.scheduler.shares import (
    FIRST_EXTENDED,
    QUICK,
    balance,
    balance_of_many,
    free_share,
    quick_share,
    taken_share,
)

_NONE, _BY_TWO, _OTHERWISE = 0, 1, 2
_CPU, _MEMORY = 0, 1


@inlined
def _fill_fit(template: int, lane: int, template_fit_request: Any, lane_fit_request: Any) -> None:
    for resource in range(template_fit_request.shape[1]):
        request = template_fit_request[template, resource]
        lane_fit_request[resource, lane] = float(request) if request > 0 else -np.inf


@kernel
def open_scored(
    template: int, lane: int, template_profile: Any, template_scored_request: Any, resource_scored_weight: Any,
    resource_everywhere: Any, lane_scored_request: Any, lane_scored_weight: Any, lane_part: Any,
) -> None:  # fmt: skip
    """Fill what the scoring strategy counts."""
    scored = resource_scored_weight[template_profile[template]]
    total, everywhere = np.int32(0), True
    for resource in range(len(scored)):
        request = template_scored_request[template, resource]
        weight = np.int32(scored[resource]) if resource < FIRST_EXTENDED or request > 0 else np.int32(0)
        lane_scored_request[resource, lane] = float(request)
        lane_scored_weight[resource, lane] = weight
        total += weight
        everywhere = everywhere and (weight == 0 or resource_everywhere[resource] != 0)
    lane_part[lane] = 1.0 / float(max(total, np.int32(1))) if everywhere else 0.0


@kernel
def open_fit_and_scored(
    template: int, lane: int, template_fit_request: Any, template_profile: Any, template_scored_request: Any,
    resource_scored_weight: Any, resource_everywhere: Any, lane_fit_request: Any, lane_scored_request: Any,
    lane_scored_weight: Any, lane_part: Any,
) -> None:  # fmt: skip
    """Fill what must be free, and what the scoring strategy counts."""
    _fill_fit(template, lane, template_fit_request, lane_fit_request)
    open_scored(
        template, lane, template_profile, template_scored_request, resource_scored_weight, resource_everywhere,
        lane_scored_request, lane_scored_weight, lane_part,
    )  # fmt: skip


@kernel
def open_balanced(
    template: int, lane: int, template_profile: Any, template_request: Any, resource_balanced: Any, lane_request: Any,
    lane_balance: Any,
) -> None:  # fmt: skip
    """Fill what the balanced allocation counts."""
    balanced = resource_balanced[template_profile[template]]
    looked_at, by_two, asked = 0, True, False
    for resource in range(len(balanced)):
        request = template_request[template, resource]
        lane_request[resource, lane] = float(request)
        if balanced[resource] != 0 and (resource < FIRST_EXTENDED or request > 0):
            looked_at += 1
            by_two = by_two and resource in (_CPU, _MEMORY)
            asked = asked or request > 0
    lane_balance[lane] = np.uint8((_BY_TWO if by_two and looked_at == 2 else _OTHERWISE) if asked else _NONE)


@hot
def fit_lanes(
    node: int, lanes: int, node_left: Any, lane_fit_request: Any, lane_reject: Any, resource_asked: Any
) -> None:
    """Reject the lanes that ask for more than is left."""
    reject = lane_reject[:lanes]
    for resource in range(len(node_left)):
        if resource_asked[resource] != 0:
            left, asked = float(node_left[resource, node]), lane_fit_request[resource, :lanes]
            for lane in range(len(reject)):
                reject[lane] |= np.int32(1) if asked[lane] > left else np.int32(0)


@inlined
def _mean(
    node: int, lanes: int, node_allocatable_double: Any, resource_scored: Any, lane_scored_weight: Any, lane_part: Any,
    lane_weight: Any, lane_raw: Any,
) -> None:  # fmt: skip
    # As in the first form: the half keeps the product away from every integer.
    raw, part, weights = lane_raw[:lanes], lane_part[:lanes], lane_weight[:lanes]
    uneven = np.int32(0)
    for lane in range(len(raw)):
        uneven |= np.int32(1) if part[lane] == 0.0 else np.int32(0)
    if uneven == 0:
        for lane in range(len(raw)):
            raw[lane] = np.int32((float(raw[lane]) + 0.5) * part[lane])
        return
    for lane in range(len(raw)):
        weights[lane] = np.int32(0)
    for resource in range(len(node_allocatable_double)):
        if resource_scored[resource] != 0 and node_allocatable_double[resource, node] > 0.0:
            weight = lane_scored_weight[resource, :lanes]
            for lane in range(len(raw)):
                weights[lane] += weight[lane]
    for lane in range(len(raw)):
        raw[lane] = np.int32(float(raw[lane]) / float(max(weights[lane], np.int32(1))))


@hot
def least_allocated_lanes(
    node: int, lanes: int, node_allocatable_double: Any, node_nonzero_requested_double: Any, lane_scored_request: Any,
    lane_scored_weight: Any, lane_part: Any, lane_weight: Any, lane_raw: Any, resource_scored: Any,
) -> None:  # fmt: skip
    """Score the share that stays free."""
    raw = lane_raw[:lanes]
    for lane in range(len(raw)):
        raw[lane] = np.int32(0)
    for resource in range(len(node_allocatable_double)):
        capacity = node_allocatable_double[resource, node]
        if resource_scored[resource] != 0 and capacity > 0.0:
            taken = node_nonzero_requested_double[resource, node]
            asked, weight = lane_scored_request[resource, :lanes], lane_scored_weight[resource, :lanes]
            inverse = 1.0 / capacity
            if capacity < QUICK:
                for lane in range(len(raw)):
                    raw[lane] += weight[lane] * quick_share(max(capacity - taken - asked[lane], 0.0), inverse)
            else:
                for lane in range(len(raw)):
                    raw[lane] += weight[lane] * free_share(capacity, taken, asked[lane])
    _mean(node, lanes, node_allocatable_double, resource_scored, lane_scored_weight, lane_part, lane_weight, lane_raw)


@hot
def most_allocated_lanes(
    node: int, lanes: int, node_allocatable_double: Any, node_nonzero_requested_double: Any, lane_scored_request: Any,
    lane_scored_weight: Any, lane_part: Any, lane_weight: Any, lane_raw: Any, resource_scored: Any,
) -> None:  # fmt: skip
    """Score the share that is taken, the pod included."""
    raw = lane_raw[:lanes]
    for lane in range(len(raw)):
        raw[lane] = np.int32(0)
    for resource in range(len(node_allocatable_double)):
        capacity = node_allocatable_double[resource, node]
        if resource_scored[resource] != 0 and capacity > 0.0:
            taken = node_nonzero_requested_double[resource, node]
            asked, weight = lane_scored_request[resource, :lanes], lane_scored_weight[resource, :lanes]
            inverse = 1.0 / capacity
            if capacity < QUICK:
                for lane in range(len(raw)):
                    raw[lane] += weight[lane] * quick_share(min(taken + asked[lane], capacity), inverse)
            else:
                for lane in range(len(raw)):
                    raw[lane] += weight[lane] * taken_share(capacity, taken, asked[lane])
    _mean(node, lanes, node_allocatable_double, resource_scored, lane_scored_weight, lane_part, lane_weight, lane_raw)


@hot
def balanced_allocation_lanes(
    node: int, lanes: int, template_profile: Any, template_request: Any, node_allocatable: Any, node_requested: Any,
    node_allocatable_double: Any, node_requested_double: Any, resource_balanced: Any, lane_template: Any,
    lane_request: Any, lane_balance: Any, lane_raw: Any,
) -> None:  # fmt: skip
    """Score how alike the fractions of the resources are."""
    raw, way = lane_raw[:lanes], lane_balance[:lanes]
    cpu, memory = lane_request[_CPU, :lanes], lane_request[_MEMORY, :lanes]
    capacity_a, capacity_b = node_allocatable_double[_CPU, node], node_allocatable_double[_MEMORY, node]
    used_a, used_b = node_requested_double[_CPU, node], node_requested_double[_MEMORY, node]
    ways = np.uint8(0)
    for lane in range(len(raw)):
        raw[lane] = balance(capacity_a, used_a, cpu[lane], capacity_b, used_b, memory[lane])
        ways |= way[lane] ^ np.uint8(_BY_TWO)
    if ways != 0:
        for lane in range(len(raw)):
            raw[lane] = raw[lane] if way[lane] != _NONE else np.int32(0)
    if ways & np.uint8(_OTHERWISE) != 0:
        for lane in range(len(raw)):
            if way[lane] == _OTHERWISE:
                template = lane_template[lane]
                balanced = resource_balanced[template_profile[template]]
                raw[lane] = balance_of_many(
                    template, node, template_request, node_allocatable, node_requested, balanced
                )
