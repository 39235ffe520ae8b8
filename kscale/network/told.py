"""What kube-proxies are told of: changes of slices and Services, taken out of the world's log of changed objects.

It costs by what changed: of each slice the endpoints are kept as they were last written. The view is that of IPv4; a
headless Service, and one of the type ExternalName, is not told of: kube-proxy writes nothing for it.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np

from kscale.engine.kinds import THERE
from kscale.engine.world import World
from kscale.network.clusterports import EXTERNAL_NAME, IPV4
from kscale.network.programming.models import Changes

Rows = np.ndarray[Any, Any]
#: Bits of what is said of an endpoint; 0 where it is not in the slice.
LISTED, READY, SERVING, TERMINATING = 1, 2, 4, 8
#: What a proxy sees of a Service beside its endpoints.
_SEEN = (
    "type", "cluster_ip", "families", "headless", "affinity_us", "internal_policy", "external_policy", "health_port",
    "external_ip", "load_balancer_ip", "source_range", "port_number", "port_protocol", "port_node",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class EndpointChanges:
    """Endpoints of slices that are otherwise than before, one row each; int64 columns.

    Attributes:
        change: number of the change that tells of it, as ``programming.Proxies`` counts them.
        service: the Service's ``object_uid``, which is its number among ``Changes`` as well.
        serial: the pod's place in the order of arrival.
        node: the pod's node.
        before, after: bits of what the slice says of it: LISTED, READY, SERVING, TERMINATING; 0 is not there.
    """

    change: Rows
    service: Rows
    serial: Rows
    node: Rows
    before: Rows
    after: Rows

    @classmethod
    def none(cls) -> EndpointChanges:
        """Return no rows."""
        return cls(*(np.zeros(0, np.int64) for _ in fields(cls)))

    def __len__(self) -> int:
        return len(self.change)

    def and_then(self, others: EndpointChanges) -> EndpointChanges:
        """Return these and others after them."""
        return EndpointChanges(
            *(np.concatenate([getattr(self, one.name), getattr(others, one.name)]) for one in fields(self))
        )

    def __getitem__(self, rows: slice) -> EndpointChanges:
        return EndpointChanges(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})


class _Listed(NamedTuple):
    """The endpoints of a slice, in the order of serials, and its ports."""

    service: int
    serial: Rows
    state: Rows
    node: Rows
    hint: Rows
    ports: int


class Told:
    """Collects what changed. Changes are numbered from 0 as they are found."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._slices: dict[int, _Listed] = {}
        self._services: dict[int, bytes] = {}
        self._rows: list[tuple[int, int, int, int, int]] = []
        self._endpoints: list[Rows] = []
        self._count = 0

    @property
    def count(self) -> int:
        """How many changes were found so far."""
        return self._count

    def collect(self, now_us: int) -> None:
        """Note what is in the log, written now: before controllers look, for what a scenario did, and after."""
        world, cluster = self._world, self._world.cluster
        if not world.versions.get("Service"):
            return
        changed = np.sort(cluster.object_log[: cluster.cluster_objects_changed[0]])
        for one in world.of_kind(changed, "Service").tolist():
            self._service(one, now_us)
        for one in world.of_kind(changed, "EndpointSlice").tolist():
            self._slice(one, now_us)

    def taken(self, until_us: int) -> tuple[Changes, EndpointChanges]:
        """Return what was written up to and with ``until_us``, and forget it."""
        count = sum(1 for row in self._rows if row[0] <= until_us)
        rows = np.array(self._rows[:count], np.int64).reshape(-1, 5)
        del self._rows[:count]
        every = np.concatenate([np.empty((0, 6), np.int64), *self._endpoints])
        cut = int(np.searchsorted(every[:, 0], self._count - len(self._rows)))
        self._endpoints = [every[cut:]]
        changes = Changes.of(rows[:, 0], rows[:, 2], trigger_us=rows[:, 1], endpoints=rows[:, 3], measured=rows[:, 4])
        return changes, EndpointChanges(*every[:cut].T)

    def _note(self, now_us: int, trigger_us: int, service: int, endpoints: int, measured: int) -> None:
        self._rows.append((now_us, min(trigger_us, now_us), service, endpoints, measured))
        self._count += 1

    def _is_proxied(self, service: int) -> bool:
        cluster, row = self._world.cluster, self._world.cluster.object_row[service]
        return bool(
            cluster.service_type[row] != EXTERNAL_NAME and cluster.service_headless[row] == 0
            and cluster.service_cluster_ip[row] >= 0
        )  # fmt: skip

    def _service(self, service: int, now_us: int) -> None:
        """Note a Service whose proxies have to write something else, beside its endpoints."""
        cluster = self._world.cluster
        uid, row = int(cluster.object_uid[service]), cluster.object_row[service]
        seen = b""
        if cluster.object_live[service] == THERE and self._is_proxied(service):
            seen = b"".join(cluster.columns[f"service_{name}"][row].tobytes() for name in _SEEN)
        known = self._services.get(uid, b"")
        if seen == known:
            return
        self._note(now_us, now_us, uid, 0, 0)
        self._services[uid] = seen
        if not (seen and known):
            # Its slices may have been there before its address, or stay a moment longer.
            found, _ = self._world.dependents_of(np.array([service]))
            for one in np.sort(self._world.of_kind(found, "EndpointSlice")).tolist():
                self._slice(one, now_us)

    def _slice(self, slice_: int, now_us: int) -> None:
        cluster = self._world.cluster
        uid = int(cluster.object_uid[slice_])
        before, after = self._slices.get(uid), self._read(slice_)
        if after is None:
            self._slices.pop(uid, None)
        else:
            self._slices[uid] = after
        if before is not None or after is not None:
            self._compare(before or _nothing(after), after or _nothing(before), now_us)

    def _read(self, slice_: int) -> _Listed | None:
        """Return what a slice lists; None where it is gone, or is none that proxies watch."""
        cluster, owner = self._world.cluster, int(self._world.cluster.object_owner[slice_])
        row = cluster.object_row[slice_]
        if cluster.object_live[slice_] != THERE or owner < 0 or cluster.endpointslice_address_type[row] != IPV4:
            return None
        if not self._is_proxied(owner):
            return None
        rows, _ = self._world.members.of("endpointslice", np.array([row]))
        rows = rows[np.argsort(cluster.endpoint_serial[rows])]
        state = (
            LISTED + cluster.endpoint_ready[rows].astype(np.int64) * READY
            + cluster.endpoint_serving[rows].astype(np.int64) * SERVING
            + cluster.endpoint_terminating[rows].astype(np.int64) * TERMINATING
        )  # fmt: skip
        pods = cluster.endpoint_pod[rows]
        hint = np.stack([cluster.endpoint_zone_hint[rows], cluster.endpoint_node_hint[rows], pods])
        return _Listed(
            int(cluster.object_uid[owner]), cluster.endpoint_serial[rows], state, cluster.pod_node[pods], hint,
            int(cluster.endpointslice_ports[row]),
        )  # fmt: skip

    def _compare(self, before: _Listed, after: _Listed, now_us: int) -> None:
        """Note the write of a slice, and its endpoints that are otherwise than before."""
        serial = np.union1d(before.serial, after.serial)
        was, now = _states(before, serial), _states(after, serial)
        changed = np.flatnonzero(was != now)
        told = np.array_equal(before.serial, after.serial) and np.array_equal(before.hint[:2], after.hint[:2])
        if not len(changed) and told and before.ports == after.ports:
            return
        serial, was, now = serial[changed], was[changed], now[changed]
        places = [np.searchsorted(one.serial, serial) for one in (before, after)]
        pod, node = (
            np.where(now > 0, _at(new, places[1]), _at(old, places[0]))
            for old, new in ((before.hint[2], after.hint[2]), (before.node, after.node))
        )
        ready_changed = (was ^ now) & SERVING != 0
        # One that is new, and not ready yet, has said so; one that is gone says nothing.
        said = (now > 0) & (ready_changed | (was == 0))
        trigger = self._triggers(serial, pod, was, now, now_us)
        self._endpoints.append(
            np.stack(
                [np.full(len(serial), self._count), np.full(len(serial), after.service), serial, node, was, now], 1
            )
        )
        since = int((trigger[said] if said.any() else trigger).min(initial=now_us))
        self._note(now_us, since, after.service, len(changed), int(said.any()))

    def _triggers(self, serial: Rows, pod: Rows, was: Rows, now: Rows, now_us: int) -> Rows:
        """Return when what slices tell of endpoints happened; now, where the pod's row is another pod's by now."""
        cluster = self._world.cluster
        known = (pod >= 0) & (cluster.pod_trace_row[pod] == serial)
        gone, going = now == 0, (now & ~was) & TERMINATING != 0
        fresh = (was == 0) & (now & SERVING == 0)
        # A pod that is ready or ceases to be says when; else it was deleted, or has only started.
        found = np.where(
            gone, cluster.pod_ended_us[pod],
            np.where(
                (was ^ now) & SERVING != 0, cluster.life_ready_us[pod],
                np.where(going, cluster.life_deleted_us[pod], np.where(fresh, cluster.pod_started_us[pod], now_us)),
            ),
        )  # fmt: skip
        return np.where(known & (found >= 0) & (found <= now_us), found, now_us)


def _nothing(other: _Listed | None) -> _Listed:
    """Return what stands for a slice before it is there, and after it is gone."""
    none = np.empty(0, np.int64)
    return _Listed(other.service if other else -1, none, none, none, np.empty((3, 0), np.int64), -1)


def _states(listed: _Listed, serial: Rows) -> Rows:
    place = np.searchsorted(listed.serial, serial)
    there = _at(listed.serial, place) == serial
    return np.where(there, _at(listed.state, place), 0)


def _at(values: Rows, place: Rows) -> Rows:
    return np.append(values, -1)[place]
