"""The timeline's buffer: the cluster at an instant, on its way to the run folder."""

from kscale.state.schema import Column

COLUMNS = (
    Column("time_us", "int64", "Virtual time.", "us"),
    Column("arrived_pods", "int64", "Pods that had arrived.", "pods"),
    Column("running_pods", "int64", "Pods bound and not ended.", "pods"),
    Column("waiting_pods", "int64", "Pods waiting.", "pods"),
    Column("requested", "int64", "Requested over all nodes.", "the resource's", dims=("timeline", "resource")),
    Column("arrived_gpu_milli", "int64", "Device share asked for so far.", "milli"),
    Column("used_gpu_milli", "int64", "Device share in use.", "milli"),
    Column("fragmented_gpu_milli", "float64", "Idle device share that a typical pod could not use.", "milli"),
    Column("rows", "int64", "Rows in the buffer.", dims=("one",)),
)
