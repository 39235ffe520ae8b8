"""Completion indexes of Indexed Jobs: one row of ``jobindex`` for each, those of a job side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from kscale.engine.world import World

Rows = np.ndarray[Any, Any]
#: Values of ``jobindex_state``.
OPEN, COMPLETED, FAILED_INDEX = range(3)


@dataclass(frozen=True)
class Indexes:
    """All indexes of some jobs, side by side.

    Attributes:
        first: int64 (job,), where those of each job begin here.
        counts: int64 (job,), how many it has.
        job: int64 (index,), place of its job.
        number: int64 (index,), its number.
        state, failures, ignored, failed_us: as they stand in the columns.
    """

    first: Rows
    counts: Rows
    job: Rows
    number: Rows
    state: Rows
    failures: Rows
    ignored: Rows
    failed_us: Rows

    def at(self, jobs: Rows, numbers: Rows) -> Rows:
        """Return where indexes of jobs stand here; -1 where there is no such index."""
        there = (numbers >= 0) & (numbers < self.counts[jobs])
        return np.where(there, self.first[jobs] + numbers, -1)

    def marked(self, places: Rows) -> Rows:
        """Return a mask of the indexes at ``places``, of which those that are -1 are nowhere."""
        mask = np.zeros(len(self.job), bool)
        mask[places[places >= 0]] = True
        return mask

    def counted(self, mask: Rows) -> Rows:
        """Return how many indexes of each job a mask has."""
        return np.bincount(self.job[mask], minlength=len(self.counts))


def indexes_of(world: World, rows: Rows) -> Indexes:
    """Return all indexes of the jobs in these rows of the table ``job``."""
    cluster = world.cluster
    counts = cluster.job_part_count[rows]
    first = np.cumsum(counts) - counts
    job = np.repeat(np.arange(len(rows)), counts)
    number = np.arange(len(job)) - first[job]
    at = cluster.job_part_first[rows][job] + number
    return Indexes(
        first, counts, job, number, cluster.jobindex_state[at].astype(np.int64), cluster.jobindex_failures[at],
        cluster.jobindex_ignored[at], cluster.jobindex_failed_us[at],
    )  # fmt: skip


def ranges(numbers: Rows) -> str:
    """Return numbers, which ascend, as Kubernetes writes them in a status: ``0,2-4``."""
    numbers = np.asarray(numbers)
    if not len(numbers):
        return ""
    cuts = np.flatnonzero(np.diff(numbers) > 1)
    firsts, lasts = numbers[np.append(0, cuts + 1)], numbers[np.append(cuts, len(numbers) - 1)]
    return ",".join(
        f"{first}" if first == last else f"{first}{'-' if last > first + 1 else ','}{last}"
        for first, last in zip(firsts.tolist(), lasts.tolist(), strict=True)
    )
