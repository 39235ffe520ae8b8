"""The IPVS mode: exact counts against a plain writer, chains of its table, schedulers, and its end."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale.network import proxies
from kscale.network.ports import Ports
from kscale.network.proxies import HIT, OTHER, Case, Change
from kscale.network.proxies.common.chains import ahead
from kscale.network.proxies.ipvs import IPVS, SCHEDULERS
from tests.network import rules


@given(rules.clusters(), st.integers(0, 3))
@settings(max_examples=150)
def test_every_entry_address_and_server_is_counted(ports: Ports, node_addresses: int) -> None:
    written = rules.ipvs(ports, node_addresses)
    found = IPVS.structure(proxies.case(IPVS, ports, node_addresses=node_addresses))
    assert found.elements == {name: len(entries) for name, entries in written.sets.items()}
    assert found.addresses == len(written.addresses)
    assert found.virtual_servers == len(written.virtual)
    assert found.real_servers == sum(map(len, written.virtual.values()))


def test_rules_are_the_same_whatever_there_is() -> None:
    few, many = (IPVS.structure(proxies.case(IPVS, Ports.uniform(s, 3))) for s in (1, 5_000))
    assert few.rules == many.rules and 20 <= sum(many.rules.values()) <= 25
    assert (many.virtual_servers, many.real_servers, many.addresses) == (5_000, 15_000, 5_000)
    assert many.elements["KUBE-CLUSTER-IP"] == 5_000


def case(services: int, endpoints: int = 1, connections: int = 0, **options: str) -> Case:
    named = {name.replace("_", "-"): choice for name, choice in options.items()}
    return proxies.case(IPVS, Ports.uniform(services, endpoints, affinity=True), named, connections=connections)


def mean(of: Case, packet: str = HIT) -> float:
    path = IPVS.first(of, packet)
    assert path is not None
    return path.mean_us


def test_a_first_packet_is_the_closed_form() -> None:
    few = 4.5 + 1.1 + 4 * 0.104 + 2.5 + 0.02
    for services in (1, 256, 30_000):
        warm = few + 0.009 * (1 + services / 512)
        assert mean(case(services)) == pytest.approx(warm, rel=1e-6)
        assert mean(case(services, cache="cold")) == pytest.approx(few + 0.3 * (1 + services / 512), rel=1e-6)
    assert mean(case(30_000)) - mean(case(1)) == pytest.approx(0.53, abs=0.01)
    assert mean(case(30_000, cache="cold")) - mean(case(1, cache="cold")) == pytest.approx(17.6, abs=0.1)
    assert mean(case(30_000, table="resizable")) == pytest.approx(few + 0.009 * 1.1)
    assert mean(case(10, connections=40_960)) - mean(case(10)) == pytest.approx(10 * 0.009)
    assert mean(case(10, connections=40_960, connection_bits="20")) - mean(case(10)) < 0.001
    assert mean(case(9, connections=40_960), "affinity-stuck") - mean(case(9, connections=40_960)) == pytest.approx(
        0.09
    )
    assert mean(case(10), OTHER) < mean(case(10))


def test_a_chain_is_as_long_as_in_a_table_that_is_filled_at_random() -> None:
    """Entries before a random one: the same table, filled entry by entry, many times."""
    chance, buckets, entries, turns = np.random.default_rng(1), 64, 200, 400
    seen = np.zeros(60)
    for _ in range(turns):
        place = chance.integers(0, buckets, entries)
        length = np.zeros(buckets, np.int64)
        for bucket in place:
            seen[length[bucket]] += 1
            length[bucket] += 1
    before, share = ahead(entries / buckets)
    assert share.sum() == pytest.approx(1) and before @ share == pytest.approx(entries / buckets / 2)
    assert np.abs(seen[:12] / seen.sum() - share[:12]).max() < 0.01


def test_schedulers_cost_what_they_look_at() -> None:
    few, many = {}, {}
    for scheduler in SCHEDULERS:
        few[scheduler], many[scheduler] = (mean(case(10, e, scheduler=scheduler)) for e in (1, 1_000))
    scanning = {"lc", "wlc", "sed", "nq", "lblc", "lblcr"}
    assert {name for name in SCHEDULERS if many[name] - few[name] > 1} == scanning
    assert many["wlc"] - many["rr"] == pytest.approx(8 - 0.02)
    assert mean(case(10, 100, scheduler="lc")) - mean(case(10, 100)) == pytest.approx(0.26 - 0.02)
    cached = proxies.parameters().replaced({"ipvs_cache_misses": 0})
    path = IPVS.first(proxies.case(IPVS, Ports.uniform(10, 1_000), {"scheduler": "lblc"}, cached), HIT)
    assert path is not None and path.mean_us == pytest.approx(many["rr"])
    assert set(IPVS.balancing) == set(SCHEDULERS)


def test_syncs_are_the_stated_forms() -> None:
    cost = IPVS.programming(case(10_000, 10), Change(services=2, endpoints=5))
    walk = 22e-6 * 110_000
    assert cost.full_s == pytest.approx(0.005 * 1e4 + 1.1e-8 * 1e8 + 7.7e-6 * 1e4 + walk)
    assert cost.incremental_s == pytest.approx(walk + 0.01 + 5 * 50e-6 + 2 * 0.01)
    assert cost.periodic_s == pytest.approx(walk + 0.01)
    assert cost.periodic_s / proxies.parameters()[IPVS.resync] == pytest.approx(0.08, abs=0.002)


def test_its_end_is_known() -> None:
    said = {minor: IPVS.versions.status((1, minor)) for minor in (34, 35, 36, 37, 39, 40, 42, 43, 50)}
    assert said == {
        34: "available", 35: "deprecated", 36: "deprecated", 37: "gated", 39: "gated", 40: "off", 42: "off",
        43: "removed", 50: "removed",
    }  # fmt: skip
    assert IPVS.versions.falls_back((1, 21)) == "iptables"
    assert IPVS.versions.falls_back((1, 25)) == IPVS.versions.falls_back((1, 34)) == "error"
    assert IPVS.versions.falls_back((1, 34), "iptables") == "iptables"
    assert IPVS.versions.falls_back((1, 21), "error") == "error"
