"""Jobs: pods that run until enough of them have ended well (pkg/controller/job)."""

from __future__ import annotations

from typing import Any

import numpy as np

from kscale.controllers.common import job_pods
from kscale.controllers.common.job_indexes import COMPLETED, FAILED_INDEX
from kscale.controllers.common.job_manifest import MANIFEST
from kscale.controllers.common.job_view import View, look
from kscale.controllers.common.jobs import (
    COMPLETE,
    COMPLETIONS_REACHED,
    FAILED_JOB,
    FAILURE_TARGET,
    NEVER_SUSPENDED,
    NO_REASON,
    NO_TARGET,
    RESUMED,
    SECOND,
    SPEC,
    SUCCESS_CRITERIA_MET,
    SUCCESS_POLICY,
    SUSPENDED,
    finished,
)
from kscale.engine.kinds import Kind
from kscale.engine.objects import COUNTED, LET_GO
from kscale.engine.reconcile import Controller
from kscale.engine.requests import Requests
from kscale.engine.world import World
from kscale.state.schema import Column, NewTable

Rows = np.ndarray[Any, Any]

COLUMNS = {
    "job": NewTable(
        "A Job.",
        (
            *SPEC,
            Column("scheduled_minute", "int64", "Minutes from 1970 to when its CronJob was to start it; -1 has none.",
                   default=-1, path="metadata.annotations['batch.kubernetes.io/cronjob-scheduled-timestamp']"),
            Column("part_first", "int64", "Where its indexes begin in ``jobindex``.", default=-1),
            Column("part_room", "int64", "How many there is room for there."),
            Column("active", "int64", "Its active pods, as its status says.", "pods", path="status.active"),
            Column("ready", "int64", "Ready ones, as its status says.", "pods", path="status.ready"),
            Column("terminating", "int64", "Pods that are being deleted, as its status says.", "pods",
                   path="status.terminating"),
            Column("succeeded", "int64", "Pods that ended well, or completed indexes.", "pods",
                   path="status.succeeded"),
            Column("failed", "int64", "Pods that failed.", "pods", path="status.failed"),
            Column("failures", "int64", "Pods that failed since one last ended well.", "pods"),
            Column("last_failed_us", "int64", "When the last of its pods failed; -1 never.", "us", default=-1),
            Column("start_us", "int64", "When it began, or was resumed; -1 while it is suspended.", "us", default=-1,
                   path="status.startTime"),
            Column("completion_us", "int64", "When it was complete; -1 is not.", "us", default=-1,
                   path="status.completionTime"),
            Column("finish_us", "int64", "When it was complete or failed; -1 is not.", "us", default=-1,
                   path="status.conditions"),
            Column("suspended", "uint8", "Its condition Suspended: 0 was never there, 1 is False, 2 is True.",
                   path="status.conditions"),
            Column("target", "uint8", "The condition before its last: 1 FailureTarget, 2 SuccessCriteriaMet.",
                   path="status.conditions"),
            Column("reason", "uint8", "Reason of it: see kscale.controllers.common.jobs.", path="status.conditions"),
            Column("finished", "uint8", "Its last condition: 1 Complete, 2 Failed.", path="status.conditions"),
        ),
    ),
    "jobindex": NewTable(
        "A completion index of an Indexed Job.",
        (
            Column("state", "uint8", "1 when it is completed, 2 when it has failed.",
                   path="status.completedIndexes, status.failedIndexes"),
            Column("failures", "int64", "Pods of it that failed.", "pods"),
            Column("ignored", "int64", "Pods of it whose failure was ignored.", "pods"),
            Column("failed_us", "int64", "When the last of these ended; -1 never.", "us", default=-1),
        ),
    ),
}  # fmt: skip


def _called(world: World, objects: Rows) -> list[str]:
    """A Job of a CronJob is called by the minute that it was scheduled for."""
    owners = world.cluster.object_owner[objects].tolist()
    minutes = world.cluster.job_scheduled_minute[world.cluster.object_row[objects]].tolist()
    return [f"{world.name(owner)}-{minute}" for owner, minute in zip(owners, minutes, strict=True)]


def _step(world: World, keys: Rows, now_us: int) -> Requests:
    """Create and delete pods, count those that have ended, and write what follows for the status."""
    requests = Requests()
    places = np.flatnonzero(~finished(world, keys))
    if len(places):
        view = look(world, keys[places], now_us)
        _sync(view, places, requests)
    return requests


def _sync(view: View, places: Rows, requests: Requests) -> None:
    cluster, now = view.world.cluster, view.now_us
    reason = view.reason
    ending = reason != NO_REASON
    managed = ~ending & ~view.deleting
    _come_again(view, places, ~ending, requests)
    gone = job_pods.surplus(view, managed)
    few = managed & (np.bincount(view.of[gone], minlength=len(places)) == 0)
    jobs, numbers = job_pods.missing(view, few, requests, places)
    key, pods = places[view.of[gone]], view.pods[gone]
    requests.track_pods(key, pods, cluster.pod_trace_row[pods], LET_GO)
    requests.delete_pods(key, pods, cluster.pod_trace_row[pods])
    requests.create_pods(places[jobs], view.jobs[jobs], view.column("template")[jobs], number=numbers)
    doomed = np.flatnonzero(view.active & ending[view.of])
    dropped = np.concatenate([gone, doomed])
    lost = np.bincount(view.of[dropped], minlength=len(places))
    taken = jobs[cluster.template_refused[view.column("template")[jobs]] == 0]
    active = cluster.object_active[view.jobs] + np.bincount(taken, minlength=len(places)) - lost
    ready = cluster.life_ready[view.pods[dropped]] == 1
    status = {
        "active": active,
        "ready": cluster.object_ready[view.jobs] - np.bincount(view.of[dropped[ready]], minlength=len(places)),
        "terminating": cluster.object_terminating[view.jobs] + lost,
    }
    reason = np.where(~ending & _complete(view, active), COMPLETIONS_REACHED, reason)
    success = (reason == SUCCESS_POLICY) | (reason == COMPLETIONS_REACHED)
    target = np.select([reason == NO_REASON, success], [NO_TARGET, SUCCESS_CRITERIA_MET], FAILURE_TARGET)
    status |= {"reason": reason, "target": target}
    status |= _suspension(view, managed & (reason == NO_REASON))
    flush = job_pods.flush(view, reason != NO_REASON, target == FAILURE_TARGET, gone)
    _write(view, places, status, flush, requests)
    pods, key = view.pods[doomed], places[view.of[doomed]]
    requests.delete_pods(key, pods, cluster.pod_trace_row[pods])
    key, pods = places[view.of[flush.pods]], view.pods[flush.pods]
    requests.track_pods(key, pods, cluster.pod_trace_row[pods], LET_GO)
    end = np.flatnonzero((target != NO_TARGET) & ~flush.full & (status["terminating"] == 0))
    last = np.where(target[end] == FAILURE_TARGET, FAILED_JOB, COMPLETE)
    columns = {
        "finished": last, "finish_us": np.full(len(end), now),
        "completion_us": np.where(last == COMPLETE, now, -1),
    }  # fmt: skip
    requests.update(places[end], "Job", view.jobs[end], columns)


def _come_again(view: View, places: Rows, open_: Rows, requests: Requests) -> None:
    """Ask for jobs to be looked at when their time is over (activeDeadlineSeconds)."""
    deadline = view.column("deadline_us")
    timed = np.flatnonzero(open_ & (deadline >= 0) & (view.column("suspend") == 0))
    requests.again(places[timed], view.start_us[timed] + deadline[timed])


def _complete(view: View, active: Rows) -> Rows:
    """Return which jobs have what they were asked for (mask)."""
    completions, done = view.column("completions"), view.total_succeeded
    return (active == 0) & np.where(completions < 0, done > 0, done >= completions)


def _suspension(view: View, open_: Rows) -> dict[str, Rows]:
    """Return the condition Suspended and the start of jobs; a job that is resumed starts anew."""
    before, suspend = view.column("suspended"), view.column("suspend") == 1
    after = np.where(open_ & suspend, SUSPENDED, np.where(open_ & (before != NEVER_SUSPENDED), RESUMED, before))
    resumed = (before == SUSPENDED) & (after == RESUMED)
    start = np.where(resumed, view.now_us, view.start_us)
    return {"suspended": after, "start_us": np.where(open_ & suspend, -1, start)}


def _write(view: View, places: Rows, status: dict[str, Rows], flush: job_pods.Flush, requests: Requests) -> None:
    """Write the status where something of it has changed, and note which pods it has taken in."""
    cluster = view.world.cluster
    well = view.per_job(flush.counted & view.succeeded)
    completed = view.indexes.counted(view.completed_with(flush.counted))
    failures, last_failed_us = view.record_with(flush.ends)
    status = status | {
        "succeeded": np.where(view.indexed, completed, view.column("succeeded") + well),
        "failed": view.column("failed") + flush.failed, "failures": failures, "last_failed_us": last_failed_us,
    }  # fmt: skip
    changed = view.per_job(flush.counted) > 0
    for name in ("active", "ready", "terminating", "start_us", "suspended", "target"):
        changed |= status[name] != view.column(name)
    generation = cluster.object_generation[view.jobs]
    # Kubernetes keeps these in the controller's memory, so that they cost no call.
    noted = (cluster.object_observed[view.jobs] != generation) | (last_failed_us != view.column("last_failed_us"))
    noted = ~changed & (noted | (failures != view.column("failures")))
    status["object_observed"] = generation
    for which, cost in ((changed, 1), (noted, 0)):
        some = np.flatnonzero(which)
        columns = {name: values[some] for name, values in status.items()}
        requests.update(places[some], "Job", view.jobs[some], columns, cost=cost)
    pods, key = view.pods[flush.counted], places[view.of[flush.counted]]
    requests.track_pods(key, pods, cluster.pod_trace_row[pods], COUNTED, cost=0)
    _write_indexes(view, places, flush, requests)


def _write_indexes(view: View, places: Rows, flush: job_pods.Flush, requests: Requests) -> None:
    """Write the state of the indexes whose pods were counted."""
    indexes = view.indexes
    failed, failures, ignored, failed_us = view.failures_with(flush.ends)
    state = np.select([view.completed_with(flush.counted), failed], [COMPLETED, FAILED_INDEX], indexes.state)
    some = np.flatnonzero(
        (state != indexes.state) | (failures != indexes.failures) | (ignored != indexes.ignored)
    )  # fmt: skip
    job = indexes.job[some]
    columns = {
        "state": state[some], "failures": failures[some], "ignored": ignored[some], "failed_us": failed_us[some]
    }  # fmt: skip
    requests.update_parts(places[job], "Job", view.jobs[job], indexes.number[some], columns)


def _prompt(world: World, keys: Rows) -> Rows:
    """A job whose spec was written is looked at at once; what its pods do is gathered (SyncJobBatchPeriod)."""
    return world.cluster.object_observed[keys] != world.cluster.object_generation[keys]


KIND = Kind("Job", "job", pods=True, tracks=True, called=_called, manifest=MANIFEST, parts="jobindex")
#: DefaultJobApiBackOff and MaxJobApiBackOff are its back-off; the period of a batch is a second.
JOB = Controller("job", "Job", _step, base_us=SECOND, cap_us=60 * SECOND, batch_us=SECOND, prompt=_prompt)
