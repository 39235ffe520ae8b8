"""Why one end reaches another, or does not: which policies isolate, which rules allow, which would nearly have."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from kscale.network.policy.bits import has
from kscale.network.policy.policies import DIRECTIONS, Policy
from kscale.network.policy.reach import Reach
from kscale.network.policy.rules import EGRESS, INGRESS


@dataclass(frozen=True)
class Side:
    """What one direction says of a pair.

    Attributes:
        direction: ``Egress`` is about the source, ``Ingress`` about the destination.
        end: whom it is about.
        isolated_by: the policies that isolate it, as ``namespace/name``; where there are none, everything passes.
        allowed_by: the rules that let the pair pass, as ``namespace/name ingress[0]``.
        nearest: where none does, the rule that comes closest and what is amiss; empty where there is no rule.
        denied_by: the rule, or the end of a tier, that denies; empty where rules only allow.
    """

    direction: str
    end: str
    isolated_by: tuple[str, ...]
    allowed_by: tuple[str, ...]
    nearest: str
    denied_by: str = ""

    @property
    def passes(self) -> bool:
        """Whether the pair may pass in this direction."""
        return not self.isolated_by or bool(self.allowed_by)


@dataclass(frozen=True)
class Reason:
    """Whether a source reaches a destination, and why.

    Attributes:
        text: all of it in one line.
        sides: egress and ingress; none where policies are not what decides.
    """

    source: str
    destination: str
    reached: bool
    text: str
    sides: tuple[Side, ...] = ()


def why(
    reach: Reach, policies: list[Policy], source: int, destination: int,
    side_of: Callable[[int, int, int], Side] | None = None,
) -> Reason:  # fmt: skip
    """Return why a source reaches a destination or does not; ``policies`` are those that the rules were made of.

    ``side_of`` says it of a direction, a source and a destination, where it is not these policies that decide.
    """
    ends = reach.ends
    names = ends.names[source], ends.names[destination]
    apart = _never(reach, source, destination)
    if apart:
        return Reason(*names, False, apart)
    if source == destination:
        return Reason(*names, True, f"{names[0]} always reaches itself")
    if (ends.host[source] or ends.host[destination]) and ends.node[source] == ends.node[destination] >= 0:
        return Reason(
            *names, True, f"a pod and its node, here {ends.nodes[ends.node[source]]}, always reach each other"
        )
    said = side_of or partial(_side, reach, policies)
    sides = (said(EGRESS, source, destination), said(INGRESS, source, destination))
    reached = all(side.passes for side in sides)
    target = f"{_bracketed(names[1])}:{reach.asked[destination]}/{reach.question.protocol}"
    other = {"Egress": target, "Ingress": f"{names[0]} on {target.rpartition(':')[2]}"}
    told = [_told(side, other[side.direction]) for side in sides if reached or not side.passes]
    return Reason(*names, reached, "; ".join(told), sides)


def _bracketed(name: str) -> str:
    return f"[{name}]" if name.count(":") > 1 else name


def _never(reach: Reach, source: int, destination: int) -> str:
    """Return why the two can have no connection at all, whatever policies say; nothing where they can."""
    for end in (source, destination):
        if not reach.ends.addressed[end]:
            return f"{reach.ends.names[end]} has no IPv{reach.ends.version} address"
    if reach.asked[destination] < 0:
        return f"{reach.ends.names[destination]} has no port {reach.question}"
    return ""


def _told(side: Side, other: str) -> str:
    head = f"{side.direction.lower()} of {side.end}: "
    if not side.isolated_by:
        return f"{head}no policy isolates it"
    if side.allowed_by:
        return f"{head}allowed by {side.allowed_by[0]}" + _more(len(side.allowed_by))
    if side.denied_by:
        return f"{head}denied by {side.denied_by}"
    by = f"isolated by {side.isolated_by[0]}{_more(len(side.isolated_by))}, no rule allows {other}"
    return f"{head}{by}" + (f"; nearest is {side.nearest}" if side.nearest else "")


def _more(count: int) -> str:
    return f" and {count - 1} more" if count > 1 else ""


def _side(reach: Reach, policies: list[Policy], direction: int, source: int, destination: int) -> Side:
    rules = reach.rules
    subject, other = (source, destination) if direction == EGRESS else (destination, source)
    isolating = rules.isolates[:, direction] & has(rules.sets, rules.policy_subjects, subject)
    mine = np.flatnonzero((rules.direction == direction) & isolating[rules.policy])
    peer = has(rules.sets, rules.peers[mine], other)
    port = has(reach.open, rules.ports[mine], destination)
    nearest = "" if (peer & port).any() else _nearest(reach, policies, mine, peer, port)
    return Side(
        DIRECTIONS[direction], reach.ends.names[subject],
        tuple(str(policies[row]) for row in np.flatnonzero(isolating).tolist()),
        tuple(_named(reach, policies, row) for row in mine[peer & port].tolist()), nearest,
    )  # fmt: skip


def _named(reach: Reach, policies: list[Policy], row: int) -> str:
    rules = reach.rules
    return f"{policies[rules.policy[row]]} {DIRECTIONS[rules.direction[row]].lower()}[{rules.number[row]}]"


def _nearest(
    reach: Reach, policies: list[Policy], mine: npt.NDArray[np.int64], peer: npt.NDArray[Any], port: npt.NDArray[Any]
) -> str:
    """Return the rule that comes closest: the right peer on another port, before another peer on the right port."""
    if not len(mine):
        return ""
    place = int(np.argmax(2 * peer + port))
    name = _named(reach, policies, int(mine[place]))
    if peer[place]:
        listed = reach.rules.port_lists[reach.rules.ports[mine[place]]]
        return f"{name}, which allows it on {', '.join(map(str, listed[:4]))}{' …' if len(listed) > 4 else ''}"
    if port[place]:
        return f"{name}, which allows others there"
    return f"{name}, which allows neither it nor the port"
