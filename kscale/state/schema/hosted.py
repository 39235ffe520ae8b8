"""An entry of a template's list of counters that tell single nodes apart."""

from kscale.state.schema import Column

COLUMNS = (
    Column("counter", "int64", "The counter."),
    Column("barring", "uint8", "1 when the template has it for nothing but being kept off such nodes."),
)
