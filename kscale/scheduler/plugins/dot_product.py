"""DotProd: place where demand and what is free point least the same way (the FGD paper's baseline 02)."""

from __future__ import annotations

from typing import Any

import numpy as np

from kscale.kernels import kernel
from kscale.scheduler.plugins import Plugin
from kscale.scheduler.plugins.best_fit import LARGEST_CPU_MILLI, LARGEST_GPU_MILLI


@kernel
def least_product(
    template: int, first: int, last: int, template_request: Any, template_device_count: Any, template_device_milli: Any,
    node_allocatable: Any, node_requested: Any, node_device_free_total: Any, scan_raw: Any,
) -> None:  # fmt: skip
    """Score 100 * (1 - half the dot product of the free amounts, before placing, and the pod's), truncated."""
    cpu = float(template_request[template, 0])
    gpu = float(template_device_count[template] * template_device_milli[template])
    for node in range(first, last):
        cpu_free = float(node_allocatable[0, node] - node_requested[0, node])
        gpu_free = float(node_device_free_total[node])
        product = (cpu_free / LARGEST_CPU_MILLI) * (cpu / LARGEST_CPU_MILLI)
        product += (gpu_free / LARGEST_GPU_MILLI) * (gpu / LARGEST_GPU_MILLI)
        scan_raw[node] = np.int32(100.0 * (1.0 - 0.5 * product))


DOT_PRODUCT = Plugin("DotProd", rank=91, score=least_product, needs_devices=True)
