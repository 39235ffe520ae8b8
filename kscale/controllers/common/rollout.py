"""The arithmetic of rollouts: how many pods each ReplicaSet may have (pkg/controller/deployment).

All rules take whole columns. Those of ReplicaSets come Deployment by Deployment (``place`` ascends) and the oldest
first; ``replicas``, limits and the like have a row for each Deployment.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Rows = np.ndarray[Any, Any]


def sums(values: Rows, place: Rows, count: int) -> Rows:
    """Return the sum of the values of each place."""
    result = np.zeros(count, np.int64)
    np.add.at(result, place, values)
    return result


def before(values: Rows, place: Rows) -> Rows:
    """Return the sum of the values of the same place that come before each."""
    running = np.cumsum(values) - values
    return running - running[np.searchsorted(place, place)] if len(place) else running


def fenceposts(
    surge: Rows, surge_percent: Rows, unavailable: Rows, unavailable_percent: Rows, replicas: Rows
) -> tuple[Rows, Rows]:
    """Return how many pods may be there on top, and how many may be missing.

    Percentages are rounded up for the first, down for the second. Where nothing could move, one pod may be missing.
    """
    above = np.where(surge_percent != 0, -(-surge * replicas // 100), surge)
    below = np.where(unavailable_percent != 0, unavailable * replicas // 100, unavailable)
    return above, np.where((above == 0) & (below == 0), 1, below)


def most_unavailable(unavailable: Rows, replicas: Rows, rolling: Rows) -> Rows:
    """Return how many pods may really be missing: none while they are recreated, and never more than there are."""
    return np.where(rolling, np.minimum(unavailable, replicas), 0)


def new_replicas(replicas: Rows, surge: Rows, total: Rows, new: Rows, rolling: Rows) -> Rows:
    """Return the size that the new ReplicaSet may grow to, where all of them are asked for ``total`` pods."""
    room = np.maximum(replicas + surge - total, 0)
    grown = new + np.minimum(room, replicas - new)
    return np.where(rolling, np.where(room > 0, grown, new), replicas)


def reconcile_new(replicas: Rows, surge: Rows, total: Rows, new: Rows) -> Rows:
    """Return the size of the new ReplicaSet after one step of a rolling update."""
    grown = new_replicas(replicas, surge, total, new, np.ones(len(new), bool))
    return np.where(new > replicas, replicas, np.where(new == replicas, new, grown))


def clean_unhealthy(place: Rows, asked: Rows, available: Rows, limit: Rows) -> tuple[Rows, Rows]:
    """Return how many pods each old ReplicaSet loses that are not available, ``limit`` at most; and who gave up.

    A Deployment gives up (bool) when it meets a ReplicaSet with more pods available than asked for, whose own
    controller has not seen the last change yet: nothing else is taken from its old ones this time.
    """
    want = np.where(asked > available, asked - available, 0)
    earlier = before(want, place)
    met = (asked > 0) & (available > asked) & (earlier < limit[place])
    stopped = before(met.astype(np.int64), place) > 0
    gave_up = np.zeros(len(limit), bool)
    gave_up[place[met]] = True
    return np.where(stopped | met, 0, np.clip(limit[place] - earlier, 0, want)), gave_up


def scale_down(place: Rows, asked: Rows, limit: Rows) -> Rows:
    """Return how many pods each old ReplicaSet loses, ``limit`` for all of a Deployment, the oldest first."""
    return np.clip(limit[place] - before(asked, place), 0, asked)


def fraction(asked: Rows, most: Rows, replicas: Rows, surge: Rows, status_replicas: Rows) -> Rows:
    """Return by how many pods a ReplicaSet changes in proportion; all columns have its row.

    ``most`` is how many pods its Deployment could have when it was scaled last; where that was not noted (0 or less),
    the replicas of the Deployment's status count, and without these nothing changes. Halves are rounded away from 0.
    """
    base = np.where(most > 0, most, status_replicas)
    divisor = np.maximum(base, 1)
    size = (2 * asked * (replicas + surge) + divisor) // (2 * divisor)
    return np.where(replicas == 0, -asked, np.where(base == 0, 0, size - asked))


def proportional(place: Rows, asked: Rows, fractions: Rows, to_add: Rows) -> Rows:
    """Return the sizes of active ReplicaSets when ``to_add`` pods of each Deployment are shared out among them.

    The largest come first; of equal ones the younger when pods are added, the older when they are taken. What is left
    over goes to the first.
    """
    adding = to_add[place] > 0
    age = np.arange(len(place))
    order = np.lexsort((np.where(adding, -age, age), -asked, place))
    rank = np.arange(len(place)) - np.searchsorted(place, place)
    size, added = asked.copy(), np.zeros(len(to_add), np.int64)
    ranks = np.split(order[np.argsort(rank, kind="stable")], np.cumsum(np.bincount(rank)))[:-1] if len(rank) else []
    for at in ranks:
        of = place[at]
        left = to_add[of] - added[of]
        part = np.where(to_add[of] > 0, np.minimum(fractions[at], left), np.maximum(fractions[at], left))
        part = np.where((left == 0) | (to_add[of] == 0), 0, part)
        size[at] += part
        added[of] += part
    for at in ranks[:1]:
        left = to_add[place[at]] - added[place[at]]
        size[at] = np.maximum(size[at] + left, 0)
    return size


def past_history(place: Rows, revision: Rows, limit: Rows) -> Rows:
    """Return which old ReplicaSets (bool) are more than a Deployment keeps, the lowest revisions first; -1 keeps all.

    Only one that has no pods is really deleted: one that has some is passed over, and none takes its place.
    """
    surplus = np.where(limit >= 0, sums(np.ones(len(place), np.int64), place, len(limit)) - limit, 0)
    order = np.lexsort((revision, place))
    chosen = np.zeros(len(place), bool)
    chosen[order] = np.arange(len(place)) - np.searchsorted(place, place) < surplus[place]
    return chosen
