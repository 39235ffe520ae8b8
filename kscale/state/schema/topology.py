"""A topology: a node label whose values are domains. Row 0 is the whole cluster, row 1 each node by itself."""

from kscale.state.schema import Column

COLUMNS = (
    Column("domain", "int32", "The node's domain; -1 without the label.", default=-1, dims=("topology", "node")),
    Column("domains", "int64", "Domains of the topology."),
    Column("single", "uint8", "1 when no domain has more than one node."),
    Column(
        "node", "int32", "The node of each domain, where domains are single.", default=-1, dims=("topology", "node")
    ),
)
