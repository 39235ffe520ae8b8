"""Addresses and ranges of Services: how they are written, and the bands that addresses are given out of."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address as Address
from ipaddress import IPv4Network, IPv6Address, ip_address, ip_network
from typing import Any

from kscale.errors import InputError
from kscale.state.manifests.workloads import Made

#: The Service of the API server, (namespace, name): the first address of the range is its own.
API_SERVER = ("default", "kubernetes")
#: The fewest addresses of a range that kube-apiserver takes (pkg/controlplane, ServiceIPRange).
FEWEST_ADDRESSES = 8
#: Places that are given out last: the fewest, and (what part of the range, the most) of addresses (KEP-3070) and of
#: node ports (KEP-3668).
LEAST_STATIC, ADDRESS_STEP, PORT_STEP = 16, (16, 256), (32, 128)
_PORTS = re.compile(r"(\d{1,5})-(\d{1,5})", re.ASCII)


def parse(text: str, where: str) -> tuple[str, Address | IPv6Address]:
    """Return an address and its family (IPv4, IPv6). Raises InputError."""
    try:
        found = ip_address(text)
    except ValueError:
        raise InputError(f"'{text[:80]}' is no address", field=where, expected="an IPv4 or IPv6 address") from None
    return f"IPv{found.version}", found


def parse_network(text: str, where: str) -> None:
    """Check that a text is a range of addresses such as 10.0.0.0/8. Raises InputError."""
    try:
        ip_network(text, strict=False)
        good = "/" in text
    except ValueError:
        good = False
    if not good:
        raise InputError(f"'{text[:80]}' is no range", field=where, expected="addresses such as 10.0.0.0/8")


def band(size: int, step: int, most: int) -> int:
    """Return how many places at the beginning of a range are given out last.

    A ``step``-th of the range, ``LEAST_STATIC`` at least and ``most`` at most; none where the range has no more.
    """
    return 0 if size <= LEAST_STATIC else min(max(LEAST_STATIC, size // step), most)


@dataclass(frozen=True)
class Band:
    """A range out of which numbers are given: addresses as int, or ports.

    Attributes:
        first: the first of them.
        size: how many they are.
        static: so many of them, the first ones, are for who states them: they are given out when no other is left.
    """

    first: int
    size: int
    static: int

    def has(self, number: int) -> bool:
        """Tell whether a number is in the range."""
        return self.first <= number < self.first + self.size


@dataclass(frozen=True)
class Ranges:
    """What Services get their addresses and node ports out of, as options say it.

    Attributes:
        addresses: as of ``--service-cluster-ip-range`` of kube-apiserver.
        ports: as of ``--service-node-port-range``.
    """

    addresses: str = "10.96.0.0/12"
    ports: str = "30000-32767"

    def address_band(self) -> Band:
        """Return the addresses that may be given out: not the first and last of the range. Raises InputError."""
        where, wanted = "--service-cluster-ip-range", "an IPv4 range such as 10.96.0.0/12"
        try:
            found = ip_network(self.addresses)
        except ValueError:
            raise InputError(f"'{self.addresses[:80]}' is no range", field=where, expected=wanted) from None
        if not isinstance(found, IPv4Network):
            raise InputError(f"'{found}' is IPv6", field=where, expected=wanted)
        if found.num_addresses < FEWEST_ADDRESSES:
            raise InputError(
                f"'{found}' has {found.num_addresses}", field=where, expected=f"{FEWEST_ADDRESSES} addresses or more"
            )
        return address_band(int(found.network_address) + 1, found.num_addresses - 2)

    def port_band(self) -> Band:
        """Return the node ports that may be given out. Raises InputError."""
        found = _PORTS.fullmatch(self.ports)
        first, last = (int(found[1]), int(found[2])) if found else (0, 0)
        if not 1 <= first <= last <= 65535:
            raise InputError(
                f"'{self.ports[:80]}' is no range", field="--service-node-port-range",
                expected="ports from 1 to 65535, such as 30000-32767",
            )  # fmt: skip
        return port_band(first, last - first + 1)


def address_band(first: int, count: int) -> Band:
    """Return the band of so many addresses; the range has two more, which nobody gets."""
    return Band(first, count, band(count + 2, *ADDRESS_STEP))


def port_band(first: int, count: int) -> Band:
    """Return the band of so many node ports."""
    return Band(first, count, band(count, *PORT_STEP))


def check_stated(made: Iterable[Made], ranges: Ranges) -> None:
    """Check the addresses and node ports that Services state: each in its range, and each one's own.

    Raises InputError that says which object it is.
    """
    address_band_, port_band_ = ranges.address_band(), ranges.port_band()
    owners: dict[int, tuple[str, str]] = {}
    holders: dict[int, tuple[str, str]] = {}
    for one in made:
        if one.kind == "Service":
            key = one.namespace, one.name
            try:
                check_address(one.columns, key, address_band_, ranges.addresses, owners)
                check_ports(one.columns, key, port_band_, ranges.ports, holders)
            except InputError as error:
                one.item.refuse(error, "/".join(key))


def check_address(
    columns: Mapping[str, Any], key: tuple[str, str], band_: Band, text: str, owners: dict[int, tuple[str, str]]
) -> None:
    """Check the address that a Service states, and note it in ``owners``. Raises InputError."""
    asked, where = columns.get("asked_ip", -1), "spec.clusterIP"
    if asked < 0:
        return
    if not band_.has(asked):
        raise InputError(
            f"{Address(asked)} is not in the range {text}", field=where,
            expected="an address in it, or another --service-cluster-ip-range",
        )  # fmt: skip
    if asked == band_.first and key != API_SERVER:
        raise InputError(
            f"{Address(asked)} is the API server's", field=where,
            expected="another: the first one of the range is that of default/kubernetes",
        )  # fmt: skip
    if owners.setdefault(asked, key) != key:
        raise InputError(
            f"{Address(asked)} is that of {'/'.join(owners[asked])}", field=where, expected="one of its own"
        )


def check_ports(
    columns: Mapping[str, Any], key: tuple[str, str], band_: Band, text: str, holders: dict[int, tuple[str, str]]
) -> None:
    """Check the node ports that a Service states, and note them in ``holders``. Raises InputError."""
    stated = {f"spec.ports[{place}].nodePort": port for place, port in enumerate(columns.get("port_asked", ()))}
    stated["spec.healthCheckNodePort"] = columns.get("asked_health_port", 0)
    for where, port in stated.items():
        if not port:
            continue
        if not band_.has(port):
            raise InputError(
                f"{port} is not in the range {text}", field=where,
                expected="a port in it, or another --service-node-port-range",
            )  # fmt: skip
        if holders.setdefault(port, key) != key:
            raise InputError(f"{port} is that of {'/'.join(holders[port])}", field=where, expected="one of its own")
    health = columns.get("asked_health_port", 0)
    if health and health in columns.get("port_asked", ()):
        raise InputError(f"{health} is a node port too", field="spec.healthCheckNodePort", expected="one of its own")
