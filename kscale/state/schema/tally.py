"""The count of a counter in one domain."""

from kscale.state.schema import Column

COLUMNS = (
    Column("count", "int32", "Pods counted in the domain.", "pods"),
    Column("eligible", "uint8", "1 when the domain has a node whose pods count."),
)
