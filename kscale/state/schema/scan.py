"""Scratch of one scan over the nodes."""

from kscale.state.schema import Column

COLUMNS = (
    Column("reject", "int32", "Bits of the reasons of usage that reject the node.", dims=("node",)),
    Column("raw", "int32", "Score of the plug-in that was asked last.", dims=("node",)),
    Column("weight", "int32", "Weight of the resources that count in the node's mean.", dims=("node",)),
    Column("total", "int32", "Totals of a template that has no memo slot.", dims=("node",)),
    Column("sums", "int32", "Totals with the normalised plug-ins.", dims=("node",)),
    Column("reason_count", "int32", "Nodes turned away by each reason of usage.", "nodes", dims=("reason",)),
)
