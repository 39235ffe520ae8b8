"""An entry of an ask's list of counters of single nodes: a node with such a pod turns the ask away."""

from kscale.state.schema import Column

COLUMNS = (Column("counter", "int64", "The counter."),)
