"""The network of a run: every node's kube-proxy, told of what the run's controllers write.

It only looks: nothing of it comes back into the run. At control points changes of slices and Services are taken out of
the log; once an interval is over they are fed to the proxies, and what every node knows by then is counted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import polars as pl

from kscale.engine.ledger import dtypes
from kscale.engine.world import World
from kscale.errors import InputError, nearest
from kscale.network import proxies
from kscale.network.clusterports import cluster_ports, seen_on_average
from kscale.network.parameters import Parameters
from kscale.network.ports import Ports
from kscale.network.programming import Changes, Cost, Known, Nodes, Proxies
from kscale.network.programming.latencies import BOUNDS_US
from kscale.network.programming.outcome import Outcome
from kscale.network.proxies import Mode
from kscale.network.told import EndpointChanges, Told

Rows = np.ndarray[Any, Any]
#: kube-proxy's own default.
DEFAULT_MODE = "iptables"
NO_MODE = "none"
_SECOND_US = 1_000_000
#: A watch takes no longer than a day.
_LONGEST_S = 86_400
_INTERVAL_US, _INTERVALS = 10 * _SECOND_US, 500
#: Of all latencies, whose quantiles are told.
_SHARES = [*(percent / 100 for percent in range(1, 100)), 0.995, 0.999, 0.9999, 1.0]
#: Of the draws for nodes, beside other streams of the seed.
_STREAM = 7
#: What a sync costs is worked out anew when this share of Services and endpoints has changed.
_STALE = 0.01


@dataclass(frozen=True)
class Proxying:
    """How the nodes' kube-proxies run.

    Attributes:
        mode: the mode; None runs none.
        options: choices for it.
        numbers: of the model.
        seed: of what is drawn for each node.
        threads: that the work is spread over; they change no result.
    """

    mode: Mode | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    numbers: Parameters = field(default_factory=proxies.parameters)
    seed: int = 0
    threads: int = 1

    @classmethod
    def of(cls, mode: str = DEFAULT_MODE, options: Mapping[str, str] | None = None, **rest: Any) -> Proxying:
        """Return how they run by the mode's name; ``none`` runs none. Raises InputError for what is not known."""
        if mode == NO_MODE:
            if options:
                raise InputError("says nothing without kube-proxies", field="--proxy-option", expected="a mode")
            return cls(None, **rest)
        found = proxies.found()
        if mode not in found:
            raise InputError(
                f"there is no '{mode}'{nearest(mode, found)}", field="--proxy-mode",
                expected=f"one of {', '.join((*found, NO_MODE))}",
            )  # fmt: skip
        made = cls(found[mode], found[mode].chosen(options or {}), **rest)
        made.check()
        return made

    def check(self) -> None:
        """Tell before a run what its parameters could not be worked with. Raises InputError."""
        if self.mode is not None:
            Cost.of(proxies.case(self.mode, Ports.uniform(1, 1), self.options, self.numbers))
        _ = self.watch_us

    @property
    def watch_us(self) -> tuple[int, int]:
        """The shortest and the longest time from a write to a node's kube-proxy. Raises InputError."""
        least, most = (self.numbers[f"proxy_watch_{end}_s"] for end in ("least", "most"))
        if not least <= most <= _LONGEST_S:
            raise InputError(
                f"is {least:g}, and proxy_watch_most_s {most:g}", field="proxy_watch_least_s",
                expected=f"the first no longer than the second, and both {_LONGEST_S:,} s at most",
            )  # fmt: skip
        return round(least * _SECOND_US), round(most * _SECOND_US)


class Listener(Protocol):
    """Somebody who is told when changes are known on every node, in the order in which they were written."""

    def known(self, known: Known, endpoints: EndpointChanges) -> None:
        """Take changes, ``endpoints`` that they tell of; ``known.seen_us`` says when each node knows them."""


class Networking:
    """The kube-proxies of a run's nodes.

    Attributes:
        listeners: told of all that becomes known.
    """

    def __init__(self, world: World, proxying: Proxying, horizon_us: int, compiled: Callable[[], bool]) -> None:
        """Take the run's objects, how its proxies run, and how long it goes; ``compiled`` is asked when they begin."""
        self._world, self._proxying, self._compiled = world, proxying, compiled
        least = -(-horizon_us // _INTERVALS)
        self.interval_us = max(_INTERVAL_US, -(-least // _SECOND_US) * _SECOND_US)
        self.listeners: list[Listener] = []
        self._told = Told(world)
        self._begun, self._stale, self._size = False, 0, 0
        self._boundary_us = self.interval_us
        self._counts: list[tuple[int, int, int, int]] = []
        self._rows: list[Rows] = []
        self._endpoints = EndpointChanges.none()

    @property
    def written(self) -> int:
        """How many changes were written so far; the next one has this number."""
        return self._told.count

    @property
    def decided_us(self) -> int:
        """Up to when it is decided what nodes know; see ``Proxies.decided_us``."""
        return self._proxies.decided_us if self._begun else 0

    def compile(self) -> None:
        """Compile what the proxies need, where there are Services from the start and the run is compiled."""
        if self._compiled() and self._proxying.mode is not None and self._world.versions.get("Service"):
            nodes, cost = Nodes(np.zeros(1, np.int64), np.zeros(1, np.int64)), Cost(0, 0, 0, 1, 0, 1, 1 << 40)
            tiny = Proxies(nodes, cost)
            Outcome(tiny, 1).take(tiny.advance(Changes.of([1], [0]), 2))

    def collect(self, now_us: int) -> None:
        """Note what changed, written now: before controllers look, and after."""
        if self._proxying.mode is not None:
            self._catch_up(now_us)
            self._told.collect(now_us)

    def finish(self, now_us: int) -> None:
        """End the run: what is on its way still arrives."""
        if self._proxying.mode is None:
            return
        self._catch_up(now_us + 1)
        if self._begins():
            self._feed(now_us)
            self._take(self._proxies.finish(now_us))
            self._count()
            self._outcome.close()

    def _catch_up(self, now_us: int) -> None:
        """Feed what was written in the intervals that are over."""
        while self._boundary_us <= now_us:
            if self._begins():
                self._feed(self._boundary_us - 1)
            self._count()
            self._boundary_us += self.interval_us

    def _begins(self) -> bool:
        """Tell whether there are proxies, and make them when there is a Service for the first time."""
        if not self._begun and self._world.versions.get("Service"):
            self._begun = True
            how, compiled = self._proxying, self._compiled()
            cost = self._costs()
            nodes = self._world.cluster.sizes["node"]
            drawn = Nodes.drawn(nodes, cost, how.watch_us, np.random.default_rng([how.seed, _STREAM]))
            self._proxies = Proxies(drawn, cost, compiled=compiled, threads=how.threads)
            self._outcome = Outcome(self._proxies, self.interval_us, compiled=compiled, threads=how.threads)
        return self._begun

    def _costs(self) -> Cost:
        """Return what syncs cost with the Services and endpoints that there are."""
        how, ports = self._proxying, cluster_ports(self._world)
        assert how.mode is not None
        self._stale, self._size = 0, len(ports.objects) + len(ports.endpoints.pod)
        seen = seen_on_average(ports, self._world.cluster.sizes["node"])
        case = proxies.case(how.mode, seen, how.options, how.numbers)
        return Cost.of(case, max(len(ports.service), 1) / max(len(ports.objects), 1))

    def _feed(self, until_us: int) -> None:
        changes, endpoints = self._told.taken(until_us)
        self._endpoints = self._endpoints.and_then(endpoints)
        self._stale += int(changes.endpoints.sum()) + len(changes)
        cost = self._costs() if self._stale > _STALE * self._size else None
        self._take(self._proxies.advance(changes, until_us, cost))

    def _take(self, known: Known) -> None:
        """Count what every node knows now, and tell the listeners."""
        quantiles, total = self._outcome.take(known)
        changes, nodes = known.changes, len(self._proxies.nodes)
        latest = changes.written_us, changes.trigger_us, changes.service, changes.endpoints, changes.measured
        self._rows.append(np.column_stack([*latest, quantiles, total // nodes]))
        last = known.first + len(changes)
        cut = int(np.searchsorted(self._endpoints.change, last))
        known_endpoints, self._endpoints = self._endpoints[:cut], self._endpoints[cut:]
        for listener in self.listeners:
            listener.known(known, known_endpoints)

    def _count(self) -> None:
        """Note how many syncs there were up to the end of an interval, and what they took."""
        found = (self._proxies.syncs, self._proxies.fulls, self._proxies.cpu_us) if self._begun else ()
        sums = [int(one.sum()) for one in found] or [0, 0, 0]
        self._counts.append((self._boundary_us - self.interval_us, sums[0], sums[1], sums[2]))

    def tables(self) -> dict[str, pl.DataFrame]:
        """Return the tables of the network, see ``kscale.engine.outputs``; empty ones where there was no Service."""
        if not self._begun:
            names = ("network", "network_changes", "network_latencies", "network_nodes", "network_quantiles")
            return {name: pl.DataFrame(schema=dtypes(name)) for name in names}
        outcome, found = self._outcome, self._proxies
        latencies = {"le_us": [*BOUNDS_US.tolist(), None], "all": outcome.buckets[0], "metric": outcome.buckets[1]}
        described = self._world.nodes
        assert described is not None
        columns = {"node": list(described.names), "watch_us": found.nodes.watch_us, "syncs": found.syncs,
                   "full_syncs": found.fulls, "cpu_us": found.cpu_us}  # fmt: skip
        spread = {"share": _SHARES, "latency_us": outcome.quantiles_us(_SHARES)}
        return {
            "network": self._over_time(), "network_changes": self._changes(),
            "network_latencies": pl.DataFrame(latencies, schema=dtypes("network_latencies")),
            "network_nodes": pl.DataFrame(columns, schema=dtypes("network_nodes")),
            "network_quantiles": pl.DataFrame(spread, schema=dtypes("network_quantiles")),
        }  # fmt: skip

    def _over_time(self) -> pl.DataFrame:
        """Return what was written in each interval and its latencies, and the syncs in it."""
        told = {one.begin_us: one for one in self._outcome.intervals}
        mode, nodes = self._proxying.mode, len(self._proxies.nodes)
        assert mode is not None
        counts = np.array(self._counts, np.int64)
        rows: dict[str, Any] = {"time_us": counts[:, 0], "mode": [mode.name] * len(counts)}
        found = [told.get(begin) for begin in counts[:, 0].tolist()]
        rows["changes"] = [one.changes if one else 0 for one in found]
        rows["mean_us"] = [one.total_us // (one.changes * nodes) if one else None for one in found]
        for place, name in enumerate(("p50_us", "p90_us", "p99_us")):
            rows[name] = [one.quantiles_us[place] if one else None for one in found]
        rows["most_us"] = [one.most_us if one else None for one in found]
        for place, name in enumerate(("syncs", "full_syncs", "cpu_us")):
            rows[name] = np.diff(counts[:, 1 + place], prepend=0)
        return pl.DataFrame(rows, schema=dtypes("network"))

    def _changes(self) -> pl.DataFrame:
        every = np.concatenate(self._rows)
        uid = every[:, 2].tolist()
        names = ("endpoints", "measured", "p50_us", "p99_us", "most_us", "mean_us")
        frame = {
            "written_us": every[:, 0], "happened_us": every[:, 1],
            "namespace": [self._world.namespaces[one] for one in uid],
            "service": [self._world.names[one] for one in uid],
            **{name: every[:, 3 + place] for place, name in enumerate(names)},
        }  # fmt: skip
        frame["measured"] = frame["measured"] != 0
        return pl.DataFrame(frame, schema=dtypes("network_changes"))
