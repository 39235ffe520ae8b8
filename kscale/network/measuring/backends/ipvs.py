"""Virtual servers, ipsets and addresses of the IPVS mode, ClusterIPs only (pkg/proxy/ipvs, Kubernetes 1.34)."""

from __future__ import annotations

from collections.abc import Iterator

from kscale.network.measuring.backends import Backend, Command
from kscale.network.measuring.layout import CLIENTS, Load

#: kube-proxy puts them on a dummy device; addresses of any device serve.
_DEVICE = "lo"
_RESTORE = ("iptables-restore", "-w", "5", "--noflush")
_RULES = f"""\
*filter
:KUBE-FORWARD - [0:0]
:KUBE-NODE-PORT - [0:0]
-A INPUT -j KUBE-NODE-PORT
-A FORWARD -j KUBE-FORWARD
-A KUBE-FORWARD -m mark --mark 0x4000/0x4000 -j ACCEPT
-A KUBE-FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
COMMIT
*nat
:KUBE-SERVICES - [0:0]
:KUBE-POSTROUTING - [0:0]
:KUBE-MARK-MASQ - [0:0]
:KUBE-LOAD-BALANCER - [0:0]
-A PREROUTING -j KUBE-SERVICES
-A OUTPUT -j KUBE-SERVICES
-A POSTROUTING -j KUBE-POSTROUTING
-A KUBE-MARK-MASQ -j MARK --or-mark 0x4000
-A KUBE-SERVICES ! -s {CLIENTS} -m set --match-set KUBE-CLUSTER-IP dst,dst -j KUBE-MARK-MASQ
-A KUBE-SERVICES -m set --match-set KUBE-CLUSTER-IP dst,dst -j ACCEPT
-A KUBE-POSTROUTING -m set --match-set KUBE-LOOP-BACK dst,dst,src -j MASQUERADE
-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN
-A KUBE-POSTROUTING -j MARK --xor-mark 0x4000
-A KUBE-POSTROUTING -j MASQUERADE
COMMIT
"""
_SETS = (
    "create KUBE-CLUSTER-IP hash:ip,port family inet hashsize 1024 maxelem 65536\n"
    "create KUBE-LOOP-BACK hash:ip,port,ip family inet hashsize 1024 maxelem 65536\n"
)


def entries(load: Load) -> str:
    """Return what ipset restores: one entry a Service."""
    return "".join(f"add KUBE-CLUSTER-IP {s.ip},{s.protocol}:{s.port}\n" for s in load)


def addresses(load: Load) -> str:
    """Return what ``ip -batch`` does: one address a Service."""
    return "".join(f"addr add {service.ip}/32 dev {_DEVICE}\n" for service in load)


def servers(load: Load) -> str:
    """Return what ipvsadm restores: a virtual server for each Service, a real one for each endpoint."""
    return "".join(line for service in load for line in _servers(load, service.number))


def _servers(load: Load, number: int) -> Iterator[str]:
    service = load.service(number)
    virtual = f"-{service.protocol[0]} {service.ip}:{service.port}"
    yield f"-A {virtual} -s rr\n"
    yield from (f"-a {virtual} -r {endpoint}:{service.port} -m -w 1\n" for endpoint in service.endpoints)


def _prepare(load: Load) -> list[Command]:
    return [Command(("ipset", "restore"), _SETS), Command(_RESTORE, _RULES)]


def _full(load: Load) -> list[Command]:
    return [
        Command(("ipset", "restore"), entries(load)),
        Command(("ip", "-batch", "-"), addresses(load)),
        Command(("ipvsadm", "-R"), servers(load)),
    ]


def _change(load: Load, turn: int) -> list[Command]:
    service = load.service(load.services + turn)
    return [
        Command(("ipset", "add", "KUBE-CLUSTER-IP", f"{service.ip},{service.protocol}:{service.port}")),
        Command(("ip", "addr", "add", f"{service.ip}/32", "dev", _DEVICE)),
        Command(("ipvsadm", "-R"), "".join(_servers(load, service.number))),
    ]


IPVS = Backend(
    "ipvs", "ipvs", ("ipvsadm", "ipset", "iptables-restore"), _prepare, _full, _change, needs="/proc/net/ip_vs"
)
