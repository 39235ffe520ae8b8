"""NodePorts: a pod that asks for host ports fits where none of them is taken.

kube-scheduler keeps the ports of a node as a set: when one of two pods with the same port goes, the port is free.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from kscale.kernels import kernel
from kscale.scheduler.plugins import Plugin
from kscale.state.building import Building
from kscale.state.schema import Column, NewTable, bounds

_ANY = "0.0.0.0"

COLUMNS = {
    "port": NewTable(
        "A host port that some template asks for: protocol, address and number.",
        (
            Column("used", "uint8", "1 when the node's set has the port.", dims=("port", "node")),
            Column("kept", "uint8", "The set of the node that a trial is made on.", dims=("port", "slots")),
        ),
    ),
    "port_of": NewTable(
        "An entry of a template's list of host ports.", (Column("port", "int64", "A port that it takes."),)
    ),
    "port_against": NewTable(
        "An entry of a template's list of ports that it conflicts with.",
        (Column("port", "int64", "A port that must not be taken."),),
    ),
    "template": (
        *bounds("port_of"),
        *bounds("port_against"),
    ),
}


def _plan(building: Building) -> None:
    ports = list(dict.fromkeys(port for template in building.templates for port in template.ports))
    rows = {port: row for row, port in enumerate(ports)}
    building.size("port", len(ports))
    by_number: dict[tuple[str, int], list[tuple[str, str, int]]] = {}
    for port in ports:
        by_number.setdefault((port[0], port[2]), []).append(port)
    for index, template in enumerate(building.templates):
        against: dict[int, None] = {}
        for protocol, address, number in template.ports:
            building.append("port_of", index, port=rows[protocol, address, number])
            for other in by_number[protocol, number]:
                if _ANY in (address, other[1]) or address == other[1]:
                    against[rows[other]] = None
        for row in against:
            building.append("port_against", index, port=row)


@kernel
def conflicts(
    template: int, first: int, last: int, reason: int,
    template_port_against_first: Any, template_port_against_last: Any, port_against_port: Any, port_used: Any,
    scan_reject: Any,
) -> None:  # fmt: skip
    """Reject where a conflicting port is taken."""
    reject = scan_reject[first:last]
    bit = np.int32(1 << reason)
    for entry in range(template_port_against_first[template], template_port_against_last[template]):
        used = port_used[port_against_port[entry], first:last]
        for i in range(len(reject)):
            reject[i] |= bit if used[i] != 0 else np.int32(0)


@kernel
def take_ports(
    template: int, node: int, sign: int,
    template_port_of_first: Any, template_port_of_last: Any, port_of_port: Any, port_used: Any,
) -> None:  # fmt: skip
    """Put the pod's ports into the node's set, or take them out."""
    for entry in range(template_port_of_first[template], template_port_of_last[template]):
        port_used[port_of_port[entry], node] = np.uint8(1) if sign > 0 else np.uint8(0)


@kernel
def keep_ports(node: int, slot: int, port_used: Any, port_kept: Any) -> None:
    """Keep the node's set: adding and taking off the same pod may not give it back."""
    for port in range(len(port_kept)):
        port_kept[port, slot] = port_used[port, node]


@kernel
def restore_ports(node: int, slot: int, port_used: Any, port_kept: Any) -> None:
    """Put the node's set back."""
    for port in range(len(port_kept)):
        port_used[port, node] = port_kept[port, slot]


@kernel
def frees_a_port(
    template: int, other: int, added: int,
    template_port_against_first: Any, template_port_against_last: Any, port_against_port: Any,
    template_port_of_first: Any, template_port_of_last: Any, port_of_port: Any,
) -> bool:  # fmt: skip
    """Tell whether a pod that went had a port that the template conflicts with."""
    if added == 0:
        for entry in range(template_port_against_first[template], template_port_against_last[template]):
            for held in range(template_port_of_first[other], template_port_of_last[other]):
                if port_of_port[held] == port_against_port[entry]:
                    return True
    return False


def _used(building: Building) -> bool:
    return any(template.ports for template in building.templates)


def _reasons(resources: list[str]) -> list[str]:
    return ["node(s) didn't have free ports for the requested pod ports"]


PORTS = Plugin(
    "NodePorts", rank=50, filter=conflicts, reasons=_reasons, reserve=take_ports, remember=keep_ports,
    recall=restore_ports, hint=frees_a_port, plan=_plan, concerns=("port_against",),
    used=_used, standard=True,
)  # fmt: skip
