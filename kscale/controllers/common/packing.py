"""How endpoints are packed into slices (staging/src/k8s.io/endpointslice), for all groups at once.

A group is a service and an address type: its slices hold its endpoints. What is there is moved as little as possible:
slices are walked first, those that change anyway are filled, then one slice that need not change takes the whole rest,
and only what is left makes new slices. Nothing is ever moved from slice to slice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

Rows = np.ndarray[Any, Any]
#: The number of the empty port map: of services without ports, and of a placeholder.
NO_PORTS = 0


@dataclass(frozen=True)
class Slices:
    """Slices as they are, those of a group side by side, the oldest first.

    Attributes:
        group, ports: of each slice.
        slice, serial, state, hint: of each endpoint in them: its slice, its pod, and what is said of it.
    """

    group: Rows
    ports: Rows
    slice: Rows
    serial: Rows
    state: Rows
    hint: Rows


@dataclass(frozen=True)
class Wanted:
    """Endpoints as they should be, in the order of groups, then of pods' arrival.

    Attributes:
        ports: of each group.
        group, serial, state, hint: of each endpoint.
    """

    ports: Rows
    group: Rows
    serial: Rows
    state: Rows
    hint: Rows


@dataclass(frozen=True)
class Packed:
    """What becomes of slices.

    Attributes:
        written, deleted: whether each slice that is there is.
        ports: of each slice afterwards.
        new_group, new_ports: of each slice that is created.
        target: of each endpoint, its slice; new slices are counted on from those that are there.
        order: endpoints in the order of their slices, and of their places in them.
        hint: of each endpoint.
    """

    written: Rows
    deleted: Rows
    ports: Rows
    new_group: Rows
    new_ports: Rows
    target: Rows
    order: Rows
    hint: Rows


class _Packing:
    """The steps of a pass; each uses what those before it left."""

    def __init__(self, slices: Slices, wanted: Wanted, most: int) -> None:
        self.slices, self.wanted, self.most = slices, wanted, most
        self.groups = len(wanted.ports)
        self.target = np.full(len(wanted.group), -1, np.int64)
        self.position = np.zeros(len(wanted.group), np.int64)
        self.count = np.zeros(len(slices.group), np.int64)
        self.written = np.zeros(len(slices.group), bool)
        self.deleted = np.zeros(len(slices.group), bool)
        self.ports = slices.ports.copy()

    def walk(self) -> None:
        """Drop endpoints that are not wanted, and note the slices in which something is different."""
        slices, wanted = self.slices, self.wanted
        filled = np.bincount(wanted.group, minlength=self.groups) > 0
        own = filled[slices.group] & (slices.ports == wanted.ports[slices.group])
        there = np.flatnonzero(own[slices.slice])
        # A pod has one endpoint in a group; should two slices name it, it stays in the first.
        match = _find(wanted, slices.group[slices.slice[there]], slices.serial[there])
        _, first = np.unique(match, return_index=True)
        kept = np.zeros(len(there), bool)
        kept[first] = match[first] >= 0
        places, match = there[kept], match[kept]
        of = slices.slice[places]
        self.target[match], self.position[match] = of, places
        self.count += np.bincount(of, minlength=len(self.count))
        before = np.bincount(slices.slice, minlength=len(self.count))
        other = slices.state[places] != wanted.state[match]
        changed = (np.bincount(of[other], minlength=len(self.count)) > 0) | (self.count < before)
        self.emptied = own & changed & (self.count == 0)
        self.foreign = ~own
        self.deleted = self.emptied | self.foreign
        self.written = own & changed & ~self.emptied
        self.same = own & ~changed

    def fill(self) -> None:
        """Give new endpoints to slices: to the changed ones, the fullest first, then as the rest of a group is long."""
        slices, most = self.slices, self.most
        new = np.flatnonzero(self.target < 0)
        left = np.bincount(self.wanted.group[new], minlength=self.groups)
        changed = np.flatnonzero(self.written)
        changed = changed[np.lexsort((changed, -self.count[changed], slices.group[changed]))]
        room = np.maximum(most - self.count[changed], 0)
        before = np.cumsum(room) - room
        group = slices.group[changed]
        before -= before[np.searchsorted(group, group)]
        taken = np.clip(left[group] - before, 0, room)
        left -= np.bincount(group, weights=taken, minlength=self.groups).astype(np.int64)
        full, rest = left // most, left % most
        fitting = self._fitting(rest)
        alone = (rest > 0) & (fitting < 0)
        self.new_group = np.repeat(np.arange(self.groups), full + alone)
        self.new_ports = self.wanted.ports[self.new_group]
        fits = np.flatnonzero(fitting >= 0)
        made = len(self.count) + np.arange(len(self.new_group))
        last = np.append(self.new_group[1:] != self.new_group[:-1], True)[: len(made)]
        sizes = np.where(last & alone[self.new_group], rest[self.new_group], most)
        # In each group: changed slices, new ones, the one that takes the rest.
        groups = np.concatenate([group, self.new_group, fits])
        stage = np.repeat([0, 1, 2], [len(group), len(made), len(fits)])
        order = np.lexsort((np.arange(len(groups)), stage, groups))
        receivers = np.concatenate([changed, made, fitting[fits]])[order]
        amounts = np.concatenate([taken, sizes, rest[fits]])[order].astype(np.int64)
        self.target[new] = np.repeat(receivers, amounts)
        self.position[new] = len(slices.slice) + np.arange(len(new))
        self.written[fitting[fits]] = True

    def _fitting(self, rest: Rows) -> Rows:
        """Return for each group the fullest slice that is as it was and has room for its ``rest``; -1 for none."""
        group = self.slices.group
        good = np.flatnonzero(self.same & (rest[group] > 0) & (self.count + rest[group] <= self.most))
        good = good[np.lexsort((good, -self.count[good], group[good]))]
        found = np.full(self.groups, -1, np.int64)
        groups, first = np.unique(group[good], return_index=True)
        found[groups] = good[first]
        return found

    def hold_places(self) -> None:
        """Leave one slice without ports and endpoints to groups that would have none."""
        group = self.slices.group
        there = np.bincount(group, minlength=self.groups)
        going = np.bincount(group[self.deleted], minlength=self.groups)
        bare = (there == going) & (np.bincount(self.new_group, minlength=self.groups) == 0)
        empty = np.bincount(self.slices.slice, minlength=len(group)) == 0
        placeholder = self.deleted & (self.slices.ports == NO_PORTS) & empty & (going[group] == 1) & bare[group]
        self.deleted &= ~placeholder
        bare[group[placeholder]] = False
        held = np.flatnonzero(bare)
        order = np.argsort(np.concatenate([self.new_group, held]), kind="stable")
        # Groups with a placeholder have no other new slices, so that numbers of those that there are only shift.
        shifted = np.empty(len(order), np.int64)
        shifted[order] = np.arange(len(order))
        made = self.target >= len(group)
        self.target[made] = len(group) + shifted[self.target[made] - len(group)]
        self.new_ports = np.concatenate([self.new_ports, np.full(len(held), NO_PORTS)])[order]
        self.new_group = np.concatenate([self.new_group, held])[order]

    def reuse(self) -> None:
        """Write new slices over those that would be deleted, the last one over the first: that saves a call."""
        group = self.slices.group
        going = np.flatnonzero(self.deleted)
        going = going[np.lexsort((going, self.foreign[going], group[going]))]
        rank = np.arange(len(going)) - np.searchsorted(group[going], group[going])
        made = np.bincount(self.new_group, minlength=self.groups)
        after = np.cumsum(made)
        pairs = rank < made[group[going]]
        slices = going[pairs]
        new = after[group[slices]] - 1 - rank[pairs]
        into = np.full(len(self.new_group), -1, np.int64)
        into[new] = slices
        left = np.flatnonzero(into < 0)
        into[left] = len(group) + np.arange(len(left))
        moved = self.target >= len(group)
        self.target[moved] = into[self.target[moved] - len(group)]
        self.deleted[slices], self.written[slices] = False, True
        self.ports[slices] = self.new_ports[new]
        self.new_group, self.new_ports = self.new_group[left], self.new_ports[left]

    def hint(self) -> None:
        """Write slices that stay as they are but for the hints of their endpoints."""
        kept = np.flatnonzero((self.target >= 0) & (self.position < len(self.slices.slice)))
        other = kept[self.slices.hint[self.position[kept]] != self.wanted.hint[kept]]
        self.written[self.target[other]] = True


def _find(wanted: Wanted, group: Rows, serial: Rows) -> Rows:
    """Return the places of endpoints among those that are wanted; -1 where one is not."""
    wide = 1 << 40
    known, asked = wanted.group * wide + wanted.serial, group * wide + serial
    at = np.searchsorted(known, asked)
    found = np.append(known, -1)[at] == asked
    return np.where(found, at, -1)


#: Gives the hints of endpoints that are wanted: from the slice of each (new ones are counted on), its place there,
#: which slices stay as they are but for hints, and what is said of each by now (-1 is not there).
Hinting = Callable[[Rows, Rows, Rows, Rows], Rows]


def pack(slices: Slices, wanted: Wanted, most: int, hinting: Hinting | None = None) -> Packed:
    """Return what becomes of slices of at most ``most`` endpoints each.

    ``hinting`` gives hints that depend on the slices; without it they are those of ``wanted``.
    """
    packing = _Packing(slices, wanted, most)
    packing.walk()
    packing.fill()
    packing.hold_places()
    packing.reuse()
    if hinting is not None:
        there = packing.position < len(slices.slice)
        said = np.where(there, np.append(slices.hint, -1)[np.where(there, packing.position, -1)], -1)
        stays = ~packing.written & ~packing.deleted
        packing.wanted = replace(wanted, hint=hinting(packing.target, packing.position, stays, said))
    packing.hint()
    order = np.lexsort((packing.position, packing.target))
    return Packed(
        packing.written, packing.deleted, packing.ports, packing.new_group, packing.new_ports, packing.target, order,
        packing.wanted.hint,
    )  # fmt: skip
