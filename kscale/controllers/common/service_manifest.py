"""How Services are read: v1.Service, with the API server's defaults and checks (pkg/apis/core/validation)."""

from __future__ import annotations

from typing import Any

import msgspec

from kscale.controllers.common import addresses
from kscale.controllers.common.service_ports import Port, take_ports
from kscale.errors import InputError
from kscale.state.manifests import models
from kscale.state.manifests.faults import need, one_of
from kscale.state.manifests.names import check_labels
from kscale.state.manifests.selectors import equality_selector
from kscale.state.manifests.workloads import Taking

#: Values of ``service_type``.
TYPES = ("ClusterIP", "NodePort", "LoadBalancer", "ExternalName")
CLUSTER_IP, NODE_PORT, LOAD_BALANCER, EXTERNAL_NAME = range(4)
#: Values of ``service_traffic_distribution``.
ANYWHERE, SAME_ZONE, SAME_NODE = range(3)
DISTRIBUTIONS = {"PreferClose": SAME_ZONE, "PreferSameZone": SAME_ZONE, "PreferSameNode": SAME_NODE}
#: Bits of ``service_families``, in the order of values of ``endpointslice_address_type``.
FAMILIES = ("IPv4", "IPv6")
#: Values of ``service_internal_policy`` and ``service_external_policy``.
POLICIES = ("Cluster", "Local")
#: Annotations that ask for topology hints; the older one goes first where both are there.
TOPOLOGY = ("service.kubernetes.io/topology-aware-hints", "service.kubernetes.io/topology-mode")
#: Seconds that ClientIP affinity lasts where nothing is stated, and at most (v1.ClientIPConfig).
AFFINITY_S, MOST_AFFINITY_S = 10_800, 86_400
_SECOND = 1_000_000


class ClientIP(models.Part, frozen=True):
    """v1.ClientIPConfig."""

    timeout_seconds: int | None = None


class AffinityConfig(models.Part, frozen=True):
    """v1.SessionAffinityConfig."""

    client_ip: ClientIP | None = msgspec.field(default=None, name="clientIP")


class ServiceSpec(models.Part, frozen=True):
    """v1.ServiceSpec."""

    selector: dict[str, str] | None = None
    ports: tuple[Port, ...] | None = None
    cluster_ip: str | None = msgspec.field(default=None, name="clusterIP")
    cluster_ips: tuple[str, ...] | None = msgspec.field(default=None, name="clusterIPs")
    type: str | None = None
    external_name: str | None = None
    external_ips: tuple[str, ...] | None = msgspec.field(default=None, name="externalIPs")
    load_balancer_source_ranges: tuple[str, ...] | None = None
    session_affinity: str | None = None
    session_affinity_config: AffinityConfig | None = None
    internal_traffic_policy: str | None = None
    external_traffic_policy: str | None = None
    health_check_node_port: int | None = None
    allocate_load_balancer_node_ports: bool | None = None
    publish_not_ready_addresses: bool | None = None
    traffic_distribution: str | None = None
    ip_families: tuple[str, ...] | None = None


class Ingress(models.Part, frozen=True):
    """v1.LoadBalancerIngress."""

    ip: str | None = None
    ip_mode: str | None = None


class LoadBalancerStatus(models.Part, frozen=True):
    """v1.LoadBalancerStatus."""

    ingress: tuple[Ingress, ...] | None = None


class ServiceStatus(models.Part, frozen=True):
    """v1.ServiceStatus."""

    load_balancer: LoadBalancerStatus | None = None


class Service(models.Part, frozen=True):
    """v1.Service."""

    metadata: models.Meta | None = None
    spec: ServiceSpec | None = None
    status: ServiceStatus | None = None


def take(taking: Taking, found: Service) -> dict[str, Any]:
    """Return the columns of a Service. Raises InputError."""
    spec = found.spec or ServiceSpec()
    type_ = TYPES.index(one_of(spec.type or "ClusterIP", TYPES, "spec.type"))
    headless = spec.cluster_ip == "None"
    if headless and type_ in (NODE_PORT, LOAD_BALANCER):
        raise InputError("is None", field="spec.clusterIP", expected=f"an address, for the type {TYPES[type_]}")
    if type_ == EXTERNAL_NAME:
        need(spec.external_name, "spec.externalName", "a host name, for the type ExternalName")
    elif not spec.ports and not headless:
        raise InputError("is missing", field="spec.ports", expected="a port or more, unless clusterIP is None")
    selector = spec.selector or {}
    check_labels(selector, "spec.selector")
    selects = bool(selector) and type_ != EXTERNAL_NAME
    if spec.traffic_distribution is not None:
        one_of(spec.traffic_distribution, DISTRIBUTIONS, "spec.trafficDistribution")
    return {
        "type": type_,
        "selection": taking.selection(equality_selector(selector), set(selector)) if selects else -1,
        "headless": int(headless),
        "publish_not_ready": int(bool(spec.publish_not_ready_addresses)),
        "traffic_distribution": DISTRIBUTIONS.get(spec.traffic_distribution or "", ANYWHERE),
        "topology_auto": _asks_for_hints(taking.meta.annotations or {}),
        "affinity_us": _affinity(spec),
        **_addresses(taking, spec, type_),
        **take_ports(taking, spec.ports or (), may_state=type_ in (NODE_PORT, LOAD_BALANCER)),
        **_outside(taking, found, spec, type_),
    }  # fmt: skip


def _asks_for_hints(annotations: dict[str, str]) -> int:
    stated = next((annotations[key] for key in TOPOLOGY if key in annotations), "")
    return int(stated in ("Auto", "auto"))


def _affinity(spec: ServiceSpec) -> int:
    """Return how long a client stays with an endpoint, in microseconds; 0 is not at all. Raises InputError."""
    stated = one_of(spec.session_affinity or "None", ("None", "ClientIP"), "spec.sessionAffinity")
    where, config = "spec.sessionAffinityConfig", spec.session_affinity_config
    if stated == "None":
        if config is not None and config.client_ip is not None:
            raise InputError("is stated, and sessionAffinity is None", field=where, expected="one of the two")
        return 0
    seconds = config.client_ip.timeout_seconds if config is not None and config.client_ip is not None else None
    seconds = AFFINITY_S if seconds is None else seconds
    if not 1 <= seconds <= MOST_AFFINITY_S:
        raise InputError(
            f"is {seconds}", field=f"{where}.clientIP.timeoutSeconds", expected=f"1 to {MOST_AFFINITY_S:,} seconds"
        )
    return seconds * _SECOND


def _addresses(taking: Taking, spec: ServiceSpec, type_: int) -> dict[str, Any]:
    """Return its families, and the addresses that it states for itself. Raises InputError."""
    stated = list(spec.cluster_ips or ())
    first = spec.cluster_ip or ""
    if stated and first and stated[0] != first:
        raise InputError(f"begins with '{stated[0][:80]}'", field="spec.clusterIPs", expected=f"'{first[:80]}' first")
    stated = stated or ([first] if first else [])
    if stated and type_ == EXTERNAL_NAME:
        raise InputError("is stated", field="spec.clusterIP", expected="none, for the type ExternalName")
    found: dict[str, tuple[str, Any]] = {}
    for place, text in enumerate(stated if stated != ["None"] else ()):
        where = "spec.clusterIP" if text == first else f"spec.clusterIPs[{place}]"
        family, address = addresses.parse(text, where)
        if family in found:
            raise InputError("has two addresses of a family", field="spec.clusterIPs", expected="one of each")
        found[family] = text, address
    families = spec.ip_families or tuple(found) or ("IPv4",)
    for place, family in enumerate(families):
        one_of(family, FAMILIES, f"spec.ipFamilies[{place}]")
    if len(set(families)) < len(families):
        raise InputError("names a family twice", field="spec.ipFamilies", expected="each family once")
    strange = next((family for family in found if family not in families), None)
    if strange is not None:
        raise InputError(f"is an {strange} address", field="spec.clusterIP", expected="one of spec.ipFamilies")
    if "IPv6" in families and "IPv6" not in found and stated != ["None"] and type_ != EXTERNAL_NAME:
        taking.note("Service: IPv6 addresses are not given out")
    return {
        "families": sum(1 << FAMILIES.index(family) for family in families),
        "asked_ip": int(found["IPv4"][1]) if "IPv4" in found else -1,
        "cluster_ip6": taking.text(str(found["IPv6"][1])) if "IPv6" in found else -1,
    }  # fmt: skip


def _outside(taking: Taking, found: Service, spec: ServiceSpec, type_: int) -> dict[str, Any]:
    """Return what concerns traffic from outside of the cluster, and the policies. Raises InputError."""
    balanced = type_ == LOAD_BALANCER
    outside = list(spec.external_ips or ())
    for place, text in enumerate(outside):
        addresses.parse(text, f"spec.externalIPs[{place}]")
    ranges = [text.strip() for text in spec.load_balancer_source_ranges or ()]
    for place, text in enumerate(ranges):
        addresses.parse_network(text, f"spec.loadBalancerSourceRanges[{place}]")
    _only(bool(ranges), balanced, "spec.loadBalancerSourceRanges", "the type LoadBalancer")
    allocates = spec.allocate_load_balancer_node_ports
    _only(allocates is not None, balanced, "spec.allocateLoadBalancerNodePorts", "the type LoadBalancer")
    reached = type_ in (NODE_PORT, LOAD_BALANCER) or (type_ == CLUSTER_IP and bool(outside))
    external, internal = spec.external_traffic_policy, spec.internal_traffic_policy
    _only(bool(external), reached, "spec.externalTrafficPolicy", "a Service that is reached from outside")
    policy = POLICIES.index(one_of(external or "Cluster", POLICIES, "spec.externalTrafficPolicy"))
    health = spec.health_check_node_port or 0
    _only(
        health != 0, balanced and policy == 1, "spec.healthCheckNodePort",
        "the type LoadBalancer with externalTrafficPolicy Local",
    )  # fmt: skip
    if health and not 1 <= health <= 65535:
        raise InputError(f"is {health}", field="spec.healthCheckNodePort", expected="1 to 65535")
    balancer = (found.status.load_balancer if found.status else None) or LoadBalancerStatus()
    ingress = [one.ip for one in balancer.ingress or () if one.ip and one.ip_mode != "Proxy"] if balanced else []
    for place, text in enumerate(ingress):
        addresses.parse(text, f"status.loadBalancer.ingress[{place}].ip")
    return {
        "external_ip": [taking.text(text) for text in outside] or [-1],
        "load_balancer_ip": [taking.text(text) for text in ingress] or [-1],
        "source_range": [taking.text(text) for text in ranges] or [-1],
        "allocates": int(allocates is not False),
        "external_policy": policy,
        "internal_policy": POLICIES.index(one_of(internal or "Cluster", POLICIES, "spec.internalTrafficPolicy")),
        "asked_health_port": health,
    }  # fmt: skip


def _only(stated: bool, allowed: bool, field: str, whose: str) -> None:
    if stated and not allowed:
        raise InputError("is stated", field=field, expected=f"it with {whose} only")
