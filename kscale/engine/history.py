"""What became of objects over time: a row for each change that controllers were shown."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from kscale.engine.kinds import FREE, GONE, Kind
from kscale.engine.world import World

Rows = np.ndarray[Any, Any]
#: What a kind's ``progress`` tells of its objects; -1 where that says nothing of its kind.
PROGRESS = ("wanted", "pods", "updated", "ready", "available", "most", "least", "load")


class History:
    """The progress of objects, row by row as it changed."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._kinds: list[tuple[int, Kind]] = [
            (world.codes[name], kind) for name, kind in world.kinds.items() if kind.progress is not None
        ]
        self._last = np.full((0, len(PROGRESS)), -1, np.int64)
        self._parts: list[Rows] = []

    def note(self, objects: Rows, now_us: int) -> None:
        """Note those of ``objects`` whose progress has changed."""
        cluster = self._world.cluster
        for code, kind in self._kinds:
            assert kind.progress is not None
            found = objects[(cluster.object_kind[objects] == code) & (cluster.object_live[objects] != FREE)]
            if not len(found):
                continue
            told = kind.progress(self._world, found)
            none = np.full(len(found), -1, np.int64)
            values = np.stack([told.get(name, none) for name in PROGRESS], axis=1)
            # Of one that is gone nothing is wanted, and nothing is there.
            gone = (cluster.object_live[found] == GONE)[:, None]
            values = np.where(gone & (values >= 0), 0, values)
            uid = cluster.object_uid[found]
            self._fit(int(uid.max()) + 1)
            fresh = (self._last[uid] != values).any(axis=1)
            self._last[uid[fresh]] = values[fresh]
            rows = np.empty((int(fresh.sum()), 3 + len(PROGRESS)), np.int64)
            rows[:, 0], rows[:, 1], rows[:, 2] = now_us, code, uid[fresh]
            rows[:, 3:] = values[fresh]
            if len(rows):
                self._parts.append(rows)

    def _fit(self, size: int) -> None:
        if size > len(self._last):
            more = np.full((max(size, 2 * len(self._last)) - len(self._last), len(PROGRESS)), -1, np.int64)
            self._last = np.concatenate([self._last, more])

    def frame(self) -> pl.DataFrame:
        """Return the table ``rollouts``."""
        rows = np.concatenate([np.empty((0, 3 + len(PROGRESS)), np.int64), *self._parts])
        world = self._world
        kinds = np.array(sorted(world.kinds))
        uid = rows[:, 2].tolist()
        frame: dict[str, Any] = {
            "time_us": rows[:, 0], "kind": pl.Series(kinds[rows[:, 1]].tolist(), dtype=pl.String),
            "namespace": pl.Series([world.namespaces[one] for one in uid], dtype=pl.String),
            "name": pl.Series([world.names[one] for one in uid], dtype=pl.String),
        }  # fmt: skip
        for place, name in enumerate(PROGRESS):
            column = pl.Series(name, rows[:, 3 + place])
            frame[name] = column.set(column < 0, None)
        return pl.DataFrame(frame)
