"""CronJobs: a Job at each time of a schedule (pkg/controller/cronjob)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from kscale.controllers.common.cron import MINUTE
from kscale.controllers.common.cron_times import MANY_MISSED, NONE_MISSED, most_recent, nexts
from kscale.controllers.common.cronjob_manifest import FORBID, MANIFEST, REPLACE
from kscale.controllers.common.jobs import COMPLETE, FAILED_JOB, SPEC, UNFINISHED
from kscale.engine.kinds import THERE, Kind
from kscale.engine.reconcile import Controller
from kscale.engine.requests import Requests
from kscale.engine.world import World
from kscale.state.schema import Column, NewTable

Rows = np.ndarray[Any, Any]
#: How long after its time a start is looked at (nextScheduleDelta).
DELTA_US = 100_000

COLUMNS = {
    "cronjob": NewTable(
        "A CronJob.",
        (
            Column("schedule", "int64", "Text of its schedule.", default=-1, path="spec.schedule"),
            Column("zone", "int64", "Text of its time zone; -1 is UTC.", default=-1, path="spec.timeZone"),
            Column("concurrency", "uint8", "What becomes of a start while Jobs run: 0 Allow, 1 Forbid, 2 Replace.",
                   path="spec.concurrencyPolicy"),
            Column("deadline_us", "int64", "How late a start may be; -1 is any time.", "us", default=-1,
                   path="spec.startingDeadlineSeconds"),
            Column("suspend", "uint8", "1 when it starts nothing.", path="spec.suspend"),
            Column("most_successful", "int64", "Completed Jobs that are kept.", default=3,
                   path="spec.successfulJobsHistoryLimit"),
            Column("most_failed", "int64", "Failed Jobs that are kept.", default=1,
                   path="spec.failedJobsHistoryLimit"),
            *(replace(column, name=f"job_{column.name}", path=column.path and f"spec.jobTemplate.{column.path}")
              for column in SPEC),
            Column("active", "int64", "Jobs of it that run, as its status says.", path="status.active"),
            Column("last_schedule_us", "int64", "The start that it made last, after 1970; -1 made none.", "us",
                   default=-1, path="status.lastScheduleTime"),
            Column("last_successful_us", "int64", "When a Job of it was complete last; -1 none.", "us", default=-1,
                   path="status.lastSuccessfulTime"),
            Column("many_missed", "int64", "Starts before which it had missed more than a hundred."),
        ),
    ),
}  # fmt: skip


def _step(world: World, keys: Rows, now_us: int) -> Requests:
    """Delete Jobs that are too many to keep, start the one that is due, and write the status."""
    cluster, requests = world.cluster, Requests()
    rows = cluster.object_row[keys]
    jobs, of = world.dependents_of(keys)
    there = (cluster.object_kind[jobs] == world.codes["Job"]) & (cluster.object_live[jobs] == THERE)
    jobs, of = jobs[there & (cluster.object_deleted_us[jobs] < 0)], of[there & (cluster.object_deleted_us[jobs] < 0)]
    finished = cluster.job_finished[cluster.object_row[jobs]]
    _forget(world, keys, rows, jobs, of, requests)
    running = np.bincount(of[finished == UNFINISHED], minlength=len(keys))
    last_successful = cluster.cronjob_last_successful_us[rows].copy()
    np.maximum.at(last_successful, of, cluster.job_completion_us[cluster.object_row[jobs]])
    scheduled, many = _due(world, keys, rows, now_us, requests)
    named = np.zeros(len(keys), bool)
    same = cluster.job_scheduled_minute[cluster.object_row[jobs]] == (scheduled // MINUTE)[of]
    named[of[same]] = True
    last = cluster.cronjob_last_schedule_us[rows]
    due = (scheduled >= 0) & (scheduled != last)
    policy = cluster.cronjob_concurrency[rows]
    starts = due & ~named & ~((policy == FORBID) & (running > 0))
    replaced = np.flatnonzero((starts & (policy == REPLACE))[of] & (finished == UNFINISHED))
    requests.delete_objects(of[replaced], jobs[replaced], cluster.object_uid[jobs[replaced]])
    active = running + starts - np.bincount(of[replaced], minlength=len(keys))
    _start(world, keys, rows, np.flatnonzero(starts), scheduled, requests)
    # A Job that is there already was made by a pass that did not come to write its status.
    status = {
        "active": active, "last_schedule_us": np.where(starts | (due & named), scheduled, last),
        "last_successful_us": last_successful, "many_missed": cluster.cronjob_many_missed[rows] + (starts & many),
    }  # fmt: skip
    changed = np.zeros(len(keys), bool)
    for name, values in status.items():
        changed |= values != cluster.columns[f"cronjob_{name}"][rows]
    some = np.flatnonzero(changed)
    requests.update(some, "CronJob", keys[some], {name: values[some] for name, values in status.items()})
    return requests


def _due(world: World, keys: Rows, rows: Rows, now_us: int, requests: Requests) -> tuple[Rows, Rows]:
    """Return the start that is due of each (-1 none), and whether many were missed before it; come again for the next.

    Times are microseconds since 1970.
    """
    cluster, now = world.cluster, now_us + world.epoch_us
    open_ = np.flatnonzero((cluster.cronjob_suspend[rows] == 0) & (cluster.object_deleted_us[keys] < 0))
    scheduled, many = np.full(len(keys), -1), np.zeros(len(keys), bool)
    if not len(open_):
        return scheduled, many
    some = rows[open_]
    texts, zones = cluster.cronjob_schedule[some], cluster.cronjob_zone[some]
    last = cluster.cronjob_last_schedule_us[some]
    earliest = np.where(last >= 0, last, cluster.object_created_us[keys[open_]] + world.epoch_us)
    deadline = cluster.cronjob_deadline_us[some]
    since = np.where(deadline >= 0, np.maximum(earliest, now - deadline), earliest)
    recent, missed = most_recent(world.texts, texts, zones, since, now)
    in_time = (recent >= 0) & ((deadline < 0) | (recent + deadline >= now))
    scheduled[open_], many[open_] = np.where(in_time, recent, -1), missed == MANY_MISSED
    latest, missed = most_recent(world.texts, texts, zones, earliest, now)
    # Where some were missed and the rough count does not find the last of them, it goes on from now.
    after = np.select([latest >= 0, missed == NONE_MISSED], [latest, earliest], now)
    following = nexts(world.texts, texts, zones, after)
    requests.again(open_[following >= 0], following[following >= 0] + DELTA_US - world.epoch_us)
    return scheduled, many


def _start(world: World, keys: Rows, rows: Rows, starts: Rows, scheduled: Rows, requests: Requests) -> None:
    cluster, some = world.cluster, rows[starts]
    columns = {column.name: cluster.columns[f"cronjob_job_{column.name}"][some] for column in SPEC}
    columns["scheduled_minute"] = scheduled[starts] // MINUTE
    requests.create_objects(starts, "Job", keys[starts], columns)


def _forget(world: World, keys: Rows, rows: Rows, jobs: Rows, of: Rows, requests: Requests) -> None:
    """Delete the finished Jobs that started first, until as many are left as are kept."""
    cluster = world.cluster
    of_job = cluster.object_row[jobs]
    for value, limit in ((COMPLETE, "most_successful"), (FAILED_JOB, "most_failed")):
        some = np.flatnonzero(cluster.job_finished[of_job] == value)
        some = some[np.lexsort([cluster.object_uid[jobs[some]], cluster.job_start_us[of_job[some]], of[some]])]
        counts = np.bincount(of[some], minlength=len(keys))
        rank = np.arange(len(some)) - (np.cumsum(counts) - counts)[of[some]]
        surplus = counts - cluster.columns[f"cronjob_{limit}"][rows]
        gone = some[rank < surplus[of[some]]]
        requests.delete_objects(of[gone], jobs[gone], cluster.object_uid[jobs[gone]])


KIND = Kind("CronJob", "cronjob", manifest=MANIFEST)
CRONJOB = Controller("cronjob", "CronJob", _step)
