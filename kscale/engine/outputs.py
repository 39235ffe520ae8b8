"""The data dictionary: every column of every table of a run folder, with unit and meaning."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl


@dataclass(frozen=True)
class Output:
    """One column of an output table; ``*`` in the name stands for a resource.

    Attributes:
        name: column name in the Parquet file.
        dtype: polars data type.
        doc: what it means.
        unit: unit of its values.
    """

    name: str
    dtype: pl.DataType | type[pl.DataType]
    doc: str
    unit: str = ""


#: Words that ``pods.status`` may hold, in the order of their codes.
STATUSES = ("running", "succeeded", "failed", "waiting", "refused", "evicted", "deleted", "lost")
#: Words that ``events.kind`` may hold, in the order of their codes.
EVENT_KINDS = (
    "Arrived", "FailedScheduling", "Refused", "Scheduled", "Started", "Succeeded", "Deleted", "Evicted", "Failed",
    "Lost", "NodeJoined", "NodeLeft", "NodeUpdated", "NodeCordoned", "NodeUncordoned",
)  # fmt: skip

OUTPUTS: dict[str, tuple[Output, ...]] = {
    "pods": (
        Output(
            "name",
            pl.String,
            "Name of the pod; clones end in ~1, ~2 …, those in the place of a lost one in ~r1 …",
        ),
        Output("namespace", pl.String, "Namespace of the pod."),
        Output(
            "status",
            pl.Enum(STATUSES),
            "State at the end of the run. failed: its recorded end came while it waited, or a container of it ended "
            "badly and was not to be restarted. deleted: it was asked to go. "
            "refused: dropped for good since it did not fit (--inflate). "
            "evicted: it ran, and was removed to make room for a pod of higher priority. "
            "lost: its node left while it ran.",
        ),
        Output("node", pl.String, "Node it was bound to; null if never."),
        Output("devices", pl.List(pl.UInt8), "Devices (GPUs) it held on its node, by index."),
        Output("decision", pl.Int64, "Order of binding, from 0; null if never bound."),
        Output(
            "arrived_us",
            pl.Int64,
            "When it arrived; pods that had not arrived at the end of the run are left out.",
            "us of virtual time",
        ),
        Output("bound_us", pl.Int64, "When it was bound; null if never.", "us of virtual time"),
        Output("started_us", pl.Int64, "When it started; null if never.", "us of virtual time"),
        Output("ended_us", pl.Int64, "When it ended, was evicted or lost; null if it did not.", "us of virtual time"),
        Output("attempts", pl.Int64, "Times the scheduler tried it."),
        Output("reason", pl.String, "Why it did not fit when it was last found not to; null if it never failed."),
        Output("first_failed_us", pl.Int64, "When it was first found not to fit; null if never.", "us of virtual time"),
        Output("template", pl.Int32, "Row of templates.parquet."),
        Output(
            "preempted_by",
            pl.String,
            "The pod that it was evicted for, as namespace/name; null if it was not. With kubelets, one that "
            "still runs is in its grace period.",
        ),
        Output("victims", pl.Int64, "Pods that were evicted to make room for it.", "pods"),
    ),
    "timeline": (
        Output("time_us", pl.Int64, "Virtual time of the sample.", "us"),
        Output("arrived_pods", pl.Int64, "Pods that had arrived.", "pods"),
        Output("running_pods", pl.Int64, "Pods bound and not ended.", "pods"),
        Output("waiting_pods", pl.Int64, "Pods arrived and not bound, refused, evicted or gone.", "pods"),
        Output("allocatable_*", pl.Int64, "Allocatable over all nodes there.", "milli for cpu, bytes, else counts"),
        Output("requested_*", pl.Int64, "Requested by bound pods over all nodes.", "milli for cpu, bytes, else counts"),
        Output(
            "arrived_gpu_milli", pl.Int64, "Device share that arrived pods have asked for, refused ones too.", "milli"
        ),
        Output("used_gpu_milli", pl.Int64, "Device share in use.", "milli"),
        Output("idle_gpu_milli", pl.Int64, "Device share not in use.", "milli"),
        Output(
            "fragmented_gpu_milli",
            pl.Float64,
            "Idle device share that a typical pod could not use, unrounded.",
            "milli",
        ),
    ),
    "nodes": (
        Output("name", pl.String, "Name of the node."),
        Output("group", pl.Int32, "Row group of node_timeline."),
        Output("joined_us", pl.Int64, "When its stay began; null if it never joined.", "us"),
        Output("left_us", pl.Int64, "When its stay ended; null if it is there at the end of the run.", "us"),
        Output("present_us", pl.Int64, "How long it was there: its stay may have gaps.", "us"),
        Output("device_model", pl.String, "Model of its devices; null where it has none."),
        Output("devices", pl.Int64, "Devices on it.", "devices"),
        Output("pods_bound", pl.Int64, "Pods bound to it over its stay.", "pods"),
        Output("allocatable_*", pl.Int64, "Allocatable.", "milli for cpu, bytes, else counts"),
        Output(
            "requested_mean_*",
            pl.Float64,
            "Mean over its stay of the sum of requests.",
            "milli for cpu, bytes, else counts",
        ),
        Output("requested_peak_*", pl.Int64, "Largest sum of requests.", "milli for cpu, bytes, else counts"),
        Output(
            "requested_end_*", pl.Int64, "Sum of requests at the end of the run.", "milli for cpu, bytes, else counts"
        ),
        Output("used_gpu_milli_mean", pl.Float64, "Mean device share in use.", "milli"),
        Output("used_gpu_milli_end", pl.Int64, "Device share in use at the end of the run.", "milli"),
        Output(
            "fragmented_gpu_milli_end",
            pl.Float64,
            "Idle device share that a typical pod could not use at the end.",
            "milli",
        ),
        Output("idle_share", pl.Float64, "Share of its stay without any pod.", "0 to 1"),
    ),
    "node_timeline": (
        Output("time_us", pl.Int64, "Virtual time of the sample.", "us"),
        Output("group", pl.Int32, "Group of nodes: nodes of one pool, in the order of the node list."),
        Output("pool", pl.String, "What the nodes of the group have in common: their shape."),
        Output("nodes", pl.Int32, "Nodes of the group that are there.", "nodes"),
        Output("bound_pods", pl.Int64, "Pods bound to them.", "pods"),
        Output("allocatable_*", pl.Int64, "Allocatable over the group.", "milli for cpu, bytes, else counts"),
        Output("requested_*", pl.Int64, "Requested over the group.", "milli for cpu, bytes, else counts"),
        Output("allocatable_gpu_milli", pl.Int64, "Device share of the group.", "milli"),
        Output("used_gpu_milli", pl.Int64, "Device share in use in the group.", "milli"),
    ),
    "events": (
        Output("time_us", pl.Int64, "When it happened.", "us of virtual time"),
        Output(
            "kind",
            pl.Enum(EVENT_KINDS),
            "What happened: a change of state of a pod or a node. Failed: a container of it ended badly and was not to "
            "be restarted. Deleted: it was asked to go, or its recorded end came while it waited. Lost: its node left.",
        ),
        Output("object", pl.String, "The pod, as namespace/name; the node's name where a node changes."),
        Output("node", pl.String, "The node; null where none is concerned."),
        Output("reason", pl.String, "Why a pod did not fit; null for other kinds."),
    ),
    "templates": (
        Output("template", pl.Int32, "Index of the template: a distinct pod spec."),
        Output("spec", pl.String, "What its pods ask for, in words."),
        Output("request_*", pl.Int64, "Request per pod; null when not stated.", "milli for cpu, bytes, else counts"),
        Output("gpu_count", pl.Int64, "Devices per pod.", "devices"),
        Output("gpu_milli", pl.Int64, "Share of each device.", "milli"),
        Output("pods", pl.Int64, "Pods of this template that arrived.", "pods"),
        Output("placed", pl.Int64, "Pods of it that were bound at some time.", "pods"),
        Output("unplaced", pl.Int64, "Pods of it that were never bound.", "pods"),
        Output(
            "reason",
            pl.String,
            "Why its next pod would not fit at the end of the run; null if it would, or all were placed.",
        ),
        Output(
            "nearest_node", pl.String, "The node nearest to a fit: the one that lacks least, relative to what it has."
        ),
        Output("nearest_lacks", pl.String, "What that node lacks."),
    ),
}

#: What of traffic goes wrong.
_LOST = (
    Output("terminating", pl.Int64, "Those sent to a pod whose deletion was asked for, that runs yet: it may serve "
           "them.", "connections"),
    Output("not_ready", pl.Int64, "Those sent to a pod that runs and is not ready.", "connections"),
    Output("gone", pl.Int64, "Those sent to a pod that does not run any more.", "connections"),
    Output("cut", pl.Int64, "Those that were open when their pod ended.", "connections"),
)  # fmt: skip
#: Tables of runs with controllers, beside the others.
LIVING_OUTPUTS: dict[str, tuple[Output, ...]] = {
    "rollouts": (
        Output("time_us", pl.Int64, "When controllers were shown the change.", "us of virtual time"),
        Output("kind", pl.String, "Kind of the object."),
        Output("namespace", pl.String, "Namespace of the object."),
        Output("name", pl.String, "Name of the object."),
        Output("wanted", pl.Int64, "Pods asked for; of an autoscaler, the pods that it asks for.", "pods"),
        Output("pods", pl.Int64, "Pods that there are, those that are being deleted left out.", "pods"),
        Output("updated", pl.Int64, "Pods of the latest template.", "pods"),
        Output("ready", pl.Int64, "Ready pods.", "pods"),
        Output("available", pl.Int64, "Available pods: ready for long enough.", "pods"),
        Output("most", pl.Int64, "The most pods that the rollout may have; of an autoscaler, maxReplicas.", "pods"),
        Output("least", pl.Int64, "The fewest available pods that it may have; of an autoscaler, minReplicas.", "pods"),
        Output("load", pl.Int64, "What an autoscaler's target was asked to do.", "milli cpu"),
    ),
    "objects": (
        Output("kind", pl.String, "Kind of the object."),
        Output("namespace", pl.String, "Namespace of the object."),
        Output("name", pl.String, "Name of the object."),
        Output("owner", pl.String, "What controls it, as kind/name; null where nothing does."),
        Output("created_us", pl.Int64, "When it was created.", "us of virtual time"),
        Output("pods", pl.Int64, "Active pods that it controls at the end of the run.", "pods"),
        Output("ready", pl.Int64, "Ready ones.", "pods"),
        Output("available", pl.Int64, "Available ones.", "pods"),
        Output("succeeded", pl.Int64, "Pods of it that ended well.", "pods"),
        Output("failed", pl.Int64, "Pods of it that failed.", "pods"),
        Output("restarts", pl.Int64, "Restarts of containers of its pods."),
        Output("refused", pl.Int64, "Evictions that it refused, where it is a disruption budget; else null."),
        Output("refused_pods", pl.Int64, "Creations of its pods that the API server refused (FailedCreate).", "pods"),
        Output("refused_reason", pl.String, "Why the last of these creations was refused; null where none was."),
        Output("refusal", pl.String, "Why a Service has no address or node port at the end of the run; else null."),
    ),
    "startup": (
        Output("step", pl.String, "A step of a pod's start."),
        Output("pods", pl.Int64, "Pods that went through it.", "pods"),
        Output("total_us", pl.Int64, "Time that they spent in it, added up.", "us of virtual time"),
        Output(
            "histogram",
            pl.List(pl.Int64),
            "Pods by how long it took: below 1 ms, then from each power of two of milliseconds to the next.",
            "pods",
        ),
    ),
    "actions": (
        Output("time_us", pl.Int64, "When it happened.", "us of virtual time"),
        Output("action", pl.Int64, "Number of the action in its scenario file, from 1."),
        Output("words", pl.String, "What was done."),
    ),
    "network": (
        Output("time_us", pl.Int64, "Begin of the interval.", "us of virtual time"),
        Output("mode", pl.String, "Mode of the kube-proxies."),
        Output("changes", pl.Int64, "Writes of slices and Services in it."),
        Output(
            "mean_us", pl.Int64, "From what happened until nodes' rules have it: the mean of these, over nodes.", "us"
        ),
        Output("p50_us", pl.Int64, "The same, half of them; at most 1 ms above (1.05 s above 268 s).", "us"),
        Output("p90_us", pl.Int64, "The same, 90 of 100.", "us"),
        Output("p99_us", pl.Int64, "The same, 99 of 100.", "us"),
        Output("most_us", pl.Int64, "The same, the longest.", "us"),
        Output("syncs", pl.Int64, "Syncs of all nodes, as far as they were decided by the end of the interval."),
        Output("full_syncs", pl.Int64, "Those of them that wrote or looked through everything."),
        Output("cpu_us", pl.Int64, "CPU time of these syncs.", "us"),
    ),
    "network_changes": (
        Output("written_us", pl.Int64, "When a slice or a Service was written.", "us of virtual time"),
        Output("happened_us", pl.Int64, "When the first of what it tells of happened.", "us of virtual time"),
        Output("namespace", pl.String, "Namespace of the Service."),
        Output("service", pl.String, "Name of the Service."),
        Output(
            "endpoints",
            pl.Int64,
            "Endpoints that came, went, or are otherwise than before; 0 of a Service.",
            "endpoints",
        ),
        Output("measured", pl.Boolean, "Whether kube-proxy's metric counts it: a pod's readiness changed."),
        Output("p50_us", pl.Int64, "From happened_us until half of the nodes have it in their rules.", "us"),
        Output("p99_us", pl.Int64, "Until 99 of 100 nodes have it.", "us"),
        Output("most_us", pl.Int64, "Until the last node has it.", "us"),
        Output("mean_us", pl.Int64, "The mean over nodes.", "us"),
    ),
    "network_latencies": (
        Output(
            "le_us",
            pl.Int64,
            "Upper bound of a bucket of kubeproxy_network_programming_duration_seconds; null for the last one.",
            "us",
        ),
        Output("all", pl.Int64, "Changes on nodes whose latency is in it, each change on each node."),
        Output("metric", pl.Int64, "Those of them that the metric counts: a pod's readiness changed."),
    ),
    "network_quantiles": (
        Output("share", pl.Float64, "Share of all changes on all nodes.", "0 to 1"),
        Output("latency_us", pl.Int64, "Their latency is at most this; at most 1 ms above (1.05 s above 268 s).", "us"),
    ),
    "network_nodes": (
        Output("node", pl.String, "Name of the node."),
        Output("watch_us", pl.Int64, "From a write until its kube-proxy has the object, as it was drawn.", "us"),
        Output("syncs", pl.Int64, "Syncs of its kube-proxy."),
        Output("full_syncs", pl.Int64, "Those of them that wrote or looked through everything."),
        Output("cpu_us", pl.Int64, "CPU time of its syncs.", "us"),
    ),
    "traffic": (
        Output("time_us", pl.Int64, "Begin of the step.", "us of virtual time"),
        Output("namespace", pl.String, "Namespace of the Service."),
        Output("service", pl.String, "Name of the Service."),
        Output("connections", pl.Int64, "New connections, refused ones included.", "connections"),
        Output("refused", pl.Int64, "Those for which a node's rules had no endpoint.", "connections"),
        *_LOST,
        Output("open", pl.Int64, "Connections that are open at the end of the step.", "connections"),
        Output("endpoints", pl.Int64, "Endpoints that served all through the step and were in all rules.", "endpoints"),
        Output("most_over_mean", pl.Float64, "Connections to the one of these with most, over their mean."),
        Output("variation", pl.Float64, "Standard deviation of their connections, over the mean."),
        Output("jain", pl.Float64, "Jain's index of their connections: 1 is even."),
    ),
    "traffic_endpoints": (
        Output("namespace", pl.String, "Namespace of the Service."),
        Output("service", pl.String, "Name of the Service."),
        Output("pod", pl.String, "The pod behind it, as namespace/name."),
        Output("first_us", pl.Int64, "When slices first had it.", "us of virtual time"),
        Output(
            "last_us",
            pl.Int64,
            "When the last node's rules let go of it; null where some have it.",
            "us of virtual time",
        ),
        Output("connections", pl.Int64, "All connections that were sent to it.", "connections"),
        *_LOST,
    ),
    "traffic_stale": (
        Output("namespace", pl.String, "Namespace of the Service."),
        Output("service", pl.String, "Name of the Service."),
        Output("pod", pl.String, "A pod that should get nothing more, as namespace/name."),
        Output("why", pl.Enum(["terminating", "not ready", "gone"]), "What it was when that began."),
        Output("since_us", pl.Int64, "When that began.", "us of virtual time"),
        Output(
            "until_us",
            pl.Int64,
            "When the last node with clients took it out of its rules, or it served again; "
            "null where neither happened.",
            "us of virtual time",
        ),
        Output("nodes", pl.Int64, "Nodes with clients whose rules had it yet.", "nodes"),
        *_LOST,
    ),
    "controllers": (
        Output("name", pl.String, "Name of the controller."),
        Output("calls", pl.Int64, "Calls of the API server that it made."),
        Output("errors", pl.Int64, "Passes of a key that ended in an error, and were tried again."),
    ),
}
