"""The service ports of a cluster as its proxies see them, from the columns of Services and their slices.

Rows are read as they stand: nothing is kept from one call to the next. The view is that of IPv4, as of a kube-proxy in
a cluster of one family; a Service that has no address yet, or was refused one, is not there for a proxy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Any

import numpy as np

from kscale.engine.kinds import THERE
from kscale.engine.world import World
from kscale.network.ports import Ports
from kscale.network.usable import Endpoints, Usable, usable

Rows = np.ndarray[Any, Any]
#: Value of ``endpointslice_address_type``, and bit of ``service_families``.
IPV4, _IPV4_BIT = 0, 1
#: Value of ``service_type`` of what has no address in the cluster.
EXTERNAL_NAME = 3


@dataclass(frozen=True)
class ClusterPorts:
    """Service ports, one row a Service and port of it, in the order in which the Services were made.

    Attributes:
        objects: int64 (service,), rows of Services.
        service: int64 (port,), place among ``objects``.
        number: int64 (port,), the port.
        ready, draining: int64 (port,), endpoints that are ready, and those that serve while they are being deleted.
        endpoints: of the Services.
        columns: what a proxy of any node sees alike, by the names of ``Ports``.
        ranges: int64 (service, place), texts of source ranges; -1 is none.
    """

    objects: Rows
    service: Rows
    number: Rows
    ready: Rows
    draining: Rows
    endpoints: Endpoints
    columns: dict[str, Rows]
    ranges: Rows


def cluster_ports(world: World) -> ClusterPorts:
    """Return the service ports of all Services that have an address, or are headless."""
    cluster = world.cluster
    objects = world.all_of("Service")
    rows = cluster.object_row[objects]
    seen = (cluster.object_live[objects] == THERE) & (cluster.service_type[rows] != EXTERNAL_NAME)
    seen &= (cluster.service_cluster_ip[rows] >= 0) | (cluster.service_headless[rows] != 0)
    seen &= cluster.service_families[rows] & _IPV4_BIT != 0
    objects = objects[seen]
    objects = objects[np.argsort(cluster.object_uid[objects])]
    rows = cluster.object_row[objects]
    service, place = np.nonzero(cluster.service_port_number[rows])
    row = rows[service]
    endpoints = endpoints_of(world, objects)
    columns = {
        "node_port": cluster.service_port_node[row, place] > 0,
        "external_ips": (cluster.service_external_ip[rows] >= 0).sum(1)[service],
        "load_balancer_ips": (cluster.service_load_balancer_ip[rows] >= 0).sum(1)[service],
        "source_ranges": (cluster.service_source_range[rows] >= 0).sum(1)[service],
        "affinity": cluster.service_affinity_us[row] > 0,
        "internal_local": cluster.service_internal_policy[row] != 0,
        "external_local": cluster.service_external_policy[row] != 0,
        "health_check": cluster.service_health_port[row] > 0,
        "headless": cluster.service_headless[row] != 0,
        "protocol": cluster.service_port_protocol[row, place],
        "service": service,
    }  # fmt: skip
    return ClusterPorts(
        objects, service, cluster.service_port_number[row, place], _count(endpoints, endpoints.ready)[service],
        _count(endpoints, endpoints.draining)[service], endpoints, columns, cluster.service_source_range[rows],
    )  # fmt: skip


def endpoints_of(world: World, services: Rows) -> Endpoints:
    """Return the IPv4 endpoints in the slices of Services (object rows), the oldest slice of each first."""
    cluster = world.cluster
    slices, place = world.dependents_of(services)
    good = (cluster.object_kind[slices] == world.codes["EndpointSlice"]) & (cluster.object_live[slices] == THERE)
    slices, place = slices[good], place[good]
    of_family = cluster.endpointslice_address_type[cluster.object_row[slices]] == IPV4
    slices, place = slices[of_family], place[of_family]
    order = np.lexsort((cluster.object_uid[slices], place))
    slices, place = slices[order], place[order]
    rows, slice_ = world.members.of("endpointslice", cluster.object_row[slices])
    count = np.bincount(place[slice_], minlength=len(services))
    pod, ready = cluster.endpoint_pod[rows], cluster.endpoint_ready[rows] != 0
    draining = (cluster.endpoint_serving[rows] != 0) & (cluster.endpoint_terminating[rows] != 0) & ~ready
    return Endpoints(
        np.cumsum(count) - count, count, pod, cluster.pod_node[pod].astype(np.int64), ready, draining,
        cluster.endpoint_zone_hint[rows], cluster.endpoint_node_hint[rows],
    )  # fmt: skip


def _count(endpoints: Endpoints, mask: Rows) -> Rows:
    """Return how many endpoints of a mask each Service has."""
    before = np.concatenate([[0], np.cumsum(mask)])
    counted: Rows = before[endpoints.first + endpoints.count] - before[endpoints.first]
    return counted


def chosen_by(world: World, ports: ClusterPorts, service: Rows, node: Rows) -> Usable:
    """Return which endpoints nodes use of Services: pairs (int64) of a place in ``ports.objects`` and a node's row."""
    return usable(ports.endpoints, service, node, world.cluster.node_zone[node])


def seen_by(world: World, ports: ClusterPorts, node: int, addresses: Sequence[str] = ()) -> Ports:
    """Return the service ports as the proxy of a node sees them.

    Where a traffic policy is Local, endpoints that only this policy uses count too. ``addresses`` are those of the
    node: whether source ranges let it in; none are let in without.
    """
    count = len(ports.objects)
    pairs = np.arange(count)
    found = chosen_by(world, ports, pairs, np.full(count, node))
    known = ports.columns
    reached = known["node_port"] | (known["external_ips"] + known["load_balancer_ips"] > 0)
    by_policy = known["internal_local"] | (known["external_local"] & reached)
    local = np.bincount(ports.service[by_policy], minlength=count) > 0
    chosen = found.cluster | (found.local & local[found.pair])
    counts = [np.bincount(found.pair[mask], minlength=count) for mask in (chosen, chosen & found.here)]
    return Ports.of(
        counts[0][ports.service], local_endpoints=counts[1][ports.service],
        node_allowed=_let_in(world, ports.ranges, addresses)[ports.service], **known,
    )  # fmt: skip


def seen_on_average(ports: ClusterPorts, nodes: int) -> Ports:
    """Return the service ports as the proxy of an average node sees them: of so many nodes each has its share.

    Topology hints are not looked at: all ready endpoints count, or those that are draining where none is ready.
    """
    used = np.where(ports.ready > 0, ports.ready, ports.draining)
    return Ports.of(used, local_endpoints=used // max(nodes, 1), **ports.columns)


def local_counts(ports: ClusterPorts) -> tuple[Rows, Rows, Rows, Rows]:
    """Return how many endpoints Services have on each node that has some: place of the Service, node, ready, draining.

    All int64, in the order of Services, then of nodes.
    """
    endpoints = ports.endpoints
    service = np.repeat(np.arange(len(endpoints.count)), endpoints.count)
    wide = int(endpoints.node.max(initial=0)) + 1
    codes, at = np.unique(service * wide + endpoints.node, return_inverse=True)
    ready, draining = (
        np.bincount(at[mask], minlength=len(codes)) for mask in (endpoints.ready, endpoints.draining)
    )  # fmt: skip
    return codes // wide, codes % wide, ready, draining


def _let_in(world: World, ranges: Rows, addresses: Sequence[str]) -> Rows:
    """Tell of which Services (bool) a source range holds one of the addresses."""
    known = [ip_address(text) for text in addresses]
    handles, at = np.unique(ranges, return_inverse=True)
    good = [
        handle >= 0 and any(one in ip_network(world.texts[handle], strict=False) for one in known)
        for handle in handles.tolist()
    ]
    lets: Rows = np.array(good, bool)[at].reshape(ranges.shape)
    return np.logical_or.reduce(lets, axis=1)
