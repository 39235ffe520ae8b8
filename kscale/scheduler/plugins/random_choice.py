"""Random: any node that fits, with equal chance (the FGD paper's baseline 01)."""

from __future__ import annotations

from typing import Any

import numpy as np

from kscale.kernels import inlined, kernel
from kscale.scheduler.plugins import Plugin
from kscale.scheduler.plugins.devices import WHOLE, first_fitting


@inlined
def below(draw: int, bound: int) -> int:
    """Return a number below ``bound`` from a draw of 63 random bits; the bias is below bound / 2^63."""
    return draw % bound


@kernel
def take_any(
    template: int, node: int, draw: int,
    template_device_count: Any, template_device_milli: Any, node_device_count: Any, node_device_free: Any,
) -> Any:  # fmt: skip
    """Give a sharing pod any device with room, any other pod the first devices that are free."""
    count, milli = template_device_count[template], template_device_milli[template]
    if count != 1 or milli >= WHOLE:
        return first_fitting(node, milli, count, node_device_count, node_device_free)
    fitting = 0
    for device in range(node_device_count[node]):
        fitting += node_device_free[node, device] >= milli
    wanted = below(draw, fitting)
    for device in range(node_device_count[node]):
        if node_device_free[node, device] >= milli:
            if wanted == 0:
                return np.uint64(1) << np.uint64(device)
            wanted -= 1
    return np.uint64(0)


RANDOM = Plugin("Random", rank=90, draw=True, assign=take_any)
