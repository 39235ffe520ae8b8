"""A level: a share per device that typical pods ask for; what a node's devices offer below and above it."""

from kscale.state.schema import Column

COLUMNS = (
    Column("milli", "int64", "The share.", "milli"),
    Column("below", "int64", "Scratch: free share on devices that have less free than the level.", "milli"),
    Column("fitting", "int64", "Scratch: devices that have at least the level free.", "devices"),
)
