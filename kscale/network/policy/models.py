"""NetworkPolicy, and what of pods and nodes it is about, as typed structs; every field may be missing or null."""

from __future__ import annotations

import msgspec

from kscale.state.manifests.models import LabelSelector, Meta, Part


class IpBlock(Part, frozen=True):
    """networking.k8s.io/v1 IPBlock."""

    cidr: str | None = None
    excepted: tuple[str, ...] | None = msgspec.field(default=None, name="except")


class Peer(Part, frozen=True):
    """networking.k8s.io/v1 NetworkPolicyPeer."""

    pod_selector: LabelSelector | None = None
    namespace_selector: LabelSelector | None = None
    ip_block: IpBlock | None = None


class Port(Part, frozen=True):
    """networking.k8s.io/v1 NetworkPolicyPort."""

    protocol: str | None = None
    port: int | str | None = None
    end_port: int | None = None


class IngressRule(Part, frozen=True):
    """networking.k8s.io/v1 NetworkPolicyIngressRule."""

    ports: tuple[Port, ...] | None = None
    peers: tuple[Peer, ...] | None = msgspec.field(default=None, name="from")


class EgressRule(Part, frozen=True):
    """networking.k8s.io/v1 NetworkPolicyEgressRule."""

    ports: tuple[Port, ...] | None = None
    peers: tuple[Peer, ...] | None = msgspec.field(default=None, name="to")


class PolicySpec(Part, frozen=True):
    """networking.k8s.io/v1 NetworkPolicySpec."""

    pod_selector: LabelSelector | None = None
    ingress: tuple[IngressRule, ...] | None = None
    egress: tuple[EgressRule, ...] | None = None
    policy_types: tuple[str, ...] | None = None


class NetworkPolicy(Part, frozen=True):
    """networking.k8s.io/v1 NetworkPolicy."""

    metadata: Meta | None = None
    spec: PolicySpec | None = None


class ContainerPort(Part, frozen=True):
    """v1.ContainerPort."""

    name: str | None = None
    container_port: int | None = None
    protocol: str | None = None


class Container(Part, frozen=True):
    """v1.Container, also an init container."""

    ports: tuple[ContainerPort, ...] | None = None
    restart_policy: str | None = None


class PodSpec(Part, frozen=True):
    """v1.PodSpec."""

    node_name: str | None = None
    service_account_name: str | None = None
    host_network: bool | None = None
    containers: tuple[Container, ...] | None = None
    init_containers: tuple[Container, ...] | None = None


class PodIp(Part, frozen=True):
    """v1.PodIP."""

    ip: str | None = None


class PodStatus(Part, frozen=True):
    """v1.PodStatus."""

    phase: str | None = None
    pod_ip: str | None = msgspec.field(default=None, name="podIP")
    pod_ips: tuple[PodIp, ...] | None = msgspec.field(default=None, name="podIPs")


class Pod(Part, frozen=True):
    """v1.Pod."""

    metadata: Meta | None = None
    spec: PodSpec | None = None
    status: PodStatus | None = None


class NodeAddress(Part, frozen=True):
    """v1.NodeAddress."""

    type: str | None = None
    address: str | None = None


class NodeStatus(Part, frozen=True):
    """v1.NodeStatus."""

    addresses: tuple[NodeAddress, ...] | None = None


class Node(Part, frozen=True):
    """v1.Node."""

    metadata: Meta | None = None
    status: NodeStatus | None = None


class ServiceSpec(Part, frozen=True):
    """v1.ServiceSpec."""

    cluster_ip: str | None = msgspec.field(default=None, name="clusterIP")
    cluster_ips: tuple[str, ...] | None = msgspec.field(default=None, name="clusterIPs")


class Service(Part, frozen=True):
    """v1.Service."""

    metadata: Meta | None = None
    spec: ServiceSpec | None = None
