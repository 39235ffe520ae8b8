"""One Service: its endpoints, what nodes' rules have of them, its flows, and what becomes of their connections."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from kscale.engine.flows import Flow, FlowKey
from kscale.network.traffic.choosing import Choice
from kscale.network.traffic.clients import Clients, Open, Stream
from kscale.network.traffic.durations import phases
from kscale.network.traffic.endpoints import GONE, NOT_READY, REASONS, SERVES, TERMINATING, Endpoints
from kscale.network.traffic.outcome import Outcome, Share, Stale, Step
from kscale.network.traffic.spreading import Segment, Spread
from kscale.network.traffic.views import NEVER_US, Version, Where, empty

Rows = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Listing:
    """What slices list of a Service, int64 and bool columns by endpoint; ``state`` is what each truly is.

    An endpoint that is ready, or ``draining`` (it serves and is being deleted), is as ``kscale.network.usable`` has it.
    """

    serial: Rows
    node: Rows
    ready: Rows
    draining: Rows
    zone_hint: Rows
    node_hint: Rows
    state: Rows


class Served:
    """A Service with traffic. All that it is told must be told before it has advanced beyond its time.

    Attributes:
        now_us: up to when all is worked out.
        outcome: what became of it by then.
        versions: those that some node goes by, or will.
    """

    def __init__(self, choice: Choice, where: Where, step_us: int) -> None:
        self.choice, self.where, self.step_us = choice, where, step_us
        self.now_us = 0
        self.outcome, self.endpoints = Outcome(), Endpoints()
        self.versions: list[Version] = [empty(choice.nodes)]
        self._streams: dict[FlowKey, Stream] = {}
        self._told: list[tuple[int, int, Callable[[], None]]] = []
        self._numbers, self._serials = 0, 0
        self._tally = np.zeros(2 + len(REASONS) + 1, np.int64)

    def list_endpoints(self, listing: Listing, time_us: int, seen_us: Rows) -> None:
        """Take what slices list from ``time_us`` on; nodes have it at ``seen_us``, which may be written later."""
        self._at(time_us, lambda: self._list(listing, seen_us))

    def _list(self, listing: Listing, seen_us: Rows) -> None:
        rows = self.endpoints.rows(listing.serial, listing.node, listing.state, self.now_us)
        for stream in self._streams.values():
            stream.open.fit(len(self.endpoints), self.now_us)
        order = np.argsort(rows)
        self._serials += 1
        version = Version(
            rows[order], listing.node[order], listing.ready[order], listing.draining[order],
            listing.zone_hint[order], listing.node_hint[order], seen_us, self._serials,
        )  # fmt: skip
        self.versions.append(version)
        self.endpoints.even &= np.isin(self.endpoints.row, version.row[_using(version)])

    def behave(self, where: Where, affinity_us: int, time_us: int) -> None:
        """Take another traffic policy and affinity from ``time_us`` on."""
        self._at(time_us, lambda: self._behave(where, affinity_us))

    def _behave(self, where: Where, affinity_us: int) -> None:
        self.where = where
        self.choice.stick(affinity_us)

    def tell_states(self, serials: Rows, states: Rows, time_us: int) -> None:
        """Take what pods truly are from ``time_us`` on; those that were never listed do not matter."""
        self._at(time_us, lambda: self._become(serials, states))

    def flow(self, key: FlowKey, flow: Flow | None, clients: Clients, time_us: int) -> None:
        """Take a flow from ``time_us`` on; None takes it away, and what is open of it is not followed any more."""
        self._at(time_us, lambda: self._flow(key, flow, clients))

    def change_clients(self, clients: Mapping[FlowKey, Clients], time_us: int) -> None:
        """Take who connects from ``time_us`` on, of flows that are there by then."""
        self._at(time_us, lambda: self._change_clients(clients))

    def _change_clients(self, clients: Mapping[FlowKey, Clients]) -> None:
        for key, one in clients.items():
            if key in self._streams:
                self._streams[key].change(one)

    def _at(self, time_us: int, what: Callable[[], Any]) -> None:
        self._numbers += 1
        heapq.heappush(self._told, (time_us, self._numbers, what))

    def advance(self, until_us: int) -> None:
        """Work out what happens up to ``until_us``."""
        while True:
            while self._told and self._told[0][0] <= self.now_us:
                heapq.heappop(self._told)[2]()
            if self.now_us >= until_us:
                return
            end_us = min(until_us, self._told[0][0] if self._told else NEVER_US)
            if self._streams:
                step_end_us = (self.now_us // self.step_us + 1) * self.step_us
                affinity = self.choice.affinity_us
                end_us = min(end_us, step_end_us, self.now_us + affinity if affinity else NEVER_US)
                self._draw(end_us)
                self.now_us = end_us
                self._prune()
                if end_us == step_end_us:
                    self._end_step()
            else:
                self.now_us = end_us
                self._prune()

    def finish(self, until_us: int) -> Outcome:
        """Work out the rest, and return what became of all."""
        self.advance(until_us)
        if self._streams and self.now_us % self.step_us:
            self._end_step()
        every = self.endpoints
        used = self._used()
        for place in np.flatnonzero((every.left_us >= 0) & used).tolist():
            self._tell_stale(place, None)
        listed = self._listed()
        for place in range(len(every)):
            self._tell_share(place, None if listed[place] else self.now_us)
        return self.outcome

    def _draw(self, end_us: int) -> None:
        """Spread what comes from now until ``end_us``."""
        every = self.endpoints
        segment = Segment(self.now_us, end_us, self._present(end_us), self.where, every.row)
        gone = every.state == GONE
        streams = [self._streams[key] for key in sorted(self._streams, key=_in_order)]
        streams = [one for one in streams if len(one.clients.serial)]
        for stream, spread in zip(streams, self.choice.spread_all(segment, streams, gone), strict=True):
            self._count(stream, spread)

    def _present(self, end_us: int) -> list[Version]:
        """Return the versions that some node may go by until ``end_us``."""
        return [self.versions[0], *(one for one in self.versions[1:] if one.seen_us.min() < end_us)]

    def _count(self, stream: Stream, spread: Spread) -> None:
        """Count connections, by what their endpoints are."""
        every, total = self.endpoints, spread.ready + spread.draining
        lost = np.zeros((len(every), len(REASONS)), np.int64)
        for column, state in enumerate((TERMINATING, NOT_READY, GONE)):
            # Who is sent to one that is being deleted, as no other is left, is meant to be.
            count = spread.ready if state == TERMINATING else total
            lost[:, column] = np.where(every.state == state, count, 0)
        every.connections += total
        every.step += total
        every.lost += lost
        every.stale += np.where((every.left_us >= 0)[:, None], lost, 0)
        stream.open.add(total - lost[:, 1:].sum(axis=1))
        self._tally[:2] += int(total.sum()) + spread.refused, spread.refused
        self._tally[2:-1] += lost.sum(axis=0)

    def _become(self, serials: Rows, states: Rows) -> None:
        """Let endpoints be in other states from now on."""
        every = self.endpoints
        known, places = every.known(serials)
        states = states[known]
        changed = every.state[places] != states
        places, states = places[changed], states[changed]
        if not len(places):
            return
        used = self._used()
        for stream in self._streams.values():
            stream.open.settle(places, self.now_us, self.choice.generator)
        every.even[places] = False
        for place, state in zip(places.tolist(), states.tolist(), strict=True):
            every.state[place] = state
            if state == SERVES and every.left_us[place] >= 0:
                self._tell_stale(place, self.now_us)
            elif state != SERVES and every.left_us[place] < 0 and used[place] and self._streams:
                every.left_us[place], every.why[place] = self.now_us, state
                every.stale[place], every.stale_cut[place] = 0, 0
        self._cut(places[states == GONE])

    def _cut(self, places: Rows) -> None:
        """Cut off what is open of endpoints that have ended."""
        every = self.endpoints
        for stream in self._streams.values():
            count = stream.open.count[places].sum(axis=1)
            stream.open.clear(places)
            every.cut[places] += count
            every.stale_cut[places] += count
            self._tally[-1] += count.sum()

    def _flow(self, key: FlowKey, flow: Flow | None, clients: Clients) -> None:
        if flow is None:
            self._streams.pop(key, None)
            return
        if not self._streams:
            self._begin_step()
        before, new = self._streams.get(key), Stream(flow.rate, clients, Open(phases(flow.duration_us, flow.tail)))
        new.open.fit(len(self.endpoints), self.now_us)
        if before is not None and before.open.phases.mean_us.tolist() == new.open.phases.mean_us.tolist():
            new.open = before.open
        self._streams[key] = new

    def _used(self) -> Rows:
        """Return which endpoints some version that is not over uses."""
        rows = [one.row[_using(one)] for one in self.versions]
        return np.isin(self.endpoints.row, np.concatenate(rows))

    def _listed(self) -> Rows:
        """Return which endpoints some version that is not over lists."""
        return np.isin(self.endpoints.row, np.concatenate([one.row for one in self.versions]))

    def _prune(self) -> None:
        """Let go of the versions that no node goes by any more, and of what only they had."""
        while len(self.versions) > 1 and self.versions[1].seen_us.max() <= self.now_us:
            old = self.versions.pop(0)
            every, used = self.endpoints, self._used()
            dropped = np.isin(every.row, old.row[_using(old)]) & ~used
            last_us = self.versions[0].seen_us
            for place in np.flatnonzero(dropped & (every.left_us >= 0)).tolist():
                self._tell_stale(place, last_us)
            over = ~self._listed() & (every.state == GONE)
            for place in np.flatnonzero(over).tolist():
                self._tell_share(place, int(last_us.max()))
            if over.any():
                every.drop(over)
                for stream in self._streams.values():
                    stream.open.keep(~over)

    def _tell_stale(self, place: int, until_us: Rows | int | None) -> None:
        """Note how long the rules of clients' nodes had an endpoint too long: until each node's own time."""
        every = self.endpoints
        since_us = int(every.left_us[place])
        every.left_us[place] = -1
        nodes = self._nodes()
        if isinstance(until_us, np.ndarray):
            until = until_us[nodes]
            last_us: int | None = int(until.max(initial=since_us))
            late = int((until > since_us).sum())
        else:
            last_us, late = until_us, len(nodes)
        if late:
            terminating, not_ready, gone = every.stale[place].tolist()
            told = Stale(
                int(every.serial[place]), int(every.why[place]), since_us, last_us, late, terminating, not_ready, gone,
                int(every.stale_cut[place]),
            )  # fmt: skip
            self.outcome.stale.append(told)

    def _tell_share(self, place: int, last_us: int | None) -> None:
        every = self.endpoints
        terminating, not_ready, gone = every.lost[place].tolist()
        told = Share(
            int(every.serial[place]), int(every.first_us[place]), last_us, int(every.connections[place]), terminating,
            not_ready, gone, int(every.cut[place]),
        )  # fmt: skip
        self.outcome.shares.append(told)

    def _nodes(self) -> Rows:
        """Return the nodes that have clients."""
        return np.unique(np.concatenate([np.empty(0, np.int64), *(s.clients.nodes for s in self._streams.values())]))

    def _begin_step(self) -> None:
        every = self.endpoints
        every.step[:] = 0
        every.even = every.state == SERVES
        for one in self.versions:
            every.even &= np.isin(every.row, one.row[_using(one)])
        self._tally[:] = 0

    def _end_step(self) -> None:
        """Note what came of the step that ends now."""
        every, places = self.endpoints, np.arange(len(self.endpoints))
        still = [s.open.settle(places, self.now_us, self.choice.generator).sum() for s in self._streams.values()]
        shared = every.step[every.even]
        begin_us = (self.now_us - 1) // self.step_us * self.step_us
        connections, refused, terminating, not_ready, gone, cut = self._tally.tolist()
        told = Step(
            begin_us, connections, refused, terminating, not_ready, gone, cut, int(sum(still)), len(shared),
            int(shared.sum()), int(shared.max(initial=0)), float((shared.astype(np.float64) ** 2).sum()),
        )  # fmt: skip
        self.outcome.steps.append(told)
        self._begin_step()


def _using(version: Version) -> Rows:
    """Return which endpoints of a version some node may use: ready ones, or draining ones where none is ready."""
    return version.ready if version.ready.any() else version.draining


def _in_order(key: FlowKey) -> tuple[tuple[str, ...], tuple[str, ...]]:
    source, service = key
    return source or (), service
