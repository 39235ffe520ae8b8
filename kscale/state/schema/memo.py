"""A memo slot: the totals of one template on all nodes, brought up to date from the change log when it is asked for."""

from kscale.state.schema import Column

COLUMNS = (
    Column(
        "total",
        "int32",
        "Total score before normalised plug-ins; -1 when the node's description is rejected; "
        "-1 - m when the reasons of usage with the bits of m reject it.",
        dims=("memo", "node"),
    ),
    Column("template", "int64", "The template that holds the slot.", default=-1),
    Column("cursor", "int64", "Position in the change log up to which the totals are right."),
    Column(
        "reason_count",
        "int32",
        "Nodes turned away by each reason of usage; right while counted is 1.",
        dims=("memo", "reason"),
    ),
    Column("counted", "uint8", "1 while reason_count is kept."),
    Column("log", "int64", "Ring of the nodes that changed.", dims=("log",)),
)
