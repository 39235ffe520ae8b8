"""How the connections of a time in which no endpoint changes are spread, where what is open plays no part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kscale.network.balancing import Algorithm
from kscale.network.balancing.common.inputs import Connections, Endpoints, Settings
from kscale.network.balancing.common.running import balance
from kscale.network.traffic.clients import Stream
from kscale.network.traffic.rates import cumulative
from kscale.network.traffic.views import Sets, Version, Where, spans

Rows = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Segment:
    """A time in which only what rules have changes.

    Attributes:
        begin_us, end_us: of it.
        versions: those that some node goes by, in order.
        row: int64 (endpoint,), rows of the endpoints that there are, ascending.
    """

    begin_us: int
    end_us: int
    versions: Sequence[Version]
    where: Where
    row: Rows

    def places(self, version: Version) -> Rows:
        """Return where the endpoints of a version are."""
        return np.searchsorted(self.row, version.row)

    def sets(self, version: Version, stream: Stream) -> Sets:
        """Return which endpoints the nodes of a stream use in a version."""
        key, where, found = version.kept.get("sets", (None, None, None))
        if key is not stream.key or where is not self.where or found is None:
            found = version.sets(stream.clients.nodes, self.where)
            version.kept["sets"] = stream.key, self.where, found
        return found

    def expected(self, stream: Stream) -> Rows:
        """Return how many connections come from each of a stream's nodes under each version: float64 (version, node).

        Of a node with several clients it is the sum of theirs.
        """
        nodes, weight = stream.clients.nodes, stream.clients.weight
        if len(self.versions) == 1:
            both = cumulative(stream.curve, np.array([self.begin_us, self.end_us]))
            return np.array((both[1] - both[0]) * weight)[None]
        begin, end = spans(self.versions, nodes, self.begin_us, self.end_us)
        more = cumulative(stream.curve, end) - cumulative(stream.curve, begin)
        return np.maximum(np.where(end > begin, more, 0.0), 0.0) * weight


@dataclass
class Spread:
    """Connections by endpoint: those sent to one as ready, those to one that drains as no other was left, refused."""

    ready: Rows
    draining: Rows
    refused: int = 0

    def add(self, version: Version, places: Rows, count: Rows) -> None:
        """Count what was sent to the endpoints of a version."""
        self.ready[places] += np.where(version.ready, count, 0)
        self.draining[places] += np.where(version.ready, 0, count)


def nothing(size: int, dtype: str = "int64") -> Spread:
    """Return what nobody sent to ``size`` endpoints."""
    return Spread(np.zeros(size, dtype), np.zeros(size, dtype))


def evenly(segment: Segment, stream: Stream) -> tuple[Spread, float]:
    """Return the means (float64) of what a random choice sends to each endpoint, and of what is refused."""
    found, refused = nothing(len(segment.row), "float64"), 0.0
    for version, expected in zip(segment.versions, segment.expected(stream), strict=True):
        sets = segment.sets(version, stream)
        of_class = np.bincount(sets.of, expected, minlength=len(sets.used))
        sizes = np.count_nonzero(sets.used, axis=1)
        refused += float(of_class[sizes == 0].sum())
        share = np.where(sizes > 0, of_class / np.maximum(sizes, 1), 0.0)
        found.add(version, segment.places(version), share @ sets.used)
    return found, refused


def at_random(segment: Segment, stream: Stream, generator: np.random.Generator) -> Spread:
    """Spread as iptables and nftables do: each connection to any endpoint alike, whatever others do.

    What comes to an endpoint is then a Poisson process of its own: one draw for each.
    """
    means, refused = evenly(segment, stream)
    found = nothing(len(segment.row))
    for mean, count in ((means.ready, found.ready), (means.draining, found.draining)):
        some = np.flatnonzero(mean)
        count[some] = generator.poisson(mean[some])
    found.refused = int(generator.poisson(refused))
    return found


@dataclass
class Turns:
    """Whose turn it is on each node: ``row`` (int64, by node) is the row after the last one chosen.

    ``dials``: as in the userspace mode, a proxy goes on to the next endpoint where nobody answers, and begins again
    with the first when its list changes; ``listed`` (int64, by node) is the version that it has then.
    """

    row: Rows
    dials: bool = False
    listed: Rows | None = None

    def begin(self, nodes: Rows, version: Version) -> None:
        """Let nodes go by a version."""
        if self.listed is not None:
            self.row[nodes[self.listed[nodes] != version.serial]] = 0
            self.listed[nodes] = version.serial


def in_turn(
    segment: Segment, stream: Stream, generator: np.random.Generator, turns: Turns, gone: Rows
) -> Spread:  # fmt: skip
    """Spread as IPVS' rr and wrr do, all weights being 1: each node sends its connections to one after the other.

    ``gone``: bool (endpoint,), whether it does not run any more. Where a proxy dials, it counts for nothing as long as
    another is on the list: four dead ones in a row, after which a proxy gives up, are taken to be rare.
    """
    found, nodes = nothing(len(segment.row)), stream.clients.nodes
    for version, expected in zip(segment.versions, segment.expected(stream), strict=True):
        counts = generator.poisson(expected)
        if not counts.any():
            continue
        sets, places = segment.sets(version, stream), segment.places(version)
        turns.begin(nodes[counts > 0], version)
        for class_, used in enumerate(sets.used):
            some = (sets.of == class_) & (counts > 0)
            passed = turns.dials and not gone[places[used]].all()
            chosen = np.flatnonzero(used & ~gone[places] if passed else used)
            if not len(chosen):
                found.refused += int(counts[some].sum())
                continue
            share = np.zeros(len(version.row), np.int64)
            share[chosen], turns.row[nodes[some]] = take_turns(
                counts[some], turns.row[nodes[some]], version.row[chosen]
            )
            found.add(version, places, share)
    return found


def take_turns(counts: Rows, turns: Rows, rows: Rows) -> tuple[Rows, Rows]:
    """Return how many connections each of ``rows`` gets from nodes, and whose turn it is then."""
    size = len(rows)
    first = np.searchsorted(rows, turns) % size
    left = counts % size
    # One more each from the first on, round the end: differences between neighbours.
    more = np.zeros(size + 1, np.int64)
    end = first + left
    np.add.at(more, first, 1)
    np.add.at(more, np.minimum(end, size), -1)
    np.add.at(more, np.zeros(int((end > size).sum()), np.int64), 1)
    np.add.at(more, end[end > size] - size, -1)
    return np.cumsum(more)[:size] + int((counts // size).sum()), rows[(first + counts - 1) % size] + 1


@dataclass(frozen=True)
class Hash:
    """An algorithm that looks at the client and the list alone; whether it runs compiled, which changes no result."""

    algorithm: Algorithm
    compiled: bool = True


def by_hash(segment: Segment, stream: Stream, generator: np.random.Generator, hash_: Hash) -> Spread:
    """Spread as IPVS' sh, mh and dh do: what a client sends goes to one endpoint as long as the list stays."""
    found, clients = nothing(len(segment.row)), stream.clients
    place = np.searchsorted(clients.nodes, clients.node)
    alike = np.unique_counts(clients.node).counts
    for version, expected in zip(segment.versions, segment.expected(stream), strict=True):
        counts = generator.poisson((expected / alike)[place])
        target = hashed(segment, version, stream, hash_)
        some = target >= 0
        found.refused += int(counts[~some].sum())
        share = np.zeros(len(version.row), np.int64)
        np.add.at(share, target[some], counts[some])
        found.add(version, segment.places(version), share)
    return found


def hashed(segment: Segment, version: Version, stream: Stream, hash_: Hash) -> Rows:
    """Return which endpoint of a version each client's connections go to, int64; -1 where there is none."""
    clients, sets = stream.clients, segment.sets(version, stream)
    kept, target = version.kept.get("hashed", (None, None))
    if kept is sets and target is not None:
        return np.asarray(target)
    of = sets.of[np.searchsorted(clients.nodes, clients.node)]
    target = np.full(len(clients.serial), -1)
    for class_, used in enumerate(sets.used):
        chosen, members = np.flatnonzero(used), np.flatnonzero(of == class_)
        if len(chosen) and len(members):
            zeros = np.zeros(len(members), np.int64)
            # One connection of each client tells where all go.
            done = balance(
                hash_.algorithm, Connections(zeros, zeros, client=clients.serial[members]),
                Endpoints(np.ones(len(chosen), np.int64)), np.random.default_rng(0),
                settings=Settings(compiled=hash_.compiled),
            )  # fmt: skip
            target[members] = np.where(done.endpoint >= 0, chosen[done.endpoint], -1)
    version.kept["hashed"] = sets, target
    return target
