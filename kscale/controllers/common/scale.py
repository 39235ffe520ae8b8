"""The scale of objects: the replicas that kinds with such a column ask for."""

from __future__ import annotations

from typing import Any

import numpy as np

from kscale.engine.world import World

Rows = np.ndarray[Any, Any]


def replicas_of(world: World, objects: Rows) -> Rows:
    """Return the replicas that objects of several kinds ask for; -1 where the kind has none, or it is no object."""
    cluster = world.cluster
    codes, result = (
        np.where(objects >= 0, cluster.object_kind[objects].astype(np.int64), -1),
        np.full(len(objects), -1, np.int64),
    )
    for code in np.unique(codes[objects >= 0]).tolist():
        which = np.flatnonzero(codes == code)
        column = cluster.columns.get(f"{world.kind_of(int(objects[which[0]])).table}_replicas")
        if column is not None:
            result[which] = column[cluster.object_row[objects[which]]]
    return result
