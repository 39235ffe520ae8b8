"""Members of objects: lists of rows in a table of their own, such as the endpoints of a slice.

An object's members lie side by side, and are written as a whole. Its own table says where (``members_first``), how many
they are (``members_count``) and for how many there is room (``members_room``, a power of two, so that what one gives
back another can take).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from kscale.state.schema import Column
from kscale.state.tables import Cluster

Rows = np.ndarray[Any, Any]
#: What the table of a kind with members has.
COLUMNS = (
    Column("members_first", "int64", "The first row of its members."),
    Column("members_count", "int64", "How many members it has."),
    Column("members_room", "int64", "How many members there is room for."),
)


def spread(first: Rows, count: Rows) -> tuple[Rows, Rows]:
    """Return ``count`` numbers from each of ``first``, one list after the other, and for each the place of its list."""
    place = np.repeat(np.arange(len(count)), count)
    begin = np.cumsum(count) - count
    return np.arange(len(place)) + (first - begin)[place], place


class Members:
    """The rows of members that are in use, and those that were given back."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._used: dict[str, int] = {}
        self._freed: dict[tuple[str, int], Rows] = {}

    def put(self, table: str, member: str, rows: Rows, source: tuple[Rows, Rows], values: Mapping[str, Rows]) -> None:
        """Give each of ``rows`` of ``table``, all distinct, its members anew: first and count of each in ``values``."""
        first, count = source
        room = self._cluster.columns[f"{table}_members_room"]
        # A list that has shrunk much gives its room back too.
        wanted = np.where(count > 0, 1 << np.ceil(np.log2(np.maximum(count, 1))).astype(np.int64), 0)
        move = (room[rows] < wanted) | (room[rows] > 4 * wanted)
        self.give_back(table, member, rows[move])
        for size in np.unique(wanted[move & (wanted > 0)]).tolist():
            chosen = rows[move & (wanted == size)]
            self._cluster.columns[f"{table}_members_first"][chosen] = self._take(member, size, len(chosen))
            room[chosen] = size
        self._cluster.columns[f"{table}_members_count"][rows] = count
        target, _ = spread(self._cluster.columns[f"{table}_members_first"][rows], count)
        origin, _ = spread(first, count)
        for name, column in values.items():
            self._cluster.columns[f"{member}_{name}"][target] = column[origin]

    def give_back(self, table: str, member: str, rows: Rows) -> None:
        """Take the members of ``rows`` away."""
        room = self._cluster.columns[f"{table}_members_room"]
        first = self._cluster.columns[f"{table}_members_first"]
        for size in np.unique(room[rows]).tolist():
            if size > 0:
                freed = self._freed.get((member, size), np.empty(0, np.int64))
                self._freed[member, size] = np.concatenate([freed, first[rows[room[rows] == size]]])
        room[rows], first[rows], self._cluster.columns[f"{table}_members_count"][rows] = 0, 0, 0

    def of(self, table: str, rows: Rows) -> tuple[Rows, Rows]:
        """Return the rows of the members of ``rows``, in order, and for each its place in ``rows``."""
        columns = self._cluster.columns
        return spread(columns[f"{table}_members_first"][rows], columns[f"{table}_members_count"][rows])

    def _take(self, member: str, size: int, lists: int) -> Rows:
        freed = self._freed.get((member, size), np.empty(0, np.int64))
        again, self._freed[member, size] = freed[-lists:], freed[:-lists]
        used, fresh = self._used.get(member, 0), lists - len(again)
        self._used[member] = used + fresh * size
        if self._used[member] > self._cluster.sizes[member]:
            self._cluster.resize(member, max(self._used[member], 2 * self._cluster.sizes[member]))
        return np.concatenate([again, used + size * np.arange(fresh)])
