"""The cluster as a whole: one row of counters, each an array of one value."""

from kscale.state.schema import Column

COLUMNS = (
    Column("now_us", "int64", "Virtual time.", "us"),
    Column("phase", "int64", "The phase of the present instant that comes next: 0 ends, 1 arrivals, 3 scheduling."),
    Column("more_arrivals", "int64", "1 when arrivals follow those of the present batch."),
    Column("arrivals", "int64", "Arrivals in the present batch.", "pods"),
    Column("arrivals_cursor", "int64", "Arrivals of the present batch that were taken in.", "pods"),
    Column("sequence", "int64", "The next number in the order of entering the scheduling queue."),
    Column("decisions", "int64", "Bindings made so far.", "pods"),
    Column("attempts", "int64", "Scheduling attempts made so far."),
    Column("arrived_pods", "int64", "Pods that have arrived.", "pods"),
    Column("running_pods", "int64", "Pods that are bound and have not ended.", "pods"),
    Column("waiting_pods", "int64", "Pods that have arrived and are neither bound nor gone.", "pods"),
    Column("ended_pods", "int64", "Pods that ran and ended.", "pods"),
    Column("failed_pods", "int64", "Pods whose recorded end came while they waited.", "pods"),
    Column("refused_pods", "int64", "Pods dropped for good since they did not fit.", "pods"),
    Column("arrived_gpu_milli", "int64", "Device shares that arrived pods have asked for.", "milli"),
    Column("used_gpu_milli", "int64", "Device shares in use.", "milli"),
    Column("scheduler_us", "int64", "Virtual time that a scheduling decision takes.", "us"),
    Column("scheduler_free_us", "int64", "When the scheduler is done with the pod it is trying.", "us"),
    Column("pod_in_flight", "int64", "The pod that the scheduler is trying.", default=-1),
    Column("node_in_flight", "int64", "The node chosen for the pod in flight.", default=-1),
    Column("events", "int64", "Events that the queue has yet to be told of."),
    Column("woken_in_flight", "int64", "1 when an event may help the pod in flight, which found no node."),
    Column(
        "next_flush_us", "int64", "When the back-off queue is flushed next; the largest int64 when it is empty.", "us"
    ),
    Column("next_leftover_us", "int64", "When long-resting pods are looked at next.", "us"),
    Column("evicted_pods", "int64", "Pods that were evicted.", "pods"),
    Column("held_pods", "int64", "Pods that wait outside the queue: scheduling gates, or no profile.", "pods"),
    Column("nominated", "int64", "Pods that wait for a node cleared for them."),
    Column("stamp", "int64", "Passes over domains made so far."),
    Column("start_node", "int64", "Where in the search order the next search begins."),
    Column(
        "preemption", "int64",
        "The best node of the present preemption, broken budgets, highest priority, sum of priorities, victims, start.",
        dims=("criteria",),
    ),
    Column("evictions", "int64", "Evictions so far.", "pods"),
    Column("summed", "int64", "1 when the latest totals are in scan_sums, rejections by domain included."),
    Column("log_head", "int64", "Node changes logged so far."),
    Column("memo_next", "int64", "The memo slot that is handed out next."),
    Column("work", "int64", "Work units done in the present call; bounds its length."),
    Column("seed", "uint64", "Seed of the draws among equal scores."),
)
