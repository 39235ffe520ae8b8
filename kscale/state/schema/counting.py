"""An entry of the list of counters that a template's pods are counted by, template by template."""

from kscale.state.schema import Column

COLUMNS = (Column("counter", "int64", "The counter."),)
