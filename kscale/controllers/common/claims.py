"""Claims of StatefulSets' pods: made before their pods, and owned as the sets' retention policies say.

Rules: pkg/controller/statefulset of Kubernetes v1.34.1 (stateful_pod_control.go, stateful_set_utils.go). With
whenDeleted Delete a claim is the set's own, with whenScaled Delete it is that of its pod once that is condemned; the
garbage collector takes what is owned. Claims are found by their names, whoever made them.

What a claim is bound to is the scheduler's business (kscale.scheduler.plugins.volume_binding); its volume goes with it.
The finalizer kubernetes.io/pvc-protection is not modelled: a claim that is deleted is gone while its pod ends.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from kscale.engine.kinds import THERE, Kind
from kscale.engine.pods import EVICTED, GONE, REMOVED, UNUSED
from kscale.engine.requests import Requests
from kscale.engine.world import World
from kscale.state.manifests import others
from kscale.state.manifests.workloads import Manifest, Taking
from kscale.state.schema import Column, NewTable

Rows = np.ndarray[Any, Any]
CLAIM = "PersistentVolumeClaim"
#: Values of ``statefulset_when_scaled`` and ``statefulset_when_deleted``.
RETAIN, DELETE = range(2)

COLUMNS = {
    "persistentvolumeclaim": NewTable(
        "A PersistentVolumeClaim.",
        (
            Column("set", "int64", "The StatefulSet that makes it; -1 for none.", default=-1),
            Column("slot", "int64", "Which of the set's claim templates it is of."),
            Column("ordinal", "int64", "Ordinal of its pod."),
            Column("pod", "int64", "The pod that it is of (whenScaled Delete): it goes with that; -1 for none.",
                   default=-1),
            Column("serial", "int64", "Place of that pod in the order of arrival.", default=-1),
        ),
    ),
}  # fmt: skip


def claim_name(template: str, owner: str, ordinal: int) -> str:
    """Return what the claim of a StatefulSet's pod is called (getPersistentVolumeClaimName)."""
    return f"{template}-{owner}-{ordinal}"


def claim_names(world: World, object_: int) -> list[str]:
    """Return the names of a StatefulSet's claim templates."""
    row = int(world.cluster.object_row[object_])
    handle = int(world.cluster.statefulset_claim_names[row])
    return world.texts[handle].split("\n") if handle >= 0 else []


def of_lost_pods(world: World) -> Rows:
    """Return the claims that are of a pod which is not there any more."""
    cluster = world.cluster
    rows = np.flatnonzero(cluster.persistentvolumeclaim_pod >= 0)
    pods, serials = cluster.persistentvolumeclaim_pod[rows], cluster.persistentvolumeclaim_serial[rows]
    there = (cluster.pod_trace_row[pods] == serials) & ~np.isin(
        cluster.pod_state[pods], (UNUSED, GONE, REMOVED, EVICTED)
    )
    if there.all():
        return rows[:0]
    objects = world.all_of(CLAIM)
    objects = objects[cluster.object_live[objects] == THERE]
    return objects[np.isin(cluster.object_row[objects], rows[~there])]


def look_up(world: World, sets: Rows, ordinals: Rows) -> tuple[Rows, Rows, Rows]:
    """Return the claims of pods, pod by pod: whose each is (a place), of which template, and its object; -1 for none.

    Args:
        sets: the StatefulSet of each pod.
        ordinals: of each pod.
    """
    cluster = world.cluster
    counts = cluster.statefulset_claims[cluster.object_row[sets]]
    at = np.repeat(np.arange(len(sets)), counts)
    slot = np.arange(len(at)) - (np.cumsum(counts) - counts)[at]
    about = {one: (world.namespace(one), world.name(one), claim_names(world, one)) for one in np.unique(sets).tolist()}
    found = [
        world.find(CLAIM, about[one][0], claim_name(about[one][2][which], about[one][1], ordinal))
        for one, which, ordinal in zip(sets[at].tolist(), slot.tolist(), ordinals[at].tolist(), strict=True)
    ]
    return at, slot, np.array(found, np.int64)


def make(world: World, place: Rows, sets: Rows, ordinals: Rows, turn: Rows, requests: Requests) -> None:
    """Ask for the claims that pods have not, and for the right owners of those that are there.

    ``place``: of the pods' keys; ``turn``: when the calls for each pod come.
    """
    cluster = world.cluster
    at, slot, claims = look_up(world, sets, ordinals)
    owned = cluster.statefulset_when_deleted[cluster.object_row[sets[at]]] == DELETE
    owner = np.where(owned, sets[at], -1)
    _hand_over(world, place[at], claims, owner, requests)
    new = np.flatnonzero(claims < 0)
    at, columns = at[new], {"set": sets[at[new]], "slot": slot[new], "ordinal": ordinals[at[new]]}
    requests.create_objects(place[at], CLAIM, owner[new], columns, beside=columns["set"], turn=turn[at])


def _hand_over(world: World, place: Rows, claims: Rows, owner: Rows, requests: Requests) -> None:
    """Ask for the owners (-1 for nobody) of those claims that are there and have another."""
    wrong = np.flatnonzero((claims >= 0) & (world.cluster.object_owner[claims] != owner))
    values = {"object_owner": owner[wrong], "object_blocks": (owner[wrong] >= 0).astype(np.int64)}
    requests.update(place[wrong], CLAIM, claims[wrong], values)


def own(world: World, keys: Rows, on: Rows, pods: Rows, place: Rows, requests: Requests) -> None:
    """Ask for the claims of ``pods`` to be their sets' own or nobody's, in sets where that may be otherwise.

    ``place``: of each pod's set among ``keys``; ``on``: the sets (bool) that are looked at. A set that was read, or
    whose policy changed, is looked at once: pods that come later see to their claims when they are made.
    """
    cluster = world.cluster
    row = cluster.object_row[keys]
    wanted = cluster.statefulset_when_deleted[row]
    turned = on & (cluster.statefulset_claims[row] > 0) & (cluster.statefulset_claims_owned[row] != wanted)
    pods, place = pods[turned[place]], place[turned[place]]
    at, _, claims = look_up(world, keys[place], cluster.life_number[pods])
    owner = np.where(wanted[place[at]] == DELETE, keys[place[at]], -1)
    _hand_over(world, place[at], claims, owner, requests)
    done = np.flatnonzero(turned)
    # A note of its own, which is no call.
    requests.update(done, "StatefulSet", keys[done], {"claims_owned": wanted[done]}, cost=0)


def condemn(world: World, keys: Rows, pods: Rows, place: Rows, requests: Requests) -> None:
    """Ask for the claims of condemned ``pods`` to go with them, where their sets say so."""
    cluster = world.cluster
    drops = cluster.statefulset_when_scaled[cluster.object_row[keys]] == DELETE
    pods, place = pods[drops[place]], place[drops[place]]
    at, _, claims = look_up(world, keys[place], cluster.life_number[pods])
    serial, row = cluster.pod_trace_row[pods], cluster.object_row[claims]
    other = cluster.persistentvolumeclaim_pod[row] != pods[at]
    other |= cluster.persistentvolumeclaim_serial[row] != serial[at]
    wrong = np.flatnonzero((claims >= 0) & other)
    values = {"pod": pods[at[wrong]], "serial": serial[at[wrong]]}
    requests.update(place[at[wrong]], CLAIM, claims[wrong], values)


def _called(world: World, objects: Rows) -> list[str]:
    cluster = world.cluster
    rows = cluster.object_row[objects]
    found = []
    columns = (cluster.persistentvolumeclaim_set, cluster.persistentvolumeclaim_slot)
    sets, slots = (column[rows].tolist() for column in columns)
    for one, slot, ordinal in zip(sets, slots, cluster.persistentvolumeclaim_ordinal[rows].tolist(), strict=True):
        found.append(claim_name(claim_names(world, one)[slot], world.name(one), ordinal))
    return found


def _take(taking: Taking, found: others.PersistentVolumeClaim) -> dict[str, Any]:
    return {"set": -1}


PERSISTENT_VOLUME_CLAIM = Kind(
    "PersistentVolumeClaim", "persistentvolumeclaim", called=_called, by_name=True,
    manifest=Manifest(("",), others.PersistentVolumeClaim, _take),
)  # fmt: skip
