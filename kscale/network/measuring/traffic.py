"""Packets between the ends, one after the other, and the nanoseconds that each took.

One process on one processor has the sockets of both ends: what the kernel does for a packet is done when the call
returns, and no waking up is in the times. First packets are each of a new connection.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial

from kscale.network.measuring.layout import ALONE, PORTS, Service
from kscale.network.measuring.namespaces import Namespaces

Targets = Mapping[str, Sequence[tuple[int, Service | None]]]
_NOW = time.perf_counter_ns
#: Bytes of a datagram and of a message.
_MESSAGE = b"sixteen bytes..."
#: A closed connection is reset: no entry of it waits. And no call waits longer than so.
_RESET, _TIMEOUT = struct.pack("ii", 1, 0), struct.pack("ll", 2, 0)
_PKTINFO = 8


class Unreached(Exception):
    """A packet did not arrive, or not where its Service's endpoints are."""


@dataclass(frozen=True)
class Samples:
    """Nanoseconds of one kind of packet: ``what``, by the place of the Service (0: no Service's address)."""

    what: str
    by_place: dict[int, list[int]]


def _socket(kind: int) -> socket.socket:
    made = socket.socket(socket.AF_INET, kind)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _TIMEOUT)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _TIMEOUT)
    return made


def _address(service: Service | None, protocol: str) -> tuple[str, int]:
    return (service.ip if service else ALONE, PORTS[protocol])


def _arrived(address: str, service: Service | None) -> None:
    expected = service.endpoints if service else (ALONE,)
    if address not in expected:
        raise Unreached(f"a packet to {service.ip if service else ALONE} arrived at {address}")


class Ends:
    """The sockets of the server, and a way to make those of the client."""

    def __init__(self, spaces: Namespaces, stack: ExitStack) -> None:
        """Make the server's sockets and stay in the client's namespace as long as ``stack``. Raises OSError."""
        with spaces.within("server"):
            self.listener = stack.enter_context(_socket(socket.SOCK_STREAM))
            self.listener.bind(("0.0.0.0", PORTS["tcp"]))
            self.listener.listen(64)
            self.datagrams = stack.enter_context(_socket(socket.SOCK_DGRAM))
            self.datagrams.setsockopt(socket.IPPROTO_IP, _PKTINFO, 1)
            self.datagrams.bind(("0.0.0.0", PORTS["udp"]))
        stack.enter_context(spaces.within("client"))

    def connect(self, service: Service | None) -> int:
        """Open a connection and close it; return what opening took."""
        with _socket(socket.SOCK_STREAM) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            to = _address(service, "tcp")
            began = _NOW()
            client.connect(to)
            took = _NOW() - began
            server, _ = self.listener.accept()
            with server:
                _arrived(server.getsockname()[0], service)
        return took

    def first(self, service: Service | None) -> int:
        """Send the first datagram of a connection; return what sending took, with its way to the server."""
        with _socket(socket.SOCK_DGRAM) as client:
            to = _address(service, "udp")
            began = _NOW()
            client.sendto(_MESSAGE, to)
            took = _NOW() - began
            self._received(service)
        return took

    def _received(self, service: Service | None) -> tuple[bytes, tuple[str, int]]:
        """Take a datagram; return the address it was sent to, and its sender."""
        _, notes, _, sender = self.datagrams.recvmsg(64, socket.CMSG_SPACE(12))
        info = next(data for level, kind, data in notes if (level, kind) == (socket.IPPROTO_IP, _PKTINFO))
        _arrived(socket.inet_ntoa(info[8:12]), service)
        return info, sender

    @contextmanager
    def flow(self, service: Service | None) -> Iterator[Callable[[], int]]:
        """Yield a function that sends one more datagram of a connection that was answered, and returns what it took."""
        with _socket(socket.SOCK_DGRAM) as client:
            client.connect(_address(service, "udp"))
            client.send(_MESSAGE)
            info, sender = self._received(service)
            # The answer comes from the address that was written to.
            note = (socket.IPPROTO_IP, _PKTINFO, struct.pack("=I", 0) + info[8:12] + bytes(4))
            self.datagrams.sendmsg([_MESSAGE], [note], 0, sender)
            client.recv(64)

            def again() -> int:
                began = _NOW()
                client.send(_MESSAGE)
                took = _NOW() - began
                self.datagrams.recv(64)
                return took

            yield again

    @contextmanager
    def talk(self, service: Service | None) -> Iterator[Callable[[], int]]:
        """Yield a function that sends a message there and back over one connection, and returns what it took."""
        with _socket(socket.SOCK_STREAM) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            client.connect(_address(service, "tcp"))
            server, _ = self.listener.accept()
            with server:
                server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

                def again() -> int:
                    began = _NOW()
                    client.send(_MESSAGE)
                    server.recv(64)
                    server.send(_MESSAGE)
                    client.recv(64)
                    return _NOW() - began

                yield again


def measure(spaces: Namespaces, targets: Targets, rounds: int, until: float) -> list[Samples]:
    """Send packets to all targets, by turns, for so many rounds or until that time (of the monotonic clock).

    ``targets`` are places and Services by protocol. Raises Unreached.
    """
    with ExitStack() as stack:
        try:
            ends = Ends(spaces, stack)
            calls: dict[str, dict[int, Callable[[], int]]] = {"connect": {}, "round-trip": {}, "first": {}, "later": {}}
            for place, service in targets["tcp"]:
                calls["connect"][place] = partial(ends.connect, service)
                calls["round-trip"][place] = stack.enter_context(ends.talk(service))
            for place, service in targets["udp"]:
                calls["first"][place] = partial(ends.first, service)
                calls["later"][place] = stack.enter_context(ends.flow(service))
            return _rounds(calls, rounds, until)
        except OSError as error:
            raise Unreached(f"packets do not get through: {error.strerror or error}") from error


def _rounds(calls: dict[str, dict[int, Callable[[], int]]], rounds: int, until: float) -> list[Samples]:
    found: dict[str, dict[int, list[int]]] = {
        what: {place: [] for place in by_place} for what, by_place in calls.items()
    }
    for turn in range(rounds):
        # One round at least: then there is a figure for each.
        if turn and time.monotonic() >= until:
            break
        for what, by_place in calls.items():
            # The first of its kind finds caches as another kind left them: it is not among the figures.
            next(iter(by_place.values()))()
            # To and fro, so that none always follows the same one.
            for place in sorted(by_place, reverse=turn % 2 == 1):
                found[what][place].append(by_place[place]())
    return [Samples(what, by_place) for what, by_place in found.items()]
