"""The count of a counter in one domain.

A cluster of many nodes and many workloads has a thousand million of these, nearly all of them 0: so 0 stands for none
everywhere, and what nobody writes to takes no memory.
"""

from kscale.state.schema import Column

COLUMNS = (
    Column("count", "int32", "Pods counted in the domain.", "pods"),
    Column("next", "int32", "1 + the next row of the counter that is not 0, where its domains are single; 0 for none."),
    Column("previous", "int32", "1 + the row before it; 0 for none."),
    Column("eligible", "uint8", "1 when the domain has a node whose pods count."),
)
