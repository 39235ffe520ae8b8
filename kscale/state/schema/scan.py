"""Scratch of one scan over the nodes."""

from kscale.state.schema import Column

COLUMNS = (
    Column("reject", "int32", "Bits of the reasons of usage that reject the node.", dims=("node",)),
    Column("raw", "int32", "Score of the plug-in that was asked last.", dims=("node",)),
    Column("weight", "int32", "Weight of the resources that count in the node's mean.", dims=("node",)),
    Column("total", "int32", "Totals of a template that has no memo slot.", dims=("node",)),
    Column("sums", "int32", "Totals with the normalised plug-ins.", dims=("node",)),
    Column("wide", "int64", "Raw, then normalised score of the plug-in that was asked last.", dims=("node",)),
    Column("skip", "uint8", "1 when the filter is left out of the present try.", dims=("sieve",)),
    Column("place", "int64", "Nodes that a score looks at, one after the other.", dims=("node",)),
    Column("double", "float64", "Raw score before it is rounded; -1 is left out.", dims=("node",)),
    Column("check", "int32", "0, or below when the filters that look at domains reject the node.", dims=("node",)),
    Column("share", "int64", "1: a node is one node, where a group of nodes may be many.", default=1, dims=("node",)),
    Column("stamp", "int64", "The latest pass that saw the domain.", dims=("domain",)),
    Column("victim", "int64", "Pods that may be evicted from a node, the most important first.", dims=("pod",)),
    Column("verdict", "uint8", "What becomes of each: 1 breaks a budget, 2 is evicted.", dims=("pod",)),
    Column("room", "int64", "What would be free on the node at hand.", "the resource's", dims=("resource",)),
    Column("chosen", "int64", "The victims on the node that is cleared.", dims=("pod",)),
    Column("count", "int32", "What a node has of each of a template's counters.", "pods", dims=("own",)),
    Column("reason_count", "int32", "Nodes turned away by each reason of usage.", "nodes", dims=("reason",)),
)
