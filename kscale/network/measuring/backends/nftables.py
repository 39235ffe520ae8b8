"""Rules of the nftables mode, ClusterIPs only, for nft (pkg/proxy/nftables, Kubernetes 1.34)."""

from __future__ import annotations

from collections.abc import Iterator

from kscale.network.measuring.backends import Backend, Command
from kscale.network.measuring.layout import CLIENTS, GATEWAY_OF_SERVER, Load, Service

_TABLE = "ip kube-proxy"
_BASE = {
    "filter-prerouting-pre-dnat": "prerouting priority -110", "filter-output-pre-dnat": "output priority -110",
    "filter-input": "input priority 0", "filter-forward": "forward priority 0", "filter-output": "output priority 0",
    "nat-prerouting": "prerouting priority -100", "nat-output": "output priority -100",
    "nat-postrouting": "postrouting priority 100",
}  # fmt: skip
_HELPERS = (
    "services", "mark-for-masquerade", "masquerading", "reject-chain", "firewall-check", "service-endpoints-check",
    "nodeport-endpoints-check", "cluster-ips-check", "nodeports",
)  # fmt: skip
_KEYS = "ipv4_addr . inet_proto . inet_service : verdict"
_MAPS = {
    "service-ips": _KEYS, "no-endpoint-services": _KEYS, "firewall-ips": _KEYS,
    "service-nodeports": "inet_proto . inet_service : verdict",
    "no-endpoint-nodeports": "inet_proto . inet_service : verdict",
}  # fmt: skip
_PACKET = "ip daddr . meta l4proto . th dport"
_RULES = (
    ("filter-input", "ct state new jump nodeport-endpoints-check"),
    ("filter-input", "ct state new jump service-endpoints-check"),
    ("filter-forward", "ct state new jump service-endpoints-check"),
    ("filter-forward", "ct state new jump cluster-ips-check"),
    ("filter-output", "ct state new jump service-endpoints-check"),
    ("filter-output", "ct state new jump cluster-ips-check"),
    ("filter-prerouting-pre-dnat", "ct state new jump firewall-check"),
    ("filter-output-pre-dnat", "ct state new jump firewall-check"),
    ("nat-prerouting", "jump services"), ("nat-output", "jump services"), ("nat-postrouting", "jump masquerading"),
    ("services", f"{_PACKET} vmap @service-ips"),
    ("services", "ip daddr @nodeport-ips meta l4proto . th dport vmap @service-nodeports"),
    ("mark-for-masquerade", "mark set mark or 0x4000"),
    ("masquerading", "mark and 0x4000 == 0 return"), ("masquerading", "mark set mark xor 0x4000"),
    ("masquerading", "masquerade fully-random"),
    ("reject-chain", "reject"), ("firewall-check", f"{_PACKET} vmap @firewall-ips"),
    ("service-endpoints-check", f"{_PACKET} vmap @no-endpoint-services"),
    ("nodeport-endpoints-check", "ip daddr @nodeport-ips meta l4proto . th dport vmap @no-endpoint-nodeports"),
    ("cluster-ips-check", "ip daddr @cluster-ips reject"),
)  # fmt: skip


def fixed() -> Iterator[str]:
    """Yield what is there without any Service: 8 base chains, 9 more, maps, 22 rules."""
    yield f"add table {_TABLE}"
    for chain, hook in _BASE.items():
        yield f"add chain {_TABLE} {chain} {{ type {chain.partition('-')[0]} hook {hook}; }}"
    yield from (f"add chain {_TABLE} {chain}" for chain in _HELPERS)
    yield from (f"add map {_TABLE} {name} {{ type {keys}; }}" for name, keys in _MAPS.items())
    yield from (f"add set {_TABLE} {name} {{ type ipv4_addr; }}" for name in ("cluster-ips", "nodeport-ips"))
    yield f"add element {_TABLE} nodeport-ips {{ {GATEWAY_OF_SERVER} }}"
    yield from (f"add rule {_TABLE} {chain} {rule}" for chain, rule in _RULES)


def own(service: Service) -> Iterator[str]:
    """Yield the Service's chains, its rules, and its entries in the maps."""
    chain = service.nft_chain()
    chains = [service.nft_chain(endpoint) for endpoint in service.endpoints]
    yield from (f"add chain {_TABLE} {name}" for name in (chain, *chains))
    yield f"add element {_TABLE} cluster-ips {{ {service.ip} }}"
    yield f"add element {_TABLE} service-ips {{ {service.ip} . {service.protocol} . {service.port} : goto {chain} }}"
    protocol, port = service.protocol, service.port
    yield (
        f"add rule {_TABLE} {chain} ip daddr {service.ip} {protocol} dport {port} ip saddr != {CLIENTS} "
        "jump mark-for-masquerade"
    )
    choice = ", ".join(f"{place} : goto {name}" for place, name in enumerate(chains))
    yield f"add rule {_TABLE} {chain} numgen random mod {len(chains)} vmap {{ {choice} }}"
    for endpoint, name in zip(service.endpoints, chains, strict=True):
        yield f"add rule {_TABLE} {name} ip saddr {endpoint} jump mark-for-masquerade"
        yield f"add rule {_TABLE} {name} meta l4proto {protocol} dnat to {endpoint}:{port}"


def _nft(lines: Iterator[str]) -> Command:
    return Command(("nft", "-f", "-"), "\n".join(lines) + "\n")


def _prepare(load: Load) -> list[Command]:
    return []


def _full(load: Load) -> list[Command]:
    return [_nft(line for part in (fixed(), *map(own, load)) for line in part)]


def _change(load: Load, turn: int) -> list[Command]:
    return [_nft(own(load.service(load.services + turn)))]


def _timed(load: Load) -> dict[str, list[Command]]:
    family, name = _TABLE.split()
    return {
        "list-table": [Command(("nft", "--json", "--terse", "list", "table", family, name))],
        "list-chains": [Command(("nft", "--json", "list", "chains"))],
    }


NFTABLES = Backend("nftables", "nftables", ("nft",), _prepare, _full, _change, _timed, "SUnreclaim")
