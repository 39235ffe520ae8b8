"""What a packet passes on its way, in order: conntrack, kube-proxy's translation, policies, masquerading.

The order is netfilter's: PREROUTING (of a process of the node: OUTPUT), routing, FORWARD, POSTROUTING. kube-proxy
translates a Service's address in the first, so that policies, which stand in FORWARD, see the endpoint's own address and
port, and never a ClusterIP. It masquerades in the last, behind the policies of the source's node.
"""

from __future__ import annotations

from kscale.network.policy.ends import Ends
from kscale.network.policy.policies import DIRECTIONS


def packet_path(
    ends: Ends, source: int, destination: int, port: str, proxy: tuple[str, ...] = (), masqueraded: bool = False
) -> tuple[str, ...]:
    """Return the steps of the first packet of a connection, in order.

    Args:
        ends: pods and addresses.
        source: row of ``ends``.
        destination: row of ``ends``: the endpoint, where a Service was asked for.
        port: number and protocol at the destination, as ``80/TCP``.
        proxy: kube-proxy's steps on the node that translates, in its own words; none where no Service was asked for.
        masqueraded: whether kube-proxy marked the packet to leave with the node's own address.
    """
    names = ends.names
    begins, finishes = _place(ends, source), _place(ends, destination)
    here = ends.node[source] == ends.node[destination] >= 0
    own = bool(ends.host[source])
    hook = "OUTPUT" if own else "PREROUTING"
    steps = [f"{names[source]} sends{begins}"]
    steps.append(f"conntrack, {hook}: a packet of a known connection, a reply too, keeps its translation and passes")
    steps += [f"kube-proxy, nat {hook}: {step}" for step in proxy]
    steps.append(f"routing: to {names[destination]}, port {port}{finishes}")
    if source == destination:
        return (*steps, f"{names[destination]} receives: no policy is asked of a pod and itself")
    if source < ends.pods and not own:
        steps.append(_policies("FORWARD", DIRECTIONS[1], names[source], f"to {names[destination]}, port {port}"))
    if here:
        steps += _arrival(ends, source, destination, port)
    if masqueraded:
        steps.append("kube-proxy, nat POSTROUTING: masqueraded, the packet leaves with its node's address")
    if not here:
        steps.append(f"the network between the nodes{finishes}")
        steps += _arrival(ends, source, destination, port, masqueraded)
    return (*steps, f"{names[destination]} receives")


def _place(ends: Ends, end: int) -> str:
    return f", on node {ends.nodes[ends.node[end]]}" if ends.node[end] >= 0 else ""


def _policies(chain: str, direction: str, end: str, what: str) -> str:
    return f"policies, filter {chain}: {direction.lower()} of {end}, {what}"


def _arrival(ends: Ends, source: int, destination: int, port: str, masqueraded: bool = False) -> list[str]:
    if destination >= ends.pods or ends.host[destination]:
        return []
    seen = "a node's address" if masqueraded else ends.names[source]
    return [_policies("FORWARD", DIRECTIONS[0], ends.names[destination], f"from {seen}, port {port}")]
