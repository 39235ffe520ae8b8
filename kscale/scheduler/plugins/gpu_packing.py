"""GpuPacking: prefer devices in use, then nodes in use, then small idle nodes (the FGD paper's baseline 04)."""

from __future__ import annotations

from typing import Any

import numpy as np

from kscale.kernels import inlined, kernel
from kscale.scheduler.plugins import Plugin
from kscale.scheduler.plugins.devices import WHOLE

_ON_USED_DEVICES, _ON_USED_NODES = 50, 33


@inlined
def packing_points(
    node: int, count: int, milli: int, node_device_count: Any, node_device_free: Any, node_device_free_total: Any
) -> int:
    """Return the points of a pod that wants ``count`` devices with ``milli`` free each."""
    devices = node_device_count[node]
    if node_device_free_total[node] == devices * WHOLE:
        return max(_ON_USED_NODES - devices, devices)
    taken, idle, shares, room, device = 0, 0, 0, -1, -1
    while taken < count:
        # The next fitting device by room, then index: a selection sort over at most a few devices.
        next_room, next_device = WHOLE + 1, -1
        for other in range(devices):
            free = node_device_free[node, other]
            if free >= milli and (free > room or (free == room and other > device)) and free < next_room:
                next_room, next_device = free, other
        if next_device < 0:
            return 0
        room, device = next_room, next_device
        taken += 1
        idle += room == WHOLE
        shares += 100 * room // WHOLE
    if idle > 0:
        return max(_ON_USED_DEVICES - idle, _ON_USED_NODES)
    return max(100 - shares // 10, _ON_USED_DEVICES)


@kernel
def packed(
    template: int, first: int, last: int,
    template_device_count: Any, template_device_milli: Any, node_device_count: Any, node_device_free: Any,
    node_device_free_total: Any, scan_reject: Any, scan_raw: Any,
) -> None:  # fmt: skip
    """Score how much the chosen devices are in use already; pods without devices score 0."""
    count, milli = template_device_count[template], template_device_milli[template]
    for node in range(first, last):
        if count == 0:
            scan_raw[node] = np.int32(0)
        elif scan_reject[node] == 0:
            scan_raw[node] = np.int32(
                packing_points(node, count, milli, node_device_count, node_device_free, node_device_free_total)
            )


GPU_PACKING = Plugin("GpuPacking", rank=93, score=packed, dear=True, needs_devices=True)
