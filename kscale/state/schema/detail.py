"""What each plug-in says of each node for one template, for those who ask why."""

from kscale.state.schema import Column

COLUMNS = (
    Column("reject", "int32", "Bits of the filter's reasons, run alone; 0 passes.", dims=("sieve", "detailed")),
    Column("raw", "int64", "The score plug-in's raw score.", dims=("scorer", "detailed")),
    Column("points", "int64", "The same after normalisation, before its weight.", dims=("scorer", "detailed")),
    Column("said", "uint8", "1 when the score plug-in had something to say.", dims=("scorer",)),
    Column("sums", "int32", "Totals of the nodes that every filter passes; negative elsewhere.", dims=("detailed",)),
)
