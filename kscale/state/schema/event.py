"""An event while a pod was being tried: a pod that came to a node or went, remembered until the try is over."""

from kscale.state.schema import Column

COLUMNS = (
    Column("template", "int64", "The pod's template."),
    Column("added", "int64", "1 when it came, 0 when it went."),
)
