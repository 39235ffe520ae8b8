"""An arrival: a pod that is still to come, in the batch that was read."""

from kscale.state.schema import Column

COLUMNS = (
    Column("time_us", "int64", "When it arrives.", "us"),
    Column("template", "int32", "Its template."),
    Column("duration_us", "int64", "How long it runs; -1 never ends.", "us", default=-1),
    Column("end_us", "int64", "Its recorded end; -1 where the duration decides.", "us", default=-1),
    Column("trace_row", "int64", "Its place in the order of arrival."),
)
