"""Every invariant is told when the column that it watches is wrong."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from kscale.engine.clock import ACTIVE, BACKOFF, FREE, RESTING
from kscale.engine.invariants import violations
from kscale.engine.pods import EVICTED, GONE, HELD, IN_FLIGHT, QUEUED, RESTING_STATE, RUNNING, UNUSED
from kscale.errors import GateError
from kscale.simulation import Settings, Simulation
from kscale.state.descriptions import PodTemplate, PodTerm, Selector
from kscale.state.intake import Sizes
from kscale.state.labels import Requirement
from kscale.state.tables import Cluster
from tests.objects import simulation_of
from tests.worlds import World

S = 1_000_000
NODE = {"cpu_milli": 1000, "memory_bytes": 1 << 30, "pods": 10}
#: What is wrong is told of the columns, whoever has filled them.
pytestmark = pytest.mark.plain
WORLD = World(
    nodes=[
        {"name": "n0", **NODE, "gpu_count": 2, "gpu_model": "T4"},
        {"name": "n1", **NODE},
    ],
    specs=[
        {"cpu_milli": 500, "gpu_count": 1, "gpu_milli": 300},
        {"cpu_milli": 9000},  # fits nowhere
        {"cpu_milli": 100},
    ],
    pods=[
        {"name": f"p{i}", "namespace": "default", "arrival_us": arrival, "spec": spec}
        for i, (arrival, spec) in enumerate([(0, 0), (0, 1), (0, 2), (2_400_000, 2)])
    ],
)


def simulation(**settings: Any) -> Simulation:
    made = Simulation(WORLD.trace(), WORLD.node_frame(), Settings(**settings), sizes=Sizes(pod=8, arrival=2, ledger=2))
    made.compile()
    return made


@pytest.fixture(scope="module")
def halted() -> Cluster:
    """A decision takes a second: at 2.5 s one pod runs, one rests, the third is tried, the fourth waits."""
    made = simulation(scheduler_us=S, until_us=2_500_000)
    made.run()
    assert made.cluster.pod_state[:5].tolist() == [RUNNING, RESTING_STATE, IN_FLIGHT, QUEUED, UNUSED]
    assert made.cluster.pod_devices[0] == 1
    assert violations(made.cluster) == []
    return made.cluster


def add(name: str, place: Any, amount: int = 1) -> Callable[[Cluster], None]:
    """Return what makes a column wrong by ``amount``."""

    def corrupt(cluster: Cluster) -> None:
        column = cluster.columns[name]
        column[place] = int(column[place]) + amount

    return corrupt


BALANCE = "arrivals are not running + waiting + ended + failed + refused + evicted"
# p0 is on n0 with 500 milli of cpu; p2, in flight, has room on n1 or n0.
CASES = {
    "requested": (add("node_requested", (0, 0)), "node_requested of resource 0 is not the sum over pods"),
    "requested memory": (add("node_requested", (1, 1)), "node_requested of resource 1 is not the sum over pods"),
    "nonzero": (add("node_nonzero_requested", (1, 0)), "node_nonzero_requested of resource 1 is not the sum"),
    "over-commitment": (add("node_allocatable", (0, 0), -501), "a node is over-committed"),
    "all requested": (add("resource_requested", 3), "resource_requested is off"),
    "bound pods": (add("node_bound_pods", 1), "node_bound_pods is off"),
    "device free": (add("node_device_free", (0, 1), -1), "device_free is not what the pods leave"),
    "no device": (add("node_device_free", (1, 0)), "device_free is not what the pods leave"),
    "device total": (add("node_device_free_total", 0), "device_free_total is off"),
    "devices held": (add("pod_devices", 0, 2), "a pod holds other devices than it asked for"),
    "devices of one without": (add("pod_devices", 2, 1), "a pod holds other devices than it asked for"),
    "running": (add("cluster_running_pods", 0), "running pods are miscounted"),
    "waiting": (add("cluster_waiting_pods", 0), "waiting pods are miscounted"),
    "resting": (add("queue_size", RESTING), "resting pods are miscounted"),
    "free rows": (add("queue_size", FREE, -1), "free rows are miscounted"),
    "active": (add("queue_size", ACTIVE, -1), "a pod is in no queue"),
    "backoff": (add("queue_size", BACKOFF), "a pod is in no queue"),
    "lost pod": (add("pod_state", 3, UNUSED - QUEUED), "a pod is in no queue"),
    "arrived": (add("cluster_arrived_pods", 0), BALANCE),
    "ended": (add("cluster_ended_pods", 0), BALANCE),
    "failed": (add("cluster_failed_pods", 0), BALANCE),
    "refused": (add("cluster_refused_pods", 0), BALANCE),
    "evicted": (add("cluster_evicted_pods", 0), BALANCE),
    "lost": (add("cluster_lost_pods", 0), BALANCE),
    "node that left": (add("node_shut", 0, 2), "a pod is on a node that is not there"),
    "evictions": (add("cluster_evictions", 0), "evicted pods are miscounted"),
    "held": (add("cluster_held_pods", 0), "held pods are miscounted"),
    "moved": (add("pod_node", 0), "node_requested of resource 0 is not the sum over pods"),
    "other node in flight": (add("cluster_node_in_flight", 0, -1), "node_requested of resource 0"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_wrong_column_is_told(halted: Cluster, case: str) -> None:
    corrupt, told = CASES[case]
    cluster = copy.copy(halted)
    cluster.columns = {name: array.copy() for name, array in halted.columns.items()}
    corrupt(cluster)
    assert any(told in found for found in violations(cluster)), violations(cluster)


@pytest.fixture(scope="module")
def crowded() -> Cluster:
    """A decision takes a second: at 2.5 s the fifth pod runs on n0 in the place of the first, which was evicted.

    The third was tried before, n0 was cleared for it, and it is being tried again there. The second pod has run on n1
    from the start, and the fourth is held by its gate.
    """
    labels, term = (("app", "x"),), PodTerm("zone", Selector((Requirement("app", "In", ("x",)),)), ("default",))
    port = ("TCP", "0.0.0.0", 80)
    templates = [
        PodTemplate(labels=labels, requests=(("cpu", 600),), ports=(port,), anti_affinity=(term,)),
        PodTemplate(labels=labels, requests=(("cpu", 100),), priority=7),
        PodTemplate(requests=(("cpu", 700),), priority=5),
        PodTemplate(gates=("wait",)),
    ]
    nodes = [{"cpu_milli": 1000, "memory_bytes": 1 << 30, "labels": f"zone={zone}"} for zone in "ab"]
    pods = [
        {"spec": 0, "node": 0, "duration_us": 20 * S}, {"spec": 0, "node": 1, "duration_us": 9 * S}, {"spec": 1},
        {"spec": 3}, {"spec": 2, "duration_us": S},
    ]  # fmt: skip
    made = simulation_of(nodes, templates, pods, Settings(scheduler_us=S, until_us=2_500_000), Sizes(pod=8, arrival=4))
    made.compile()
    made.run()
    cluster = made.cluster
    assert violations(cluster) == []
    assert cluster.pod_state[:6].tolist() == [EVICTED, RUNNING, IN_FLIGHT, HELD, RUNNING, UNUSED]
    assert cluster.pod_nominated[2] == cluster.cluster_node_in_flight[0] == cluster.pod_node[4] == 0
    assert cluster.port_used.tolist() == [[0, 1]]
    return cluster


def wrong(name: str, place: Any, value: int) -> Callable[[Cluster], None]:
    """Return what gives a column a wrong value."""

    def corrupt(cluster: Cluster) -> None:
        assert cluster.columns[name][place] != value
        cluster.columns[name][place] = value

    return corrupt


LIST, NOMINATED = "the list of a node's pods is wrong", "the list of nominated pods is wrong"
PORT_FREE, PORT_TAKEN = "a port that a pod has is not taken", "a port is taken that no pod has"


def nobody_left(cluster: Cluster) -> None:
    """As if nobody had been evicted: then what is held is taken."""
    cluster.cluster_evicted_pods[0], cluster.port_used[0, 1] = 0, 0


def unlisted(cluster: Cluster) -> None:
    """A list that is whole but leaves a pod out."""
    cluster.node_first_pod[1] = cluster.node_last_pod[1] = -1


def circle(cluster: Cluster) -> None:
    """A list that has no end."""
    cluster.pod_node_next[4], cluster.pod_node_previous[2] = 2, 4


def behind(cluster: Cluster) -> None:
    """A list that begins with another pod of the node: that one has a pod before it."""
    cluster.node_first_pod[0] = 4


def forgotten(cluster: Cluster) -> None:
    """A calendar without the evicted pod, whose row nobody gives back."""
    assert 0 in cluster.queue_calendar
    cluster.queue_calendar[cluster.queue_calendar == 0] = 4


CROWDED_CASES = {
    "running": (add("cluster_running_pods", 0), "running pods are miscounted"),
    "waiting": (add("cluster_waiting_pods", 0, -1), "waiting pods are miscounted"),
    "held": (add("cluster_held_pods", 0), "held pods are miscounted"),
    "evicted": (add("cluster_evicted_pods", 0, -1), BALANCE),
    "evictions": (add("cluster_evictions", 0), "evicted pods are miscounted"),
    "evicted for good": (forgotten, "an evicted pod never gives its row back"),
    "counted": (add("tally_count", 0), "tally_count is not what the pods come to"),
    "counted elsewhere": (add("pod_node", 1, -1), "tally_count is not what the pods come to"),
    "total": (add("counter_total", 1), "counter_total is not what the pods come to"),
    "other domain": (wrong("topology_domain", (2, 1), 0), "tally_count is not what the pods come to"),
    "port": (wrong("port_used", (0, 0), 1), PORT_TAKEN),
    "free port": (nobody_left, PORT_FREE),
    "first": (wrong("node_first_pod", 1, 4), LIST),
    "no first": (wrong("node_first_pod", 1, -1), LIST),
    "unlisted": (unlisted, LIST),
    "begins late": (behind, LIST),
    "last": (wrong("node_last_pod", 0, 2), LIST),
    "next": (wrong("pod_node_next", 2, -1), LIST),
    "next elsewhere": (wrong("pod_node_next", 4, 1), LIST),
    "previous": (wrong("pod_node_previous", 4, -1), LIST),
    "previous of the first": (wrong("pod_node_previous", 2, 4), LIST),
    "circle": (circle, LIST),
    "nominated": (wrong("pod_nominated", 2, -1), NOMINATED),
    "nominated while it runs": (wrong("pod_nominated", 4, 0), NOMINATED),
    "nominated and gone": (wrong("pod_state", 2, GONE), NOMINATED),
    "number of nominated": (add("cluster_nominated", 0, -1), NOMINATED),
    "nominated twice": (add("cluster_nominated", 0), NOMINATED),
    "list of nominated": (wrong("nominated_pod", 0, 1), NOMINATED),
}  # fmt: skip


@pytest.mark.parametrize("case", CROWDED_CASES)
def test_a_wrong_column_of_objects_is_told(crowded: Cluster, case: str) -> None:
    corrupt, told = CROWDED_CASES[case]
    cluster = copy.copy(crowded)
    cluster.columns = {name: array.copy() for name, array in crowded.columns.items()}
    corrupt(cluster)
    assert any(told in found for found in violations(cluster)), violations(cluster)


def test_a_node_that_was_full_before_the_run_is_not_over_committed(crowded: Cluster) -> None:
    cluster = copy.copy(crowded)
    cluster.columns = {name: array.copy() for name, array in crowded.columns.items()}
    cluster.node_allocatable[0] = [100, 0]
    # n0 holds pods that the run has placed; what is on n1 was there before.
    assert violations(cluster) == ["a node is over-committed"]
    cluster.node_allocatable[0] = [1000, 0]
    assert violations(cluster) == []
    # A resource that NodeResourcesFit ignores has no bound either.
    cluster.node_allocatable[0] = [100, 0]
    cluster.template_fit_request[2, 0] = 0
    assert violations(cluster) == []


def test_a_run_under_check_stops_at_the_next_control_point() -> None:
    made = simulation(check=True)

    def corrupt(now_us: int, arrived: int) -> None:
        made.cluster.resource_requested[0] += 1

    with pytest.raises(GateError, match=r"an invariant does not hold at \d+ us: resource_requested is off") as found:
        made.run(corrupt)
    assert found.value.exit_code == 1
    made = simulation(check=False)
    made.run(lambda now_us, arrived: None)
    assert made.control_points > 1
