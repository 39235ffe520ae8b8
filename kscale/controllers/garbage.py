"""The garbage collector: what becomes of objects and pods whose owner is deleted (pkg/controller/garbagecollector).

An object that is gone takes its dependents with it, in the background. One that is deleted in the foreground waits for
the dependents that block it; one that is deleted with the policy Orphan waits until they have no owner any more. Each
object or pod that is collected or orphaned costs two calls: it is read before it is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from kscale.controllers.common.claims import of_lost_pods
from kscale.engine.kinds import GONE, THERE
from kscale.engine.objects import FOREGROUND, NO_FINALIZER, ORPHAN, pods_of
from kscale.engine.reconcile import Controller
from kscale.engine.requests import Requests
from kscale.engine.world import World
from kscale.errors import InputError
from kscale.state.manifests.workloads import Made

Rows = np.ndarray[Any, Any]
#: Calls for each object: a live GET, and the DELETE or PATCH.
CALLS = 2
#: What a DELETE without a policy leaves to do, by kind: of all others, dependents are collected in the background.
#: kubectl always says what it wants: background, unless told otherwise.
DEFAULT_POLICY = {"Job": ORPHAN}


def default_policy(kind: str) -> int:
    """Return the finalizer that a bare DELETE of an object of this kind sets (kscale.engine.objects)."""
    return DEFAULT_POLICY.get(kind, NO_FINALIZER)


def _keys(world: World, objects: Rows, pods: Rows) -> Rows:
    """Those that are gone or being deleted; what changes notes its owner too. And claims whose pods are gone."""
    cluster = world.cluster
    live = cluster.object_live[objects]
    keys = objects[(live == GONE) | ((live == THERE) & (cluster.object_deleted_us[objects] >= 0))]
    return np.union1d(keys, of_lost_pods(world))


def _step(world: World, keys: Rows, now_us: int) -> Requests:
    """Collect the dependents of what is gone or waits for them, and let go what waits for nothing any more."""
    cluster, requests = world.cluster, Requests()
    gone = cluster.object_live[keys] == GONE
    waits = (cluster.object_live[keys] == THERE) & (cluster.object_deleted_us[keys] >= 0)
    foreground = waits & (cluster.object_finalizer[keys] == FOREGROUND)
    orphaning = waits & (cluster.object_finalizer[keys] == ORPHAN)
    objects, of = _dependents(world, keys, gone | foreground | orphaning)
    counted = cluster.object_blocks[objects] != 0
    _orphan(world, keys, objects, of, orphaning, requests)
    _collect(world, keys, objects, of, gone, foreground, requests)
    lost = np.flatnonzero(np.isin(keys, of_lost_pods(world)))
    requests.delete_objects(lost, keys[lost], cluster.object_uid[keys[lost]], cost=CALLS)
    blocking = np.bincount(of[counted], minlength=len(keys)) > 0
    blocking |= _blocks_with_pods(world, keys)
    all_ = (np.bincount(of, minlength=len(keys)) > 0) | (cluster.object_pods[keys] > 0)
    free = np.flatnonzero((foreground & ~blocking) | (orphaning & ~all_))
    requests.delete_objects(free, keys[free], cluster.object_uid[keys[free]], cost=CALLS)
    return requests


def _says(world: World, objects: Rows, flag: str) -> Rows:
    """Return what the kinds of objects say."""
    by_code = np.array([getattr(world.kinds[name], flag) for name in sorted(world.kinds)], bool)
    return by_code[world.cluster.object_kind[objects]]


def _dependents(world: World, keys: Rows, which: Rows) -> tuple[Rows, Rows]:
    """Return the objects of these ``keys`` that are there and are the collector's, with places in ``keys``."""
    chosen = np.flatnonzero(which)
    objects, of = world.dependents_of(keys[chosen])
    good = world.cluster.object_live[objects] == THERE
    good &= _says(world, objects, "collected")
    return objects[good], chosen[of[good]]


def _pods(world: World, keys: Rows, which: Rows) -> tuple[Rows, Rows]:
    """Return the pods of these ``keys`` whose deletion was not asked for, with places in ``keys``."""
    cluster = world.cluster
    chosen = np.flatnonzero(which & (cluster.object_pods[keys] > cluster.object_terminating[keys]))
    pods, of = pods_of(cluster, keys[chosen])
    left = cluster.life_deleted_us[pods] < 0
    return pods[left], chosen[of[left]]


def _blocks_with_pods(world: World, keys: Rows) -> Rows:
    """Tell which keys have pods that hold up their foreground deletion."""
    return _says(world, keys, "blocks") & (world.cluster.object_pods[keys] > 0)


def _orphan(world: World, keys: Rows, objects: Rows, of: Rows, orphaning: Rows, requests: Requests) -> None:
    """Take the owner away from dependents."""
    cluster = world.cluster
    mine = orphaning[of]
    for code in np.unique(cluster.object_kind[objects[mine]]).tolist():
        chosen = mine & (cluster.object_kind[objects] == code)
        kind = sorted(world.kinds)[code]
        none = np.full(int(chosen.sum()), -1, np.int64)
        requests.update(
            of[chosen], kind, objects[chosen], {"object_owner": none, "object_blocks": none + 1},
            cost=CALLS,
        )  # fmt: skip
    chosen = np.flatnonzero(orphaning & (cluster.object_pods[keys] > 0))
    pods, place = pods_of(cluster, keys[chosen])
    requests.orphan_pods(chosen[place], pods, cluster.pod_trace_row[pods], cost=CALLS)


def _collect(
    world: World, keys: Rows, objects: Rows, of: Rows, gone: Rows, foreground: Rows, requests: Requests
) -> None:
    """Delete dependents whose owner is gone, and those that block one that waits.

    A blocking one that is blocked itself is deleted in the foreground too, so that its own dependents go before it.
    """
    cluster = world.cluster
    chosen = (cluster.object_deleted_us[objects] < 0) & (
        gone[of] | (foreground[of] & (cluster.object_blocks[objects] != 0))
    )
    objects, of = objects[chosen], of[chosen]
    policy = np.where(foreground[of] & _is_blocked(world, objects), FOREGROUND, NO_FINALIZER)
    requests.delete_objects(of, objects, cluster.object_uid[objects], policy, cost=CALLS)
    pods, place = _pods(world, keys, gone | (foreground & _blocks_with_pods(world, keys)))
    requests.delete_pods(place, pods, cluster.pod_trace_row[pods], cost=CALLS)


def _is_blocked(world: World, objects: Rows) -> Rows:
    cluster = world.cluster
    dependents, of = world.dependents_of(objects)
    blocking = (cluster.object_live[dependents] == THERE) & (cluster.object_blocks[dependents] != 0)
    return (np.bincount(of[blocking], minlength=len(objects)) > 0) | _blocks_with_pods(world, objects)


def check_owners(made: Sequence[Made]) -> None:
    """Check that no object of the input is its own owner, be it by way of others. Raises InputError."""
    found = {(one.kind, one.namespace, one.name): one for one in made}
    clear: set[tuple[str, str, str]] = set()
    for start in found:
        chain: dict[tuple[str, str, str], None] = {}
        at = start
        while at in found and at not in clear and at not in chain:
            chain[at] = None
            owner = found[at].owner
            if owner is None:
                break
            at = (owner[0], at[1], owner[1])
        if at in chain and at not in clear and found[at].owner is not None:
            cycle = list(chain)[list(chain).index(at) :]
            _refuse(found[at], [*cycle, at])
        clear.update(chain)


def _refuse(made: Made, cycle: list[tuple[str, str, str]]) -> None:
    told = " -> ".join(f"{kind} {name}" for kind, _, name in cycle[:8]) + (" ..." if len(cycle) > 8 else "")
    error = InputError(
        f"go in a circle: {told}", field="metadata.ownerReferences", expected="owners that end at an object without one"
    )
    made.item.refuse(error, f"{made.namespace}/{made.name}")


GARBAGE_COLLECTOR = Controller("garbage-collector", "", _step, keys=_keys, workers=20, qps=40.0, gone=True)
