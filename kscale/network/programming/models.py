"""What goes into the programming of nodes: changes of Services, nodes, and what a sync costs."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from kscale.errors import InputError
from kscale.network.proxies import Case, Change

Rows = np.ndarray[Any, Any]
_SECOND_US = 1_000_000
#: Sums of such times stay far from 2^63. So many endpoints may change at once.
_LONGEST_US, _MOST_BURST, _MOST_ENDPOINTS = 1e15, 1_000, 1_000_000


@dataclass(frozen=True, eq=False)
class Changes:
    """Changes that every kube-proxy is told of, one row a write of a slice or of a Service; int64 columns.

    Attributes:
        written_us: when it was written; ascending.
        trigger_us: when what it tells of happened: latencies count from here.
        service: number of the Service, from 0; a sync writes each Service once however often it changed.
        endpoints: endpoints that came, went or are otherwise than before.
        measured: 1 where kube-proxy's own metric counts it: slices that say when a pod's readiness changed.
    """

    written_us: Rows
    trigger_us: Rows
    service: Rows
    endpoints: Rows
    measured: Rows

    @classmethod
    def of(
        cls, written_us: Any, service: Any, *, trigger_us: Any = None, endpoints: Any = 1, measured: Any = 1
    ) -> Changes:
        """Return changes; what is left out is as the write, one endpoint each, and measured. A scalar holds for all.

        Raises InputError where columns differ in length, times go back, or a number is below 0.
        """
        written = np.asarray(written_us, np.int64)
        trigger = written if trigger_us is None else trigger_us
        given = {"service": service, "endpoints": endpoints, "measured": measured}
        columns = {name: np.broadcast_to(np.asarray(value, np.int64), written.shape) for name, value in given.items()}
        columns["trigger_us"] = np.broadcast_to(np.asarray(trigger, np.int64), written.shape)
        if (np.diff(written) < 0).any():
            raise InputError("go back", field="written_us", expected="times in ascending order")
        for name, column in columns.items():
            if name != "trigger_us" and (column < 0).any():
                raise InputError(f"holds {column.min()}", field=name, expected="0 or more")
        if (columns["trigger_us"] > written).any():
            raise InputError("is after the write", field="trigger_us", expected="a time before written_us")
        return cls(written_us=written, **columns)

    @classmethod
    def none(cls) -> Changes:
        """Return no changes."""
        return cls.of(np.zeros(0, np.int64), np.zeros(0, np.int64))

    def __len__(self) -> int:
        return len(self.written_us)

    def __getitem__(self, rows: slice) -> Changes:
        return Changes(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})

    def and_then(self, others: Changes) -> Changes:
        """Return these and others after them."""
        return Changes(
            **{
                field.name: np.concatenate([getattr(self, field.name), getattr(others, field.name)])
                for field in fields(self)
            }
        )


@dataclass(frozen=True, eq=False)
class Nodes:
    """The nodes, one row each; int64 columns.

    Attributes:
        watch_us: from the write of an object until this node's kube-proxy has it.
        phase_us: how long before time 0 it last wrote everything.
    """

    watch_us: Rows
    phase_us: Rows

    def __len__(self) -> int:
        return len(self.watch_us)

    @classmethod
    def drawn(cls, count: int, cost: Cost, watch_us: tuple[int, int], generator: np.random.Generator) -> Nodes:
        """Return nodes whose offsets are drawn evenly: watches from the least to the most, phases from a period."""
        watch = generator.integers(watch_us[0], watch_us[1], count, endpoint=True)
        return cls(watch, generator.integers(0, cost.resync_us, count))


@dataclass(frozen=True)
class Cost:
    """What a node's syncs cost by what they write, and how far apart they are; us of CPU and of virtual time.

    Attributes:
        base_us: a sync that writes what changed.
        service_us: more for each Service that changed, after the first.
        endpoint_us: more for each endpoint that changed, after the first.
        most_services: more Services than these cost no more.
        again_us: writing or looking through everything, which is done when a period is over.
        min_us: ``minSyncPeriod``.
        resync_us: that period: since everything was written, or since the last sync; ``min_us`` or more.
        burst: syncs that ``minSyncPeriod`` lets through in a row after a rest; 0: it is kept after every sync.
    """

    base_us: float
    service_us: float
    endpoint_us: float
    most_services: int
    again_us: float
    min_us: int
    resync_us: int
    burst: int = 0

    @classmethod
    def of(cls, case: Case, ports_each: float = 1.0) -> Cost:
        """Return what a mode's syncs cost with the service ports of a case; a Service has ``ports_each`` of them.

        The modes' costs are straight lines in the service ports and endpoints that changed, up to all that there are.
        Raises InputError where parameters make something longer than 30 years, or a burst of more than a thousand.
        """
        one, services, endpoints = (case.mode.programming(case, Change(*what)) for what in ((1, 1), (2, 1), (1, 2)))
        base = one.incremental_s + one.build_incremental_s
        # A case with one service port has no second one to pay for.
        more = services.incremental_s + services.build_incremental_s - base
        wide = endpoints.incremental_s + endpoints.build_incremental_s - base
        numbers, mode = case.parameters, case.mode
        rest, period = numbers[mode.min_sync] * _SECOND_US, numbers[mode.resync] * _SECOND_US
        again, most = one.periodic_s + one.build_full_s, max(round(case.served / ports_each), 1)
        base, more, wide, again = (seconds * _SECOND_US for seconds in (base, more * ports_each, wide, again))
        longest = max(base, more * most, wide * _MOST_ENDPOINTS, again)
        for what, us in ((mode.min_sync, rest), (mode.resync, period), (f"a sync of {case.name}", longest)):
            if not us <= _LONGEST_US:
                raise InputError("is longer than 30 years", field=what, expected="other parameters")
        if numbers["burst_syncs"] > _MOST_BURST:
            raise InputError(f"is {numbers['burst_syncs']:g}", field="burst_syncs", expected=f"{_MOST_BURST} at most")
        every = max(round(period), round(rest), 1)
        return cls(base, more, wide, most, again, round(rest), every, int(numbers["burst_syncs"]))
