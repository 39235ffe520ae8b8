"""A profile of the scheduler's configuration: the weights and arguments that kernels read."""

from kscale.state.schema import Column

COLUMNS = (
    Column("weight", "int64", "Weight of each score plug-in; 0 is switched off.", dims=("profile", "scorer")),
    Column("filter", "uint8", "1 when the filter is switched on.", dims=("profile", "sieve")),
    Column("preempts", "uint8", "1 when DefaultPreemption is switched on."),
    Column("percentage", "int64", "percentageOfNodesToScore; 100 looks at all nodes, 0 adapts to their number."),
)
