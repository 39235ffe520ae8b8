"""Addresses and names of what is measured: Services one by one, their endpoints, the three ends."""

from __future__ import annotations

import base64
import hashlib
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass

#: The links: client to gateway, and gateway to server. Nothing else has addresses, and nothing leads elsewhere.
CLIENT, GATEWAY_OF_CLIENT = "10.64.0.2", "10.64.0.1"
SERVER, GATEWAY_OF_SERVER = "10.64.0.6", "10.64.0.5"
PREFIX = 30
CLIENTS = "10.64.0.0/30"
#: Addresses of pods: the server takes them all as its own. ClusterIPs are 10.96.0.0/12, which leads nowhere.
PODS = "10.128.0.0/9"
#: The address of a pod that no Service has.
ALONE = "10.255.255.1"
#: Ports of Services and of pods, by protocol.
PORTS = {"tcp": 80, "udp": 53}
_FIRST_SERVICE, _FIRST_POD = 0x0A600001, 0x0A800001


def address(number: int) -> str:
    """Return 32 bits as an IPv4 address."""
    return socket.inet_ntoa(struct.pack("!I", number))


def digest(*words: str) -> str:
    """Return what kube-proxy makes of a name: base32 of SHA-256 (pkg/proxy, ``portProtoHash``), whole."""
    return base64.b32encode(hashlib.sha256("".join(words).encode()).digest()).decode()


@dataclass(frozen=True)
class Service:
    """One service port.

    Attributes:
        number: from 0, its place in the list.
        protocol: ``tcp`` or ``udp``, by turns: one list serves connections and datagrams.
        endpoints: addresses of its pods.
    """

    number: int
    protocol: str
    endpoints: tuple[str, ...]

    @property
    def name(self) -> str:
        """Namespace, name and port, as in comments."""
        return f"measured/service-{self.number}:port"

    @property
    def ip(self) -> str:
        """The ClusterIP."""
        return address(_FIRST_SERVICE + self.number)

    @property
    def port(self) -> int:
        """Port of the Service, and of its pods."""
        return PORTS[self.protocol]

    def chain(self, endpoint: str = "") -> str:
        """Return the name of its iptables chain, or of that of an endpoint."""
        if endpoint:
            return f"KUBE-SEP-{digest(self.name, self.protocol, endpoint)[:16]}"
        return f"KUBE-SVC-{digest(self.name, self.protocol)[:16]}"

    def nft_chain(self, endpoint: str = "") -> str:
        """Return the name of its nftables chain, or of that of an endpoint."""
        path = f"measured/service-{self.number}/{self.protocol}/port"
        if endpoint:
            return f"endpoint-{digest(path, endpoint)[:8]}-{path}__{endpoint}/{self.port}"
        return f"service-{digest(path)[:8]}-{path}"


@dataclass(frozen=True)
class Load:
    """So many service ports with a ClusterIP and so many endpoints each."""

    services: int
    endpoints: int

    @property
    def large(self) -> bool:
        """Whether kube-proxy leaves comments out: above 1,000 endpoints (pkg/proxy/iptables)."""
        return self.services * self.endpoints > 1000

    def service(self, number: int) -> Service:
        """Return one of them; further ones may be asked for as well."""
        first = _FIRST_POD + number * self.endpoints
        pods = tuple(address(first + place) for place in range(self.endpoints))
        return Service(number, ("tcp", "udp")[number % 2], pods)

    def __iter__(self) -> Iterator[Service]:
        return (self.service(number) for number in range(self.services))

    def targets(self, protocol: str) -> list[tuple[int, Service | None]]:
        """Return Services of a protocol from all over the list, with their places from 1, and none at place 0.

        Raises ValueError where there is no Service of that protocol.
        """
        turn = ("tcp", "udp").index(protocol)
        last = (self.services - 1 - turn) // 2
        if last < 0:
            raise ValueError(f"no Service of {protocol}")
        numbers = sorted({2 * (last * part // 4) + turn for part in range(5)})
        return [(0, None), *((number + 1, self.service(number)) for number in numbers)]
