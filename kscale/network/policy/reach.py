"""Who reaches whom, for one protocol and port: a matrix of bits, sources by destinations.

Ends about which the same rules are share what these allow: a row of bits is made for each kind of end, not for each
end, and sources that are alike in all that concerns others share their row of the matrix.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from kscale.network.policy import bits as bit
from kscale.network.policy.bits import Bits, Flags
from kscale.network.policy.ends import Ends
from kscale.network.policy.rules import EGRESS, INGRESS, Question, Rules, applied, asked_ports, open_at

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Allowed:
    """What one direction allows: ends of a kind are alike in it.

    Attributes:
        kind: int64 by end, row of ``peers``.
        peers: uint64 of shape (kinds, words of ends): whom it may talk to in this direction.
    """

    kind: Rows
    peers: Bits


def allowed(rules: Rules, ends: Ends, direction: int, about: Bits, peers: Bits) -> Allowed:
    """Return what the rules of a direction allow; ``about`` and ``peers`` are as ``applied`` gives them.

    An end that no policy isolates is allowed everything.
    """
    of_direction = rules.direction == direction
    everybody = bit.packed(np.ones((1, len(ends)), bool))
    about = np.concatenate([~rules.isolated(direction)[None] & everybody, about[of_direction]])
    peers = np.concatenate([everybody, peers[of_direction]])
    by_end = bit.transposed(about, len(ends))
    first, kind = bit.alike(by_end)
    return Allowed(kind, bit.unions(peers, by_end[first]))


class Reach:
    """Who reaches whom over ends, for a question.

    Beside what policies allow: an end reaches itself, and a pod and the node that it is on reach each other. Nobody
    reaches an end that has no address of the IP version, or no port of the name that is asked for.
    """

    def __init__(
        self, rules: Rules, ends: Ends, question: Question, decided: tuple[Allowed, Allowed] | None = None
    ) -> None:
        """Take rules over ends; ``decided``, ingress first, is what stands in their place where others decide."""
        self.rules, self.ends, self.question = rules, ends, question
        self.asked = asked_ports(ends, question)
        self.open = open_at(rules, ends, question)
        about, peers = applied(rules, self.open)
        self.ingress, self.egress = decided or (
            allowed(rules, ends, INGRESS, about, peers), allowed(rules, ends, EGRESS, about, peers)
        )  # fmt: skip

    @cached_property
    def there(self) -> Flags:
        """Which ends have the address and the port, and may be reached at all."""
        return self.ends.addressed & (self.asked >= 0)

    @cached_property
    def _sources(self) -> tuple[Rows, Rows, Bits]:
        """The first source of each kind, the kind of each source, and which kinds of destinations let each kind in."""
        let_in = bit.transposed(self.ingress.peers, len(self.ends))
        told = self.egress.kind.astype(np.uint64) + np.uint64(1)
        told[~self.ends.addressed] = 0
        first, kind = bit.alike(np.concatenate([told[:, None], let_in], axis=1))
        return first, kind, let_in[first]

    def _by_policy(self, kinds: Rows) -> Bits:
        """Return what kinds of sources reach by policies, shape (kinds, words of ends)."""
        first, _, let_in = self._sources
        result = np.zeros((len(kinds), bit.words(len(self.ends))), np.uint64)
        there, of_destinations = bit.packed(self.there), self.ingress.peers.shape[0]
        for begin, end in bit.stripes(len(kinds), len(self.ends)):
            kind = kinds[begin:end]
            flags = np.take(bit.unpacked(let_in[kind], of_destinations), self.ingress.kind, axis=1)
            result[begin:end] = self.egress.peers[self.egress.kind[first[kind]]] & bit.packed(flags) & there
        result[~self.ends.addressed[first[kinds]]] = 0
        return result

    def _passes(self, sources: npt.NDArray[Any], destinations: npt.NDArray[Any]) -> Flags:
        """Tell which pairs policies let through, paired off."""
        out = bit.has(self.egress.peers, self.egress.kind[sources], destinations)
        let_in = bit.has(self.ingress.peers, self.ingress.kind[destinations], sources)
        return out & let_in & self.ends.addressed[sources] & self.there[destinations]

    @cached_property
    def _always(self) -> tuple[Rows, Rows]:
        """Pairs that no policy parts: an end and itself, a pod and its node; sources ascending."""
        ends = self.ends
        hosts = np.flatnonzero(ends.host & (ends.node >= 0))
        own = np.arange(len(ends))
        order = np.argsort(ends.node, kind="stable")
        begin = np.searchsorted(ends.node[order], ends.node[hosts], "left")
        count = np.searchsorted(ends.node[order], ends.node[hosts], "right") - begin
        host = np.repeat(hosts, count)
        within = np.arange(len(host)) - np.repeat(np.cumsum(count) - count, count)
        local = order[np.repeat(begin, count) + within]
        pairs = np.unique(np.stack([np.r_[own, host, local], np.r_[own, local, host]], axis=1), axis=0)
        sources, destinations = pairs[:, 0], pairs[:, 1]
        good = ends.addressed[sources] & self.there[destinations]
        return sources[good], destinations[good]

    def rows(self, sources: npt.NDArray[Any]) -> Bits:
        """Return whom some sources reach, shape (sources, words of ends)."""
        kinds, kind = np.unique(self._sources[1][sources], return_inverse=True)
        result = self._by_policy(kinds)[kind]
        always, destinations = self._always
        begin = np.searchsorted(always, sources, "left")
        count = np.searchsorted(always, sources, "right") - begin
        row = np.repeat(np.arange(len(sources)), count)
        place = np.repeat(begin, count) + np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
        member = destinations[place]
        np.bitwise_or.at(result, (row, member >> 6), np.uint64(1) << (member & 63).astype(np.uint64))
        return result

    def matrix(self) -> Bits:
        """Return whom each end reaches, shape (ends, words of ends): 12.5 MB for 10,000 ends."""
        return self.rows(np.arange(len(self.ends)))

    def reaches(self, sources: npt.NDArray[Any], destinations: npt.NDArray[Any]) -> Flags:
        """Tell whether sources reach destinations; the two are paired off."""
        always, size = self._always, len(self.ends)
        known = np.isin(sources * size + destinations, always[0] * size + always[1])
        return self._passes(sources, destinations) | known

    def counts(
        self, sources: npt.NDArray[Any], destinations: npt.NDArray[Any], groups: int
    ) -> tuple[Rows, Rows]:  # fmt: skip
        """Return for groups of ends how many pairs reach each other and how many there are, (groups, groups) each.

        ``sources`` and ``destinations`` are the group of each end as the one and as the other; -1 is in none. An end
        and itself are no pair.
        """
        reached, pairs = np.zeros((groups, groups), np.int64), np.zeros((groups, groups), np.int64)
        ends = np.flatnonzero(sources >= 0)
        others = np.flatnonzero(destinations >= 0)
        if not len(ends) or not len(others):
            return reached, pairs
        total = np.bincount(destinations[others], minlength=groups)
        pairs += np.bincount(sources[ends], minlength=groups)[:, None] * total[None, :]
        own = np.flatnonzero((sources >= 0) & (destinations >= 0))
        np.subtract.at(pairs, (sources[own], destinations[own]), 1)
        _, kind, _ = self._sources
        order = others[np.argsort(destinations[others], kind="stable")]
        present = np.flatnonzero(total)
        begins = np.searchsorted(destinations[order], present)
        # Each kind of sources, by the groups that its ends are in: as many as there are ends at most.
        both, many = np.unique(kind[ends] * groups + sources[ends], return_counts=True)
        of_kind, group = np.divmod(both, groups)
        for begin, end in bit.stripes(len(self._sources[0]), 3 * len(self.ends)):
            rows = self._by_policy(np.arange(begin, end))
            flags = np.take(bit.unpacked(rows, len(self.ends)), order, axis=1)
            by_group = np.zeros((end - begin, groups), np.int64)
            by_group[:, present] = np.add.reduceat(flags, begins, axis=1, dtype=np.int64)
            here = slice(*np.searchsorted(of_kind, (begin, end)))
            np.add.at(reached, group[here], many[here, None] * by_group[of_kind[here] - begin])
        self._correct(reached, sources, destinations)
        return reached, pairs

    def _correct(self, reached: Rows, sources: npt.NDArray[Any], destinations: npt.NDArray[Any]) -> None:
        """Count pairs that are let through whatever policies say, and no end with itself."""
        source, destination = self._always
        within = (sources[source] >= 0) & (destinations[destination] >= 0)
        source, destination = source[within], destination[within]
        passes, own = self._passes(source, destination), source == destination
        np.add.at(reached, (sources[source[~own & ~passes]], destinations[destination[~own & ~passes]]), 1)
        np.subtract.at(reached, (sources[source[own & passes]], destinations[destination[own & passes]]), 1)
