"""Runs with controllers and kubelets: their objects taken in, and the control points at which controllers look."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from kscale import controllers, joining
from kscale.controllers.common.addresses import Ranges
from kscale.controllers.common.bounds import Bounds
from kscale.controllers.service_addresses import REFUSALS
from kscale.engine.clock import FREE
from kscale.engine.growing import GrowingPods
from kscale.engine.history import History
from kscale.engine.kinds import THERE
from kscale.engine.ledger import dtypes
from kscale.engine.living import MOST_DUES
from kscale.engine.reconcile import Manager
from kscale.engine.world import World
from kscale.network.traffic.outcome import Outcome
from kscale.networking import Networking, Proxying
from kscale.node import columns as node_columns
from kscale.node import filling
from kscale.node.surroundings import Surroundings
from kscale.scenario import Script
from kscale.state.descriptions import Selector
from kscale.state.intake import grow_pods
from kscale.state.manifests.inventory import Ordinals
from kscale.state.manifests.workloads import Made, Workloads
from kscale.state.schema import Addition
from kscale.state.tables import Cluster
from kscale.telling import traffic_tables
from kscale.trafficking import Trafficking

if TYPE_CHECKING:
    from kscale.state.building import Building

Rows = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Cast:
    """What lives in a run, as it was read.

    Attributes:
        workloads: the objects that controllers look after.
        wanted: rows of the templates by the handles of ``workloads``.
        controllers: kind and name of what controls each pod of the trace, None where nothing does.
        names, namespaces: of the pods of the trace, where ``controllers`` names some.
        script: what is done to the objects while the run goes on.
        limited: whether clients' rate limits and worker counts hold.
        left_out: names of controllers that are not at work.
        ordinals: of StatefulSets, that go by templates of their own.
        ranges: what Services get their addresses and node ports out of.
        proxying: how the nodes' kube-proxies run; none do without it.
    """

    workloads: Workloads = field(default_factory=Workloads)
    wanted: Rows = field(default_factory=lambda: np.empty(0, np.int64))
    controllers: list[tuple[str, str] | None] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    namespaces: list[str] = field(default_factory=list)
    limited: bool = True
    script: Script | None = None
    left_out: frozenset[str] = frozenset()
    ordinals: list[Ordinals] = field(default_factory=list)
    ranges: Ranges = field(default_factory=Ranges)
    proxying: Proxying = field(default_factory=Proxying)


def columns() -> list[Addition]:
    """Return the tables and columns that controllers and nodes bring."""
    return [*controllers.columns(), node_columns.COLUMNS]


#: Lengths of the dimensions that they bring, before they are filled.
SIZES = {**filling.SIZES, "ordinal": 0}


class Living:
    """The world of a run.

    ``call`` calls an entry of the compiled loop; ``drain`` empties the ledger's buffers. ``compiled`` tells, once the
    run begins, whether it is.
    """

    def __init__(
        self, cast: Cast, cluster: Cluster, building: Building, pods: GrowingPods, call: Callable[..., Any],
        drain: Callable[[], None], horizon_us: int, compiled: Callable[[], bool],
    ) -> None:  # fmt: skip
        self.cast, self.cluster, self.pods = cast, cluster, pods
        self._call, self._drain = call, drain
        self.world = World(cluster, controllers.kinds(), self._carry_out)
        self.world.selections = [
            _selected(building, selector, namespace) for selector, namespace in cast.workloads.selections
        ]
        self.world.references = list(cast.workloads.references)
        self.world.texts = list(cast.workloads.texts)
        self.world.nodes, self.world.template_descriptions = building.nodes, building.templates
        filling.fill(cluster, building.templates, nodes=building.nodes)
        joining.fill(cluster, building.templates, building.nodes)
        joining.fill_ordinals(cluster, cast.ordinals)
        binding = building.kept.get("VolumeBinding")
        self._claims = joining.Claims(self.world, binding.claims) if binding is not None else None
        cluster.template_refused[: len(building.templates)] = [one.refused != "" for one in building.templates]
        self._set_ranges(cast.ranges)
        self._surroundings = Surroundings(cluster, building.templates)
        self.network = Networking(self.world, cast.proxying, horizon_us, compiled)
        self.traffic = Trafficking(self.world, self.network, cast.proxying, cast.script, compiled)
        budgets = building.nodes.surroundings.budgets if cluster.sizes["budget"] else ()
        selectors = [selector for selector, _ in cast.workloads.selections]
        self._budgets = joining.Budgets(self.world, budgets, selectors) if budgets else None
        at_work = [one for name, one in controllers.found().items() if name not in cast.left_out]
        self.manager = Manager(self.world, at_work, limited=cast.limited)
        cluster.cluster_serial[0] = pods.height
        cluster.cluster_control_us[0] = 0
        self.history = History(self.world)
        self._take(cast.workloads.made)
        self.bounds = Bounds(self.world)
        self._traffic: dict[tuple[str, str, str], Outcome] = {}

    def _set_ranges(self, ranges: Ranges) -> None:
        addresses, ports, cluster = ranges.address_band(), ranges.port_band(), self.cluster
        cluster.cluster_service_first[0], cluster.cluster_service_addresses[0] = addresses.first, addresses.size
        cluster.cluster_node_port_first[0], cluster.cluster_node_ports[0] = ports.first, ports.size

    def _take(self, made: list[Made]) -> None:
        """Make the objects that were read, and tell who is of whom."""
        places: dict[tuple[str, str, str], int] = {}
        by_kind: dict[str, list[int]] = {}
        for place, one in enumerate(made):
            places[one.kind, one.namespace, one.name] = place
            by_kind.setdefault(one.kind, []).append(place)
        objects = np.empty(len(made), np.int64)
        for kind, members in by_kind.items():
            found = [made[place] for place in members]
            columns = _columns(self.cluster, self.world.kinds[kind].table, [one.columns for one in found])
            manifest = self.world.kinds[kind].manifest
            for name in manifest.templates if manifest else ():
                columns[name] = self.cast.wanted[columns[name]]
            objects[members] = self.world.create(
                kind, columns, 0, names=[one.name for one in found], namespaces=[one.namespace for one in found]
            )
        self.objects = {key: int(objects[place]) for key, place in places.items()}
        owners = [
            self.objects.get((one.owner[0], one.namespace, one.owner[1]), -1) if one.owner else -1 for one in made
        ]
        self.world.own(objects, np.array(owners, np.int64))

    def owned(self) -> tuple[Rows, Rows]:
        """Return for each pod of the trace the object that controls it, and its ordinal or index; -1 for none."""
        count = self.pods.height
        owner, number = np.full(count, -1, np.int64), np.full(count, -1, np.int64)
        for row, told in enumerate(self.cast.controllers):
            if told is not None:
                owner[row] = self.objects.get((told[0], self.cast.namespaces[row], told[1]), -1)
                number[row] = _number(told, self.cast.names[row])
        return owner, number

    def _carry_out(self, now_us: int) -> None:
        """Carry out the requests about pods that stand in their table."""
        cluster = self.cluster
        count = int(cluster.cluster_requests[0])
        create = cluster.request_verb[:count] == 0
        creations = int(create.sum())
        while cluster.queue_size[FREE] < creations:
            grow_pods(cluster)
        if creations:
            self._note(cluster.request_owner[:count][create])
            self.pods.add(
                now_us, cluster.request_template[:count][create],
                cluster.object_uid[cluster.request_owner[:count][create]], cluster.request_number[:count][create],
            )  # fmt: skip
        while self._call("carry_out", now_us):
            self._drain()
            self.make_room()

    def make_room(self) -> None:
        """Make room in the heap of what kubelets have to do."""
        cluster, size = self.cluster, self.cluster.sizes["due"]
        # A try may evict all pods of a node.
        while cluster.cluster_due[0] + cluster.cluster_running_pods[0] + MOST_DUES >= size // 2:
            size *= 2
        if size > cluster.sizes["due"]:
            cluster.resize("due", size)

    def _note(self, owners: Rows) -> None:
        world = self.world
        for owner in np.unique(owners).tolist():
            uid = int(self.cluster.object_uid[owner])
            if not self.pods.knows(uid):
                ordinals = world.kind_of(owner).ordinals
                self.pods.name_owner(uid, world.namespace(owner), world.name(owner), ordinals=ordinals)

    def look(self) -> None:
        """Let controllers look, at the present instant."""
        now_us = int(self.cluster.cluster_now_us[0])
        script = self.cast.script
        if script is not None:
            script.apply_due(self.world, now_us)
            self._surroundings.apply(self.world.settings, self.world.crashes)
        # What a scenario deleted stands in the log before controllers look, what they deleted after that.
        self._mirror_claims()
        self.traffic.before(now_us)
        self.network.collect(now_us)
        self.traffic.after(now_us)
        self.history.note(self.manager.look(now_us), now_us)
        self._mirror_claims()
        self.network.collect(now_us)
        self.traffic.after(now_us)
        if self._budgets is not None:
            self._budgets.mirror()
        if script is not None:
            control = self.cluster.cluster_control_us
            control[0] = min(int(control[0]), script.due_us())

    def _mirror_claims(self) -> None:
        if self._claims is not None:
            self._claims.mirror()

    def finish(self, now_us: int) -> None:
        """End the run: what is on its way to nodes' rules still arrives."""
        self.network.finish(now_us)
        self._traffic = self.traffic.finish(now_us)

    def tables(self) -> dict[str, pl.DataFrame]:
        """Return the tables that only such a run has; see ``kscale.engine.outputs.LIVING_OUTPUTS``."""
        return {
            "rollouts": self.history.frame(), "objects": self._objects(), "startup": self._startup(),
            "controllers": self._controllers(), "actions": self._actions(), **self.network.tables(),
            **traffic_tables(self._traffic, self.pods),
        }  # fmt: skip

    def _actions(self) -> pl.DataFrame:
        happened = self.cast.script.happened if self.cast.script is not None else []
        return pl.DataFrame(
            {
                "time_us": [one.time_us for one in happened], "action": [one.action for one in happened],
                "words": [one.words for one in happened],
            },
            schema=dtypes("actions"),
        )  # fmt: skip

    def _startup(self) -> pl.DataFrame:
        cluster = self.cluster
        steps = list(node_columns.STEPS)
        return pl.DataFrame(
            {
                "step": steps, "pods": cluster.startup_count[: len(steps)],
                "total_us": cluster.startup_sum_us[: len(steps)],
                "histogram": cluster.startup_bucket[: len(steps)].tolist(),
            },
            schema=dtypes("startup"),
        )  # fmt: skip

    def _objects(self) -> pl.DataFrame:
        cluster, world = self.cluster, self.world
        there = np.flatnonzero(cluster.object_live == THERE)
        there = there[np.argsort(cluster.object_uid[there])]
        owners = cluster.object_owner[there].tolist()
        columns: dict[str, Any] = {
            "kind": [world.kind_of(one).name for one in there.tolist()],
            "namespace": [world.namespace(one) for one in there.tolist()],
            "name": [world.name(one) for one in there.tolist()],
            "owner": [f"{world.kind_of(one).name}/{world.name(one)}" if one >= 0 else None for one in owners],
            "created_us": cluster.object_created_us[there], "pods": cluster.object_active[there],
        }  # fmt: skip
        for name in ("ready", "available", "succeeded", "failed", "restarts"):
            columns[name] = cluster.columns[f"object_{name}"][there]
        columns["refused"] = [self._refused(one) for one in there.tolist()]
        columns["refused_pods"] = cluster.object_refused_pods[there]
        templates = cluster.object_refused_template[there].tolist()
        columns["refused_reason"] = [
            world.template_descriptions[one].refused if one >= 0 else None for one in templates
        ]
        columns["refusal"] = [self._refusal(one) for one in there.tolist()]
        return pl.DataFrame(columns, schema=dtypes("objects"))

    def _refused(self, object_: int) -> int | None:
        table = self.world.kind_of(object_).table
        column = self.cluster.columns.get(f"{table}_refused")
        return None if column is None else int(column[self.cluster.object_row[object_]])

    def _refusal(self, object_: int) -> str | None:
        if self.world.kind_of(object_).table != "service":
            return None
        return REFUSALS[self.cluster.service_refusal[self.cluster.object_row[object_]]] or None

    def _controllers(self) -> pl.DataFrame:
        told = self.manager.reconcilers
        return pl.DataFrame(
            {
                "name": list(told), "calls": [one.calls for one in told.values()],
                "errors": [one.errors for one in told.values()],
            },
            schema=dtypes("controllers"),
        )  # fmt: skip


def _columns(cluster: Cluster, table: str, found: list[dict[str, Any]]) -> dict[str, Rows]:
    """Return columns of objects; what one does not state is the column's default, lists are filled up with it."""
    columns = {}
    for name in dict.fromkeys(name for one in found for name in one):
        column = cluster.tables[table].columns[name]
        values = [one.get(name, column.default) for one in found]
        if len(column.dims) > 1:
            lists = [np.atleast_1d(value) for value in values]
            columns[name] = np.full((len(found), max(map(len, lists))), column.default, column.dtype)
            for row, value in enumerate(lists):
                columns[name][row, : len(value)] = value
        else:
            columns[name] = np.array(values)
    return columns


def _selected(building: Building, selector: Selector | None, namespace: str) -> Rows:
    if selector is None:
        return np.empty(0, np.int64)
    return building.selected_rows(selector, (namespace,))


def _number(controller: tuple[str, str], name: str) -> int:
    """Return the ordinal of a StatefulSet's pod, the index of an Indexed Job's; -1 for none."""
    rest = name.removeprefix(f"{controller[1]}-").split("-")
    if controller[0] == "StatefulSet" or (controller[0] == "Job" and len(rest) == 2):
        return int(rest[0]) if rest[0].isdecimal() else -1
    return -1
