"""An entry of a template's list of the budgets that cover its pods."""

from kscale.state.schema import Column

COLUMNS = (Column("budget", "int64", "The budget."),)
