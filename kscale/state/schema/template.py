"""A template: all that the scheduler reads of a pod's spec; pods of one spec share a row."""

from kscale.state.schema import Column, bounds

COLUMNS = (
    Column(
        "request",
        "int64",
        "What the pod asks for.",
        "the resource's",
        dims=("template", "resource"),
        path="spec.containers[*].resources.requests",
    ),
    Column(
        "nonzero_request",
        "int64",
        "The same with kube-scheduler's defaults for what is not stated.",
        "the resource's",
        dims=("template", "resource"),
    ),
    Column(
        "scored_request",
        "int64",
        "What the allocation scores count for the pod while it is placed: the same, but for pod-level requests.",
        "the resource's",
        dims=("template", "resource"),
    ),
    Column(
        "fit_request",
        "int64",
        "What NodeResourcesFit asks for: the request without the resources that its arguments ignore.",
        "the resource's",
        dims=("template", "resource"),
    ),
    Column("priority", "int64", "Priority of the pod.", path="spec.priority"),
    Column("description", "int64", "Index of what it asks of a node's description."),
    Column("device_count", "int64", "Devices it asks for.", "devices"),
    Column("device_milli", "int64", "Share it asks of each of them; 1000 is a whole device.", "milli"),
    Column("device_models", "uint64", "Bit set of the allowed device models; 0 allows every one."),
    Column("profile", "int64", "The profile that schedules it."),
    Column("preempts", "uint8", "0 with preemptionPolicy Never.", path="spec.preemptionPolicy"),
    Column("held", "uint8", "Why it is never tried: 1 for scheduling gates, 2 for no profile of its scheduler."),
    Column("breaks", "uint8", "1 when each of its tries breaks off in an error."),
    Column("domains", "uint8", "1 when some filter or score of it looks at other pods by domain."),
    *bounds("counting"),
    *bounds("trial"),
    *bounds("budget_of"),
    *bounds("hosted"),
    Column("ask", "int64", "What it asks of a node itself; -1 when the class index does not serve it.", default=-1),
    Column("slot", "int64", "Its row of the memo of totals; -1 has none, -2 was never asked for.", default=-2),
    Column("diagnosis", "int64", "Its latest diagnosis.", default=-1),
    Column(
        "reason_count",
        "int32",
        "Nodes that each reason of usage turned away, at its latest diagnosis.",
        "nodes",
        dims=("template", "reason"),
    ),
)
