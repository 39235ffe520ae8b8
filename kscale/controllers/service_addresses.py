"""Addresses and node ports of Services, as the API server gives them out (pkg/registry/core/service).

A Service that is not headless gets an address of the cluster's range; one of the type NodePort, and a LoadBalancer that
does not say otherwise, a node port for each port. What it states is its own if it is free. Where something is refused,
the Service gets nothing, and it is looked at again when another one changes: Kubernetes would not let it be made, and a
person would try again. What is in use is read off the Services each time, so that nothing is lost or kept for good.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from kscale.controllers.common import services
from kscale.controllers.common.addresses import API_SERVER, Band, address_band, port_band
from kscale.controllers.common.allocating import first_claims, lowest_free
from kscale.controllers.common.service_manifest import EXTERNAL_NAME, LOAD_BALANCER, NODE_PORT
from kscale.engine.kinds import THERE
from kscale.engine.reconcile import Controller
from kscale.engine.requests import Requests
from kscale.engine.world import World
from kscale.state.schema import Column

__all__ = ["COLUMNS", "CONTROLLER"]

Rows = np.ndarray[Any, Any]
#: What ``service_refusal`` says, in Kubernetes' words.
REFUSALS = ("", "provided IP is already allocated", "provided port is already allocated", "range is full")
IP_TAKEN, PORT_TAKEN, FULL = range(1, 4)
_PORTS = 1 << 16

COLUMNS = {
    **services.TABLES,
    "cluster": (
        Column("service_first", "int64", "The first address that Services get: that of the API server. Default of "
               "kubeadm (--service-cluster-ip-range 10.96.0.0/12).", default=(10 << 24) + (96 << 16) + 1),
        Column("service_addresses", "int64", "How many addresses there are for Services.", "addresses", (1 << 20) - 2),
        Column("node_port_first", "int64", "The first node port (--service-node-port-range of kube-apiserver).",
               default=30_000),
        Column("node_ports", "int64", "How many node ports there are.", "ports", 2_768),
    ),
}  # fmt: skip


def _keys(world: World, objects: Rows, pods: Rows) -> Rows:
    """Services that changed, and with them all that were refused something."""
    changed = world.of_kind(objects, "Service")
    if not len(changed):
        return changed
    all_ = world.all_of("Service")
    return np.union1d(changed, all_[world.cluster.service_refusal[world.cluster.object_row[all_]] > 0])


@dataclass
class _Pass:
    """Services of a pass in the order in which they were made, and what they come to have.

    Attributes:
        address, health: of each Service, as its columns.
        number, name, asked: of each of its ports, (service, port); ``node`` what they have.
        refusal: of each Service.
    """

    address: Rows
    health: Rows
    number: Rows
    name: Rows
    asked: Rows
    node: Rows
    refusal: Rows

    def refuse(self, places: Rows, reason: int) -> None:
        """Note that Services are refused something; what was refused first stays."""
        fresh = places[self.refusal[places] == 0]
        self.refusal[fresh] = reason


def _step(world: World, keys: Rows, now_us: int) -> Requests:
    """Give Services what they are to have, and take back what they are not to have any more."""
    cluster, requests = world.cluster, Requests()
    order = np.argsort(cluster.object_uid[keys])
    rows = cluster.object_row[keys[order]]
    before = _held(world, rows)
    pass_ = _kept(world, rows)
    wants_ip, wants_port, wants_health = _wants(world, rows, pass_)
    if wants_ip.any() or wants_port.any() or wants_health.any():
        others = _others(world, keys)
        _give_addresses(world, keys[order], rows, pass_, wants_ip, cluster.service_cluster_ip[others])
        taken = np.concatenate([cluster.service_port_node[others].ravel(), cluster.service_health_port[others]])
        _give_ports(world, rows, pass_, wants_port, wants_health, taken)
        refused = pass_.refusal > 0
        kept = _kept(world, rows)
        pass_.address[refused], pass_.health[refused] = kept.address[refused], kept.health[refused]
        pass_.node[refused] = kept.node[refused]
    _ask(world, keys, rows, order, before, pass_, requests)
    return requests


def _others(world: World, keys: Rows) -> Rows:
    """Return the rows of Services that are there and not among ``keys``."""
    cluster = world.cluster
    counts = cluster.object_live == THERE
    counts[keys] = False
    all_ = world.all_of("Service")
    others: Rows = cluster.object_row[all_[counts[all_]]]
    return others


def _held(world: World, rows: Rows) -> _Pass:
    """Return what Services have, as their columns say it."""
    cluster = world.cluster
    return _Pass(
        cluster.service_cluster_ip[rows], cluster.service_health_port[rows], cluster.service_port_number[rows],
        cluster.service_port_node_for[rows], cluster.service_port_asked[rows], cluster.service_port_node[rows],
        cluster.service_refusal[rows],
    )  # fmt: skip


def _needs(world: World, rows: Rows) -> tuple[Rows, Rows, Rows]:
    """Tell which Services are to have an address, node ports, and a health check node port."""
    cluster = world.cluster
    type_ = cluster.service_type[rows]
    address = (type_ != EXTERNAL_NAME) & (cluster.service_headless[rows] == 0)
    address &= cluster.service_families[rows] & 1 > 0
    balanced = type_ == LOAD_BALANCER
    ports = (type_ == NODE_PORT) | (balanced & (cluster.service_allocates[rows] != 0))
    return address, ports, balanced & (cluster.service_external_policy[rows] != 0)


def _kept(world: World, rows: Rows) -> _Pass:
    """Return what Services keep of what they have: a node port is kept by the port's name, and unless it states one."""
    cluster = world.cluster
    address, ports, health = _needs(world, rows)
    number, name = cluster.service_port_number[rows], cluster.service_port_name[rows]
    asked = cluster.service_port_asked[rows]
    had, of = cluster.service_port_node[rows], cluster.service_port_node_for[rows]
    same = (name[:, :, None] == of[:, None, :]) & (had[:, None, :] > 0)
    node = np.where(same.any(2), np.take_along_axis(had, same.argmax(2), 1), 0) if had.shape[1] else had.copy()
    reaches = ports | (cluster.service_type[rows] == LOAD_BALANCER)
    node[(number == 0) | ~reaches[:, None] | ((asked > 0) & (asked != node))] = 0
    stated_ip, ip = cluster.service_asked_ip[rows], cluster.service_cluster_ip[rows]
    stated_health, own = cluster.service_asked_health_port[rows], cluster.service_health_port[rows]
    return _Pass(
        np.where(address & ((stated_ip < 0) | (stated_ip == ip)), ip, -1),
        np.where(health & ((stated_health == 0) | (stated_health == own)), own, 0),
        number, name, asked, node, np.zeros(len(rows), np.uint8),
    )  # fmt: skip


def _wants(world: World, rows: Rows, pass_: _Pass) -> tuple[Rows, Rows, Rows]:
    """Tell what Services lack: an address, node ports (service, port), a health check node port."""
    address, ports, health = _needs(world, rows)
    lacks = (pass_.number > 0) & (pass_.node == 0) & (ports[:, None] | (pass_.asked > 0))
    return address & (pass_.address < 0), lacks, health & (pass_.health == 0)


def _give_addresses(world: World, keys: Rows, rows: Rows, pass_: _Pass, wants: Rows, taken: Rows) -> None:
    cluster = world.cluster
    band = address_band(int(cluster.cluster_service_first[0]), int(cluster.cluster_service_addresses[0]))
    taken = np.concatenate([taken, pass_.address])
    asked = np.where(wants, cluster.service_asked_ip[rows], -1)
    first = np.flatnonzero(asked == band.first)
    own = [(world.namespace(one), world.name(one)) == API_SERVER for one in keys[first].tolist()]
    pass_.refuse(first[~np.array(own, bool)], IP_TAKEN)
    stated = np.flatnonzero((asked >= 0) & (pass_.refusal == 0))
    granted = first_claims(asked[stated], stated, taken)
    pass_.address[stated[granted]] = asked[stated[granted]]
    pass_.refuse(stated[~granted], IP_TAKEN)
    drawn = np.flatnonzero(wants & (asked < 0))
    given = lowest_free(band, np.concatenate([taken, asked[stated[granted]], [band.first]]), len(drawn))
    pass_.address[drawn[: len(given)]] = given
    pass_.refuse(drawn[len(given) :], FULL)


def _give_ports(
    world: World, rows: Rows, pass_: _Pass, wants: Rows, wants_health: Rows, taken: Rows
) -> None:  # fmt: skip
    cluster = world.cluster
    band = port_band(int(cluster.cluster_node_port_first[0]), int(cluster.cluster_node_ports[0]))
    taken = np.concatenate([taken, pass_.node.ravel(), pass_.health])
    # What is stated: ports in their order, then the health check's.
    service, place = np.nonzero(wants & (pass_.asked > 0))
    health = np.where(wants_health, cluster.service_asked_health_port[rows], 0)
    stated = np.flatnonzero(health > 0)
    asked = np.concatenate([pass_.asked[service, place], health[stated]])
    # A port of TCP and one of UDP may share a number of one Service; it may be the one that it has already.
    own = (pass_.node[service] == pass_.asked[service, place][:, None]).any(1)
    granted = first_claims(asked, np.concatenate([service, stated + len(rows)]), taken)
    granted[: len(service)] |= own
    good, well = granted[: len(service)], granted[len(service) :]
    pass_.node[service[good], place[good]] = pass_.asked[service[good], place[good]]
    pass_.health[stated[well]] = health[stated[well]]
    pass_.refuse(np.concatenate([service[~good], stated[~well]]), PORT_TAKEN)
    _draw_ports(pass_, wants & (pass_.asked == 0), wants_health & (health == 0), band, np.concatenate([taken, asked]))


def _draw_ports(pass_: _Pass, wants: Rows, wants_health: Rows, band: Band, taken: Rows) -> None:
    """Give node ports to who states none: one for each number of a Service, whatever its protocols."""
    service, place = np.nonzero(wants)
    code = service * _PORTS + pass_.number[service, place]
    have_service, have_place = np.nonzero(pass_.node > 0)
    have = have_service * _PORTS + pass_.number[have_service, have_place]
    known, first = np.unique(have, return_index=True)
    at = np.minimum(np.searchsorted(known, code), max(len(known) - 1, 0))
    shares = np.zeros(len(code), bool) if not len(known) else known[at] == code
    source = first[at[shares]]
    pass_.node[service[shares], place[shares]] = pass_.node[have_service[source], have_place[source]]
    service, place, code = service[~shares], place[~shares], code[~shares]
    # In the order of Services: their ports in the order of numbers, then the health check's.
    numbers, of = np.unique(code, return_inverse=True)
    checks = np.flatnonzero(wants_health)
    asking = np.concatenate([numbers, (checks + 1) * _PORTS])
    turn = np.argsort(asking, kind="stable")
    given = np.zeros(len(asking), np.int64)
    free = lowest_free(band, taken, len(asking))
    given[turn[: len(free)]] = free
    pass_.node[service, place] = given[of]
    pass_.health[checks] = given[len(numbers) :]
    pass_.refuse(np.unique(np.concatenate([service[given[of] == 0], checks[pass_.health[checks] == 0]])), FULL)


def _ask(
    world: World, keys: Rows, rows: Rows, order: Rows, before: _Pass, after: _Pass, requests: Requests
) -> None:  # fmt: skip
    """Ask for what differs to be written: it is a part of the calls that made the Services, and costs none."""
    names = np.where(after.node > 0, after.name, -1)
    differs = (before.address != after.address) | (before.health != after.health) | (before.refusal != after.refusal)
    differs |= (before.node != after.node).any(1) | (np.where(before.node > 0, before.name, -1) != names).any(1)
    places = np.flatnonzero(differs)
    refused = (after.refusal[places] > 0) & (after.refusal[places] != before.refusal[places])
    requests.update(
        order[places], "Service", keys[order[places]],
        {
            "cluster_ip": after.address[places], "health_port": after.health[places],
            "port_node": after.node[places], "port_node_for": names[places], "refusal": after.refusal[places],
            "refusals": world.cluster.service_refusals[rows[places]] + refused,
        },
        cost=0,
    )  # fmt: skip


CONTROLLER = Controller("service-addresses", "Service", _step, keys=_keys)
