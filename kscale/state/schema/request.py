"""A request about a pod that takes effect now: controllers write these in batches, compiled code carries them out."""

from kscale.state.schema import Column

COLUMNS = (
    Column("verb", "uint8", "0 creates a pod, 1 deletes one, 2 takes its owner away, 3 says whether it is tracked."),
    Column("pod", "int64", "The pod that is there already.", default=-1),
    Column("serial", "int64", "Its place in the order of arrival, by which a row that was used again is told.",
           default=-1),
    Column("grace_us", "int64", "Grace of the deletion; -1 is the pod's own.", "us", default=-1),
    Column("tracked", "uint8", "What its ``life_tracked`` is to be."),
    Column("owner", "int64", "The object that is to control the new pod.", default=-1),
    Column("template", "int64", "Template of the new pod.", default=-1),
    Column("number", "int64", "Its ordinal or completion index.", default=-1),
    Column("revision", "int64", "The revision of its owner that the new pod is made from.", default=-1),
    Column("pin", "int64", "The only node that it may be bound to.", default=-1),
)  # fmt: skip
