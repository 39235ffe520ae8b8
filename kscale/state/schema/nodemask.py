"""A set of nodes, as one byte per node: the nodes whose pods a counter counts."""

from kscale.state.schema import Column

COLUMNS = (Column("node", "uint8", "1 when the node is in the set.", dims=("nodemask", "node")),)
