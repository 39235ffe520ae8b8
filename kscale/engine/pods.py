"""A pod's life, compiled: arrive, take room, be bound, start, end, give the room back, go to the ledger.

States of ``pod_state``:

    arrive -> QUEUED -> (IN_FLIGHT) -> RUNNING -> ended
                 ^          |
                 +-- RESTING (found no node, waits for an event)

A pod whose recorded end comes while it waits is GONE: it is done, but a heap still holds its row. So is one that was
EVICTED before its end. A pod that is HELD (scheduling gates, or no profile takes it) never enters the queue.
With controllers, a pod that has ended may stay as an object, FINISHED, until its owner's controller deletes it; and the
row of one that is deleted, REMOVED, is used again when controllers have seen that it is gone.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from kscale.composer import Composer
from kscale.engine.clock import FREE
from kscale.engine.lists import link, unlink
from kscale.engine.outputs import STATUSES
from kscale.kernels import hot, inlined, kernel, plain
from kscale.vectors import natural

UNUSED, QUEUED, IN_FLIGHT, RESTING_STATE, RUNNING, GONE, EVICTED, HELD, REMOVED, FINISHED = range(10)
(
    STATUS_RUNNING, STATUS_SUCCEEDED, STATUS_FAILED, STATUS_WAITING, STATUS_REFUSED, STATUS_EVICTED, STATUS_DELETED,
    STATUS_LOST,
) = range(len(STATUSES))  # fmt: skip
#: A start time that is not known.
UNKNOWN_START = 1 << 62


@hot
def admit(
    pod_trace_row: Any, pod_template: Any, pod_arrived_us: Any, pod_duration_us: Any, pod_end_us: Any,
    pod_begun_us: Any, arrival_time_us: Any, arrival_template: Any, arrival_duration_us: Any, arrival_end_us: Any,
    arrival_trace_row: Any, arrival_begun_us: Any,
    queue_free: Any, queue_size: Any, cluster_arrivals_cursor: Any,
) -> int:  # fmt: skip
    """Give the next arrival a row and return it."""
    arrival = natural(cluster_arrivals_cursor[0])
    cluster_arrivals_cursor[0] += 1
    queue_size[FREE] -= 1
    pod = natural(queue_free[natural(queue_size[FREE])])
    pod_trace_row[pod] = arrival_trace_row[arrival]
    pod_template[pod] = arrival_template[arrival]
    pod_arrived_us[pod] = arrival_time_us[arrival]
    pod_duration_us[pod] = arrival_duration_us[arrival]
    pod_end_us[pod] = arrival_end_us[arrival]
    pod_begun_us[pod] = arrival_begun_us[arrival]
    return pod


@kernel
def renew(
    lost: int, trace_row: int, now_us: int, pod_trace_row: Any, pod_template: Any, pod_arrived_us: Any,
    pod_duration_us: Any, pod_end_us: Any, pod_begun_us: Any, queue_free: Any, queue_size: Any,
) -> int:  # fmt: skip
    """Give a row to the pod that takes the place of ``lost``, and return it; it may be the row of the lost one."""
    queue_size[FREE] -= 1
    pod = natural(queue_free[natural(queue_size[FREE])])
    pod_trace_row[pod], pod_arrived_us[pod] = trace_row, now_us
    pod_template[pod], pod_begun_us[pod] = pod_template[lost], pod_begun_us[lost]
    pod_duration_us[pod], pod_end_us[pod] = pod_duration_us[lost], pod_end_us[lost]
    return pod


@hot
def reset(
    pod: int,
    pod_node: Any, pod_devices: Any, pod_decision: Any, pod_failed_us: Any, pod_bound_us: Any, pod_started_us: Any,
    pod_ended_us: Any, pod_attempts: Any, pod_unschedulable_count: Any, pod_backoff_us: Any, pod_diagnosis: Any,
    pod_nominated: Any, pod_victims: Any, pod_preemptor: Any, pod_eviction: Any,
) -> None:  # fmt: skip
    """Clear what the row's last pod has left."""
    pod_nominated[pod], pod_victims[pod], pod_preemptor[pod], pod_eviction[pod] = -1, 0, -1, -1
    pod_node[pod], pod_devices[pod], pod_decision[pod] = -1, np.uint64(0), -1
    pod_failed_us[pod], pod_bound_us[pod], pod_started_us[pod], pod_ended_us[pod] = -1, -1, -1, -1
    pod_attempts[pod], pod_unschedulable_count[pod], pod_backoff_us[pod], pod_diagnosis[pod] = 0, 0, 0, -1


@hot
def count_arrival(
    template: int,
    template_request: Any, template_device_count: Any, template_device_milli: Any, resource_arrived: Any,
    cluster_arrived_pods: Any, cluster_waiting_pods: Any, cluster_arrived_gpu_milli: Any,
) -> None:  # fmt: skip
    """Count a pod that has arrived, and what it asks for."""
    cluster_arrived_pods[0] += 1
    cluster_waiting_pods[0] += 1
    cluster_arrived_gpu_milli[0] += template_device_count[template] * template_device_milli[template]
    for resource in range(template_request.shape[1]):
        resource_arrived[resource] += template_request[template, resource]


@hot
def take_resources(
    template: int, node: int, sign: int,
    template_request: Any, template_nonzero_request: Any, node_requested: Any, node_nonzero_requested: Any,
    node_left: Any, node_requested_double: Any, node_nonzero_requested_double: Any, resource_requested: Any,
) -> None:  # fmt: skip
    """Add (sign 1) or take off (-1) the pod's requests in both books of the node."""
    for resource in range(template_request.shape[1]):
        amount = template_request[template, resource]
        counted = template_nonzero_request[template, resource]
        if amount == 0 and counted == 0:
            continue
        requested = node_requested[resource, node] + sign * amount
        nonzero = node_nonzero_requested[resource, node] + sign * counted
        node_requested[resource, node] = requested
        node_left[resource, node] -= sign * amount
        node_nonzero_requested[resource, node] = nonzero
        node_requested_double[resource, node] = float(requested)
        node_nonzero_requested_double[resource, node] = float(nonzero)
        resource_requested[resource] += sign * amount


@kernel
def take_devices(
    devices: int, milli: int, node: int, sign: int,
    node_device_count: Any, node_device_free: Any, node_device_free_total: Any, cluster_used_gpu_milli: Any,
) -> None:  # fmt: skip
    """Take (sign 1) or give back (-1) ``milli`` of each device of the bit set."""
    for device in range(node_device_count[node]):
        if (devices >> np.uint64(device)) & np.uint64(1) != np.uint64(0):
            node_device_free[node, device] -= sign * milli
            node_device_free_total[node] -= sign * milli
            cluster_used_gpu_milli[0] += sign * milli


@hot
def log_change(
    node: int, now_us: int, sign: int, node_requested: Any, node_requested_peak: Any, node_bound_pods: Any,
    node_idle_us: Any, node_idle_since_us: Any, node_changed_at: Any, memo_log: Any, cluster_log_head: Any,
) -> None:  # fmt: skip
    """Note the node's peaks, count its pods and its idle time, and log that it changed."""
    if sign > 0:
        for resource in range(node_requested.shape[0]):
            if node_requested[resource, node] > node_requested_peak[resource, node]:
                node_requested_peak[resource, node] = node_requested[resource, node]
    node_bound_pods[node] += sign
    if sign > 0 and node_idle_since_us[node] >= 0:
        node_idle_us[node] += now_us - node_idle_since_us[node]
        node_idle_since_us[node] = -1
    elif sign < 0 and node_bound_pods[node] == 0:
        node_idle_since_us[node] = now_us
    head = cluster_log_head[0]
    memo_log[natural(head & (len(memo_log) - 1))] = node
    node_changed_at[node] = head
    cluster_log_head[0] = head + 1


@inlined
def more_important(a: int, b: int, pod_template: Any, pod_begun_us: Any, template_priority: Any) -> bool:
    """Tell whether a pod is the more important one: by priority, then by an earlier start."""
    priority_a, priority_b = template_priority[pod_template[a]], template_priority[pod_template[b]]
    return priority_a > priority_b or (priority_a == priority_b and pod_begun_us[a] < pod_begun_us[b])


@hot
def join_node(
    pod: int, node: int, pod_node_next: Any, pod_node_previous: Any, pod_template: Any, pod_begun_us: Any,
    template_priority: Any, node_first_pod: Any, node_last_pod: Any,
) -> None:  # fmt: skip
    """Put the pod into the node's list of pods: the most important first, of equals those that came first."""
    before = node_last_pod[node]
    while before >= 0 and more_important(pod, before, pod_template, pod_begun_us, template_priority):
        before = pod_node_previous[before]
    link(pod, before, pod_node_next, pod_node_previous, node_first_pod, node_last_pod, node)


@hot
def leave_node(
    pod: int, node: int, pod_node_next: Any, pod_node_previous: Any, node_first_pod: Any, node_last_pod: Any
) -> None:
    """Take the pod out of the node's list of pods."""
    unlink(pod, pod_node_next, pod_node_previous, node_first_pod, node_last_pod, node)


@hot
def bind(
    pod: int, node: int, now_us: int,
    pod_state: Any, pod_node: Any, pod_decision: Any, pod_bound_us: Any, pod_started_us: Any, pod_duration_us: Any,
    pod_begun_us: Any, cluster_decisions: Any, cluster_running_pods: Any, cluster_waiting_pods: Any,
) -> int:  # fmt: skip
    """Bind the pod; it starts at once. Return when its duration ends, or -1."""
    if pod_begun_us[pod] >= UNKNOWN_START:
        pod_begun_us[pod] = now_us
    pod_state[pod] = RUNNING
    pod_node[pod] = node
    pod_decision[pod] = cluster_decisions[0]
    cluster_decisions[0] += 1
    pod_bound_us[pod], pod_started_us[pod] = now_us, now_us
    cluster_running_pods[0] += 1
    cluster_waiting_pods[0] -= 1
    return now_us + pod_duration_us[pod] if pod_duration_us[pod] >= 0 else -1


@kernel
def start_bound(
    pod: int, node: int, now_us: int,
    pod_state: Any, pod_node: Any, pod_bound_us: Any, pod_started_us: Any, pod_duration_us: Any,
    cluster_running_pods: Any, cluster_waiting_pods: Any,
) -> int:  # fmt: skip
    """Take in a pod that was bound before the run. Return when its duration ends, or -1."""
    pod_state[pod] = RUNNING
    pod_node[pod] = node
    pod_bound_us[pod], pod_started_us[pod] = now_us, now_us
    cluster_running_pods[0] += 1
    cluster_waiting_pods[0] -= 1
    return now_us + pod_duration_us[pod] if pod_duration_us[pod] >= 0 else -1


@hot
def to_ledger(
    pod: int, status: int,
    pod_trace_row: Any, pod_node: Any, pod_devices: Any, pod_decision: Any, pod_failed_us: Any, pod_bound_us: Any,
    pod_started_us: Any, pod_ended_us: Any, pod_attempts: Any, pod_diagnosis: Any, pod_victims: Any,
    pod_preemptor: Any, pod_eviction: Any,
    ledger_trace_row: Any, ledger_status: Any, ledger_node: Any, ledger_devices: Any, ledger_decision: Any,
    ledger_failed_us: Any, ledger_bound_us: Any, ledger_started_us: Any, ledger_ended_us: Any, ledger_attempts: Any,
    ledger_diagnosis: Any, ledger_victims: Any, ledger_preemptor: Any, ledger_eviction: Any, ledger_rows: Any,
) -> None:  # fmt: skip
    """Copy the pod to the ledger's buffer."""
    row = natural(ledger_rows[0])
    ledger_rows[0] += 1
    ledger_trace_row[row] = pod_trace_row[pod]
    ledger_status[row] = status
    ledger_node[row] = pod_node[pod]
    ledger_devices[row] = pod_devices[pod]
    ledger_decision[row] = pod_decision[pod]
    ledger_failed_us[row] = pod_failed_us[pod]
    ledger_bound_us[row] = pod_bound_us[pod]
    ledger_started_us[row] = pod_started_us[pod]
    ledger_ended_us[row] = pod_ended_us[pod]
    ledger_attempts[row] = pod_attempts[pod]
    ledger_diagnosis[row] = pod_diagnosis[pod]
    ledger_victims[row] = pod_victims[pod]
    ledger_preemptor[row] = pod_preemptor[pod]
    ledger_eviction[row] = pod_eviction[pod]


@hot
def free_row(pod: int, pod_state: Any, queue_free: Any, queue_size: Any) -> None:
    """Make the pod's row free for another."""
    pod_state[pod] = UNUSED
    queue_free[natural(queue_size[FREE])] = pod
    queue_size[FREE] += 1


@kernel
def record(
    now_us: int, devices: int, cluster_arrived_pods: Any, cluster_running_pods: Any, cluster_waiting_pods: Any,
    cluster_arrived_gpu_milli: Any, cluster_used_gpu_milli: Any, resource_requested: Any,
    node_fragmented_gpu_milli: Any, timeline_time_us: Any, timeline_arrived_pods: Any, timeline_running_pods: Any,
    timeline_waiting_pods: Any, timeline_requested: Any, timeline_arrived_gpu_milli: Any, timeline_used_gpu_milli: Any,
    timeline_fragmented_gpu_milli: Any, timeline_rows: Any,
) -> None:  # fmt: skip
    """Write one row of the timeline. The fragmented share is added up anew, so that no error gathers."""
    row = timeline_rows[0]
    timeline_rows[0] += 1
    timeline_time_us[row] = now_us
    timeline_arrived_pods[row] = cluster_arrived_pods[0]
    timeline_running_pods[row] = cluster_running_pods[0]
    timeline_waiting_pods[row] = cluster_waiting_pods[0]
    for resource in range(len(resource_requested)):
        timeline_requested[row, resource] = resource_requested[resource]
    timeline_arrived_gpu_milli[row] = cluster_arrived_gpu_milli[0]
    timeline_used_gpu_milli[row] = cluster_used_gpu_milli[0]
    total = 0.0
    for node in range(len(node_fragmented_gpu_milli) if devices != 0 else 0):
        total += node_fragmented_gpu_milli[node]
    timeline_fragmented_gpu_milli[row] = total


def define(composer: Composer) -> None:
    """Add the kernels of a pod's life."""
    for function in (
        admit, reset, count_arrival, take_resources, take_devices, log_change, join_node, leave_node, bind,
        start_bound, to_ledger, free_row, record, renew,
    ):  # fmt: skip
        composer.use(plain(function).__name__, function)
