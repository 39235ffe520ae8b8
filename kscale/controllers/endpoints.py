"""Endpoints: the addresses of each Service in one object (pkg/controller/endpoint; deprecated since Kubernetes 1.33).

At most 1000 addresses are named, ready ones first; an annotation says that more were left out. A pod that is being
deleted is no longer among them, unless the Service publishes all. Kubernetes tells the Service of an Endpoints object
by its name; here it is linked as its owner, but the garbage collector leaves it to this controller all the same.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from kscale.controllers.common import services
from kscale.controllers.common.services import SERVICE, endpoints_of
from kscale.engine import members
from kscale.engine.kinds import Kind
from kscale.engine.reconcile import Controller
from kscale.engine.requests import Requests
from kscale.engine.world import World
from kscale.state.schema import Column, NewTable

__all__ = ["COLUMNS", "CONTROLLER", "ENDPOINTS", "SERVICE"]

Rows = np.ndarray[Any, Any]

COLUMNS = {
    **services.TABLES,
    "endpoints": NewTable(
        "An Endpoints object.",
        (
            *members.COLUMNS,
            Column("ports", "int64", "Number of its port map, as its Service's.", path="subsets[*].ports"),
            Column("over_capacity", "uint8", "1 when addresses were left out.",
                   path="metadata.annotations['endpoints.kubernetes.io/over-capacity']"),
        ),
    ),
    "address": NewTable(
        "An address of an Endpoints object.",
        (
            Column("pod", "int64", "Its pod.", default=-1, path="subsets[*].addresses[*].targetRef"),
            Column("serial", "int64", "That pod's place in the order of arrival.", default=-1),
            Column("ready", "uint8", "1 among addresses, 0 among notReadyAddresses."),
        ),
    ),
    "cluster": (
        Column("most_addresses", "int64", "The most addresses of an Endpoints object.", default=1000),
    ),
}  # fmt: skip


def _called(world: World, objects: Rows) -> list[str]:
    return [world.name(owner) for owner in world.cluster.object_owner[objects].tolist()]


def _addresses(world: World, keys: Rows) -> tuple[dict[str, Rows], Rows, Rows]:
    """Return the addresses that Services should have, for each its place in ``keys``, and which keys have too many."""
    cluster = world.cluster
    pods, place = endpoints_of(world, keys)
    publish = cluster.service_publish_not_ready[cluster.object_row[keys]][place] != 0
    named = publish | (cluster.life_deleted_us[pods] < 0)
    pods, place, publish = pods[named], place[named], publish[named]
    ready = publish | (cluster.life_ready[pods] != 0)
    most, serial = int(cluster.cluster_most_addresses[0]), cluster.pod_trace_row[pods]
    order = np.lexsort((serial, ~ready, place))
    place = place[order]
    kept = np.arange(len(place)) - np.searchsorted(place, place) < most
    order = order[kept]
    values = {"pod": pods[order], "serial": serial[order], "ready": ready[order]}
    return values, place[kept], np.bincount(place, minlength=len(keys)) > most


def _current(world: World, keys: Rows) -> Rows:
    """Return the Endpoints object of each key, -1 where it has none."""
    found, place = world.dependents_of(keys)
    good = (world.cluster.object_kind[found] == world.codes["Endpoints"]) & (world.cluster.object_live[found] == 1)
    current = np.full(len(keys), -1, np.int64)
    current[place[good]] = found[good]
    return current


def _different(world: World, current: Rows, values: dict[str, Rows], place: Rows) -> Rows:
    """Tell which of the objects ``current`` have other addresses than ``values``."""
    cluster = world.cluster
    have, of = world.members.of("endpoints", cluster.object_row[current])
    counts, wanted = np.bincount(of, minlength=len(current)), np.bincount(place, minlength=len(current))
    different = counts != wanted
    alike, alike_wanted = ~different[of], ~different[place]
    for name in ("serial", "ready"):
        other = cluster.columns[f"address_{name}"][have[alike]] != values[name][alike_wanted]
        different[of[alike][other]] = True
    return different


def _step(world: World, keys: Rows, now_us: int) -> Requests:
    """Write the Endpoints of Services whose addresses changed, and delete those of Services that are gone."""
    cluster, requests = world.cluster, Requests()
    world.holders("Service").refresh(keys)
    current = _current(world, keys)
    gone = np.flatnonzero((cluster.object_live[keys] != 1) & (current >= 0))
    requests.delete_objects(gone, current[gone], cluster.object_uid[current[gone]])
    rows = cluster.object_row[keys]
    served = np.flatnonzero((cluster.object_live[keys] == 1) & (cluster.service_selection[rows] >= 0))
    keys, rows, current = keys[served], rows[served], current[served]
    values, place, over = _addresses(world, keys)
    count = np.bincount(place, minlength=len(keys))
    columns = {
        "ports": cluster.service_ports[rows], "over_capacity": over.astype(np.int64),
        "members_first": np.cumsum(count) - count, "members_count": count,
    }  # fmt: skip
    new = np.flatnonzero(current < 0)
    requests.create_objects(served[new], "Endpoints", keys[new], {n: c[new] for n, c in columns.items()}, values)
    there = np.flatnonzero(current >= 0)
    place_there = np.searchsorted(there, place)
    among = current[place] >= 0
    of_these = {name: column[among] for name, column in values.items()}
    differs = _different(world, current[there], of_these, place_there[among])
    for name in ("ports", "over_capacity"):
        have = cluster.columns[f"endpoints_{name}"][cluster.object_row[current[there]]]
        differs |= have != columns[name][there]
    changed = there[differs]
    requests.update(
        served[changed], "Endpoints", current[changed], {n: c[changed] for n, c in columns.items()}, members=values
    )
    return requests


ENDPOINTS = Kind("Endpoints", "endpoints", called=_called, members="address", collected=False)
#: A service is tried 15 times, so that the longest wait is 5 ms doubled 14 times.
CONTROLLER = Controller("endpoints", "Service", _step, keys=services.of_changed, cap_us=81_920_000, gone=True)
