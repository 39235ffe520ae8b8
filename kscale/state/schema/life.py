"""A pod as its kubelet and its controller see it; its row is the pod's. Only runs with controllers have rows."""

from kscale.state.schema import Column

BY_ROW = True

COLUMNS = (
    Column("owner", "int64", "The object that controls it.", default=-1),
    Column("next", "int64", "The next pod of its owner.", default=-1),
    Column("previous", "int64", "The one before it.", default=-1),
    Column("number", "int64", "Its ordinal or completion index; below 0 it has none. Of a DaemonSet's, -1 less how "
           "many failed on its node in a row before it.", default=-1),
    Column("revision", "int64", "The revision of its owner that it was made from; -1 has none.", default=-1),
    Column("pin", "int64", "The only node that it may be bound to; -1 for any.", default=-1),
    Column("phase", "uint8", "Pending, Running, Succeeded, Failed, Unknown.", path="status.phase"),
    Column("addressed", "uint8", "1 once its kubelet has told its address.", path="status.podIPs"),
    Column("ready", "uint8", "1 when it is ready.", path="status.conditions"),
    Column("available", "uint8", "1 when it has been ready as long as its owner asks."),
    Column("ready_us", "int64", "When it became ready, or ceased to be.", "us", default=-1),
    Column("deleted_us", "int64", "When its deletion was asked for; -1 not yet.", "us", default=-1),
    Column("grace_us", "int64", "The grace that it was given then.", "us"),
    Column("stage", "uint8", "The step of its kubelet: see kscale.node."),
    Column("due_us", "int64", "When its kubelet has something to do for it.", "us", default=1 << 62),
    Column("restarts", "int64", "Restarts of its containers."),
    Column("exit_code", "int64", "Exit code of the container that ended it."),
    Column("tracked", "uint8", "1 until a controller that keeps ended pods has counted it, then 2 until it lets go.",
           path="metadata.finalizers"),
    Column("changed", "uint8", "1 while it is in the log of changed pods."),
    Column("log", "int64", "Pods that changed since controllers looked last.", default=-1),
)  # fmt: skip
