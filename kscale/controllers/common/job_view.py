"""What a pass of the Job controller sees: its jobs, their pods, and what these say about the jobs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from kscale.controllers.common import job_backoff
from kscale.controllers.common.job_indexes import COMPLETED, FAILED_INDEX, Indexes, indexes_of
from kscale.controllers.common.job_policies import FAIL_INDEX, FAIL_JOB, IGNORE, actions_for, successes
from kscale.controllers.common.jobs import (
    BACKOFF_LIMIT_EXCEEDED,
    DEADLINE_EXCEEDED,
    FAILED_INDEXES,
    MAX_FAILED_INDEXES_EXCEEDED,
    NO_REASON,
    NO_TARGET,
    POD_FAILURE_POLICY,
    SUCCESS_POLICY,
)
from kscale.engine.objects import FAILED, SUCCEEDED, TRACKED, pods_of
from kscale.engine.world import World

Rows = np.ndarray[Any, Any]


@dataclass
class View:
    """Jobs that have not finished, and those of their pods that matter.

    Attributes:
        jobs, rows: int64 (job,), objects and their rows in ``job``.
        pods, of: int64 (pod,), pods and the places of their jobs.
        indexes: the completion indexes of all jobs.
    """

    world: World
    jobs: Rows
    rows: Rows
    now_us: int
    pods: Rows
    of: Rows
    indexes: Indexes

    def column(self, name: str) -> Rows:
        """Return a column of the jobs' table."""
        return self.world.cluster.columns[f"job_{name}"][self.rows]

    def per_job(self, pods: Rows) -> Rows:
        """Return how many pods of a mask each job has."""
        return np.bincount(self.of[pods], minlength=len(self.jobs))

    @cached_property
    def deleting(self) -> Rows:
        """Jobs whose deletion was asked for."""
        return self.world.cluster.object_deleted_us[self.jobs] >= 0

    @cached_property
    def indexed(self) -> Rows:
        """Jobs with completionMode Indexed (with no completions, they have no index)."""
        return self.column("part_count") > 0

    @cached_property
    def start_us(self) -> Rows:
        """When jobs began to be active: now for those that begin; -1 for those that are suspended from the start."""
        start = self.column("start_us")
        return np.where((start < 0) & (self.column("suspend") == 0), self.now_us, start)

    @cached_property
    def index(self) -> Rows:
        """Where the index of each pod stands in ``indexes``; -1 has none."""
        return self.indexes.at(self.of, self.world.cluster.life_number[self.pods])

    @cached_property
    def valid(self) -> Rows:
        """Pods that may count: those of Indexed jobs have an index of theirs."""
        return (self.index >= 0) | ~self.indexed[self.of]

    @cached_property
    def active(self) -> Rows:
        """Pods that have not finished and are not being deleted."""
        cluster = self.world.cluster
        return (cluster.life_deleted_us[self.pods] < 0) & ~self._over

    @cached_property
    def _over(self) -> Rows:
        phase = self.world.cluster.life_phase[self.pods]
        return (phase == SUCCEEDED) | (phase == FAILED)

    @cached_property
    def terminating(self) -> Rows:
        """Pods that are being deleted and have not finished."""
        return (self.world.cluster.life_deleted_us[self.pods] >= 0) & ~self._over

    @cached_property
    def succeeded(self) -> Rows:
        """Pods that ended well."""
        return self.world.cluster.life_phase[self.pods] == SUCCEEDED

    @cached_property
    def failed(self) -> Rows:
        """Pods that count as failed: with podReplacementPolicy TerminatingOrFailed those that are being deleted too."""
        only_failed = self.column("only_failed")[self.of] == 1
        phase = self.world.cluster.life_phase[self.pods]
        return (phase == FAILED) | (self.terminating & ~only_failed)

    @cached_property
    def fresh(self) -> Rows:
        """Pods that have yet to be counted, or let go uncounted."""
        return self.world.cluster.life_tracked[self.pods] == TRACKED

    @cached_property
    def ended(self) -> Rows:
        """Pods that have ended, and that the status does not have yet."""
        return self.fresh & self.valid & (self.succeeded | self.failed)

    @cached_property
    def actions(self) -> Rows:
        """What becomes of each pod if it failed, by the rules of its job."""
        return actions_for(self.world, self.pods, self.column("failure_policy")[self.of])

    @cached_property
    def finish_us(self) -> Rows:
        """When each pod ended, or its deletion was asked for."""
        cluster = self.world.cluster
        return np.where(self._over, cluster.pod_ended_us[self.pods], cluster.life_deleted_us[self.pods])

    @cached_property
    def total_failed(self) -> Rows:
        """Failed pods of each job, with those that the status does not have yet."""
        return self.column("failed") + self.per_job(self.ended & self.failed & (self.actions != IGNORE))

    @cached_property
    def total_succeeded(self) -> Rows:
        """Pods of each job that ended well, or its completed indexes."""
        done = self.column("succeeded") + self.per_job(self.ended & self.succeeded)
        return np.where(self.indexed, self.indexes.counted(self.completed), done)

    @cached_property
    def completed(self) -> Rows:
        """Completed indexes (mask)."""
        return self.completed_with(self.ended)

    def completed_with(self, pods: Rows) -> Rows:
        """Return the completed indexes (mask) when these pods (mask) are counted."""
        return (self.indexes.state == COMPLETED) | self.indexes.marked(self.index[pods & self.succeeded])

    @cached_property
    def failures(self) -> tuple[Rows, Rows, Rows, Rows]:
        """Of each index: whether it has failed, its failures, its ignored failures, and the time of the last."""
        return self.failures_with(self.ended)

    def failures_with(self, pods: Rows) -> tuple[Rows, Rows, Rows, Rows]:
        """Return the same when these pods (mask) are counted."""
        indexes, limit = self.indexes, self.column("backoff_limit_per_index")
        some = np.flatnonzero(pods & self.failed & (self.index >= 0))
        at, actions = self.index[some], self.actions[some]
        failures, ignored, failed_us = indexes.failures.copy(), indexes.ignored.copy(), indexes.failed_us.copy()
        np.add.at(failures, at[actions != IGNORE], 1)
        np.add.at(ignored, at[actions == IGNORE], 1)
        np.maximum.at(failed_us, at, self.finish_us[some])
        limited = limit[indexes.job] >= 0
        over = (failures > limit[indexes.job]) | indexes.marked(at[actions == FAIL_INDEX])
        return (indexes.state == FAILED_INDEX) | (limited & over), failures, ignored, failed_us

    @cached_property
    def failed_indexes(self) -> Rows:
        """Indexes that have failed (mask)."""
        return self.failures[0] & ~self.completed

    def record_with(self, pods: Rows) -> tuple[Rows, Rows]:
        """Return failures since the last success, and the time of the last, when these pods (mask) are counted."""
        failures, well = pods & self.failed, pods & self.succeeded
        return job_backoff.consecutive(
            self.column("failures"), self.column("last_failed_us"),
            (self.of[failures], self.finish_us[failures]), (self.of[well], self.finish_us[well]),
        )  # fmt: skip

    @cached_property
    def restarts_exceeded(self) -> Rows:
        """Jobs with restartPolicy OnFailure whose containers were started again too often."""
        cluster, limit = self.world.cluster, self.column("backoff_limit")
        restarts = np.zeros(len(self.jobs), np.int64)
        running = ~self._over
        np.add.at(restarts, self.of[running], cluster.life_restarts[self.pods[running]])
        return (self.column("restarts") == 1) & (restarts >= np.maximum(limit, 1))

    @cached_property
    def reason(self) -> Rows:
        """Why each job is to end before its completions are reached; 0 where it is not. What was said stays said."""
        per_index = self.column("backoff_limit_per_index") >= 0
        failed, most = self.indexes.counted(self.failed_indexes), self.column("max_failed_indexes")
        deadline, suspended = self.column("deadline_us"), self.column("suspend") == 1
        late = (deadline >= 0) & (self.start_us >= 0) & ~suspended & (self.now_us - self.start_us >= deadline)
        all_done = (failed > 0) & (failed + self.total_succeeded >= self.column("completions"))
        met = successes(
            self.world, self.column("success_policy"), self.indexes.job, self.indexes.number, self.completed
        )
        found = np.select(
            [
                self.per_job(self.fresh & self.failed & (self.actions == FAIL_JOB)) > 0,
                (self.total_failed > self.column("backoff_limit")) | self.restarts_exceeded,
                late, per_index & (most >= 0) & (failed > most), per_index & all_done, met,
            ],
            [
                POD_FAILURE_POLICY, BACKOFF_LIMIT_EXCEEDED, DEADLINE_EXCEEDED, MAX_FAILED_INDEXES_EXCEEDED,
                FAILED_INDEXES, SUCCESS_POLICY,
            ],
            NO_REASON,
        )  # fmt: skip
        return np.where(self.column("target") != NO_TARGET, self.column("reason"), found)


def look(world: World, jobs: Rows, now_us: int) -> View:
    """Return the view of jobs. Pods of jobs with none but active ones are looked at only where it may matter."""
    cluster = world.cluster
    rows = cluster.object_row[jobs]
    active = cluster.object_active[jobs]
    left = np.where(
        cluster.job_completions[rows] < 0, np.iinfo(np.int64).max,
        cluster.job_completions[rows] - cluster.job_succeeded[rows],
    )  # fmt: skip
    late = (cluster.job_deadline_us[rows] >= 0) & (
        now_us - cluster.job_start_us[rows] >= cluster.job_deadline_us[rows]
    )  # fmt: skip
    matters = (
        (cluster.object_pods[jobs] != active) | (cluster.job_restarts[rows] == 1) | (cluster.job_part_count[rows] > 0)
        | (active > np.minimum(cluster.job_parallelism[rows], left)) | (cluster.job_suspend[rows] == 1) | late
        | (cluster.job_target[rows] != NO_TARGET) | (cluster.object_deleted_us[jobs] >= 0)
        | (cluster.job_failed[rows] > cluster.job_backoff_limit[rows])
    )  # fmt: skip
    places = np.flatnonzero(matters)
    pods, of = pods_of(cluster, jobs[places])
    return View(world, jobs, rows, now_us, pods, places[of], indexes_of(world, rows))
