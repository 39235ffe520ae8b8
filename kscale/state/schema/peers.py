"""A set of templates: those whose pods may help a pod that was turned away, when they come or go."""

from kscale.state.schema import Column

COLUMNS = (Column("member", "uint8", "1 when the template is in the set.", dims=("peers", "template")),)
