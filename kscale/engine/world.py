"""The objects of a run: their rows, names and kinds, and how requests become state.

Kinds are what leaves declare (``Kind``); the rows of a kind's table belong to the objects of the table ``object``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kscale.engine import carrying
from kscale.engine.carrying import make_room
from kscale.engine.flows import Flows
from kscale.engine.kinds import FREE, GONE, THERE, Kind
from kscale.engine.load import Loads
from kscale.engine.members import Members
from kscale.engine.objects import TRACKS
from kscale.engine.parts import Parts
from kscale.engine.requests import Request
from kscale.engine.selected import Holders, Selected
from kscale.state.descriptions import NodeDescriptions, PodTemplate
from kscale.state.schema import full_names
from kscale.state.tables import Cluster

Rows = np.ndarray[Any, Any]
#: 2026-01-01T00:00:00Z.
EPOCH_US = 1_767_225_600_000_000


@dataclass
class World:
    """The cluster and its objects.

    Attributes:
        kinds: by name; their codes are the places in the order of names.
        names, namespaces: of every object that ever was, by ``object_uid``.
        selections: int64, ascending, by handle: the templates whose pods a selector selects.
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
        flows: what clients ask of Services over time.
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
    flows: Flows = field(default_factory=Flows)

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
                    self.write(f"{of.table}_{name}", rows, columns[name])
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
        for one in objects.tolist() if of.by_name or owner is None or (owner < 0).any() else ():
            self._known[kind, self.namespace(one), self.name(one)] = one
        self.note(objects, now_us)
        return objects

    def fit_parts(self, kind: str, objects: Rows) -> None:
        """Give objects of a kind as many parts as they are to have; those that they have keep what they say."""
        if kind in self._parts:
            self._parts[kind].fit(self.cluster.object_row[objects])

    def write(self, name: str, rows: Rows, values: Rows) -> None:
        """Write rows of a column; one of two dimensions becomes as wide as what is written, and is filled up."""
        column = self._columns[name][1]
        if values.ndim > 1:
            make_room(self.cluster, column.dims[1], values.shape[1])
            self.cluster.columns[name][rows, values.shape[1] :] = column.default
            self.cluster.columns[name][rows, : values.shape[1]] = values
        else:
            self.cluster.columns[name][rows] = values

    def find(self, kind: str, namespace: str, name: str) -> int:
        """Return the object of this name that a person made, or that its kind finds so; -1 where it is not there."""
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

    def disown(self, objects: Rows) -> None:
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
        make_room(self.cluster, "object", self._objects)
        return np.concatenate([objects, fresh])

    def _take_rows(self, kind: str, count: int) -> Rows:
        rows = _from_freed(self._freed[kind], count)
        fresh = np.arange(self._used[kind], self._used[kind] + count - len(rows))
        self._used[kind] += len(fresh)
        make_room(self.cluster, self.kinds[kind].table, self._used[kind])
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
            self.disown(dead)
            dead = owners[
                (cluster.object_live[owners] == GONE) & (cluster.object_pods[owners] == 0)
                & (cluster.object_dependents[owners] == 0)
            ]  # fmt: skip

    def apply(self, request: Request, now_us: int) -> Rows:
        """Make a request state, now, and return the places of its calls that were refused.

        What it names and is not there any more is passed over.
        """
        return carrying.apply(self, request, now_us)

    def kind_by_code(self, code: int) -> Kind:
        """Return the kind that ``object_kind`` calls by this code."""
        return self._by_code[code]

    def parts_of(self, kind: str) -> Parts:
        """Return the parts of a kind's objects."""
        return self._parts[kind]


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
