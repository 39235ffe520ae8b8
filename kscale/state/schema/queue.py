"""The scheduling queue and the calendar: heaps of pods, as arrays with room for every live pod."""

from kscale.state.schema import Column

COLUMNS = (
    Column("active", "int64", "Heap of pods to be tried, by priority and order of entry.", default=-1, dims=("pod",)),
    Column(
        "backoff",
        "int64",
        "Heap of pods in back-off, by whole second of expiry, then as the active ones.",
        default=-1,
        dims=("pod",),
    ),
    Column(
        "calendar", "int64", "Heap of pods that will end, by time and place in the trace.", default=-1, dims=("pod",)
    ),
    Column("calendar_us", "int64", "When the pod at this place of the calendar ends.", "us", dims=("pod",)),
    Column("free", "int64", "Stack of pod rows that are not in use.", default=-1, dims=("pod",)),
    Column(
        "size",
        "int64",
        "How many each holds: pods that are active, in back-off, in the calendar, free, at rest; woken cohorts.",
        dims=("queues",),
    ),
    Column(
        "woken", "int64", "Heap of cohorts to be tried, by end of back-off and last try.", default=-1, dims=("line",)
    ),
    Column(
        "resting",
        "int64",
        "First of the pods that rest as unschedulable, by what may help them: see kscale.scheduler.queue.",
        default=-1,
        dims=("rest",),
    ),
    Column(
        "resting_last", "int64", "Last of them: they rest in the order of their last try.", default=-1, dims=("rest",)
    ),
)
