"""What the status of Deployments says: counts, and the conditions Progressing and Available."""

from __future__ import annotations

from typing import Any

import numpy as np

from kscale.controllers.common.family import Family
from kscale.engine.requests import SECOND, Requests

Rows = np.ndarray[Any, Any]
#: Reasons of the condition Progressing, as ``deployment_progressing`` has them; 0 where the condition is missing.
PROGRESSING = (
    "", "NewReplicaSetCreated", "FoundNewReplicaSet", "ReplicaSetUpdated", "NewReplicaSetAvailable",
    "ProgressDeadlineExceeded", "DeploymentPaused", "DeploymentResumed",
)  # fmt: skip
(
    NONE, NEW_REPLICA_SET_CREATED, FOUND_NEW_REPLICA_SET, REPLICA_SET_UPDATED, NEW_REPLICA_SET_AVAILABLE,
    PROGRESS_DEADLINE_EXCEEDED, DEPLOYMENT_PAUSED, DEPLOYMENT_RESUMED,
) = range(8)  # fmt: skip
#: Reasons of the condition Available, as ``deployment_availability`` has them.
AVAILABILITY = ("", "MinimumReplicasAvailable", "MinimumReplicasUnavailable")
MINIMUM_REPLICAS_AVAILABLE, MINIMUM_REPLICAS_UNAVAILABLE = 1, 2
_COUNTS = ("status_replicas", "updated_replicas", "ready_replicas", "available_replicas", "unavailable_replicas")
_CONDITIONS = ("progressing", "progressing_us", "availability", "availability_us", "revision", "replica_failure")


class Progress:
    """The status of Deployments while a pass works on it: what stands there (``old``), and what is to (``new``).

    Both hold columns by name. All that a pass changes is written in one call, where Kubernetes may need two or three
    (the second of which then fails, as the first has made its copy stale).
    """

    def __init__(self, family: Family, now_us: int) -> None:
        self.family, self.now_us = family, now_us
        cluster, keys = family.cluster, family.keys
        self.old = {name: family.of(name) for name in (*_COUNTS, *_CONDITIONS)}
        self.old["object_observed"] = cluster.object_observed[keys]
        self.new = {name: values.copy() for name, values in self.old.items()}
        self.generation = cluster.object_generation[keys]
        self.wanted, self.deadline_us = family.of("replicas"), family.of("deadline_us")

    @property
    def reason(self) -> Rows:
        """Reasons of the condition Progressing, as they stand now."""
        return self.new["progressing"]

    def say(self, which: Rows, reason: int) -> None:
        """Give the condition Progressing a reason; where it has that reason, nothing changes, its time included."""
        fresh = which & (self.reason != reason)
        self.new["progressing"][fresh], self.new["progressing_us"][fresh] = reason, self.now_us

    def note_pause(self, kept: Rows, paused: Rows) -> None:
        """Say of ``kept`` Deployments that they were paused or resumed; one that has timed out stays so."""
        watched = kept & (self.deadline_us >= 0) & (self.reason != PROGRESS_DEADLINE_EXCEEDED)
        resumed = watched & ~paused & (self.reason == DEPLOYMENT_PAUSED)
        self.say(watched & paused, DEPLOYMENT_PAUSED)
        self.say(resumed, DEPLOYMENT_RESUMED)

    def was_complete(self) -> Rows:
        """Return which Deployments their status, as it stands, calls complete."""
        return self._complete(self.old)

    def count(self, which: Rows, created: Rows) -> None:
        """Count pods of ``which`` Deployments; ``created`` are those asked for of ReplicaSets that are made now."""
        family = self.family
        available = family.total(family.available)
        counts = {
            "status_replicas": family.total(family.replicas),
            "updated_replicas": family.of_new(family.replicas),
            "ready_replicas": family.total(family.ready),
            "available_replicas": available,
            "unavailable_replicas": np.maximum(family.total(family.asked) + created - available, 0),
            "object_observed": self.generation,
        }
        for name, values in counts.items():
            self.new[name] = np.where(which, values, self.new[name])
        enough = available >= self.wanted - family.unavailable
        reason = np.where(enough, MINIMUM_REPLICAS_AVAILABLE, MINIMUM_REPLICAS_UNAVAILABLE)
        fresh = which & (self.new["availability"] != reason)
        self.new["availability"][fresh], self.new["availability_us"][fresh] = reason[fresh], self.now_us

    def judge(self, rollout: Rows) -> None:
        """Say how rollouts get on, after their pods were counted."""
        failing = self.family.total(self.family.of_sets("replica_failure").astype(np.int64)) > 0
        self.new["replica_failure"] = np.where(rollout, failing, self.new["replica_failure"])
        self.new["progressing"][rollout & (self.deadline_us < 0)] = NONE
        done = (self.new["status_replicas"] == self.new["updated_replicas"]) & (
            self.reason == NEW_REPLICA_SET_AVAILABLE
        )
        open_ = rollout & (self.deadline_us >= 0) & ~done
        complete = self._complete(self.new)
        moving = self._moved() & ~complete
        late = (self.new["progressing_us"] + self.deadline_us < self.now_us) & ~complete & ~moving
        late &= (self.reason != NONE) & (self.reason != NEW_REPLICA_SET_AVAILABLE)
        self.say(open_ & complete, NEW_REPLICA_SET_AVAILABLE)
        self.new["progressing"][open_ & moving] = REPLICA_SET_UPDATED
        self.new["progressing_us"][open_ & moving] = self.now_us
        self.say(open_ & late, PROGRESS_DEADLINE_EXCEEDED)

    def write(self, rollout: Rows, requests: Requests) -> None:
        """Ask for what changed to be written; rollouts that are as they were come again after their deadline."""
        changed = np.zeros(len(self.family), bool)
        for name, values in self.new.items():
            changed |= values != self.old[name]
        place = np.flatnonzero(changed)
        written = {name: values[place] for name, values in self.new.items()}
        requests.update(place, "Deployment", self.family.keys[place], written)
        # Of a rollout that is over, a later fall is not judged by the deadline any more.
        timed = ~np.isin(self.reason, (NONE, NEW_REPLICA_SET_AVAILABLE, PROGRESS_DEADLINE_EXCEEDED))
        waits = np.flatnonzero(rollout & ~changed & timed & (self.deadline_us >= 0) & ~self._complete(self.new))
        requests.again(waits, self.new["progressing_us"][waits] + self.deadline_us[waits] + SECOND)

    def _moved(self) -> Rows:
        """Return whose counts are nearer to the end than their status said."""
        old, new = self.old, self.new
        left_before = old["status_replicas"] - old["updated_replicas"]
        moved: Rows = new["status_replicas"] - new["updated_replicas"] < left_before
        for name in ("updated_replicas", "ready_replicas", "available_replicas"):
            moved |= new[name] > old[name]
        return moved

    def _complete(self, status: dict[str, Rows]) -> Rows:
        complete: Rows = status["object_observed"] >= self.generation
        for name in ("updated_replicas", "status_replicas", "available_replicas"):
            complete = complete & (status[name] == self.wanted)
        return complete
