"""What is below all modes: no netfilter, the connection table alone, one rule that translates an address."""

from __future__ import annotations

import shutil
from collections.abc import Callable

from kscale.network.measuring.backends import Backend, Command
from kscale.network.measuring.layout import Load

#: What makes the kernel keep connections, for nft and for iptables-restore.
_TRACK = (
    "add table ip base\nadd chain ip base track { type filter hook forward priority 0; }\n"
    "add rule ip base track ct state invalid drop\n",
    "*filter\n-A FORWARD -m conntrack --ctstate INVALID -j DROP\nCOMMIT\n",
)
_NAT = "add chain ip base nat { type nat hook prerouting priority -100; }\n"


def _restored(with_nft: Callable[[Load], str], without: Callable[[Load], str]) -> Callable[[Load], list[Command]]:
    """Return the commands by the program that is there: what they load differs little in its cost."""

    def commands(load: Load) -> list[Command]:
        if shutil.which("nft"):
            return [Command(("nft", "-f", "-"), with_nft(load))]
        return [Command(("iptables-restore", "--noflush"), without(load))]

    return commands


def _nft_rules(load: Load) -> str:
    rules = (
        f"add rule ip base nat ip daddr {service.ip} {service.protocol} dport {service.port} "
        f"dnat to {service.endpoints[0]}:{service.port}\n"
        for service in load
    )
    return _TRACK[0] + _NAT + "".join(rules)


def _iptables_rules(load: Load) -> str:
    rules = (
        f"-A PREROUTING -d {service.ip} -p {service.protocol} --dport {service.port} "
        f"-j DNAT --to-destination {service.endpoints[0]}:{service.port}\n"
        for service in load
    )
    return f"{_TRACK[1]}*nat\n{''.join(rules)}COMMIT\n"


def _nothing(load: Load) -> list[Command]:
    return []


NONE = Backend("none", "", (), _nothing, _nothing)
CONNTRACK = Backend("conntrack", "", (), _nothing, _restored(lambda load: _TRACK[0], lambda load: _TRACK[1]))
#: Of the two Services of this load each has one rule.
DNAT = Backend("dnat", "", (), _nothing, _restored(_nft_rules, _iptables_rules))
