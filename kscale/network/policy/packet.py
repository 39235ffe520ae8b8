"""What a packet passes on its way, in order: conntrack, kube-proxy's translation, policies, masquerading.

The order is netfilter's: PREROUTING (of a process of the node: OUTPUT), routing, FORWARD, POSTROUTING. kube-proxy
translates a Service's address in the first, so that policies, which stand in FORWARD, see the endpoint's own address
and port, and never a ClusterIP. It masquerades in the last, behind the policies of the source's node. IPVS takes the
packet in INPUT, as one to the node itself, and sends it on: there policies stand in OUTPUT.
"""

from __future__ import annotations

from collections.abc import Sequence

from kscale.network.policy.ends import Ends
from kscale.network.policy.policies import DIRECTIONS

#: Where kube-proxy and policies look at what the node forwards; kube-proxy's other steps are before it is routed.
FORWARD = "filter FORWARD"
_BETWEEN = "the network between them"


def packet_path(
    ends: Ends, source: int, destination: int, port: str, proxy: Sequence[tuple[str, str]] = (), dropped: str = "",
    masqueraded: bool = False, onward: str = FORWARD,
) -> tuple[str, ...]:  # fmt: skip
    """Return the steps of the first packet of a connection, in order, up to where it is dropped.

    Args:
        ends: pods and addresses.
        source: row of ``ends``.
        destination: row of ``ends``: the endpoint, where a Service was asked for.
        port: number and protocol at the destination, as ``80/TCP``.
        proxy: kube-proxy's steps on the node that translates, in order: where in netfilter, and what.
        dropped: the direction whose policies drop it, ``Egress`` or ``Ingress``; empty where it passes.
        masqueraded: whether kube-proxy marked the packet to leave with the node's own address. What comes from outside
            comes to the endpoint's node, and is translated there.
        onward: where in netfilter policies stand on the node that translates.
    """
    names, own = ends.names, bool(ends.host[source])
    entering = bool(source >= ends.pods and ends.node[source] < 0 and (proxy or masqueraded))
    here = entering or bool(ends.node[source] == ends.node[destination] >= 0)
    hook = "OUTPUT" if own else "PREROUTING"
    steps = [
        f"{names[source]} sends{_place(ends, source)}",
        *([_BETWEEN] if entering else []),
        f"conntrack, {hook}: a packet of a known connection, a reply too, keeps its translation and passes",
        *_proxy([(_of_own(where) if own else where, what) for where, what in proxy if where != FORWARD]),
        f"routing: to {names[destination]}, port {port}{_place(ends, destination)}",
    ]
    if source == destination:
        return (*steps, f"{names[destination]} receives: no policy is asked of a pod and itself")
    if here and not entering and (own or ends.host[destination]):
        return (*steps, f"{names[destination]} receives: no policy is asked of a pod and its node")
    if source < ends.pods and not own:
        steps.append(_policies(DIRECTIONS[1], onward, names[source], f"to {names[destination]}", port))
        if dropped == DIRECTIONS[1]:
            return (*steps, "dropped")
    arrival = []
    if destination < ends.pods and not ends.host[destination]:
        # A packet that stays on its node is asked before it is masqueraded.
        seen = "a node's address" if masqueraded and not here else names[source]
        where = onward if here else FORWARD
        arrival = [_policies(DIRECTIONS[0], where, names[destination], f"from {seen}", port)]
    leaving = _proxy([(where, what) for where, what in proxy if where == FORWARD])
    if masqueraded:
        leaving.append("kube-proxy, nat POSTROUTING: masqueraded, it goes on with its node's address")
    if dropped == DIRECTIONS[0]:
        return (*steps, *(arrival if here else [*leaving, _BETWEEN, *arrival]), "dropped")
    steps += [*arrival, *leaving] if here else [*leaving, _BETWEEN, *arrival]
    return (*steps, f"{names[destination]} receives")


def _place(ends: Ends, end: int) -> str:
    return f", on node {ends.nodes[ends.node[end]]}" if ends.node[end] >= 0 else ""


def _proxy(steps: Sequence[tuple[str, str]]) -> list[str]:
    return [f"kube-proxy, {where}: {what}" for where, what in steps]


def _of_own(where: str) -> str:
    """Return where a packet of the node's own process has what another one has there."""
    return where.replace("PREROUTING", "OUTPUT").replace("INPUT", "OUTPUT")


def _policies(direction: str, where: str, end: str, what: str, port: str) -> str:
    return f"policies, {where}: {direction.lower()} of {end}, {what}, port {port}"
