"""NodeResourcesFit and its scoring strategies, and NodeResourcesBalancedAllocation.

Rules: kube-scheduler v1.34.1; arithmetic: ``kscale.scheduler.shares``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from kscale.kernels import inlined, kernel
from kscale.scheduler import resource_lanes
from kscale.scheduler.plugins import Lanes, Plugin
from kscale.scheduler.shares import (
    FIRST_EXTENDED,
    PODS,
    balance,
    balance_of_many,
    corrected,
    free_share,
    hundredths,
    taken_share,
)
from kscale.state.schema import Column

COLUMNS = {
    "resource": (
        Column(
            "scored_weight", "int64", "Weight of the resource in the profile's scoring strategy; 0 is not scored.",
            dims=("profile", "resource"),
        ),
        Column(
            "balanced", "uint8", "1 when the profile's NodeResourcesBalancedAllocation looks at the resource.",
            dims=("profile", "resource"),
        ),
        Column("scored", "uint8", "1 when some profile's scoring strategy counts it."),
        Column("asked", "uint8", "1 when some pod asks for it."),
    ),
    "lane": (
        Column("fit_request", "float64", "What the ask must find free; below 0 where it asks for nothing.",
               "the resource's", default=np.inf, dims=("resource", "lane")),
        Column("scored_request", "float64", "What the allocation scores count.", "the resource's",
               dims=("resource", "lane")),
        Column("scored_weight", "int32", "Weight of the resource in the ask's mean; 0 is not scored.",
               dims=("resource", "lane")),
        Column("part", "float64", "1 over the sum of these weights; 0 where some node lacks one of the resources.",
               default=1),
        Column("request", "float64", "What the balanced allocation counts.", "the resource's",
               dims=("resource", "lane")),
        Column("balance", "uint8", "How the ask is balanced: 0 not at all, 1 by cpu and memory, 2 in another way.",
               default=1),
    ),
    "profile": (
        Column("points", "int64", "Points of its RequestedToCapacityRatio shape."),
        Column("utilization", "int64", "Utilization of each point.", "percent", dims=("profile", "point")),
        Column("score", "int64", "Score of each point, 0 to 100.", dims=("profile", "point")),
    ),
}  # fmt: skip


@kernel
def fits(
    template: int, first: int, last: int, reason: int, template_fit_request: Any, node_left: Any, scan_reject: Any
) -> None:
    """Reject where a request is above what is left; what is not requested is not looked at."""
    reject = scan_reject[first:last]
    for resource in range(template_fit_request.shape[1]):
        request = template_fit_request[template, resource]
        if request <= 0:
            continue
        left = node_left[resource, first:last]
        bit = np.int32(1 << (reason + resource))
        for i in range(len(reject)):
            reject[i] |= bit if request > left[i] else np.int32(0)


@kernel
def beyond_capacity(template: int, node: int, template_fit_request: Any, node_allocatable: Any, node_left: Any) -> bool:
    """Tell whether the pod asks for more of something than the node has in all; the number of pods is left out."""
    for resource in range(template_fit_request.shape[1]):
        request = template_fit_request[template, resource]
        if resource != PODS and request > node_left[resource, node] and request > node_allocatable[resource, node]:
            return True
    return False


@kernel
def least_allocated(
    template: int, first: int, last: int,
    template_profile: Any, template_scored_request: Any, node_allocatable: Any, node_nonzero_requested: Any,
    node_allocatable_double: Any,
    node_nonzero_requested_double: Any, resource_scored_weight: Any, resource_wide: Any, resource_everywhere: Any,
    scan_weight: Any, scan_raw: Any,
) -> None:  # fmt: skip
    """Score the share that stays free: per resource truncated, then the weighted mean truncated."""
    weights, raw = scan_weight[first:last], scan_raw[first:last]
    scored = resource_scored_weight[template_profile[template]]
    everywhere = _start_mean(template, template_scored_request, scored, resource_everywhere, weights, raw)
    counted = np.int32(0)
    for resource in range(len(scored)):
        weight = np.int32(scored[resource])
        request = template_scored_request[template, resource]
        if weight == 0 or (resource >= FIRST_EXTENDED and request == 0):
            continue
        if resource_wide[resource] == 0:
            capacity = node_allocatable_double[resource, first:last]
            taken = node_nonzero_requested_double[resource, first:last]
            asked = float(request)
            for i in range(len(raw)):
                raw[i] += weight * free_share(capacity[i], taken[i], asked)
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
    template_profile: Any, template_scored_request: Any, node_allocatable: Any, node_nonzero_requested: Any,
    node_allocatable_double: Any,
    node_nonzero_requested_double: Any, resource_scored_weight: Any, resource_wide: Any, resource_everywhere: Any,
    scan_weight: Any, scan_raw: Any,
) -> None:  # fmt: skip
    """Score the share that is taken, the pod included: per resource truncated, then the weighted mean truncated."""
    weights, raw = scan_weight[first:last], scan_raw[first:last]
    scored = resource_scored_weight[template_profile[template]]
    everywhere = _start_mean(template, template_scored_request, scored, resource_everywhere, weights, raw)
    counted = np.int32(0)
    for resource in range(len(scored)):
        weight = np.int32(scored[resource])
        request = template_scored_request[template, resource]
        if weight == 0 or (resource >= FIRST_EXTENDED and request == 0):
            continue
        if resource_wide[resource] == 0:
            capacity = node_allocatable_double[resource, first:last]
            requested = node_nonzero_requested_double[resource, first:last]
            asked = float(request)
            for i in range(len(raw)):
                raw[i] += weight * taken_share(capacity[i], requested[i], asked)
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
    template: int, template_scored_request: Any, scored: Any, resource_everywhere: Any, weights: Any, raw: Any
) -> bool:
    """Clear the sums; tell whether every node has some of every resource that counts, so that one weight serves all."""
    everywhere = True
    for resource in range(len(scored)):
        if scored[resource] and (resource < FIRST_EXTENDED or template_scored_request[template, resource]):
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
    template_profile: Any, template_request: Any, node_allocatable: Any, node_requested: Any,
    node_allocatable_double: Any, node_requested_double: Any, resource_balanced: Any, resource_wide: Any, scan_raw: Any,
) -> None:  # fmt: skip
    """Score how alike the fractions of the resources are that would be requested: 100 * (1 - standard deviation)."""
    raw = scan_raw[first:last]
    balanced = resource_balanced[template_profile[template]]
    looked_at = 0
    asked = False
    low, high = -1, -1
    for resource in range(len(balanced)):
        if balanced[resource] and (resource < FIRST_EXTENDED or template_request[template, resource] > 0):
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
            raw[i] = balance_of_many(template, first + i, template_request, node_allocatable, node_requested, balanced)


@inlined
def _balance_of_two(capacity_a: Any, used_a: Any, a: float, capacity_b: Any, used_b: Any, b: float, raw: Any) -> None:
    for i in range(len(raw)):
        raw[i] = balance(capacity_a[i], used_a[i], a, capacity_b[i], used_b[i], b)


@inlined
def _on_shape(utilization: int, points: int, utilizations: Any, scores: Any) -> int:
    """Return the shape's score at a utilization; the quotient is cut towards zero, as in Go."""
    for point in range(points):
        if utilization <= utilizations[point]:
            if point == 0:
                return scores[0]
            rise, run = scores[point] - scores[point - 1], utilizations[point] - utilizations[point - 1]
            product = rise * (utilization - utilizations[point - 1])
            step = product // run if product >= 0 else -(-product // run)
            return scores[point - 1] + step
    return scores[points - 1]


@kernel
def requested_to_capacity_ratio(
    template: int, first: int, last: int,
    template_profile: Any, template_scored_request: Any, node_allocatable: Any, node_nonzero_requested: Any,
    resource_scored_weight: Any, profile_points: Any, profile_utilization: Any, profile_score: Any, scan_raw: Any,
) -> None:  # fmt: skip
    """Score each resource by the shape at its utilization; those that score nothing leave the weighted mean."""
    profile = template_profile[template]
    scored = resource_scored_weight[profile]
    for node in range(first, last):
        total, counted = 0, 0
        for resource in range(len(scored)):
            request, capacity = template_scored_request[template, resource], node_allocatable[resource, node]
            if scored[resource] == 0 or capacity == 0 or (resource >= FIRST_EXTENDED and request == 0):
                continue
            taken = node_nonzero_requested[resource, node] + request
            utilization = 100 if taken > capacity else hundredths(taken, capacity)
            points = _on_shape(
                utilization, profile_points[profile], profile_utilization[profile], profile_score[profile]
            )
            if points > 0:
                total += points * scored[resource]
                counted += scored[resource]
        # math.Round of a quotient that is not negative: half goes up.
        mean = float(total) / float(max(counted, 1))
        whole = int(mean)
        scan_raw[node] = np.int32(whole + (1 if mean - whole >= 0.5 else 0))


def _reasons(resources: list[str]) -> list[str]:
    return ["Too many pods" if name == "pods" else f"Insufficient {name}" for name in resources]


_LEAST_LANES = Lanes(resource_lanes.open_scored, score=resource_lanes.least_allocated_lanes)

FIT = Plugin(
    "NodeResourcesFit", rank=60, filter=fits, reasons=_reasons, hopeless=beyond_capacity, always=True,
    score=least_allocated, variant="LeastAllocated", standard=True,
    lanes=Lanes(resource_lanes.open_fit_and_scored, resource_lanes.fit_lanes, resource_lanes.least_allocated_lanes),
)  # fmt: skip
BALANCED = Plugin(
    "NodeResourcesBalancedAllocation", rank=70, score=balanced_allocation, standard=True,
    lanes=Lanes(resource_lanes.open_balanced, score=resource_lanes.balanced_allocation_lanes),
)  # fmt: skip
LEAST = Plugin("LeastAllocated", rank=71, score=least_allocated, variant="LeastAllocated", lanes=_LEAST_LANES)
MOST = Plugin(
    "MostAllocated", rank=72, score=most_allocated, variant="MostAllocated",
    lanes=Lanes(resource_lanes.open_scored, score=resource_lanes.most_allocated_lanes),
)  # fmt: skip
RATIO = Plugin(
    "RequestedToCapacityRatio", rank=73, score=requested_to_capacity_ratio, variant="RequestedToCapacityRatio"
)
