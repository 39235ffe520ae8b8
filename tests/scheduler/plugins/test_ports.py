"""NodePorts: which ports conflict, the set that a node keeps of them, and whom a pod that goes may help."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kscale.scheduler.plugins.ports import (
    PORTS,
    conflicts,
    frees_a_port,
    keep_ports,
    restore_ports,
    take_ports,
)
from kscale.simulation import Simulation
from kscale.state.descriptions import PodTemplate
from tests.engine.columns import call
from tests.objects import simulation_of

Port = tuple[str, str, int]
ANY = "0.0.0.0"
BIT = 3


def ports(*templates: list[Port], nodes: int = 2) -> Simulation:
    return simulation_of([{}] * nodes, [PodTemplate(ports=tuple(sorted(each))) for each in templates], [])


def rejected(made: Simulation, template: int) -> list[bool]:
    made.cluster.scan_reject[:] = 1 << 30
    call(conflicts, made.cluster, template, 0, made.cluster.sizes["node"], BIT)
    assert set(made.cluster.scan_reject.tolist()) <= {1 << 30, 1 << 30 | 1 << BIT}
    return [bits != 1 << 30 for bits in made.cluster.scan_reject.tolist()]


def move(made: Simulation, template: int, node: int, sign: int) -> None:
    call(take_ports, made.cluster, template, node, sign)


@pytest.mark.parametrize(
    ("one", "other", "conflict"),
    [
        (("TCP", ANY, 80), ("TCP", ANY, 80), True),
        (("TCP", ANY, 80), ("TCP", ANY, 81), False),
        (("TCP", ANY, 80), ("UDP", ANY, 80), False),
        (("TCP", ANY, 80), ("TCP", "10.0.0.1", 80), True),  # every address is one of them
        (("TCP", "10.0.0.1", 80), ("TCP", ANY, 80), True),
        (("TCP", "10.0.0.1", 80), ("TCP", "10.0.0.1", 80), True),
        (("TCP", "10.0.0.1", 80), ("TCP", "10.0.0.2", 80), False),
    ],
)
def test_ports_conflict_by_protocol_number_and_address(one: Port, other: Port, conflict: bool) -> None:
    made = ports([one], [other])
    move(made, 0, 1, 1)
    assert rejected(made, 1) == [False, conflict]
    assert bool(call(frees_a_port, made.cluster, 1, 0, 0)) is conflict
    assert not call(frees_a_port, made.cluster, 1, 0, 1)  # one that comes frees nothing


def test_one_conflict_of_several_is_enough_and_the_range_is_kept() -> None:
    made = ports([("TCP", ANY, 80), ("TCP", ANY, 81)], [("TCP", ANY, 81), ("UDP", ANY, 5)], [], nodes=3)
    for node in range(3):
        move(made, 0, node, 1)
    assert rejected(made, 1) == [True] * 3
    assert rejected(made, 2) == [False] * 3  # asks for none
    made.cluster.scan_reject[:] = 0
    call(conflicts, made.cluster, 1, 1, 2, BIT)
    assert made.cluster.scan_reject.tolist() == [0, 1 << BIT, 0]


def test_of_two_pods_with_one_port_the_first_to_go_sets_it_free() -> None:
    made = ports([("TCP", ANY, 80)], [("TCP", ANY, 80), ("TCP", ANY, 81)])
    move(made, 0, 0, 1)
    move(made, 1, 0, 1)  # bound before the run, by whoever
    move(made, 1, 0, -1)
    assert rejected(made, 0) == [False, False]


def test_a_trial_gives_the_set_back() -> None:
    made = ports([("TCP", ANY, 80)], [("TCP", ANY, 80), ("TCP", ANY, 81)])
    move(made, 1, 0, 1)
    before = made.cluster.port_used.tolist()
    call(keep_ports, made.cluster, 0, 0)
    move(made, 1, 0, -1)
    call(keep_ports, made.cluster, 0, 1)  # a trial within the trial
    move(made, 0, 0, 1)
    move(made, 0, 1, 1)
    call(restore_ports, made.cluster, 0, 1)
    assert made.cluster.port_used[:, 0].tolist() == [0, 0]
    call(restore_ports, made.cluster, 0, 0)
    assert made.cluster.port_used[:, 0].tolist() == [row[0] for row in before]
    assert made.cluster.port_used[:, 1].tolist() == [1, 0]  # another node is left alone


owned = st.lists(
    st.tuples(
        st.sampled_from(["TCP", "UDP"]), st.sampled_from([ANY, "10.0.0.1", "10.0.0.2"]), st.sampled_from([80, 81])
    ),
    max_size=3, unique=True,
)  # fmt: skip


@given(st.lists(owned, min_size=1, max_size=4), st.lists(st.tuples(st.integers(0, 3), st.integers(0, 1)), max_size=6))
def test_it_agrees_with_a_set_per_node(templates: list[list[Port]], steps: list[tuple[int, int]]) -> None:
    if not any(templates):
        return
    made = ports(*templates)
    taken: list[set[Port]] = [set(), set()]
    for template, node in steps:
        template %= len(templates)
        move(made, template, node, 1)
        taken[node] |= set(templates[template])
    for template, wanted in enumerate(templates):
        expected = [
            any(
                a[0] == b[0] and a[2] == b[2] and (ANY in (a[1], b[1]) or a[1] == b[1])
                for a in wanted for b in taken[node]
            )
            for node in range(2)
        ]  # fmt: skip
        assert rejected(made, template) == expected


def test_it_is_used_where_some_pod_asks_for_a_port() -> None:
    assert PORTS in ports([], [("TCP", ANY, 80)]).profile.filters
    assert PORTS not in ports([], []).profile.filters
    assert PORTS.reasons is not None
    assert PORTS.reasons([]) == ["node(s) didn't have free ports for the requested pod ports"]
    assert PORTS.unresolvable == ()
