"""EndpointSlices: which pods are behind each Service (pkg/controller/endpointslice).

A Service's pods are those that its selector selects, that have an address, and have not finished; a pod that is being
deleted stays as terminating until it is gone. How they are packed into slices: kscale.controllers.common.packing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from kscale.controllers.common import services
from kscale.controllers.common.hints import Zones, shared_out
from kscale.controllers.common.packing import Hinting, Packed, Slices, Wanted, pack
from kscale.controllers.common.service_manifest import ANYWHERE, FAMILIES, SAME_NODE
from kscale.controllers.common.services import SERVICE, endpoints_of
from kscale.engine import members
from kscale.engine.kinds import Kind
from kscale.engine.reconcile import Controller
from kscale.engine.requests import SECOND, Requests
from kscale.engine.world import World
from kscale.state.schema import Column, NewTable

__all__ = ["COLUMNS", "ENDPOINTSLICE", "SERVICE", "SLICE"]

Rows = np.ndarray[Any, Any]
#: Bits of what is said of an endpoint.
READY, SERVING, TERMINATING = 1, 2, 4
#: What ``_code`` gives where there is no hint.
NO_HINT = 0
#: The row of cpu among resources.
_CPU = 0
_LETTERS = "bcdfghjklmnpqrstvwxz2456789"

COLUMNS = {
    **services.TABLES,
    "endpointslice": NewTable(
        "An EndpointSlice.",
        (
            *members.COLUMNS,
            Column("ports", "int64", "Number of its port map, as its Service's.", path="ports"),
            Column("address_type", "uint8", "0 IPv4, 1 IPv6; others are no longer in use.", path="addressType"),
        ),
    ),
    "endpoint": NewTable(
        "An endpoint of a slice.",
        (
            Column("pod", "int64", "Its pod.", default=-1, path="endpoints[*].targetRef"),
            Column("serial", "int64", "That pod's place in the order of arrival.", default=-1),
            Column("ready", "uint8", "1 when it should get traffic.", path="endpoints[*].conditions.ready"),
            Column("serving", "uint8", "1 when its pod is ready.", path="endpoints[*].conditions.serving"),
            Column("terminating", "uint8", "1 when its pod is being deleted.",
                   path="endpoints[*].conditions.terminating"),
            Column("zone_hint", "int64", "The zone that should use it; -1 for any.", default=-1,
                   path="endpoints[*].hints.forZones"),
            Column("node_hint", "int64", "The node that should use it; -1 for any.", default=-1,
                   path="endpoints[*].hints.forNodes"),
        ),
    ),
    "node": (
        Column("zone", "int64", "Number of its zone; -1 has none.", default=-1,
               path="metadata.labels['topology.kubernetes.io/zone']"),
        Column("control_plane", "uint8", "1 when it is labelled as one of the control plane: no share of endpoints is "
               "its due.", path="metadata.labels['node-role.kubernetes.io/control-plane']"),
    ),
    "cluster": (
        Column("endpoints_per_slice", "int64", "--max-endpoints-per-slice of kube-controller-manager, 1 to 1000.",
               default=100),
    ),
}  # fmt: skip


def _called(world: World, objects: Rows) -> list[str]:
    """A slice is called by its Service and five letters, which Kubernetes draws and its number gives here."""
    cluster = world.cluster
    names = []
    for owner, uid in zip(cluster.object_owner[objects].tolist(), cluster.object_uid[objects].tolist(), strict=True):
        number, text = (uid + 1) * 2_654_435_761 % len(_LETTERS) ** 5, ""
        for _ in range(5):
            number, letter = divmod(number, len(_LETTERS))
            text += _LETTERS[letter]
        names.append(f"{world.name(owner)}-{text}" if owner >= 0 else text)
    return names


@dataclass(frozen=True)
class _Groups:
    """Services by address family: the place of each one's key, and its address type; ascending in both."""

    place: Rows
    type: Rows

    def of(self, place: Rows, type_: Rows) -> Rows:
        """Return the groups of places of keys and address types; -1 where a Service has no such addresses."""
        code = self.place * 256 + self.type
        asked = place * 256 + type_
        at = np.searchsorted(code, asked)
        return np.where(np.append(code, -1)[at] == asked, at, -1)


def _groups(world: World, keys: Rows) -> _Groups:
    cluster = world.cluster
    families = cluster.service_families[cluster.object_row[keys]]
    place, type_ = np.nonzero((families[:, None] >> np.arange(len(FAMILIES))) & 1)
    return _Groups(place, type_)


def _zone_of(world: World, pods: Rows) -> Rows:
    return world.cluster.node_zone[world.cluster.pod_node[pods]]


def _code(zone: Rows, by_node: Rows) -> Rows:
    """Return a zone and whether the endpoint is for its own node as one number, as slices are compared."""
    return (zone + 1) * 2 + by_node


def _wanted(world: World, keys: Rows, groups: _Groups) -> tuple[Wanted, Rows]:
    """Return the endpoints of ``keys`` as they should be, and their pods."""
    cluster = world.cluster
    rows = cluster.object_row[keys]
    pods, place = endpoints_of(world, keys)
    ready, going = cluster.life_ready[pods] != 0, cluster.life_deleted_us[pods] >= 0
    counts = (ready & ~going) | (cluster.service_publish_not_ready[rows[place]] != 0)
    state = counts * READY + ready * SERVING + going * TERMINATING
    # Only ready endpoints have hints; those of topology-mode Auto depend on the slices (_hinting).
    close = cluster.service_traffic_distribution[rows[place]] * (cluster.service_topology_auto[rows[place]] == 0)
    hint = np.where(counts, _code(np.where(close != ANYWHERE, _zone_of(world, pods), -1), close == SAME_NODE), NO_HINT)
    # A Service of two families has each of its pods twice.
    each, group = [], []
    for family in range(len(FAMILIES)):
        found = groups.of(place, np.full(len(place), family))
        each.append(np.flatnonzero(found >= 0))
        group.append(found[found >= 0])
    chosen, group_ = np.concatenate(each), np.concatenate(group)
    order = np.argsort(group_, kind="stable")
    chosen, pods = chosen[order], pods[chosen[order]]
    ports = cluster.service_ports[rows[groups.place]]
    return Wanted(ports, group_[order], cluster.pod_trace_row[pods], state[chosen], hint[chosen]), pods


def _there(world: World, keys: Rows) -> tuple[Rows, Rows]:
    """Return the slices of ``keys``, those of each the oldest first, and the places of these."""
    cluster = world.cluster
    found, place = world.dependents_of(keys)
    good = (cluster.object_kind[found] == world.codes["EndpointSlice"]) & (cluster.object_live[found] == 1)
    good &= cluster.object_deleted_us[found] < 0
    found, place = found[good], place[good]
    order = np.lexsort((cluster.object_uid[found], place))
    return found[order], place[order]


def _slices(world: World, objects: Rows, group: Rows) -> Slices:
    cluster = world.cluster
    rows = cluster.object_row[objects]
    endpoints, slice_ = world.members.of("endpointslice", rows)
    state = (
        cluster.endpoint_ready[endpoints] * READY + cluster.endpoint_serving[endpoints] * SERVING
        + cluster.endpoint_terminating[endpoints] * TERMINATING
    )  # fmt: skip
    return Slices(
        group, cluster.endpointslice_ports[rows], slice_, cluster.endpoint_serial[endpoints], state,
        _code(cluster.endpoint_zone_hint[endpoints], cluster.endpoint_node_hint[endpoints] >= 0),
    )  # fmt: skip


def _hinting(world: World, auto: Rows, wanted: Wanted, pods: Rows) -> Hinting:
    """Return what gives the hints of groups that share their endpoints out by the cpu of zones (``auto``)."""
    cluster = world.cluster
    counts = np.flatnonzero(cluster.node_control_plane == 0)
    zones = Zones.of(cluster.node_zone[counts], cluster.node_allocatable[_CPU, counts])
    zone, ready = _zone_of(world, pods), wanted.state & READY != 0

    def hinting(target: Rows, position: Rows, stays: Rows, said: Rows) -> Rows:
        chosen = np.flatnonzero(auto[wanted.group])
        # Slices that are created come first, then those that are written.
        turn = np.where(target < len(stays), len(target) + target, target - len(stays))[chosen]
        chosen = chosen[np.lexsort((position[chosen], turn, wanted.group[chosen]))]
        stays = np.append(stays, np.zeros(int(target.max(initial=-1)) + 1, bool))
        kept = np.where(said[chosen] >= 0, said[chosen] // 2 - 1, -1)
        found, _ = shared_out(
            zones, len(auto), wanted.group[chosen], zone[chosen], ready[chosen], target[chosen], stays, kept
        )
        hint = wanted.hint.copy()
        hint[chosen] = _code(found, np.zeros(len(found), bool))
        return hint

    return hinting


def _step(world: World, keys: Rows, now_us: int) -> Requests:
    """Write the slices of Services whose endpoints are not what they should be."""
    cluster, requests = world.cluster, Requests()
    world.holders("Service").refresh(keys)
    served = np.flatnonzero(cluster.service_selection[cluster.object_row[keys]] >= 0)
    groups = _groups(world, keys[served])
    wanted, pods = _wanted(world, keys[served], groups)
    objects, place = _there(world, keys[served])
    group = groups.of(place, cluster.endpointslice_address_type[cluster.object_row[objects]])
    # Of a type that the Service has not, they go.
    strange = group < 0
    requests.delete_objects(served[place[strange]], objects[strange], cluster.object_uid[objects[strange]])
    objects, group = objects[~strange], group[~strange]
    by_group = np.argsort(group, kind="stable")
    objects, group = objects[by_group], group[by_group]
    auto = cluster.service_topology_auto[cluster.object_row[keys[served[groups.place]]]] != 0
    packed = pack(
        _slices(world, objects, group), wanted, int(cluster.cluster_endpoints_per_slice[0]),
        _hinting(world, auto, wanted, pods) if auto.any() else None,
    )  # fmt: skip
    _ask(world, served[groups.place], groups, keys, objects, group, packed, wanted, pods, requests)
    return requests


def _ask(
    world: World, key: Rows, groups: _Groups, keys: Rows, objects: Rows, group: Rows, packed: Packed, wanted: Wanted,
    pods: Rows, requests: Requests,
) -> None:  # fmt: skip
    """Ask for what was found: new slices first, then those that change, then those that go; a call for each."""
    cluster = world.cluster
    order = packed.order
    state, hint = wanted.state[order], packed.hint[order]
    values = {
        "pod": pods[order], "serial": wanted.serial[order], "ready": state & READY != 0,
        "serving": state & SERVING != 0, "terminating": state & TERMINATING != 0, "zone_hint": hint // 2 - 1,
        "node_hint": np.where(hint % 2 != 0, cluster.pod_node[pods[order]], -1),
    }  # fmt: skip
    target, there = packed.target[order], len(objects)
    # A Service that is being deleted gets no new ones: the garbage collector takes its slices away.
    owners = keys[key[packed.new_group]]
    made = np.flatnonzero(cluster.object_deleted_us[owners] < 0)
    new_group = packed.new_group[made]
    requests.create_objects(
        key[new_group], "EndpointSlice", owners[made],
        {"ports": packed.new_ports[made], "address_type": groups.type[new_group], **_ranges(target, there + made)},
        values,
    )  # fmt: skip
    written = np.flatnonzero(packed.written)
    requests.update(
        key[group[written]], "EndpointSlice", objects[written],
        {"ports": packed.ports[written], **_ranges(target, written)}, members=values,
    )  # fmt: skip
    deleted = objects[packed.deleted]
    requests.delete_objects(key[group[packed.deleted]], deleted, cluster.object_uid[deleted])


def _ranges(target: Rows, wanted: Rows) -> dict[str, Rows]:
    first = np.searchsorted(target, wanted)
    return {"members_first": first, "members_count": np.searchsorted(target, wanted, "right") - first}


SLICE = Kind("EndpointSlice", "endpointslice", called=_called, members="endpoint")
ENDPOINTSLICE = Controller("endpointslice", "Service", _step, keys=services.of_changed, base_us=SECOND)
