"""Traffic the plain way: node by node, instant by instant, connection by connection."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from hypothesis import strategies as st

from kscale.network.traffic.clients import Clients
from kscale.network.traffic.views import BEFORE_US, Version, Where

Rows = np.ndarray[Any, Any]
NODES, ROWS, LAST_US = 4, 5, 1000


def version(serial: int, rows: Sequence[int], seen_us: Sequence[int], **columns: Sequence[Any]) -> Version:
    """Return a version; what is left out is ready, on node 0, and for any."""
    count = len(rows)

    def column(name: str, default: Any, dtype: str) -> Rows:
        return np.array(columns.get(name, [default] * count), dtype)

    return Version(
        np.array(rows, np.int64), column("node", 0, "int64"), column("ready", True, "bool"),
        column("draining", False, "bool"), column("zone_hint", -1, "int64"), column("node_hint", -1, "int64"),
        np.array(seen_us, np.int64), serial,
    )  # fmt: skip


@st.composite
def versions(draw: st.DrawFn, hints: bool = True) -> list[Version]:
    """Some versions; the first is known to all nodes, the others come in any order, as late as they like."""
    made = []
    for serial in range(draw(st.integers(1, 4))):
        rows = sorted(draw(st.sets(st.integers(0, ROWS - 1))))
        seen = draw(st.lists(st.integers(0, LAST_US), min_size=NODES, max_size=NODES))
        state = [draw(st.sampled_from(["ready", "ready", "draining", "neither"])) for _ in rows]
        nodes = [draw(st.integers(0, NODES - 1)) for _ in rows]
        zones = [draw(st.sampled_from([-1, 0, 1])) if hints else -1 for _ in rows]
        near = [draw(st.sampled_from([-1, -1, 0, 1])) if hints else -1 for _ in rows]
        listed = version(
            serial, rows, seen if serial else [BEFORE_US] * NODES, node=nodes,
            ready=[one == "ready" for one in state], draining=[one == "draining" for one in state],
            zone_hint=zones, node_hint=near,
        )  # fmt: skip
        made.append(listed)
    return made


@st.composite
def clients(draw: st.DrawFn) -> Clients:
    """One client or more."""
    nodes = draw(st.lists(st.integers(0, NODES - 1), min_size=1, max_size=6))
    return Clients(np.arange(len(nodes)) + 100, np.array(nodes))


def current(versions: Sequence[Version], node: int, time_us: int) -> Version:
    """The latest version that a node's rules have."""
    return [one for one in versions if one.seen_us[node] <= time_us][-1]


def usable(version: Version, node: int, where: Where) -> list[int]:
    """The rows that a node uses of a version, as pkg/proxy/topology.go has it."""
    all_, zone = range(len(version.row)), int(where.zone[node])
    if where.local:
        here = [one for one in all_ if version.node[one] == node]
        ready = [one for one in here if version.ready[one]]
        return [int(version.row[one]) for one in ready or [one for one in here if version.draining[one]]]
    ready = [one for one in all_ if version.ready[one]]
    if not ready:
        return [int(version.row[one]) for one in all_ if version.draining[one]]
    by_node = [one for one in ready if version.node_hint[one] == node]
    by_zone = [one for one in ready if version.zone_hint[one] == zone and zone >= 0]
    if by_node and all(version.node_hint[one] >= 0 for one in ready):
        ready = by_node
    elif by_zone and all(version.zone_hint[one] >= 0 for one in ready):
        ready = by_zone
    return [int(version.row[one]) for one in ready]


def pieces(versions: Sequence[Version], node: int, begin_us: int, end_us: int) -> list[tuple[int, int, Version]]:
    """The times in which a node goes by one version, in order."""
    times = sorted({begin_us, end_us, *(int(one.seen_us[node]) for one in versions)})
    times = [one for one in times if begin_us <= one <= end_us]
    return [(low, high, current(versions, node, low)) for low, high in pairwise(times)]
