"""NodeResourcesFit and its scoring strategies, and NodeResourcesBalancedAllocation.

Rules: kube-scheduler v1.34.1. Doubles divide exactly while an allocatable is below 2^46 (then 100 * amount stays
below 2^53, and the quotient's floor is the integer quotient). From 2^46 on (``resource_wide`` 1) the quotient is set
right by its rest in int64; from 2^52 on (2) doubles do not even add exactly, and int64 is divided digit by digit, which
cannot overflow below 2^59.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from kscale.kernels import inlined, kernel
from kscale.scheduler.plugins import Plugin
from kscale.state.schema import Column

#: First row of ``resource`` that holds an extended resource (after cpu, memory, ephemeral-storage, pods).
FIRST_EXTENDED = 4

COLUMNS = {"resource": (Column("balanced", "uint8", "1 when NodeResourcesBalancedAllocation looks at the resource."),)}


@kernel
def fits(
    template: int, first: int, last: int, reason: int, template_request: Any, node_left: Any, scan_reject: Any
) -> None:
    """Reject where a request is above what is left; what is not requested is not looked at."""
    reject = scan_reject[first:last]
    for resource in range(template_request.shape[1]):
        request = template_request[template, resource]
        if request <= 0:
            continue
        left = node_left[resource, first:last]
        bit = np.int32(1 << (reason + resource))
        for i in range(len(reject)):
            reject[i] |= bit if request > left[i] else np.int32(0)


@inlined
def hundredths(amount: int, capacity: int) -> int:
    """Return amount * 100 // capacity for 0 <= amount <= capacity < 2^59, without leaving int64."""
    if amount == capacity:
        return 100
    ten = amount * 10
    unit = (ten % capacity) * 10
    return ten // capacity * 10 + unit // capacity


@inlined
def corrected(guess: Any, amount: int, capacity: int) -> Any:
    """Return amount * 100 // capacity for 0 <= amount <= capacity < 2^52, from the quotient of doubles.

    The doubles are exact, and their quotient is at most one off, which its rest in int64 tells. Unlike a division of
    int64 this vectorises.
    """
    rest = 100 * amount - np.int64(guess) * capacity
    guess += np.int32(1) if rest >= capacity else np.int32(0)
    guess -= np.int32(1) if rest < 0 else np.int32(0)
    return guess


@kernel
def least_allocated(
    template: int, first: int, last: int,
    template_nonzero_request: Any, node_allocatable: Any, node_nonzero_requested: Any, node_allocatable_double: Any,
    node_nonzero_requested_double: Any, resource_scored_weight: Any, resource_wide: Any, resource_everywhere: Any,
    scan_weight: Any, scan_raw: Any,
) -> None:  # fmt: skip
    """Score the share that stays free: per resource truncated, then the weighted mean truncated."""
    weights, raw = scan_weight[first:last], scan_raw[first:last]
    everywhere = _start_mean(
        template, template_nonzero_request, resource_scored_weight, resource_everywhere, weights, raw
    )
    counted = np.int32(0)
    for resource in range(len(resource_scored_weight)):
        weight = np.int32(resource_scored_weight[resource])
        request = template_nonzero_request[template, resource]
        if weight == 0 or (resource >= FIRST_EXTENDED and request == 0):
            continue
        if resource_wide[resource] == 0:
            capacity = node_allocatable_double[resource, first:last]
            taken = node_nonzero_requested_double[resource, first:last]
            asked = float(request)
            for i in range(len(raw)):
                left = capacity[i] - taken[i] - asked
                share = np.int32(100.0 * max(left, 0.0) / max(capacity[i], 1.0))
                raw[i] += weight * share
        else:
            allocatable = node_allocatable[resource, first:last]
            requested = node_nonzero_requested[resource, first:last]
            if resource_wide[resource] == 1:
                capacity = node_allocatable_double[resource, first:last]
                taken = node_nonzero_requested_double[resource, first:last]
                asked = float(request)
                for i in range(len(raw)):
                    guess = np.int32(100.0 * max(capacity[i] - taken[i] - asked, 0.0) / max(capacity[i], 1.0))
                    amount = max(allocatable[i] - requested[i] - request, 0)
                    raw[i] += weight * corrected(guess, amount, max(allocatable[i], 1))
            else:
                for i in range(len(raw)):
                    amount = max(allocatable[i] - requested[i] - request, 0)
                    raw[i] += weight * np.int32(hundredths(amount, max(allocatable[i], 1)))
        counted += weight
        if not everywhere:
            _count_weight(weight, node_allocatable[resource, first:last], weights)
    _truncated_mean(everywhere, counted, weights, raw)


@kernel
def most_allocated(
    template: int, first: int, last: int,
    template_nonzero_request: Any, node_allocatable: Any, node_nonzero_requested: Any, node_allocatable_double: Any,
    node_nonzero_requested_double: Any, resource_scored_weight: Any, resource_wide: Any, resource_everywhere: Any,
    scan_weight: Any, scan_raw: Any,
) -> None:  # fmt: skip
    """Score the share that is taken, the pod included: per resource truncated, then the weighted mean truncated."""
    weights, raw = scan_weight[first:last], scan_raw[first:last]
    everywhere = _start_mean(
        template, template_nonzero_request, resource_scored_weight, resource_everywhere, weights, raw
    )
    counted = np.int32(0)
    for resource in range(len(resource_scored_weight)):
        weight = np.int32(resource_scored_weight[resource])
        request = template_nonzero_request[template, resource]
        if weight == 0 or (resource >= FIRST_EXTENDED and request == 0):
            continue
        if resource_wide[resource] == 0:
            capacity = node_allocatable_double[resource, first:last]
            requested = node_nonzero_requested_double[resource, first:last]
            asked = float(request)
            for i in range(len(raw)):
                taken = min(requested[i] + asked, capacity[i])
                raw[i] += weight * np.int32(100.0 * taken / max(capacity[i], 1.0))
        else:
            allocatable = node_allocatable[resource, first:last]
            taken_exactly = node_nonzero_requested[resource, first:last]
            for i in range(len(raw)):
                amount = min(taken_exactly[i] + request, allocatable[i])
                raw[i] += weight * np.int32(hundredths(amount, max(allocatable[i], 1)))
        counted += weight
        if not everywhere:
            _count_weight(weight, node_allocatable[resource, first:last], weights)
    _truncated_mean(everywhere, counted, weights, raw)


@inlined
def _start_mean(
    template: int,
    template_nonzero_request: Any,
    resource_scored_weight: Any,
    resource_everywhere: Any,
    weights: Any,
    raw: Any,
) -> bool:
    """Clear the sums; tell whether every node has some of every resource that counts, so that one weight serves all."""
    everywhere = True
    for resource in range(len(resource_scored_weight)):
        if resource_scored_weight[resource] and (
            resource < FIRST_EXTENDED or template_nonzero_request[template, resource]
        ):
            everywhere = everywhere and resource_everywhere[resource] != 0
    raw[:] = 0
    if not everywhere:
        weights[:] = 0
    return everywhere


@inlined
def _count_weight(weight: Any, allocatable: Any, weights: Any) -> None:
    # A resource that a node does not have drops out of that node's mean.
    for i in range(len(weights)):
        weights[i] += weight if allocatable[i] > 0 else np.int32(0)


@inlined
def _truncated_mean(everywhere: bool, counted: Any, weights: Any, raw: Any) -> None:
    # The half keeps the product away from every integer by 0.5 / weight, far more than it can be off by; a division
    # of two such integers never rounds up to the next one.
    if everywhere:
        part = 1.0 / float(max(counted, np.int32(1)))
        for i in range(len(raw)):
            raw[i] = np.int32((float(raw[i]) + 0.5) * part)
    else:
        for i in range(len(raw)):
            raw[i] = np.int32(float(raw[i]) / float(max(weights[i], np.int32(1))))


@kernel
def balanced_allocation(
    template: int, first: int, last: int,
    template_request: Any, node_allocatable: Any, node_requested: Any, node_allocatable_double: Any,
    node_requested_double: Any, resource_balanced: Any, resource_wide: Any, scan_raw: Any,
) -> None:  # fmt: skip
    """Score how alike the fractions of the resources are that would be requested: 100 * (1 - standard deviation)."""
    raw = scan_raw[first:last]
    looked_at = 0
    asked = False
    low, high = -1, -1
    for resource in range(len(resource_balanced)):
        if resource_balanced[resource] and (resource < FIRST_EXTENDED or template_request[template, resource] > 0):
            looked_at += 1
            low, high = high, resource
            asked = asked or template_request[template, resource] > 0
    if not asked:
        raw[:] = 0
    elif looked_at == 2 and resource_wide[low] < 2 and resource_wide[high] < 2:
        _balance_of_two(
            node_allocatable_double[low, first:last], node_requested_double[low, first:last],
            float(template_request[template, low]), node_allocatable_double[high, first:last],
            node_requested_double[high, first:last], float(template_request[template, high]), raw,
        )  # fmt: skip
    else:
        for i in range(len(raw)):
            raw[i] = _balance_of_many(
                template, first + i, template_request, node_allocatable, node_requested, resource_balanced
            )


@inlined
def _balance_of_two(capacity_a: Any, used_a: Any, a: float, capacity_b: Any, used_b: Any, b: float, raw: Any) -> None:
    # kube-scheduler takes half the difference for two resources; a resource without capacity drops out.
    for i in range(len(raw)):
        fraction_a = min((used_a[i] + a) / max(capacity_a[i], 1.0), 1.0)
        fraction_b = min((used_b[i] + b) / max(capacity_b[i], 1.0), 1.0)
        deviation = abs((fraction_a - fraction_b) / 2.0)
        both = capacity_a[i] > 0.0 and capacity_b[i] > 0.0
        raw[i] = np.int32((1.0 - (deviation if both else 0.0)) * 100.0)


@inlined
def _balance_of_many(
    template: int, node: int, template_request: Any, node_allocatable: Any, node_requested: Any, resource_balanced: Any
) -> Any:
    total, count = 0.0, 0
    for resource in range(len(resource_balanced)):
        request = template_request[template, resource]
        if _counts(resource, request, node_allocatable[resource, node], resource_balanced):
            total += min(float(node_requested[resource, node] + request) / float(node_allocatable[resource, node]), 1.0)
            count += 1
    if count < 2:
        return np.int32(100)
    mean, squares = total / count, 0.0
    first, second = 0.0, 0.0
    for resource in range(len(resource_balanced)):
        request = template_request[template, resource]
        if _counts(resource, request, node_allocatable[resource, node], resource_balanced):
            fraction = min(
                float(node_requested[resource, node] + request) / float(node_allocatable[resource, node]), 1.0
            )
            squares += (fraction - mean) * (fraction - mean)
            first, second = second, fraction
    deviation = abs((first - second) / 2.0) if count == 2 else np.sqrt(squares / count)
    return np.int32((1.0 - deviation) * 100.0)


@inlined
def _counts(resource: int, request: int, allocatable: int, resource_balanced: Any) -> bool:
    return resource_balanced[resource] != 0 and allocatable > 0 and (resource < FIRST_EXTENDED or request > 0)


def _reasons(resources: list[str]) -> list[str]:
    return ["Too many pods" if name == "pods" else f"Insufficient {name}" for name in resources]


FIT = Plugin("NodeResourcesFit", rank=60, filter=fits, reasons=_reasons, score=least_allocated, standard=True)
BALANCED = Plugin("NodeResourcesBalancedAllocation", rank=70, score=balanced_allocation, standard=True)
LEAST = Plugin("LeastAllocated", rank=71, score=least_allocated)
MOST = Plugin("MostAllocated", rank=72, score=most_allocated)
