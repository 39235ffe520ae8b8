"""A spot of the class index: a node's place in the order of kinds, or a gap that fills up a kind's last bank."""

from kscale.state.schema import Column

COLUMNS = (
    Column("node", "int64", "The node; -1 is a gap.", default=-1),
    Column(
        "score",
        "int16",
        "Total by usage of each lane's ask, before plug-ins that are normalised; -1 where it does not fit.",
        default=-1,
        dims=("spot", "lane"),
    ),
    Column("barriers", "int16", "How many of each lane's barriers its node has.", dims=("guarded", "lane")),
    Column("stamp", "int64", "The latest search that left the spot out.", default=-1),
)
