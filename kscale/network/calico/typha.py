"""Typha: how changes fan out to the nodes, what that spares the API server, and how long a start takes.

Without Typha, each node's Felix watches the API server itself. With it, Typhas watch, and each sends what it sees to
the Felixes that are connected to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kscale.errors import InputError
from kscale.network.calico.parameters import values

Ints = npt.NDArray[np.int64]
_SECOND_US = 1_000_000


@dataclass(frozen=True)
class FanOut:
    """Connections and messages.

    Attributes:
        connections: of each Typha, shape (typhas,): as even as they can be.
        limit: at how many a Typha begins to turn some away, so that they find another.
        refused: nodes that find no Typha, as each has as many as it may.
        watches: open at the API server.
        events_per_change: watch events that the API server sends for one change.
        messages_per_change: that all Typhas send for one change; 0 without Typha.
    """

    connections: Ints
    limit: int
    refused: int
    watches: int
    events_per_change: int
    messages_per_change: int


def connection_limit(nodes: int, typhas: int, overrides: Mapping[str, int] | None = None) -> int:
    """Return at how many connections a Typha turns some away, when it balances (ConnectionRebalancingMode kubernetes).

    A fair share, as if one Typha were gone, and a fifth more; at least the lower limit, at most the upper one, which
    holds for one that is alone (projectcalico/calico, typha/pkg/k8s/rebalance.go).
    """
    number = values(overrides)
    if typhas <= 1:
        return number["typha_connections_upper"]
    share = 1 + nodes * (100 + number["typha_headroom_percent"]) // (typhas - 1) // 100
    return min(max(share, number["typha_connections_lower"]), number["typha_connections_upper"])


def fan_out(nodes: int, typhas: int, overrides: Mapping[str, int] | None = None) -> FanOut:
    """Return connections and messages for nodes with one Felix each; ``typhas`` 0 is without. Raises InputError."""
    if nodes < 0 or typhas < 0:
        raise InputError(f"is {min(nodes, typhas)}", field="nodes, typhas", expected="at least 0")
    number = values(overrides)
    each = number["watches_per_client"]
    if not typhas:
        return FanOut(np.empty(0, np.int64), 0, 0, nodes * each, nodes, 0)
    limit = connection_limit(nodes, typhas, overrides)
    served = min(nodes, limit * typhas)
    connections = served // typhas + (np.arange(typhas) < served % typhas).astype(np.int64)
    return FanOut(connections, limit, nodes - served, typhas * each, typhas, served)


def burst_messages(changes: int, clients: int, overrides: Mapping[str, int] | None = None) -> int:
    """Return how many messages a Typha sends at least for changes that come at one time: batches for each client."""
    batch = max(values(overrides)["typha_message_batch"], 1)
    return -(-changes // batch) * clients


@dataclass(frozen=True)
class Snapshot:
    """What a Typha sends to those that connect: all objects, in batches.

    Attributes:
        batches: messages for one client.
        bytes_each: for one client.
        last_us: when the last of its clients has all, if they connect at one time and share what it can send.
    """

    batches: int
    bytes_each: int
    last_us: int


def snapshot(objects: int, clients: int, overrides: Mapping[str, int] | None = None) -> Snapshot:
    """Return what it takes that ``clients`` connect to one Typha that holds ``objects``; bytes and rate are assumed."""
    number = values(overrides)
    size, rate = objects * number["typha_object_bytes"], max(number["typha_bytes_per_s"], 1)
    batch = max(number["typha_snapshot_batch"], 1)
    return Snapshot(-(-objects // batch), size, -(-size * clients * _SECOND_US // rate))


def falls_behind_us(changes_per_s: float, taken_per_s: float, overrides: Mapping[str, int] | None = None) -> float:
    """Return after how long a client that takes less than comes is dropped, us; infinite where it keeps up.

    At time t it stands at the change of t·taken/changes: it is dropped when that is ``typha_fall_behind_us`` ago.
    """
    if changes_per_s <= taken_per_s:
        return float("inf")
    return values(overrides)["typha_fall_behind_us"] / (1 - taken_per_s / changes_per_s)


def dropped_us(silent_us: Ints, overrides: Mapping[str, int] | None = None) -> Ints:
    """Return when a Typha drops clients that fall silent, int64 us of the same shape.

    It pings every ``typha_ping_us``, from 0 on, and then looks whether the last answer is older than ``typha_pong_us``;
    the answer to a ping before the silence is the last one, and comes at once.
    """
    number = values(overrides)
    ping, pong = number["typha_ping_us"], number["typha_pong_us"]
    last = np.asarray(silent_us, np.int64) // ping * ping
    return (last + pong) // ping * ping + ping
