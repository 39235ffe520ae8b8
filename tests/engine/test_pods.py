"""The kernels of a pod's life, each on bare columns."""

from __future__ import annotations

import numpy as np
import pytest

from kscale.engine import pods
from kscale.engine.clock import FREE
from kscale.engine.outputs import STATUSES
from kscale.engine.pods import RUNNING, UNUSED
from kscale.state.tables import Cluster
from tests.engine.columns import call, small


@pytest.fixture(params=[True, False], ids=["compiled", "plain"])
def compiled(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def test_states_and_statuses_are_told_apart() -> None:
    assert sorted([
        pods.UNUSED, pods.QUEUED, pods.IN_FLIGHT, pods.RESTING_STATE, pods.RUNNING, pods.GONE, pods.EVICTED, pods.HELD,
        pods.REMOVED, pods.FINISHED,
    ]) == list(range(10))  # fmt: skip
    assert [STATUSES[code] for code in (
        pods.STATUS_RUNNING, pods.STATUS_SUCCEEDED, pods.STATUS_FAILED, pods.STATUS_WAITING, pods.STATUS_REFUSED,
        pods.STATUS_EVICTED, pods.STATUS_DELETED, pods.STATUS_LOST,
    )] == ["running", "succeeded", "failed", "waiting", "refused", "evicted", "deleted", "lost"]  # fmt: skip


def test_an_arrival_takes_the_row_on_top_of_the_free_ones(compiled: bool) -> None:
    cluster = small()
    cluster.queue_free[:3], cluster.queue_size[FREE] = [7, 5, 2], 3
    cluster.arrival_time_us[1], cluster.arrival_template[1], cluster.arrival_trace_row[1] = 40, 2, 99
    cluster.arrival_duration_us[1], cluster.arrival_end_us[1], cluster.arrival_begun_us[1] = 6, 50, -8
    cluster.cluster_arrivals_cursor[0] = 1
    assert call(pods.admit, cluster, compiled=compiled) == 2
    assert cluster.queue_size[FREE] == 2
    assert cluster.cluster_arrivals_cursor[0] == 2
    row = {
        name: cluster.columns[f"pod_{name}"][2]
        for name in ("trace_row", "template", "arrived_us", "duration_us", "end_us", "begun_us")
    }
    assert row == {"trace_row": 99, "template": 2, "arrived_us": 40, "duration_us": 6, "end_us": 50, "begun_us": -8}
    assert (np.delete(cluster.pod_trace_row, 2) == -1).all()


def test_a_row_that_is_used_again_forgets_its_last_pod(compiled: bool) -> None:
    cluster, fresh = small(), small()
    names = [name for name in cluster.columns if name.startswith("pod_")]
    for name in names:
        cluster.columns[name][3] = 9
    call(pods.reset, cluster, 3, compiled=compiled)
    kept = {name for name in names if cluster.columns[name][3] == 9}
    # What an arrival, the queue or a node's list writes anew.
    assert kept == {
        "pod_trace_row",
        "pod_template",
        "pod_state",
        "pod_arrived_us",
        "pod_duration_us",
        "pod_end_us",
        "pod_begun_us",
        "pod_queued_us",
        "pod_queue_sequence",
        "pod_rests_for",
        "pod_rejectors",
        "pod_line",
        "pod_next",
        "pod_previous",
        "pod_node_next",
        "pod_node_previous",
    }
    for name in set(names) - kept:
        assert cluster.columns[name][3] == fresh.columns[name][3], name


def test_arrivals_are_counted_with_what_they_ask_for(compiled: bool) -> None:
    cluster = small()
    cluster.template_request[1] = [100, 200, 0, 1, 4]
    cluster.template_device_count[1], cluster.template_device_milli[1] = 4, 250
    for _ in range(2):
        call(pods.count_arrival, cluster, 1, compiled=compiled)
    assert (cluster.cluster_arrived_pods[0], cluster.cluster_waiting_pods[0]) == (2, 2)
    assert cluster.cluster_arrived_gpu_milli[0] == 2 * 4 * 250
    assert cluster.resource_arrived.tolist() == [200, 400, 0, 2, 8]


def books(cluster: Cluster) -> list[list[int]]:
    return [cluster.node_requested[:, 1].tolist(), cluster.node_nonzero_requested[:, 1].tolist(),
            (-cluster.node_left[:, 1]).tolist(), cluster.resource_requested.tolist()]  # fmt: skip


def test_room_is_taken_in_both_books_and_given_back(compiled: bool) -> None:
    cluster = small()
    cluster.template_request[0], cluster.template_nonzero_request[0] = [0, 5, 0, 1, 0], [100, 5, 0, 1, 0]
    cluster.template_request[2], cluster.template_nonzero_request[2] = [7, 1, 0, 1, 2], [7, 1, 0, 1, 2]
    call(pods.take_resources, cluster, 0, 1, 1, compiled=compiled)
    call(pods.take_resources, cluster, 2, 1, 1, compiled=compiled)
    total = [[7, 6, 0, 2, 2], [107, 6, 0, 2, 2], [7, 6, 0, 2, 2], [7, 6, 0, 2, 2]]
    assert books(cluster) == total
    call(pods.take_resources, cluster, 2, 1, -1, compiled=compiled)
    assert books(cluster) == [[0, 5, 0, 1, 0], [100, 5, 0, 1, 0], [0, 5, 0, 1, 0], [0, 5, 0, 1, 0]]
    for name in ("requested", "nonzero_requested"):
        assert np.array_equal(cluster.columns[f"node_{name}_double"], cluster.columns[f"node_{name}"].astype(float))
    call(pods.take_resources, cluster, 0, 1, -1, compiled=compiled)
    assert books(cluster) == [[0] * 5] * 4
    assert not cluster.node_requested.any()
    assert not cluster.node_requested_peak.any()  # room that is only tried leaves no peak


def test_peaks_stay(compiled: bool) -> None:
    cluster = small()
    for requested, sign in (([3, 5, 0, 1, 0], 1), ([7, 2, 0, 2, 0], 1), ([9, 9, 9, 9, 9], -1), ([1, 0, 0, 1, 4], 1)):
        cluster.node_requested[:, 1] = requested
        call(pods.log_change, cluster, 1, 0, sign, compiled=compiled)
    # What is there after a pod has come; nobody is looked at when one goes.
    assert cluster.node_requested_peak.T.tolist() == [[0] * 5, [7, 5, 0, 2, 4], [0] * 5]


def on_node(cluster: Cluster, node: int) -> list[int]:
    """Walk the list forward, and see that it is the same backward."""
    walks = []
    for start, step in (("node_first_pod", "pod_node_next"), ("node_last_pod", "pod_node_previous")):
        walks.append([])
        pod = int(cluster.columns[start][node])
        while pod >= 0:
            walks[-1].append(pod)
            pod = int(cluster.columns[step][pod])
    assert walks[0] == walks[1][::-1]
    return walks[0]


def test_a_node_lists_the_most_important_pods_first(compiled: bool) -> None:
    cluster = small()
    cluster.template_priority[:] = [5, 7, 5][: len(cluster.template_priority)]
    for pod, (template, begun) in enumerate([(0, 3), (0, 1), (1, 9), (0, 3), (0, 2)]):
        cluster.pod_template[pod], cluster.pod_begun_us[pod] = template, begun
    for pod, listed in ((0, [0]), (1, [1, 0]), (2, [2, 1, 0]), (3, [2, 1, 0, 3]), (4, [2, 1, 4, 0, 3])):
        call(pods.join_node, cluster, pod, 1, compiled=compiled)
        assert on_node(cluster, 1) == listed


def test_a_node_lists_equals_in_the_order_in_which_they_came(compiled: bool) -> None:
    cluster = small()
    for pod in (4, 1, 6):
        call(pods.join_node, cluster, pod, 2, compiled=compiled)
    call(pods.join_node, cluster, 5, 0, compiled=compiled)
    assert [on_node(cluster, node) for node in range(3)] == [[5], [], [4, 1, 6]]
    for gone, left in ((1, [4, 6]), (6, [4]), (4, [])):  # from the middle, the end, and the last of all
        call(pods.leave_node, cluster, gone, 2, compiled=compiled)
        assert on_node(cluster, 2) == left
    for pod in (6, 4):
        call(pods.join_node, cluster, pod, 2, compiled=compiled)
    call(pods.leave_node, cluster, 6, 2, compiled=compiled)  # the first
    assert [on_node(cluster, node) for node in range(3)] == [[5], [], [4]]


def test_devices_are_taken_by_bits_and_given_back(compiled: bool) -> None:
    cluster = small(device=64)
    cluster.node_device_count[2] = 64
    cluster.node_device_free[2, :] = 1000
    cluster.node_device_free_total[2] = 64_000
    bits = np.uint64((1 << 63) | 0b101)
    call(pods.take_devices, cluster, bits, 300, 2, 1, compiled=compiled)
    assert np.flatnonzero(cluster.node_device_free[2] == 700).tolist() == [0, 2, 63]
    assert cluster.node_device_free_total[2] == 64_000 - 900
    assert cluster.cluster_used_gpu_milli[0] == 900
    call(pods.take_devices, cluster, bits, 300, 2, -1, compiled=compiled)
    assert (cluster.node_device_free[2] == 1000).all()
    assert (cluster.node_device_free_total[2], cluster.cluster_used_gpu_milli[0]) == (64_000, 0)
    assert (cluster.node_device_free[:2] == -1).all()


def test_changes_are_logged_in_a_ring_and_idle_time_is_counted(compiled: bool) -> None:
    cluster = small(log=4)
    cluster.node_idle_since_us[:] = 0
    steps = [(1, 10, 1), (1, 15, 1), (1, 20, -1), (1, 30, -1), (1, 45, 1), (0, 50, 1)]
    for node, now_us, sign in steps:
        call(pods.log_change, cluster, node, now_us, sign, compiled=compiled)
    # Node 1 was empty from 0 to 10 and from 30 to 45, node 0 until 50.
    assert cluster.node_idle_us.tolist() == [50, 25, 0]
    assert cluster.node_idle_since_us.tolist() == [-1, -1, 0]
    assert cluster.node_bound_pods.tolist() == [1, 1, 0]
    # Six changes: the ring of four holds those numbered 4, 5, 2, 3.
    assert cluster.cluster_log_head[0] == 6
    assert cluster.memo_log.tolist() == [1, 0, 1, 1]
    assert cluster.node_changed_at.tolist() == [5, 4, -1]


def test_bindings_are_numbered_and_start_at_once(compiled: bool) -> None:
    cluster = small()
    cluster.cluster_waiting_pods[0] = 2
    cluster.pod_duration_us[4], cluster.pod_duration_us[6] = -1, 8
    assert call(pods.bind, cluster, 4, 1, 100, compiled=compiled) == -1  # never ends
    assert call(pods.bind, cluster, 6, 2, 100, compiled=compiled) == 108
    assert (cluster.pod_state[4], cluster.pod_node[4], cluster.pod_decision[4]) == (RUNNING, 1, 0)
    assert (cluster.pod_node[6], cluster.pod_decision[6]) == (2, 1)
    assert (cluster.pod_bound_us[6], cluster.pod_started_us[6]) == (100, 100)
    assert (cluster.cluster_running_pods[0], cluster.cluster_waiting_pods[0], cluster.cluster_decisions[0]) == (2, 0, 2)
    cluster.pod_duration_us[5] = 0
    assert call(pods.bind, cluster, 5, 0, 100, compiled=compiled) == 100  # lasts no time


def test_a_binding_is_the_start_where_no_other_is_known(compiled: bool) -> None:
    cluster = small()
    cluster.pod_begun_us[:3] = [pods.UNKNOWN_START, -70, 0]
    for pod in range(3):
        call(pods.bind, cluster, pod, 1, 100, compiled=compiled)
    assert cluster.pod_begun_us[:3].tolist() == [100, -70, 0]


def test_a_pod_that_was_bound_before_the_run_is_no_decision(compiled: bool) -> None:
    cluster = small()
    cluster.cluster_waiting_pods[0] = 2
    cluster.pod_duration_us[4], cluster.pod_duration_us[6], cluster.pod_begun_us[6] = -1, 8, -70
    assert call(pods.start_bound, cluster, 4, 1, 0, compiled=compiled) == -1
    assert call(pods.start_bound, cluster, 6, 2, 100, compiled=compiled) == 108
    assert (cluster.pod_state[6], cluster.pod_node[6], cluster.pod_begun_us[6]) == (RUNNING, 2, -70)
    assert (cluster.pod_bound_us[6], cluster.pod_started_us[6], cluster.pod_decision[6]) == (100, 100, -1)
    assert (cluster.cluster_running_pods[0], cluster.cluster_waiting_pods[0], cluster.cluster_decisions[0]) == (2, 0, 0)


def test_a_pod_that_is_done_goes_to_the_ledger_and_leaves_its_row(compiled: bool) -> None:
    cluster = small()
    fields = ("trace_row", "node", "devices", "decision", "failed_us", "bound_us", "started_us", "ended_us", "attempts",
              "diagnosis", "victims", "preemptor", "eviction")  # fmt: skip
    for value, name in enumerate(fields, 10):
        cluster.columns[f"pod_{name}"][5] = value
    cluster.pod_state[5], cluster.ledger_rows[0], cluster.queue_size[FREE] = RUNNING, 1, 2
    call(pods.to_ledger, cluster, 5, 3, compiled=compiled)
    assert cluster.ledger_rows[0] == 2
    assert [cluster.columns[f"ledger_{name}"][1] for name in fields] == list(range(10, 23))
    assert cluster.ledger_status[1] == 3
    call(pods.free_row, cluster, 5, compiled=compiled)
    assert cluster.pod_state[5] == UNUSED
    assert (cluster.queue_size[FREE], cluster.queue_free[2]) == (3, 5)


def test_a_row_of_the_timeline(compiled: bool) -> None:
    cluster = small()
    for value, name in enumerate(
        ("arrived_pods", "running_pods", "waiting_pods", "arrived_gpu_milli", "used_gpu_milli"), 1
    ):
        cluster.columns[f"cluster_{name}"][0] = value
    cluster.resource_requested[:] = [6, 7, 8, 9, 10]
    # Added up in the order of the nodes: 0.1 + 0.2 + 0.3 is not 0.3 + 0.2 + 0.1 in doubles.
    cluster.node_fragmented_gpu_milli[:] = [0.1, 0.2, 0.3]
    cluster.timeline_rows[0] = 2
    call(pods.record, cluster, 77, 1, compiled=compiled)
    assert cluster.timeline_rows[0] == 3
    row = [cluster.columns[f"timeline_{name}"][2] for name in (
        "time_us", "arrived_pods", "running_pods", "waiting_pods", "arrived_gpu_milli", "used_gpu_milli")]  # fmt: skip
    assert row == [77, 1, 2, 3, 4, 5]
    assert cluster.timeline_requested[2].tolist() == [6, 7, 8, 9, 10]
    assert cluster.timeline_fragmented_gpu_milli[2] == 0.1 + 0.2 + 0.3 == 0.6000000000000001
    # Without devices there is nothing to add up.
    cluster.timeline_fragmented_gpu_milli[3] = 9
    call(pods.record, cluster, 78, 0, compiled=compiled)
    assert (cluster.timeline_time_us[3], cluster.timeline_fragmented_gpu_milli[3]) == (78, 0)
