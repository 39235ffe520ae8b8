"""Deployments with their ReplicaSets, as columns: what a pass over some of them looks at."""

from __future__ import annotations

from typing import Any

import numpy as np

from kscale.controllers.common.rollout import fenceposts, most_unavailable, sums
from kscale.engine.kinds import THERE
from kscale.engine.world import World

Rows = np.ndarray[Any, Any]
#: Values of ``deployment_strategy``.
ROLLING_UPDATE, RECREATE = range(2)


class Family:
    """Some Deployments and their ReplicaSets, the latter Deployment by Deployment and the oldest first.

    Kubernetes orders ReplicaSets that were created in the same second by their names, here the number in the order of
    creation decides.

    Attributes:
        keys: objects of the Deployments; columns of theirs have a row for each.
        sets: objects of the ReplicaSets that are there; ``place`` is the place of each one's Deployment in ``keys``.
        asked: pods asked for; ``replicas``, ``ready``, ``available`` are those of its status.
        is_new: whether its template is the Deployment's; it is the oldest such one.
        new: for each Deployment, the place of its new ReplicaSet in ``sets``, or -1.
        surge, unavailable: pods on top and pods missing that a Deployment bears.
    """

    def __init__(self, world: World, keys: Rows) -> None:
        cluster = world.cluster
        self.cluster, self.keys, self.rows = cluster, keys, cluster.object_row[keys]
        dependents, place = world.dependents_of(keys)
        of_kind = cluster.object_kind[dependents] == world.codes["ReplicaSet"]
        dependents, place = dependents[of_kind], place[of_kind]
        self._dependents, self._dependents_place = dependents, place
        there = cluster.object_live[dependents] == THERE
        sets, place = dependents[there], place[there]
        order = np.lexsort((cluster.object_uid[sets], cluster.object_created_us[sets], place))
        self.sets, self.place = sets[order], place[order]
        self.set_rows = cluster.object_row[self.sets]
        self.asked = self.of_sets("replicas")
        self.replicas, self.ready, self.available = (
            np.maximum(self.of_sets(name), 0) for name in ("status_replicas", "ready_replicas", "available_replicas")
        )
        self._find_new()
        self._bound()

    def __len__(self) -> int:
        return len(self.keys)

    def of(self, name: str) -> Rows:
        """Return a column of the Deployments."""
        return self.cluster.columns[f"deployment_{name}"][self.rows]

    def of_sets(self, name: str) -> Rows:
        """Return a column of the ReplicaSets."""
        return self.cluster.columns[f"replicaset_{name}"][self.set_rows]

    def total(self, values: Rows, which: Rows | None = None) -> Rows:
        """Return the sum over the ReplicaSets of each Deployment, those of the mask ``which`` only."""
        return sums(values if which is None else np.where(which, values, 0), self.place, len(self.keys))

    def of_new(self, values: Rows) -> Rows:
        """Return a ReplicaSets' column for each Deployment's new one, 0 where it has none."""
        return np.where(self.new >= 0, values[self.new], 0) if len(values) else np.zeros(len(self.keys), np.int64)

    def pods_of_old(self) -> Rows:
        """Return how many pods have not ended that old ReplicaSets have, also those that are gone themselves."""
        total = sums(self._left(self._dependents), self._dependents_place, len(self.keys))
        return total - self.of_new(self._left(self.sets))

    def _left(self, sets: Rows) -> Rows:
        return self.cluster.object_active[sets] + self.cluster.object_terminating[sets]

    def _find_new(self) -> None:
        count = len(self.keys)
        same = np.flatnonzero(self.of_sets("content") == self.of("content")[self.place])
        self.new = np.full(count, -1, np.int64)
        self.new[self.place[same][::-1]] = same[::-1]
        self.is_new = np.zeros(len(self.sets), bool)
        self.is_new[self.new[self.new >= 0]] = True

    def _bound(self) -> None:
        self.rolling = self.of("strategy") == ROLLING_UPDATE
        wanted = self.of("replicas")
        surge, unavailable = fenceposts(
            self.of("surge"), self.of("surge_percent"), self.of("unavailable"), self.of("unavailable_percent"), wanted
        )
        self.surge = np.where(self.rolling, surge, 0)
        self.unavailable = most_unavailable(unavailable, wanted, self.rolling)
