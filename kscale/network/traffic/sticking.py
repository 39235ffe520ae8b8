"""ClientIP affinity: what a client sends goes where it went last, as long as it comes again in time.

Clients are drawn one by one, their connections are not: of those that a client opens in a segment only the first and
the last matter, for whether it comes in time, and for how long it may rest then. A segment is no longer than the
timeout, so that it cannot run out in between.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from kscale.network.traffic.clients import Stream
from kscale.network.traffic.spreading import Segment, Spread, nothing
from kscale.network.traffic.views import Version, spans

Rows = np.ndarray[Any, Any]


class Choosing(Protocol):
    """Chooses endpoints for clients that do not stick: their places among those of the version, -1 without one."""

    def __call__(self, segment: Segment, version: Version, stream: Stream, clients: Rows) -> Rows:
        """Return a choice for each of ``clients`` (places), in the order in which they come."""


@dataclass(frozen=True)
class Sticking:
    """A timeout, us, and how an endpoint is chosen where a client is new or its endpoint is off the list."""

    timeout_us: int
    choose: Choosing

    def spread(self, segment: Segment, stream: Stream, generator: np.random.Generator) -> Spread:
        """Spread the connections of a segment."""
        found, clients = nothing(len(segment.row)), stream.clients
        place = np.searchsorted(clients.nodes, clients.node)
        alike = np.unique_counts(clients.node).counts
        begin, end = spans(segment.versions, clients.nodes, segment.begin_us, segment.end_us)
        expected = segment.expected(stream)
        for number, version in enumerate(segment.versions):
            counts = generator.poisson((expected[number] / alike)[place])
            come = np.flatnonzero(counts)
            first, last = _ends(counts[come], generator)
            low, span = begin[number][place[come]], (end[number] - begin[number])[place[come]]
            first, last = low + first * span, low + last * span
            target = self._targets(segment, version, stream, come[np.argsort(first, kind="stable")], first, come)
            went = target >= 0
            found.refused += int(counts[come[~went]].sum())
            share = np.zeros(len(version.row), np.int64)
            np.add.at(share, target[went], counts[come[went]])
            stream.stuck[come[went]], stream.used_us[come[went]] = version.row[target[went]], last[went]
            found.add(version, segment.places(version), share)
        return found

    def _targets(
        self, segment: Segment, version: Version, stream: Stream, ordered: Rows, first_us: Rows, come: Rows
    ) -> Rows:  # fmt: skip
        """Return where the clients that ``come`` (ascending) go; ``ordered`` are they as they come."""
        sets, clients = segment.sets(version, stream), stream.clients
        target = np.full(len(come), -1)
        at = np.searchsorted(version.row, stream.stuck[come])
        there = at < len(version.row)
        there[there] = version.row[at[there]] == stream.stuck[come[there]]
        class_ = sets.of[np.searchsorted(clients.nodes, clients.node[come])]
        there[there] = sets.used[class_[there], at[there]]
        there &= first_us - stream.used_us[come] <= self.timeout_us
        target[there] = at[there]
        fresh = ordered[~there[np.searchsorted(come, ordered)]]
        target[np.searchsorted(come, fresh)] = self.choose(segment, version, stream, fresh)
        return target


def _ends(counts: Rows, generator: np.random.Generator) -> tuple[Rows, Rows]:
    """Return the least and the largest of so many even draws from 0 to 1: float64, one of each a count above 0."""
    last = generator.random(len(counts)) ** (1 / counts)
    rest = generator.random(len(counts)) ** (1 / np.maximum(counts - 1, 1))
    return np.where(counts > 1, last * (1 - rest), last), last
