"""Steps that packets pass in several modes."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from kscale.network.ports import Ports, Rows
from kscale.network.proxies.common.paths import CONNTRACK, POSTROUTING, TRANSLATED, Path, Step, kinds

if TYPE_CHECKING:
    from kscale.network.parameters import Parameters
    from kscale.network.proxies import Case


def connections(case: Case, packet: str) -> tuple[Rows, Rows]:
    """Return the weights of the kinds of connections that such a packet may open, and the endpoints of each kind.

    Both are empty where no service port is of that sort.
    """
    if case.weights is None:
        return _alike(case.ports, packet)
    return _connections(case.ports, packet, case.weights)


def _connections(ports: Ports, packet: str, weights: Rows | None) -> tuple[Rows, Rows]:
    if packet == "other":
        return np.ones(1), np.zeros(1)
    counts = ports.external_endpoints if packet == "node-port" else ports.internal_endpoints
    mask = counts > 0
    if packet == "node-port":
        mask &= ports.open_node_port
    elif packet.startswith("affinity"):
        mask &= ports.affinity
    return kinds(counts, mask, weights)


@lru_cache(maxsize=32)
def _alike(ports: Ports, packet: str) -> tuple[Rows, Rows]:
    """Return the same where as many connections go to each port: variants ask for it again and again."""
    return _connections(ports, packet, None)


def begin(numbers: Parameters) -> tuple[Step, ...]:
    """Return what every first packet passes: the node itself, conntrack, and the set-up of address translation."""
    return (
        Step.fixed("the node, from device to device", "passages", 1, numbers["path_us"], proxy=False),
        Step.fixed("conntrack, a new entry", "entries", 1, numbers["conntrack_new_us"], hook=CONNTRACK),
        Step.fixed("address translation", "entries", 1, numbers["nat_us"], hook=TRANSLATED),
    )


def masquerade(case: Case, name: str = "masquerade_first_us") -> list[Step]:
    """Return the step in which a node port's traffic gets the node's own address, where the policy is Cluster."""
    ports = case.ports
    open_ = ports.open_node_port & (ports.external_endpoints > 0)
    weight = open_.astype(np.float64) if case.weights is None else case.weights * open_
    share = float(weight[~ports.external_local].sum() / weight.sum()) if weight.sum() else 0.0
    cost_us = case.parameters[name]
    return [Step.fixed("masquerading", "connections", share, cost_us, hook=POSTROUTING)] if share else []


def established(case: Case, packet: str, cost_us: float, name: str, *more: Step) -> Path:
    """Return what a later packet passes, of a connection that began with such a ``packet``."""
    path_us = case.parameters["established_path_us"]
    own = Step.fixed("the node, from device to device", "passages", 1, path_us, proxy=False)
    masked = masquerade(case, "masquerade_later_us") if packet == "node-port" else []
    return Path(np.ones(1), (own, Step.fixed(name, "packets", 1, cost_us), *more, *masked))
