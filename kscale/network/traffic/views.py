"""What nodes' rules have: versions of a Service's endpoints, and for how long each node goes by each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kscale.network.usable import Endpoints, usable

Rows = np.ndarray[Any, Any]
#: Times before and after everything, us.
BEFORE_US, NEVER_US = -(1 << 60), 1 << 60


@dataclass(frozen=True)
class Where:
    """Nodes as rules tell them apart: ``zone`` (int64 by node, -1 has none); ``local``: a Service's policy is Local."""

    zone: Rows
    local: bool = False


@dataclass(frozen=True)
class Sets:
    """Endpoints that classes of nodes use.

    Attributes:
        of: int64 (node,), the class of each of the nodes that were asked for.
        used: bool (class, endpoint), in the order of the version's endpoints.
    """

    of: Rows
    used: Rows


@dataclass
class Version:
    """The endpoints of a Service as slices list them from some change on.

    Attributes:
        row: int64, rows of endpoints (``kscale.network.traffic.endpoints``), ascending.
        node, zone_hint, node_hint: int64; -1 is for any.
        ready, draining: bool; draining ones serve, are being deleted, and are used where no ready one is left.
        seen_us: int64 (node,), when each node's rules have it; ``NEVER_US`` while that is not known.
        serial: its number among the versions of the Service.
    """

    row: Rows
    node: Rows
    ready: Rows
    draining: Rows
    zone_hint: Rows
    node_hint: Rows
    seen_us: Rows
    serial: int = 0
    kept: dict[Any, Any] = field(default_factory=dict, repr=False)

    def sets(self, nodes: Rows, where: Where) -> Sets:
        """Return which endpoints ``nodes`` use. Nodes that cannot differ are one class."""
        count = len(self.row)
        if where.local or (self.node_hint >= 0).any():
            keys = nodes
        elif (self.zone_hint >= 0).any():
            keys = where.zone[nodes]
        else:
            keys = np.zeros(len(nodes), np.int64)
        classes, first, of = np.unique(keys, return_index=True, return_inverse=True)
        service = np.zeros(len(classes), np.int64)
        listed = Endpoints(
            service[:1], np.array([count]), self.row, self.node, self.ready, self.draining, self.zone_hint,
            self.node_hint,
        )  # fmt: skip
        found = usable(listed, service, nodes[first], where.zone[nodes[first]])
        used = found.local if where.local else found.cluster
        return Sets(of, used.reshape(len(classes), count))


def empty(nodes: int) -> Version:
    """Return the version without endpoints that all nodes go by before they know of a Service."""
    none, nobody = np.empty(0, np.int64), np.empty(0, bool)
    return Version(none, none, nobody, nobody, none, none, np.full(nodes, BEFORE_US))


def spans(versions: Sequence[Version], nodes: Rows, begin_us: int, end_us: int) -> tuple[Rows, Rows]:
    """Return from when to when ``nodes`` go by each version within a time: int64 (version, node), us.

    A node goes by the latest version that its rules have; where the second is not after the first, it does not go by
    that version at all.
    """
    seen = np.stack([one.seen_us[nodes] for one in versions])
    begin = np.maximum(seen, begin_us)
    # A later version hides an earlier one that comes to the node with it, or after it.
    later = np.minimum.accumulate(seen[::-1], axis=0)[::-1]
    end = np.minimum(np.vstack([later[1:], np.full((1, len(nodes)), NEVER_US)]), end_us)
    return begin, np.maximum(end, begin)
