"""A lane of the class index: an ask that is asked for often, so that its scores are kept for every node."""

from kscale.state.schema import Column

COLUMNS = (
    Column("ask", "int64", "The ask; -1 is free.", default=-1),
    Column("template", "int64", "A template of the ask.", default=-1),
    Column("reject", "int32", "1 when the node at hand rejects the ask."),
    Column("raw", "int32", "Score of the plug-in that was asked last, for the node at hand."),
    Column("weight", "int32", "Weight of the resources that the node at hand has, where some node lacks one."),
    Column("total", "int32", "Total for the node at hand."),
    Column("before", "int16", "What the row at hand was before it changed."),
    Column("points_weight", "int32", "Weight of each score plug-in.", dims=("scorer", "lane")),
)
