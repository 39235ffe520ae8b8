"""Topology hints: for which zone, and for which node, an endpoint is (staging/src/k8s.io/endpointslice).

A Service whose traffic should stay close has each ready endpoint for its own zone, and for its node where it says so.
One that asks for topology-mode Auto has its ready endpoints shared out: each zone gets them in proportion to the cpu of
its nodes. An endpoint is for its own zone as long as that goes, and slices that need not change keep their hints.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Rows = np.ndarray[Any, Any]
#: How much more than its share an endpoint may have to serve (topologycache, overloadThreshold).
OVERLOAD = 0.2


@dataclass(frozen=True)
class Zones:
    """The share of each zone, by number (float64, ratios of allocatable cpu; 0 has no node that counts).

    Empty where too little is known of nodes, or all are of one zone: then no hints are given.
    """

    ratio: Rows

    @classmethod
    def of(cls, zone: Rows, cpu_milli: Rows) -> Zones:
        """Return the zones of nodes that count: one without a zone, or without cpu, spoils it all."""
        if not len(zone) or (zone < 0).any() or (cpu_milli <= 0).any():
            return cls(np.empty(0))
        sums = np.bincount(zone, weights=cpu_milli.astype(np.float64))
        return cls(sums / float(cpu_milli.sum()) if (sums > 0).sum() > 1 else np.empty(0))


@dataclass(frozen=True)
class Allocations:
    """How many endpoints zones are to have, float64 and int64 (group, zone); a zone of no ratio is not among them.

    ``good`` tells for which groups there are any.
    """

    desired: Rows
    most: Rows
    counts: Rows
    good: Rows


def allocations(zones: Zones, ready: Rows) -> Allocations:
    """Return how many of its ``ready`` endpoints (int64 per group) each zone is to have.

    There are none for a group that has fewer endpoints than there are zones, or where all zones together would need
    more than there are for none to be overloaded.
    """
    counts = zones.ratio > 0
    desired = zones.ratio[None, :] * ready[:, None].astype(np.float64)
    least = np.ceil(desired * (1 / (1 + OVERLOAD))).astype(np.int64)
    spare = ready - least.sum(1)
    good = (len(zones.ratio) > 0) & (ready >= counts.sum()) & (spare >= 0)
    return Allocations(np.maximum(desired, least), least + spare[:, None], counts, good)


def exchanged(given: Allocations, have: Rows) -> tuple[Rows, Rows]:
    """Return how many endpoints zones give to others, and how many they get: int64 (group, zone).

    ``have`` (int64) is what they have by now. One endpoint after the other goes from the zone with the most to give to
    the zone that needs the most, while one of both is a whole one off, and both half a one; the first zone on ties.
    """
    off = np.where(given.counts & given.good[:, None], have - given.desired, 0.0)
    giving, getting = np.maximum(off, 0.0), np.maximum(-off, 0.0)
    gives, gets = np.zeros(have.shape, np.int64), np.zeros(have.shape, np.int64)
    left = np.flatnonzero(given.good)
    while len(left):
        giver, getter = giving[left].argmax(1), getting[left].argmax(1)
        surplus, need = giving[left, giver], getting[left, getter]
        goes = ((surplus >= 1.0) | (need >= 1.0)) & (surplus >= 0.5) & (need >= 0.5)
        left, giver, getter = left[goes], giver[goes], getter[goes]
        gives[left, giver] += 1
        gets[left, getter] += 1
        giving[left, giver] -= 1.0
        getting[left, getter] -= 1.0
    return gives, gets


def shared_out(
    zones: Zones, groups: int, group: Rows, zone: Rows, ready: Rows, part: Rows, fixed: Rows, kept: Rows
) -> tuple[Rows, Rows]:  # fmt: skip
    """Return the zone that each endpoint is for (-1 for none), and for which groups there are hints.

    Endpoints (int64 group, zone and slice ``part``, bool ``ready``) stand in the order of groups and, in each, of
    slices as they are gone through; slices that need not change are numbered in the order of groups. ``fixed`` tells by
    slice which these are; ``kept`` (int64) is what their endpoints say now. A fixed slice whose hints will not do is
    gone through after all others.
    """
    given = allocations(zones, np.bincount(group[ready], minlength=groups))
    width = len(zones.ratio)
    hint = np.full(len(group), -1, np.int64)
    if not width:
        return hint, given.good
    have, stays = _kept(given, groups, group, part, fixed, kept, ready)
    free = np.flatnonzero(ready & given.good[group] & ~stays[part])
    # One without a zone spoils it for all of its group.
    spoilt = np.bincount(group[free[zone[free] < 0]], minlength=groups) > 0
    good = given.good & ~spoilt
    free = free[good[group[free]]]
    at = np.flatnonzero(ready & good[group] & stays[part])
    hint[at] = kept[at]
    hint[free] = zone[free]
    # A zone whose nodes do not count has its own endpoints, and takes no part.
    among = free[zone[free] < width]
    np.add.at(have, (group[among], zone[among]), 1)
    gives, gets = exchanged(given, have)
    last = fixed[part[among]]
    among = among[np.lexsort((among, last, group[among]))]
    _give(hint, among, group, zone, gives, gets)
    return hint, good


def _kept(
    given: Allocations, groups: int, group: Rows, part: Rows, fixed: Rows, kept: Rows, ready: Rows
) -> tuple[Rows, Rows]:
    """Return how many endpoints zones have in slices whose hints will do, and which slices these are (bool).

    Slices are looked at in their order: one that gives a zone more than its most, for all before it, will not do.
    """
    width = len(given.counts)
    have = np.zeros((groups, width), np.int64)
    stays = fixed.copy()
    strange = ready & fixed[part] & ((kept < 0) | (kept >= width))
    strange |= ready & fixed[part] & ~given.counts[np.clip(kept, 0, width - 1)]
    stays[part[strange]] = False
    stays[part[~given.good[group]]] = False
    slices, first = np.unique(part[stays[part]], return_index=True)
    of = group[stays[part]][first]
    held = np.zeros((len(fixed), width), np.int64)
    in_ = ready & stays[part]
    np.add.at(held, (part[in_], kept[in_]), 1)
    # The slices of all groups side by side, one of each at a time.
    turn = np.arange(len(slices)) - np.searchsorted(of, of)
    for step in range(int(turn.max(initial=-1)) + 1):
        now = slices[(turn == step) & stays[slices]]
        its = of[(turn == step) & stays[slices]]
        fits = ((held[now] == 0) | (have[its] + held[now] <= given.most[its])).all(1)
        stays[now[~fits]] = False
        have[its[fits]] += held[now[fits]]
    return have, stays


def _give(hint: Rows, among: Rows, group: Rows, zone: Rows, gives: Rows, gets: Rows) -> None:
    """Let endpoints be for other zones: the first ones of each zone that gives, for the first zones that get."""
    width = gives.shape[1]
    code = group[among] * width + zone[among]
    order = np.argsort(code, kind="stable")
    rank = np.empty(len(code), np.int64)
    rank[order] = np.arange(len(code)) - np.searchsorted(code[order], code[order])
    moved = among[rank < gives.ravel()[code]]
    # Endpoints of slices that stay as they are cannot be given, so that fewer may go than are wanted.
    getters = np.repeat(np.tile(np.arange(width), len(gets)), gets.ravel())
    wanted = gets.sum(1)
    begin = np.cumsum(wanted) - wanted
    place = np.arange(len(moved)) - np.searchsorted(group[moved], group[moved])
    hint[moved] = getters[begin[group[moved]] + place]
