"""A hall of the class index: up to sixteen banks of one kind."""

from kscale.state.schema import Column

COLUMNS = (
    Column("first_bank", "int64", "Its first bank."),
    Column("last_bank", "int64", "The bank after its last."),
    Column("score", "int16", "Highest score of its banks.", default=-1, dims=("hall", "lane")),
)
