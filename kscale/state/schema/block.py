"""A block of the class index: sixteen spots of one kind."""

from kscale.state.schema import Column

COLUMNS = (
    Column("score", "int16", "Highest score of its spots.", default=-1, dims=("block", "lane")),
    Column("stamp", "int64", "The latest search that left one of its spots out.", default=-1),
)
