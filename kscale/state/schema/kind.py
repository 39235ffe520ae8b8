"""A kind of nodes: those that no description and no topology of the class index tells apart. Its spots are in a row."""

from kscale.state.schema import Column

COLUMNS = (
    Column("node", "int64", "Its first node."),
    Column("first_hall", "int64", "Its first hall."),
    Column("last_hall", "int64", "The hall after its last."),
    Column(
        "domain",
        "int32",
        "Its domain of each topology; where these are single nodes, the one that nobody counts in. -1 without.",
        default=-1,
        dims=("topology", "kind"),
    ),
    Column("welcome", "uint8", "1 when the ask's description passes its nodes.", dims=("kind", "lane")),
    Column("best", "int16", "Highest score of its nodes; -1 when none fits.", default=-1, dims=("kind", "lane")),
    Column("fitting", "int32", "Its nodes that fit.", "nodes", dims=("kind", "lane")),
)
