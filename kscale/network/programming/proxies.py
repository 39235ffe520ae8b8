"""The kube-proxies of all nodes, told of changes batch by batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from kscale.errors import InputError
from kscale.network.programming import syncs
from kscale.network.programming.compiled import passes
from kscale.network.programming.models import Changes, Cost, Nodes
from kscale.network.programming.spreading import Spreading

Rows = np.ndarray[Any, Any]
_ROOM = 4


@dataclass(frozen=True, eq=False)
class Known:
    """Changes that every node knows, or certainly will at a time that is decided.

    Attributes:
        first: number of the first of them.
        changes: the changes.
    """

    first: int
    changes: Changes
    _proxies: Proxies

    def seen_us(self, nodes: Rows | None = None) -> Rows:
        """Return when the rules of nodes (rows; all without) know each change, int64 (change, node)."""
        return self._proxies.seen_us(self.first, self.first + len(self.changes), nodes)

    def seen_of(self, number: int) -> Rows:
        """Return when the rules of all nodes know the change of this number, int64 (node,)."""
        found: Rows = self._proxies.seen_us(number, number + 1)[0]
        return found


class Proxies:
    """The kube-proxies of ``nodes``.

    Attributes:
        syncs, fulls, cpu_us: int64 (node,), syncs so far, those of them that wrote or looked through everything, and
            what they took.
    """

    def __init__(self, nodes: Nodes, cost: Cost, *, compiled: bool = True, threads: int = 1) -> None:
        """Take the nodes, of which there is one at least; the work of a batch is spread over ``threads``."""
        if not len(nodes):
            raise InputError("are none", field="nodes", expected="one at least")
        self.nodes, self.cost = nodes, cost
        self._passes, self._spread = passes(compiled), Spreading(threads)
        count = len(nodes)
        self.syncs, self.fulls, self.cpu_us = (np.zeros(count, np.int64) for _ in range(3))
        self._ended_us, self._full_us = -nodes.phase_us, -nodes.phase_us
        self._bucket_us = cost.min_us - nodes.phase_us
        self._waiting, self._held = np.zeros(count, np.int64), np.zeros(count, np.int64)
        self._upto, self._end_us = np.zeros((count, _ROOM), np.int64), np.zeros((count, _ROOM), np.int64)
        self._changes, self._before = Changes.none(), np.zeros(0, np.int64)
        self._base, self._told = 0, 0
        self._last = np.zeros(0, np.int64)
        self._until_us = -syncs.NEVER

    @property
    def decided_us(self) -> int:
        """Up to when all is decided: no node knows before it what was not told of yet."""
        left = self._changes.written_us[self._told - self._base :]
        return min(int(left[0]) if len(left) else self._until_us, self._until_us)

    def advance(self, changes: Changes, until_us: int, cost: Cost | None = None) -> Known:
        """Take all changes that were written after the last ``until_us``, up to and with this one.

        ``cost``: what syncs cost from now on, where that is another. Raises InputError where times do not fit.
        """
        written = changes.written_us
        if len(written) and (written[0] <= self._until_us or written[-1] > until_us):
            raise InputError(
                f"are from {written[0]} to {written[-1]}", field="written_us",
                expected=f"after {self._until_us}, until {until_us}",
            )  # fmt: skip
        self._until_us, self.cost = until_us, cost or self.cost
        self._forget()
        self._feed(changes)
        self._sync(drain=False)
        return self._known()

    def finish(self, until_us: int) -> Known:
        """End the run: nothing more is written, and what is on its way arrives."""
        self._forget()
        self._until_us = until_us
        self._sync(drain=False)
        self._until_us = syncs.NEVER - 2 * int(self.nodes.watch_us.max())
        self._sync(drain=True)
        return self._known()

    def seen_us(self, first: int, last: int, nodes: Rows | None = None) -> Rows:
        """Return when nodes (rows; all without) know the changes of these numbers, int64 (change, node).

        ``NEVER`` where that is not decided. Raises InputError for changes that were known before the last ``advance``.
        """
        if not self._base <= first <= last:
            raise InputError(f"are {first} to {last}", field="changes", expected=f"from {self._base} on")
        chosen = np.arange(len(self.nodes)) if nodes is None else np.asarray(nodes, np.int64)
        found = np.empty((last - first, len(chosen)), np.int64)
        self._passes.gather(self._upto, self._end_us, self._held, chosen, first, found)
        return found

    def _feed(self, changes: Changes) -> None:
        """Put changes behind those that are on their way, and note the one before of the same Service."""
        service, count = changes.service, len(changes)
        if not count:
            return
        top = int(service.max()) + 1
        if top > len(self._last):
            self._last = np.concatenate([self._last, np.full(max(top, 2 * len(self._last)) - len(self._last), -1)])
        number = self._base + len(self._changes) + np.arange(count)
        order = np.argsort(service, kind="stable")
        found, same = service[order], np.zeros(count, bool)
        same[1:] = found[1:] == found[:-1]
        before = np.empty(count, np.int64)
        before[order] = np.where(same, np.roll(number[order], 1), self._last[found])
        self._last[found] = number[order]
        self._before = np.concatenate([self._before, before])
        self._changes = self._changes.and_then(changes)

    def _forget(self) -> None:
        """Let go of the changes that were told of."""
        gone = self._told - self._base
        if gone:
            self._changes, self._before, self._base = self._changes[gone:], self._before[gone:], self._told
            self._passes.drop(self._upto, self._end_us, self._held, self._base)

    def _sync(self, *, drain: bool) -> None:
        cost, changes = self.cost, self._changes
        settings = np.array([self._until_us, self._base, cost.min_us, cost.resync_us, cost.burst, cost.most_services,
                             drain], np.int64)  # fmt: skip
        costs = np.array([cost.base_us, cost.service_us, cost.endpoint_us, cost.again_us])
        endpoints = np.concatenate([[0], np.cumsum(changes.endpoints)])

        def part(_: int, first: int, last: int) -> int:
            of = slice(first, last)
            full = self._passes.advance(
                changes.written_us, self._before, endpoints, self.nodes.watch_us[of], self._waiting[of],
                self._ended_us[of], self._bucket_us[of], self._full_us[of], self.syncs[of], self.fulls[of],
                self.cpu_us[of], self._upto[of], self._end_us[of], self._held[of], settings, costs,
            )  # fmt: skip
            return int(full)

        while any(self._spread.over(len(self.nodes), len(changes) + 1, part)):
            self._upto, self._end_us = (np.concatenate([one, np.zeros_like(one)], 1) for one in
                                        (self._upto, self._end_us))  # fmt: skip

    def _known(self) -> Known:
        first, changes = self._told, self._changes
        self._told = int(self._waiting.min())
        return Known(first, changes[first - self._base : self._told - self._base], self)
