"""Parts of objects: rows of a table of their own, those of one object side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from kscale.state.tables import Cluster

Rows = np.ndarray[Any, Any]


class Parts:
    """The parts of a kind's objects; room is given in powers of two, and used again by objects of the same room."""

    def __init__(self, cluster: Cluster, table: str, parts: str) -> None:
        """Keep ``parts`` (a table) for the rows of ``table``."""
        self.cluster, self.table, self.parts = cluster, table, parts
        self._used = 0
        self._freed: dict[int, list[int]] = {}

    def fit(self, rows: Rows) -> None:
        """Give rows as much room as they ask for now; what their parts say is kept."""
        count, room = self._column("part_count"), self._column("part_room")
        for row in rows[count[rows] > room[rows]].tolist():
            first, had = int(self._column("part_first")[row]), int(room[row])
            size = 1 << (int(count[row]) - 1).bit_length()
            place = self._take(size)
            for name, column in self.cluster.tables[self.parts].columns.items():
                array = self.cluster.columns[f"{self.parts}_{name}"]
                array[place + had : place + size] = column.default
                array[place : place + had] = array[first : first + had]
            self._give(first, had)
            self._column("part_first")[row], room[row] = place, size

    def free(self, rows: Rows) -> None:
        """Take the room of rows back."""
        first, room = self._column("part_first"), self._column("part_room")
        for row in rows[room[rows] > 0].tolist():
            self._give(int(first[row]), int(room[row]))
        first[rows], room[rows] = -1, 0

    def write(self, rows: Rows, columns: Mapping[str, Rows]) -> None:
        """Write columns of the parts ``columns["part"]`` of rows."""
        there = columns["part"] < self._column("part_room")[rows]
        places = (self._column("part_first")[rows] + columns["part"])[there]
        for name, values in columns.items():
            if name not in ("object", "part", "uid"):
                self.cluster.columns[f"{self.parts}_{name}"][places] = values[there]

    def _column(self, name: str) -> Rows:
        return self.cluster.columns[f"{self.table}_{name}"]

    def _take(self, size: int) -> int:
        if self._freed.get(size):
            return self._freed[size].pop()
        place, self._used = self._used, self._used + size
        if self._used > self.cluster.sizes[self.parts]:
            self.cluster.resize(self.parts, max(self._used, 2 * self.cluster.sizes[self.parts]))
        return place

    def _give(self, first: int, size: int) -> None:
        if size:
            self._freed.setdefault(size, []).append(first)
