"""Addresses and blocks of them (CIDR), as text and as columns."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from kscale.errors import InputError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_LOW = (1 << 64) - 1
_CIDR = "an address and a prefix length, such as 10.0.0.0/8 or fd00::/64"


def address_of(text: str, field: str) -> Address:
    """Return an IPv4 or IPv6 address. Raises InputError: leading zeros and zones are none."""
    try:
        if "%" in text or len(text) > 64:
            raise ValueError
        return ipaddress.ip_address(text)
    except ValueError:
        raise InputError(f"'{text[:80]}' is not an address", field=field, expected="an IPv4 or IPv6 address") from None


def network_of(text: str, field: str) -> Network:
    """Return a block of addresses; bits beyond the prefix are dropped, as the API server does. Raises InputError."""
    base, slash, prefix = text.partition("/")
    try:
        if not slash or "%" in base or not (prefix.isascii() and prefix.isdigit() and len(prefix) <= 3):
            raise ValueError
        address = ipaddress.ip_address(base)
        if int(prefix) > address.max_prefixlen or (len(prefix) > 1 and prefix[0] == "0"):
            raise ValueError
        return ipaddress.ip_network((address, int(prefix)), strict=False)
    except ValueError:
        raise InputError(f"'{text[:80]}' is not a CIDR", field=field, expected=_CIDR) from None


def columns(addresses: Sequence[Address | None]) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.bool_]]:
    """Return addresses as uint64 of shape (addresses, 2), the high half first, and which there are."""
    result = np.zeros((len(addresses), 2), np.uint64)
    for row, address in enumerate(addresses):
        if address is not None:
            result[row] = int(address) >> 64, int(address) & _LOW
    return result, np.array([address is not None for address in addresses], bool)


def inside(
    halves: npt.NDArray[np.uint64], there: npt.NDArray[np.bool_], version: int, block: Network
) -> npt.NDArray[np.bool_]:
    """Return which addresses, as ``columns`` has them, of an IP version (4 or 6) lie in a block."""
    if block.version != version:
        return np.zeros(len(there), bool)
    mask, base = int(block.netmask), int(block.network_address)
    found = there.copy()
    for half, shift in ((0, 64), (1, 0)):
        bits, wanted = np.uint64(mask >> shift & _LOW), np.uint64(base >> shift & _LOW)
        found &= (halves[:, half] & bits) == wanted
    return found


def given_out(block: Network, taken: Iterable[Address]) -> Iterator[Address]:
    """Yield the addresses of a block in ascending order, without its first and last one and those that are taken."""
    used = {int(address) for address in taken if address.version == block.version}
    for value in range(int(block.network_address) + 1, int(block.broadcast_address)):
        if value not in used:
            yield type(block.network_address)(value)
