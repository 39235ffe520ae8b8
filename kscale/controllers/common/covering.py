"""Which pods disruption budgets cover: worked out from columns, kept while these are the same, and made anew at need.

A pod's template tells which budgets cover it. Most controllers have pods of one template: their counts are those of
their pods, which need no look at each.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kscale.engine.kinds import THERE
from kscale.engine.objects import pods_of
from kscale.engine.pods import GONE, REMOVED, UNUSED
from kscale.engine.world import World

Rows = np.ndarray[Any, Any]
KIND, TABLE = "PodDisruptionBudget", "poddisruptionbudget"
_NOTHING = np.empty(0, np.int64)


@dataclass
class Counts:
    """Of each budget: its pods, those that are ready and stay, and the controllers of its pods, by place."""

    pods: Rows
    ready: Rows
    controller: Rows
    place: Rows


@dataclass
class Covering:
    """What budgets cover.

    Attributes:
        budgets: object rows; ``uids``: theirs.
        selected: (budget, template) pairs, as one number each, ascending.
        first, of: budgets (places) of each template, one list after the other.
        known: (budget, controller) pairs, as one number each, ascending.
        template, mixed, uid: of each controller (object row): the template of its pods, whether it has others, and
            which object it was then.
        loose: rows of covered pods that nothing controls, and their places in the order of arrival.
        serial: pods that came before it are known.
    """

    version: int
    budgets: Rows
    selected: Rows
    first: Rows
    of: Rows
    known: Rows = field(default_factory=lambda: _NOTHING)
    template: Rows = field(default_factory=lambda: _NOTHING)
    mixed: Rows = field(default_factory=lambda: np.empty(0, bool))
    uid: Rows = field(default_factory=lambda: _NOTHING)
    loose: dict[int, int] = field(default_factory=dict)
    serial: int = 0

    def of_templates(self, templates: Rows) -> tuple[Rows, Rows]:
        """Return the budgets (places) that cover pods of templates, and for each its place among these."""
        known = np.minimum(templates, len(self.first) - 2)
        many = np.where(templates == known, self.first[known + 1] - self.first[known], 0)
        place = np.repeat(np.arange(len(templates)), many)
        at = self.first[known][place] + np.arange(len(place)) - (np.cumsum(many) - many)[place]
        return self.of[at], place

    def note(self, world: World, pods: Rows) -> None:
        """Take in pods that changed."""
        cluster = world.cluster
        owners, templates = cluster.life_owner[pods], cluster.pod_template[pods]
        self._note_templates(world, owners[owners >= 0], templates[owners >= 0])
        budgets, place = self.of_templates(templates)
        owned = owners[place] >= 0
        pairs = np.unique((budgets[owned] << 32) | owners[place[owned]])
        fresh = pairs[~np.isin(pairs, self.known)]
        if len(fresh):
            kept = self.known[cluster.object_pods[self.known & 0xFFFFFFFF] > 0]
            self.known = np.union1d(kept, fresh)
        for pod in np.unique(pods[place[~owned]]).tolist():
            self.loose[pod] = int(cluster.pod_trace_row[pod])

    def _note_templates(self, world: World, owners: Rows, templates: Rows) -> None:
        more = world.cluster.sizes["object"] - len(self.uid)
        if more > 0:
            self.template = np.concatenate([self.template, np.full(more, -1)])
            self.mixed = np.concatenate([self.mixed, np.zeros(more, bool)])
            self.uid = np.concatenate([self.uid, np.full(more, -1)])
        uids = world.cluster.object_uid[owners]
        other = owners[self.uid[owners] != uids]
        self.template[other], self.mixed[other] = -1, False
        self.uid[owners] = uids
        new = self.template[owners] < 0
        self.template[owners[new]] = templates[new]
        self.mixed[owners[self.template[owners] != templates]] = True

    def counts(self, world: World, budgets: Rows) -> Counts:
        """Return the counts of budgets (places, ascending)."""
        cluster = world.cluster
        begin, end = (np.searchsorted(self.known, side << 32) for side in (budgets, budgets + 1))
        place = np.repeat(np.arange(len(budgets)), end - begin)
        at = begin[place] + np.arange(len(place)) - (np.cumsum(end - begin) - (end - begin))[place]
        owners = self.known[at] & 0xFFFFFFFF
        current = self.uid[owners] == cluster.object_uid[owners]
        whole = current & ~self.mixed[owners]
        whole[whole] = self._covers(budgets[place[whole]], self.template[owners[whole]])
        none = np.zeros(len(budgets), np.int64)
        counts = Counts(none, none.copy(), _NOTHING, _NOTHING)
        np.add.at(counts.pods, place[whole], cluster.object_pods[owners[whole]])
        np.add.at(counts.ready, place[whole], cluster.object_ready[owners[whole]])
        some = whole & (cluster.object_pods[owners] > 0)
        counts.controller, counts.place = owners[some], place[some]
        self._walk(world, budgets, owners[self.mixed[owners]], place[self.mixed[owners]], counts)
        self._count_loose(world, budgets, counts)
        return counts

    def _covers(self, budgets: Rows, templates: Rows) -> Rows:
        """Tell for each budget (place) and template whether the one covers pods of the other."""
        pairs = (budgets << 32) | templates
        return np.searchsorted(self.selected, pairs, "right") > np.searchsorted(self.selected, pairs)

    def _walk(self, world: World, budgets: Rows, owners: Rows, place: Rows, counts: Counts) -> None:
        """Count the pods of controllers that have several templates, one by one."""
        pods, of = pods_of(world.cluster, owners)
        covered = self._covers(budgets[place[of]], world.cluster.pod_template[pods])
        pods, of = pods[covered], of[covered]
        self._add(world, pods, place[of], counts)
        found = np.unique(of)
        counts.controller = np.concatenate([counts.controller, owners[found]])
        counts.place = np.concatenate([counts.place, place[found]])

    def _count_loose(self, world: World, budgets: Rows, counts: Counts) -> None:
        if not self.loose:
            return
        cluster = world.cluster
        pods, serials = np.array(list(self.loose), np.int64), np.array(list(self.loose.values()), np.int64)
        there = (cluster.pod_trace_row[pods] == serials) & (cluster.life_owner[pods] < 0) & there_are(world, pods)
        for pod in pods[~there].tolist():
            del self.loose[pod]
        pods = pods[there]
        of, place = self.of_templates(cluster.pod_template[pods])
        at = np.minimum(np.searchsorted(budgets, of), len(budgets) - 1)
        asked = budgets[at] == of
        self._add(world, pods[place[asked]], at[asked], counts)

    @staticmethod
    def _add(world: World, pods: Rows, place: Rows, counts: Counts) -> None:
        cluster = world.cluster
        np.add.at(counts.pods, place, 1)
        steady = (cluster.life_ready[pods] == 1) & (cluster.life_deleted_us[pods] < 0) & (cluster.life_phase[pods] < 2)
        np.add.at(counts.ready, place[steady], 1)


def there_are(world: World, pods: Rows) -> Rows:
    """Tell which rows of pods are in use."""
    return ~np.isin(world.cluster.pod_state[pods], (UNUSED, GONE, REMOVED))


def covering(world: World, changed: Rows | None = None) -> Covering:
    """Return what budgets cover now; ``changed`` are the pods that changed since it was asked for with such."""
    found: Covering | None = world.derived.get(KIND)
    if found is None or found.version != world.versions[KIND]:
        return _make(world)
    if changed is not None:
        serial = int(world.cluster.cluster_serial[0])
        serials = np.unique(world.cluster.pod_trace_row[changed])
        # Pods that came while nobody asked have not been seen.
        if ((serials >= found.serial) & (serials < serial)).sum() < serial - found.serial:
            return _make(world)
        found.note(world, changed)
        found.serial = serial
    return found


def _make(world: World) -> Covering:
    """Look at all budgets and all pods."""
    cluster = world.cluster
    budgets = world.all_of(KIND)
    budgets = budgets[cluster.object_live[budgets] == THERE]
    handles = cluster.columns[f"{TABLE}_selection"][cluster.object_row[budgets]]
    chosen = [world.selections[handle] if handle >= 0 else _NOTHING for handle in handles.tolist()]
    place = np.repeat(np.arange(len(budgets)), [len(one) for one in chosen])
    template = np.concatenate([_NOTHING, *chosen])
    selected = (place << 32) | template
    order = np.argsort(template, kind="stable")
    first = np.searchsorted(template[order], np.arange(cluster.sizes["template"] + 1))
    found = Covering(world.versions[KIND], budgets, selected, first, place[order])
    found.note(world, np.flatnonzero(there_are(world, np.arange(cluster.sizes["life"]))))
    found.serial = int(cluster.cluster_serial[0])
    world.derived[KIND] = found
    return found
