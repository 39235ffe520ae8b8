"""Which pods a Job creates and deletes (manageJob), and which of its pods are counted and let go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from kscale.controllers.common import job_backoff
from kscale.controllers.common.active_pods import active_order
from kscale.controllers.common.job_indexes import COMPLETED
from kscale.controllers.common.job_policies import IGNORE
from kscale.controllers.common.job_view import View
from kscale.engine.objects import COUNTED
from kscale.engine.requests import Requests

Rows = np.ndarray[Any, Any]
#: Most pods that one pass of a job creates or deletes, and most that it counts (MaxUncountedPods).
MOST_PODS, MOST_UNCOUNTED = 500, 500


def wanted(view: View) -> Rows:
    """Return how many active pods each job is to have."""
    active, done = view.world.cluster.object_active[view.jobs], view.total_succeeded
    parallelism, completions = view.column("parallelism"), view.column("completions")
    queue = np.where(done > 0, active, parallelism)
    fixed = np.maximum(np.minimum(completions - done, parallelism), 0)
    return np.where(view.column("suspend") == 1, 0, np.where(completions < 0, queue, fixed))


def surplus(view: View, managed: Rows) -> Rows:
    """Return the places of pods that managed jobs (mask) are to be without.

    Indexes that are none, and all but the best pod of each index; then, until as many are left as wanted, those that
    go first.
    """
    cluster = view.world.cluster
    over = np.maximum(cluster.object_active[view.jobs] - wanted(view), 0)
    looked = np.flatnonzero(view.active & (managed & ((over > 0) | view.indexed))[view.of])
    looked = looked[active_order(cluster, view.pods[looked], view.of[looked], cluster.life_number[view.pods[looked]])]
    of, index = view.of[looked], view.index[looked]
    best = np.append((of[1:] != of[:-1]) | (index[1:] != index[:-1]), True)[: len(of)]
    doubled = view.indexed[of] & ((index < 0) | ~best)
    order = active_order(cluster, view.pods[looked], of, ~doubled)
    looked, of, doubled = looked[order], of[order], doubled[order]
    rank = _rank(of, len(view.jobs))
    return looked[(doubled | (rank < over[of])) & (rank < MOST_PODS)]


def _rank(of: Rows, jobs: int) -> Rows:
    """Return the place of each entry among those of its job, where those of a job stand together."""
    counts = np.bincount(of, minlength=jobs)
    return np.arange(len(of)) - (np.cumsum(counts) - counts)[of]


def missing(view: View, managed: Rows, requests: Requests, places: Rows) -> tuple[Rows, Rows]:
    """Return jobs and indexes (-1 has none) of the pods that managed jobs (mask) are to create now.

    Jobs that have to wait for it come again: ``places`` are theirs among the keys of the pass.
    """
    cluster = view.world.cluster
    active = cluster.object_active[view.jobs]
    waiting = np.where(view.column("only_failed") == 1, cluster.object_terminating[view.jobs], 0)
    short = np.where(managed, np.minimum(wanted(view) - waiting - active, MOST_PODS), 0)
    per_index = view.column("backoff_limit_per_index") >= 0
    wait = np.where(per_index, 0, job_backoff.remaining(*view.record_with(view.ended), view.now_us))
    later = np.flatnonzero((short > 0) & (wait > 0))
    requests.again(places[later], view.now_us + wait[later])
    short = np.where(wait > 0, 0, np.maximum(short, 0))
    plain = np.repeat(np.arange(len(view.jobs)), np.where(view.indexed, 0, short))
    jobs, numbers = _missing_indexes(view, short, per_index, requests, places)
    both = np.concatenate([plain, jobs]), np.concatenate([np.full(len(plain), -1), numbers])
    order = np.argsort(both[0], kind="stable")
    return both[0][order], both[1][order]


def _missing_indexes(
    view: View, short: Rows, per_index: Rows, requests: Requests, places: Rows
) -> tuple[Rows, Rows]:  # fmt: skip
    """Return jobs and numbers of the lowest indexes that have no pod and are neither completed nor failed."""
    indexes = view.indexes
    failed, failures, ignored, failed_us = view.failures
    only_failed = view.column("only_failed")[view.of] == 1
    taken = indexes.marked(view.index[view.active | (view.terminating & only_failed)])
    left = np.flatnonzero((short > 0)[indexes.job] & ~taken & ~view.completed & ~failed)
    left = left[_rank(indexes.job[left], len(view.jobs)) < short[indexes.job[left]]]
    wait = job_backoff.remaining(failures[left] + ignored[left], failed_us[left], view.now_us)
    wait = np.where(per_index[indexes.job[left]], wait, 0)
    soonest = np.full(len(view.jobs), np.iinfo(np.int64).max)
    np.minimum.at(soonest, indexes.job[left], wait)
    # Where some can be created, their coming brings the job back.
    later = np.flatnonzero((soonest > 0) & (soonest < np.iinfo(np.int64).max))
    requests.again(places[later], view.now_us + soonest[later])
    now = left[wait == 0]
    return indexes.job[now], indexes.number[now]


@dataclass(frozen=True)
class Flush:
    """Pods that one pass counts and lets go.

    Attributes:
        pods: places of all that are let go.
        counted: mask of the pods that the status takes in.
        ends: mask of those of them that had ended.
        failed: int64 (job,), how many of them failed.
        full: jobs (mask) of which more may be left.
    """

    pods: Rows
    counted: Rows
    ends: Rows
    failed: Rows
    full: Rows


def flush(view: View, over: Rows, failing: Rows, gone: Rows) -> Flush:
    """Return what is counted now of jobs; ``over`` are those (mask) that are at their end, ``failing`` that fail.

    ``gone`` are places of surplus pods, which are let go already.

    A job that fails has failed in all of its pods, but for those that ended well or are ignored.
    """
    tracked = view.world.cluster.life_tracked[view.pods]
    goes = (over | view.deleting)[view.of] | view.succeeded | view.failed | (tracked == COUNTED)
    goes &= tracked > 0
    goes[gone] = False
    was = np.append(view.indexes.state == COMPLETED, False)[view.index]
    well = view.succeeded & ~was
    badly = ~view.succeeded & (view.failed | failing[view.of]) & (view.actions != IGNORE)
    counts = goes & view.fresh & view.valid & (well | badly)
    order = np.flatnonzero(goes)
    order = order[np.lexsort([view.index[order], view.of[order]])]
    before = _counted_before(counts[order], view.of[order], len(view.jobs))
    kept = np.zeros(len(view.pods), bool)
    kept[order[before < MOST_UNCOUNTED]] = True
    full = view.per_job(counts) >= MOST_UNCOUNTED
    counts &= kept
    return Flush(
        order[before < MOST_UNCOUNTED], counts, kept & view.ended, view.per_job(counts & badly), full
    )  # fmt: skip


def _counted_before(counts: Rows, of: Rows, jobs: int) -> Rows:
    """Return for each entry how many before it, of its job, count."""
    total = np.cumsum(counts) - counts
    rank = _rank(of, jobs)
    start = np.zeros(jobs, np.int64)
    start[of[rank == 0]] = total[rank == 0]
    return total - start[of]
