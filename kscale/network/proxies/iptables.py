"""The iptables mode: a list of all Services that the first packet of a connection goes through, rule by rule."""

from __future__ import annotations

import math

from kscale.network.parameters import ASSUMED, MEASURED, PUBLISHED, STRUCTURAL, Parameter
from kscale.network.ports import Rows
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
    Step,
    Structure,
    Versions,
)  # fmt: skip
from kscale.network.proxies.common import iptables_rules, memory, steps
from kscale.network.proxies.common.iptables_rules import FIXED_NAT_CHAINS, FIXED_NAT_RULES
from kscale.network.proxies.common.paths import FORWARD
from kscale.network.proxies.common.rows import BENCH, BLOG, UPSTREAM

_OPTIONS = (
    Option("backend", ("legacy", "nft"), "legacy", "iptables-legacy, or iptables-nft, which writes into nftables"),
    Option("cache", ("typical", "warm", "cold"), "typical",
           "what a rule costs: as published, with all rules in the processor's caches, with none"),
)  # fmt: skip
_RULE = "a rule of KUBE-SERVICES"
_PARAMETERS = (
    Parameter(
        "iptables_fixed_us",
        0.85,
        "us",
        MEASURED,
        BENCH,
        "KUBE-FORWARD, KUBE-POSTROUTING and what stands in the service's chains",
    ),
    Parameter("iptables_nft_fixed_us", 0.9, "us", MEASURED, BENCH, "more than that with iptables-nft, first packet"),
    Parameter(
        "iptables_legacy_typical_rule_us", 0.020, "us", PUBLISHED, BLOG, f"{_RULE}: 20.05 ns; TKE 20, Tigera 17.5"
    ),
    Parameter("iptables_legacy_warm_rule_us", 0.00583, "us", MEASURED, BENCH, f"{_RULE}: 3.1 to 5.9 ns, lower bound"),
    Parameter("iptables_legacy_cold_rule_us", 0.0202, "us", MEASURED, BENCH, f"{_RULE}: upper bound"),
    Parameter(
        "iptables_nft_typical_rule_us", 0.0160, "us", MEASURED, BENCH, f"{_RULE}: the processor's, not the cache's"
    ),
    Parameter("iptables_nft_warm_rule_us", 0.0160, "us", MEASURED, BENCH, _RULE),
    Parameter("iptables_nft_cold_rule_us", 0.0165, "us", MEASURED, BENCH, f"{_RULE}: 16 to 17 ns"),
    Parameter("iptables_node_port_rule_us", 0.039, "us", MEASURED, BENCH, "a rule of KUBE-NODEPORTS, warm"),
    Parameter("iptables_cold_factor", 3.4, "1", ASSUMED, "as of KUBE-SERVICES", "of a rule of KUBE-NODEPORTS, cold"),
    Parameter(
        "iptables_nft_factor",
        2.6,
        "1",
        ASSUMED,
        "as of statistic rules",
        "of KUBE-NODEPORTS and affinity with iptables-nft",
    ),
    Parameter("iptables_endpoint_rule_us", 0.049, "us", MEASURED, BENCH, "a statistic rule without comment"),
    Parameter("iptables_endpoint_rule_commented_us", 0.080, "us", MEASURED, BENCH, "and with one"),
    Parameter("iptables_nft_endpoint_rule_us", 0.126, "us", MEASURED, BENCH),
    Parameter("iptables_large_endpoints", 1000, "1", STRUCTURAL, UPSTREAM, "with more endpoints comments are left out"),
    Parameter("iptables_affinity_rule_us", 0.051, "us", MEASURED, BENCH, "recent --rcheck"),
    Parameter("iptables_affinity_endpoint_us", 0.0056, "us", MEASURED, BENCH, "more for each endpoint of the service"),
    Parameter(
        "iptables_established_us", 1.26, "us", MEASURED, BENCH, "a later packet: conntrack, rewriting, KUBE-FORWARD"
    ),
    Parameter("iptables_nft_established_us", 0.25, "us", MEASURED, BENCH, "more than that with iptables-nft"),
    Parameter(
        "iptables_legacy_full_rule_s", 5.9e-6, "s", MEASURED, BENCH, "iptables-restore: median error 11 %, at most 44 %"
    ),
    Parameter("iptables_legacy_full_chain2_s", 4.7e-10, "s", MEASURED, BENCH, "times the square of the chains"),
    Parameter("iptables_legacy_partial_s", 0.003, "s", MEASURED, BENCH),
    # The whole table is swapped: the kernel looks for the target of each jump among all rules, by halves.
    Parameter(
        "iptables_legacy_partial_search_s",
        2.2e-7,
        "s",
        MEASURED,
        BENCH,
        "a rule, times log2 of the rules: median error 7 %, at most 24 %",
    ),
    Parameter("iptables_legacy_partial_service_s", 1.5e-5, "s", MEASURED, BENCH),
    Parameter("iptables_nft_full_rule_s", 8e-6, "s", MEASURED, BENCH, "at most 16 % off"),
    Parameter("iptables_nft_full_chain2_s", 3.6e-8, "s", MEASURED, BENCH, "iptables 1.8.9"),
    Parameter("iptables_nft_partial_s", 0, "s", ASSUMED, "lost in what a service costs"),
    Parameter("iptables_nft_partial_rule_s", 5.7e-7, "s", MEASURED, BENCH, "at most 52 % off"),
    Parameter("iptables_nft_partial_service_s", 4.6e-5, "s", MEASURED, BENCH),
    Parameter(
        "iptables_legacy_service_bytes",
        1304,
        "bytes",
        STRUCTURAL,
        "sizes of entries, matches and targets",
        "within 6 % of measured",
    ),
    Parameter("iptables_legacy_endpoint_bytes", 928, "bytes", STRUCTURAL, "sizes of entries, matches and targets"),
    Parameter("iptables_counter_bytes", 16, "bytes", STRUCTURAL, "counters of a rule on one processor"),
    Parameter("iptables_nft_service_bytes", 1840, "bytes", MEASURED, BENCH, "of three points"),
    Parameter("iptables_nft_endpoint_bytes", 1745, "bytes", MEASURED, BENCH),
    Parameter(
        "iptables_legacy_client_factor",
        2.0,
        "1",
        MEASURED,
        BENCH,
        "iptables-restore at its peak, to the rules in the kernel; 3 over a table that is there",
    ),
    Parameter("iptables_nft_client_factor", 2.8, "1", MEASURED, BENCH, "the same with iptables-nft"),
    Parameter("iptables_min_sync_s", 1, "s", STRUCTURAL, UPSTREAM, "default of minSyncPeriod"),
)


def _structure(case: Case) -> Structure:
    counts = iptables_rules.count(case.ports)
    services, node_ports = int(counts.services.sum()), int(counts.node_ports.sum())
    rejects, external = int(counts.rejects.sum()), int(counts.external_rejects.sum())
    others = int(counts.firewall.sum() + counts.health.sum())
    return Structure(
        rules={
            "nat": FIXED_NAT_RULES + int(counts.nat.sum()),
            "filter": iptables_rules.FIXED_FILTER_RULES + rejects + external + others,
        },
        chains={
            "nat": FIXED_NAT_CHAINS + int(counts.chains.sum()),
            "filter": iptables_rules.FIXED_FILTER_CHAINS,
        },
        lists={
            "nat KUBE-SERVICES": services, "nat KUBE-NODEPORTS": node_ports,
            "filter KUBE-SERVICES": rejects, "filter KUBE-EXTERNAL-SERVICES": external,
        },
    )  # fmt: skip


def _first(case: Case, packet: str) -> Path | None:
    weights, endpoints = steps.connections(case, packet)
    if not len(weights):
        return None
    counts, numbers = iptables_rules.count(case.ports), case.parameters
    nft = case.options["backend"] == "nft"
    listed = int(counts.services.sum())
    rule = numbers[f"iptables_{case.options['backend']}_{case.options['cache']}_rule_us"]
    found = [*steps.begin(numbers)]
    if packet in (OTHER, NODE_PORT):
        found.append(Step.fixed("KUBE-SERVICES, to the end", "rules", listed + 1, rule))
    else:
        found.append(Step("KUBE-SERVICES, to the service", "rules", 1, max(listed, 1), rule))
    if packet == NODE_PORT:
        each = numbers["iptables_node_port_rule_us"] * (numbers["iptables_nft_factor"] if nft else 1)
        each *= numbers["iptables_cold_factor"] if case.options["cache"] == "cold" and not nft else 1
        found.append(Step("KUBE-NODEPORTS, to the port", "rules", 1, max(int(counts.node_ports.sum()), 1), each))
        found += steps.masquerade(case)
    if packet != OTHER:
        found += _choice(case, packet, endpoints)
    fixed = numbers["iptables_fixed_us"] + (numbers["iptables_nft_fixed_us"] if nft else 0)
    name = "the service's other rules, KUBE-FORWARD, KUBE-POSTROUTING"
    found.append(Step.fixed(name, "passages", 1, fixed, hook=FORWARD))
    return Path(weights, tuple(found))


def _choice(case: Case, packet: str, endpoints: Rows) -> list[Step]:
    """Return the steps of KUBE-SVC in which an endpoint is chosen."""
    numbers, nft = case.parameters, case.options["backend"] == "nft"
    found = []
    if packet in (AFFINITY_NEW, AFFINITY_STUCK):
        least = endpoints if packet == AFFINITY_NEW else 1
        each = numbers["iptables_affinity_rule_us"] + numbers["iptables_affinity_endpoint_us"] * endpoints
        each = each * (numbers["iptables_nft_factor"] if nft else 1)
        found.append(Step("KUBE-SVC, is the client known", "rules", least, endpoints, each))
    if packet != AFFINITY_STUCK:
        large = case.ports.endpoints.sum() > numbers["iptables_large_endpoints"]
        name = "iptables_nft_endpoint_rule_us" if nft else "iptables_endpoint_rule_us"
        name = name if large or nft else "iptables_endpoint_rule_commented_us"
        found.append(Step("KUBE-SVC, a random endpoint", "rules", 1, endpoints, numbers[name]))
    return found


def _later(case: Case, packet: str = HIT) -> Path:
    cost_us = case.parameters["iptables_established_us"]
    cost_us += case.parameters["iptables_nft_established_us"] if case.options["backend"] == "nft" else 0
    return steps.established(case, packet, cost_us, "conntrack, rewriting, KUBE-FORWARD")


def _programming(case: Case, change: Change) -> Programming:
    numbers, name = case.parameters, f"iptables_{case.options['backend']}"
    counts = iptables_rules.count(case.ports)
    rules, chains = FIXED_NAT_RULES + float(counts.nat.sum()), FIXED_NAT_CHAINS + float(counts.chains.sum())
    listed = float(counts.services.sum() + counts.node_ports.sum())
    changed = min(change.services, case.served) * (rules - FIXED_NAT_RULES) / max(case.served, 1)
    full = numbers[f"{name}_full_rule_s"] * rules + numbers[f"{name}_full_chain2_s"] * chains**2
    if case.options["backend"] == "legacy":
        swapped = numbers["iptables_legacy_partial_search_s"] * rules * math.log2(rules)
    else:
        swapped = numbers["iptables_nft_partial_rule_s"] * rules
    partial = swapped + numbers[f"{name}_partial_service_s"] * listed
    partial += numbers[f"{name}_partial_s"] + numbers[f"{name}_full_rule_s"] * changed
    build = numbers["build_rule_s"]
    return Programming(full, partial, build * rules, build * (listed + changed), full)


def _memory(case: Case) -> Memory:
    numbers, name = case.parameters, f"iptables_{case.options['backend']}"
    kernel = numbers[f"{name}_service_bytes"] * case.served + numbers[f"{name}_endpoint_bytes"] * case.endpoints
    rules = float(iptables_rules.count(case.ports).nat.sum()) + FIXED_NAT_RULES
    counters = numbers["iptables_counter_bytes"] * case.cpus * rules
    return memory.of(case, kernel + counters, numbers[f"{name}_client_factor"] * kernel)


IPTABLES = Mode(
    "iptables", "rules in the tables nat and filter; the first packet of a connection scans all Services",
    options=_OPTIONS, parameters=_PARAMETERS, structure=_structure, first=_first, later=_later,
    programming=_programming, memory=_memory, balancing=("random",),
    versions=Versions((1, 2), UPSTREAM, fallback="userspace", fallback_until=(1, 25)),
    min_sync="iptables_min_sync_s", resync="full_sync_period_s",
    variants=({}, {"cache": "warm"}, {"cache": "cold"}, {"backend": "nft"}),
)  # fmt: skip
