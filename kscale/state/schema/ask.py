"""An ask: what the pods of some templates ask of a node itself. Templates that differ in what they count share one."""

from kscale.state.schema import Column, bounds

COLUMNS = (
    Column("lane", "int64", "Its lane of the class index; -1 has none.", default=-1),
    Column("used_at", "int64", "Position in the change log when it was last asked for.", default=-1),
    *bounds("barrier"),
)
