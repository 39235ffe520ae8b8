"""Which pods selectors select, and which selectors select a pod, by handles of ``World.selections``.

All here follows from columns: it is made when it is first asked for, and kept as pods change. A pod is found by its
template, as its labels are its template's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from kscale.engine.members import spread
from kscale.engine.pods import GONE, REMOVED, UNUSED

if TYPE_CHECKING:
    from kscale.engine.world import World

Rows = np.ndarray[Any, Any]
#: So many pods are looked through each time; more are sorted in among the others.
_FEW = 4096
_NONE = np.empty(0, np.int64)


class Selected:
    """Selectors and pods, each found from the other."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._kept = False
        #: By pod, the place in the order of arrival of the pod that was noted in this row.
        self._noted = _NONE
        #: Pods in the order of their templates, with their places in the order of arrival; those noted since.
        self._pods, self._serials, self._templates = _NONE, _NONE, _NONE
        self._fresh = _NONE
        self._selections = -1
        self._handles: tuple[Rows, Rows] = (_NONE, _NONE)
        self._of_handle: tuple[Rows, Rows] = (_NONE, _NONE)

    def note(self, pods: Rows) -> None:
        """Take in that pods changed: those that came are found from now on."""
        if self._kept:
            self._take_in(pods)

    def handles(self, pods: Rows) -> tuple[Rows, Rows]:
        """Return the selectors that select ``pods``, and for each its place in ``pods``."""
        self._learn()
        return self._expand(self._handles, self._world.cluster.pod_template[pods])

    def pods(self, handles: Rows) -> tuple[Rows, Rows]:
        """Return the pods that selectors select, in the order of arrival, and for each its place in ``handles``."""
        cluster = self._world.cluster
        self._learn()
        if not self._kept:
            self._kept = True
            self._take_in(np.arange(cluster.sizes["pod"]))
        templates, of_template = self._expand(self._of_handle, handles)
        first = np.searchsorted(self._templates, templates)
        rows, place = spread(first, np.searchsorted(self._templates, templates, "right") - first)
        good = cluster.pod_trace_row[self._pods[rows]] == self._serials[rows]
        found = [self._pods[rows[good]]]
        places = [of_template[place[good]]]
        # Of the last ones, each is asked which of the templates it has.
        order = np.argsort(templates, kind="stable")
        own = cluster.pod_template[self._fresh]
        first = np.searchsorted(templates[order], own)
        rows, place = spread(first, np.searchsorted(templates[order], own, "right") - first)
        found.append(self._fresh[place])
        places.append(of_template[order[rows]])
        pods, places_ = np.concatenate(found), np.concatenate(places)
        there = _there(cluster.pod_state[pods])
        pods, places_ = pods[there], places_[there]
        order = np.lexsort((cluster.pod_trace_row[pods], places_))
        return pods[order], places_[order]

    def _take_in(self, pods: Rows) -> None:
        cluster = self._world.cluster
        missing = cluster.sizes["pod"] - len(self._noted)
        if missing:
            self._noted = np.concatenate([self._noted, np.full(missing, -1, np.int64)])
        serials = cluster.pod_trace_row[pods]
        fresh = pods[_there(cluster.pod_state[pods]) & (self._noted[pods] != serials)]
        # A row that is used again was among the last ones already, perhaps.
        self._fresh = np.union1d(self._fresh, fresh)
        self._noted[fresh] = cluster.pod_trace_row[fresh]
        if len(self._fresh) > _FEW:
            self._sort_in()

    def _sort_in(self) -> None:
        cluster = self._world.cluster
        before = self._pods[cluster.pod_trace_row[self._pods] == self._serials]
        pods = np.concatenate([before, self._fresh])
        pods = pods[_there(cluster.pod_state[pods])]
        order = np.lexsort((cluster.pod_trace_row[pods], cluster.pod_template[pods]))
        self._pods, self._fresh = pods[order], _NONE
        self._serials, self._templates = cluster.pod_trace_row[self._pods], cluster.pod_template[self._pods]

    def _learn(self) -> None:
        """Turn the selections into lists, where some are new."""
        selections = self._world.selections
        if len(selections) == self._selections:
            return
        self._selections = len(selections)
        counts = np.array([len(one) for one in selections], np.int64)
        templates = np.concatenate([_NONE, *selections])
        self._of_handle = (_bounds(counts), templates)
        handle = np.repeat(np.arange(len(counts)), counts)
        order = np.argsort(templates, kind="stable")
        self._handles = (_bounds(np.bincount(templates)), handle[order])

    @staticmethod
    def _expand(lists: tuple[Rows, Rows], which: Rows) -> tuple[Rows, Rows]:
        bounds, values = lists
        place = np.flatnonzero((which >= 0) & (which < len(bounds) - 1))
        which = which[place]
        rows, of = spread(bounds[which], bounds[which + 1] - bounds[which])
        return values[rows], place[of]


class Holders:
    """Which objects of a kind hold a selector: their table has the column ``selection``, with a handle or -1.

    Objects are asked again when they change; an answer never names one that is gone.
    """

    def __init__(self, world: World, kind: str) -> None:
        self._world, self._kind = world, kind
        self._column = f"{world.kinds[kind].table}_selection"
        self._held = np.empty(0, np.int64)
        self._handles, self._objects = _NONE, _NONE

    def refresh(self, objects: Rows) -> None:
        """Take in that objects, of any kind, changed."""
        cluster = self._world.cluster
        size = cluster.sizes["object"]
        self._held = np.concatenate([self._held, np.full(size - len(self._held), -1, np.int64)])
        held = np.full(len(objects), -1, np.int64)
        there = self._are_there(objects)
        held[there] = cluster.columns[self._column][cluster.object_row[objects[there]]]
        if (self._held[objects] != held).any():
            self._held[objects] = held
            holders = np.flatnonzero(self._held >= 0)
            order = np.argsort(self._held[holders], kind="stable")
            self._objects = holders[order]
            self._handles = self._held[self._objects]

    def of(self, handles: Rows) -> Rows:
        """Return the objects that hold some of ``handles``, each once, ascending."""
        handles = np.unique(handles)
        first = np.searchsorted(self._handles, handles)
        rows, _ = spread(first, np.searchsorted(self._handles, handles, "right") - first)
        objects = np.unique(self._objects[rows])
        return objects[self._are_there(objects)]

    def _are_there(self, objects: Rows) -> Rows:
        cluster = self._world.cluster
        return (cluster.object_kind[objects] == self._world.codes[self._kind]) & (cluster.object_live[objects] == 1)


def _bounds(counts: Rows) -> Rows:
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


def _there(state: Rows) -> Rows:
    return (state != UNUSED) & (state != GONE) & (state != REMOVED)
