"""The headline numbers in one place: name, unit, meaning, and which direction is better."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """A headline number; ``*`` in its name stands for a resource.

    ``better`` is ``lower``, ``higher``, or empty where neither is.
    """

    name: str
    unit: str
    about: str
    better: str = ""


METRICS = (
    Metric("pods_arrived", "pods", "that arrived in the run"),
    Metric("pods_placed", "pods", "bound to a node at some time", "higher"),
    Metric("unplaced_pods", "pods", "arrived and never bound", "lower"),
    Metric("unplaced_percent", "%", "never bound, of the arrived pods", "lower"),
    Metric("oversized_pods", "pods", "unplaced that no node could hold, even empty", "lower"),
    Metric("running_pods", "pods", "running at the end"),
    Metric("succeeded_pods", "pods", "that ended"),
    Metric("failed_pods", "pods", "whose recorded end came while they waited", "lower"),
    Metric("waiting_pods", "pods", "still waiting at the end", "lower"),
    Metric("refused_pods", "pods", "dropped for good", "lower"),
    Metric("attempts", "", "times the scheduler tried a pod"),
    *(
        Metric(f"wait_{name}_seconds", "s", f"{about} of placed pods", "lower")
        for name, about in (
            ("p50", "50th percentile of the waits"),
            ("p90", "90th percentile of the waits"),
            ("p99", "99th percentile of the waits"),
            ("p999", "99.9th percentile of the waits"),
            ("max", "longest wait"),
        )
    ),
    Metric("wait_open_max_seconds", "s", "longest wait of a pod that still waits at the end", "lower"),
    Metric("waited_pods", "pods", "placed later than they arrived", "lower"),
    Metric("waiting_peak_pods", "pods", "most pods waiting at a moment", "lower"),
    Metric("waiting_pod_hours", "pod-hours", "waited by all pods", "lower"),
    Metric("peak_*_percent", "%", "most requested in a sample, of allocatable", "lower"),
    Metric("mean_*_percent", "%", "requested on average over the samples"),
    Metric("end_*_percent", "%", "requested in the last sample"),
    Metric("stranded_*_percent", "%", "free behind another full resource", "lower"),
    Metric("fragmented_gpu_percent", "%", "fragmented at the end, of all device share", "lower"),
    Metric("fragmented_idle_gpu_percent", "%", "fragmented at the end, of the idle device share", "lower"),
    Metric("fragmented_gpu_peak_percent", "%", "most fragmented, of all device share", "lower"),
    Metric("node_hours", "node-hours", "in all"),
    Metric("free_node_hours", "node-hours", "free beside pods"),
    Metric("idle_node_hours", "node-hours", "without any pod"),
    Metric("nodes", "nodes", "in all"),
    Metric("nodes_used", "nodes", "that ever held a pod", "lower"),
    Metric("idle_node_percent", "%", "of node time without any pod"),
    Metric("more_nodes", "nodes", "upper estimate that would hold the unplaced pods", "lower"),
    Metric("rollouts_finished", "rollouts", "that finished"),
    Metric("rollouts_unfinished", "rollouts", "that did not finish", "lower"),
    Metric("rollouts_bounds_broken", "rollouts", "that had too few available pods, or too many pods", "lower"),
    Metric("rollout_longest_seconds", "s", "longest rollout that finished", "lower"),
    Metric("startup_mean_seconds", "s", "mean start-up of a pod", "lower"),
    Metric("startup_p99_seconds", "s", "99th percentile of the start-ups, estimated", "lower"),
    Metric("startup_largest_step_seconds", "s", "part of the mean start-up that its largest step took", "lower"),
    Metric("restarts", "restarts", "of containers", "lower"),
    Metric("evictions_refused", "evictions", "that disruption budgets refused"),
    Metric("controller_calls", "calls", "of the API server by controllers", "lower"),
    Metric("controller_errors", "errors", "of controllers' passes, each tried again", "lower"),
    Metric("programming_p50_seconds", "s", "until nodes' rules have a change, half of all", "lower"),
    Metric("programming_p99_seconds", "s", "until nodes' rules have a change, 99 of 100", "lower"),
    Metric("programming_longest_seconds", "s", "until the last node's rules have a change, the longest", "lower"),
    Metric("proxy_cores_per_node", "cores", "of kube-proxy's syncs on an average node", "lower"),
    Metric("connections", "connections", "over Services"),
    Metric("connections_refused", "connections", "for which a node's rules had no endpoint", "lower"),
    Metric("connections_astray", "connections", "that rules sent to pods that should get none", "lower"),
    Metric("connections_cut", "connections", "that were open when their pod ended", "lower"),
    Metric("black_hole_longest_seconds", "s", "that some node's rules had a pod too long, the longest", "lower"),
    Metric("horizon_seconds", "s", "virtual time at the end"),
    Metric("scheduler_us_per_pod", "us", "virtual time that a decision took"),
    Metric("run_pods_per_second", "pods/s", "speed of the simulation itself", "higher"),
    Metric("run_time_ratio", "", "seconds of simulating, over those of a reference kernel", "lower"),
)


def find(name: str) -> Metric | None:
    """Return the metric of this name; an exact name wins over a pattern."""
    exact = next((metric for metric in METRICS if metric.name == name), None)
    return exact or next((metric for metric in METRICS if fnmatch.fnmatchcase(name, metric.name)), None)
