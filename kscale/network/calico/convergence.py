"""What BGP costs, and how long it takes when a node comes, goes or restarts: closed formulas over topologies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from kscale.errors import InputError
from kscale.network.calico.bgp import Ints, Topology
from kscale.network.calico.parameters import values

Change = Literal["join", "remove", "crash", "restart"]
CHANGES: tuple[Change, ...] = ("join", "remove", "crash", "restart")
_SECOND_US = 1_000_000


class Span(NamedTuple):
    """From the earliest to the latest it may be, us."""

    earliest_us: int
    latest_us: int


def hops(topology: Topology) -> int:
    """Return over how many sessions a route goes at most while all nodes are there.

    1 in a mesh; 2 with one cluster of reflectors that has clients; 3 with several.
    """
    clusters = topology.cluster.max() + 1
    clients = int((topology.cluster < 0).sum())
    if not clusters or not clients:
        return min(topology.nodes - 1, 1)
    return 1 if clients == 1 and clusters == 1 else 2 if clusters == 1 or clients == 1 else 3


def converges(topology: Topology, change: Change, overrides: Mapping[str, int] | None = None) -> Span:
    """Return how long after a change of a node every other node's kernel has the right routes.

    * ``join``: confd tells BIRD of the peer, the session waits its connect delay (missed once, the retry time), is
      made, and the routes spread.
    * ``remove``: the Node object goes, confd takes the peer out of BIRD's configuration, and its routes go.
    * ``crash``: nothing is said: the peer notices when its hold time is over, counted from the last keepalive.
    * ``restart``: calico-node's BIRD restarts, gracefully: its routes stay for up to the restart time, and packets
      pass all the while. What is given is when its peers have its routes anew: after the connect delay, a session, and
      the way of the routes; at latest the restart time, when they drop what was not renewed.

    Raises InputError where the change or a parameter is not known.
    """
    number = values(overrides)
    if change not in CHANGES:
        raise InputError(f"'{str(change)[:80]}' is not known", field="change", expected=f"one of {', '.join(CHANGES)}")
    far = hops(topology)
    spread = far * (number["bgp_hop_us"] + number["bgp_advertisement_us"]) + number["bgp_program_us"]
    made = number["bgp_connect_delay_us"] + number["bgp_session_us"] + spread
    if change == "join":
        earliest = number["bgp_peers_config_us"] + made
        return Span(earliest, earliest + number["bgp_connect_retry_us"])
    if change == "remove":
        # Each node of a mesh drops the peer itself; where reflectors stand between, they tell it on.
        told = (far - 1) * (number["bgp_hop_us"] + number["bgp_advertisement_us"])
        gone = number["bgp_peers_config_us"] + told + number["bgp_program_us"]
        return Span(gone, gone)
    if change == "crash":
        told = (far - 1) * (number["bgp_hop_us"] + number["bgp_advertisement_us"]) + number["bgp_program_us"]
        hold = number["bgp_hold_us"]
        return Span(max(hold - number["bgp_keepalive_us"], 0) + told, hold + told)
    return Span(made, max(made, number["bgp_restart_us"] + spread))


@dataclass(frozen=True)
class Cost:
    """What BGP costs each node at rest and per second; every array has the shape (nodes,).

    Attributes:
        sessions: sessions.
        paths: paths held, of other nodes' routes.
        memory_bytes: for both (assumed parameters).
        keepalives_per_s: sent and received.
        cpu_share: of one core, for the keepalives and for ``updates_per_s``.
    """

    sessions: Ints
    paths: Ints
    memory_bytes: Ints
    keepalives_per_s: npt.NDArray[np.float64]
    cpu_share: npt.NDArray[np.float64]


def paths_held(topology: Topology, routes: Ints) -> Ints:
    """Return the paths that each node holds while all nodes are there, shape (nodes,): the sum of ``propagate``'s.

    Args:
        topology: a full mesh, or ``route_reflectors`` with one cluster, where there are no paths beside the best.
        routes: routes that each node is the origin of, shape (nodes,).

    In a mesh a node holds one path of each route that is not its own. With r reflectors, a client holds r of each and
    a reflector one. Raises InputError where there are several clusters.
    """
    if topology.cluster.max() > 0:
        raise InputError("several clusters of reflectors", field="topology", expected="a full mesh or one cluster")
    total, own = routes.sum(), routes
    client = (topology.cluster < 0) & (topology.cluster.max() >= 0)
    redundancy = int((topology.cluster >= 0).sum())
    return np.where(client, redundancy * (total - own), total - own)


def cost(
    topology: Topology, paths: Ints, updates_per_s: float = 0.0, overrides: Mapping[str, int] | None = None
) -> Cost:
    """Return what sessions and paths cost each node.

    Args:
        topology: who talks to whom.
        paths: paths held by each node, shape (nodes,): ``paths_held`` or ``Propagation.paths``.
        updates_per_s: updates that each session carries, in both directions together.
        overrides: values of parameters by name; bytes and CPU times are assumed.
    """
    number = values(overrides)
    sessions = topology.sessions_by_node
    keepalives = 2.0 * sessions * _SECOND_US / max(number["bgp_keepalive_us"], 1)
    busy = keepalives * number["bgp_keepalive_cpu_us"] + sessions * updates_per_s * number["bgp_update_cpu_us"]
    memory = sessions * number["bgp_session_bytes"] + paths * number["bgp_path_bytes"]
    return Cost(sessions, paths, memory, keepalives, busy / _SECOND_US)
