"""The programming of nodes: when each node's kube-proxy has written what changed into its rules.

Every node watches the slices and Services, waits as ``minSyncPeriod`` asks, and syncs: what came in the meantime goes
in together. How long that takes is an outcome, and nothing feeds back: the proxies are told of changes batch by batch
(``Proxies.advance``), and keep no more than what some node does not know yet.

    proxies = Proxies(Nodes.drawn(5000, cost, (5_000, 110_000), generator), cost)
    known = proxies.advance(changes, until_us)     # all that is written until then, in the order of time
    known.changes                                  # those changes that by now every node knows, or certainly will
    known.seen_us(clients)                         # int64 [change, node]: when the rules of these nodes know each
    known = proxies.finish(until_us)               # the end of the run: what is still on its way

Changes are numbered from 0 as they were fed, and become known in that order: ``known.first`` is the number of the
first. ``seen_us`` of a ``Known`` holds until the next ``advance``; ``Proxies.seen_us(first, last, nodes)`` says the
same of any changes that some node does not know yet, with ``NEVER`` where that is not decided.
"""

from __future__ import annotations

from kscale.network.programming.models import Changes, Cost, Nodes
from kscale.network.programming.proxies import Known, Proxies
from kscale.network.programming.syncs import NEVER

__all__ = ["NEVER", "Changes", "Cost", "Known", "Nodes", "Proxies"]
