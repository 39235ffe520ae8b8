"""Where nodes come and go: those that are not there take no pod, cordoned ones only pods that tolerate it.

It stands for NodeUnschedulable then, whose verdicts hold for a whole run. A node that is not there is none that
kube-scheduler knows: no message counts it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from kscale.engine.changes import ABSENT, CORDONED
from kscale.kernels import hot, kernel
from kscale.scheduler.plugins import Lanes, Plugin, unschedulable
from kscale.state.building import Building
from kscale.state.schema import Column
from kscale.state.tables import Cluster

COLUMNS = {
    "template": (Column("passes_cordon", "uint8", "1 when cordoned nodes take its pods."),),
    "lane": (Column("passes_cordon", "uint8", "1 when cordoned nodes take the pods of the ask."),),
}


@kernel
def keeps_out(
    template: int, first: int, last: int, reason: int, template_passes_cordon: Any, node_shut: Any, scan_reject: Any
) -> None:
    """Reject nodes that are cordoned, and those that are not there."""
    reject, shut = scan_reject[first:last], node_shut[first:last]
    cordoned = np.int32(1 << reason) if template_passes_cordon[template] == 0 else np.int32(0)
    absent = np.int32(1 << (reason + 1))
    for i in range(len(reject)):
        reject[i] |= cordoned if shut[i] == CORDONED else np.int32(0)
        reject[i] |= absent if shut[i] == ABSENT else np.int32(0)


@kernel
def open_lane_of(template: int, lane: int, template_passes_cordon: Any, lane_passes_cordon: Any) -> None:
    """Fill what the ask tolerates."""
    lane_passes_cordon[lane] = template_passes_cordon[template]


@hot
def keeps_lanes_out(node: int, lanes: int, node_shut: Any, lane_passes_cordon: Any, lane_reject: Any) -> None:
    """Reject the lanes that the node takes no pods of."""
    if node_shut[node] != 0:
        reject, passes = lane_reject[:lanes], lane_passes_cordon[:lanes]
        all_lanes = np.int32(1) if node_shut[node] == ABSENT else np.int32(0)
        for lane in range(len(reject)):
            reject[lane] |= all_lanes | (np.int32(1) - np.int32(passes[lane]))


def _fill(building: Building, cluster: Cluster) -> None:
    for row, template in enumerate(building.templates):
        configuration = building.configuration(template)
        filtered = configuration is None or unschedulable.UNSCHEDULABLE.name in configuration.points["filter"]
        tolerated = any(toleration.tolerates(unschedulable.CORDON) for toleration in template.description.tolerations)
        cluster.template_passes_cordon[row] = tolerated or not filtered


def _reasons(resources: list[str]) -> list[str]:
    return ["node(s) were unschedulable", "node(s) were not there"]


PRESENCE = Plugin(
    "NodePresence", rank=11, filter=keeps_out, reasons=_reasons, unresolvable=(0, 1), fill=_fill, innate=True,
    lanes=Lanes(open_lane_of, keeps_lanes_out), used=lambda building: building.changes,
)  # fmt: skip
