"""What actions do to the world of a run, each as a user would do it; a user's client has no rate limit.

Other rooms read what is set here at control points: ``World.loads`` (curves of ``kscale.engine.load``),
``World.crashes`` (probabilities in an hour and at each start), and ``World.settings``: ``registry_bandwidth``, a factor
(1 where it is not set), and ``registry_failing``, 1 while no image can be pulled.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from kscale.engine.objects import SUCCEEDED
from kscale.engine.pods import EVICTED, GONE, REMOVED, UNUSED
from kscale.engine.requests import DELETE_OBJECTS, DELETE_PODS, UPDATE, Request
from kscale.engine.world import World
from kscale.errors import InputError
from kscale.scenario.targets import Key

Rows = np.ndarray[Any, Any]
_ONE = np.zeros(1, np.int64)


class Effect(Protocol):
    """Something that is done to the world; ``wanted`` are rows of templates by their handles."""

    def apply(self, world: World, now_us: int, wanted: Rows) -> str:
        """Do it; return what is to be said beside what was asked for. Raises InputError where it cannot be done."""


@dataclass(frozen=True)
class Create:
    """An object is created. ``templates`` are those of its columns that hold handles of pod templates."""

    key: Key
    columns: Mapping[str, Any]
    templates: tuple[str, ...] = ()
    owner: Key | None = None

    def apply(self, world: World, now_us: int, wanted: Rows) -> str:
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
        return ""


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

    def apply(self, world: World, now_us: int, wanted: Rows) -> str:
        """Write them; the generation rises with the spec."""
        object_ = _row(world, self.key, self.field)
        kind = world.kinds[self.key[0]]
        columns = _values(self.columns, self.templates, wanted)
        row = world.cluster.object_row[object_]
        if not self.changes and all(
            np.array_equal(world.cluster.columns[f"{kind.table}_{name}"][row], value[0])
            for name, value in columns.items()
        ):  # fmt: skip
            return "nothing changed"
        if kind.min_ready in columns:
            columns["object_min_ready_us"] = columns[kind.min_ready]
        asked = Request(
            UPDATE, _ONE, {"object": np.array([object_]), **columns}, kind.name + (".spec" if self.spec else "")
        )
        world.apply(asked, now_us)
        return ""


@dataclass(frozen=True)
class Delete:
    """An object is deleted; ``policy`` is the finalizer that this sets (kscale.engine.objects)."""

    key: Key
    policy: int

    def apply(self, world: World, now_us: int, wanted: Rows) -> str:
        """Ask for its deletion."""
        object_ = np.array([_row(world, self.key, "delete")])
        columns = {"object": object_, "uid": world.cluster.object_uid[object_], "policy": np.array([self.policy])}
        world.apply(Request(DELETE_OBJECTS, _ONE, columns), now_us)
        return ""


@dataclass(frozen=True)
class DeletePods:
    """Pods of a selection are deleted; -1 is their own grace."""

    selection: int
    grace_us: int

    def apply(self, world: World, now_us: int, wanted: Rows) -> str:
        """Ask for the deletion of those that are there, the oldest first."""
        cluster = world.cluster
        # A look at all pods: a person's selector, and not what changed, says what it costs.
        there = np.flatnonzero(~np.isin(cluster.pod_state, (UNUSED, GONE, EVICTED, REMOVED)))
        pods = there[world.selections[self.selection][cluster.pod_template[there]]]
        pods = pods[(cluster.life_deleted_us[pods] < 0) | (cluster.life_phase[pods] >= SUCCEEDED)]
        pods = pods[np.argsort(cluster.pod_trace_row[pods])]
        columns = {
            "pod": pods, "serial": cluster.pod_trace_row[pods], "grace_us": np.full(len(pods), self.grace_us, np.int64)
        }  # fmt: skip
        if len(pods):
            world.apply(Request(DELETE_PODS, np.zeros(len(pods), np.int64), columns), now_us)
        return f"{len(pods):,} pod{'s' if len(pods) != 1 else ''}"


@dataclass(frozen=True)
class Cordon:
    """A node takes no new pods any more, or takes them again. ``node`` is its row."""

    node: int
    closed: bool

    def apply(self, world: World, now_us: int, wanted: Rows) -> str:
        """Write the node's spec, and let controllers see it that turn on how nodes are described."""
        column = world.cluster.node_unschedulable
        if bool(column[self.node]) == self.closed:
            return "nothing changed"
        column[self.node] = self.closed
        if world.nodes is not None:
            closed = world.nodes.unschedulable.copy()
            closed[self.node] = self.closed
            world.describe(replace(world.nodes, unschedulable=closed), now_us)
        return ""


@dataclass(frozen=True)
class Set:
    """A value in one of the world's dicts (``loads``, ``crashes``, ``settings``); None takes it away."""

    where: str
    key: Any
    value: Any

    def apply(self, world: World, now_us: int, wanted: Rows) -> str:
        """Set it."""
        values = getattr(world, self.where)
        if self.value is None:
            values.pop(self.key, None)
        else:
            values[self.key] = self.value
        return ""


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
