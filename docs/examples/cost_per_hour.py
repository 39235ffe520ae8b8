"""CostPerHour: prefer nodes that cost less, by their label ``example.com/cost-per-hour``.

A plug-in of one's own, outside the package. A node without the label, or with one that is no number, counts as the
dearest.
"""

from __future__ import annotations

from typing import Any

from kscale.kernels import kernel
from kscale.scheduler.plugins import Plugin
from kscale.state.building import Building
from kscale.state.schema import Column
from kscale.state.tables import Cluster

LABEL = "example.com/cost-per-hour"

#: A column of its own, beside those of the table ``node``.
COLUMNS = {"node": (Column("cost_per_hour", "int64", "What the node costs.", "thousandths per hour"),)}


def _fill(building: Building, cluster: Cluster) -> None:
    """Read the label of every node, once, when the tables are there."""
    costs = []
    for text in building.nodes.labels.texts(LABEL):
        try:
            costs.append(max(round(float(text or "") * 1000), 0))
        except (ValueError, OverflowError):
            costs.append(-1)
    dearest = max(costs, default=0)
    cluster.columns["node_cost_per_hour"][:] = [dearest if cost < 0 else cost for cost in costs]


@kernel
def cost(template: int, sums: Any, node_cost_per_hour: Any, scan_wide: Any) -> bool:
    """Give each node its cost as raw score; ``normalise`` below turns the cheapest into the most points."""
    for node in range(len(sums)):
        scan_wide[node] = node_cost_per_hour[node]
    return True


COST_PER_HOUR = Plugin("CostPerHour", rank=200, raw=cost, normalise="reversed", fill=_fill)
