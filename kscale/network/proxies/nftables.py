"""The nftables mode: maps from addresses to chains, so that a first packet costs the same whatever there is."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from kscale.network.parameters import ASSUMED, MEASURED, PUBLISHED, STRUCTURAL, Parameter
from kscale.network.ports import Ports, Rows
from kscale.network.proxies import (
    AFFINITY_NEW,
    AFFINITY_STUCK,
    HIT,
    NODE_PORT,
    OTHER,
    Case,
    Change,
    Memory,
    Mode,
    Option,
    Path,
    Programming,
    Since,
    Step,
    Structure,
    Versions,
)  # fmt: skip
from kscale.network.proxies.common import memory, steps
from kscale.network.proxies.common.rows import BENCH, UPSTREAM

#: 8 base chains, and 9 that these jump to.
FIXED_CHAINS = 17
#: Jumps of the base chains, look-ups in the maps, marks, masquerading, reject.
FIXED_RULES = 22

_OPTIONS = (
    Option("cache", ("warm", "cold"), "warm", "whether what is looked up is in the processor's caches"),
    Option("list", ("none", "chains", "table"), "none", "what kube-proxy lists at every sync, to find what is stale"),
    Option("kernel", ("new", "old"), "new", "old: before about 6.11, slower to take a long transaction"),
)  # fmt: skip
_ISSUE = "kubernetes/kubernetes issue 139513"
_RESTART = "kubernetes/kubernetes PR 130119"
_PATCH = "kubernetes/kubernetes PR 126013"
_SINCE = (
    Since("kernel", (0, 0), "kernel", "old", _RESTART),
    Since("kernel", (6, 11), "kernel", "new", _RESTART),
    Since("kubernetes", (1, 29), "list", "chains", "kubernetes/kubernetes issue 135639"),
    Since("kubernetes", (1, 36), "list", "table", _ISSUE),
    # By netlink, which nobody has measured here: it should be less than a program run.
    Since("kubernetes", (1, 37), "list", "chains", "kubernetes/kubernetes PR 137536"),
)
_PARAMETERS = (
    Parameter(
        "nftables_fixed_us",
        0.62,
        "us",
        MEASURED,
        BENCH,
        "base chains and look-ups; with the next row and the path 7.3 in all",
    ),
    Parameter("nftables_hit_us", 0.33, "us", MEASURED, BENCH, "a Service's chains, against an address that is none's"),
    Parameter(
        "nftables_doubling_us",
        0.09,
        "us",
        MEASURED,
        BENCH,
        "more for each doubling of the endpoints; at most 2.8 % off",
    ),
    Parameter("nftables_cold_us", 5.7, "us", MEASURED, BENCH, "more with cold caches: 5 to 6.4"),
    Parameter("nftables_affinity_us", 0.1, "us", ASSUMED, "a look-up in one set"),
    Parameter("nftables_established_us", 1.30, "us", MEASURED, BENCH, "a later packet: conntrack, rewriting, ct state"),
    Parameter(
        "nftables_full_service_s", 8e-5, "s", MEASURED, f"{BENCH}; {_ISSUE}", "full: median error 6 %, at most 51 %"
    ),
    Parameter("nftables_full_endpoint_s", 4.5e-5, "s", MEASURED, BENCH),
    Parameter(
        "nftables_full_power_s", 11.9, "s", MEASURED, f"{BENCH}; {_ISSUE}", "for 10,000 service ports: anonymous maps"
    ),
    Parameter("nftables_full_power", 2.84, "1", MEASURED, f"{BENCH}; {_ISSUE}"),
    Parameter("nftables_full_product_s", 6.9e-8, "s", MEASURED, BENCH, "times service ports times endpoints"),
    Parameter("nftables_partial_s", 0.0036, "s", MEASURED, BENCH, "incremental: at most 14 % off"),
    Parameter("nftables_partial_service_s", 2.25e-6, "s", MEASURED, f"{BENCH}; {_ISSUE}; {_PATCH}"),
    Parameter("nftables_partial_endpoint_s", 3.9e-6, "s", MEASURED, f"{BENCH}; {_ISSUE}; {_PATCH}"),
    Parameter(
        "nftables_partial_service2_s",
        3.2e-10,
        "s",
        MEASURED,
        f"{BENCH}; {_ISSUE}",
        "times the square of the service ports",
    ),
    Parameter(
        "nftables_partial_product_s",
        1.2e-10,
        "s",
        MEASURED,
        f"{BENCH}; {_ISSUE}",
        "times service ports times endpoints, as in a full sync",
    ),
    Parameter("nftables_list_table_service_s", 2.5e-5, "s", MEASURED, BENCH, "nft --json list table"),
    Parameter("nftables_list_table_endpoint_s", 7.9e-5, "s", MEASURED, BENCH),
    Parameter("nftables_list_table_service2_s", 4.2e-8, "s", MEASURED, BENCH),
    Parameter("nftables_list_chains_service_s", 5.5e-6, "s", MEASURED, BENCH, "nft --json list chains"),
    Parameter("nftables_list_chains_endpoint_s", 6.6e-6, "s", MEASURED, BENCH),
    Parameter(
        "nftables_old_kernel_factor", 3.5, "1", PUBLISHED, "kubernetes/kubernetes PR 130119, issue 135639", "3 to 4"
    ),
    Parameter("nftables_service_bytes", 2082, "bytes", MEASURED, BENCH, "slab: at most 10 % off"),
    Parameter("nftables_endpoint_bytes", 998, "bytes", MEASURED, BENCH),
    Parameter("nftables_client_factor", 9, "1", MEASURED, BENCH, "nft at its peak, to the slab"),
    Parameter("nftables_min_sync_s", 1, "s", STRUCTURAL, UPSTREAM, "default of minSyncPeriod"),
)


@lru_cache(maxsize=4)
def _rules(ports: Ports) -> tuple[Rows, Rows, Rows, Rows]:
    """Return rules, chains, anonymous maps and entries of these, one row a service port (int64), without the fixed."""
    any_, affinity = ports.endpoints > 0, ports.affinity.astype(np.int64)
    internal, external = ports.internal_endpoints > 0, ports.external_endpoints > 0
    outside = ports.externally_accessible & any_
    balancers = np.where(ports.headless, 0, ports.load_balancer_ips)
    firewalled = any_ & (balancers > 0) & (ports.source_ranges > 0)
    cluster, local = ports.uses_cluster & any_, ports.uses_local & (ports.local_endpoints > 0)
    chosen = np.where(cluster, ports.endpoints, 0) + np.where(local, ports.local_endpoints, 0)
    rules = (
        # The mark of traffic from off the cluster; a choice at random, and with affinity a rule for each endpoint.
        internal + cluster.astype(np.int64) + local + affinity * chosen
        # Of an endpoint: the hairpin's mark, the new destination; with affinity the client is noted.
        + (2 + affinity) * ports.reachable
        + np.where(outside, np.where(ports.external_local, 3 + external, 2), 0)
        # Who is not in the ranges is dropped.
        + firewalled
    )  # fmt: skip
    chains = cluster.astype(np.int64) + local + outside + firewalled + ports.reachable
    maps = cluster.astype(np.int64) + local + firewalled
    entries = chosen + np.where(firewalled, ports.source_ranges + balancers * ports.node_allowed, 0)
    return rules, chains, maps, entries


def _structure(case: Case) -> Structure:
    ports = case.ports
    rules, chains, maps, entries = _rules(ports)
    any_, cluster_ip = ports.endpoints > 0, ports.has_cluster_ip
    internal, external = ports.internal_endpoints > 0, ports.external_endpoints > 0
    addresses, node_port = ports.external_addresses, ports.open_node_port
    balancers = np.where(ports.headless, 0, ports.load_balancer_ips)
    elements = {
        "cluster-ips": int(ports.per_service(cluster_ip).sum()),
        "service-ips": int(internal.sum() + addresses[any_].sum()),
        "service-nodeports": int((node_port & any_).sum()),
        "nodeport-ips": case.node_addresses,
        "no-endpoint-services": int((cluster_ip & ~internal).sum() + addresses[~external].sum()),
        "no-endpoint-nodeports": int((node_port & ~external).sum()),
        "firewall-ips": int(balancers[any_ & (ports.source_ranges > 0)].sum()),
    }
    return Structure(
        rules={"kube-proxy": FIXED_RULES + int(rules.sum())},
        chains={"kube-proxy": FIXED_CHAINS + int(chains.sum())},
        elements=elements, anonymous_maps=int(maps.sum()), anonymous_elements=int(entries.sum()),
        affinity_sets=int(ports.reachable[ports.affinity].sum()),
    )  # fmt: skip


def _first(case: Case, packet: str) -> Path | None:
    weights, endpoints = steps.connections(case, packet)
    if not len(weights):
        return None
    numbers = case.parameters
    found = [*steps.begin(numbers)]
    found.append(Step.fixed("base chains, service-ips, later checks", "passages", 1, numbers["nftables_fixed_us"]))
    if packet == NODE_PORT:
        found += steps.masquerade(case)
    if packet != OTHER:
        found.append(Step.fixed("the service's chain, the endpoint's chain", "passages", 1, numbers["nftables_hit_us"]))
    if packet in (AFFINITY_NEW, AFFINITY_STUCK):
        least = endpoints if packet == AFFINITY_NEW else 1
        found.append(Step("is the client known", "sets", least, endpoints, numbers["nftables_affinity_us"]))
    if packet not in (OTHER, AFFINITY_STUCK):
        doublings = np.log2(endpoints)
        found.append(Step.fixed("a random endpoint, by a map", "doublings", doublings, numbers["nftables_doubling_us"]))
    if case.options["cache"] == "cold":
        found.append(Step.fixed("memory that no cache holds", "passages", 1, numbers["nftables_cold_us"]))
    return Path(weights, tuple(found))


def _later(case: Case, packet: str = HIT) -> Path:
    return steps.established(case, packet, case.parameters["nftables_established_us"], "conntrack, rewriting, ct state")


def _programming(case: Case, change: Change) -> Programming:
    numbers, services, endpoints = case.parameters, float(case.served), float(case.endpoints)
    each = numbers["nftables_full_service_s"], numbers["nftables_full_endpoint_s"]
    full = (
        each[0] * services + each[1] * endpoints + numbers["nftables_full_product_s"] * services * endpoints
        + numbers["nftables_full_power_s"] * (services / 1e4) ** numbers["nftables_full_power"]
    )  # fmt: skip
    partial = (
        numbers["nftables_partial_s"] + numbers["nftables_partial_service_s"] * services
        + numbers["nftables_partial_endpoint_s"] * endpoints + numbers["nftables_partial_service2_s"] * services**2
        + numbers["nftables_partial_product_s"] * services * endpoints
    )  # fmt: skip
    # The fit is of one service; what is more is written like in a full sync.
    more = max(min(change.services, case.served) - 1, 0)
    partial += more * (each[0] + each[1] * endpoints / max(services, 1))
    listing = 0.0
    if case.options["list"] != "none":
        name = f"nftables_list_{case.options['list']}"
        listing = numbers[f"{name}_service_s"] * services + numbers[f"{name}_endpoint_s"] * endpoints
    if case.options["list"] == "table":
        listing += numbers["nftables_list_table_service2_s"] * services**2
    age = numbers["nftables_old_kernel_factor"] if case.options["kernel"] == "old" else 1.0
    rules = float(_rules(case.ports)[0].sum())
    changed = min(change.services, case.served) * rules / max(case.served, 1)
    build = numbers["build_rule_s"]
    # Long transactions alone are slow there: PR 126013 wrote one change to 10,000 Services in 141 ms, before 6.11.
    full, partial = full * age + listing, partial + listing
    return Programming(full, partial, build * (FIXED_RULES + rules), build * changed, full)


def _memory(case: Case) -> Memory:
    numbers = case.parameters
    kernel = numbers["nftables_service_bytes"] * case.served + numbers["nftables_endpoint_bytes"] * case.endpoints
    return memory.of(case, kernel, numbers["nftables_client_factor"] * kernel)


NFTABLES = Mode(
    "nftables", "maps from addresses to chains; a first packet costs the same whatever there is",
    options=_OPTIONS, parameters=_PARAMETERS, structure=_structure, first=_first, later=_later,
    programming=_programming, memory=_memory, balancing=("random",),
    # kube-proxy does not start in this mode on an older kernel.
    versions=Versions((1, 33), f"{UPSTREAM}/nftables/supported.go", kernel=(5, 13)),
    min_sync="nftables_min_sync_s", resync="full_sync_period_s",
    variants=({}, {"cache": "cold"}, {"list": "table", "kernel": "old"}), since=_SINCE,
)  # fmt: skip
