"""Service ports of a dump: Services with the endpoints that slices, pods or workloads give them, as they stand.

A Service's endpoints are those of its EndpointSlices; without any, the pods that its selector selects and that are
ready; without these, as many as the workloads that make such pods ask for. So a whole dump, one without slices, and
plain manifests all do. They are seen from the node that holds most of them.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from kscale.errors import InputError
from kscale.network import objects
from kscale.network.ports import PROTOCOLS, Ports
from kscale.network.selected import Backends, Selected, of_endpoints
from kscale.network.versions import Version, version_of
from kscale.state.manifests.faults import Item, full_name, need, one_of
from kscale.state.manifests.kinds import group_of
from kscale.state.manifests.models import Meta
from kscale.state.manifests.names import check_labels, check_name
from kscale.state.manifests.reading import ReadOptions, read_objects

#: The label of a slice that names its Service.
SERVICE_NAME = "kubernetes.io/service-name"
_APPS = ("Deployment", "ReplicaSet", "StatefulSet", "DaemonSet")
_KINDS: dict[str, tuple[str, Any]] = {
    "Service": ("", objects.Service),
    "EndpointSlice": ("discovery.k8s.io", objects.EndpointSlice),
    "Pod": ("", objects.Pod),
    "Node": ("", objects.Node),
} | dict.fromkeys(_APPS, ("apps", objects.Workload))
_DECODE = {kind: (group, msgspec.json.Decoder(model).decode) for kind, (group, model) in _KINDS.items()}
_TYPES = ("ClusterIP", "NodePort", "LoadBalancer", "ExternalName")
_POLICIES = ("Cluster", "Local")
_ADDRESSES = ("IPv4", "IPv6", "FQDN")
_MOST_REPLICAS = 1_000_000


@dataclass(frozen=True)
class Listed:
    """A service port by its names: a row of ``Dump.ports``.

    Attributes:
        service: ``namespace/name``.
        port: its number.
        protocol: one of ``PROTOCOLS``.
        target: the endpoints' port, a number, or a name that each pod has a number for.
        backends: what is behind it.
    """

    service: str
    port: int
    protocol: str
    target: int | str
    backends: Backends

    def __str__(self) -> str:
        return f"{self.service}:{self.port}/{self.protocol}"


@dataclass(frozen=True)
class Dump:
    """What kube-proxy sees of a dump.

    Attributes:
        ports: service ports of the Services that have an address, in input order.
        node: name of the node that they are seen from; empty where no endpoint says where it is.
        left_out: Services that kube-proxy writes nothing for, by what they are.
        origins: Services by where their endpoints are from: slices, pods, workloads, nowhere.
        nodes: how many there are.
        kernel, kubernetes: the oldest among the nodes that state it; None where none does.
        listed: the rows of ``ports`` by their names.
    """

    ports: Ports
    node: str
    left_out: dict[str, int]
    origins: dict[str, int]
    nodes: int
    kernel: Version | None
    kubernetes: Version | None
    listed: tuple[Listed, ...] = ()


@dataclass
class _Found:
    """Objects as they come in; Services and slices by namespace and name of the Service."""

    services: dict[tuple[str, str], tuple[Item, objects.Service]] = field(default_factory=dict)
    slices: dict[tuple[str, str], list[objects.EndpointSlice]] = field(default_factory=lambda: defaultdict(list))
    selected: Selected = field(default_factory=Selected)
    nodes: int = 0
    kernels: list[Version] = field(default_factory=list)
    versions: list[Version] = field(default_factory=list)


def read_dump(paths: Sequence[str | Path], options: ReadOptions) -> Dump:
    """Return what files, folders or ``-`` (stdin) hold. Raises InputError and MachineError."""
    inputs: list[str] = []
    dump = dump_of(read_objects(paths, options, inputs))
    if not len(dump.ports):
        left = ", ".join(f"{count:,} {what}" for what, count in dump.left_out.items())
        problem = f"has no Service with an address{f' ({left})' if left else ''}"
        raise InputError(problem, file=", ".join(inputs)[:200], expected="of kubectl get services,endpointslices -A")
    return dump


def dump_of(items: Iterable[Item]) -> Dump:
    """Return what objects hold; no Service at all is not an error. Raises InputError that names object and field."""
    found, seen = _Found(), set[tuple[str, str, str]]()
    for item in items:
        group, decode = _DECODE.get(item.kind, ("", None))
        if decode is None or (item.api_version and group_of(item.api_version) != group):
            continue
        one = item.decode(decode)
        meta = one.metadata or Meta()
        namespace = "" if item.kind == "Node" else meta.namespace or "default"
        try:
            name = check_name(need(meta.name, "metadata.name", "a name"))
            if (item.kind, namespace, name) in seen:
                raise InputError("is there twice", expected="each object once")
            seen.add((item.kind, namespace, name))
            check_labels(meta.labels or {})
            _take(found, item, one, namespace, name)
        except InputError as error:
            item.refuse(error, full_name(namespace, meta.name))
    return _dump(found)


def _take(found: _Found, item: Item, one: Any, namespace: str, name: str) -> None:
    """Keep one object. Raises InputError."""
    if isinstance(one, objects.Service):
        found.services[namespace, name] = item, one
    elif isinstance(one, objects.EndpointSlice):
        one_of(one.address_type or "IPv4", _ADDRESSES, "addressType")
        owner = (one.metadata.labels if one.metadata else None) or {}
        if SERVICE_NAME in owner:
            found.slices[namespace, owner[SERVICE_NAME]].append(one)
    elif isinstance(one, objects.Pod):
        found.selected.add_pod(one, namespace)
    elif isinstance(one, objects.Node):
        found.nodes += 1
        info = (one.status.node_info if one.status else None) or objects.NodeInfo()
        if (info.operating_system or "linux") == "linux":
            if info.kernel_version:
                found.kernels.append(version_of(info.kernel_version, "status.nodeInfo.kernelVersion"))
            if info.kubelet_version:
                found.versions.append(version_of(info.kubelet_version, "status.nodeInfo.kubeletVersion"))
    else:
        replicas = one.spec.replicas if one.spec and one.spec.replicas is not None else 1
        if not 0 <= replicas <= _MOST_REPLICAS:
            raise InputError(f"is {replicas:,}", field="spec.replicas", expected=f"0 to {_MOST_REPLICAS:,}")
        found.selected.add_workload(one, namespace, -1 if item.kind == "DaemonSet" else replicas)


def _dump(found: _Found) -> Dump:
    rows: list[dict[str, int]] = []
    listed: list[Listed] = []
    left_out, origins = Counter[str](), Counter[str]()
    for number, ((namespace, name), (item, service)) in enumerate(found.services.items()):
        spec = service.spec or objects.ServiceSpec()
        try:
            type_ = one_of(spec.type or "ClusterIP", _TYPES, "spec.type")
            if type_ == "ExternalName" or spec.cluster_ip == "None":
                left_out["ExternalName" if type_ == "ExternalName" else "headless"] += 1
                continue
            known = _columns(service, spec, type_)
            ports = _ports(spec)
            slices = found.slices.get((namespace, name))
            if slices is not None:
                family = "IPv6" if ":" in (spec.cluster_ip or "") else "IPv4"
                origin, mine = "slices", [of_endpoints(slices, port.name or "", family) for port in ports]
            else:
                everyone = bool(spec.publish_not_ready_addresses)
                origin, one = found.selected.of(namespace, spec.selector, everyone, found.nodes)
                mine = [one] * len(ports)
        except InputError as error:
            item.refuse(error, full_name(namespace, name))
        origins[origin] += 1
        listed += [_named(f"{namespace}/{name}", *pair) for pair in zip(ports, mine, strict=True)]
        rows += [known | _port_columns(port, type_, spec) | {"service": number} for port in ports]
    backends = [one.backends for one in listed]
    node, local = _busiest(backends)
    columns = {name: [row[name] for row in rows] for name in rows[0]} if rows else {}
    counts = [one.count for one in backends]
    return Dump(
        Ports.of(counts, local_endpoints=local, **columns) if rows else Ports.uniform(0, 0), node, dict(left_out),
        dict(origins), found.nodes, min(found.kernels, default=None), min(found.versions, default=None),
        tuple(listed),
    )  # fmt: skip


def _named(service: str, port: objects.ServicePort, backends: Backends) -> Listed:
    number = port.port or 0
    return Listed(service, number, port.protocol or "TCP", port.target_port or number, backends)


def _busiest(backends: list[Backends]) -> tuple[str, list[int]]:
    """Return the node with the most endpoints, the first by name of several, and how many each port has there."""
    total = Counter[str]()
    for one in backends:
        total.update(one.nodes)
    node = min(total, key=lambda name: (-total[name], name), default="")
    return node, [one.nodes[node] for one in backends]


def _ports(spec: objects.ServiceSpec) -> tuple[objects.ServicePort, ...]:
    """Return the ports of a Service. Raises InputError."""
    ports = need(spec.ports or None, "spec.ports", "a port or more, unless clusterIP is None")
    seen = set()
    for place, port in enumerate(ports):
        where = f"spec.ports[{place}]"
        told = {"port": need(port.port, f"{where}.port", "1 to 65535"), "nodePort": port.node_port or None}
        for name, number in told.items():
            if number is not None and not 1 <= number <= 65535:
                raise InputError(f"is {number}", field=f"{where}.{name}", expected="1 to 65535")
        protocol = one_of(port.protocol or "TCP", PROTOCOLS, f"{where}.protocol")
        if (port.port, protocol) in seen:
            raise InputError(f"{port.port}/{protocol} is there twice", field=where, expected="each port once")
        seen.add((port.port, protocol))
    return ports


def _columns(service: objects.Service, spec: objects.ServiceSpec, type_: str) -> dict[str, int]:
    """Return what all ports of a Service have in common. Raises InputError."""
    balancer = (service.status.load_balancer if service.status else None) or objects.LoadBalancer()
    ingress = [one.ip for one in balancer.ingress or () if one.ip and one.ip_mode != "Proxy"]
    affinity = one_of(spec.session_affinity or "None", ("None", "ClientIP"), "spec.sessionAffinity")
    internal = one_of(spec.internal_traffic_policy or "Cluster", _POLICIES, "spec.internalTrafficPolicy")
    external = one_of(spec.external_traffic_policy or "Cluster", _POLICIES, "spec.externalTrafficPolicy")
    balanced = type_ == "LoadBalancer"
    return {
        "external_ips": len(spec.external_ips or ()),
        "load_balancer_ips": len(ingress) if balanced else 0,
        "source_ranges": len(spec.load_balancer_source_ranges or ()) if balanced else 0,
        "affinity": int(affinity == "ClientIP"),
        "internal_local": int(internal == "Local"),
        "external_local": int(external == "Local"),
        "health_check": int(balanced and external == "Local"),
    }


def _port_columns(port: objects.ServicePort, type_: str, spec: objects.ServiceSpec) -> dict[str, int]:
    # Whoever states no node port is given one, unless a load balancer is told to do without.
    given = type_ == "NodePort" or (type_ == "LoadBalancer" and spec.allocate_load_balancer_node_ports is not False)
    return {
        "node_port": int(type_ in ("NodePort", "LoadBalancer") and (given or bool(port.node_port))),
        "protocol": PROTOCOLS.index(port.protocol or "TCP"),
    }
