"""Services as columns, and the pods that they select."""

from __future__ import annotations

from typing import Any

import numpy as np

from kscale.controllers.common.service_manifest import Service, take
from kscale.engine.kinds import Kind
from kscale.engine.objects import FAILED, SUCCEEDED
from kscale.engine.world import World
from kscale.state.manifests.workloads import Manifest
from kscale.state.schema import Column, NewTable

Rows = np.ndarray[Any, Any]
_PORT, _EXTERNAL, _BALANCER, _SOURCE = (
    ("service", name) for name in ("service_port", "external_ip", "load_balancer_ip", "source_range")
)

TABLE = NewTable(
    "A Service.",
    (
        Column("type", "uint8", "0 ClusterIP, 1 NodePort, 2 LoadBalancer, 3 ExternalName.", path="spec.type"),
        Column("selection", "int64", "The pods that it selects; -1 where it has no selector.", default=-1,
               path="spec.selector"),
        Column("ports", "int64", "Number of what its endpoints' ports are: equal ones have one; 0 is for none.",
               path="spec.ports"),
        Column("families", "uint8", "Bit set of its address families: 1 IPv4, 2 IPv6.", default=1,
               path="spec.ipFamilies"),
        Column("headless", "uint8", "1 when it has no address of its own.", path="spec.clusterIP"),
        Column("publish_not_ready", "uint8", "1 when all its endpoints count as ready.",
               path="spec.publishNotReadyAddresses"),
        Column("traffic_distribution", "uint8", "Where its traffic should stay: 0 anywhere, 1 the zone, 2 the node.",
               path="spec.trafficDistribution"),
        Column("topology_auto", "uint8", "1 when zones should get endpoints in proportion to their cpu.",
               path="metadata.annotations['service.kubernetes.io/topology-mode']"),
        Column("affinity_us", "int64", "How long a client stays with an endpoint; 0 is not at all.", "us",
               path="spec.sessionAffinityConfig.clientIP.timeoutSeconds"),
        Column("internal_policy", "uint8", "0 Cluster, 1 Local.", path="spec.internalTrafficPolicy"),
        Column("external_policy", "uint8", "0 Cluster, 1 Local.", path="spec.externalTrafficPolicy"),
        Column("allocates", "uint8", "1 when a LoadBalancer gets node ports.", default=1,
               path="spec.allocateLoadBalancerNodePorts"),
        Column("asked_ip", "int64", "The IPv4 address that it states, as a number; -1 is none.", default=-1,
               path="spec.clusterIP"),
        Column("asked_health_port", "int64", "The health check node port that it states; 0 is none.",
               path="spec.healthCheckNodePort"),
        Column("cluster_ip", "int64", "The IPv4 address that it has, as a number; -1 has none.", default=-1,
               path="spec.clusterIP"),
        Column("cluster_ip6", "int64", "Text of the IPv6 address that it states; -1 is none.", default=-1,
               path="spec.clusterIPs"),
        Column("health_port", "int64", "The health check node port that it has; 0 has none.",
               path="spec.healthCheckNodePort"),
        Column("refusal", "uint8", "Why it has no address or no node port: see service_addresses; 0 is not refused."),
        Column("refusals", "int64", "How often it came to be refused."),
        Column("external_ip", "int64", "Texts of addresses that others route to its nodes; -1 is none.", default=-1,
               dims=_EXTERNAL, path="spec.externalIPs"),
        Column("load_balancer_ip", "int64", "Texts of addresses of its load balancer; -1 is none.", default=-1,
               dims=_BALANCER, path="status.loadBalancer.ingress"),
        Column("source_range", "int64", "Texts of ranges of clients that its load balancer lets in; -1 is none.",
               default=-1, dims=_SOURCE, path="spec.loadBalancerSourceRanges"),
        Column("port_number", "int64", "Its ports; 0 is none.", dims=_PORT, path="spec.ports[*].port"),
        Column("port_protocol", "uint8", "0 TCP, 1 UDP, 2 SCTP.", dims=_PORT, path="spec.ports[*].protocol"),
        Column("port_name", "int64", "Text of the name; -1 is no port.", default=-1, dims=_PORT,
               path="spec.ports[*].name"),
        Column("port_target", "int64", "The port of pods; -1 is told by its name.", default=-1, dims=_PORT,
               path="spec.ports[*].targetPort"),
        Column("port_target_name", "int64", "Text of that name; -1 has none.", default=-1, dims=_PORT,
               path="spec.ports[*].targetPort"),
        Column("port_asked", "int64", "The node port that it states; 0 is none.", dims=_PORT,
               path="spec.ports[*].nodePort"),
        Column("port_node", "int64", "The node port that it has; 0 has none.", dims=_PORT,
               path="spec.ports[*].nodePort"),
        Column("port_node_for", "int64", "Text of the name of the port that this was given to; -1 is none.", default=-1,
               dims=_PORT),
    ),
)  # fmt: skip


TABLES = {
    "service": TABLE,
    "service_port": NewTable("A place in the list of a Service's ports.", ()),
    "external_ip": NewTable("A place in the list of a Service's external addresses.", ()),
    "load_balancer_ip": NewTable("A place in the list of addresses of a Service's load balancer.", ()),
    "source_range": NewTable("A place in the list of ranges that a Service's load balancer lets in.", ()),
}


def started(world: World, pods: Rows) -> Rows:
    """Tell which pods may be endpoints: those with an address that have not finished, be they deleted or not."""
    cluster = world.cluster
    phase = cluster.life_phase[pods]
    return (cluster.life_addressed[pods] != 0) & (phase != SUCCEEDED) & (phase != FAILED)


def of_changed(world: World, objects: Rows, pods: Rows) -> Rows:
    """Return the Services that changed, and those that select pods that changed."""
    world.holders("Service").refresh(objects)
    handles, _ = world.selected.handles(pods)
    return np.union1d(world.of_kind(objects, "Service"), world.holders("Service").of(handles))


def endpoints_of(world: World, services: Rows) -> tuple[Rows, Rows]:
    """Return the pods that are endpoints of Services, in the order of arrival, and for each its place in these."""
    cluster = world.cluster
    pods, place = world.selected.pods(cluster.service_selection[cluster.object_row[services]])
    good = started(world, pods)
    return pods[good], place[good]


SERVICE = Kind("Service", "service", manifest=Manifest(("",), Service, take))
