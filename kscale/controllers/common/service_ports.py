"""The ports of Services, as they are read."""

from __future__ import annotations

import re
from typing import Any

from kscale.errors import InputError
from kscale.state.manifests import models
from kscale.state.manifests.faults import need, one_of
from kscale.state.manifests.workloads import Taking

#: Values of ``service_port_protocol``.
PROTOCOLS = ("TCP", "UDP", "SCTP")
_PORT_NAME = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?", re.ASCII)
#: An IANA service name: at most 15 characters, a letter among them, no two hyphens side by side.
_TARGET_NAME = re.compile(r"(?=.*[a-z])(?!.*--)[a-z0-9](?:[-a-z0-9]{0,13}[a-z0-9])?", re.ASCII)


class Port(models.Part, frozen=True):
    """v1.ServicePort."""

    name: str | None = None
    protocol: str | None = None
    port: int | None = None
    target_port: int | str | None = None
    node_port: int | None = None
    app_protocol: str | None = None


def take_ports(taking: Taking, ports: tuple[Port, ...], *, may_state: bool) -> dict[str, Any]:
    """Return the columns of ports, and the number of what the endpoints' ports are.

    ``may_state``: whether its type lets it have node ports. Raises InputError.
    """
    told: list[tuple[str, str, int | str, str]] = []
    numbers, stated = [], []
    names: set[str] = set()
    used, taken = set(), set()
    for place, port in enumerate(ports):
        where = f"spec.ports[{place}]"
        number = _number(need(port.port, f"{where}.port", "1 to 65535"), f"{where}.port")
        protocol = one_of(port.protocol or "TCP", PROTOCOLS, f"{where}.protocol")
        if (number, protocol) in used:
            raise InputError(f"{number}/{protocol} is there twice", field=where, expected="each port once")
        used.add((number, protocol))
        name = port.name or ""
        _check_name(name, names, f"{where}.name", several=len(ports) > 1)
        names.add(name)
        node_port = _node_port(port.node_port or 0, f"{where}.nodePort", may_state)
        if node_port and (node_port, protocol) in taken:
            raise InputError(f"{node_port} is there twice", field=f"{where}.nodePort", expected="each node port once")
        taken.add((node_port, protocol))
        target = _target(taking, port.target_port, number, f"{where}.targetPort")
        told.append((name, protocol, target, port.app_protocol or ""))
        numbers.append(number)
        stated.append(node_port)
    columns: dict[str, Any] = {"ports": taking.number(["ports", sorted(told, key=str)]) + 1 if told else 0}
    targets = [target for _, _, target, _ in told]
    return columns | {
        "port_number": numbers or [0],
        "port_protocol": [PROTOCOLS.index(protocol) for _, protocol, _, _ in told] or [0],
        "port_name": [taking.text(name) for name, _, _, _ in told] or [-1],
        "port_target": [target if isinstance(target, int) else -1 for target in targets] or [-1],
        "port_target_name": [-1 if isinstance(target, int) else taking.text(target) for target in targets] or [-1],
        "port_asked": stated or [0],
    }  # fmt: skip


def _check_name(name: str, names: set[str], where: str, *, several: bool) -> None:
    if several and not name:
        raise InputError("is missing", field=where, expected="a name, as there are several ports")
    if name and (_PORT_NAME.fullmatch(name) is None or name in names):
        raise InputError(
            f"'{name[:80]}' is {'there twice' if name in names else 'no port name'}", field=where,
            expected="names of at most 63 lower-case letters, digits and '-', each once",
        )  # fmt: skip


def _node_port(stated: int, where: str, may_state: bool) -> int:
    if stated and not may_state:
        raise InputError(f"is {stated}", field=where, expected="none, for a type other than NodePort and LoadBalancer")
    return _number(stated, where) if stated else 0


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
