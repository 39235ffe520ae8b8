"""The ledger's buffer: a pod that is done, on its way to the run folder."""

from kscale.state.schema import Column

COLUMNS = (
    Column("trace_row", "int64", "Its place in the order of arrival."),
    Column("status", "uint8", "Code of its status: see kscale.engine.outputs."),
    Column("node", "int32", "The node it was bound to.", default=-1),
    Column("devices", "uint64", "Bit set of the devices it held."),
    Column("decision", "int64", "Order of its binding.", default=-1),
    Column("failed_us", "int64", "When it was first found not to fit.", "us", default=-1),
    Column("bound_us", "int64", "When it was bound.", "us", default=-1),
    Column("started_us", "int64", "When it started.", "us", default=-1),
    Column("ended_us", "int64", "When it ended.", "us", default=-1),
    Column("attempts", "int64", "Times the scheduler tried it."),
    Column("diagnosis", "int64", "Why it did not fit when last tried.", default=-1),
    Column("victims", "int64", "Pods that were evicted for it.", "pods"),
    Column("preemptor", "int64", "Place in the trace of the pod it was evicted for.", default=-1),
    Column("eviction", "int64", "Order of its eviction.", default=-1),
    Column("rows", "int64", "Rows in the buffer.", dims=("one",)),
)
