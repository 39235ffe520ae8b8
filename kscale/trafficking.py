"""Traffic in a run: what scenarios ask of Services meets what slices list, what pods are, and what nodes' rules have.

It only looks. At control points it takes what changed out of the log: pods that are endpoints or clients, slices of the
Services that have traffic. The rooms below work out what becomes of connections once it is decided when each node
knows of a change.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kscale.engine.clock import NEVER
from kscale.engine.flows import FlowKey
from kscale.engine.kinds import THERE
from kscale.engine.load import Key
from kscale.engine.objects import FAILED, RUNNING_PHASE, SUCCEEDED, pods_of
from kscale.engine.pods import RUNNING
from kscale.engine.world import World
from kscale.errors import InputError
from kscale.network.balancing import Algorithm
from kscale.network.clusterports import IPV4
from kscale.network.programming import Known
from kscale.network.told import EndpointChanges
from kscale.network.traffic.choosing import Choice, algorithm_for, compile_for
from kscale.network.traffic.clients import Clients
from kscale.network.traffic.endpoints import GONE, NOT_READY, SERVES, TERMINATING
from kscale.network.traffic.outcome import Outcome
from kscale.network.traffic.service import Listing, Served
from kscale.network.traffic.views import BEFORE_US, NEVER_US, Where
from kscale.networking import Networking, Proxying
from kscale.scenario import Script
from kscale.scenario.effects import Set

Rows = np.ndarray[Any, Any]
#: Added to nodes where they stand for clients, so that these are told apart from pods.
_ON_NODES = 1 << 40
#: Of the draws for connections, beside other streams of the seed.
_STREAM = 8


@dataclass
class _Known:
    """A Service with traffic.

    Attributes:
        object_: its row, or the one that it had last.
        pending: number of the change, and when nodes have it (int64, written when that is decided), by version.
        publishes: whether its endpoints count as ready whatever they are.
    """

    served: Served
    object_: int
    publishes: bool = False
    pending: list[tuple[int, Rows]] = field(default_factory=list)


class Trafficking:
    """The traffic of a run over the Services that its scenario speaks of; without traffic there, it does nothing."""

    def __init__(
        self, world: World, network: Networking, proxying: Proxying, script: Script | None,
        compiled: Callable[[], bool],
    ) -> None:  # fmt: skip
        """Take the run's objects; ``compiled`` is asked when there is a Service with traffic.

        Raises InputError where there is traffic, and no kube-proxies or none that it is known of how they balance it.
        """
        self._world, self._network, self._proxying, self._compiled = world, network, proxying, compiled
        self._keys = sorted(_spoken_of(script))
        if self._keys and proxying.mode is None:
            raise InputError("sends traffic over Services, which needs kube-proxies", field="traffic",
                             expected="a --proxy-mode other than none")  # fmt: skip
        if self._keys:
            self._algorithm()
        self._services: dict[Key, _Known] = {}
        self._by_object: dict[int, Key] = {}
        self._by_selection: dict[int, list[Key]] = {}
        self._flows: dict[FlowKey, Any] = {}
        self._sources: dict[Key, list[FlowKey]] = {}
        self._seen_services, self._seen_flows = -1, world.flows.version
        self._now_us = 0
        network.listeners.append(self)

    def compile(self) -> None:
        """Compile what the proxies' algorithm needs, where there is traffic and the run is compiled."""
        if self._keys and self._compiled():
            compile_for(self._algorithm())

    def _algorithm(self) -> Algorithm:
        how = self._proxying
        assert how.mode is not None
        return algorithm_for(how.mode.name, how.options.get("scheduler", ""))

    def before(self, now_us: int) -> None:
        """Take the pods that changed, before anybody looks."""
        if not self._keys:
            return
        self._now_us = now_us
        cluster = self._world.cluster
        pods = cluster.life_log[: cluster.cluster_pods_changed[0]].copy()
        if not len(pods):
            return
        handles, place = self._world.selected.handles(pods)
        for handle in np.unique(handles).tolist():
            for key in self._by_selection.get(handle, ()):
                self._tell(self._services[key], pods[np.unique(place[handles == handle])], now_us)
        self._take_clients(pods, now_us)

    def after(self, now_us: int) -> None:
        """Take Services, slices and flows that changed, once the network has noted them."""
        if not self._keys:
            return
        self._find_services(now_us)
        cluster = self._world.cluster
        changed = cluster.object_log[: cluster.cluster_objects_changed[0]]
        slices = self._world.of_kind(changed, "EndpointSlice")
        for owner in np.unique(cluster.object_owner[slices]).tolist():
            if owner in self._by_object:
                self._list(self._services[self._by_object[owner]], now_us)
        if self._world.flows.version != self._seen_flows:
            self._seen_flows = self._world.flows.version
            self._take_flows(now_us)

    def known(self, known: Known, endpoints: EndpointChanges) -> None:
        """Take what every node knows by now, and work out what is decided."""
        last = known.first + len(known.changes)
        for one in self._services.values():
            while one.pending and one.pending[0][0] < last:
                number, seen_us = one.pending.pop(0)
                seen_us[:] = known.seen_of(number) if number >= known.first else BEFORE_US
            # Once all is written, what is decided goes beyond the present.
            one.served.advance(min(self._network.decided_us, self._now_us))

    def finish(self, now_us: int) -> dict[Key, Outcome]:
        """End the run, once the network has; return what became of the traffic of each Service."""
        return {key: self._services[key].served.finish(now_us) for key in sorted(self._services)}

    def _find_services(self, now_us: int) -> None:
        """Take Services that came, or changed."""
        world = self._world
        if world.versions["Service"] == self._seen_services:
            return
        self._seen_services = world.versions["Service"]
        self._by_selection.clear()
        for key in self._keys:
            found = world.find(*key)
            if found < 0:
                continue
            self._by_object[found] = key
            row = world.cluster.object_row[found]
            self._by_selection.setdefault(int(world.cluster.service_selection[row]), []).append(key)
            local = bool(world.cluster.service_internal_policy[row])
            affinity_us = int(world.cluster.service_affinity_us[row])
            if key not in self._services:
                self._services[key] = self._begin(key, found, local, affinity_us)
            one = self._services[key]
            one.object_ = found
            one.publishes = bool(world.cluster.service_publish_not_ready[row])
            if (one.served.where.local, one.served.choice.affinity_us) != (local, affinity_us):
                one.served.behave(Where(one.served.where.zone, local), affinity_us, now_us)

    def _begin(self, key: Key, object_: int, local: bool, affinity_us: int) -> _Known:
        cluster = self._world.cluster
        # Each Service draws from a stream of its own, whatever others there are.
        generator = np.random.default_rng([self._proxying.seed, _STREAM, zlib.crc32("/".join(key).encode())])
        nodes = cluster.sizes["node"]
        choice = Choice(self._algorithm(), nodes, generator, affinity_us, self._compiled())
        served = Served(choice, Where(cluster.node_zone[:nodes].copy(), local), self._network.interval_us)
        return _Known(served, object_)

    def _states(self, pods: Rows, publishes: bool) -> Rows:
        """Return what pods truly are now."""
        cluster = self._world.cluster
        state = np.where(cluster.life_ready[pods] != 0, SERVES, NOT_READY)
        state[cluster.life_deleted_us[pods] >= 0] = TERMINATING
        if publishes:
            state[:] = SERVES
        phase = cluster.life_phase[pods]
        state[(cluster.pod_state[pods] != RUNNING) | (phase == SUCCEEDED) | (phase == FAILED)] = GONE
        return state

    def _tell(self, one: _Known, pods: Rows, now_us: int) -> None:
        """Tell a Service what pods are that changed, each since when; and when those are over that end."""
        cluster = self._world.cluster
        serial, state = cluster.pod_trace_row[pods], self._states(pods, one.publishes)
        deleted, stop = cluster.life_deleted_us[pods], cluster.life_stop_us[pods]
        ended = np.where(deleted >= 0, stop, np.where(cluster.pod_ended_us[pods] >= 0, cluster.pod_ended_us[pods],
                                                      now_us))  # fmt: skip
        since = np.select([state == GONE, state == TERMINATING], [ended, deleted], cluster.life_ready_us[pods])
        since = np.where(since < 0, now_us, np.minimum(since, now_us))
        for time_us in np.unique(since).tolist():
            some = since == time_us
            one.served.tell_states(serial[some], state[some], time_us)
        for place in np.flatnonzero((deleted >= 0) & (state != GONE) & (stop < NEVER)).tolist():
            one.served.tell_states(serial[place : place + 1], np.array([GONE]), max(int(stop[place]), now_us))

    def _list(self, one: _Known, now_us: int) -> None:
        """Take what the slices of a Service list now; nodes have it when they know the change written last."""
        seen_us = np.full(self._world.cluster.sizes["node"], NEVER_US)
        one.served.list_endpoints(self._listing(one), now_us, seen_us)
        one.pending.append((self._network.written - 1, seen_us))

    def _listing(self, one: _Known) -> Listing:
        world, cluster = self._world, self._world.cluster
        slices, _ = world.dependents_of(np.array([one.object_]))
        slices = world.of_kind(slices, "EndpointSlice")
        slices = slices[(cluster.object_live[slices] == THERE)]
        rows = cluster.object_row[slices]
        rows = rows[cluster.endpointslice_address_type[rows] == IPV4]
        members, _ = world.members.of("endpointslice", rows)
        # A pod that moves from one slice to another may be in both for a while.
        _, first = np.unique(cluster.endpoint_serial[members], return_index=True)
        members = members[first]
        serial, pods = cluster.endpoint_serial[members], cluster.endpoint_pod[members]
        ready = cluster.endpoint_ready[members] != 0
        drains = (cluster.endpoint_serving[members] != 0) & (cluster.endpoint_terminating[members] != 0) & ~ready
        # The row of a pod that has gone may be another's by now.
        there = cluster.pod_trace_row[pods] == serial
        state = np.where(there, self._states(pods, one.publishes), GONE)
        node = np.where(there, cluster.pod_node[pods], -1)
        return Listing(
            serial, node, ready, drains, cluster.endpoint_zone_hint[members], cluster.endpoint_node_hint[members], state
        )

    def _take_flows(self, now_us: int) -> None:
        """Take flows that came, changed or went."""
        now = dict(self._world.flows)
        for key in sorted({*now, *self._flows}, key=lambda key: (key[0] or (), key[1])):
            if now.get(key) != self._flows.get(key) and key[1] in self._services:
                self._services[key[1]].served.flow(key, now.get(key), self._clients(key[0]), now_us)
        self._flows = now
        self._sources = {}
        for key in now:
            if key[0] is not None:
                self._sources.setdefault(key[0], []).append(key)

    def _take_clients(self, pods: Rows, now_us: int) -> None:
        """Take who connects anew, of workloads whose pods changed."""
        cluster, world = self._world.cluster, self._world
        owners, above = np.empty(0, np.int64), cluster.life_owner[pods]
        while self._sources and len(above := np.unique(above[above >= 0])):
            owners = np.concatenate([owners, above])
            above = cluster.object_owner[above]
        changed: set[Key] = set()
        for one in np.unique(owners).tolist():
            changed.add((world.kind_of(one).name, world.namespace(one), world.name(one)))
        by_service: dict[Key, dict[FlowKey, Clients]] = {}
        for source in sorted(changed & set(self._sources)):
            clients = self._clients(source)
            for flow in self._sources[source]:
                by_service.setdefault(flow[1], {})[flow] = clients
        for key, found in by_service.items():
            if key in self._services:
                self._services[key].served.change_clients(found, now_us)

    def _clients(self, source: Key | None) -> Clients:
        """Return the pods of a workload that run, or one client on each node."""
        world, cluster = self._world, self._world.cluster
        if source is None:
            every = np.arange(cluster.sizes["node"])
            return Clients(every + _ON_NODES, every)
        found = world.find(*source)
        owners = below = np.array([found] if found >= 0 else [], np.int64)
        while len(below):
            below, _ = world.dependents_of(below)
            owners = np.concatenate([owners, below])
        pods, _ = pods_of(cluster, owners)
        pods = pods[(cluster.life_phase[pods] == RUNNING_PHASE) & (cluster.pod_state[pods] == RUNNING)]
        pods = pods[np.argsort(cluster.pod_trace_row[pods])]
        return Clients(cluster.pod_trace_row[pods].copy(), cluster.pod_node[pods].astype(np.int64))


def _spoken_of(script: Script | None) -> set[Key]:
    """Return the Services that a scenario sends traffic to at some time."""
    effects: Iterable[Any] = (effect for action in script.actions for effect in action.effects) if script else ()
    return {effect.key[1] for effect in effects if isinstance(effect, Set) and effect.where == "flows"}
