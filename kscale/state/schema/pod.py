"""A pod that lives: from its arrival to its end. Its row is used again when it has ended."""

from kscale.state.schema import Column

COLUMNS = (
    Column("trace_row", "int64", "Its place in the order of arrival.", default=-1),
    Column("template", "int64", "Its template.", default=-1),
    Column("state", "uint8", "Where it is in its life: see kscale.engine.pods."),
    Column("node", "int64", "The node it is bound to.", default=-1),
    Column("devices", "uint64", "Bit set of the devices it holds on its node."),
    Column("decision", "int64", "Order of its binding.", default=-1),
    Column("arrived_us", "int64", "When it arrived.", "us", default=-1),
    Column("failed_us", "int64", "When it was first found not to fit.", "us", default=-1),
    Column("bound_us", "int64", "When it was bound.", "us", default=-1),
    Column("started_us", "int64", "When it started.", "us", default=-1),
    Column("ended_us", "int64", "When it ended.", "us", default=-1),
    Column("duration_us", "int64", "How long it runs from its start; -1 never ends.", "us", default=-1),
    Column("end_us", "int64", "When it ends, as recorded; -1 where the duration decides.", "us", default=-1),
    Column("attempts", "int64", "Times the scheduler tried it."),
    Column("unschedulable_count", "int64", "Consecutive tries that found no node: sets its back-off."),
    Column("queued_us", "int64", "When it last entered the queue.", "us"),
    Column("queue_sequence", "int64", "Its number in the order of entering the queue."),
    Column("backoff_us", "int64", "When its back-off expires, in whole seconds.", "us"),
    Column("rests_for", "uint8", "1 when the end of a pod may help it, 0 when only a change of nodes may."),
    Column("diagnosis", "int64", "Why it did not fit when last tried.", default=-1),
    Column("next", "int64", "Next of the pods that rest as unschedulable.", default=-1),
    Column("previous", "int64", "The one before it.", default=-1),
)
