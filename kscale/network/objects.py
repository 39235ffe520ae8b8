"""What kube-proxy reads of Kubernetes objects, as typed structs; every field may be missing or null."""

from __future__ import annotations

import msgspec

from kscale.state.manifests.models import Meta, Part


class ServicePort(Part, frozen=True):
    """v1.ServicePort."""

    name: str | None = None
    protocol: str | None = None
    port: int | None = None
    target_port: int | str | None = None
    node_port: int | None = None


class ServiceSpec(Part, frozen=True):
    """v1.ServiceSpec."""

    type: str | None = None
    selector: dict[str, str] | None = None
    ports: tuple[ServicePort, ...] | None = None
    cluster_ip: str | None = msgspec.field(default=None, name="clusterIP")
    external_ips: tuple[str, ...] | None = msgspec.field(default=None, name="externalIPs")
    load_balancer_source_ranges: tuple[str, ...] | None = None
    session_affinity: str | None = None
    internal_traffic_policy: str | None = None
    external_traffic_policy: str | None = None
    health_check_node_port: int | None = None
    allocate_load_balancer_node_ports: bool | None = None
    publish_not_ready_addresses: bool | None = None


class Ingress(Part, frozen=True):
    """v1.LoadBalancerIngress."""

    ip: str | None = None
    ip_mode: str | None = None


class LoadBalancer(Part, frozen=True):
    """v1.LoadBalancerStatus."""

    ingress: tuple[Ingress, ...] | None = None


class ServiceStatus(Part, frozen=True):
    """v1.ServiceStatus."""

    load_balancer: LoadBalancer | None = None


class Service(Part, frozen=True):
    """v1.Service."""

    metadata: Meta | None = None
    spec: ServiceSpec | None = None
    status: ServiceStatus | None = None


class EndpointConditions(Part, frozen=True):
    """discovery.k8s.io/v1 EndpointConditions."""

    ready: bool | None = None
    serving: bool | None = None
    terminating: bool | None = None


class Endpoint(Part, frozen=True):
    """discovery.k8s.io/v1 Endpoint."""

    addresses: tuple[str, ...] | None = None
    conditions: EndpointConditions | None = None
    node_name: str | None = None


class EndpointPort(Part, frozen=True):
    """discovery.k8s.io/v1 EndpointPort."""

    name: str | None = None
    port: int | None = None


class EndpointSlice(Part, frozen=True):
    """discovery.k8s.io/v1 EndpointSlice."""

    metadata: Meta | None = None
    address_type: str | None = None
    endpoints: tuple[Endpoint, ...] | None = None
    ports: tuple[EndpointPort, ...] | None = None


class Condition(Part, frozen=True):
    """v1.PodCondition."""

    type: str | None = None
    status: str | None = None


class PodSpec(Part, frozen=True):
    """v1.PodSpec."""

    node_name: str | None = None


class PodStatus(Part, frozen=True):
    """v1.PodStatus."""

    phase: str | None = None
    conditions: tuple[Condition, ...] | None = None


class Pod(Part, frozen=True):
    """v1.Pod."""

    metadata: Meta | None = None
    spec: PodSpec | None = None
    status: PodStatus | None = None


class Template(Part, frozen=True):
    """v1.PodTemplateSpec."""

    metadata: Meta | None = None


class WorkloadSpec(Part, frozen=True):
    """The spec of what makes pods: apps/v1 DeploymentSpec and the like."""

    replicas: int | None = None
    template: Template | None = None


class Workload(Part, frozen=True):
    """What makes pods that run on: apps/v1 Deployment, ReplicaSet, StatefulSet, DaemonSet."""

    metadata: Meta | None = None
    spec: WorkloadSpec | None = None


class NodeInfo(Part, frozen=True):
    """v1.NodeSystemInfo."""

    kernel_version: str | None = None
    kubelet_version: str | None = None
    operating_system: str | None = None


class NodeStatus(Part, frozen=True):
    """v1.NodeStatus."""

    node_info: NodeInfo | None = None


class Node(Part, frozen=True):
    """v1.Node."""

    metadata: Meta | None = None
    status: NodeStatus | None = None
