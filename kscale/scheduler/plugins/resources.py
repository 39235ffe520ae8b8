"""NodeResourcesFit and its scoring strategies, and NodeResourcesBalancedAllocation.

Rules: kube-scheduler v1.34.1. Doubles divide exactly while an allocatable is below 2^46 (then 100 * amount stays
below 2^53, and the quotient's floor is the integer quotient); a resource marked ``resource_wide`` is divided in
int64, digit by digit, which cannot overflow below 2^59.
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
    template: int, first: int, last: int, reason: int,
    template_request: Any, node_allocatable: Any, node_requested: Any, scan_reject: Any,
) -> None:  # fmt: skip
    """Reject where a request is above what is left; what is not requested is not looked at."""
    reject = scan_reject[first:last]
    for resource in range(template_request.shape[1]):
        request = template_request[template, resource]
        if request <= 0:
            continue
        allocatable = node_allocatable[resource, first:last]
        requested = node_requested[resource, first:last]
        bit = np.int32(1 << (reason + resource))
        for i in range(len(reject)):
            reject[i] |= bit if request > allocatable[i] - requested[i] else np.int32(0)


@inlined
def hundredths(amount: int, capacity: int) -> int:
    """Return amount * 100 // capacity for 0 <= amount <= capacity < 2^59, without leaving int64."""
    if amount == capacity:
        return 100
    ten = amount * 10
    unit = (ten % capacity) * 10
    return ten // capacity * 10 + unit // capacity


@kernel
def least_allocated(
    template: int, first: int, last: int,
    template_nonzero_request: Any, node_allocatable: Any, node_nonzero_requested: Any, resource_scored_weight: Any,
    resource_wide: Any, scan_sum: Any, scan_weight: Any, scan_raw: Any,
) -> None:  # fmt: skip
    """Score the share that stays free: per resource truncated, then the weighted mean truncated."""
    total, weights, raw = scan_sum[first:last], scan_weight[first:last], scan_raw[first:last]
    total[:] = 0.0
    weights[:] = 0.0
    for resource in range(len(resource_scored_weight)):
        weight = float(resource_scored_weight[resource])
        request = template_nonzero_request[template, resource]
        if weight == 0.0 or (resource >= FIRST_EXTENDED and request == 0):
            continue
        allocatable = node_allocatable[resource, first:last]
        requested = node_nonzero_requested[resource, first:last]
        if resource_wide[resource] == 0:
            for i in range(len(total)):
                capacity = float(max(allocatable[i], 1))
                left = float(allocatable[i] - requested[i] - request)
                share = np.floor(100.0 * left / capacity)
                total[i] += weight * share if left > 0.0 else 0.0
                weights[i] += weight if allocatable[i] > 0 else 0.0
        else:
            for i in range(len(total)):
                amount = allocatable[i] - requested[i] - request
                if allocatable[i] > 0:
                    weights[i] += weight
                    if amount > 0:
                        total[i] += weight * hundredths(amount, allocatable[i])
    _truncated_mean(total, weights, raw)


@kernel
def most_allocated(
    template: int, first: int, last: int,
    template_nonzero_request: Any, node_allocatable: Any, node_nonzero_requested: Any, resource_scored_weight: Any,
    resource_wide: Any, scan_sum: Any, scan_weight: Any, scan_raw: Any,
) -> None:  # fmt: skip
    """Score the share that is taken, the pod included: per resource truncated, then the weighted mean truncated."""
    total, weights, raw = scan_sum[first:last], scan_weight[first:last], scan_raw[first:last]
    total[:] = 0.0
    weights[:] = 0.0
    for resource in range(len(resource_scored_weight)):
        weight = float(resource_scored_weight[resource])
        request = template_nonzero_request[template, resource]
        if weight == 0.0 or (resource >= FIRST_EXTENDED and request == 0):
            continue
        allocatable = node_allocatable[resource, first:last]
        requested = node_nonzero_requested[resource, first:last]
        if resource_wide[resource] == 0:
            for i in range(len(total)):
                capacity = float(max(allocatable[i], 1))
                taken = min(float(requested[i] + request), capacity)
                share = np.floor(100.0 * taken / capacity)
                total[i] += weight * share if allocatable[i] > 0 else 0.0
                weights[i] += weight if allocatable[i] > 0 else 0.0
        else:
            for i in range(len(total)):
                if allocatable[i] > 0:
                    weights[i] += weight
                    total[i] += weight * hundredths(min(requested[i] + request, allocatable[i]), allocatable[i])
    _truncated_mean(total, weights, raw)


@inlined
def _truncated_mean(total: Any, weights: Any, raw: Any) -> None:
    # Sums of at most 100 * weight: the double quotient of two such integers never rounds up to the next integer.
    for i in range(len(raw)):
        raw[i] = np.int32(np.floor(total[i] / weights[i])) if weights[i] > 0.0 else np.int32(0)


@kernel
def balanced_allocation(
    template: int, first: int, last: int, template_request: Any, node_allocatable: Any, node_requested: Any,
    resource_balanced: Any, scan_sum: Any, scan_raw: Any,
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
    elif looked_at == 2:
        _balance_of_two(
            node_allocatable[low, first:last], node_requested[low, first:last], template_request[template, low],
            node_allocatable[high, first:last], node_requested[high, first:last], template_request[template, high], raw,
        )  # fmt: skip
    else:
        for i in range(len(raw)):
            raw[i] = _balance_of_many(
                template, first + i, template_request, node_allocatable, node_requested, resource_balanced
            )


@inlined
def _balance_of_two(capacity_a: Any, used_a: Any, a: int, capacity_b: Any, used_b: Any, b: int, raw: Any) -> None:
    # kube-scheduler takes half the difference for two resources; a resource without capacity drops out.
    for i in range(len(raw)):
        fraction_a = min(float(used_a[i] + a) / float(max(capacity_a[i], 1)), 1.0)
        fraction_b = min(float(used_b[i] + b) / float(max(capacity_b[i], 1)), 1.0)
        deviation = abs((fraction_a - fraction_b) / 2.0) if capacity_a[i] > 0 and capacity_b[i] > 0 else 0.0
        raw[i] = np.int32((1.0 - deviation) * 100.0)


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
