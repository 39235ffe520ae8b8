"""A counter: pods of some templates, counted by the domains of a topology. Its counts are in rows of ``tally``."""

from kscale.state.schema import Column, bounds

COLUMNS = (
    Column("topology", "int64", "By whose domains it counts."),
    Column("nodemask", "int64", "The nodes whose pods count; -1 counts all.", default=-1),
    Column("first", "int64", "Its first row of segment."),
    Column("domains", "int64", "How many domains it counts in."),
    Column("seen_first", "int64", "The first of its domains in the table seen."),
    Column("eligible", "int64", "Domains that have a node whose pods count."),
    Column("total", "int64", "Sum of its counts.", "pods"),
    Column("single", "uint8", "1 when its domains are single nodes: those with pods are kept in a list."),
    Column("touched", "int64", "First of its domains with a count that is not 0; -1 for none.", default=-1),
    Column("moved_at", "int64", "Position in the change log when it was last counted in.", default=-1),
    *bounds("barring"),
)
