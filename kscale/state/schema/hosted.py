"""An entry of a template's list of counters that tell single nodes apart."""

from kscale.state.schema import Column

COLUMNS = (Column("counter", "int64", "The counter."),)
