"""An entry of a counter's list of asks that its pods keep off their nodes: ``barrier`` the other way round."""

from kscale.state.schema import Column

COLUMNS = (Column("ask", "int64", "The ask."),)
