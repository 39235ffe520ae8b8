"""The objects of a run: their rows, names and kinds, and how requests become state.

Kinds are what leaves declare (``Kind``); the rows of a kind's table belong to the objects of the table ``object``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kscale.engine import requests
from kscale.engine.load import Loads
from kscale.engine.members import Members
from kscale.engine.objects import TRACKS
from kscale.engine.parts import Parts
from kscale.engine.pods import GONE as POD_GONE
from kscale.engine.pods import REMOVED, UNUSED
from kscale.engine.requests import Request
from kscale.engine.selected import Holders, Selected
from kscale.state.descriptions import NodeDescriptions, PodTemplate
from kscale.state.manifests.workloads import Manifest
from kscale.state.schema import full_names
from kscale.state.tables import Cluster

Rows = np.ndarray[Any, Any]
#: 2026-01-01T00:00:00Z.
EPOCH_US = 1_767_225_600_000_000
#: Values of ``object_live``.
FREE, THERE, GONE = range(3)
#: Values of ``request_verb``.
CREATE, DELETE, ORPHAN_POD, TRACK = range(4)
#: What a request says beside columns of its kind's table.
_NO_COLUMNS = ("owner", "object", "object_owner", "uid", "members_first", "members_count")
_NOBODY = np.empty(0, np.int64)


@dataclass(frozen=True)
class Kind:
    """A kind of objects.

    Attributes:
        name: as Kubernetes calls it.
        table: of its columns; it has a row for each object.
        pods: whether its objects control pods.
        keeps: whether pods of it that have finished stay until they are deleted.
        tracks: whether they stay, also those that others delete, until their controller lets go of them.
        called: names of new objects that their controller creates, from the world and their rows; None where only
            people make them.
        progress: what its objects have come to, by the names of ``kscale.engine.history.PROGRESS``: what was asked
            for, what there is (updated: of the latest template), and the most pods and the fewest available ones that
            there may be. None where there is nothing to tell.
        scale: the column of its table that says how many pods are asked for.
        ordinals: whether its pods are called by their ordinals.
        manifest: how it is read; None where people do not write it.
        min_ready: the column of its table that says how long its pods are ready before they are available, in
            microseconds; empty where they are so at once.
        parts: the table in which each of its objects has as many rows in a row as the column ``part_count`` of its
            table says; the column ``part_first`` says where they begin, ``part_room`` how many there is room for.
            Empty where it has none.
        members: the table of its members, where it has some (kscale.engine.members).
        blocks: whether the foreground deletion of one waits for what it controls (blockOwnerDeletion).
        collected: whether the garbage collector deletes it when its owner is gone; its own controller does otherwise.
        by_node: whether its objects are looked at anew when nodes are described anew.
        evicts: decides, as the API server does, which of some pods (rows, each once) may be evicted at a time, and
            notes it in its objects; None where the kind has no say.
    """

    name: str
    table: str
    pods: bool = False
    keeps: bool = False
    tracks: bool = False
    called: Callable[[World, Rows], list[str]] | None = None
    min_ready: str = ""
    progress: Callable[[World, Rows], dict[str, Rows]] | None = None
    scale: str = ""
    ordinals: bool = False
    manifest: Manifest | None = None
    parts: str = ""
    members: str = ""
    blocks: bool = True
    collected: bool = True
    by_node: bool = False
    evicts: Callable[[World, Rows, int], Rows] | None = None


@dataclass
class World:
    """The cluster and its objects.

    Attributes:
        kinds: by name; their codes are the places in the order of names.
        names, namespaces: of every object that ever was, by ``object_uid``.
        selections: bool (template,) by handle: which templates' pods a selector selects.
        references: (kind, namespace, name) by handle.
        texts: by handle; what is read of them is kept as a text.
        epoch_us: microseconds since 1970 (UTC) at virtual time 0.
        members: of objects.
        selected: selectors and pods, each found from the other.
        nodes: how nodes are described, by row; None where no controller asks.
        template_descriptions: all that templates ask, by row.
        derived: what leaves have worked out of ``nodes`` and templates, kept until nodes are described anew.
        carry_out: carries out what stands in the table ``request``, now; given by whoever drives the compiled code.
        crashes: how often containers of a workload crash in an hour, and how likely at each start, by kind, namespace
            and name.
        settings: of the surroundings, by name: see ``kscale.scenario.effects``.
        loads: what is asked of workloads over time.
        versions: how often objects of a kind were made, deleted, or had their specs written by requests.
    """

    cluster: Cluster
    kinds: dict[str, Kind]
    carry_out: Callable[[int], None]
    names: list[str] = field(default_factory=list)
    namespaces: list[str] = field(default_factory=list)
    selections: list[Rows] = field(default_factory=list)
    references: list[tuple[str, str, str]] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    epoch_us: int = EPOCH_US
    crashes: dict[tuple[str, str, str], tuple[float, float]] = field(default_factory=dict)
    settings: dict[str, float] = field(default_factory=dict)
    nodes: NodeDescriptions | None = None
    template_descriptions: list[PodTemplate] = field(default_factory=list)
    derived: dict[Any, Any] = field(default_factory=dict)
    loads: Loads = field(default_factory=Loads)

    def __post_init__(self) -> None:
        self.codes = {name: code for code, name in enumerate(sorted(self.kinds))}
        self._by_code = [self.kinds[name] for name in sorted(self.kinds)]
        self.versions = dict.fromkeys(self.kinds, 0)
        self._columns = full_names(self.cluster.tables)
        self._used = dict.fromkeys(self.kinds, 0)
        self._freed: dict[str, list[Rows]] = {name: [] for name in self.kinds}
        self._parts = {
            name: Parts(self.cluster, kind.table, kind.parts) for name, kind in self.kinds.items() if kind.parts
        }
        self._objects = 0
        self._objects_freed: list[Rows] = []
        self._known: dict[tuple[str, str, str], int] = {}
        self.members, self.selected = Members(self.cluster), Selected(self)
        self._holders: dict[str, Holders] = {}

    def kind_of(self, object_: int) -> Kind:
        """Return the kind of an object."""
        return self._by_code[int(self.cluster.object_kind[object_])]

    def holders(self, kind: str) -> Holders:
        """Return which objects of a kind hold a selector."""
        if kind not in self._holders:
            self._holders[kind] = Holders(self, kind)
        return self._holders[kind]

    def of_kind(self, objects: Rows, kind: str) -> Rows:
        """Return those of ``objects`` that are of a kind, and not free; of any kind, where it is empty."""
        if not kind:
            return objects[self.cluster.object_live[objects] != FREE]
        code = self.codes.get(kind)
        if code is None:
            return objects[:0]
        return objects[(self.cluster.object_kind[objects] == code) & (self.cluster.object_live[objects] != FREE)]

    def all_of(self, kind: str) -> Rows:
        """Return all objects of a kind, or of any (empty); costs by how many objects there are."""
        return self.of_kind(np.arange(self._objects), kind)

    def name(self, object_: int) -> str:
        """Return an object's name."""
        return self.names[int(self.cluster.object_uid[object_])]

    def namespace(self, object_: int) -> str:
        """Return an object's namespace."""
        return self.namespaces[int(self.cluster.object_uid[object_])]

    def create(
        self, kind: str, columns: Mapping[str, Rows], now_us: int, *, owner: Rows | None = None,
        names: Iterable[str] | None = None, namespaces: Iterable[str] | None = None,
    ) -> Rows:  # fmt: skip
        """Make objects of a kind with these columns of its table (without the table's name); return their rows.

        Names that are not given come from the kind, namespaces from the owner.
        """
        cluster, of = self.cluster, self.kinds[kind]
        count = len(next(iter(columns.values())))
        objects, rows = self._take_objects(count), self._take_rows(kind, count)
        cluster = self.cluster
        for name, column in cluster.tables["object"].columns.items():
            if name not in ("log", "free", "changed"):
                cluster.columns[f"object_{name}"][objects] = column.default
        for name, column in cluster.tables[of.table].columns.items():
            if not column.dims or column.dims[0] == of.table:
                cluster.columns[f"{of.table}_{name}"][rows] = column.default
                if name in columns:
                    self._write(f"{of.table}_{name}", rows, columns[name])
        self.versions[kind] += 1
        cluster.object_kind[objects], cluster.object_row[objects] = self.codes[kind], rows
        cluster.object_live[objects], cluster.object_created_us[objects] = THERE, now_us
        cluster.object_uid[objects] = np.arange(len(self.names), len(self.names) + count)
        cluster.object_generation[objects], cluster.object_keeps[objects] = 1, TRACKS if of.tracks else int(of.keeps)
        self.fit_parts(kind, objects)
        if of.min_ready:
            cluster.object_min_ready_us[objects] = cluster.columns[f"{of.table}_{of.min_ready}"][rows]
        if owner is not None:
            self._link(objects[owner >= 0], owner[owner >= 0])
            blocks = np.array([*(one.blocks for one in self._by_code), False])
            codes = np.where(owner >= 0, cluster.object_kind[owner], len(self._by_code))
            cluster.object_blocks[objects] = blocks[codes] & of.collected
        self.namespaces += list(namespaces) if namespaces is not None else self._inherited(owner, count)
        self.names += [""] * count
        self.names[-count:] = list(names) if names is not None else of.called(self, objects)  # type: ignore[misc]
        for one in objects.tolist() if owner is None or (owner < 0).any() else ():
            self._known[kind, self.namespace(one), self.name(one)] = one
        self.note(objects, now_us)
        return objects

    def fit_parts(self, kind: str, objects: Rows) -> None:
        """Give objects of a kind as many parts as they are to have; those that they have keep what they say."""
        if kind in self._parts:
            self._parts[kind].fit(self.cluster.object_row[objects])

    def _write(self, name: str, rows: Rows, values: Rows) -> None:
        """Write rows of a column; one of two dimensions becomes as wide as what is written, and is filled up."""
        column = self._columns[name][1]
        if values.ndim > 1:
            _make_room(self.cluster, column.dims[1], values.shape[1])
            self.cluster.columns[name][rows, values.shape[1] :] = column.default
            self.cluster.columns[name][rows, : values.shape[1]] = values
        else:
            self.cluster.columns[name][rows] = values

    def find(self, kind: str, namespace: str, name: str) -> int:
        """Return the object of this name that a person made, or -1 where it is not there."""
        found = self._known.get((kind, namespace, name), -1)
        if found < 0 or self.cluster.object_live[found] != THERE:
            return -1
        return found if (self.name(found), self.namespace(found)) == (name, namespace) else -1

    def found(self, reference: int) -> int:
        """Return the object of a reference's handle, or -1 where it is not there."""
        return self.find(*self.references[reference]) if reference >= 0 else -1

    def own(self, objects: Rows, owners: Rows) -> None:
        """Make objects that have no owner dependents of ``owners``; -1 leaves one alone."""
        self._link(objects[owners >= 0], owners[owners >= 0])

    def describe(self, nodes: NodeDescriptions, now_us: int) -> None:
        """Take how nodes are described from now on; objects of kinds that ask for it are looked at anew."""
        self.nodes = nodes
        self.derived.clear()
        for name, kind in self.kinds.items():
            if kind.by_node:
                self.note(self.all_of(name), now_us)

    def _link(self, objects: Rows, owners: Rows) -> None:
        """Make objects, which have no owner, dependents of ``owners``."""
        if not len(objects):
            return
        cluster = self.cluster
        order = np.argsort(owners, kind="stable")
        objects, owners = objects[order], owners[order]
        last = np.append(owners[1:] != owners[:-1], True)
        first = np.append(True, last[:-1])
        before = cluster.object_first_dependent[owners[last]]
        following, preceding = cluster.object_next_dependent, cluster.object_previous_dependent
        following[objects[:-1]] = objects[1:]
        following[objects[last]] = before
        preceding[objects[1:]] = objects[:-1]
        preceding[objects[first]] = -1
        preceding[before[before >= 0]] = objects[last][before >= 0]
        cluster.object_first_dependent[owners[first]] = objects[first]
        cluster.object_owner[objects] = owners
        np.add.at(cluster.object_dependents, owners, 1)

    def _unlink(self, objects: Rows) -> None:
        """Make objects dependents of nobody."""
        cluster = self.cluster
        following, preceding = cluster.object_next_dependent, cluster.object_previous_dependent
        for one in objects[cluster.object_owner[objects] >= 0].tolist():
            owner, before, after = cluster.object_owner[one], preceding[one], following[one]
            if before >= 0:
                following[before] = after
            else:
                cluster.object_first_dependent[owner] = after
            if after >= 0:
                preceding[after] = before
            cluster.object_dependents[owner] -= 1
            cluster.object_owner[one], following[one], preceding[one] = -1, -1, -1

    def dependents_of(self, owners: Rows) -> tuple[Rows, Rows]:
        """Return the objects that say that they are of ``owners``, and for each its place in ``owners``."""
        cluster = self.cluster
        counts = cluster.object_dependents[owners]
        place = np.repeat(np.arange(len(owners)), counts)
        found = np.empty(len(place), np.int64)
        one, at = cluster.object_first_dependent[owners], np.cumsum(counts) - counts
        left = np.flatnonzero(one >= 0)
        while len(left):
            found[at[left]] = one[left]
            at[left] += 1
            one[left] = cluster.object_next_dependent[one[left]]
            left = left[one[left] >= 0]
        return found, place

    def _inherited(self, owner: Rows | None, count: int) -> list[str]:
        if owner is None:
            return ["default"] * count
        return [self.namespace(one) if one >= 0 else "default" for one in owner.tolist()]

    def _take_objects(self, count: int) -> Rows:
        objects = _from_freed(self._objects_freed, count)
        fresh = np.arange(self._objects, self._objects + count - len(objects))
        self._objects += len(fresh)
        _make_room(self.cluster, "object", self._objects)
        return np.concatenate([objects, fresh])

    def _take_rows(self, kind: str, count: int) -> Rows:
        rows = _from_freed(self._freed[kind], count)
        fresh = np.arange(self._used[kind], self._used[kind] + count - len(rows))
        self._used[kind] += len(fresh)
        _make_room(self.cluster, self.kinds[kind].table, self._used[kind])
        return np.concatenate([rows, fresh])

    def note(self, objects: Rows, now_us: int) -> None:
        """Log that objects changed, and their owners with them."""
        cluster = self.cluster
        owners = cluster.object_owner[objects]
        both = np.concatenate([objects, owners[owners >= 0]])
        fresh = np.unique(both[cluster.object_changed[both] == 0])
        first = int(cluster.cluster_objects_changed[0])
        cluster.object_changed[fresh] = 1
        cluster.object_log[first : first + len(fresh)] = fresh
        cluster.cluster_objects_changed[0] += len(fresh)
        if len(both):
            watch = int(cluster.cluster_watch_us[0])
            due = (now_us // watch + 1) * watch
            cluster.cluster_control_us[0] = min(int(cluster.cluster_control_us[0]), due)

    def release(self, objects: Rows) -> None:
        """Use the rows of those of ``objects`` again that are gone, and that nothing says to be of any more."""
        cluster = self.cluster
        dead = objects[
            (cluster.object_live[objects] == GONE) & (cluster.object_pods[objects] == 0)
            & (cluster.object_dependents[objects] == 0) & (cluster.object_changed[objects] == 0)
        ]  # fmt: skip
        while len(dead):
            cluster.object_live[dead] = FREE
            for code in np.unique(cluster.object_kind[dead]).tolist():
                rows, kind = cluster.object_row[dead[cluster.object_kind[dead] == code]], self._by_code[code]
                self._freed[kind.name].append(rows)
                if kind.members:
                    self.members.give_back(kind.table, kind.members, rows)
                if kind.parts:
                    self._parts[kind.name].free(rows)
            self._objects_freed.append(dead)
            owners = cluster.object_owner[dead]
            owners = np.unique(owners[owners >= 0])
            self._unlink(dead)
            dead = owners[
                (cluster.object_live[owners] == GONE) & (cluster.object_pods[owners] == 0)
                & (cluster.object_dependents[owners] == 0)
            ]  # fmt: skip

    def apply(self, request: Request, now_us: int) -> Rows:
        """Make a request state, now, and return the places of its calls that were refused.

        What it names and is not there any more is passed over.
        """
        if request.verb == requests.EVICT_PODS:
            return self._evict(request, now_us)
        if request.verb in (requests.CREATE_PODS, requests.DELETE_PODS, requests.ORPHAN_PODS, requests.TRACK_PODS):
            self._apply_to_pods(request, now_us)
        elif request.verb == requests.CREATE_OBJECTS:
            self._create(request, now_us)
        elif request.verb == requests.DELETE_OBJECTS:
            self._delete(request, now_us)
        else:
            self._update(request, now_us)
        return _NOBODY

    def _evict(self, request: Request, now_us: int) -> Rows:
        """Delete pods that may be evicted; return the places of the others."""
        cluster = self.cluster
        pods = request.columns["pod"]
        there = np.flatnonzero(
            (cluster.pod_trace_row[pods] == request.columns["serial"])
            & ~np.isin(cluster.pod_state[pods], (UNUSED, POD_GONE, REMOVED))
        )
        # What is asked twice at once is granted or refused once.
        there = there[np.unique(pods[there], return_index=True)[1]]
        there.sort()
        granted = np.ones(len(there), bool)
        for kind in self.kinds.values():
            if kind.evicts is not None:
                granted[granted] = kind.evicts(self, pods[there[granted]], now_us)
        going = request.some(there[granted])
        going.verb = requests.DELETE_PODS
        self._apply_to_pods(going, now_us)
        return there[~granted]

    def _apply_to_pods(self, request: Request, now_us: int) -> None:
        cluster, count = self.cluster, len(request)
        if request.verb == requests.CREATE_PODS:
            # A pod of an owner that is gone would be collected at once.
            request = request.some(cluster.object_live[request.columns["owner"]] == THERE)
            count = len(request)
        _make_room(cluster, "request", count)
        verbs = {requests.CREATE_PODS: CREATE, requests.DELETE_PODS: DELETE, requests.ORPHAN_PODS: ORPHAN_POD,
                 requests.TRACK_PODS: TRACK}  # fmt: skip
        cluster.request_verb[:count] = verbs[request.verb]
        for name, values in request.columns.items():
            cluster.columns[f"request_{name}"][:count] = values
        cluster.cluster_requests[0], cluster.cluster_requests_cursor[0] = count, 0
        self.carry_out(now_us)

    def _create(self, request: Request, now_us: int) -> None:
        owner = request.columns["owner"]
        kept = (owner < 0) | (self.cluster.object_live[owner] == THERE)
        request = request.some(kept)
        if len(request):
            columns = {name: values for name, values in request.columns.items() if name not in _NO_COLUMNS}
            made = self.create(request.kind, columns, now_us, owner=request.columns["owner"])
            self._put_members(request, self.kinds[request.kind], made)

    def _put_members(self, request: Request, kind: Kind, objects: Rows) -> None:
        if "members_first" in request.columns:
            source = request.columns["members_first"], request.columns["members_count"]
            self.members.put(kind.table, kind.members, self.cluster.object_row[objects], source, request.members)

    def _delete(self, request: Request, now_us: int) -> None:
        cluster = self.cluster
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
            self.versions[self._by_code[code].name] += 1
        self.note(objects, now_us)

    def _update(self, request: Request, now_us: int) -> None:
        cluster = self.cluster
        kind, _, spec = request.kind.partition(".")
        objects = request.columns["object"]
        there = cluster.object_live[objects] == THERE
        if "uid" in request.columns:
            there &= cluster.object_uid[objects] == request.columns["uid"]
        table = self.kinds[kind].table
        for name in [name for name in request.columns if name.startswith(requests.GIVEN)]:
            column = cluster.columns[f"{table}_{name.removeprefix(requests.GIVEN)}"]
            there &= column[cluster.object_row[objects]] == request.columns[name]
        objects = objects[there]
        if "part" in request.columns:
            self._parts[kind].write(cluster.object_row[objects], {n: v[there] for n, v in request.columns.items()})
            return
        if "object_owner" in request.columns:
            self.note(objects, now_us)
            self._unlink(objects)
            owners = request.columns["object_owner"][there]
            self._link(objects[owners >= 0], owners[owners >= 0])
        self._put_members(request.some(there), self.kinds[kind], objects)
        for name, values in request.columns.items():
            if name in _NO_COLUMNS or name.startswith(requests.GIVEN):
                continue
            rows = objects if name.startswith("object_") else cluster.object_row[objects]
            full = name if name.startswith("object_") else f"{table}_{name}"
            self._write(full, rows, values[there])
        if spec:
            self.fit_parts(kind, objects)
            self.versions[kind] += 1
            cluster.object_generation[objects] += 1
        self.note(objects, now_us)


def _from_freed(freed: list[Rows], count: int) -> Rows:
    taken: list[Rows] = [np.empty(0, np.int64)]
    while freed and count > 0:
        last = freed.pop()
        if len(last) > count:
            freed.append(last[count:])
            last = last[:count]
        taken.append(last)
        count -= len(last)
    return np.concatenate(taken)


def _make_room(cluster: Cluster, dimension: str, size: int) -> None:
    if size > cluster.sizes[dimension]:
        cluster.resize(dimension, max(size, 2 * cluster.sizes[dimension]))
