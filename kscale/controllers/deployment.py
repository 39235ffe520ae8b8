"""Deployments: ReplicaSets of one template after another (pkg/controller/deployment).

A pass does for each Deployment what one sync of Kubernetes' controller does, one step in one direction; what it
changes brings the Deployment back. It decides by what ReplicaSets' specs and statuses say, not by pods.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from kscale.controllers.common import progress, progressing, rollout
from kscale.controllers.common.family import RECREATE, Family
from kscale.controllers.common.progress import Progress
from kscale.controllers.common.replicated import DeploymentManifest, take_deployment
from kscale.engine.kinds import Kind
from kscale.engine.pods import GONE, REMOVED
from kscale.engine.reconcile import Controller
from kscale.engine.requests import Requests
from kscale.engine.world import World
from kscale.state.manifests.workloads import Manifest
from kscale.state.schema import Column, NewTable

Rows = np.ndarray[Any, Any]

COLUMNS = {
    "deployment": NewTable(
        "A Deployment.",
        (
            Column("replicas", "int64", "Pods asked for.", "pods", path="spec.replicas"),
            Column("template", "int64", "Template of its pods.", default=-1, path="spec.template"),
            Column("content", "int64", "What its template says, whatever its hash label.", default=-1),
            Column("min_ready_us", "int64", "How long a pod is ready before it is available.", "us",
                   path="spec.minReadySeconds"),
            Column("strategy", "uint8", "RollingUpdate, Recreate.", path="spec.strategy.type"),
            Column("surge", "int64", "Pods on top during a rolling update.", "pods or percent", default=25,
                   path="spec.strategy.rollingUpdate.maxSurge"),
            Column("surge_percent", "uint8", "1 where that is a percentage of its replicas, rounded up.", default=1),
            Column("unavailable", "int64", "Pods that may be missing then.", "pods or percent", default=25,
                   path="spec.strategy.rollingUpdate.maxUnavailable"),
            Column("unavailable_percent", "uint8", "1 where that is a percentage of its replicas, rounded down.",
                   default=1),
            Column("history_limit", "int64", "Old ReplicaSets that are kept for a rollback; -1 is all.", default=10,
                   path="spec.revisionHistoryLimit"),
            Column("deadline_us", "int64", "How long a rollout may stand still; -1 is for ever.", "us",
                   default=600_000_000, path="spec.progressDeadlineSeconds"),
            Column("paused", "uint8", "1 while it only scales.", path="spec.paused"),
            Column("rollback_to", "int64", "Revision to go back to, 0 is the last but one; -1 is none.", default=-1,
                   path="metadata.annotations['deprecated.deployment.rollback.to']"),
            Column("revision", "int64", "Revision of its template.",
                   path="metadata.annotations['deployment.kubernetes.io/revision']"),
            Column("status_replicas", "int64", "Pods of its ReplicaSets, as its status says.", "pods",
                   path="status.replicas"),
            Column("updated_replicas", "int64", "Those of its template.", "pods", path="status.updatedReplicas"),
            Column("ready_replicas", "int64", "Those that are ready.", "pods", path="status.readyReplicas"),
            Column("available_replicas", "int64", "Those that are available.", "pods",
                   path="status.availableReplicas"),
            Column("unavailable_replicas", "int64", "How many more its ReplicaSets ask for than are available.",
                   "pods", path="status.unavailableReplicas"),
            Column("progressing", "uint8", f"Condition Progressing: none, {', '.join(progress.PROGRESSING[1:])}.",
                   path="status.conditions"),
            Column("progressing_us", "int64", "When that condition was updated last.", "us"),
            Column("availability", "uint8", f"Condition Available: none, {', '.join(progress.AVAILABILITY[1:])}.",
                   path="status.conditions"),
            Column("availability_us", "int64", "When that condition was updated last.", "us"),
            Column("replica_failure", "uint8", "1 with the condition ReplicaFailure, as one of its ReplicaSets has it.",
                   path="status.conditions"),
        ),
    ),
}  # fmt: skip


def keys_of(world: World, objects: Rows, pods: Rows) -> Rows:
    """Return the Deployments that changed, or one of whose ReplicaSets was written.

    One that recreates its pods also waits for those that are being deleted, of which no ReplicaSet's status tells.
    """
    cluster = world.cluster
    owners = cluster.life_owner[pods[np.isin(cluster.pod_state[pods], (GONE, REMOVED))]]
    owners = world.of_kind(np.unique(owners[owners >= 0]), "ReplicaSet")
    tops = cluster.object_owner[owners]
    tops = world.of_kind(np.unique(tops[tops >= 0]), "Deployment")
    waiting = tops[cluster.deployment_strategy[cluster.object_row[tops]] == RECREATE]
    return np.union1d(world.of_kind(objects, "Deployment"), waiting)


@dataclass
class _Pass:
    """A pass at work.

    Attributes:
        created: pods asked for of the ReplicaSets that it makes; -1 where it makes none.
        revision: of each Deployment's new ReplicaSet, as it will be.
    """

    family: Family
    progress: Progress
    requests: Requests
    created: Rows
    revision: Rows

    def resize(self, sets: Rows, size: Rows, *, spec: bool = True) -> None:
        """Ask for ReplicaSets (places) to be asked for so many pods; ``spec`` False writes annotations only."""
        family = self.family
        place = family.place[sets]
        wanted = family.of("replicas")[place]
        columns = {"replicas": size, "desired": wanted, "most": wanted + family.surge[place]}
        self.requests.update(place, "ReplicaSet", family.sets[sets], columns, spec=spec)

    def resize_changed(self, which: Rows, size: Rows) -> None:
        """Ask for the ReplicaSets of a mask to be asked for ``size`` pods (a row each), where that is a change."""
        sets = np.flatnonzero(which & (size != self.family.asked))
        self.resize(sets, size[sets])


def step(world: World, keys: Rows, now_us: int) -> Requests:
    """Do one step of each Deployment's rollout."""
    requests = Requests()
    family = Family(world, keys)
    work = _Pass(family, Progress(family, now_us), requests, np.full(len(keys), -1), np.zeros(len(keys), np.int64))
    kept, paused = world.cluster.object_deleted_us[keys] < 0, family.of("paused") != 0
    work.progress.note_pause(kept, paused)
    active = family.asked > 0
    # A ReplicaSet with pods that was scaled for other replicas than are asked for now tells that these changed.
    desired = family.of_sets("desired")
    stale = active & (desired >= 0) & (desired != family.of("replicas")[family.place])
    running = kept & ~paused
    back = running & (family.of("rollback_to") >= 0)
    scaling = running & ~back & (family.total(stale.astype(np.int64)) > 0)
    rolls = running & ~back & ~scaling
    rolling, recreate = rolls & family.rolling, rolls & ~family.rolling
    emptied = recreate & (family.total(active, ~family.is_new) == 0)
    free = emptied & (family.total(family.replicas, ~family.is_new) == 0) & (family.pods_of_old() == 0)
    _sync_revision(work, back | rolling | free)
    _roll_back(work, back)
    _scale(work, scaling | (kept & paused))
    settled = _roll(work, rolling)
    work.resize_changed(recreate[family.place] & ~family.is_new, np.zeros(len(family.sets), np.int64))
    work.resize_changed(free[family.place] & family.is_new, family.of("replicas")[family.place])
    _clean_up(work, (kept & paused) | ((settled | free) & work.progress.was_complete()))
    work.progress.count(~back, np.maximum(work.created, 0))
    work.progress.judge(rolls)
    work.progress.write(rolls, requests)
    return requests


def _sync_revision(work: _Pass, creates: Rows) -> None:
    """Give new ReplicaSets the highest revision, and make those that ``creates`` Deployments miss."""
    family, said = work.family, work.progress
    there = family.new >= 0
    revision, ready = family.of_sets("revision"), family.of("min_ready_us")
    highest = np.zeros(len(family), np.int64)
    np.maximum.at(highest, family.place[~family.is_new], revision[~family.is_new])
    before = family.of_new(revision)
    work.revision = np.maximum(before, highest + 1)
    rises = there & (work.revision > before)
    differs = there & (family.of_new(family.of_sets("min_ready_us")) != ready)
    for which, spec in ((rises & ~differs, False), (differs, True)):
        place = np.flatnonzero(which)
        columns = {"revision": work.revision[place]}
        if spec:
            columns |= {"min_ready_us": ready[place], "object_min_ready_us": ready[place]}
        work.requests.update(place, "ReplicaSet", family.sets[family.new[place]], columns, spec=spec)
    missing, plain = creates & ~there, there & ~rises & ~differs
    _create(work, np.flatnonzero(missing))
    said.new["revision"] = np.where(plain | missing, work.revision, said.new["revision"])
    watched = said.deadline_us >= 0
    said.say(plain & watched & (said.reason == progress.NONE), progress.FOUND_NEW_REPLICA_SET)
    said.say(missing & watched, progress.NEW_REPLICA_SET_CREATED)


def _create(work: _Pass, place: Rows) -> None:
    family, wanted = work.family, work.family.of("replicas")[place]
    total, surge = family.total(family.asked)[place], family.surge[place]
    size = rollout.new_replicas(wanted, surge, total, np.zeros(len(place), np.int64), family.rolling[place])
    columns = {name: family.of(name)[place] for name in ("template", "content", "min_ready_us")}
    columns |= {"replicas": size, "revision": work.revision[place], "desired": wanted, "most": wanted + surge}
    work.requests.create_objects(place, "ReplicaSet", family.keys[place], columns)
    work.created[place] = size


def _roll_back(work: _Pass, back: Rows) -> None:
    """Give Deployments the template of the revision that they are to go back to; where there is none, nothing."""
    family = work.family
    if not back.any():
        return
    revision = family.of_sets("revision")
    revision[family.new[family.new >= 0]] = work.revision[family.new >= 0]
    fresh = np.flatnonzero(work.created >= 0)
    numbers, place = np.append(revision, work.revision[fresh]), np.append(family.place, fresh)
    order = np.lexsort((-numbers, place))
    second = np.zeros(len(family), np.int64)
    is_second = np.arange(len(order)) - np.searchsorted(place[order], place[order]) == 1
    second[place[order][is_second]] = numbers[order][is_second]
    asked = family.of("rollback_to")
    target = np.where(asked == 0, second, asked)
    matches = np.flatnonzero((revision == target[family.place]) & (revision > 0))
    # Where two have one revision, it is the older one, the new ReplicaSet last.
    matches = matches[np.argsort(family.is_new[matches], kind="stable")]
    chosen = np.full(len(family), -1)
    chosen[family.place[matches][::-1]] = matches[::-1]
    differs = back & (chosen >= 0) & (np.append(family.of_sets("content"), -1)[chosen] != family.of("content"))
    place = np.flatnonzero(differs)
    content = {name: family.of_sets(name)[chosen[place]] for name in ("template", "content")}
    cleared = {"rollback_to": np.full(len(place), -1), **content}
    work.requests.update(place, "Deployment", family.keys[place], cleared, spec=True)
    place = np.flatnonzero(back & ~differs)
    work.requests.update(place, "Deployment", family.keys[place], {"rollback_to": np.full(len(place), -1)})


def _scale(work: _Pass, scaled: Rows) -> None:
    """Scale Deployments that are paused, or asked for other replicas: in proportion, where more than one has pods."""
    family, place = work.family, work.family.place
    if not scaled.any():
        return
    wanted, active = family.of("replicas"), family.asked > 0
    actives = family.total(active.astype(np.int64))
    # The only one with pods; where none has any, the new one, or else the youngest.
    only = np.full(len(family), -1)
    only[place] = np.arange(len(place))
    only = np.where(family.new >= 0, family.new, only)
    only[place[active]] = np.flatnonzero(active)
    single = np.zeros(len(place), bool)
    single[only[scaled & (actives <= 1) & (only >= 0)]] = True
    work.resize_changed(single, wanted[place])
    several = scaled & (actives > 1)
    saturated = several & (family.new >= 0)
    for values in (family.asked, family.of_sets("desired"), family.available):
        saturated &= family.of_new(values) == wanted
    work.resize_changed(saturated[place] & active & ~family.is_new, np.zeros(len(place), np.int64))
    _scale_in_proportion(work, np.flatnonzero(active & (several & ~saturated & family.rolling)[place]))


def _scale_in_proportion(work: _Pass, sets: Rows) -> None:
    family = work.family
    place, asked, wanted = family.place[sets], family.asked[sets], family.of("replicas")
    most = family.of_sets("most")[sets]
    allowed = np.where(wanted > 0, wanted + family.surge, 0)
    to_add = allowed - rollout.sums(asked, place, len(family))
    status = family.of("status_replicas")
    fractions = rollout.fraction(asked, most, wanted[place], family.surge[place], status[place])
    size = rollout.proportional(place, asked, fractions, to_add)
    moved = size != asked
    work.resize(sets[moved], size[moved])
    noted = ~moved & ((family.of_sets("desired")[sets] != wanted[place]) | (most != (wanted + family.surge)[place]))
    work.resize(sets[noted], size[noted], spec=False)


def _roll(work: _Pass, rolling: Rows) -> Rows:
    """Do one step of rolling updates, up or down; return which Deployments (bool) had none to do."""
    family, place = work.family, work.family.place
    wanted, old = family.of("replicas"), ~family.is_new
    total = family.total(family.asked) + np.maximum(work.created, 0)
    new = np.where(work.created >= 0, work.created, family.of_new(family.asked))
    size = rollout.reconcile_new(wanted, family.surge, total, new)
    up = rolling & (family.new >= 0) & (size != new)
    work.resize_changed(up[place] & family.is_new, size[place])
    least = wanted - family.unavailable
    # New pods that are not available count as missing, or a broken template would take all of the old ones.
    spare = total - least - (new - family.of_new(family.available))
    down = rolling & ~up & (family.total(family.asked, old) > 0) & (spare > 0)
    sets = np.flatnonzero(old & (family.asked > 0) & down[place])
    of, asked = place[sets], family.asked[sets]
    broken, gave_up = rollout.clean_unhealthy(of, asked, family.available[sets], np.where(down, spare, 0))
    left = asked - broken
    above = np.where(down & ~gave_up, np.maximum(family.total(family.available) - least, 0), 0)
    surplus = rollout.scale_down(of, left, above)
    for taken, after in ((broken, left), (surplus, left - surplus)):
        work.resize(sets[taken > 0], after[taken > 0])
    moved = rollout.sums(broken + surplus, of, len(family)) > 0
    return rolling & ~up & ~(moved & ~gave_up)


def _clean_up(work: _Pass, which: Rows) -> None:
    """Delete the oldest revisions beyond what is kept, those without pods."""
    family, cluster = work.family, work.family.cluster
    sets = np.flatnonzero((~family.is_new & (cluster.object_deleted_us[family.sets] < 0)) & which[family.place])
    past = rollout.past_history(family.place[sets], family.of_sets("revision")[sets], family.of("history_limit"))
    sets = sets[past]
    objects = family.sets[sets]
    empty = (family.asked[sets] == 0) & (family.replicas[sets] == 0)
    empty &= cluster.object_observed[objects] >= cluster.object_generation[objects]
    sets, objects = sets[empty], objects[empty]
    work.requests.delete_objects(family.place[sets], objects, cluster.object_uid[objects])


DEPLOYMENT = Kind(
    "Deployment",
    "deployment",
    manifest=Manifest(("apps", "extensions"), DeploymentManifest, take_deployment, ("template",)),
    progress=progressing.of_deployments,
)
CONTROLLER = Controller("deployment", "Deployment", step, keys_of)
