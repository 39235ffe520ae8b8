"""The nftables mode: exact counts against a plain writer, and costs that know no Services."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale.network import proxies
from kscale.network.ports import Ports
from kscale.network.proxies import AFFINITY_NEW, AFFINITY_STUCK, HIT, OTHER, PACKETS, Case, Change
from kscale.network.proxies.nftables import NFTABLES
from tests.network import rules


@given(rules.clusters(), st.integers(0, 3))
@settings(max_examples=80)
def test_every_rule_chain_and_entry_is_counted(ports: Ports, node_addresses: int) -> None:
    written = rules.nftables(ports, node_addresses)
    found = NFTABLES.structure(proxies.case(NFTABLES, ports, node_addresses=node_addresses))
    assert found.rules == {"kube-proxy": written.count("kube-proxy")}
    assert found.chains == {"kube-proxy": len(written.chains)}
    assert found.elements == {name: len(entries) for name, entries in written.sets.items()}
    assert found.anonymous_maps == len(written.maps)
    assert found.anonymous_elements == sum(map(len, written.maps))
    assert found.affinity_sets == len(written.affinity_sets)


@pytest.mark.parametrize(("services", "endpoints"), [(10, 1), (5_000, 10), (30_000, 1)])
def test_closed_forms(services: int, endpoints: int) -> None:
    found = NFTABLES.structure(proxies.case(NFTABLES, Ports.uniform(services, endpoints)))
    assert found.rules["kube-proxy"] == 22 + services * (2 + 2 * endpoints)
    assert found.chains["kube-proxy"] == 17 + services * (1 + endpoints)
    assert found.elements["cluster-ips"] + found.elements["service-ips"] == 2 * services
    assert (found.anonymous_maps, found.anonymous_elements) == (services, services * endpoints)


def case(services: int, endpoints: int, **options: str) -> Case:
    return proxies.case(NFTABLES, Ports.uniform(services, endpoints, affinity=True), options)


def mean(of: Case, packet: str) -> float:
    path = NFTABLES.first(of, packet)
    assert path is not None
    return path.mean_us


def test_a_first_packet_knows_no_services() -> None:
    for packet in (HIT, OTHER, AFFINITY_NEW, AFFINITY_STUCK):
        assert len({mean(case(services, 8), packet) for services in (1, 100, 10_000)}) == 1
    assert mean(case(1, 1), HIT) == pytest.approx(7.3)
    assert mean(case(1, 8), HIT) == pytest.approx(7.3 + 3 * 0.09)
    assert mean(case(1, 1), OTHER) == pytest.approx(7.3 - 0.33)
    assert 5 <= mean(case(1, 1, cache="cold"), HIT) - mean(case(1, 1), HIT) <= 6.4
    assert mean(case(1, 8), AFFINITY_NEW) - mean(case(1, 8), HIT) == pytest.approx(0.8)
    assert mean(case(1, 8), AFFINITY_STUCK) == pytest.approx(7.3 + 0.1 * 4.5)
    assert NFTABLES.later(case(1, 1)).mean_us == pytest.approx(5.17)


def test_syncs_are_the_fitted_forms() -> None:
    cost = NFTABLES.programming(case(10_000, 2), Change())
    assert cost.full_s == pytest.approx(8e-5 * 1e4 + 4.5e-5 * 2e4 + 11.9 + 6.9e-8 * 1e4 * 2e4)
    assert cost.incremental_s == pytest.approx(0.0036 + 2.25e-6 * 1e4 + 3.9e-6 * 2e4 + 3.2e-10 * 1e8 + 1.2e-10 * 2e8)
    assert NFTABLES.programming(case(30_000, 1), Change()).full_s == pytest.approx(338, rel=0.01)
    assert NFTABLES.programming(case(5_006, 50), Change()).full_s == pytest.approx(100, rel=0.01)
    assert NFTABLES.programming(case(44_125, 1), Change()).full_s == pytest.approx(946, rel=0.01)
    table = NFTABLES.programming(case(10_000, 2, list="table"), Change())
    assert table.incremental_s - cost.incremental_s == pytest.approx(2.5e-5 * 1e4 + 7.9e-5 * 2e4 + 4.2e-8 * 1e8)
    chains = NFTABLES.programming(case(10_000, 2, list="chains"), Change())
    assert chains.incremental_s - cost.incremental_s == pytest.approx(5.5e-6 * 1e4 + 6.6e-6 * 2e4)
    old = NFTABLES.programming(case(10_000, 2, kernel="old"), Change())
    assert 3 <= old.full_s / cost.full_s <= 4
    # One change is no long transaction.
    assert old.incremental_s == cost.incremental_s
    many = NFTABLES.programming(case(10_000, 2), Change(services=101))
    assert many.incremental_s - cost.incremental_s == pytest.approx(100 * (8e-5 + 2 * 4.5e-5))


def test_memory_is_the_fitted_form() -> None:
    memory = NFTABLES.memory(case(1_000, 100))
    assert memory.kernel_bytes == pytest.approx(2082 * 1_000 + 998 * 100_000)
    assert memory.client_peak_bytes == pytest.approx(9 * memory.kernel_bytes)


def test_no_service_is_no_path() -> None:
    nothing = proxies.case(NFTABLES, Ports.uniform(3, 0))
    assert [packet for packet in PACKETS if NFTABLES.first(nothing, packet) is not None] == [OTHER]
    assert np.isfinite(NFTABLES.programming(nothing, Change()).incremental_s)
