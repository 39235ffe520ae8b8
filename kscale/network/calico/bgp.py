"""BGP among Calico's nodes: who talks to whom, what each holds, and when a new route is where.

Nodes peer in a full mesh, or with route reflectors. A route is learnt from a peer of the same AS; who learnt it tells
it on only if it is a reflector (RFC 4456): what comes from a client to everyone, what does not to its clients. It
writes its cluster on what it reflects, and drops what bears its own. In Calico a reflector's peers are its clients,
save the reflectors of its own cluster (bird.cfg.template: ``rr client`` where cluster IDs differ).

A speaker tells one best path per route: the one that came first, of those at one time the one from the lowest row.
BIRD's add-paths, which Calico turns on, sends the others as well: with one cluster of reflectors there are none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kscale.errors import InputError
from kscale.network.calico.parameters import values

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

#: Clusters of reflectors are bits of an int64.
_MOST_CLUSTERS = 62
_NEVER = -1


@dataclass(frozen=True)
class Topology:
    """Speakers and their sessions.

    Attributes:
        cluster: the reflector's cluster by node, -1 for a node that is none, shape (nodes,).
        first: where a node's sessions begin in ``peer``, shape (nodes + 1,).
        peer: the node at the other end, ascending by node and peer, int32; each session stands once at either end.
    """

    cluster: Ints
    first: Ints
    peer: npt.NDArray[np.int32]

    @property
    def nodes(self) -> int:
        """How many speakers there are."""
        return len(self.cluster)

    @property
    def sessions(self) -> int:
        """How many sessions there are in all."""
        return len(self.peer) // 2

    @property
    def sessions_by_node(self) -> Ints:
        """How many sessions each node has, shape (nodes,)."""
        return np.diff(self.first)

    def without(self, down: Bools) -> Topology:
        """Return what is left when these nodes are gone, bool of shape (nodes,): rows stay, sessions go."""
        own = np.repeat(np.arange(self.nodes), self.sessions_by_node)
        left = ~(down[own] | down[self.peer])
        return _topology(self.cluster, own[left], self.peer[left])


def _topology(cluster: Ints, own: Ints, peer: npt.NDArray[np.integer]) -> Topology:
    order = np.lexsort((peer, own))
    first = np.concatenate([[0], np.cumsum(np.bincount(own, minlength=len(cluster)))]).astype(np.int64)
    return Topology(cluster, first, peer[order].astype(np.int32))


def _count(value: int, field: str, least: int, most: int, of: str) -> None:
    if not least <= value <= most:
        raise InputError(f"is {value:,}", field=field, expected=f"{least:,} to {most:,} {of}")


def full_mesh(nodes: int) -> Topology:
    """Return ``nodes`` speakers that all peer with each other: n(n-1)/2 sessions. Raises InputError.

    It takes 4 bytes for each end of a session: 100 MB for 5,000 nodes.
    """
    _count(nodes, "nodes", 1, 10_000, "nodes of a full mesh")
    other = np.arange(nodes - 1, dtype=np.int32)
    peer = other + (other >= np.arange(nodes, dtype=np.int32)[:, None])
    return Topology(np.full(nodes, -1, np.int64), np.arange(nodes + 1) * (nodes - 1), peer.reshape(-1))


def route_reflectors(nodes: int, reflectors: int, redundancy: int) -> Topology:
    """Return ``nodes`` speakers of which the first ``reflectors`` are reflectors, in clusters of ``redundancy`` each.

    Every other node peers with all reflectors of one cluster, dealt out in turn; reflectors peer with each other. That
    is (n-R)·r + R(R-1)/2 sessions. Raises InputError where the numbers do not fit each other.
    """
    _count(nodes, "nodes", 1, 1_000_000, "nodes")
    _count(reflectors, "reflectors", 1, nodes, "of the nodes")
    _count(redundancy, "redundancy", 1, reflectors, "of the reflectors")
    if reflectors % redundancy:
        raise InputError(
            f"{reflectors:,} are no whole number of clusters of {redundancy:,}", field="reflectors",
            expected="a multiple of redundancy",
        )  # fmt: skip
    clusters = reflectors // redundancy
    _count(clusters, "reflectors", 1, _MOST_CLUSTERS, "clusters of reflectors")
    cluster = np.full(nodes, -1, np.int64)
    cluster[:reflectors] = np.arange(reflectors) // redundancy
    clients = np.repeat(np.arange(reflectors, nodes), redundancy)
    homes = (clients - reflectors) % clusters * redundancy + np.tile(np.arange(redundancy), nodes - reflectors)
    among = np.tile(np.arange(reflectors), (reflectors, 1))
    apart = ~np.eye(reflectors, dtype=bool)
    own = np.concatenate([clients, homes, among.T[apart]])
    return _topology(cluster, own, np.concatenate([homes, clients, among[apart]]))


@dataclass(frozen=True)
class Propagation:
    """What became of new routes.

    Attributes:
        hops: sessions from the origin to each node, -1 where the route never comes, int8 of shape (routes, nodes).
        arrival_us: when a node has the route in its kernel, -1 never, int64 of shape (routes, nodes).
        sent: updates sent for each route, shape (routes,).
        paths: paths that each node holds of these routes, without its own, shape (nodes,).
    """

    hops: npt.NDArray[np.int8]
    arrival_us: Ints
    sent: Ints
    paths: Ints

    @property
    def converged_us(self) -> Ints:
        """When the last node that ever gets it has each route, shape (routes,)."""
        return self.arrival_us.max(axis=1)


def propagate(
    topology: Topology, origin: Ints, start_us: Ints, overrides: Mapping[str, int] | None = None
) -> Propagation:
    """Return when each node has each new route.

    Args:
        topology: who talks to whom; every hop takes ``bgp_hop_us`` and ``bgp_advertisement_us``.
        origin: the node of each route, shape (routes,).
        start_us: when that node has it, int64 us, shape (routes,).
        overrides: values of parameters by name.

    It costs by updates sent, not by nodes squared. Raises InputError where a parameter is not known.
    """
    number = values(overrides)
    shape = (len(origin), topology.nodes)
    hops = np.full(shape, _NEVER, np.int8)
    seen = np.zeros(shape, np.int64)
    hops[np.arange(len(origin)), origin] = 0
    sent, paths = np.zeros(len(origin), np.int64), np.zeros(topology.nodes, np.int64)
    # Who is to tell others: the route, the node, and the peer that it has the route from (-1: it is its own).
    told = np.arange(len(origin)), np.asarray(origin, np.int64), np.full(len(origin), -1, np.int64)
    while len(told[0]):
        route, sender, receiver = _messages(topology, *told)
        sent += np.bincount(route, minlength=len(sent))
        marks = seen[route, sender] | np.where(hops[route, sender] > 0, _mark(topology.cluster[sender]), 0)
        taken = (marks & _mark(topology.cluster[receiver]) == 0) & (origin[route] != receiver)
        route, sender, receiver, marks = route[taken], sender[taken], receiver[taken], marks[taken]
        paths += np.bincount(receiver, minlength=len(paths))
        told = _first(topology, hops, seen, route, sender, receiver, marks)
    delay = number["bgp_hop_us"] + number["bgp_advertisement_us"]
    arrival = np.asarray(start_us, np.int64)[:, None] + hops * np.int64(delay) + (hops > 0) * number["bgp_program_us"]
    return Propagation(hops, np.where(hops < 0, _NEVER, arrival), sent, paths)


def _mark(cluster: Ints) -> Ints:
    """Return a cluster's bit; none where the node is no reflector."""
    return np.where(cluster >= 0, np.int64(1) << np.maximum(cluster, 0), 0)


def _messages(topology: Topology, route: Ints, sender: Ints, source: Ints) -> tuple[Ints, Ints, Ints]:
    """Return the updates of those that have a route anew, by route, sender and receiver."""
    many = topology.sessions_by_node[sender]
    step = np.arange(many.sum()) - np.repeat(np.cumsum(many) - many, many)
    receiver = topology.peer[np.repeat(topology.first[sender], many) + step].astype(np.int64)
    route, sender, source = np.repeat(route, many), np.repeat(sender, many), np.repeat(source, many)
    own = source < 0
    cluster = topology.cluster[sender]
    # From a client to everyone; from a reflector of its own cluster to clients only.
    fellow_source = topology.cluster[np.maximum(source, 0)] == cluster
    fellow_receiver = topology.cluster[receiver] == cluster
    goes = own | ((receiver != source) & ~(fellow_source & fellow_receiver))
    return route[goes], sender[goes], receiver[goes]


def _first(
    topology: Topology, hops: npt.NDArray[np.int8], seen: Ints, route: Ints, sender: Ints, receiver: Ints, marks: Ints
) -> tuple[Ints, Ints, Ints]:
    """Keep the best of what arrived at one time where nothing came before; return which reflectors have it anew."""
    fresh = hops[route, receiver] < 0
    route, sender, receiver, marks = route[fresh], sender[fresh], receiver[fresh], marks[fresh]
    order = np.lexsort((sender, receiver, route))
    route, sender, receiver, marks = route[order], sender[order], receiver[order], marks[order]
    best = np.ones(len(route), bool)
    best[1:] = (route[1:] != route[:-1]) | (receiver[1:] != receiver[:-1])
    route, sender, receiver = route[best], sender[best], receiver[best]
    hops[route, receiver] = hops[route, sender] + 1
    seen[route, receiver] = marks[best]
    reflects = topology.cluster[receiver] >= 0
    return route[reflects], receiver[reflects], sender[reflects]
