"""An event that the queue has yet to be told of: a pod that came to a node, or went."""

from kscale.state.schema import Column

COLUMNS = (
    Column("template", "int64", "The pod's template."),
    Column("added", "int64", "1 when it came, 0 when it went."),
)
