"""Translation: what kube-proxy does to the first packet of a connection on its way to an endpoint, step by step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from kscale.errors import InputError, nearest
from kscale.network import proxies
from kscale.network.dump import Dump, Listed
from kscale.network.proxies import AFFINITY_NEW, HIT, NODE_PORT, OTHER, Mode
from kscale.network.proxies.common.paths import CONNTRACK, FORWARD, HOOKS, POSTROUTING


@dataclass(frozen=True)
class Endpoint:
    """A pod, or another address, that a Service may lead to.

    Attributes:
        name: ``namespace/name`` of a pod; of another address itself.
        addresses: as text.
        port: that it is asked on.
        protocol: of the connection.
        names: of its ports of this protocol, with their numbers.
    """

    name: str
    addresses: tuple[str, ...]
    port: int
    protocol: str
    names: Mapping[str, int]

    def behind(self, listed: Listed) -> bool:
        """Return whether a service port leads here."""
        members = listed.backends.members
        if listed.protocol != self.protocol or not (self.name in members or set(self.addresses) & set(members)):
            return False
        target = listed.target
        number = self.names.get(target) if isinstance(target, str) else target
        return self.port in listed.backends.targets or (not listed.backends.targets and self.port == number)


@dataclass(frozen=True)
class Translation:
    """What kube-proxy does to a packet.

    Attributes:
        mode: with the choices that are not the usual ones.
        packet: one of ``proxies.PACKETS``.
        service: the service port that it was sent to; empty where it was sent to the endpoint's own address.
        steps: (where in netfilter, what) in order, up to where it is filtered; counts and times are means.
        onward: where it goes on to the endpoint; empty where kube-proxy opens another connection.
        masqueraded: whether it leaves with the node's own address.
        mean_us: of its way through the node, us of CPU.
        proxy_us: the part that is kube-proxy's doing.
    """

    mode: str
    packet: str
    service: str
    steps: tuple[tuple[str, str], ...]
    onward: str
    masqueraded: bool
    mean_us: float
    proxy_us: float


def translated(
    mode: Mode, options: Mapping[str, str], dump: Dump, endpoint: Endpoint, packet: str | None = None,
    service: str | None = None, outside: bool = False,
) -> Translation:  # fmt: skip
    """Return what a mode does to the first packet of a connection to an endpoint.

    Args:
        mode: of kube-proxy.
        options: of the mode.
        dump: the service ports of the cluster: they are what the packet passes.
        endpoint: whom it comes to.
        packet: one of ``proxies.PACKETS``; without it, a client's first to the Service, or, where no Service leads to
            the endpoint, one to its own address.
        service: ``namespace/name`` of the Service; without it the first that leads to the endpoint.
        outside: whether it comes from outside the cluster: kube-proxy then masquerades it.

    Raises:
        InputError: where an option or a packet is unknown, or no Service leads there in this way.
    """
    if packet is not None and packet not in proxies.PACKETS:
        expected = f"one of {', '.join(proxies.PACKETS)}"
        problem = f"there is no '{packet[:80]}'{nearest(packet[:80], proxies.PACKETS)}"
        raise InputError(problem, field="--packet", expected=expected)
    if packet == OTHER and service is not None:
        raise InputError("is other, to no Service's address", field="--packet", expected=f"{HIT}, or no --service")
    row = None if packet == OTHER else _row(dump, endpoint, service, packet)
    weights = None
    if row is None:
        packet = OTHER
    else:
        ports = dump.ports
        packet = packet or (AFFINITY_NEW if ports.affinity[row] else HIT)
        if not (ports.external_endpoints if packet == NODE_PORT else ports.internal_endpoints)[row]:
            # A traffic policy of Local, and the node of the view has none of its endpoints.
            problem = f"is {packet}, and {dump.node or 'the node'} has no endpoint of {dump.listed[row]}"
            raise InputError(problem, field="--packet", expected=OTHER)
        weights = np.zeros(len(ports))
        weights[row] = 1
    case = proxies.case(mode, dump.ports, options, weights=weights)
    path = mode.first(case, packet)
    assert path is not None, "a service port leads there"
    passed = [
        (step.hook, _told(*listed)) for step, listed in zip(path.steps, path.listing(), strict=True) if step.proxy
    ]
    # Of a new entry and of masquerading the packet's own path speaks.
    passed = sorted(
        (one for one in passed if one[0] not in (CONNTRACK, POSTROUTING)), key=lambda one: HOOKS.index(one[0])
    )
    masqueraded = row is not None and (not dump.ports.external_local[row] if packet == NODE_PORT else outside)
    return Translation(
        case.name, packet, "" if row is None else str(dump.listed[row]), tuple(passed),
        mode.onward if packet != OTHER else FORWARD, bool(masqueraded), path.mean_us, path.proxy_us,
    )  # fmt: skip


def _told(name: str, unit: str, count: float, mean_us: float) -> str:
    """Return a step in words: ``KUBE-SERVICES, to the service: 500.5 rules, 10.01 us``."""
    many = f"{count:,.1f}".removesuffix(".0")
    return f"{name}: {'' if many == '1' else f'{many} {unit}, '}{mean_us:.2f} us"


def _row(dump: Dump, endpoint: Endpoint, service: str | None, packet: str | None) -> int | None:
    """Return the service port that leads to an endpoint; None where none does and none was asked for."""
    at = f"{endpoint.name} on {endpoint.port}/{endpoint.protocol}"
    rows = [row for row, listed in enumerate(dump.listed) if endpoint.behind(listed)]
    leading = sorted({dump.listed[row].service for row in rows})
    if service is not None:
        known = {listed.service for listed in dump.listed}
        if service not in known:
            raise InputError(
                f"there is no '{service[:200]}'{nearest(service[:200], known)}", field="--service",
                expected="NAMESPACE/NAME of a Service with an address",
            )  # fmt: skip
        rows = [row for row in rows if dump.listed[row].service == service]
        if not rows:
            raise InputError(
                f"'{service}' does not lead to {at}", field="--service",
                expected=f"one of {', '.join(leading)}" if leading else "none: no Service does",
            )  # fmt: skip
    elif not rows:
        if packet is None:
            return None
        raise InputError(f"is {packet}, and no Service leads to {at}", field="--packet", expected=OTHER)
    if packet == NODE_PORT:
        rows = [row for row in rows if dump.ports.open_node_port[row]]
    elif packet is not None and packet.startswith("affinity"):
        rows = [row for row in rows if dump.ports.affinity[row]]
    if not rows:
        raise InputError(f"is {packet}, and no Service with that leads to {at}", field="--packet", expected=HIT)
    return rows[0]
