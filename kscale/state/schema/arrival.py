"""An arrival: a pod that is still to come, in the batch that was read."""

from kscale.state.schema import Column

COLUMNS = (
    Column("time_us", "int64", "When it arrives.", "us"),
    Column("template", "int32", "Its template."),
    Column("duration_us", "int64", "How long it runs; -1 never ends.", "us", default=-1),
    Column("end_us", "int64", "Its recorded end; -1 where the duration decides.", "us", default=-1),
    Column("node", "int32", "The node it is bound to already; -1 is to be scheduled.", default=-1),
    Column("begun_us", "int64", "Its start time relative to the run's start; the largest int64 where unknown.", "us"),
    Column("trace_row", "int64", "Its place in the order of arrival."),
    Column("owner", "int64", "The object that controls it.", default=-1),
    Column("number", "int64", "Its ordinal or completion index.", default=-1),
)
