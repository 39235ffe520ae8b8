"""A PodDisruptionBudget: how many of its pods may be evicted before it is broken."""

from kscale.state.schema import Column

COLUMNS = (
    Column("allowed", "int64", "Disruptions allowed now, from its status.", "pods", path="status.disruptionsAllowed"),
    Column("left", "int64", "What is left of it while one node's victims are looked at.", "pods"),
)
