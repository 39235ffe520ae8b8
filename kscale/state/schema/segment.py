"""A run of 64 domains of a counter. Only those in which pods are counted have rows of ``tally``.

A cluster of 20,000 nodes and 100,000 ReplicaSets has two thousand million counts by node, of which a million are not
0: with a place for each, their memory was 18 GB.
"""

from kscale.state.schema import Column

#: A segment has 1 << BITS domains; domain d of a counter is in its segment d >> BITS.
BITS = 6

COLUMNS = (
    Column("place", "int64", "First row of tally of its counts; 0, whose rows are always 0, while it has none."),
    Column("used", "int16", "Its counts that are not 0."),
    Column("free", "int64", "A stack of places that were given up."),
)
