"""BestFit: place where least is left over, cpu and devices weighed alike (the FGD paper's baseline 05)."""

from __future__ import annotations

from typing import Any

import numpy as np

from kscale.kernels import kernel
from kscale.scheduler.plugins import Plugin

#: Largest cpu (milli) and device share (milli) of a node, which the baselines normalise by.
LARGEST_CPU_MILLI = 128000.0
LARGEST_GPU_MILLI = 8000.0


@kernel
def least_left(
    template: int, first: int, last: int, template_request: Any, template_device_count: Any, template_device_milli: Any,
    node_allocatable: Any, node_requested: Any, node_device_free_total: Any, scan_raw: Any,
) -> None:  # fmt: skip
    """Score 100 * (1 - half the cpu left - half the device share left), truncated."""
    cpu = template_request[template, 0]
    gpu = template_device_count[template] * template_device_milli[template]
    for node in range(first, last):
        cpu_left = float(node_allocatable[0, node] - node_requested[0, node] - cpu)
        gpu_left = float(node_device_free_total[node] - gpu)
        # In the original's order of operations: another order gives another integer once in a thousand scores.
        left = cpu_left / LARGEST_CPU_MILLI * 0.5 + gpu_left / LARGEST_GPU_MILLI * 0.5
        scan_raw[node] = np.int32((1.0 - left) * 100.0)


BEST_FIT = Plugin("BestFit", rank=94, score=least_left, needs_devices=True)
