"""A clearing: what it would cost to clear each node for the pods of one template. Row 0 holds for one try only."""

from kscale.state.schema import Column

COLUMNS = (
    Column("template", "int64", "The template; -1 for none.", default=-1),
    Column("cursor", "int64", "Position in the change log up to which its costs are right; -1 for none.", default=-1),
    Column(
        "first_cost",
        "int64",
        "Budgets broken times 2^33, and the highest priority of a victim plus 2^31; 2^62 where it cannot be cleared.",
        dims=("clearing", "node"),
    ),
    Column(
        "cheapest", "int64", "The cheapest node of each stretch; -1 for none.", default=-1, dims=("clearing", "stretch")
    ),
    Column("priorities", "int64", "Sum of the victims' priorities, each plus 2^31.", dims=("clearing", "node")),
    Column("victims", "int64", "Number of victims.", "pods", dims=("clearing", "node")),
    Column(
        "began_us", "int64", "Start of the earliest victim of the highest priority.", "us", dims=("clearing", "node")
    ),
)
