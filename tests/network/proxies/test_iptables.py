"""The iptables mode: exact counts against a plain writer, the published forms of them, and what a packet passes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings

from kscale.network import proxies
from kscale.network.ports import Ports
from kscale.network.proxies import AFFINITY_NEW, AFFINITY_STUCK, HIT, NODE_PORT, OTHER, Change, Structure
from kscale.network.proxies.iptables import IPTABLES
from tests.network import rules


def structure(ports: Ports) -> Structure:
    return IPTABLES.structure(proxies.case(IPTABLES, ports))


@given(rules.clusters())
@settings(max_examples=80)
def test_every_rule_and_chain_is_counted(ports: Ports) -> None:
    written, found = rules.iptables(ports), structure(ports)
    for table in ("nat", "filter"):
        assert found.rules[table] == written.count(table)
        assert found.chains[table] == sum(place == table for place, _ in written.chains)
    for name, count in found.lists.items():
        table, chain = name.split()
        # The last of KUBE-SERVICES leads to node ports.
        assert count == len(written.rules[table, chain]) - (name == "nat KUBE-SERVICES")


@pytest.mark.parametrize(("services", "endpoints"), [(10, 1), (1000, 10), (1000, 100), (30_000, 1), (30_000, 4)])
def test_closed_forms(services: int, endpoints: int) -> None:
    found = structure(Ports.uniform(services, endpoints))
    assert found.rules["nat"] == 5 + services * (2 + 3 * endpoints)
    assert found.chains["nat"] == 4 + services * (1 + endpoints)
    found = structure(Ports.uniform(services, endpoints, node_port=True))
    assert found.rules["nat"] == 5 + services * (5 + 3 * endpoints)
    assert found.chains["nat"] == 4 + services * (2 + endpoints)
    more = structure(Ports.uniform(services, endpoints, node_port=True, load_balancer_ips=2))
    assert more.rules["nat"] == found.rules["nat"] + 2 * services
    stuck = structure(Ports.uniform(services, endpoints, affinity=True))
    assert stuck.rules["nat"] == 5 + services * (2 + 4 * endpoints)


def test_figures_that_are_known() -> None:
    found = structure(Ports.uniform(30_000, 1))
    assert (found.rules["nat"], found.chains["nat"]) == (150_005, 60_004)
    found = structure(Ports.uniform(30_000, 4))
    assert (found.rules["nat"], found.chains["nat"]) == (420_005, 150_004)
    found = structure(Ports.uniform(1_000, 0))
    assert (found.rules["nat"], found.rules["filter"], found.chains["nat"]) == (5, 1_003, 4)


def steps(ports: Ports, packet: str, **options: str) -> dict[str, float]:
    path = IPTABLES.first(proxies.case(IPTABLES, ports, options), packet)
    assert path is not None
    return {name: count for name, _, count, _ in path.listing()}


def test_what_a_first_packet_passes() -> None:
    ports = Ports.uniform(1_000, 4, node_port=True, external_ips=2, affinity=True)
    listed = 3_000
    assert steps(ports, HIT)["KUBE-SERVICES, to the service"] == (listed + 1) / 2
    assert steps(ports, HIT)["KUBE-SVC, a random endpoint"] == 2.5
    assert steps(ports, OTHER)["KUBE-SERVICES, to the end"] == listed + 1
    assert steps(ports, NODE_PORT)["KUBE-SERVICES, to the end"] == listed + 1
    assert steps(ports, NODE_PORT)["KUBE-NODEPORTS, to the port"] == 500.5
    assert steps(ports, AFFINITY_NEW)["KUBE-SVC, is the client known"] == 4
    assert steps(ports, AFFINITY_STUCK)["KUBE-SVC, is the client known"] == 2.5
    assert "KUBE-SVC, a random endpoint" not in steps(ports, AFFINITY_STUCK)


@pytest.mark.parametrize(
    ("options", "rule"),
    [({}, 20.0), ({"cache": "warm"}, 5.83), ({"cache": "cold"}, 20.2), ({"backend": "nft"}, 16.0)],
)  # fmt: skip
def test_a_rule_costs_what_it_says(options: dict[str, str], rule: float) -> None:
    times = []
    for services in (2_000, 12_000):
        path = IPTABLES.first(proxies.case(IPTABLES, Ports.uniform(services, 1), options), OTHER)
        assert path is not None
        times.append(path.mean_us)
    assert (times[1] - times[0]) / 10_000 * 1000 == pytest.approx(rule)


def test_the_mean_is_the_closed_form() -> None:
    path = IPTABLES.first(proxies.case(IPTABLES, Ports.uniform(10_000, 10)), HIT)
    assert path is not None
    assert path.mean_us == pytest.approx(7.2 + 0.020 * 10_001 / 2 + 0.049 * 11 / 2)
    assert path.quantiles_us([0.5])[0] == pytest.approx(path.mean_us, abs=0.05)
    few = IPTABLES.first(proxies.case(IPTABLES, Ports.uniform(100, 10)), HIT)
    assert few is not None  # with 1,000 endpoints the rules still have comments
    assert few.mean_us == pytest.approx(7.2 + 0.020 * 101 / 2 + 0.080 * 11 / 2)


def test_later_packets_know_no_services() -> None:
    costs = [IPTABLES.later(proxies.case(IPTABLES, Ports.uniform(s, e))).mean_us for s, e in ((10, 1), (30_000, 9))]
    assert costs == pytest.approx([5.13, 5.13])


def test_syncs_are_the_fitted_forms() -> None:
    case = proxies.case(IPTABLES, Ports.uniform(10_000, 10))
    rules_, chains = 5 + 10_000 * 32, 4 + 10_000 * 11
    cost = IPTABLES.programming(case, Change())
    assert cost.full_s == pytest.approx(5.9e-6 * rules_ + 4.7e-10 * chains**2)
    swapped = 2.2e-7 * rules_ * math.log2(rules_)
    assert cost.incremental_s == pytest.approx(0.003 + swapped + 1.5e-5 * 10_000 + 5.9e-6 * 32)
    nft = IPTABLES.programming(proxies.case(IPTABLES, case.ports, {"backend": "nft"}), Change(services=0))
    assert nft.full_s == pytest.approx(8e-6 * rules_ + 3.6e-8 * chains**2)
    assert nft.incremental_s == pytest.approx(5.7e-7 * rules_ + 4.6e-5 * 10_000)
    memory = IPTABLES.memory(proxies.case(IPTABLES, Ports.uniform(30_000, 1), cpus=2))
    assert memory.kernel_bytes == pytest.approx(1304 * 30_000 + 928 * 30_000 + 32 * 150_005)


def test_no_service_is_no_path() -> None:
    nothing = proxies.case(IPTABLES, Ports.uniform(0, 0))
    assert IPTABLES.first(nothing, HIT) is None and IPTABLES.first(nothing, NODE_PORT) is None
    other = IPTABLES.first(nothing, OTHER)
    assert other is not None and other.mean_us == pytest.approx(7.2 + 0.020)
    assert np.isfinite(IPTABLES.programming(nothing, Change()).incremental_s)
