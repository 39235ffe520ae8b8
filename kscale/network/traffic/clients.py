"""Who connects: clients on nodes, and what of their connections is open."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from kscale.engine.load import Curve
from kscale.network.traffic.durations import Phases, still_open

Rows = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class Clients:
    """Clients that connect alike: ``serial`` and ``node``, int64 (client,), serials ascending and distinct."""

    serial: Rows
    node: Rows

    @cached_property
    def nodes(self) -> Rows:
        """The nodes that have clients, int64, ascending."""
        return np.unique(self.node)

    @cached_property
    def weight(self) -> Rows:
        """The share of clients on each of ``nodes``, float64."""
        return np.unique_counts(self.node).counts / max(len(self.node), 1)


class Open:
    """Connections that are open, by endpoint and phase.

    They are brought up to date endpoint by endpoint (``settle``): what came since the last time is taken to have come
    evenly in between.
    """

    def __init__(self, phases: Phases) -> None:
        self.phases = phases
        self.count = np.empty((0, len(phases.share)), np.int64)
        self._pending, self._since_us = np.empty(0, np.int64), np.empty(0, np.int64)

    def fit(self, size: int, now_us: int) -> None:
        """Make room for endpoints that were added."""
        more = size - len(self._pending)
        self.count = np.concatenate([self.count, np.zeros((more, self.count.shape[1]), np.int64)])
        self._pending = np.concatenate([self._pending, np.zeros(more, np.int64)])
        self._since_us = np.concatenate([self._since_us, np.full(more, now_us)])

    def keep(self, kept: Rows) -> None:
        """Forget the endpoints that are not kept (mask)."""
        self.count, self._pending, self._since_us = self.count[kept], self._pending[kept], self._since_us[kept]

    def add(self, count: Rows) -> None:
        """Take new connections, by endpoint."""
        if self.count.shape[1]:
            self._pending += count

    def settle(self, places: Rows, now_us: int, generator: np.random.Generator) -> Rows:
        """Let end what has ended of endpoints, and return how many connections of each are open."""
        if not self.count.shape[1]:
            return np.zeros(len(places), np.int64)
        span = (now_us - self._since_us[places]).astype(np.float64)[:, None]
        old, new = still_open(self.phases.mean_us, span)
        came = generator.multinomial(self._pending[places], self.phases.share)
        self.count[places] = generator.binomial(self.count[places], old) + generator.binomial(came, new)
        self._pending[places], self._since_us[places] = 0, now_us
        total: Rows = self.count[places].sum(axis=1)
        return total

    def clear(self, places: Rows) -> None:
        """Cut off what is open of endpoints."""
        self.count[places] = 0


@dataclass(eq=False)
class Stream:
    """A flow that is there: its rate, its clients, what is open, and what proxies remember of its clients.

    Attributes:
        stuck: int64 (client,), the row of the endpoint that each sticks to; -1 is none.
        used_us: float64 (client,), when each connected last, us.
        key: changes with the clients, and is like no other's.
    """

    curve: Curve
    clients: Clients
    open: Open
    stuck: Rows = field(default_factory=lambda: np.empty(0, np.int64))
    used_us: Rows = field(default_factory=lambda: np.empty(0))
    key: object = field(default_factory=object)

    def __post_init__(self) -> None:
        self.stuck, self.used_us = np.full(len(self.clients.serial), -1), np.zeros(len(self.clients.serial))

    def change(self, clients: Clients) -> None:
        """Take other clients; those that stay remember what they did."""
        _, old, new = np.intersect1d(self.clients.serial, clients.serial, return_indices=True)
        stuck, used = np.full(len(clients.serial), -1), np.zeros(len(clients.serial))
        stuck[new], used[new] = self.stuck[old], self.used_us[old]
        self.clients, self.stuck, self.used_us, self.key = clients, stuck, used, object()
