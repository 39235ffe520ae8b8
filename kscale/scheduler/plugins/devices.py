"""GpuShare: devices of 1000 milli on a node; a pod asks for one share or for whole devices, of allowed models."""

from __future__ import annotations

from typing import Any

import numpy as np

from kscale.kernels import inlined, kernel
from kscale.scheduler.plugins import Plugin

#: A whole device.
WHOLE = 1000


@inlined
def allowed(template: int, node: int, template_device_models: Any, node_device_model: Any) -> bool:
    """Tell whether the model of the node's devices is one that the pod allows; no list allows every model."""
    models = template_device_models[template]
    if models == np.uint64(0):
        return True
    model = node_device_model[node]
    return model >= 0 and (models >> np.uint64(model)) & np.uint64(1) != np.uint64(0)


@kernel
def has_devices(
    template: int, first: int, last: int, reason: int,
    template_device_count: Any, template_device_milli: Any, template_device_models: Any, node_device_count: Any,
    node_device_model: Any, node_device_free: Any, scan_reject: Any,
) -> None:  # fmt: skip
    """Reject nodes of a model that is not allowed, and those with too few devices that have the share free."""
    count, milli = template_device_count[template], template_device_milli[template]
    if count == 0:
        return
    for node in range(first, last):
        if scan_reject[node] != 0:
            continue
        if node_device_count[node] > 0 and not allowed(template, node, template_device_models, node_device_model):
            scan_reject[node] = np.int32(1 << reason)
            continue
        fitting = 0
        for device in range(node_device_count[node]):
            fitting += node_device_free[node, device] >= milli
        if fitting < count:
            scan_reject[node] = np.int32(1 << (reason + 1))


@inlined
def tightest(node: int, milli: int, node_device_count: Any, node_device_free: Any) -> int:
    """Return the device with the least room that still has ``milli`` free, the lowest of equals; -1 if none."""
    best, room = -1, 0
    for device in range(node_device_count[node]):
        free = node_device_free[node, device]
        if free >= milli and (best < 0 or free < room):
            best, room = device, free
    return best


@inlined
def first_fitting(node: int, milli: int, count: int, node_device_count: Any, node_device_free: Any) -> Any:
    """Return the bit set of the first ``count`` devices by index that have ``milli`` free."""
    chosen = np.uint64(0)
    for device in range(node_device_count[node]):
        if count > 0 and node_device_free[node, device] >= milli:
            chosen |= np.uint64(1) << np.uint64(device)
            count -= 1
    return chosen


@kernel
def take_tightest(
    template: int, node: int, draw: int,
    template_device_count: Any, template_device_milli: Any, node_device_count: Any, node_device_free: Any,
) -> Any:  # fmt: skip
    """Give a sharing pod the device with the least room, any other pod the first devices that are free."""
    count, milli = template_device_count[template], template_device_milli[template]
    if count == 1 and milli < WHOLE:
        return np.uint64(1) << np.uint64(tightest(node, milli, node_device_count, node_device_free))
    return first_fitting(node, milli, count, node_device_count, node_device_free)


def _reasons(resources: list[str]) -> list[str]:
    return ["node(s) had no allowed GPU model", "Insufficient gpu"]


GPU_SHARE = Plugin(
    "GpuShare", rank=65, filter=has_devices, reasons=_reasons, unresolvable=(0,), always=True, assign=take_tightest,
    needs_devices=True,
)  # fmt: skip
