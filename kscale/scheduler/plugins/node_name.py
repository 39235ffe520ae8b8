"""NodeName: a pod that names its node fits there alone."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kscale.scheduler.plugins import Plugin
from kscale.state.descriptions import NodeDescriptions, PodDescription


def other_node(nodes: NodeDescriptions, pod: PodDescription) -> tuple[npt.NDArray[np.int64], list[str]]:
    """Reject every node but the one that spec.nodeName names."""
    if not pod.node_name:
        return np.full(len(nodes), -1, np.int64), []
    named = np.array([name == pod.node_name for name in nodes.names], bool)
    return np.where(named, -1, 0), ["node(s) didn't match the requested node name"]


NODE_NAME = Plugin("NodeName", rank=20, mask=other_node)
