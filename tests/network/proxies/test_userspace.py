"""The userspace mode: exact counts against a plain writer, two lists, and a copy of every byte."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from kscale.network import proxies
from kscale.network.ports import Ports
from kscale.network.proxies import HIT, NODE_PORT, OTHER, Change
from kscale.network.proxies.userspace import USERSPACE
from tests.network import rules


@given(rules.clusters())
@settings(max_examples=100)
def test_every_rule_and_socket_is_counted(ports: Ports) -> None:
    written, found = rules.userspace(ports), USERSPACE.structure(proxies.case(USERSPACE, ports))
    assert found.rules == {"nat": written.count("nat")}
    assert found.chains == {"nat": len(written.chains)}
    assert found.listeners == len(written.listeners)
    for name, count in found.lists.items():
        assert count == len(written.rules["nat", name.removeprefix("nat ")])


def test_a_first_packet_passes_two_lists_and_kube_proxy() -> None:
    case = proxies.case(USERSPACE, Ports.uniform(1_000, 5, node_port=True))
    path = USERSPACE.first(case, HIT)
    assert path is not None
    passed = {name: count for name, _, count, _ in path.listing()}
    assert passed["KUBE-PORTALS-CONTAINER, to the service"] == 500.5
    assert passed["KUBE-PORTALS-HOST, to the end"] == 1_000
    assert path.mean_us == pytest.approx(7.2 + 100 + 0.020 * 1_500.5)
    other, node_port = USERSPACE.first(case, OTHER), USERSPACE.first(case, NODE_PORT)
    assert other is not None and node_port is not None
    assert other.mean_us == pytest.approx(7.2 + 0.020 * 1_000)
    assert node_port.mean_us > path.mean_us


def test_later_packets_are_copied() -> None:
    later = USERSPACE.later(proxies.case(USERSPACE, Ports.uniform(10, 1)))
    assert later.mean_us == pytest.approx(5.13 + 34.5)


def test_rules_are_written_one_by_one() -> None:
    cost = USERSPACE.programming(proxies.case(USERSPACE, Ports.uniform(5_000, 3)), Change())
    assert cost.full_s == pytest.approx(8.2e-6 * 5_000**2)
    assert cost.incremental_s == pytest.approx(1.6e-5 * 5_000)


def test_it_is_gone() -> None:
    assert USERSPACE.versions.status((1, 25)) == "available" and USERSPACE.versions.status((1, 26)) == "removed"
    assert USERSPACE.balancing == ("round-robin",)
