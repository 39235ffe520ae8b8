"""A domain of a topology, as a set of nodes shows it; counters of one topology and one set share these."""

from kscale.state.schema import Column

COLUMNS = (Column("eligible", "uint8", "1 when the domain has a node whose pods count."),)
