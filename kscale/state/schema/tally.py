"""The count of a counter in one domain."""

from kscale.state.schema import Column

COLUMNS = (
    Column("count", "int32", "Pods counted in the domain.", "pods"),
    Column("next", "int32", "Next row of the counter that is not 0, where its domains are single.", default=-1),
    Column("previous", "int32", "The row before it.", default=-1),
    Column("eligible", "uint8", "1 when the domain has a node whose pods count."),
)
