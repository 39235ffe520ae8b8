"""Scratch of one scan over the nodes."""

from kscale.state.schema import Column

COLUMNS = (
    Column("reject", "int32", "Bits of the reasons of usage that reject the node.", dims=("node",)),
    Column("raw", "int32", "Score of the plug-in that was asked last.", dims=("node",)),
    Column("sum", "float64", "Scratch of a score.", dims=("node",)),
    Column("weight", "float64", "Scratch of a score.", dims=("node",)),
    Column("total", "int32", "Totals of a template that has no memo slot.", dims=("node",)),
    Column("sums", "int32", "Totals with the normalised plug-ins.", dims=("node",)),
)
