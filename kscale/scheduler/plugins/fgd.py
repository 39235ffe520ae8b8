"""FGD: place where the fragmentation measure grows least (Weng et al., USENIX ATC'23, section 4)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from kscale.kernels import inlined, kernel
from kscale.scheduler.fragmentation import fill_levels, fragmented
from kscale.scheduler.plugins import Plugin
from kscale.scheduler.plugins.devices import WHOLE, first_fitting


@inlined
def points(before: float, after: float) -> int:
    """Return 100 * sigmoid of the drop in whole devices, truncated."""
    return int(100.0 * (1.0 / (1.0 + math.exp(-((before - after) / 1000.0)))))


@inlined
def best_device(
    template: int, node: int, template_request: Any, template_device_milli: Any, node_allocatable: Any,
    node_requested: Any, node_device_count: Any, node_device_free: Any, node_device_free_total: Any,
    node_device_model: Any, node_fragmented_gpu_milli: Any, typical_cpu_milli: Any, typical_device_count: Any,
    typical_device_models: Any, typical_level: Any, typical_weight: Any, level_milli: Any, level_below: Any,
    level_fitting: Any,
) -> Any:  # fmt: skip
    """Return the most points that a sharing pod gets on the node, and the first device that gives them.

    The levels must be filled for the node. Devices with the same free share give the same points: only the first
    of each is tried, since most devices of a node are alike.
    """
    milli = template_device_milli[template]
    cpu_free = node_allocatable[0, node] - node_requested[0, node] - template_request[template, 0]
    best, chosen = -1, -1
    for device in range(node_device_count[node]):
        free = node_device_free[node, device]
        if free < milli:
            continue
        seen = False
        for other in range(device):
            seen = seen or node_device_free[node, other] == free
        if seen:
            continue
        after = fragmented(
            cpu_free, node_device_free_total[node] - milli, node_device_model[node], free, free - milli, 1,
            typical_cpu_milli, typical_device_count, typical_device_models, typical_level, typical_weight,
            level_milli, level_below, level_fitting,
        )  # fmt: skip
        score = points(node_fragmented_gpu_milli[node], after)
        if score > best:
            best, chosen = score, device
    return best, chosen


@kernel
def least_fragmenting(
    template: int, first: int, last: int, template_request: Any, template_device_count: Any, template_device_milli: Any,
    node_allocatable: Any, node_requested: Any, node_device_count: Any, node_device_free: Any,
    node_device_free_total: Any, node_device_model: Any, node_fragmented_gpu_milli: Any, typical_cpu_milli: Any,
    typical_device_count: Any, typical_device_models: Any, typical_level: Any, typical_weight: Any, level_milli: Any,
    level_below: Any, level_fitting: Any, scan_reject: Any, scan_raw: Any,
) -> None:  # fmt: skip
    """Score how little the node's fragmented share grows."""
    count, milli = template_device_count[template], template_device_milli[template]
    for node in range(first, last):
        if scan_reject[node] != 0:
            continue
        fill_levels(node, node_device_count, node_device_free, level_milli, level_below, level_fitting)
        if count == 1 and milli < WHOLE:
            score, _ = best_device(
                template, node, template_request, template_device_milli, node_allocatable, node_requested,
                node_device_count, node_device_free, node_device_free_total, node_device_model,
                node_fragmented_gpu_milli, typical_cpu_milli, typical_device_count, typical_device_models,
                typical_level, typical_weight, level_milli, level_below, level_fitting,
            )  # fmt: skip
        else:
            cpu_free = node_allocatable[0, node] - node_requested[0, node] - template_request[template, 0]
            after = fragmented(
                cpu_free, node_device_free_total[node] - count * milli, node_device_model[node], WHOLE, WHOLE - milli,
                count, typical_cpu_milli, typical_device_count, typical_device_models, typical_level, typical_weight,
                level_milli, level_below, level_fitting,
            )  # fmt: skip
            score = points(node_fragmented_gpu_milli[node], after)
        scan_raw[node] = np.int32(score)


@kernel
def take_least_fragmenting(
    template: int, node: int, draw: int, template_request: Any, template_device_count: Any, template_device_milli: Any,
    node_allocatable: Any, node_requested: Any, node_device_count: Any, node_device_free: Any,
    node_device_free_total: Any, node_device_model: Any, node_fragmented_gpu_milli: Any, typical_cpu_milli: Any,
    typical_device_count: Any, typical_device_models: Any, typical_level: Any, typical_weight: Any, level_milli: Any,
    level_below: Any, level_fitting: Any,
) -> Any:  # fmt: skip
    """Give a sharing pod the device that its score was worked out for."""
    count, milli = template_device_count[template], template_device_milli[template]
    if count != 1 or milli >= WHOLE:
        return first_fitting(node, milli, count, node_device_count, node_device_free)
    fill_levels(node, node_device_count, node_device_free, level_milli, level_below, level_fitting)
    _, device = best_device(
        template, node, template_request, template_device_milli, node_allocatable, node_requested,
        node_device_count, node_device_free, node_device_free_total, node_device_model, node_fragmented_gpu_milli,
        typical_cpu_milli, typical_device_count, typical_device_models, typical_level, typical_weight,
        level_milli, level_below, level_fitting,
    )  # fmt: skip
    return np.uint64(1) << np.uint64(device)


FGD = Plugin("FGD", rank=95, score=least_fragmenting, assign=take_least_fragmenting, dear=True, needs_devices=True)
