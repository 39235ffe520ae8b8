"""Rules of the iptables mode, ClusterIPs only, for iptables-restore (pkg/proxy/iptables, Kubernetes 1.34)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from kscale.network.measuring.backends import Backend, Command
from kscale.network.measuring.layout import CLIENTS, Load, Service

_FILTER = ("KUBE-SERVICES", "KUBE-EXTERNAL-SERVICES", "KUBE-FORWARD", "KUBE-NODEPORTS", "KUBE-PROXY-FIREWALL")
_NAT = ("KUBE-SERVICES", "KUBE-NODEPORTS", "KUBE-POSTROUTING", "KUBE-MARK-MASQ")
_NEW = "-m conntrack --ctstate NEW"
#: The jumps that kube-proxy ensures before its first sync.
_HOOKS = {
    "filter": (
        f"INPUT {_NEW} -j KUBE-PROXY-FIREWALL", "INPUT -j KUBE-NODEPORTS", f"INPUT {_NEW} -j KUBE-EXTERNAL-SERVICES",
        f"FORWARD {_NEW} -j KUBE-PROXY-FIREWALL", "FORWARD -j KUBE-FORWARD", f"FORWARD {_NEW} -j KUBE-SERVICES",
        f"FORWARD {_NEW} -j KUBE-EXTERNAL-SERVICES", f"OUTPUT {_NEW} -j KUBE-PROXY-FIREWALL",
        f"OUTPUT {_NEW} -j KUBE-SERVICES",
    ),
    "nat": ("PREROUTING -j KUBE-SERVICES", "OUTPUT -j KUBE-SERVICES", "POSTROUTING -j KUBE-POSTROUTING"),
}  # fmt: skip
_FIXED_FILTER = (
    "KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP",
    'KUBE-FORWARD -m comment --comment "kubernetes forwarding rules" -m mark --mark 0x4000/0x4000 -j ACCEPT',
    'KUBE-FORWARD -m comment --comment "kubernetes forwarding conntrack rule" '
    "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
)
_FIXED_NAT = (
    "KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN",
    "KUBE-POSTROUTING -j MARK --xor-mark 0x4000",
    'KUBE-POSTROUTING -m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE --random-fully',
    "KUBE-MARK-MASQ -j MARK --or-mark 0x4000",
)
_LAST = (
    'KUBE-SERVICES -m comment --comment "kubernetes service nodeports; NOTE: this must be the last rule in this chain" '
    "-m addrtype --dst-type LOCAL -j KUBE-NODEPORTS"
)


def dispatch(service: Service) -> str:
    """Return the Service's rule in KUBE-SERVICES; it keeps its comment whatever there is."""
    return (
        f'KUBE-SERVICES -m comment --comment "{service.name} cluster IP" -m {service.protocol} -p {service.protocol} '
        f"-d {service.ip} --dport {service.port} -j {service.chain()}"
    )


def own(service: Service, *, large: bool) -> Iterator[str]:
    """Yield the rules of the Service's own chains; of a large cluster, without comments."""
    chain, protocol, count = service.chain(), service.protocol, len(service.endpoints)
    yield (
        f'{chain} -m comment --comment "{service.name} cluster IP" -m {protocol} -p {protocol} -d {service.ip} '
        f"--dport {service.port} ! -s {CLIENTS} -j KUBE-MARK-MASQ"
    )
    for place, endpoint in enumerate(service.endpoints):
        jump = service.chain(endpoint)
        to = f"{endpoint}:{service.port}"
        many = "" if large else f'-m comment --comment "{service.name} -> {to}" '
        one = "" if large else f'-m comment --comment "{service.name}" '
        chance = ""
        if place < count - 1:
            chance = f"-m statistic --mode random --probability {1 / (count - place):.10f} "
        yield f"{chain} {many}{chance}-j {jump}"
        yield f"{jump} {one}-s {endpoint} -j KUBE-MARK-MASQ"
        yield f"{jump} {one}-m {protocol} -p {protocol} -j DNAT --to-destination {to}"


def _table(name: str, chains: Iterable[str], rules: Iterable[str]) -> Iterator[str]:
    yield f"*{name}"
    yield from (f":{chain} - [0:0]" for chain in chains)
    yield from (f"-A {rule}" for rule in rules)
    yield "COMMIT"


def written(load: Load, services: Iterable[Service]) -> str:
    """Return what a sync restores: the whole list, and of ``services`` their chains."""
    chains, rules = list(_NAT), list(_FIXED_NAT)
    for service in services:
        chains += [service.chain(), *map(service.chain, service.endpoints)]
        rules += own(service, large=load.large)
    listed = [*map(dispatch, load), _LAST]
    lines = [*_table("filter", _FILTER, _FIXED_FILTER), *_table("nat", chains, [*listed, *rules])]
    return "\n".join(lines) + "\n"


def _backend(kind: str, memory: str) -> Backend:
    restore = (f"iptables-{kind}-restore", "-w", "5", "--noflush", "--counters")

    def prepare(load: Load) -> list[Command]:
        hooks = [
            line
            for name, chains in (("filter", _FILTER), ("nat", _NAT))
            for line in _table(name, chains, _HOOKS[name])
        ]  # fmt: skip
        return [Command(restore, "\n".join(hooks) + "\n")]

    def full(load: Load) -> list[Command]:
        return [Command(restore, written(load, load))]

    def change(load: Load, turn: int) -> list[Command]:
        return [Command(restore, written(load, [load.service(turn % load.services)]))]

    def timed(load: Load) -> dict[str, list[Command]]:
        rule = ("-t", "nat", "-A", "KUBE-MARK-MASQ", "-j", "MARK", "--or-mark", "0x4000")
        return {"rule": [Command((f"iptables-{kind}", "-w", "5", *rule))]}

    programs = (f"iptables-{kind}-restore", f"iptables-{kind}")
    return Backend(f"iptables-{kind}", "iptables", programs, prepare, full, change, timed, memory)


LEGACY = _backend("legacy", "VmallocUsed")
NFT = _backend("nft", "SUnreclaim")
