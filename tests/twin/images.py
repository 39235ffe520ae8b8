"""ImageLocality: nodes that have a pod's images are better."""

from __future__ import annotations

from typing import Any

from tests.twin.objects import NodeState, Pod
from tests.twin.plugin import Plugin

LEAST = 23 * 1024 * 1024
MOST_PER_CONTAINER = 1000 * 1024 * 1024


class ImageLocality(Plugin):
    """Sizes of the images on the node, each weighed by the part of all nodes that have it."""

    def score(self, state: Any, pod: Pod, node: NodeState) -> int:
        total = 0
        for container in pod.containers:
            found = node.images.get(_with_tag(container.get("image") or ""))
            if found is not None:
                size, holders = found
                total += int(float(size) * (float(holders) / float(len(self.cluster.nodes))))
        most = MOST_PER_CONTAINER * len(pod.containers)
        return 100 * (min(max(total, LEAST), most) - LEAST) // (most - LEAST)


def _with_tag(image: str) -> str:
    return image if ":" in image.rsplit("/", 1)[-1] else f"{image}:latest"
