"""A plain writer of what kube-proxy writes: every rule, chain, set, entry, address and server, one by one.

It knows nothing of how the package counts: it goes through Services, ports and endpoints as kube-proxy does.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from hypothesis import strategies as st

from kscale.network.ports import Ports


@dataclass
class Port:
    """One service port, its addresses and endpoints by name."""

    name: str
    service: int
    protocol: str
    cluster_ip: str | None
    external_ips: list[str]
    balancers: list[str]
    ranges: list[str]
    node_allowed: bool
    node_port: bool
    affinity: bool
    internal_local: bool
    external_local: bool
    health: bool
    endpoints: list[str]
    local: list[str]

    @property
    def vips(self) -> list[str]:
        return [*self.external_ips, *self.balancers]

    @property
    def accessible(self) -> bool:
        return bool(self.node_port or self.vips)


@dataclass
class Written:
    """What is in the node: rules by (table, chain), entries by set."""

    rules: dict[tuple[str, str], list[str]] = field(default_factory=lambda: defaultdict(list))
    chains: set[tuple[str, str]] = field(default_factory=set)
    sets: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    maps: list[list[str]] = field(default_factory=list)
    affinity_sets: set[str] = field(default_factory=set)
    addresses: set[str] = field(default_factory=set)
    virtual: dict[str, list[str]] = field(default_factory=dict)
    listeners: list[str] = field(default_factory=list)

    def rule(self, table: str, chain: str, text: str) -> None:
        self.chains.add((table, chain))
        self.rules[table, chain].append(text)

    def count(self, table: str) -> int:
        return sum(len(rules) for (place, _), rules in self.rules.items() if place == table)


def ports_of(ports: Ports) -> list[Port]:
    """The rows as service ports; headless ones are left out, as kube-proxy does."""
    made = []
    for row in range(len(ports)):
        if ports.headless[row]:
            continue
        service = int(ports.service[row])
        endpoints = [f"10.{row}.{k}:80" for k in range(ports.endpoints[row])]
        made.append(
            Port(
                f"p{row}", service, ("TCP", "UDP", "SCTP")[ports.protocol[row]], f"c{service}",
                [f"x{service}.{k}" for k in range(ports.external_ips[row])],
                [f"b{service}.{k}" for k in range(ports.load_balancer_ips[row])],
                [f"r{row}.{k}" for k in range(ports.source_ranges[row])], bool(ports.node_allowed[row]),
                bool(ports.node_port[row]), bool(ports.affinity[row]), bool(ports.internal_local[row]),
                bool(ports.external_local[row]), bool(ports.health_check[row]),
                endpoints, endpoints[: ports.local_endpoints[row]],
            )
        )  # fmt: skip
    return made


def iptables(ports: Ports) -> Written:
    out = Written()
    for chain in ("KUBE-SERVICES", "KUBE-NODEPORTS", "KUBE-POSTROUTING", "KUBE-MARK-MASQ"):
        out.chains.add(("nat", chain))
    for chain in ("KUBE-SERVICES", "KUBE-EXTERNAL-SERVICES", "KUBE-FORWARD", "KUBE-NODEPORTS", "KUBE-PROXY-FIREWALL"):
        out.chains.add(("filter", chain))
    out.rule("nat", "KUBE-MARK-MASQ", "mark")
    for text in ("return what is not marked", "unmark", "masquerade"):
        out.rule("nat", "KUBE-POSTROUTING", text)
    for text in ("drop what is invalid", "accept what is marked", "accept what is established"):
        out.rule("filter", "KUBE-FORWARD", text)
    for port in ports_of(ports):
        _iptables_port(out, port)
    out.rule("nat", "KUBE-SERVICES", "to the node: KUBE-NODEPORTS")
    return out


def _iptables_port(out: Written, port: Port) -> None:
    svc, svl, ext, fw = (f"KUBE-{kind}-{port.name}" for kind in ("SVC", "SVL", "EXT", "FW"))
    inside = port.local if port.internal_local else port.endpoints
    outside = port.local if port.external_local else port.endpoints
    guarded = bool(port.endpoints and port.balancers and port.ranges)
    if port.health:
        out.rule("filter", "KUBE-NODEPORTS", f"{port.name} health check")
    inner = svl if port.internal_local else svc
    if inside:
        out.rule("nat", "KUBE-SERVICES", f"{port.cluster_ip} -> {inner}")
        out.rule("nat", inner, "mark what comes from off the cluster")
    else:
        out.rule("filter", "KUBE-SERVICES", f"{port.cluster_ip} reject")
    for vip in port.vips:
        if port.endpoints:
            out.rule("nat", "KUBE-SERVICES", f"{vip} -> {fw if guarded and vip in port.balancers else ext}")
        if not outside:
            out.rule("filter", "KUBE-EXTERNAL-SERVICES", f"{vip} reject")
        if guarded and vip in port.balancers:
            out.rule("filter", "KUBE-PROXY-FIREWALL", f"{vip} drop")
    if port.node_port:
        if port.endpoints:
            out.rule("nat", "KUBE-NODEPORTS", f"{port.name} -> {ext}")
        if not outside:
            out.rule("filter", "KUBE-EXTERNAL-SERVICES", f"{port.name} node port reject")
    if port.endpoints and port.accessible:
        if port.external_local:
            for text in ("pods -> SVC", "mark LOCAL", "LOCAL -> SVC"):
                out.rule("nat", ext, text)
            if outside:
                out.rule("nat", ext, "-> SVL")
        else:
            out.rule("nat", ext, "mark")
            out.rule("nat", ext, "-> SVC")
    if guarded:
        for one in port.ranges:
            out.rule("nat", fw, f"{one} -> {ext}")
        for vip in port.balancers if port.node_allowed else ():
            out.rule("nat", fw, f"{vip} -> {ext}")
        out.rule("nat", fw, "falls through to KUBE-PROXY-FIREWALL")
    used: list[str] = []
    if not port.internal_local or port.accessible:
        _choose(out, svc, port, port.endpoints)
        used += port.endpoints
    if port.internal_local or (port.external_local and port.accessible):
        _choose(out, svl, port, port.local)
        used += port.local
    for endpoint in dict.fromkeys(used):
        sep = f"KUBE-SEP-{port.name}-{endpoint}"
        out.rule("nat", sep, "hairpin: mark")
        out.rule("nat", sep, "DNAT" + (" recent --set" if port.affinity else ""))


def _choose(out: Written, chain: str, port: Port, endpoints: list[str]) -> None:
    for endpoint in endpoints if port.affinity else ():
        out.rule("nat", chain, f"recent --rcheck -> {endpoint}")
    for place, endpoint in enumerate(endpoints):
        chance = "" if place == len(endpoints) - 1 else f"statistic 1/{len(endpoints) - place}"
        out.rule("nat", chain, f"{chance} -> {endpoint}")


BASE = (
    "filter-prerouting-pre-dnat", "filter-output-pre-dnat", "filter-input", "filter-forward", "filter-output",
    "nat-prerouting", "nat-output", "nat-postrouting",
)  # fmt: skip
HELPERS = {
    "services": ["service-ips vmap", "service-nodeports vmap"], "mark-for-masquerade": ["mark"],
    "masquerading": ["return what is not marked", "unmark", "masquerade"], "reject-chain": ["reject"],
    "firewall-check": ["firewall-ips vmap"], "service-endpoints-check": ["no-endpoint-services vmap"],
    "nodeport-endpoints-check": ["no-endpoint-nodeports vmap"], "cluster-ips-check": ["reject cluster-ips"],
    "nodeports": [],
}  # fmt: skip
JUMPS = {
    "filter-input": ["nodeport-endpoints-check", "service-endpoints-check"],
    "filter-forward": ["service-endpoints-check", "cluster-ips-check"],
    "filter-output": ["service-endpoints-check", "cluster-ips-check"],
    "filter-prerouting-pre-dnat": ["firewall-check"], "filter-output-pre-dnat": ["firewall-check"],
    "nat-prerouting": ["services"], "nat-output": ["services"], "nat-postrouting": ["masquerading"],
}  # fmt: skip


def nftables(ports: Ports, node_addresses: int = 1) -> Written:
    out, table = Written(), "kube-proxy"
    for chain in (*BASE, *HELPERS):
        out.chains.add((table, chain))
        for text in JUMPS.get(chain, []) + HELPERS.get(chain, []):
            out.rule(table, chain, text)
    for name in ("cluster-ips", "service-ips", "service-nodeports", "no-endpoint-services", "no-endpoint-nodeports",
                 "firewall-ips"):  # fmt: skip
        out.sets[name] = set()
    out.sets["nodeport-ips"] = {f"node{k}" for k in range(node_addresses)}
    for port in ports_of(ports):
        _nftables_port(out, port)
    return out


def _nftables_port(out: Written, port: Port) -> None:
    table = "kube-proxy"
    service, local, external, firewall = (
        f"{kind}-{port.name}/" for kind in ("service", "local", "external", "firewall")
    )
    inside = port.local if port.internal_local else port.endpoints
    outside = port.local if port.external_local else port.endpoints
    out.sets["cluster-ips"].add(str(port.cluster_ip))
    out.sets["service-ips" if inside else "no-endpoint-services"].add(f"{port.cluster_ip} . {port.name}")
    if inside:
        out.rule(table, local if port.internal_local else service, "mark what comes from off the cluster")
    for vip in port.vips:
        if port.endpoints:
            out.sets["service-ips"].add(f"{vip} . {port.name}")
        if not outside:
            out.sets["no-endpoint-services"].add(f"{vip} . {port.name}")
    if port.node_port:
        if port.endpoints:
            out.sets["service-nodeports"].add(port.name)
        if not outside:
            out.sets["no-endpoint-nodeports"].add(port.name)
    if port.endpoints and port.balancers and port.ranges:
        for vip in port.balancers:
            out.sets["firewall-ips"].add(f"{vip} . {port.name}")
        out.maps.append([*port.ranges, *(port.balancers if port.node_allowed else [])])
        out.rule(table, firewall, "saddr not in the map: drop")
    if port.endpoints and port.accessible:
        texts = ["mark", "-> service"]
        if port.external_local:
            texts = ["pods -> service", "mark LOCAL", "LOCAL -> service", *(["-> local"] if outside else [])]
        for text in texts:
            out.rule(table, external, text)
    used: list[str] = []
    for chain, endpoints, wanted in (
        (service, port.endpoints, not port.internal_local or port.accessible),
        (local, port.local, port.internal_local or (port.external_local and port.accessible)),
    ):
        if not wanted or not endpoints:
            continue
        used += endpoints
        for endpoint in endpoints if port.affinity else ():
            out.rule(table, chain, f"@affinity-{endpoint} -> {endpoint}")
        out.maps.append([f"{place} : {endpoint}" for place, endpoint in enumerate(endpoints)])
        out.rule(table, chain, f"numgen random mod {len(endpoints)} vmap")
    for endpoint in dict.fromkeys(used):
        chain = f"endpoint-{port.name}/{endpoint}"
        out.rule(table, chain, "hairpin: mark")
        if port.affinity:
            out.affinity_sets.add(f"affinity-{port.name}/{endpoint}")
            out.rule(table, chain, "note the client")
        out.rule(table, chain, "dnat")


def ipvs(ports: Ports, node_addresses: int = 1) -> Written:
    out = Written()
    names = ["KUBE-CLUSTER-IP", "KUBE-LOOP-BACK", "KUBE-EXTERNAL-IP", "KUBE-EXTERNAL-IP-LOCAL", "KUBE-LOAD-BALANCER"]
    names += [f"KUBE-LOAD-BALANCER-{what}" for what in ("LOCAL", "FW", "SOURCE-CIDR", "SOURCE-IP")]
    names += [f"KUBE-NODE-PORT-{local}{protocol}" for local in ("", "LOCAL-") for protocol in ("TCP", "UDP", "SCTP")]
    for name in [*names, "KUBE-HEALTH-CHECK-NODE-PORT", "KUBE-IPVS-IPS"]:
        out.sets[name] = set()
    for port in ports_of(ports):
        _ipvs_port(out, port, [f"node{k}" for k in range(node_addresses)])
    out.sets["KUBE-IPVS-IPS"] = set(out.addresses)
    return out


def _ipvs_port(out: Written, port: Port, nodes: list[str]) -> None:
    inside = port.local if port.internal_local else port.endpoints
    outside = port.local if port.external_local else port.endpoints
    key = f"{port.cluster_ip},{port.name}"
    out.sets["KUBE-CLUSTER-IP"].add(key)
    out.sets["KUBE-LOOP-BACK"] |= {f"{endpoint},{port.name}" for endpoint in port.local}
    out.addresses |= {str(port.cluster_ip), *port.vips}
    out.virtual[key] = inside
    for vip in port.vips:
        key = f"{vip},{port.name}"
        out.virtual[key] = outside
        if vip in port.external_ips:
            out.sets["KUBE-EXTERNAL-IP" + ("-LOCAL" if port.external_local else "")].add(key)
            continue
        out.sets["KUBE-LOAD-BALANCER"].add(key)
        if port.external_local:
            out.sets["KUBE-LOAD-BALANCER-LOCAL"].add(key)
        if port.ranges:
            out.sets["KUBE-LOAD-BALANCER-FW"].add(key)
            out.sets["KUBE-LOAD-BALANCER-SOURCE-CIDR"] |= {f"{key},{one}" for one in port.ranges}
            if port.node_allowed:
                out.sets["KUBE-LOAD-BALANCER-SOURCE-IP"].add(key)
    if port.health:
        out.sets["KUBE-HEALTH-CHECK-NODE-PORT"].add(port.name)
    if port.node_port:
        for node in nodes:
            out.virtual[f"{node},node port of {port.name}"] = outside
        entries = {f"{node},{port.name}" for node in nodes} if port.protocol == "SCTP" else {port.name}
        out.sets[f"KUBE-NODE-PORT-{port.protocol}"] |= entries
        if port.external_local:
            out.sets[f"KUBE-NODE-PORT-LOCAL-{port.protocol}"] |= entries


def userspace(ports: Ports) -> Written:
    out = Written()
    for chain in ("KUBE-PORTALS-CONTAINER", "KUBE-PORTALS-HOST", "KUBE-NODEPORT-CONTAINER", "KUBE-NODEPORT-HOST"):
        out.chains.add(("nat", chain))
    for port in ports_of(ports):
        out.listeners.append(port.name)
        for address in (port.cluster_ip, *port.vips):
            out.rule("nat", "KUBE-PORTALS-CONTAINER", f"{address} redirect")
            out.rule("nat", "KUBE-PORTALS-HOST", f"{address} DNAT")
        if port.node_port:
            out.listeners.append(f"node port of {port.name}")
            out.rule("nat", "KUBE-NODEPORT-CONTAINER", f"{port.name} redirect")
            out.rule("nat", "KUBE-NODEPORT-HOST", f"{port.name} DNAT")
    return out


@st.composite
def clusters(draw: st.DrawFn, most: int = 8) -> Ports:
    """Random service ports; some Services have several, which share the Service's addresses and policies."""
    rows: list[dict[str, Any]] = []
    flags = ("node_allowed", "affinity", "internal_local", "external_local", "health_check", "headless")
    for service in range(draw(st.integers(0, most))):
        small = st.integers(0, 3)
        shared = {name: draw(st.booleans()) for name in flags} | {
            name: draw(small) for name in ("external_ips", "load_balancer_ips", "source_ranges")
        }  # fmt: skip
        for _ in range(draw(st.integers(1, 3))):
            endpoints = draw(st.integers(0, 6))
            own = {
                "endpoints": endpoints, "local_endpoints": draw(st.integers(0, endpoints)),
                "node_port": draw(st.booleans()), "protocol": draw(st.integers(0, 2)), "service": 7 * service + 3,
            }  # fmt: skip
            rows.append(shared | own)
    order = draw(st.permutations(range(len(rows))))
    names = rows[0].keys() if rows else ("endpoints",)
    return Ports.of(**{name: np.array([rows[k][name] for k in order], np.int64) for name in names})
