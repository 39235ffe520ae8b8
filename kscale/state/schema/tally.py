"""The count of a counter in one domain: row ``segment_place`` and the domain's place in its segment.

0 stands for none everywhere, and what nobody writes to takes no memory.
"""

from kscale.state.schema import Column

COLUMNS = (
    Column("count", "int32", "Pods counted in the domain.", "pods"),
    Column("next", "int32", "1 + the next domain of the counter that is not 0, where they are single; 0 for none."),
    Column("previous", "int32", "1 + the domain before it; 0 for none."),
)
