"""TaintToleration: NoSchedule and NoExecute taints reject, PreferNoSchedule taints cost points."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kscale.scheduler.plugins import Plugin
from kscale.state.descriptions import NodeDescriptions, PodDescription


def untolerated(nodes: NodeDescriptions, pod: PodDescription) -> tuple[npt.NDArray[np.int64], list[str]]:
    """Reject by the first NoSchedule or NoExecute taint, in the node's order, that is not tolerated."""
    reasons: list[str] = []
    by_set = np.full(len(nodes.taint_sets), -1, np.int64)
    for index, taints in enumerate(nodes.taint_sets):
        for taint in taints:
            if taint.effect != "PreferNoSchedule" and not any(t.tolerates(taint) for t in pod.tolerations):
                reason = f"node(s) had untolerated taint {{{taint.key}: {taint.value}}}"
                if reason not in reasons:
                    reasons.append(reason)
                by_set[index] = reasons.index(reason)
                break
    return by_set[nodes.taint_set], reasons


def intolerable(nodes: NodeDescriptions, pod: PodDescription) -> npt.NDArray[np.int64]:
    """Count PreferNoSchedule taints that no toleration of effect "" or PreferNoSchedule tolerates."""
    tolerations = [t for t in pod.tolerations if t.effect in ("", "PreferNoSchedule")]
    by_set = [
        sum(t.effect == "PreferNoSchedule" and not any(o.tolerates(t) for o in tolerations) for t in taints)
        for taints in nodes.taint_sets
    ]
    return np.array(by_set, np.int64)[nodes.taint_set]


TAINTS = Plugin(
    "TaintToleration", rank=30, mask=untolerated, plane=intolerable, plane_column="description_intolerable",
    normalise="reversed", weight=3, standard=True,
)  # fmt: skip
