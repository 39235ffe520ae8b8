"""A group of nodes that plug-ins which look at domains cannot tell apart, in one search of the class index."""

from kscale.state.schema import Column

COLUMNS = (
    Column("kind", "int64", "Its kind."),
    Column("spot", "int64", "Its spot where it is a single node, -1 otherwise.", default=-1),
    Column("domain", "int32", "Its domain of each topology; -1 without.", default=-1, dims=("topology", "group")),
    Column("share", "int64", "Its nodes that fit.", "nodes"),
    Column("sums", "int32", "Best total of its nodes so far; below 0 when none fits."),
    Column("wide", "int64", "Raw, then normalised score of the plug-in that was asked last."),
    Column("double", "float64", "Raw score before it is rounded; -1 is left out."),
    Column("place", "int64", "Groups that a score looks at, one after the other."),
)
