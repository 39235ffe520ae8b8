"""A plot of the class index: a template whose pods are on many nodes, and its groups of nodes, kept up to date.

Dimension ``patch`` counts its groups, ``slot_of_patch`` the places of its hash table, ``own`` the counters of single
nodes that a template has at most.
"""

from kscale.state.schema import Column

COLUMNS = (
    Column("template", "int64", "The template; -1 is free.", default=-1),
    Column("used_at", "int64", "Position in the change log when it was last asked for."),
    Column("patches", "int64", "Its groups so far."),
    Column("spot_patch", "int16", "The group of each spot; -1 for gaps.", default=-1, dims=("plot", "spot")),
    Column(
        "spot_score", "int16", "The score by usage of each spot, as in its lane.", default=-1, dims=("plot", "spot")
    ),
    Column(
        "best", "int16", "Highest score of a group's spots in each bank.", default=-1, dims=("plot", "patch", "bank")
    ),
    Column("kind", "int32", "The kind of a group's nodes.", dims=("plot", "patch")),
    Column("count", "int32", "What its nodes have of each of the template's counters.", dims=("plot", "patch", "own")),
    Column("fitting", "int32", "Its nodes that fit.", "nodes", dims=("plot", "patch")),
    Column(
        "member", "int32", "A spot of the group, or one where the next is to be looked for.", dims=("plot", "patch")
    ),
    Column("place", "int16", "Hash table of groups; -1 is free.", default=-1, dims=("plot", "slot_of_patch")),
)
