"""A node: what it offers, what is taken of it, and how it is described."""

from kscale.state.schema import Column

COLUMNS = (
    Column(
        "allocatable",
        "int64",
        "What pods may ask for in all.",
        "the resource's",
        dims=("resource", "node"),
        path="status.allocatable",
    ),
    Column("requested", "int64", "Sum of the requests of its pods.", "the resource's", dims=("resource", "node")),
    Column(
        "nonzero_requested",
        "int64",
        "The same with kube-scheduler's defaults (100m cpu, 200Mi memory) for containers "
        "that state none: the book that the resource scores read.",
        "the resource's",
        dims=("resource", "node"),
    ),
    Column(
        "left",
        "int64",
        "node_allocatable less node_requested: one column to read in the filter instead of two.",
        "the resource's",
        dims=("resource", "node"),
    ),
    Column(
        "allocatable_double",
        "float64",
        "node_allocatable as doubles: AVX2 cannot convert int64, and a division of doubles "
        "takes a third of the time of one of converted integers.",
        "the resource's",
        dims=("resource", "node"),
    ),
    Column(
        "requested_double",
        "float64",
        "node_requested as doubles.",
        "the resource's",
        dims=("resource", "node"),
    ),
    Column(
        "nonzero_requested_double",
        "float64",
        "node_nonzero_requested as doubles.",
        "the resource's",
        dims=("resource", "node"),
    ),
    Column("requested_peak", "int64", "Largest requested so far.", "the resource's", dims=("resource", "node")),
    Column("unschedulable", "uint8", "1 when cordoned.", path="spec.unschedulable"),
    Column(
        "label",
        "int32",
        "Code of the value of each label key.",
        default=-1,
        dims=("key", "node"),
        path="metadata.labels",
    ),
    Column("taint_set", "int32", "Index of its list of taints.", path="spec.taints"),
    Column("device_count", "int64", "Devices (GPUs) on the node.", "devices"),
    Column("device_model", "int32", "Code of the model of its devices.", default=-1),
    Column(
        "device_free",
        "int64",
        "Free share of each device; -1 where there is no device.",
        "milli",
        default=-1,
        dims=("node", "device"),
    ),
    Column("device_free_total", "int64", "Sum of the free shares of its devices.", "milli"),
    Column("bound_pods", "int64", "Pods bound to it now.", "pods"),
    Column(
        "first_pod",
        "int64",
        "First of the pods on it, the most important first; kept where pods may be evicted.",
        default=-1,
    ),
    Column("last_pod", "int64", "Last of them.", default=-1),
    Column("search", "int64", "The node at this place of the search order: zone after zone in turn."),
    Column("idle_us", "int64", "Time spent without a pod, up to the last change.", "us"),
    Column("idle_since_us", "int64", "When its last pod left; -1 while it has pods.", "us"),
    Column("changed_at", "int64", "Position in the change log of its latest change.", default=-1),
    Column("kind", "int64", "Its kind.", default=-1),
    Column("spot", "int64", "Its spot of the class index.", default=-1),
    Column(
        "fragmented_gpu_milli",
        "float64",
        "Free device share that a typical pod could not use: the fragmentation measure.",
        "milli",
    ),
)
