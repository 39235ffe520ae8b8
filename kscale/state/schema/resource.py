"""A resource: cpu (milli), memory and ephemeral-storage (bytes), pods, then every extended resource of the input."""

from kscale.state.schema import Column

COLUMNS = (
    Column("allocatable", "int64", "Allocatable amount over all nodes.", "the resource's"),
    Column("requested", "int64", "Amount requested by bound pods over all nodes.", "the resource's"),
    Column("arrived", "int64", "Amount requested by all pods that have arrived.", "the resource's"),
    Column(
        "wide",
        "uint8",
        "1 when a node has 2^46 or more times the amounts' common power of two, where doubles do not divide exactly; "
        "2 from 2^52: nor add.",
    ),
    Column("everywhere", "uint8", "1 when every node has some of it, so that it counts in every node's mean."),
)
