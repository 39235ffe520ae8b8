"""What a packet passes on its way, in order: conntrack, kube-proxy's translation, policies, masquerading.

The order is netfilter's: PREROUTING (of a process of the node: OUTPUT), routing, FORWARD, POSTROUTING. kube-proxy
translates a Service's address in the first, so that policies, which stand in FORWARD, see the endpoint's own address
and port, and never a ClusterIP. It masquerades in the last, behind the policies of the source's node.
"""

from __future__ import annotations

from kscale.network.policy.ends import Ends
from kscale.network.policy.policies import DIRECTIONS


def packet_path(
    ends: Ends, source: int, destination: int, port: str, proxy: tuple[str, ...] = (), dropped: str = "",
    masqueraded: bool = False,
) -> tuple[str, ...]:  # fmt: skip
    """Return the steps of the first packet of a connection, in order, up to where it is dropped.

    Args:
        ends: pods and addresses.
        source: row of ``ends``.
        destination: row of ``ends``: the endpoint, where a Service was asked for.
        port: number and protocol at the destination, as ``80/TCP``.
        proxy: kube-proxy's steps on the node that translates, in its own words; none where no Service was asked for.
        dropped: the direction whose policies drop it, ``Egress`` or ``Ingress``; empty where it passes.
        masqueraded: whether kube-proxy marked the packet to leave with the node's own address.
    """
    names, own = ends.names, bool(ends.host[source])
    here = bool(ends.node[source] == ends.node[destination] >= 0)
    hook = "OUTPUT" if own else "PREROUTING"
    steps = [
        f"{names[source]} sends{_place(ends, source)}",
        f"conntrack, {hook}: a packet of a known connection, a reply too, keeps its translation and passes",
        *(f"kube-proxy, nat {hook}: {step}" for step in proxy),
        f"routing: to {names[destination]}, port {port}{_place(ends, destination)}",
    ]
    if source == destination:
        return (*steps, f"{names[destination]} receives: no policy is asked of a pod and itself")
    if here and (own or ends.host[destination]):
        return (*steps, f"{names[destination]} receives: no policy is asked of a pod and its node")
    if source < ends.pods and not own:
        steps.append(_policies(DIRECTIONS[1], names[source], f"to {names[destination]}", port))
        if dropped == DIRECTIONS[1]:
            return (*steps, "dropped")
    arrival = []
    if destination < ends.pods and not ends.host[destination]:
        # A packet that stays on its node is asked before it is masqueraded.
        seen = "a node's address" if masqueraded and not here else names[source]
        arrival = [_policies(DIRECTIONS[0], names[destination], f"from {seen}", port)]
    leaving = ["kube-proxy, nat POSTROUTING: masqueraded, it goes on with its node's address"] if masqueraded else []
    between = [] if here else ["the network between them"]
    if dropped == DIRECTIONS[0]:
        return (*steps, *(arrival if here else [*leaving, *between, *arrival]), "dropped")
    steps += [*arrival, *leaving] if here else [*leaving, *between, *arrival]
    return (*steps, f"{names[destination]} receives")


def _place(ends: Ends, end: int) -> str:
    return f", on node {ends.nodes[ends.node[end]]}" if ends.node[end] >= 0 else ""


def _policies(direction: str, end: str, what: str, port: str) -> str:
    return f"policies, filter FORWARD: {direction.lower()} of {end}, {what}, port {port}"
