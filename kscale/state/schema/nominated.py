"""A pod that waits for a node that was cleared for it."""

from kscale.state.schema import Column

COLUMNS = (Column("pod", "int64", "The pod.", default=-1, dims=("pod",)),)
