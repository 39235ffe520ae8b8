"""ImageLocality: nodes that have the pod's images get points, by size and by how many nodes have them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kscale.scheduler.plugins import Plugin
from kscale.state.building import Building
from kscale.state.descriptions import NodeDescriptions, PodDescription
from kscale.state.schema import Column

#: Sum of sizes below which an image counts nothing, and the most that counts per container (kube-scheduler v1.34.1).
_LEAST, _MOST_PER_CONTAINER = 23 << 20, 1000 << 20

COLUMNS = {
    "description": (
        Column("image_points", "uint8", "Points for the images on the node.", dims=("description", "node")),
    )
}


def points(nodes: NodeDescriptions, pod: PodDescription) -> npt.NDArray[np.int64]:
    """Score 0 to 100: each image's size times the share of nodes that have it, summed over containers and clamped."""
    sums = np.zeros(len(nodes.image_sets), np.int64)
    for image in pod.images:
        if image in nodes.images:
            holders, size, share = nodes.images[image]
            sums[holders] += int(float(size) * share)
    if not pod.images:
        return np.zeros(len(nodes), np.int64)
    most = _MOST_PER_CONTAINER * len(pod.images)
    by_set = 100 * (np.clip(sums, _LEAST, most) - _LEAST) // (most - _LEAST)
    return np.asarray(by_set, np.int64)[nodes.image_set]


def _used(building: Building) -> bool:
    return any(building.nodes.image_sets) and any(template.description.images for template in building.templates)


IMAGES = Plugin(
    "ImageLocality", rank=150, plane=points, plane_column="description_image_points", normalise="none", used=_used,
    standard=True,
)  # fmt: skip
