"""What the algorithms of kube-proxy's modes come to for the traffic of a Service: how each spreads a segment."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kscale.engine.load import Constant
from kscale.errors import InputError
from kscale.network.balancing import Algorithm
from kscale.network.balancing.common.running import algorithm_of
from kscale.network.traffic import spreading
from kscale.network.traffic.clients import Clients, Open, Stream
from kscale.network.traffic.durations import phases
from kscale.network.traffic.spreading import Hash, Segment, Spread, Turns
from kscale.network.traffic.stepping import Stepping
from kscale.network.traffic.sticking import Sticking
from kscale.network.traffic.views import Version, Where

Rows = np.ndarray[Any, Any]
#: Algorithms by how they choose, all weights being 1, as kube-proxy sets them.
RANDOM, TURNS, HASHES = ("iptables", "nftables"), ("rr", "wrr", "userspace"), ("sh", "dh", "mh")


@dataclass
class Choice:
    """How the proxies of all nodes spread one Service's connections.

    Attributes:
        algorithm: of ``kscale.network.balancing``.
        nodes: how many there are.
        affinity_us: ClientIP affinity, us; 0 without.
        compiled: whether what goes connection by connection is compiled; that changes no result.
    """

    algorithm: Algorithm
    nodes: int
    generator: np.random.Generator
    affinity_us: int = 0
    compiled: bool = True

    def __post_init__(self) -> None:
        dials = self.algorithm.delays
        listed = np.full(self.nodes, -1) if dials else None
        self.turns = Turns(np.zeros(self.nodes, np.int64), dials, listed)
        self.stick(self.affinity_us)

    def stick(self, affinity_us: int) -> None:
        """Take another timeout of clients' affinity; 0 is none."""
        self.affinity_us, self._sticking = affinity_us, Sticking(affinity_us, self._choose)
        self._stepping: Stepping | None = None
        if self.algorithm.overhead is not None:
            self._stepping = Stepping(self.algorithm, self.generator, affinity_us, compiled=self.compiled)

    def spread_all(self, segment: Segment, streams: Sequence[Stream], gone: Rows) -> list[Spread]:
        """Spread a segment's connections, stream by stream; ``gone``: bool (endpoint,), whether it runs no more."""
        if self._stepping is not None:
            return self._stepping.spread(segment, streams, gone)
        return [self.spread(segment, one, gone) for one in streams]

    def spread(self, segment: Segment, stream: Stream, gone: Rows) -> Spread:
        """Spread the connections of one stream, where what is open plays no part."""
        name = self.algorithm.name
        if self.affinity_us:
            return self._sticking.spread(segment, stream, self.generator)
        if name in RANDOM:
            return spreading.at_random(segment, stream, self.generator)
        if name in TURNS:
            return spreading.in_turn(segment, stream, self.generator, self.turns, gone)
        return spreading.by_hash(segment, stream, self.generator, Hash(self.algorithm, self.compiled))

    def _choose(self, segment: Segment, version: Version, stream: Stream, clients: Rows) -> Rows:
        """Return the choice of clients that do not stick to an endpoint, in the order in which they come."""
        if self.algorithm.name in HASHES:
            return spreading.hashed(segment, version, stream, Hash(self.algorithm, self.compiled))[clients]
        by: Callable[..., Rows] = self._any if self.algorithm.name in RANDOM else self._next
        sets, nodes = segment.sets(version, stream), stream.clients.node[clients]
        class_ = sets.of[np.searchsorted(stream.clients.nodes, nodes)]
        target = np.full(len(clients), -1)
        for one, used in enumerate(sets.used):
            chosen, some = np.flatnonzero(used), np.flatnonzero(class_ == one)
            if len(chosen) and len(some):
                target[some] = chosen[by(version, chosen, nodes[some])]
        return target

    def _any(self, version: Version, chosen: Rows, nodes: Rows) -> Rows:
        return self.generator.integers(0, len(chosen), len(nodes))

    def _next(self, version: Version, chosen: Rows, nodes: Rows) -> Rows:
        """Return places in ``chosen``: each node gives them out in turn."""
        rows = version.row[chosen]
        order = np.argsort(nodes, kind="stable")
        node, first, count = np.unique(nodes[order], return_index=True, return_counts=True)
        self.turns.begin(node, version)
        begin = np.searchsorted(rows, self.turns.row[node])
        place = np.empty(len(nodes), np.int64)
        place[order] = (np.arange(len(nodes)) - np.repeat(first, count) + np.repeat(begin, count)) % len(rows)
        self.turns.row[node] = rows[(begin + count - 1) % len(rows)] + 1
        return place


def algorithm_for(mode: str, scheduler: str) -> Algorithm:
    """Return the algorithm of a mode of kube-proxy; ``scheduler`` is IPVS' own.

    Raises InputError for one that is not known, or that nothing here says how to draw.
    """
    found = algorithm_of(scheduler if mode == "ipvs" else mode)
    known = (*RANDOM, *TURNS, *HASHES)
    if found.overhead is None and found.name not in known:
        raise InputError(
            f"nothing says what '{found.name}' comes to for many connections", field="traffic",
            expected=f"{', '.join(known)}, or an algorithm that looks at what is open",
        )  # fmt: skip
    return found


def compile_for(algorithm: Algorithm) -> None:
    """Compile what an algorithm needs, by letting one client connect to one endpoint; that takes seconds, once."""
    one, ready = np.zeros(1, np.int64), np.ones(1, bool)
    version = Version(one, one, ready, ~ready, one - 1, one - 1, one)
    stream = Stream(Constant(1_000_000_000), Clients(one, one), Open(phases(1, 0.0)))
    segment = Segment(0, 1000, [version], Where(one - 1), one)
    Choice(algorithm, 1, np.random.default_rng(0)).spread_all(segment, [stream], ~ready)
