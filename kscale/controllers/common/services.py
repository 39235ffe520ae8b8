"""Services: how they are read, and the pods that they select. Addresses and node ports are not given out here."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import numpy as np

from kscale.engine.kinds import Kind
from kscale.engine.objects import RUNNING_PHASE, UNKNOWN_PHASE
from kscale.engine.world import World
from kscale.errors import InputError
from kscale.state.manifests import models
from kscale.state.manifests.faults import need, one_of
from kscale.state.manifests.names import check_labels
from kscale.state.manifests.selectors import equality_selector
from kscale.state.manifests.workloads import Manifest, Taking
from kscale.state.schema import Column, NewTable

Rows = np.ndarray[Any, Any]
#: Values of ``service_traffic_distribution``.
ANYWHERE, SAME_ZONE, SAME_NODE = range(3)
#: Bits of ``service_families``, in the order of values of ``endpointslice_address_type``.
FAMILIES = ("IPv4", "IPv6")
_DISTRIBUTIONS = {"PreferClose": SAME_ZONE, "PreferSameZone": SAME_ZONE, "PreferSameNode": SAME_NODE}
_TYPES = ("ClusterIP", "NodePort", "LoadBalancer", "ExternalName")
_PROTOCOLS = ("TCP", "UDP", "SCTP")
_PORT_NAME = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?", re.ASCII)
#: An IANA service name: at most 15 characters, a letter among them, no two hyphens side by side.
_TARGET_NAME = re.compile(r"(?=.*[a-z])(?!.*--)[a-z0-9](?:[-a-z0-9]{0,13}[a-z0-9])?", re.ASCII)

TABLE = NewTable(
    "A Service.",
    (
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
    ),
)  # fmt: skip


class Port(models.Part, frozen=True):
    """v1.ServicePort."""

    name: str | None = None
    protocol: str | None = None
    port: int | None = None
    target_port: int | str | None = None
    app_protocol: str | None = None


class ServiceSpec(models.Part, frozen=True):
    """v1.ServiceSpec."""

    selector: dict[str, str] | None = None
    ports: tuple[Port, ...] | None = None
    cluster_ip: str | None = msgspec.field(default=None, name="clusterIP")
    type: str | None = None
    external_name: str | None = None
    publish_not_ready_addresses: bool | None = None
    traffic_distribution: str | None = None
    ip_families: tuple[str, ...] | None = None


class Service(models.Part, frozen=True):
    """v1.Service."""

    metadata: models.Meta | None = None
    spec: ServiceSpec | None = None


def take(taking: Taking, found: Service) -> dict[str, Any]:
    """Return the columns of a Service. Raises InputError."""
    spec = found.spec or ServiceSpec()
    type_ = one_of(spec.type or "ClusterIP", _TYPES, "spec.type")
    headless = spec.cluster_ip == "None"
    if headless and type_ in ("NodePort", "LoadBalancer"):
        raise InputError("is None", field="spec.clusterIP", expected=f"an address, for the type {type_}")
    if type_ == "ExternalName":
        need(spec.external_name, "spec.externalName", "a host name, for the type ExternalName")
    elif not spec.ports and not headless:
        raise InputError("is missing", field="spec.ports", expected="a port or more, unless clusterIP is None")
    selector = spec.selector or {}
    check_labels(selector, "spec.selector")
    selects = bool(selector) and type_ != "ExternalName"
    distribution = spec.traffic_distribution
    if distribution is not None:
        one_of(distribution, _DISTRIBUTIONS, "spec.trafficDistribution")
    return {
        "selection": taking.selection(equality_selector(selector), set(selector)) if selects else -1,
        "ports": _ports(taking, spec.ports or ()),
        "families": _families(spec.ip_families or ("IPv4",)),
        "headless": int(headless),
        "publish_not_ready": int(bool(spec.publish_not_ready_addresses)),
        "traffic_distribution": _DISTRIBUTIONS.get(distribution or "", ANYWHERE),
    }


def _families(stated: tuple[str, ...]) -> int:
    for place, family in enumerate(stated):
        one_of(family, FAMILIES, f"spec.ipFamilies[{place}]")
    if len(set(stated)) < len(stated):
        raise InputError("names a family twice", field="spec.ipFamilies", expected="each family once")
    return sum(1 << FAMILIES.index(family) for family in stated)


def _ports(taking: Taking, ports: tuple[Port, ...]) -> int:
    """Return the number of what the ports of the endpoints are. Raises InputError."""
    told: list[tuple[str, str, int | str, str]] = []
    names, used = set(), set()
    for place, port in enumerate(ports):
        where = f"spec.ports[{place}]"
        number = _number(need(port.port, f"{where}.port", "1 to 65535"), f"{where}.port")
        protocol = one_of(port.protocol or "TCP", _PROTOCOLS, f"{where}.protocol")
        if (number, protocol) in used:
            raise InputError(f"{number}/{protocol} is there twice", field=where, expected="each port once")
        used.add((number, protocol))
        name = port.name or ""
        if len(ports) > 1 and not name:
            raise InputError("is missing", field=f"{where}.name", expected="a name, as there are several ports")
        if name and (_PORT_NAME.fullmatch(name) is None or name in names):
            raise InputError(
                f"'{name[:80]}' is {'there twice' if name in names else 'no port name'}", field=f"{where}.name",
                expected="names of at most 63 lower-case letters, digits and '-', each once",
            )  # fmt: skip
        names.add(name)
        target = _target(taking, port.target_port, number, f"{where}.targetPort")
        told.append((name, protocol, target, port.app_protocol or ""))
    return taking.number(["ports", sorted(told, key=str)]) + 1 if told else 0


def _target(taking: Taking, target: int | str | None, number: int, where: str) -> int | str:
    """Return a port of pods: a number, or a name that each of them has for one of its own."""
    if target is None or target in (0, ""):
        return number
    if isinstance(target, int):
        return _number(target, where)
    if _TARGET_NAME.fullmatch(target) is None:
        raise InputError(
            f"'{target[:80]}' is no port name", field=where,
            expected="1 to 65535, or at most 15 lower-case letters, digits and '-', with a letter",
        )  # fmt: skip
    taking.note("Service: a port by its name counts as one number, whatever the pods call so")
    return target


def _number(port: int, where: str) -> int:
    if not 1 <= port <= 65535:
        raise InputError(f"is {port}", field=where, expected="1 to 65535")
    return port


def started(world: World, pods: Rows) -> Rows:
    """Tell which pods may be endpoints: those with an address that have not finished, be they deleted or not."""
    cluster = world.cluster
    phase = cluster.life_phase[pods]
    return ((phase == RUNNING_PHASE) | (phase == UNKNOWN_PHASE)) & (cluster.pod_node[pods] >= 0)


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
