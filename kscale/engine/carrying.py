"""Requests become state: what each verb does to objects and pods (see ``kscale.engine.requests``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from kscale.engine import creating, requests
from kscale.engine.kinds import CREATE, DELETE, GONE, ORPHAN_POD, THERE, TRACK, Kind
from kscale.engine.pods import GONE as POD_GONE
from kscale.engine.pods import REMOVED, UNUSED
from kscale.engine.requests import Request
from kscale.state.tables import Cluster

if TYPE_CHECKING:
    from kscale.engine.world import World

Rows = np.ndarray[Any, Any]
#: What a request says beside columns of its kind's table.
_NO_COLUMNS = ("owner", "beside", "object", "object_owner", "uid", "members_first", "members_count")
_NOBODY = np.empty(0, np.int64)


def make_room(cluster: Cluster, dimension: str, size: int) -> None:
    """Make a dimension at least so long."""
    if size > cluster.sizes[dimension]:
        cluster.resize(dimension, max(size, 2 * cluster.sizes[dimension]))


def apply(world: World, request: Request, now_us: int) -> Rows:
    """Make a request state, now, and return the places of its calls that were refused.

    What it names and is not there any more is passed over.
    """
    if request.verb == requests.EVICT_PODS:
        return _evict(world, request, now_us)
    if request.verb == requests.CREATE_PODS:
        return _create_pods(world, request, now_us)
    if request.verb in (requests.DELETE_PODS, requests.ORPHAN_PODS, requests.TRACK_PODS):
        _apply_to_pods(world, request, now_us)
    elif request.verb == requests.CREATE_OBJECTS:
        _create(world, request, now_us)
    elif request.verb == requests.DELETE_OBJECTS:
        _delete(world, request, now_us)
    else:
        _update(world, request, now_us)
    return _NOBODY


def _evict(world: World, request: Request, now_us: int) -> Rows:
    """Delete pods that may be evicted; return the places of the others."""
    cluster = world.cluster
    pods = request.columns["pod"]
    there = np.flatnonzero(
        (cluster.pod_trace_row[pods] == request.columns["serial"])
        & ~np.isin(cluster.pod_state[pods], (UNUSED, POD_GONE, REMOVED))
    )
    # What is asked twice at once is granted or refused once.
    there = there[np.unique(pods[there], return_index=True)[1]]
    there.sort()
    granted = np.ones(len(there), bool)
    for kind in world.kinds.values():
        if kind.evicts is not None:
            granted[granted] = kind.evicts(world, pods[there[granted]], now_us)
    going = request.some(there[granted])
    going.verb = requests.DELETE_PODS
    _apply_to_pods(world, going, now_us)
    return there[~granted]


def _create_pods(world: World, request: Request, now_us: int) -> Rows:
    """Create pods; return the places of those that are refused. One of an owner that is gone is passed over."""
    cluster = world.cluster
    there = cluster.object_live[request.columns["owner"]] == THERE
    refused = creating.refused(cluster, request) & there
    creating.count_refused(cluster, request, refused)
    _apply_to_pods(world, request.some(there & ~refused), now_us)
    return np.flatnonzero(refused)


def _apply_to_pods(world: World, request: Request, now_us: int) -> None:
    cluster, count = world.cluster, len(request)
    make_room(cluster, "request", count)
    verbs = {requests.CREATE_PODS: CREATE, requests.DELETE_PODS: DELETE, requests.ORPHAN_PODS: ORPHAN_POD,
             requests.TRACK_PODS: TRACK}  # fmt: skip
    cluster.request_verb[:count] = verbs[request.verb]
    for name, values in request.columns.items():
        cluster.columns[f"request_{name}"][:count] = values
    cluster.cluster_requests[0], cluster.cluster_requests_cursor[0] = count, 0
    world.carry_out(now_us)


def _create(world: World, request: Request, now_us: int) -> None:
    owner = request.columns["owner"]
    kept = (owner < 0) | (world.cluster.object_live[owner] == THERE)
    beside = request.columns.get("beside")
    if beside is not None:
        kept &= world.cluster.object_live[beside] == THERE
    request = request.some(kept)
    if len(request):
        columns = {name: values for name, values in request.columns.items() if name not in _NO_COLUMNS}
        beside = request.columns.get("beside")
        namespaces = None if beside is None else [world.namespace(one) for one in beside.tolist()]
        made = world.create(request.kind, columns, now_us, owner=request.columns["owner"], namespaces=namespaces)
        _put_members(world, request, world.kinds[request.kind], made)


def _put_members(world: World, request: Request, kind: Kind, objects: Rows) -> None:
    if "members_first" in request.columns:
        source = request.columns["members_first"], request.columns["members_count"]
        world.members.put(kind.table, kind.members, world.cluster.object_row[objects], source, request.members)


def _delete(world: World, request: Request, now_us: int) -> None:
    cluster = world.cluster
    objects = request.columns["object"]
    there = (cluster.object_uid[objects] == request.columns["uid"]) & (cluster.object_live[objects] == THERE)
    objects, policy = objects[there], request.columns["policy"][there]
    waits = policy > 0
    cluster.object_finalizer[objects[waits]] = policy[waits]
    fresh = objects[waits][cluster.object_deleted_us[objects[waits]] < 0]
    cluster.object_deleted_us[fresh] = now_us
    gone = objects[~waits]
    cluster.object_deleted_us[gone] = np.where(
        cluster.object_deleted_us[gone] < 0, now_us, cluster.object_deleted_us[gone]
    )
    cluster.object_live[gone] = GONE
    for code in np.unique(cluster.object_kind[gone]).tolist():
        world.versions[world.kind_by_code(code).name] += 1
    world.note(objects, now_us)


def _update(world: World, request: Request, now_us: int) -> None:
    cluster = world.cluster
    kind, _, spec = request.kind.partition(".")
    objects = request.columns["object"]
    there = cluster.object_live[objects] == THERE
    if "uid" in request.columns:
        there &= cluster.object_uid[objects] == request.columns["uid"]
    table = world.kinds[kind].table
    for name in [name for name in request.columns if name.startswith(requests.GIVEN)]:
        column = cluster.columns[f"{table}_{name.removeprefix(requests.GIVEN)}"]
        there &= column[cluster.object_row[objects]] == request.columns[name]
    objects = objects[there]
    if "part" in request.columns:
        world.parts_of(kind).write(cluster.object_row[objects], {n: v[there] for n, v in request.columns.items()})
        return
    if "object_owner" in request.columns:
        world.note(objects, now_us)
        world.disown(objects)
        owners = request.columns["object_owner"][there]
        world.own(objects, owners)
    _put_members(world, request.some(there), world.kinds[kind], objects)
    for name, values in request.columns.items():
        if name in _NO_COLUMNS or name.startswith(requests.GIVEN):
            continue
        rows = objects if name.startswith("object_") else cluster.object_row[objects]
        full = name if name.startswith("object_") else f"{table}_{name}"
        world.write(full, rows, values[there])
    if spec:
        world.fit_parts(kind, objects)
        world.versions[kind] += 1
        cluster.object_generation[objects] += 1
    world.note(objects, now_us)
