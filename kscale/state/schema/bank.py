"""A bank of the class index: sixteen blocks of one kind."""

from kscale.state.schema import Column

COLUMNS = (
    Column("hall", "int64", "Its hall."),
    Column("score", "int16", "Highest score of its blocks.", default=-1, dims=("bank", "lane")),
    Column("stamp", "int64", "The latest search that left one of its spots out.", default=-1),
)
