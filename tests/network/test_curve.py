"""The curve: rates and what they cost, the reaction to a change, variants, and that it takes no time."""

from __future__ import annotations

import time

import numpy as np
import pytest

from kscale.errors import InputError
from kscale.network import curve, proxies
from kscale.network.curve import QUANTILES, Rates
from kscale.network.ports import Ports
from kscale.network.proxies import HIT, Case, Change

MODES = list(proxies.found().values())


def case(mode: str, services: int, endpoints: int = 1, **options: str) -> Case:
    return proxies.case(proxies.found()[mode], Ports.uniform(services, endpoints), options)


def test_all_modes_and_variants_stand_beside_each_other() -> None:
    frame = curve.curve([100, 1_000], [1, 10], MODES)
    names = ["iptables", "iptables warm", "iptables cold", "iptables nft", "ipvs", "ipvs cold", "ipvs resizable"]
    names += ["nftables", "nftables cold", "nftables table old", "userspace"]
    assert frame["variant"].to_list() == 4 * names
    assert set(frame["mode"]) == {"iptables", "ipvs", "nftables", "userspace"}
    for row in frame.iter_rows(named=True):
        times = [row[f"first_us_{name}"] for name in QUANTILES]
        assert times == sorted(times) and times[0] - 1e-9 <= row["first_us_mean"] <= times[-1] + 1e-9
        assert row["cores"] == pytest.approx(
            sum(row[f"cores_{part}"] for part in ("first", "later", "sync", "periodic"))
        )
        assert row["node_port_us_mean"] is None and row["affinity_new_us_mean"] is None
    other = curve.curve([100], [3], MODES, columns={"node_port": True, "affinity": True})
    assert other["node_port_us_mean"].null_count() == 0 and other["affinity_stuck_us_mean"].null_count() == 0


def test_twenty_points_take_a_moment() -> None:
    began = time.process_time()
    frame = curve.curve(curve.points(10, 100_000, 20), [10], MODES)
    assert frame.height == 20 * 11
    # A second is meant; a machine that does other things as well is no failure.
    assert time.process_time() - began < 10
    again = curve.curve(curve.points(10, 100_000, 20), [10], MODES)
    assert frame.equals(again)


def test_options_hold_for_all_that_have_them() -> None:
    ports = Ports.uniform(5, 2)
    assert [c.name for c in curve.cases(ports, MODES, {"cache": "cold"})] == [
        "iptables cold", "iptables nft cold", "ipvs cold", "ipvs cold resizable",
        "nftables cold", "nftables cold table old", "userspace cold",
    ]  # fmt: skip
    assert [c.name for c in curve.cases(ports, [proxies.found()["iptables"]], {"backend": "nft"})] == [
        "iptables nft", "iptables nft warm", "iptables nft cold",
    ]  # fmt: skip
    typical = [c.name for c in curve.cases(ports, MODES, {"cache": "typical"})]
    assert "iptables" in typical and "iptables warm" not in typical and "nftables cold" in typical
    with pytest.raises(InputError, match="field '--backend': none of these modes has it: ipvs"):
        curve.cases(ports, [proxies.found()["ipvs"]], {"backend": "nft"})
    with pytest.raises(InputError, match="field '--cache': there is no 'hot'; expected one of typical, warm, cold"):
        curve.cases(ports, MODES, {"cache": "hot"})


def test_connections_cost_a_core_what_was_published() -> None:
    """10,000 Services, 1,000 connections a second: a rule each, at 20 ns, half of them passed."""
    used = curve.cores(case("iptables", 10_000), Rates(1_000, 0, 0))
    assert used.first == pytest.approx(0.10, abs=0.005) and used.later == 0 and used.sync == 0
    for mode in ("ipvs", "nftables"):
        assert curve.cores(case(mode, 10_000), Rates(1_000, 0, 0)).first < 0.01
    assert curve.cores(case("nftables", 10), Rates(0, 10_000, 0)).later == pytest.approx(0.0130)
    # The walk of all virtual and real servers, every 30 s.
    assert curve.cores(case("ipvs", 10_000, 10), Rates(0, 0, 0)).periodic == pytest.approx(0.08, abs=0.01)


def test_changes_are_taken_together() -> None:
    small, large = case("nftables", 10), case("ipvs", 30_000, 10)
    cost = small.mode.programming(small, Change())
    took = cost.incremental_s + cost.build_incremental_s
    assert curve.cores(small, Rates(0, 0, 0.5)).sync == pytest.approx(0.5 * took)
    assert curve.cores(small, Rates(0, 0, 1_000)).sync == pytest.approx(took)  # one a second
    assert curve.cores(large, Rates(0, 0, 1_000)).sync == pytest.approx(1.0)  # one after the other


def test_a_change_waits_only_for_another() -> None:
    small = case("nftables", 10)
    cost = small.mode.programming(small, Change())
    took = cost.incremental_s + cost.build_incremental_s
    assert curve.reaction_s(small, Rates(0, 0, 0)) == pytest.approx(0.5 + took)
    assert curve.reaction_s(small, Rates(0, 0, 1)) == pytest.approx(0.5 + 0.5 + took)
    slow = case("ipvs", 30_000, 10)
    cost = slow.mode.programming(slow, Change())
    took = cost.incremental_s + cost.build_incremental_s
    assert curve.reaction_s(slow, Rates(0, 0, 100)) == pytest.approx(0.5 + 1.5 * took)


def test_weights_say_where_connections_go() -> None:
    ports = Ports.of([1, 100])
    mode = proxies.found()["iptables"]
    means = []
    for weights in ([1, 0], [0, 1], None, [1, 1]):
        path = mode.first(proxies.case(mode, ports, weights=weights), HIT)
        assert path is not None
        means.append(path.mean_us)
    assert means[0] < means[2] == means[3] < means[1]
    with pytest.raises(InputError, match="field 'weights': are no weights"):
        proxies.case(mode, ports, weights=[1])
    with pytest.raises(InputError, match="field 'connections': is -1"):
        proxies.case(mode, ports, connections=-1)


def test_options_of_a_mode_are_checked() -> None:
    with pytest.raises(InputError, match="the mode nftables has no option 'backend'"):
        case("nftables", 1, backend="nft")
    with pytest.raises(InputError, match="field 'cache': there is no 'colt'; did you mean 'cold'"):
        case("nftables", 1, cache="colt")


def test_points_are_even_on_a_log_scale() -> None:
    found = curve.points(10, 100_000, 20)
    assert (len(found), found[0], found[-1]) == (20, 10, 100_000)
    assert np.ptp(np.diff(np.log(found))) < 0.06
    assert curve.points(5, 5, 20) == [5] and curve.points(1, 3, 20) == [1, 2, 3]
    for least, most, count in ((0, 5, 2), (6, 5, 2), (1, 2_000_000, 2)):
        with pytest.raises(InputError, match="field '--services'"):
            curve.points(least, most, count)
    with pytest.raises(InputError, match="field '--points'"):
        curve.points(1, 5, 0)
    with pytest.raises(InputError, match="field '--endpoints'"):
        curve.curve([10], [0], MODES)
