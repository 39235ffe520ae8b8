"""DaemonSets: one pod on each node that is eligible (pkg/controller/daemon).

Which nodes are eligible follows from the pod template and from how nodes are described; it is worked out once for a
template (``World.derived``). Pods are made for one node (``life_pin``), where Kubernetes gives each a node affinity of
its own; the scheduler binds them.

A pod that failed waits before it is replaced: 1 s, doubled with each failure on the node, up to 15 min; after a time
twice as long without a failure it begins anew. Kubernetes counts that per set, generation and node in memory; here each
pod says how many failed in a row before it, since the last change of the template (``life_number`` is -1 less that).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from kscale.controllers.common import daemonsets as reading
from kscale.controllers.common import progressing, sets
from kscale.engine.kinds import Kind
from kscale.engine.objects import FAILED, SUCCEEDED, pods_of
from kscale.engine.reconcile import Controller
from kscale.engine.requests import SECOND, Requests
from kscale.engine.world import World
from kscale.state.descriptions import NodeDescriptions, PodDescription
from kscale.state.labels import Requirement, Taint
from kscale.state.schema import Column, NewTable

Rows = np.ndarray[Any, Any]
#: Most pods that one pass of a key creates, and most that it deletes (BurstReplicas).
BURST = 250
#: First and longest wait before a failed pod is replaced (daemon_controller.go, failedPodsBackoff).
FIRST_WAIT_US, LONGEST_WAIT_US = SECOND, 15 * 60 * SECOND
#: Values of ``daemonset_strategy``.
ROLLING_UPDATE, ON_DELETE = range(2)

COLUMNS = {
    "daemonset": NewTable(
        "A DaemonSet.",
        (
            Column("template", "int64", "Template of its pods.", default=-1, path="spec.template"),
            Column("revision", "int64", "Number of what its template says.", path="spec.template"),
            Column("strategy", "uint8", "0 RollingUpdate, 1 OnDelete.", path="spec.updateStrategy.type"),
            Column("max_unavailable", "int64", "Nodes that may be without an available pod during an update, or a "
                   "percentage.", default=1, path="spec.updateStrategy.rollingUpdate.maxUnavailable"),
            Column("max_unavailable_percent", "uint8", "1 where that is a percentage of desired_scheduled."),
            Column("max_surge", "int64", "Nodes that may have a second pod during an update, or a percentage.",
                   path="spec.updateStrategy.rollingUpdate.maxSurge"),
            Column("max_surge_percent", "uint8", "1 where that is a percentage of desired_scheduled."),
            Column("min_ready_us", "int64", "How long a pod is ready before it is available.", "us",
                   path="spec.minReadySeconds"),
            Column("update_revision", "int64", "The revision that its history ends with.", default=-1),
            Column("first_revision", "int64", "The one that it begins with: that of pods that say none.", default=-1),
            Column("desired_scheduled", "int64", "Nodes that are to have its pod.", "nodes", default=-1,
                   path="status.desiredNumberScheduled"),
            Column("current_scheduled", "int64", "Those that have one.", "nodes", path="status.currentNumberScheduled"),
            Column("misscheduled", "int64", "Nodes that have one and are not to.", "nodes",
                   path="status.numberMisscheduled"),
            Column("ready_nodes", "int64", "Nodes whose pod is ready.", "nodes", path="status.numberReady"),
            Column("available_nodes", "int64", "Nodes whose pod is available.", "nodes", path="status.numberAvailable"),
            Column("unavailable_nodes", "int64", "Nodes that are to have an available pod and have none.", "nodes",
                   path="status.numberUnavailable"),
            Column("updated_scheduled", "int64", "Nodes whose pod is of the present revision.", "nodes",
                   path="status.updatedNumberScheduled"),
        ),
    ),
}  # fmt: skip


def eligible(nodes: NodeDescriptions, pod: PodDescription) -> tuple[Rows, Rows]:
    """Return where such a pod should run, and where one that is there may go on (bool per node)."""
    matches = np.ones(len(nodes), bool)
    if pod.node_name:
        matches &= np.array([name == pod.node_name for name in nodes.names], bool)
    for key, value in pod.node_selector:
        matches &= nodes.matches((Requirement(key, "In", (value,)),))
    if pod.terms is not None:
        alternatives = [nodes.matches(term) for term in pod.terms]
        matches &= np.any([np.zeros(len(nodes), bool), *alternatives], axis=0)

    def tolerates(taints: tuple[Taint, ...], *effects: str) -> bool:
        return all(any(one.tolerates(taint) for one in pod.tolerations) for taint in taints if taint.effect in effects)

    runs = np.array([tolerates(taints, "NoSchedule", "NoExecute") for taints in nodes.taint_sets], bool)
    stays = np.array([tolerates(taints, "NoExecute") for taints in nodes.taint_sets], bool)
    return matches & runs[nodes.taint_set], matches & stays[nodes.taint_set]


def desired_counts(
    desired: Rows, max_surge: Rows, max_surge_percent: Rows, max_unavailable: Rows, max_unavailable_percent: Rows
) -> tuple[Rows, Rows]:
    """Return how many nodes may have a second pod, and how many may be without an available one, during an update."""
    surge = sets.resolved(max_surge, max_surge_percent, desired, up=True)
    unavailable = sets.resolved(max_unavailable, max_unavailable_percent, desired, up=True)
    return surge, np.where((desired > 0) & (surge == 0) & (unavailable == 0), 1, unavailable)


@dataclass
class _Daemons:
    """The sets of a pass, the grid of sets and nodes, and their pods, the best of a node first.

    Per set: ``row`` in its table, its ``first`` revision, ``rolling``, ``surges``. Per cell of the grid: ``run`` and
    ``stay``, see ``eligible``. Per pod: its ``cell``, its ``place`` among the sets, and how it is; ``new`` is one of
    the present revision, ``lives`` one that is not being deleted.
    """

    keys: Rows
    row: Rows
    first: Rows
    rolling: Rows
    surges: Rows
    nodes: int
    run: Rows
    stay: Rows
    pods: Rows
    cell: Rows
    place: Rows
    lives: Rows
    phase: Rows
    new: Rows
    ready: Rows
    available: Rows

    def count(self, which: Rows) -> Rows:
        """Return how many pods among ``which`` (bool) each cell has."""
        return np.bincount(self.cell[which], minlength=len(self.run))

    def set_of(self, cells: Rows) -> Rows:
        """Return the places of the sets of cells."""
        return cells // max(self.nodes, 1)

    def per_set(self, cells: Rows) -> Rows:
        """Return how many cells among ``cells`` (bool) each set has."""
        return cells.reshape(len(self.keys), self.nodes).sum(axis=1)


def _planes(world: World, nodes: NodeDescriptions, templates: Rows) -> tuple[Rows, Rows]:
    """Return the cells' eligibility, worked out once for a template and a description of nodes."""
    run, stay = np.zeros((len(templates), len(nodes)), bool), np.zeros((len(templates), len(nodes)), bool)
    for template in np.unique(templates).tolist():
        known = world.derived.get(("daemonset", template))
        if known is None or known[0] is not nodes:
            known = nodes, eligible(nodes, world.template_descriptions[template].description)
            world.derived["daemonset", template] = known
        run[templates == template], stay[templates == template] = known[1]
    return run.ravel(), stay.ravel()


def _look(world: World, nodes: NodeDescriptions, keys: Rows) -> _Daemons:
    cluster = world.cluster
    row = cluster.object_row[keys]
    pods, place = pods_of(cluster, keys)
    bound = cluster.pod_node[pods] >= 0
    node = np.where(bound, cluster.pod_node[pods], cluster.life_pin[pods])
    of_node = node >= 0
    pods, place, node, bound = pods[of_node], place[of_node], node[of_node], bound[of_node]
    cell, ready = place * len(nodes) + node, cluster.life_ready[pods] == 1
    order = np.lexsort((cluster.pod_trace_row[pods], cluster.pod_arrived_us[pods], ~bound, ~ready, cell))
    pods, place, cell, ready = pods[order], place[order], cell[order], ready[order]
    run, stay = _planes(world, nodes, cluster.daemonset_template[row])
    rolling = cluster.daemonset_strategy[row] == ROLLING_UPDATE
    asked = cluster.daemonset_revision[row]
    first = np.where(cluster.daemonset_update_revision[row] < 0, asked, cluster.daemonset_first_revision[row])
    revision = np.where(cluster.life_revision[pods] < 0, first[place], cluster.life_revision[pods])
    return _Daemons(
        keys, row, first, rolling, rolling & (cluster.daemonset_max_surge[row] > 0), len(nodes), run, stay, pods, cell,
        place,
        cluster.life_deleted_us[pods] < 0, cluster.life_phase[pods],
        revision == asked[place], ready,
        ready & (cluster.life_available[pods] == 1),
    )  # fmt: skip


def _step(world: World, keys: Rows, now_us: int) -> Requests:
    """Give every eligible node its pod, take others away, update by the strategy, and write the status that changed."""
    requests, cluster = Requests(), world.cluster
    kept = np.flatnonzero(cluster.object_deleted_us[keys] < 0)
    if world.nodes is None or not len(kept):
        return requests
    found = _look(world, world.nodes, keys[kept])
    asked = cluster.daemonset_revision[found.row]
    fresh = np.flatnonzero(asked != cluster.daemonset_update_revision[found.row])
    # The call that makes the ControllerRevision.
    requests.update(kept[fresh], "DaemonSet", found.keys[fresh], {
        "update_revision": asked[fresh], "first_revision": found.first[fresh],
    })  # fmt: skip
    waits, until, failures = _failed(world, found, now_us)
    requests.again(kept[found.place[waits]], until[waits])
    doomed = _burst(_surplus(found) & ~waits, found.place)
    # A failed pod that is alone on its node has its successor in the same pass, which says how many failed before it.
    crowd = np.bincount(found.cell, minlength=len(found.run))
    replaced = np.flatnonzero(doomed & (failures > 0) & (crowd[found.cell] == 1))
    replaced = replaced[found.run[found.cell[replaced]]]
    numbers = np.full(len(found.run), -1)
    numbers[found.cell[replaced]] -= failures[replaced]
    empty = np.flatnonzero(found.run & (crowd == 0))
    made = np.concatenate([found.cell[replaced], empty])
    quiet = np.ones(len(found.keys), bool)
    quiet[np.concatenate([found.place[doomed], found.set_of(made)])] = False
    updated, second = _roll(world, found, quiet & found.rolling)
    doomed |= _burst(updated, found.place)
    made = np.concatenate([made, second])
    made = np.sort(made[_burst(np.ones(len(made), bool), found.set_of(made))])
    gone, place = found.pods[doomed], found.place[doomed]
    requests.delete_pods(kept[place], gone, cluster.pod_trace_row[gone])
    place = found.set_of(made)
    requests.create_pods(
        kept[place], found.keys[place], cluster.daemonset_template[found.row[place]], numbers[made],
        made % max(found.nodes, 1), asked[place],
    )  # fmt: skip
    _write_status(world, found, kept, requests)
    return requests


def _burst(which: Rows, place: Rows) -> Rows:
    """Return the first of ``which`` (bool) of each set, no more than it may ask for in one pass."""
    chosen = np.flatnonzero(which)
    result = np.zeros(len(which), bool)
    result[chosen[sets.ranks(place[chosen]) < BURST]] = True
    return result


def _failed(world: World, found: _Daemons, now_us: int) -> tuple[Rows, Rows, Rows]:
    """Return which pods failed and have to wait, until when, and the number of failures in a row that each ends."""
    cluster = world.cluster
    failed = found.lives & (found.phase == FAILED)
    before = np.where(found.new, np.maximum(-1 - cluster.life_number[found.pods], 0), 0)
    since = cluster.pod_arrived_us[found.pods]
    wait = np.minimum(FIRST_WAIT_US << np.minimum(np.maximum(before - 1, 0), 20), LONGEST_WAIT_US)
    until = np.where(before > 0, since + wait, now_us)
    before = np.where(now_us - since > 2 * LONGEST_WAIT_US, 0, before)
    return failed & found.stay[found.cell] & (until > now_us), until, np.where(failed, before + 1, 0)


def _surplus(found: _Daemons) -> Rows:
    """Return which pods (bool) are not to be: on nodes that are not eligible, finished, or too many on their node.

    Of those that run the best one stays. Where a set surges, the best of each revision may stay, as long as the old one
    is ready and the new one is not available.
    """
    stays = found.stay[found.cell] & found.lives
    finished = (found.phase == FAILED) | (found.phase == SUCCEEDED)
    running = np.flatnonzero(stays & ~finished)
    surges = found.surges[found.place[running]]
    doomed = (found.lives & ~found.stay[found.cell]) | (stays & finished)
    # Without surge a node is one group; with it, its pods of each revision are.
    group = found.cell[running] * 2 + (surges & found.new[running])
    best = sets.ranks(group) == 0
    doomed[running[~best]] = True
    best_new = np.zeros(len(found.run), bool)
    best_available = np.zeros(len(found.run), bool)
    new = running[best & surges & found.new[running]]
    best_new[found.cell[new]], best_available[found.cell[new]] = True, found.available[new]
    old = running[best & surges & ~found.new[running]]
    doomed[old[best_new[found.cell[old]] & (~found.ready[old] | best_available[found.cell[old]])]] = True
    return doomed


def _roll(world: World, found: _Daemons, on: Rows) -> tuple[Rows, Rows]:
    """Return which old pods (bool) of the sets ``on`` go now, and the cells that get a second pod."""
    cluster, row = world.cluster, found.row
    surge, unavailable = desired_counts(
        found.per_set(found.run), cluster.daemonset_max_surge[row], cluster.daemonset_max_surge_percent[row],
        cluster.daemonset_max_unavailable[row], cluster.daemonset_max_unavailable_percent[row],
    )  # fmt: skip
    place_of = found.set_of(np.arange(len(found.run)))
    new, old = found.count(found.lives & found.new), found.count(found.lives & ~found.new)
    new_available = found.count(found.lives & found.new & found.available) > 0
    old_available = found.count(found.lives & ~found.new & found.available) > 0
    only_old = (old == 1) & (new == 0)
    # Without surge: old pods that are not available go at once, others while enough nodes have an available one.
    works = (only_old & old_available) | ((new == 1) & (old == 0) & new_available)
    there = found.run | (np.bincount(found.cell, minlength=len(found.run)) > 0)
    room = unavailable - found.per_set(there & ~works)
    goes = (only_old & ~old_available) | _first(only_old & old_available, place_of, room)
    # With surge: new pods come beside old ones, free of charge where the old one is not available. That old ones go
    # when the new one is available has been seen to already.
    room = surge - found.per_set((new > 1) | (old > 1) | ((old == 1) & (new == 1)))
    second = (only_old & ~old_available) | _first(only_old & old_available & found.run, place_of, room)
    surges = (surge > 0)[place_of]
    goes &= ~surges & on[place_of]
    return found.lives & ~found.new & goes[found.cell], np.flatnonzero(surges & second & found.run & on[place_of])


def _first(cells: Rows, place_of: Rows, room: Rows) -> Rows:
    """Return the first cells among ``cells`` (bool) of each set, as many as it has room for."""
    chosen = np.flatnonzero(cells)
    result = np.zeros(len(cells), bool)
    result[chosen[sets.ranks(place_of[chosen]) < room[place_of[chosen]]]] = True
    return result


def _write_status(world: World, found: _Daemons, kept: Rows, requests: Requests) -> None:
    """Count nodes by the best of their pods."""
    cluster, row = world.cluster, found.row
    best = sets.ranks(found.cell) == 0

    def nodes(which: Rows) -> Rows:
        return found.per_set(found.run & (found.count(best & which) > 0))

    there, desired = found.count(best) > 0, found.per_set(found.run)
    available = nodes(found.available)
    values = {
        "desired_scheduled": desired, "current_scheduled": found.per_set(found.run & there),
        "misscheduled": found.per_set(~found.run & there), "ready_nodes": nodes(found.ready),
        "available_nodes": available, "unavailable_nodes": desired - available,
        "updated_scheduled": nodes(found.new), "object_observed": cluster.object_generation[found.keys],
    }  # fmt: skip
    changed = cluster.object_observed[found.keys] != values["object_observed"]
    for name, value in values.items():
        if not name.startswith("object_"):
            changed |= cluster.columns[f"daemonset_{name}"][row] != value
    place = np.flatnonzero(changed)
    written = {name: value[place] for name, value in values.items()}
    requests.update(kept[place], "DaemonSet", found.keys[place], written)


DAEMON_SET = Kind(
    "DaemonSet", "daemonset", pods=True, keeps=True, min_ready="min_ready_us", manifest=reading.MANIFEST, by_node=True,
    progress=progressing.of_daemon_sets,
)  # fmt: skip
DAEMONSET = Controller("daemonset", "DaemonSet", _step, workers=2)
