"""The IPVS mode: virtual servers in a table of the kernel, with a choice of algorithms. Deprecated since 1.35.

Nothing of IPVS was measured in a kernel: what is said here follows from its structure, from published figures, and
from replicas of its tables outside the kernel; ipsets and addresses were measured.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from kscale.network.parameters import ASSUMED, MEASURED, PUBLISHED, STRUCTURAL, Parameter
from kscale.network.ports import PROTOCOLS, SCTP, Ports, Rows
from kscale.network.proxies import (
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
    Step,
    Structure,
    Versions,
)  # fmt: skip
from kscale.network.proxies.common import memory, steps
from kscale.network.proxies.common.chains import ahead
from kscale.network.proxies.common.paths import FORWARD, INPUT
from kscale.network.proxies.common.rows import BENCH, BLOG, KERNEL, TIGERA, UPSTREAM

#: Algorithms that look at every real server, those that need not, and those that ask a cache first.
_SCANNING = ("lc", "wlc", "sed", "nq")
_CONSTANT = ("rr", "wrr", "dh", "sh", "mh", "fo", "ovf")
_CACHED = ("lblc", "lblcr")
SCHEDULERS = (*_CONSTANT, *_SCANNING, *_CACHED)
_BITS = tuple(str(bits) for bits in range(8, 28))
_OPTIONS = (
    Option("cache", ("warm", "cold"), "warm", "whether what is looked up is in the processor's caches"),
    Option("table", ("fixed", "resizable"), "fixed", "the kernel's table of virtual servers; resizable from 2026 on"),
    Option("scheduler", SCHEDULERS, "rr", "how a real server is chosen"),
    Option("connection-bits", _BITS, "12", "ip_vs's conn_tab_bits: the connection table has 2 to this power buckets"),
)  # fmt: skip
_REPLICA = "a replica of the kernel's table outside the kernel"
_KEP = "kubernetes/enhancements, keps/sig-network/5495"
_PARAMETERS = (
    Parameter("ipvs_sets_passed", 4, "1", STRUCTURAL, UPSTREAM, "rules with ipsets that a first packet passes"),
    Parameter("ipvs_set_us", 0.104, "us", MEASURED, BENCH, "hash:ip,port, of any size"),
    Parameter("ipvs_us", 2.5, "us", ASSUMED, BLOG, "so that few services cost 5 % more than with nftables"),
    Parameter("ipvs_buckets", 256, "1", STRUCTURAL, KERNEL, "ipvs/ip_vs_ctl.c: IP_VS_SVC_TAB_BITS 8"),
    Parameter(
        "ipvs_resizable_chain",
        1.1,
        "1",
        STRUCTURAL,
        "nf-next, IPVS resizable tables, v2 3/5, 2026",
        "load at most 12.5 %",
    ),
    Parameter("ipvs_node_warm_us", 0.009, "us", ASSUMED, _REPLICA, "an entry of a chain: 8 to 10 ns"),
    Parameter("ipvs_node_cold_us", 0.3, "us", ASSUMED, _REPLICA, "280 to 330 ns"),
    Parameter("ipvs_choice_us", 0.02, "us", ASSUMED, "a choice that looks at few real servers"),
    Parameter("ipvs_scan_us", 0.0026, "us", ASSUMED, _REPLICA, "a real server that is looked at, warm: 1 to 2.6 ns"),
    Parameter("ipvs_scan_long_us", 0.008, "us", ASSUMED, _REPLICA, "the same where there are many"),
    Parameter("ipvs_scan_long", 100, "1", ASSUMED, _REPLICA, "with more real servers they are many"),
    Parameter(
        "ipvs_cache_misses", 1, "1", ASSUMED, "lblc, lblcr", "share of connections to destinations not in the cache"
    ),
    Parameter("ipvs_established_us", 1.60, "us", ASSUMED, "nftables and 0.3", "a later packet"),
    Parameter(
        "ipvs_start_set_s",
        0.005,
        "s",
        PUBLISHED,
        "kubernetes/kubernetes PR 93445",
        "one ipset command: 6 ms; measured 2.4 to 4.5",
    ),
    Parameter("ipvs_address2_s", 1.1e-8, "s", MEASURED, BENCH, "times the square of the addresses: at most 27 % off"),
    Parameter("ipvs_address_s", 7.7e-6, "s", MEASURED, BENCH),
    Parameter("ipvs_walk_s", 22e-6, "s", ASSUMED, f"{TIGERA}: 8 % of a core, every 30 s", "a virtual or a real server"),
    Parameter("ipvs_sync_s", 0.01, "s", ASSUMED, "a sync that finds nothing"),
    Parameter("ipvs_changed_endpoint_s", 50e-6, "s", ASSUMED, "one netlink call"),
    Parameter("ipvs_changed_service_s", 0.01, "s", ASSUMED, "ipset commands and netlink calls"),
    Parameter("ipvs_set_entry_bytes", 27, "bytes", MEASURED, BENCH, "818 kB for 30,000"),
    Parameter("ipvs_address_bytes", 530, "bytes", MEASURED, BENCH),
    Parameter("ipvs_virtual_server_bytes", 512, "bytes", ASSUMED, KERNEL),
    Parameter("ipvs_real_server_bytes", 512, "bytes", ASSUMED, KERNEL),
    Parameter("ipvs_connection_bytes", 320, "bytes", STRUCTURAL, KERNEL, "beside conntrack's entry"),
    Parameter("ipvs_rules", 22, "1", STRUCTURAL, UPSTREAM, "of iptables, whatever there is: 20 to 25"),
    Parameter("ipvs_chains", 8, "1", STRUCTURAL, UPSTREAM),
    Parameter("ipvs_min_sync_s", 0, "s", STRUCTURAL, UPSTREAM, "default of minSyncPeriod"),
)


@lru_cache(maxsize=4)
def _servers(ports: Ports, node_addresses: int) -> tuple[int, int]:
    """Return the number of virtual servers, with endpoints or without, and of real servers."""
    inside, outside = ports.has_cluster_ip.astype(np.int64), ports.external_addresses
    outside = outside + node_addresses * ports.open_node_port
    real = inside * ports.internal_endpoints + outside * ports.external_endpoints
    return int((inside + outside).sum()), int(real.sum())


@lru_cache(maxsize=4)
def _sets(ports: Ports, node_addresses: int) -> dict[str, int]:
    """Return the entries of each ipset."""
    balancers = np.where(ports.headless, 0, ports.load_balancer_ips)
    external = np.where(ports.headless, 0, ports.external_ips)
    local, firewalled = ports.external_local, ports.source_ranges > 0
    found = {
        "KUBE-CLUSTER-IP": ports.has_cluster_ip,
        "KUBE-LOOP-BACK": np.where(ports.has_cluster_ip, ports.local_endpoints, 0),
        "KUBE-EXTERNAL-IP": np.where(local, 0, external),
        "KUBE-EXTERNAL-IP-LOCAL": np.where(local, external, 0),
        "KUBE-LOAD-BALANCER": balancers,
        "KUBE-LOAD-BALANCER-LOCAL": np.where(local, balancers, 0),
        "KUBE-LOAD-BALANCER-FW": np.where(firewalled, balancers, 0),
        "KUBE-LOAD-BALANCER-SOURCE-CIDR": balancers * ports.source_ranges,
        "KUBE-LOAD-BALANCER-SOURCE-IP": np.where(firewalled & ports.node_allowed, balancers, 0),
        "KUBE-HEALTH-CHECK-NODE-PORT": ports.has_cluster_ip & ports.health_check,
        "KUBE-IPVS-IPS": np.array(_addresses(ports)),
    }
    for number, protocol in enumerate(PROTOCOLS):
        # One bitmap of ports for TCP and for UDP; for SCTP an entry for each address as well.
        each = node_addresses if number == SCTP else 1
        open_ = ports.open_node_port & (ports.protocol == number)
        found[f"KUBE-NODE-PORT-{protocol}"] = each * open_
        found[f"KUBE-NODE-PORT-LOCAL-{protocol}"] = each * (open_ & local)
    return {name: int(entries.sum()) for name, entries in found.items()}


@lru_cache(maxsize=4)
def _addresses(ports: Ports) -> int:
    """Return the number of addresses on kube-ipvs0: the ports of a Service share them."""
    return int(ports.per_service(ports.has_cluster_ip + ports.external_addresses).sum())


def _structure(case: Case) -> Structure:
    virtual, real = _servers(case.ports, case.node_addresses)
    return Structure(
        rules={"nat and filter": int(case.parameters["ipvs_rules"])},
        chains={"nat and filter": int(case.parameters["ipvs_chains"])},
        elements=_sets(case.ports, case.node_addresses), addresses=_addresses(case.ports),
        virtual_servers=virtual, real_servers=real,
    )  # fmt: skip


def _node_us(case: Case) -> float:
    return case.parameters[f"ipvs_node_{case.options['cache']}_us"]


def _choice_us(case: Case, endpoints: Rows) -> Rows:
    """Return what the scheduler costs for services with so many real servers, in microseconds."""
    numbers, scheduler = case.parameters, case.options["scheduler"]
    long = endpoints > numbers["ipvs_scan_long"]
    scan = np.where(long, numbers["ipvs_scan_long_us"], numbers["ipvs_scan_us"]) * endpoints
    few = np.full(endpoints.shape, numbers["ipvs_choice_us"])
    if scheduler in _CACHED:
        missed = min(numbers["ipvs_cache_misses"], 1.0)
        return (1 - missed) * few + missed * scan
    return scan if scheduler in _SCANNING else few


def _first(case: Case, packet: str) -> Path | None:
    weights, endpoints = steps.connections(case, packet)
    if not len(weights):
        return None
    numbers, virtual = case.parameters, _servers(case.ports, case.node_addresses)[0]
    choice, place = np.unique(_choice_us(case, endpoints), return_inverse=True)
    weights = np.bincount(place, weights)
    found = [*steps.begin(numbers)[:2]]
    found.append(Step.fixed("rules with ipsets", "sets", numbers["ipvs_sets_passed"], numbers["ipvs_set_us"]))
    if packet == OTHER:
        # No address of kube-ipvs0: it is forwarded, and IPVS looks at its connections only.
        return Path(np.ones(1), (*found, _connection(case, hook=FORWARD)))
    if case.options["table"] == "fixed":
        before, share = ahead(virtual / numbers["ipvs_buckets"])
        nodes = 1 + np.tile(before, len(choice))
        choice, weights = np.repeat(choice, len(before)), np.outer(weights, share).ravel()
    else:
        nodes = np.full(len(choice), numbers["ipvs_resizable_chain"])
    found += [
        Step.fixed("the table of virtual servers", "entries", nodes, _node_us(case), hook=INPUT),
        Step.fixed("the scheduler's choice", "connections", 1, choice, hook=INPUT),
        Step.fixed("IPVS itself: a connection, a new destination", "connections", 1, numbers["ipvs_us"], hook=INPUT),
    ]
    if packet == NODE_PORT:
        found += steps.masquerade(case)
    if packet.startswith("affinity"):
        found.append(_connection(case, "the template of the client"))
    return Path(weights, (*found, _connection(case)))


def _connection(case: Case, name: str = "IPVS's connection table", hook: str = INPUT) -> Step:
    entries = case.connections / 2 ** int(case.options["connection-bits"])
    return Step.fixed(name, "entries", entries, _node_us(case), hook=hook)


def _later(case: Case, packet: str = HIT) -> Path:
    return steps.established(
        case, packet, case.parameters["ipvs_established_us"], "conntrack, IPVS, rewriting", _connection(case)
    )


def _programming(case: Case, change: Change) -> Programming:
    numbers = case.parameters
    virtual, real = _servers(case.ports, case.node_addresses)
    addresses, walk = float(_addresses(case.ports)), numbers["ipvs_walk_s"] * (virtual + real)
    full = (
        numbers["ipvs_start_set_s"] * virtual + numbers["ipvs_address2_s"] * addresses**2
        + numbers["ipvs_address_s"] * addresses + walk
    )  # fmt: skip
    later = (
        walk + numbers["ipvs_sync_s"] + numbers["ipvs_changed_endpoint_s"] * change.endpoints
        + numbers["ipvs_changed_service_s"] * change.services
    )  # fmt: skip
    build = numbers["build_rule_s"] * (virtual + real)
    return Programming(full, later, build, build, walk + numbers["ipvs_sync_s"])


def _memory(case: Case) -> Memory:
    numbers, made = case.parameters, _structure(case)
    entries = numbers["ipvs_set_entry_bytes"] * sum(made.elements.values())
    kernel = (
        entries + numbers["ipvs_address_bytes"] * made.addresses
        + numbers["ipvs_virtual_server_bytes"] * made.virtual_servers
        + numbers["ipvs_real_server_bytes"] * made.real_servers
        + numbers["ipvs_connection_bytes"] * case.connections
    )  # fmt: skip
    return memory.of(case, kernel, entries)


IPVS = Mode(
    "ipvs", "virtual servers in a table of the kernel, ipsets, and all addresses on one device",
    options=_OPTIONS, parameters=_PARAMETERS, structure=_structure, first=_first, later=_later,
    programming=_programming, memory=_memory, balancing=SCHEDULERS,
    versions=Versions(
        (1, 11), _KEP, deprecated=(1, 35), gate=(1, 37), off=(1, 40), removed=(1, 43),
        fallback="iptables", fallback_until=(1, 25),
    ),
    min_sync="ipvs_min_sync_s", resync="sync_period_s",
    variants=({}, {"cache": "cold"}, {"table": "resizable"}), onward="filter OUTPUT",
)  # fmt: skip
