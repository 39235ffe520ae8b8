"""BGP: routes spread as they do message by message, and closed formulas are what the simulation counts."""

import heapq
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale.errors import InputError
from kscale.network.calico.bgp import full_mesh, propagate, route_reflectors
from kscale.network.calico.convergence import CHANGES, converges, cost, hops, paths_held
from kscale.network.calico.parameters import PARAMETERS, values


def slow(topology, origin, start_us, hop_us, program_us):
    """One route, message by message: arrival by node, updates sent, paths held by node."""
    peers = [topology.peer[a:b].tolist() for a, b in zip(topology.first[:-1], topology.first[1:], strict=True)]
    cluster = topology.cluster.tolist()
    has = {origin: (start_us, [])}
    sent, paths = 0, defaultdict(int)
    calendar = []

    def tell(node, now, source, marks):
        nonlocal sent
        for peer in peers[node]:
            if source is not None:
                client = cluster[source] == -1 or cluster[source] != cluster[node]
                to_client = cluster[peer] == -1 or cluster[peer] != cluster[node]
                if cluster[node] == -1 or peer == source or not (client or to_client):
                    continue
            sent += 1
            added = marks if source is None else [*marks, cluster[node]]
            heapq.heappush(calendar, (now + hop_us, peer, node, tuple(added)))

    tell(origin, start_us, None, [])
    while calendar:
        now, node, sender, marks = heapq.heappop(calendar)
        if node == origin or (cluster[node] != -1 and cluster[node] in marks):
            continue
        paths[node] += 1
        if node not in has:
            has[node] = (now, marks)
            tell(node, now, sender, list(marks))
    arrival = [has[n][0] + (program_us if n != origin else 0) if n in has else -1 for n in range(topology.nodes)]
    return arrival, sent, [paths[n] for n in range(topology.nodes)]


@st.composite
def topologies(draw):
    nodes = draw(st.integers(1, 12))
    if draw(st.booleans()):
        made = full_mesh(nodes)
    else:
        redundancy = draw(st.integers(1, min(3, nodes)))
        made = route_reflectors(nodes, redundancy * draw(st.integers(1, nodes // redundancy)), redundancy)
    down = draw(st.lists(st.booleans(), min_size=nodes, max_size=nodes)) if draw(st.booleans()) else [False] * nodes
    return made.without(np.array(down))


@settings(max_examples=150, deadline=None)
@given(topologies(), st.data(), st.integers(0, 5000), st.integers(1, 5000), st.integers(0, 900))
def test_routes_spread_as_message_by_message(topology, data, start, hop, program):
    origin = np.array(data.draw(st.lists(st.integers(0, topology.nodes - 1), min_size=1, max_size=4)))
    starts = start + np.arange(len(origin)) * 7
    found = propagate(topology, origin, starts, {"bgp_hop_us": hop, "bgp_program_us": program})
    paths = np.zeros(topology.nodes, int)
    for route, node in enumerate(origin.tolist()):
        arrival, sent, held = slow(topology, node, int(starts[route]), hop, program)
        assert found.arrival_us[route].tolist() == arrival
        assert found.sent[route] == sent
        assert found.converged_us[route] == max(arrival)
        paths += held
    assert found.paths.tolist() == paths.tolist()


def test_sessions_of_a_mesh_and_of_reflectors():
    mesh = full_mesh(100)
    assert mesh.sessions == 100 * 99 // 2 == 4950
    assert set(mesh.sessions_by_node.tolist()) == {99}
    made = route_reflectors(100, 4, 2)
    assert made.sessions == 96 * 2 + 4 * 3 // 2
    assert made.sessions_by_node[:4].tolist() == [48 + 3] * 4
    assert set(made.sessions_by_node[4:].tolist()) == {2}
    assert full_mesh(1).sessions == route_reflectors(1, 1, 1).sessions == 0


@pytest.mark.parametrize("nodes", [2, 3, 9])
def test_a_mesh_takes_one_hop_and_one_update_each(nodes):
    found = propagate(full_mesh(nodes), np.array([1]), np.array([10]), {"bgp_hop_us": 5, "bgp_program_us": 2})
    assert found.sent.tolist() == [nodes - 1]
    assert sorted(found.arrival_us[0].tolist()) == [10] + [17] * (nodes - 1)


@pytest.mark.parametrize(("nodes", "reflectors", "redundancy"), [(20, 2, 2), (21, 4, 2), (30, 3, 1), (30, 6, 3)])
def test_updates_of_a_change_by_formula(nodes, reflectors, redundancy):
    made = route_reflectors(nodes, reflectors, redundancy)
    clients = np.bincount((np.arange(reflectors, nodes) - reflectors) % (reflectors // redundancy))
    last = nodes - 1
    home = (last - reflectors) % (reflectors // redundancy)
    expected = (
        redundancy
        + redundancy * (clients[home] + reflectors - 2)
        + sum(redundancy * (many + reflectors - 2) for place, many in enumerate(clients) if place != home)
    )
    found = propagate(made, np.array([last]), np.array([0]))
    assert found.sent.tolist() == [expected]
    assert (found.arrival_us >= 0).all()


@settings(max_examples=60, deadline=None)
@given(topologies().filter(lambda made: made.sessions), st.data())
def test_hops_and_paths_by_formula(topology, data):
    if (topology.sessions_by_node == 0).any():
        return
    found = propagate(topology, np.arange(topology.nodes), np.zeros(topology.nodes, int))
    assert found.hops.max() == hops(topology)
    routes = np.array(data.draw(st.lists(st.integers(0, 4), min_size=topology.nodes, max_size=topology.nodes)))
    if topology.cluster.max() <= 0:
        each = propagate(topology, np.repeat(np.arange(topology.nodes), routes), np.zeros(routes.sum(), int))
        assert each.paths.tolist() == paths_held(topology, routes).tolist()


def test_one_reflector_of_two_is_enough():
    made = route_reflectors(12, 2, 2)
    down = np.zeros(12, bool)
    down[0] = True
    found = propagate(made.without(down), np.array([5]), np.array([0]))
    assert (found.arrival_us[0, 1:] >= 0).all()
    assert found.arrival_us[0, 0] == -1
    down[1] = True
    alone = propagate(made.without(down), np.array([5]), np.array([0]))
    assert (np.delete(alone.arrival_us[0], 5) == -1).all()


def test_how_long_changes_take():
    mesh, reflected = full_mesh(10), route_reflectors(50, 2, 2)
    assert [hops(mesh), hops(reflected), hops(route_reflectors(50, 4, 2))] == [1, 2, 3]
    crash = converges(mesh, "crash", {"bgp_program_us": 0})
    assert (crash.earliest_us, crash.latest_us) == (160_000_000, 240_000_000)
    assert converges(mesh, "restart").latest_us == 120_000_000 + 2_000 + 1_000
    one, two = converges(mesh, "join"), converges(reflected, "join")
    assert two.earliest_us - one.earliest_us == values()["bgp_hop_us"]
    assert one.latest_us - one.earliest_us == 5_000_000
    assert converges(mesh, "remove").latest_us == 1_001_000
    for change in CHANGES:
        found = converges(reflected, change)
        assert 0 < found.earliest_us <= found.latest_us


def test_what_it_costs():
    mesh = full_mesh(101)
    paths = paths_held(mesh, np.full(101, 3))
    found = cost(mesh, paths, 0.0, {"bgp_session_bytes": 10, "bgp_path_bytes": 1, "bgp_keepalive_cpu_us": 100})
    assert found.paths.tolist() == [300] * 101
    assert found.memory_bytes.tolist() == [100 * 10 + 300] * 101
    assert found.keepalives_per_s[0] == pytest.approx(2 * 100 / 80)
    assert found.cpu_share[0] == pytest.approx(2.5 * 100e-6)
    assert cost(mesh, paths, 1.0).cpu_share[0] > cost(mesh, paths, 0.0).cpu_share[0]


@pytest.mark.parametrize(
    ("call", "field"),
    [
        (lambda: full_mesh(0), "nodes"),
        (lambda: full_mesh(10**6), "nodes"),
        (lambda: route_reflectors(10, 11, 1), "reflectors"),
        (lambda: route_reflectors(10, 3, 2), "reflectors"),
        (lambda: route_reflectors(10, 2, 0), "redundancy"),
        (lambda: route_reflectors(100, 63, 1), "reflectors"),
        (lambda: converges(full_mesh(2), "vanish"), "change"),
        (lambda: paths_held(route_reflectors(9, 2, 1), np.ones(9, int)), "topology"),
        (lambda: values({"bgp_holt_us": 1}), "bgp_holt_us"),
        (lambda: values({"bgp_hold_us": -1}), "bgp_hold_us"),
    ],
)
def test_what_cannot_be(call, field):
    with pytest.raises(InputError, match="xpected") as error:
        call()
    assert error.value.field == field


def test_a_session_is_held_for_three_keepalives():
    assert PARAMETERS["bgp_hold_us"] == 3 * PARAMETERS["bgp_keepalive_us"]
