"""StatefulSets: pods with ordinals, made and ended one after the other (pkg/controller/statefulset).

A set's *slots* are the ordinals that it is to have; pods with other ordinals are *condemned*. Revisions are numbers of
what a pod template says; a history needs no objects, as each pod says which revision it is of.

Claims (volumeClaimTemplates) are objects of their own, made before their pods and kept or not as the set's policy says:
see kscale.controllers.common.claims. Ordinals whose claims tell them apart have templates of their own (the table
``ordinal``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from kscale.controllers.common import claims, progressing, sets
from kscale.controllers.common import statefulsets as reading
from kscale.engine.kinds import Kind
from kscale.engine.objects import FAILED, RUNNING_PHASE, SUCCEEDED, pods_of
from kscale.engine.reconcile import Controller
from kscale.engine.requests import Requests
from kscale.engine.world import World
from kscale.state.schema import Column, NewTable, bounds

Rows = np.ndarray[Any, Any]
#: Values of ``statefulset_management`` and ``statefulset_strategy``.
ORDERED_READY, PARALLEL = range(2)
ROLLING_UPDATE, ON_DELETE = range(2)

COLUMNS = {
    "statefulset": NewTable(
        "A StatefulSet.",
        (
            Column("replicas", "int64", "Pods asked for.", "pods", path="spec.replicas"),
            Column("template", "int64", "Template of its pods.", default=-1, path="spec.template"),
            Column("revision", "int64", "Number of what its template says.", path="spec.template"),
            Column("start", "int64", "Its first ordinal.", path="spec.ordinals.start"),
            Column("management", "uint8", "0 OrderedReady, 1 Parallel.", path="spec.podManagementPolicy"),
            Column("strategy", "uint8", "0 RollingUpdate, 1 OnDelete.", path="spec.updateStrategy.type"),
            Column("partition", "int64", "Slots from here on are updated.",
                   path="spec.updateStrategy.rollingUpdate.partition"),
            Column("max_unavailable", "int64", "Pods that may be unavailable during an update, or a percentage.",
                   default=1, path="spec.updateStrategy.rollingUpdate.maxUnavailable"),
            Column("max_unavailable_percent", "uint8", "1 where that is a percentage of its replicas, rounded down."),
            Column("max_unavailable_gate", "uint8", "1 where the feature gate MaxUnavailableStatefulSet is on (alpha, "
                   "and off by default in Kubernetes 1.34): without it an update waits for each pod."),
            Column("min_ready_us", "int64", "How long a pod is ready before it is available.", "us",
                   path="spec.minReadySeconds"),
            Column("claims", "int64", "Claims of each pod.", path="spec.volumeClaimTemplates"),
            Column("claim_names", "int64", "Text of the names of its claim templates, one a line.", default=-1,
                   path="spec.volumeClaimTemplates"),
            Column("when_scaled", "uint8", "Claims of condemned pods: 0 Retain, 1 Delete.",
                   path="spec.persistentVolumeClaimRetentionPolicy.whenScaled"),
            Column("when_deleted", "uint8", "Claims of its pods when it is deleted: 0 Retain, 1 Delete.",
                   path="spec.persistentVolumeClaimRetentionPolicy.whenDeleted"),
            Column("claims_owned", "uint8", "The policy that the owners of its claims follow; 2 before the first pass.",
                   default=2),
            Column("current_revision", "int64", "The revision that all its pods had last; -1 before the first pass.",
                   default=-1, path="status.currentRevision"),
            Column("current_template", "int64", "Template of that revision.", default=-1),
            Column("update_revision", "int64", "The revision that its pods are to have.", default=-1,
                   path="status.updateRevision"),
            Column("status_replicas", "int64", "Pods it has, as its status says.", "pods", default=-1,
                   path="status.replicas"),
            Column("ready_replicas", "int64", "Ready ones, as its status says.", "pods", path="status.readyReplicas"),
            Column("available_replicas", "int64", "Available ones, as its status says.", "pods",
                   path="status.availableReplicas"),
            Column("current_replicas", "int64", "Those of the current revision that are not being deleted.", "pods",
                   path="status.currentReplicas"),
            Column("updated_replicas", "int64", "Those of the update revision that are not being deleted.", "pods",
                   path="status.updatedReplicas"),
        ),
    ),
    "ordinal": NewTable(
        "An ordinal of a StatefulSet's template, of those that have templates of their own.",
        (
            Column("number", "int64", "The ordinal; a template's ascend."),
            Column("template", "int64", "Its template."),
        ),
    ),
    "template": bounds("ordinal"),
    **claims.COLUMNS,
}  # fmt: skip


@dataclass
class _Sets:
    """The sets of a pass, their slots (those of a set together, ascending) and their pods.

    Per set: ``row`` in its table, ``start``, ``replicas``, ``ordered`` (OrderedReady), ``kept`` (not being deleted),
    and what its pods have been made of so far (``current``, ``current_template``). Per pod: its ``place`` among the
    sets, whether a slot is its (``inside``), and how it is; it is ``good`` when it is Running, Ready and not being
    deleted. Per slot: ``slot_set``, its place ``index`` in its set, and ``slot_pod``, a place among the pods, -1 for
    none.
    """

    keys: Rows
    row: Rows
    start: Rows
    replicas: Rows
    ordered: Rows
    kept: Rows
    current: Rows
    current_template: Rows
    pods: Rows
    place: Rows
    inside: Rows
    ordinal: Rows
    revision: Rows
    terminating: Rows
    ended: Rows
    ready: Rows
    good: Rows
    available: Rows
    slot_set: Rows
    index: Rows
    slot_pod: Rows

    def of_slots(self, fact: Rows) -> Rows:
        """Return a fact about pods (bool) per slot; False where it has none."""
        return np.append(fact, False)[self.slot_pod]

    def first_slot(self, which: Rows) -> Rows:
        """Return, per set, the lowest of its slots among ``which`` (bool per slot); as many as there are for none."""
        first = np.full(len(self.keys), len(self.slot_set))
        found = np.flatnonzero(which)
        np.minimum.at(first, self.slot_set[found], found)
        return first


def _look(world: World, keys: Rows) -> _Sets:
    cluster = world.cluster
    row = cluster.object_row[keys]
    start, replicas = cluster.statefulset_start[row], cluster.statefulset_replicas[row]
    pods, place = pods_of(cluster, keys)
    ordinal, phase = cluster.life_number[pods], cluster.life_phase[pods]
    at = ordinal - start[place]
    inside = (at >= 0) & (at < replicas[place])
    first = np.cumsum(replicas) - replicas
    slot_set = np.repeat(np.arange(len(keys)), replicas)
    slot_pod = np.full(len(slot_set), -1)
    slot_pod[(first[place] + at)[inside]] = np.flatnonzero(inside)
    # Before its first pass, a set's current revision is the one that it asks for.
    known = cluster.statefulset_current_revision[row] >= 0
    current = np.where(known, cluster.statefulset_current_revision[row], cluster.statefulset_revision[row])
    # A pod that was there before says no revision.
    revision = np.where(cluster.life_revision[pods] < 0, current[place], cluster.life_revision[pods])
    terminating = cluster.life_deleted_us[pods] >= 0
    ready = (phase == RUNNING_PHASE) & (cluster.life_ready[pods] == 1)
    return _Sets(
        keys, row, start, replicas, cluster.statefulset_management[row] == ORDERED_READY,
        cluster.object_deleted_us[keys] < 0,
        current, np.where(known, cluster.statefulset_current_template[row], cluster.statefulset_template[row]),
        pods, place, inside, ordinal, revision, terminating,
        (phase == SUCCEEDED) | (phase == FAILED), ready, ready & ~terminating,
        ready & (cluster.life_available[pods] == 1), slot_set, np.arange(len(slot_set)) - first[slot_set], slot_pod,
    )  # fmt: skip


def _step(world: World, keys: Rows, now_us: int) -> Requests:
    """Fill slots, end condemned pods, update pods of a wrong revision, and write the status that changed."""
    cluster, requests = world.cluster, Requests()
    found = _look(world, keys)
    asked = cluster.statefulset_revision[found.row]
    fresh = np.flatnonzero(asked != cluster.statefulset_update_revision[found.row])
    # The call that makes the ControllerRevision.
    requests.update(fresh, "StatefulSet", keys[fresh], {"update_revision": asked[fresh]})
    doomed = np.zeros(len(found.pods), bool)
    on = _fill(world, found, doomed, requests)
    condemned = np.flatnonzero(~found.inside & on[found.place])
    claims.own(world, keys, on, found.pods, found.place, requests)
    claims.condemn(world, keys, found.pods[condemned], found.place[condemned], requests)
    on = _condemn(found, on, doomed)
    _update(world, found, on, doomed)
    places = np.flatnonzero(doomed)
    # Of a set, those of higher ordinals go first.
    places = places[np.lexsort((-found.ordinal[places], found.place[places]))]
    requests.delete_pods(found.place[places], found.pods[places], cluster.pod_trace_row[found.pods[places]])
    _write_status(world, found, requests)
    return requests


def _fill(world: World, found: _Sets, doomed: Rows, requests: Requests) -> Rows:
    """Make missing pods, end finished ones; return the sets (bool) for which more may be done in this pass.

    With OrderedReady, only the lowest slot is looked at whose pod is not there, available and staying.
    """
    ordered = found.ordered[found.slot_set]
    waits = ~found.of_slots(found.available & ~found.terminating)
    lowest = found.first_slot(waits)
    looked_at = (~ordered | (np.arange(len(ordered)) == lowest[found.slot_set])) & found.kept[found.slot_set]
    ended = found.of_slots(found.ended & ~found.terminating)
    doomed[found.slot_pod[looked_at & ended]] = True
    _create(world, found, np.flatnonzero(looked_at & (found.slot_pod < 0)), requests)
    return found.kept & (~found.ordered | (lowest == len(found.slot_set)))


def _create(world: World, found: _Sets, slots: Rows, requests: Requests) -> None:
    """Ask for the pods of slots: below the partition of the current revision; their claims come before them."""
    cluster, place = world.cluster, found.slot_set[slots]
    row, ordinal = found.row[place], found.start[place] + found.index[slots]
    old = (cluster.statefulset_strategy[row] == ROLLING_UPDATE) & (
        found.index[slots] < cluster.statefulset_partition[row]
    )
    template = np.where(old, found.current_template[place], cluster.statefulset_template[row])
    revision = np.where(old, found.current[place], cluster.statefulset_revision[row])
    turn = found.index[slots]
    claims.make(world, place, found.keys[place], ordinal, turn, requests)
    template = _of_ordinals(world, template, ordinal)
    requests.create_pods(place, found.keys[place], template, ordinal, revision=revision, turn=turn)


def _of_ordinals(world: World, template: Rows, ordinal: Rows) -> Rows:
    """Return the templates that pods of these ordinals go by."""
    cluster = world.cluster
    first, last = cluster.template_ordinal_first[template], cluster.template_ordinal_last[template]
    result = template.copy()
    for one in np.unique(template[last > first]).tolist():
        rows = slice(int(cluster.template_ordinal_first[one]), int(cluster.template_ordinal_last[one]))
        mine = np.flatnonzero(template == one)
        numbers = cluster.ordinal_number[rows]
        at = np.minimum(np.searchsorted(numbers, ordinal[mine]), len(numbers) - 1)
        known = numbers[at] == ordinal[mine]
        result[mine[known]] = cluster.ordinal_template[rows][at[known]]
    return result


def _condemn(found: _Sets, on: Rows, doomed: Rows) -> Rows:
    """Say which condemned pods go; return the sets for which more may be done in this pass.

    Parallel: all. OrderedReady: the highest, unless it is going; one that is not available has to be the first
    unhealthy pod of its set.
    """
    condemned = np.flatnonzero(~found.inside & on[found.place])
    condemned = condemned[np.lexsort((found.ordinal[condemned], found.place[condemned]))]
    place = found.place[condemned]
    highest = np.append(place[1:] != place[:-1], np.ones(min(len(place), 1), bool))
    unhealthy = condemned[~found.good[condemned]]
    sick, at = np.unique(found.place[unhealthy], return_index=True)
    first_unhealthy = np.full(len(found.keys), -1)
    first_unhealthy[sick] = unhealthy[at]
    may = found.available[condemned] | (condemned == first_unhealthy[place])
    goes = ~found.terminating[condemned] & (~found.ordered[place] | (highest & may))
    doomed[condemned[goes]] = True
    waits = np.zeros(len(found.keys), bool)
    waits[place] = True
    return on & ~(waits & found.ordered)


def _update(world: World, found: _Sets, on: Rows, doomed: Rows) -> None:
    """Say which pods of a wrong revision go: from the highest slot down to the partition, as many as may."""
    cluster = world.cluster
    rolling = on & (cluster.statefulset_strategy[found.row] == ROLLING_UPDATE)
    partition = cluster.statefulset_partition[found.row]
    wrong = found.of_slots(
        (found.revision != cluster.statefulset_revision[found.row][found.place]) & ~found.terminating & ~found.ended
    )
    unavailable = ~found.of_slots(found.available & ~found.terminating)
    updated = rolling[found.slot_set] & (found.index >= partition[found.slot_set])
    gate = cluster.statefulset_max_unavailable_gate[found.row] != 0
    most = np.maximum(
        sets.resolved(
            cluster.statefulset_max_unavailable[found.row], cluster.statefulset_max_unavailable_percent[found.row],
            found.replicas, up=False,
        ), 1,
    ) - np.bincount(found.slot_set, unavailable, minlength=len(found.keys)).astype(np.int64)  # fmt: skip
    # Slots from the highest down; without the gate, the first that is wrong goes, unless one above it is not available.
    down = np.flatnonzero(updated & (wrong | (unavailable & ~gate[found.slot_set])))[::-1]
    place = found.slot_set[down]
    goes = wrong[down] & (sets.ranks(place) < np.where(gate, most, 1)[place])
    doomed[found.slot_pod[down[goes]]] = True


def _write_status(world: World, found: _Sets, requests: Requests) -> None:
    cluster, row = world.cluster, found.row

    def count(which: Rows) -> Rows:
        return np.bincount(found.place[which], minlength=len(found.keys))

    asked = cluster.statefulset_revision[row]
    there, stays = count(np.ones(len(found.pods), bool)), ~found.terminating
    current = count(stays & (found.revision == found.current[found.place]))
    updated, ready = count(stays & (found.revision == asked[found.place])), count(found.ready)
    # An update is complete when all pods are there, ready and updated.
    complete = (
        (cluster.statefulset_strategy[row] == ROLLING_UPDATE) & (updated == found.replicas)
        & (ready == found.replicas) & (there == found.replicas)
    )  # fmt: skip
    values = {
        "status_replicas": there, "ready_replicas": ready, "available_replicas": count(found.available),
        "current_replicas": np.where(complete, updated, current), "updated_replicas": updated,
        "current_revision": np.where(complete, asked, found.current),
        "current_template": np.where(complete, cluster.statefulset_template[row], found.current_template),
        "object_observed": cluster.object_generation[found.keys],
    }  # fmt: skip
    changed = cluster.object_observed[found.keys] != values["object_observed"]
    for name, value in values.items():
        if not name.startswith("object_"):
            changed |= cluster.columns[f"statefulset_{name}"][row] != value
    place = np.flatnonzero(changed)
    written = {name: value[place] for name, value in values.items()}
    requests.update(place, "StatefulSet", found.keys[place], written)


STATEFUL_SET = Kind(
    "StatefulSet", "statefulset", pods=True, keeps=True, min_ready="min_ready_us", ordinals=True,
    manifest=reading.MANIFEST, progress=progressing.of_stateful_sets,
)  # fmt: skip
PERSISTENT_VOLUME_CLAIM = claims.PERSISTENT_VOLUME_CLAIM
STATEFULSET = Controller("statefulset", "StatefulSet", _step)
