"""GpuClustering: keep pods with like device requests together (the FGD paper's baseline 03)."""

from __future__ import annotations

from typing import Any

import numpy as np

from kscale.kernels import inlined, kernel
from kscale.scheduler.plugins import Plugin
from kscale.scheduler.plugins.best_fit import LARGEST_GPU_MILLI
from kscale.scheduler.plugins.devices import WHOLE
from kscale.state.schema import Column

COLUMNS = {
    "node": (
        Column("tag_pods", "int64", "Pods on the node by tag: 0 shares a device, k holds k whole devices.", "pods",
               dims=("node", "tag")),
    )
}  # fmt: skip


@inlined
def tag_of(count: int, milli: int) -> int:
    """Return the tag of a pod: 0 for a share, else its number of devices."""
    return 0 if count == 1 and milli < WHOLE else count


@kernel
def clustered(
    template: int, first: int, last: int, template_device_count: Any, template_device_milli: Any,
    node_device_free_total: Any, node_tag_pods: Any, scan_raw: Any,
) -> None:  # fmt: skip
    """Score nodes with pods of the same tag only, then with some, then empty ones; pods without devices score 0."""
    count, milli = template_device_count[template], template_device_milli[template]
    tag = tag_of(count, milli)
    for node in range(first, last):
        if count == 0:
            scan_raw[node] = np.int32(0)
            continue
        base = int(25.0 * (LARGEST_GPU_MILLI - float(node_device_free_total[node])) / LARGEST_GPU_MILLI)
        tags = 0
        for other in range(node_tag_pods.shape[1]):
            tags += node_tag_pods[node, other] > 0
        if node_tag_pods[node, tag] > 0:
            bonus = 75 if tags == 1 else 50
        else:
            bonus = 25 if tags == 0 else 0
        scan_raw[node] = np.int32(base + bonus)


@kernel
def count_tag(
    template: int, node: int, sign: int, template_device_count: Any, template_device_milli: Any, node_tag_pods: Any
) -> None:
    """Count the pod under its tag."""
    count = template_device_count[template]
    if count > 0:
        node_tag_pods[node, tag_of(count, template_device_milli[template])] += sign


GPU_CLUSTERING = Plugin("GpuClustering", rank=92, score=clustered, reserve=count_tag, dear=True, needs_devices=True)
