"""What actions do to the world of a run, each as a user would do it; a user's client has no rate limit.

Other rooms read what is set here at control points: ``World.loads`` (curves of ``kscale.engine.load``),
``World.flows`` (``kscale.engine.flows``),
``World.crashes`` (how often in an hour, how likely at each start), and ``World.settings``: ``registry_bandwidth``, a
factor (1 where it is not set), and ``registry_failing``, 1 while no image can be pulled.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from kscale.engine.objects import SUCCEEDED, pods_of
from kscale.engine.pods import EVICTED, GONE, REMOVED, UNUSED
from kscale.engine.requests import DELETE_OBJECTS, DELETE_PODS, EVICT_PODS, UPDATE, Request
from kscale.engine.world import World
from kscale.errors import InputError
from kscale.scenario.targets import Key

Rows = np.ndarray[Any, Any]
_ONE = np.zeros(1, np.int64)


@dataclass(frozen=True)
class Told:
    """What came of an effect: what is to be said beside what was asked for, and what is left to be tried again."""

    words: str = ""
    left: Effect | None = None


class Effect(Protocol):
    """Something that is done to the world; ``wanted`` are rows of templates by their handles."""

    def apply(self, world: World, now_us: int, wanted: Rows) -> Told:
        """Do it; return what came of it. Raises InputError where it cannot be done."""


@dataclass(frozen=True)
class Create:
    """An object is created. ``templates`` are those of its columns that hold handles of pod templates."""

    key: Key
    columns: Mapping[str, Any]
    templates: tuple[str, ...] = ()
    owner: Key | None = None

    def apply(self, world: World, now_us: int, wanted: Rows) -> Told:
        """Create it."""
        kind, namespace, name = self.key
        found = world.find(*self.key)
        if found >= 0:
            state = "is still being deleted" if world.cluster.object_deleted_us[found] >= 0 else "is there already"
            raise InputError(f"{kind} '{namespace}/{name}' {state}", field="apply", expected="a name that is free")
        owner = -1 if self.owner is None else _row(world, self.owner, "apply")
        columns = _values(self.columns, self.templates, wanted)
        made = world.create(kind, columns, now_us, names=[name], namespaces=[namespace])
        if owner >= 0:
            world.apply(Request(UPDATE, _ONE, {"object": made, "object_owner": np.array([owner])}, kind, 0), now_us)
        return Told()


@dataclass(frozen=True)
class Write:
    """Columns of an object are written, where they are not so already.

    ``changes``: its spec does change, even where no column shows it. ``field`` is where it stands in the action.
    """

    key: Key
    columns: Mapping[str, Any]
    templates: tuple[str, ...]
    spec: bool
    changes: bool
    field: str

    def apply(self, world: World, now_us: int, wanted: Rows) -> Told:
        """Write them; the generation rises with the spec."""
        object_ = _row(world, self.key, self.field)
        kind = world.kinds[self.key[0]]
        columns = _values(self.columns, self.templates, wanted)
        row = world.cluster.object_row[object_]
        if not self.changes and all(
            np.array_equal(world.cluster.columns[f"{kind.table}_{name}"][row], value[0])
            for name, value in columns.items()
        ):  # fmt: skip
            return Told("nothing changed")
        if kind.min_ready in columns:
            columns["object_min_ready_us"] = columns[kind.min_ready]
        asked = Request(
            UPDATE, _ONE, {"object": np.array([object_]), **columns}, kind.name + (".spec" if self.spec else "")
        )
        world.apply(asked, now_us)
        return Told()


@dataclass(frozen=True)
class Delete:
    """An object is deleted; ``policy`` is the finalizer that this sets (kscale.engine.objects)."""

    key: Key
    policy: int

    def apply(self, world: World, now_us: int, wanted: Rows) -> Told:
        """Ask for its deletion."""
        object_ = np.array([_row(world, self.key, "delete")])
        columns = {"object": object_, "uid": world.cluster.object_uid[object_], "policy": np.array([self.policy])}
        world.apply(Request(DELETE_OBJECTS, _ONE, columns), now_us)
        return Told()


@dataclass(frozen=True)
class DeletePods:
    """Pods of a selection are deleted; -1 is their own grace."""

    selection: int
    grace_us: int

    def apply(self, world: World, now_us: int, wanted: Rows) -> Told:
        """Ask for the deletion of those that are there, the oldest first."""
        cluster = world.cluster
        there = _pods_there(world)
        pods = there[np.isin(cluster.pod_template[there], world.selections[self.selection])]
        pods = pods[(cluster.life_deleted_us[pods] < 0) | (cluster.life_phase[pods] >= SUCCEEDED)]
        pods = pods[np.argsort(cluster.pod_trace_row[pods])]
        columns = {
            "pod": pods, "serial": cluster.pod_trace_row[pods], "grace_us": np.full(len(pods), self.grace_us, np.int64)
        }  # fmt: skip
        if len(pods):
            world.apply(Request(DELETE_PODS, np.zeros(len(pods), np.int64), columns), now_us)
        return Told(_pods(len(pods)))


@dataclass(frozen=True)
class Evict:
    """Pods of a selection, or of an object, are evicted: by a handle of the one, or the key of the other."""

    selection: int = -1
    key: Key | None = None

    def apply(self, world: World, now_us: int, wanted: Rows) -> Told:
        """Ask for the eviction of those that are there, the oldest first."""
        if self.key is None:
            pods = _pods_there(world)
            pods = pods[np.isin(world.cluster.pod_template[pods], world.selections[self.selection])]
        else:
            pods = _pods_below(world, _row(world, self.key, "evict"))
        pods = pods[world.cluster.life_deleted_us[pods] < 0]
        pods = pods[np.argsort(world.cluster.pod_trace_row[pods])]
        refused = _evict(world, pods, world.cluster.pod_trace_row[pods], now_us)
        return _told_of(world, pods, refused, _pods(len(pods)))


@dataclass(frozen=True)
class EvictAgain:
    """Pods (rows and places in the order of arrival) whose eviction was refused are evicted, if they are there yet."""

    pods: Rows
    serials: Rows

    def apply(self, world: World, now_us: int, wanted: Rows) -> Told:
        """Ask for their eviction; there is nothing to be said where all are refused again."""
        refused = _evict(world, self.pods, self.serials, now_us)
        went = len(self.pods) - len(refused)
        left = _told_of(world, self.pods, refused, f"{_pods(went)} went")
        return left if went else Told("", left.left)


@dataclass(frozen=True)
class Set:
    """A value in one of the world's dicts (``loads``, ``flows``, ``crashes``, ``settings``); None takes it away."""

    where: str
    key: Any
    value: Any

    def apply(self, world: World, now_us: int, wanted: Rows) -> Told:
        """Set it."""
        values = getattr(world, self.where)
        if self.value is None:
            values.pop(self.key, None)
        else:
            values[self.key] = self.value
        return Told()


def _pods_there(world: World) -> Rows:
    """Return all pods that are there: a person's selector, and not what changed, says what that costs."""
    return np.flatnonzero(~np.isin(world.cluster.pod_state, (UNUSED, GONE, EVICTED, REMOVED)))


def _pods_below(world: World, object_: int) -> Rows:
    """Return the pods of an object, and of all that says to be of it."""
    owners = found = np.array([object_])
    while len(found):
        found, _ = world.dependents_of(found)
        owners = np.concatenate([owners, found])
    return pods_of(world.cluster, owners)[0]


def _evict(world: World, pods: Rows, serials: Rows, now_us: int) -> Rows:
    """Evict pods; return the places of those that were refused."""
    if not len(pods):
        return pods
    columns = {"pod": pods, "serial": serials, "grace_us": np.full(len(pods), -1, np.int64)}
    return world.apply(Request(EVICT_PODS, np.zeros(len(pods), np.int64), columns), now_us)


def _told_of(world: World, pods: Rows, refused: Rows, words: str) -> Told:
    if not len(refused):
        return Told(words)
    left = pods[refused]
    return Told(f"{words}, {len(refused):,} refused", EvictAgain(left, world.cluster.pod_trace_row[left]))


def _pods(count: int) -> str:
    return f"{count:,} pod{'s' if count != 1 else ''}"


def _row(world: World, key: Key, field: str) -> int:
    found = world.find(*key)
    if found < 0:
        raise InputError(
            f"there is no {key[0]} '{key[2]}' in the namespace '{key[1]}' any more", field=field,
            expected="an object that is there at that time",
        )  # fmt: skip
    return found


def _values(columns: Mapping[str, Any], templates: tuple[str, ...], wanted: Rows) -> dict[str, Rows]:
    found = {name: np.array([value]) for name, value in columns.items()}
    for name in templates:
        if name in found:
            found[name] = np.where(found[name] >= 0, wanted[found[name]], found[name])
    return found
