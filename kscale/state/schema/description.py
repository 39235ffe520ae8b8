"""A description: what a pod asks of how a node is described: selectors, tolerations, node name, images, volumes.

Its planes are computed once over all nodes and hold until a node's description changes.
"""

from kscale.state.schema import Column

COLUMNS = (
    Column(
        "verdict",
        "int16",
        "0 when the node passes, else 1 + the index of the rejecting reason; 1 is left out of every search.",
        dims=("description", "node"),
    ),
    Column(
        "intolerable",
        "int16",
        "PreferNoSchedule taints of the node that are not tolerated.",
        "taints",
        dims=("description", "node"),
    ),
    Column(
        "preference",
        "int32",
        "Sum of the weights of the preferred node affinity terms that match.",
        dims=("description", "node"),
    ),
    Column("left_out", "int64", "Nodes that its own terms leave out of every search (verdict 1).", "nodes"),
    Column("uneven", "int64", "Bits of the score plug-ins whose planes are not the same on all nodes."),
)
