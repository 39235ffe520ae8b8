"""What kubelets have to do: a heap by time and pod. A pod may stand in it more than once: only its last time counts."""

from kscale.state.schema import Column

COLUMNS = (
    Column("pod", "int64", "The pod.", default=-1),
    Column("time_us", "int64", "When its kubelet looks at it.", "us"),
)
