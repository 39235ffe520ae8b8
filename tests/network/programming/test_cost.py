"""What syncs cost: the modes' own numbers, whatever changed."""

from __future__ import annotations

from math import ceil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale.network import proxies
from kscale.network.ports import Ports
from kscale.network.programming import Cost
from kscale.network.proxies import Change


@settings(max_examples=60)
@given(st.sampled_from(sorted(proxies.found())), st.integers(1, 3_000), st.integers(0, 60), st.data())
def test_costs_are_those_of_the_mode(name: str, services: int, endpoints: int, data: st.DataObject) -> None:
    mode = proxies.found()[name]
    options = {one.name: data.draw(st.sampled_from(one.choices)) for one in mode.options}
    case = proxies.case(mode, Ports.uniform(services, endpoints), options)
    cost = Cost.of(case)
    changed = data.draw(st.integers(1, max(case.served, 1)))
    ends = data.draw(st.integers(1, 500))
    told = mode.programming(case, Change(changed, ends))
    found = cost.base_us + cost.service_us * (changed - 1) + cost.endpoint_us * (ends - 1)
    assert found == pytest.approx((told.incremental_s + told.build_incremental_s) * 1e6, rel=1e-6, abs=1e-3)
    assert cost.most_services == max(case.served, 1)
    assert cost.again_us == pytest.approx((told.periodic_s + told.build_full_s) * 1e6)
    assert cost.min_us == case.parameters[mode.min_sync] * 1e6
    assert cost.resync_us == case.parameters[mode.resync] * 1e6


def test_a_service_with_several_ports_counts_for_each() -> None:
    case = proxies.case(proxies.found()["ipvs"], Ports.uniform(30, 4))
    one, three = Cost.of(case), Cost.of(case, 3.0)
    assert three.service_us == pytest.approx(3 * one.service_us)
    assert (one.most_services, three.most_services) == (30, 10)
    assert one.base_us == three.base_us


def test_without_services_a_sync_has_nothing_to_write_twice() -> None:
    cost = Cost.of(proxies.case(proxies.found()["iptables"], Ports.uniform(0, 0)))
    assert (cost.service_us, cost.most_services) == (0, 1)
    assert 0 < cost.base_us < 1e6 and ceil(cost.again_us) > 0


def test_parameters_give_the_rest_and_the_burst() -> None:
    numbers = proxies.parameters().replaced({"burst_syncs": 2, "iptables_min_sync_s": 10, "full_sync_period_s": 5})
    cost = Cost.of(proxies.case(proxies.found()["iptables"], Ports.uniform(1, 1), numbers=numbers))
    # Upstream refuses a period shorter than the rest.
    assert (cost.burst, cost.min_us, cost.resync_us) == (2, 10_000_000, 10_000_000)
