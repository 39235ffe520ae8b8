"""Rules as columns: who they are about, who is at the other end, on which ports.

Sets of ends (pods and addresses, ``Ends``) are rows of bits, each distinct one kept once. A rule points at two of them
and at a row of distinct lists of ports, so that thousands of rules over thousands of ends take a few megabytes, and a
question (which protocol, which port) is answered by operations over whole columns. Nothing here knows that
NetworkPolicy's rules only allow: rules with an order and other actions can be held in the same columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from kscale.network.policy.bits import Bits, Flags, packed, words
from kscale.network.policy.ends import Ends, Port
from kscale.network.policy.policies import Peer, Policy, Ports

INGRESS, EGRESS = 0, 1


class Question(NamedTuple):
    """What a connection is to: a port by its number, or by the name that the destination has for it."""

    protocol: str = "TCP"
    port: int | str = 80

    def __str__(self) -> str:
        return f"{self.port}/{self.protocol}"


class Sets:
    """Sets of ends, as rows of bits, each kept once."""

    def __init__(self, ends: int) -> None:
        self.ends = ends
        self._row_of: dict[bytes, int] = {}
        self._rows: list[Bits] = []

    def of(self, members: Flags) -> int:
        """Return the row of a set, given as flags of shape (ends,)."""
        return self.of_bits(packed(members))

    def of_bits(self, bits: Bits) -> int:
        """Return the row of a set, given as bits of shape (words,)."""
        row = self._row_of.setdefault(bits.tobytes(), len(self._rows))
        if row == len(self._rows):
            self._rows.append(bits)
        return row

    def row(self, number: int) -> Bits:
        """Return the bits of a set."""
        return self._rows[number]

    def bits(self) -> Bits:
        """Return all sets, shape (sets, words of ends)."""
        return np.array(self._rows, np.uint64).reshape(len(self._rows), words(self.ends))


@dataclass(frozen=True)
class Rules:
    """Rules over ends, one row each, in the order of policies, ingress first, and of a policy's rules.

    Attributes:
        direction: uint8, INGRESS or EGRESS.
        policy: int32, whose rule it is.
        number: int32, its place among its policy's rules of the direction.
        subjects: int32, row of ``sets``: the ends that its policy selects.
        peers: int32, row of ``sets``: the sources of an ingress rule, the destinations of an egress rule.
        ports: int32, row of ``port_lists``.
        sets: uint64 of shape (sets, words of ends).
        port_lists: distinct lists of ports of the destination; an empty one is every port of every protocol.
        policy_subjects: int32 by policy, row of ``sets``.
        isolates: bool of shape (policies, 2): whether it isolates its subjects, ingress first.
    """

    direction: npt.NDArray[np.uint8]
    policy: npt.NDArray[np.int32]
    number: npt.NDArray[np.int32]
    subjects: npt.NDArray[np.int32]
    peers: npt.NDArray[np.int32]
    ports: npt.NDArray[np.int32]
    sets: Bits
    port_lists: tuple[tuple[Ports, ...], ...]
    policy_subjects: npt.NDArray[np.int32]
    isolates: Flags

    def __len__(self) -> int:
        return len(self.direction)

    def isolated(self, direction: int) -> Bits:
        """Return the ends that some policy isolates in a direction, as bits of shape (words,)."""
        rows = self.policy_subjects[self.isolates[:, direction]]
        return np.bitwise_or.reduce(self.sets[rows], axis=0, initial=np.uint64(0))


def rules_of(policies: Sequence[Policy], ends: Ends) -> Rules:
    """Return the rules of NetworkPolicies over ends."""
    sets, lists = Sets(len(ends)), dict[tuple[Ports, ...], int]()
    everybody = sets.of(np.ones(len(ends), bool))
    known: dict[Any, int] = {}
    rows: list[tuple[int, ...]] = []
    subjects = np.zeros(len(policies), np.int32)
    for number, policy in enumerate(policies):
        key = (policy.selector, policy.namespace)
        if key not in known:
            known[key] = sets.of(ends.selected(*key))
        subjects[number] = known[key]
        for direction, rules in enumerate(policy.rules):
            for place, rule in enumerate(rules or ()):
                others = everybody if rule.peers is None else _union(sets, known, ends, rule.peers, policy.namespace)
                listed = lists.setdefault(rule.ports, len(lists))
                rows.append((direction, number, place, known[key], others, listed))
    column = np.array(rows, np.int32).reshape(-1, 6).T
    isolates = np.array([[rules is not None for rules in policy.rules] for policy in policies], bool).reshape(-1, 2)
    return Rules(
        column[0].astype(np.uint8), column[1], column[2], column[3], column[4], column[5], sets.bits(), tuple(lists),
        subjects, isolates,
    )  # fmt: skip


def _union(sets: Sets, known: dict[Any, int], ends: Ends, peers: tuple[Peer, ...], namespace: str) -> int:
    """Return the row of the set of all that are one of several peers, and keep each in ``known``."""
    if (peers, namespace) not in known:
        union = np.zeros(words(len(ends)), np.uint64)
        for peer in peers:
            if (peer, namespace) not in known:
                known[peer, namespace] = sets.of(ends.matched(peer, namespace))
            union |= sets.row(known[peer, namespace])
        known[peers, namespace] = sets.of_bits(union)
    return known[peers, namespace]


def asked_ports(ends: Ends, question: Question) -> npt.NDArray[np.int32]:
    """Return the port's number at each end, shape (ends,); -1 where it has none of that name.

    Of a name that several containers of a pod have, the first counts.
    """
    if isinstance(question.port, int):
        return np.full(len(ends), question.port, np.int32)
    by_group = [_number(ports, question.protocol, question.port) for ports in ends.group_ports]
    result = np.full(len(ends), -1, np.int32)
    result[: ends.pods] = np.array(by_group, np.int32)[ends.group[: ends.pods]]
    return result


def _number(ports: Sequence[Port], protocol: str, name: str) -> int:
    return next((port.number for port in ports if port.name == name and port.protocol == protocol), -1)


def open_at(rules: Rules, ends: Ends, question: Question) -> Bits:
    """Return at which ends each list of ports has the port that is asked for, shape (lists, words of ends).

    A name is looked up among the destination's containers; at an address there is none.
    """
    asked = asked_ports(ends, question)
    result = np.zeros((len(rules.port_lists), words(len(ends))), np.uint64)
    for row, ports in enumerate(rules.port_lists):
        found = np.full(len(ends), not ports)
        for one in ports:
            if one.protocol != question.protocol:
                continue
            if not one.name:
                found |= (asked >= one.first) & (asked <= one.last)
                continue
            found[: ends.pods] |= _named(ends, one)[: ends.pods] == asked[: ends.pods]
        result[row] = packed(found & (asked >= 0))
    return result


def _named(ends: Ends, ports: Ports) -> npt.NDArray[np.int32]:
    """Return what number each end has for a port's name; -2 for none, which nobody asks for."""
    found = asked_ports(ends, Question(ports.protocol, ports.name))
    found[found < 0] = -2
    return found


def applied(rules: Rules, open_ports: Bits) -> tuple[Bits, Bits]:
    """Return who each rule is about and who it allows, on the port that is asked for: two of shape (rules, words).

    The destination's port decides: it narrows the subjects of ingress rules, and the peers of egress rules.
    """
    subjects, peers, ports = rules.sets[rules.subjects], rules.sets[rules.peers], open_ports[rules.ports]
    ingress = (rules.direction == INGRESS)[:, None]
    return np.where(ingress, subjects & ports, subjects), np.where(ingress, peers, peers & ports)
