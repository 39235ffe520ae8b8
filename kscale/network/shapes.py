"""A cluster's Services as a shape that can be had in any size: more Services, or fewer, of the same kinds."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np

from kscale.engine.members import spread
from kscale.network.ports import Ports

Rows = np.ndarray[Any, Any]
#: Columns of ports by which Services of as many endpoints and ports are told apart.
_KINDS = ("external_local", "internal_local", "load_balancer_ips", "external_ips", "node_port", "affinity")


class Shape:
    """Service ports as they are, and what they would be with another number of Services.

    Attributes:
        ports: as they are.
        services: how many Services they are of.
    """

    def __init__(self, ports: Ports) -> None:
        """The rows of a Service must lie side by side."""
        self.ports = ports
        starts = np.flatnonzero(np.diff(ports.service, prepend=ports.service[0] - 1)) if len(ports) else np.zeros(0)
        first: Rows = starts.astype(np.int64)
        count: Rows = np.diff(first, append=len(ports))
        self.services = len(first)
        # In order of what costs most, so that every nth is of all kinds, in whatever order they came.
        order = np.lexsort([*(self._sums(name, first) for name in _KINDS), count, self._sums("endpoints", first)])
        self._first, self._count = first[order], count[order]

    def _sums(self, name: str, first: Rows) -> Rows:
        """Return the sum of a column over the ports of each Service."""
        values = getattr(self.ports, name).astype(np.int64)
        return np.add.reduceat(values, first) if len(first) else values

    def at(self, services: int) -> Ports:
        """Return the ports of so many Services: each of these is taken equally often, or each nth.

        Those are counted in the order of their endpoints, from the middle of each stretch. With as many as there are it
        is what there is.
        """
        if services == self.services:
            return self.ports
        chosen = (2 * np.arange(services) + 1) * self.services // (2 * max(services, 1))
        row, number = spread(self._first[chosen], self._count[chosen])
        columns = {one.name: getattr(self.ports, one.name)[row] for one in fields(Ports) if one.name != "service"}
        return Ports.of(columns.pop("endpoints"), service=number, **columns)


def endpoints_at_the_busiest(owner: Rows, start: Rows, end: Rows) -> tuple[Rows, int]:
    """Return how many pods each owner has at the moment when most owners have some, and when that is.

    ``owner`` (int64, 0 to the number of owners), ``start`` and ``end`` (int64, in one unit; no earlier than the start)
    are columns of pods: one is there from its start, and no longer at its end. Of several moments it is the first.
    Owners without pods at that moment are left out; both are empty and 0 without pods.
    """
    time = np.concatenate([start, end])
    if not len(time):
        return np.zeros(0, np.int64), 0
    step = np.repeat([1, -1], len(owner))
    whose = np.concatenate([owner, owner])
    order = np.lexsort((time, whose))
    whose, time, step = whose[order], time[order], step[order]
    # Pods of an owner after everything that happens at a moment: the last row of each owner and moment.
    there = np.cumsum(step)
    last = np.concatenate([(whose[1:] != whose[:-1]) | (time[1:] != time[:-1]), [True]])
    whose, time, there = whose[last], time[last], there[last]
    # All of an owner's pods go in the end, so that sums of the one before add nothing.
    some = there > 0
    before = np.concatenate([[False], some[:-1] & (whose[1:] == whose[:-1])])
    moments, at = np.unique(time, return_inverse=True)
    owners = np.cumsum(np.bincount(at, some.astype(np.int64) - before, len(moments)).astype(np.int64))
    moment = int(moments[np.argmax(owners)])
    counts = np.bincount(owner[(start <= moment) & (moment < end)])
    return counts[counts > 0], moment
