"""NodeUnschedulable: a cordoned node takes only pods that tolerate its cordon."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kscale.scheduler.plugins import Plugin
from kscale.state.descriptions import NodeDescriptions, PodDescription
from kscale.state.labels import Taint

#: What a toleration must tolerate to pass the cordon, whether the taint is there or not (kube-scheduler v1.34.1).
CORDON = Taint("node.kubernetes.io/unschedulable", "", "NoSchedule")


def cordoned(nodes: NodeDescriptions, pod: PodDescription) -> tuple[npt.NDArray[np.int64], list[str]]:
    """Reject nodes with spec.unschedulable."""
    if any(toleration.tolerates(CORDON) for toleration in pod.tolerations):
        return np.full(len(nodes), -1, np.int64), []
    return np.where(nodes.unschedulable, 0, -1), ["node(s) were unschedulable"]


UNSCHEDULABLE = Plugin("NodeUnschedulable", rank=10, mask=cordoned)
