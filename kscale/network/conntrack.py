"""Connection tracking: how full a node's table gets, what a full one drops, and what a sync deletes.

Each flow has an entry from its first packet until a timeout after its last one; which timeout says how the flow ended.
kube-proxy sets the size of the table and two of the timeouts, and after a sync it deletes the UDP entries of endpoints
that are gone; TCP entries are left to die. A full table drops the first packet of a new flow. (The kernel first tries
to push out an entry that has not seen a reply. All flows here have.)
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np

from kscale import kernels
from kscale.composer import Composer
from kscale.errors import InputError
from kscale.kernels import kernel
from kscale.network.balancing.common.heaps import push
from kscale.network.balancing.common.inputs import ascending, column
from kscale.network.balancing.common.serving import forget_ended
from kscale.network.parameters import STRUCTURAL, Parameter

_KUBE_PROXY = "kube-proxy's defaults (KubeProxyConfiguration conntrack)"
_KERNEL = "Linux Documentation/networking/nf_conntrack-sysctl.rst"
PER_CORE = Parameter("max_per_core", 32_768, "entries", STRUCTURAL, f"{_KUBE_PROXY}: maxPerCore")
LEAST = Parameter("min", 131_072, "entries", STRUCTURAL, f"{_KUBE_PROXY}: min")
#: Bytes of an entry: a slab object of 256 and its extensions.
ENTRY_BYTES = (
    Parameter("entry_bytes_low", 320, "bytes", STRUCTURAL, "nf_conntrack object 256 B and the fewest extensions"),
    Parameter("entry_bytes_high", 400, "bytes", STRUCTURAL, "nf_conntrack object 256 B and the usual extensions"),
)
#: How long an entry is kept after the last packet, by how the flow ended; ``Flows.ending`` is a row of this table.
ENDINGS = (
    Parameter("tcp_closed", 120_000_000, "us", STRUCTURAL, f"{_KERNEL}: tcp_timeout_time_wait"),
    Parameter("tcp_silent", 86_400_000_000, "us", STRUCTURAL, f"{_KUBE_PROXY}: tcpEstablishedTimeout 24 h"),
    Parameter("tcp_half_closed", 3_600_000_000, "us", STRUCTURAL, f"{_KUBE_PROXY}: tcpCloseWaitTimeout 1 h"),
    Parameter("udp", 30_000_000, "us", STRUCTURAL, f"{_KERNEL}: udp_timeout"),
    Parameter("udp_stream", 120_000_000, "us", STRUCTURAL, f"{_KERNEL}: udp_timeout_stream"),
)
_UDP = np.array([row.name.startswith("udp") for row in ENDINGS])
_MOST_US = 1 << 60
_BATCH = 1 << 18


def ending(name: str) -> int:
    """Return the row of ``ENDINGS`` that has a name. Raises InputError."""
    names = [row.name for row in ENDINGS]
    if name not in names:
        raise InputError(f"no flow ends as '{name}'", field="ending", expected=", ".join(names))
    return names.index(name)


def table_size(cores: int) -> int:
    """Return the entries that kube-proxy lets a node of so many cores track (nf_conntrack_max). Raises InputError."""
    if cores < 1:
        raise InputError(f"a node has no {cores} cores", field="cores", expected="1 or more")
    return max(PER_CORE.whole * cores, LEAST.whole)


def memory_bytes(entries: int) -> tuple[int, int]:
    """Return the memory of so many entries, bytes: the least and the most."""
    low, high = (row.whole for row in ENTRY_BYTES)
    return entries * low, entries * high


def little(flows_per_second: float, life_us: float) -> float:
    """Return the mean number of entries at a rate of new flows that each live so long: Little's law, L = lambda x W."""
    return flows_per_second * life_us / 1_000_000


def most_flows_per_second(size: int, life_us: float) -> float:
    """Return the rate of new flows at which a table of this size is full on average, by Little's law."""
    return size * 1_000_000 / life_us


@dataclass(frozen=True)
class Flows:
    """New flows through a node, in the order in which they come.

    Attributes:
        arrival_us: first packet, us, ascending.
        duration_us: from the first packet to the last, us.
        ending: how each ends: rows of ``ENDINGS``; all close without it.
        endpoint: row of the endpoint that each goes to; only needed for removals.
    """

    arrival_us: Any
    duration_us: Any
    ending: Any = None
    endpoint: Any = None


@dataclass(frozen=True)
class Removals:
    """Endpoints that are gone.

    Attributes:
        endpoint: row of the endpoint.
        synced_us: when the sync that takes it out is done, us.
    """

    endpoint: Any = field(default_factory=lambda: np.zeros(0, np.int64))
    synced_us: Any = field(default_factory=lambda: np.zeros(0, np.int64))


@dataclass(frozen=True)
class Tracked:
    """What came of flows; arrays by flow.

    Attributes:
        arrival_us: as given, us.
        admitted: whether it has an entry; the others were dropped.
        end_us: when its entry goes, us; for a dropped flow, when it would.
        entries: entries after its first packet, its own included.
        deleted: entries that syncs deleted.
    """

    arrival_us: Any
    admitted: Any
    end_us: Any
    entries: Any
    deleted: int

    @property
    def dropped(self) -> int:
        """Flows that found the table full."""
        return int((~self.admitted).sum())

    @property
    def most(self) -> int:
        """Most entries at once."""
        return int(self.entries.max(initial=0))

    def mean_entries(self, first_us: int, last_us: int) -> float:
        """Return the mean number of entries between two instants, by time. Raises InputError."""
        if last_us <= first_us:
            raise InputError("the window is empty", field="last_us", expected=f"after {first_us}")
        begin = np.clip(self.arrival_us[self.admitted], first_us, last_us)
        end = np.clip(self.end_us[self.admitted], first_us, last_us)
        return float((end - begin).sum()) / (last_us - first_us)


def track(
    flows: Flows, size: int, *, removals: Removals | None = None, compiled: bool = True
) -> Tracked:  # fmt: skip
    """Track flows in a table of ``size`` entries.

    At one instant entries go before flows come. All is done at once where the table never fills; where it does, flow by
    flow (compiled), as what is dropped makes room for others. Raises InputError.
    """
    column([size], "size", 1, 1, 1 << 40)
    arrival = ascending(column(flows.arrival_us, "arrival_us", None, 0, _MOST_US), "arrival_us")
    duration = column(flows.duration_us, "duration_us", len(arrival), 0, _MOST_US)
    endings = np.zeros(len(arrival), np.int64) if flows.ending is None else flows.ending
    how = column(endings, "ending", len(arrival), 0, len(ENDINGS) - 1)
    end = arrival + duration + np.array([row.whole for row in ENDINGS])[how]
    removed = _removed_us(flows, arrival, how, removals or Removals())
    cut = removed < end
    end = np.where(cut, removed, end)
    entries = np.arange(1, len(arrival) + 1) - np.searchsorted(np.sort(end), arrival, side="right")
    admitted = np.ones(len(arrival), bool)
    if entries.max(initial=0) > size:
        _admit(arrival, end, admitted, entries, size, compiled)
    return Tracked(arrival, admitted, end, entries, int((cut & admitted).sum()))


def _removed_us(flows: Flows, arrival: Any, how: Any, removals: Removals) -> Any:
    """Return when a sync deletes the entry of each flow, us, or a time that never comes. Raises InputError."""
    never = np.full(len(arrival), 1 << 62)
    gone = column(removals.endpoint, "endpoint", None, 0, 1 << 31)
    synced = column(removals.synced_us, "synced_us", len(gone), 0, _MOST_US)
    if not len(gone):
        return never
    if flows.endpoint is None:
        raise InputError("flows have no endpoints", field="endpoint", expected="one for each flow, as some are removed")
    endpoint = column(flows.endpoint, "endpoint", len(arrival), 0, 1 << 31)
    order = np.lexsort((synced, gone))
    gone, synced = gone[order], synced[order]
    for row in np.unique(gone):
        times = np.append(synced[gone == row], 1 << 62)
        mine = np.flatnonzero((endpoint == row) & _UDP[how])
        never[mine] = times[np.searchsorted(times[:-1], arrival[mine], side="right")]
    return never


@kernel
def admit(
    first: int, last: int, flow_arrival_us: Any, flow_end_us: Any, flow_admitted: Any, flow_entries: Any,
    table_end_us: Any, table_count: Any, table_size: Any,
) -> None:  # fmt: skip
    """Give flows their entries, in order, while there is room; ``table_end_us`` is a heap."""
    count = table_count[0]
    for flow in range(first, last):
        count = forget_ended(table_end_us, 0, count, flow_arrival_us[flow])
        flow_admitted[flow] = count < table_size[0]
        if flow_admitted[flow]:
            push(table_end_us, 0, count, flow_end_us[flow])
            count += 1
        flow_entries[flow] = count
    table_count[0] = count


_COLUMNS = (
    "flow_arrival_us", "flow_end_us", "flow_admitted", "flow_entries", "table_end_us", "table_count", "table_size",
)  # fmt: skip


@cache
def _composed() -> tuple[str, tuple[str, ...]]:
    composer = Composer(_COLUMNS)
    composer.use("admit", admit)
    composer.define("run", "first, last", "admit(first, last)", entry=True)
    return composer.source(), tuple(composer.columns_of("run"))


def _admit(arrival: Any, end: Any, admitted: Any, entries: Any, size: int, compiled: bool) -> None:
    """Write down who is admitted, and the entries after each flow."""
    text, names = _composed()
    columns = {
        "flow_arrival_us": arrival, "flow_end_us": end, "flow_admitted": admitted, "flow_entries": entries,
        "table_end_us": np.empty(min(size, len(arrival)), np.int64), "table_count": np.zeros(1, np.int64),
        "table_size": np.array([size]),
    }  # fmt: skip
    module = kernels.load(text, compiled=compiled)
    for first in range(0, len(arrival), _BATCH):
        module.run(first, min(first + _BATCH, len(arrival)), *(columns[name] for name in names))
