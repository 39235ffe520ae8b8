"""Runs with Services: every node's kube-proxy, and when it knows what controllers wrote."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest

from kscale.errors import InputError
from kscale.network import proxies
from kscale.network.told import READY, TERMINATING, EndpointChanges
from kscale.networking import Proxying
from tests.living.stage import MINUTE, Manifest, live, play, simulation, value, workload

SECOND = 1_000_000
ROLL = {"at": "5m", "image": {"target": "deployment/web", "containers": {"web": "web:2"}}}
#: Every sync takes half a second, whatever it writes.
FIXED = {
    "iptables_legacy_partial_s": 0.5, "iptables_legacy_partial_search_s": 0, "iptables_legacy_partial_service_s": 0,
    "iptables_legacy_full_rule_s": 0, "iptables_legacy_full_chain2_s": 0, "build_rule_s": 0,
}  # fmt: skip


def service(name: str = "web", **spec: Any) -> Manifest:
    given = {"selector": {"app": "web"}, "ports": [{"port": 80}], **spec}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
            "spec": {key: value for key, value in given.items() if value is not None}}  # fmt: skip


def web(**spec: Any) -> Manifest:
    return workload("Deployment", "web", replicas=3, **spec)


def test_latencies_of_a_rollout_by_hand() -> None:
    numbers = proxies.parameters().replaced(FIXED)
    made = play([service(), web()], [ROLL], minutes=10, proxying=Proxying.of(numbers=numbers, seed=3))
    tables = made.living.tables()  # type: ignore[union-attr]
    changes, nodes = tables["network_changes"], tables["network_nodes"]
    # Each node: a sync begins when something has come, a second after the last one ended at the earliest.
    latencies = []
    for watch in nodes["watch_us"].to_list():
        begun, ended = -10 * MINUTE, -10 * MINUTE
        known: list[int] = []
        arrivals = [at + watch for at in changes["written_us"].to_list()]
        for at in arrivals:
            if at > begun:
                begun = max(at, ended + SECOND)
                ended = begun + SECOND // 2
            known.append(ended)
        latencies.append(np.array(known) - changes["happened_us"].to_numpy())
    every = np.sort(np.array(latencies), axis=0)
    assert len(every) == 3
    assert changes["p50_us"].to_list() == every[1].tolist()
    assert changes["p99_us"].to_list() == changes["most_us"].to_list() == every[2].tolist()
    assert changes["mean_us"].to_list() == (every.sum(0) // 3).tolist()
    assert tables["network_latencies"]["all"].sum() == every.size
    assert tables["network_quantiles"]["latency_us"][-1] == every.max()
    measured = changes["measured"].to_numpy()
    assert tables["network_latencies"]["metric"].sum() == 3 * measured.sum()
    assert 6 <= measured.sum() < len(changes)
    # All syncs are told of by interval and by node.
    assert tables["network"]["syncs"].sum() == nodes["syncs"].sum()
    assert tables["network"]["cpu_us"].sum() == nodes["cpu_us"].sum() == (nodes["syncs"].sum()) * SECOND // 2
    assert tables["network"]["changes"].sum() == len(changes)
    assert set(tables["network"]["mode"]) == {"iptables"}


class Notes:
    """A listener that keeps all that it is told."""

    def __init__(self) -> None:
        self.seen: list[Any] = []
        self.endpoints: list[EndpointChanges] = []

    def known(self, known: Any, endpoints: EndpointChanges) -> None:
        assert (endpoints.change >= known.first).all()
        assert (endpoints.change < known.first + len(known.changes)).all()
        self.seen.append(known.seen_us())
        self.endpoints.append(endpoints)


def test_a_pod_that_is_deleted_stays_in_the_rules_until_nodes_know() -> None:
    made = simulation([service(), web()], [ROLL], minutes=10)
    notes = Notes()
    made.living.network.listeners.append(notes)  # type: ignore[union-attr]
    live(made)
    seen = np.concatenate(notes.seen)
    changes = made.living.tables()["network_changes"]  # type: ignore[union-attr]
    assert seen.shape == (len(changes), 3)
    assert (np.sort(seen, axis=1)[:, 2] - changes["happened_us"].to_numpy()).tolist() == changes["most_us"].to_list()
    pods = made.pods()
    rows = [(one.change[at], one.serial[at], one.before[at], one.after[at])
            for one in notes.endpoints for at in range(len(one))]  # fmt: skip
    going = {serial: change for change, serial, before, after in rows if after & TERMINATING and before & READY}
    # Three old ones go. What they serve ends at once, but rules have them until a sync: that is known from both sides.
    assert len(going) == 3
    for serial, change in going.items():
        deleted, ended = changes["happened_us"][int(change)], pods["ended_us"][int(serial)]
        assert deleted <= ended < seen[change].min() < deleted + 2 * SECOND


@pytest.mark.parametrize("mode", ["iptables", "nftables", "ipvs", "userspace"])
def test_every_mode(mode: str) -> None:
    made = play([service(), web()], [ROLL], minutes=8, proxying=Proxying.of(mode))
    tables = made.living.tables()  # type: ignore[union-attr]
    assert set(tables["network"]["mode"]) == {mode}
    longest = tables["network_changes"]["most_us"]
    assert longest.min() > 0
    # In a small cluster no sync takes long: the rest between two syncs is the longest wait, which IPVS has not.
    assert longest.max() < (SECOND // 2 if mode == "ipvs" else 3 * SECOND)
    often = tables["network"].filter(pl.col("time_us") > 6 * MINUTE)["syncs"].sum()
    assert (often > 0) == (mode in ("ipvs", "userspace"))


KINDS = [
    service("plain", ports=[{"port": 80, "name": "a"}, {"port": 443, "name": "b", "protocol": "UDP"}]),
    service("open", type="NodePort", externalTrafficPolicy="Local"),
    service("edge", type="LoadBalancer", loadBalancerSourceRanges=["192.0.2.0/24"], externalIPs=["198.51.100.7"],
            externalTrafficPolicy="Local"),
    service("sticky", sessionAffinity="ClientIP", internalTrafficPolicy="Local"),
    service("near", trafficDistribution="PreferClose", publishNotReadyAddresses=True),
    service("both", ipFamilies=["IPv4", "IPv6"], ipFamilyPolicy="PreferDualStack"),
    service("six", ipFamilies=["IPv6"]),
    service("heads", clusterIP="None"),
    service("away", type="ExternalName", externalName="example.org", selector=None, ports=None),
    service("free", selector=None),
]  # fmt: skip


def test_services_of_every_kind_live() -> None:
    later = [
        {"at": "4m", "apply": service("plain", type="NodePort", ports=[{"port": 80, "name": "a", "nodePort": 30080}])},
        {"at": "4m", "apply": service("late")},
        ROLL,
        {"at": "6m", "delete": "service/open"},
        {"at": "6m", "scale": {"target": "deployment/web", "replicas": 5}},
        {"at": "7m", "delete": "deployment/web"},
    ]
    made = play([*KINDS, web()], later, minutes=10)
    world, tables = made.living.world, made.living.tables()  # type: ignore[union-attr]
    told = tables["network_changes"]
    # Of headless ones, of other families and of outside names a proxy is not told.
    assert set(told["service"]) == {"plain", "open", "edge", "sticky", "near", "both", "free", "late"}
    assert value(world, "Service", "plain", "type") == 1
    # A Service that is deleted goes, and its endpoints with their slice.
    assert sorted(told.filter(pl.col("written_us") >= 6 * MINUTE, service="open")["endpoints"]) == [0, 3]
    endpoints = told.filter(pl.col("written_us") > 7 * MINUTE).group_by("service").agg(pl.col("endpoints").sum())
    # Each of the five goes twice: it is being deleted, and it is gone.
    assert dict(endpoints.rows()) == dict.fromkeys(("plain", "edge", "sticky", "near", "both", "late"), 10)


def test_the_same_run_gives_the_same_and_nothing_comes_back() -> None:
    def tables(**how: Any) -> tuple[dict[str, pl.DataFrame], Any]:
        made = play([service(), web()], [ROLL], minutes=8, **how)
        return {name: frame for name, frame in made.living.tables().items() if name.startswith("network")}, made  # type: ignore[union-attr]

    first, made = tables(proxying=Proxying.of("nftables", seed=4, threads=1))
    second, _ = tables(proxying=Proxying.of("nftables", seed=4, threads=3))
    assert all(first[name].equals(second[name]) for name in first)
    other, _ = tables(proxying=Proxying.of("nftables", seed=5))
    assert not other["network_nodes"].equals(first["network_nodes"])
    none, without = tables(proxying=Proxying.of("none"))
    assert all(frame.is_empty() for frame in none.values())
    assert made.pods().equals(without.pods())


def test_without_services_there_are_no_proxies() -> None:
    made = play([web()], minutes=5)
    tables = made.living.tables()  # type: ignore[union-attr]
    names = [name for name in tables if name.startswith("network")]
    assert len(names) == 5 and all(tables[name].is_empty() for name in names)


def test_a_service_that_comes_later_is_programmed() -> None:
    made = play([web()], [{"at": "3m", "apply": service()}], minutes=5)
    changes = made.living.tables()["network_changes"]  # type: ignore[union-attr]
    assert changes["written_us"].min() >= 3 * MINUTE
    assert changes["endpoints"].sum() == 3


def test_faults() -> None:
    with pytest.raises(InputError, match="there is no 'iptable'; did you mean 'iptables'"):
        Proxying.of("iptable")
    with pytest.raises(InputError, match="the mode nftables has no option 'scheduler'"):
        Proxying.of("nftables", {"scheduler": "rr"})
    with pytest.raises(InputError, match="says nothing without kube-proxies"):
        Proxying.of("none", {"cache": "warm"})
    for names, said in (
        ({"proxy_watch_least_s": 1}, "field 'proxy_watch_least_s': is 1, and proxy_watch_most_s 0.11"),
        ({"proxy_watch_most_s": 1e9}, "both 86,400 s at most"),
        ({"iptables_min_sync_s": 1e300}, "field 'iptables_min_sync_s': is longer than 30 years"),
        ({"iptables_legacy_partial_s": 1e300}, "field 'a sync of iptables': is longer than 30 years"),
        ({"burst_syncs": 1e9}, "field 'burst_syncs': is 1e\\+09; expected 1000 at most"),
    ):
        with pytest.raises(InputError, match=said):
            Proxying.of(numbers=proxies.parameters().replaced(names))
    assert replace(Proxying.of(), threads=2).mode.name == "iptables"  # type: ignore[union-attr]
