"""A diagnosis: for a pod that found no node, how many nodes each reason turned away."""

from kscale.state.schema import Column

COLUMNS = (
    Column("count", "int32", "Nodes turned away by each reason of usage.", "nodes", dims=("diagnosis", "reason")),
    Column("description", "int32", "The description whose verdicts turned the others away."),
    Column("rows", "int64", "Rows in the buffer.", dims=("one",)),
    Column("base", "int64", "Diagnoses made before the first row of the buffer.", dims=("one",)),
)
