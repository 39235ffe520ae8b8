"""Algorithms that look at what is open: connection by connection, on each node as its own proxy sees them.

Each node that has clients keeps what ``kscale.network.balancing`` keeps of it: its open connections, and what its
algorithm remembers. A segment's connections are drawn and balanced by the same kernels, among the endpoints that the
node's rules have at the time. It costs by connections, and about a millisecond for each node and segment.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import numpy as np

from kscale import kernels
from kscale.kernels import plain
from kscale.network.balancing import Algorithm
from kscale.network.balancing.common import inputs
from kscale.network.balancing.common.columns import COLUMNS, NEVER_US, allocate
from kscale.network.balancing.common.loop import compose
from kscale.network.balancing.common.parameters import INACTIVE
from kscale.network.traffic.clients import Stream
from kscale.network.traffic.rates import cumulative
from kscale.network.traffic.spreading import Segment, Spread, nothing
from kscale.network.traffic.views import spans

Rows = np.ndarray[Any, Any]
#: Places between which a rate is taken to be straight when times are drawn from it.
_GRID = 64


@dataclass(frozen=True)
class _Drawn:
    """Connections of a node in the order of their times; ``stream`` is the place of the stream of each."""

    arrival_us: Rows
    duration_us: Rows
    client: Rows
    stream: Rows


@dataclass
class _Session:
    """What a node's proxy keeps: columns of the balancing, with ``rows`` of endpoints and ``clients`` by place."""

    rows: Rows
    columns: dict[str, Any]
    clients: dict[int, int] = field(default_factory=dict)


class Stepping:
    """The proxies of all nodes for one Service, whose ``algorithm`` looks at what is open."""

    def __init__(
        self, algorithm: Algorithm, generator: np.random.Generator, affinity_us: int, *, compiled: bool = True
    ) -> None:  # fmt: skip
        self._algorithm, self._generator, self._affinity_us = algorithm, generator, affinity_us
        self._sessions: dict[int, _Session] = {}
        text, self._entries = compose(algorithm, affinity_us > 0)
        self._module: ModuleType = kernels.load(text, compiled=compiled)

    def spread(self, segment: Segment, streams: Sequence[Stream], gone: Rows) -> list[Spread]:
        """Spread the connections of a segment, stream by stream; ``gone`` (bool) endpoints do not answer."""
        found = [nothing(len(segment.row)) for _ in streams]
        nodes = np.unique(np.concatenate([np.empty(0, np.int64), *(one.clients.nodes for one in streams)]))
        for node in nodes.tolist():
            drawn = self._draw(segment, streams, node)
            first = next(one for one in streams if node in one.clients.nodes)
            times, used = self._lists(segment, first, node)
            target = self._balance(segment, node, drawn, times, used, gone)
            self._count(segment, drawn, times, target, found)
        return found

    def _draw(self, segment: Segment, streams: Sequence[Stream], node: int) -> _Drawn:
        """Draw the connections of a node's clients."""
        generator, parts = self._generator, []
        grid = np.linspace(segment.begin_us, segment.end_us, _GRID + 1)
        for place, stream in enumerate(streams):
            mine = np.flatnonzero(stream.clients.node == node)
            if not len(mine):
                continue
            whole = cumulative(stream.curve, grid)
            count = int(generator.poisson(max(whole[-1] - whole[0], 0.0) * len(mine) / len(stream.clients.node)))
            at = np.interp(generator.uniform(whole[0], whole[-1], count), whole, grid)
            phases = stream.open.phases
            lasts = np.zeros(count)
            if len(phases.share):
                lasts = generator.exponential(
                    phases.mean_us[generator.choice(len(phases.share), count, p=phases.share)]
                )
            client = stream.clients.serial[mine[generator.integers(0, len(mine), count)]]
            parts.append((np.minimum(at.astype(np.int64), segment.end_us - 1), lasts.astype(np.int64), client,
                          np.full(count, place)))  # fmt: skip
        columns = [np.concatenate([np.empty(0, np.int64), *column]) for column in zip(*parts, strict=True)]
        order = np.argsort(columns[0], kind="stable")
        return _Drawn(*(column[order] for column in columns))

    def _lists(self, segment: Segment, stream: Stream, node: int) -> tuple[Rows, Rows]:
        """Return from when on the node goes by each version, and what it uses then: int64, bool (version, endpoint)."""
        begin, end = spans(segment.versions, np.array([node]), segment.begin_us, segment.end_us)
        used = np.zeros((len(segment.versions), len(segment.row)), bool)
        for number, version in enumerate(segment.versions):
            sets = segment.sets(version, stream)
            class_ = sets.of[np.searchsorted(stream.clients.nodes, node)]
            used[number, segment.places(version)] = sets.used[class_]
        there = end[:, 0] > begin[:, 0]
        return np.where(there, begin[:, 0], NEVER_US), used

    def _balance(self, segment: Segment, node: int, drawn: _Drawn, times: Rows, used: Rows, gone: Rows) -> Rows:
        """Return the place of the endpoint of each connection, -1 where there was none."""
        session = self._sessions.get(node)
        if session is None or not np.array_equal(session.rows, segment.row):
            session = self._sessions[node] = self._fitted(session, segment.row)
        columns = session.columns
        _end(columns, gone, segment.begin_us)
        given, sizes = inputs.connection_columns(
            inputs.Connections(drawn.arrival_us, drawn.duration_us, client=drawn.client), 1000
        )
        given |= _changes(times, used, columns["endpoint_weight"])
        dead = np.where(gone, -NEVER_US, NEVER_US)
        given |= {
            "endpoint_life_first": np.arange(len(gone) + 1), "life_born_us": np.full(len(gone), -NEVER_US - 1),
            "life_dies_us": dead, "connection_reached_us": given["connection_arrival_us"],
            "connection_wait_us": np.full(sizes["connection"], -1, np.int64),
            "connection_endpoint": np.zeros(sizes["connection"], np.int32), "run_change": np.zeros(1, np.int64),
        }  # fmt: skip
        columns |= given
        if self._affinity_us:
            _seat(session, drawn.client)
        _make_room(columns, sizes["connection"])
        with np.errstate(over="ignore"):
            self._call("run", columns, 0, sizes["connection"])
        _forget(columns)
        result: Rows = columns["connection_endpoint"].astype(np.int64)
        return result

    def _count(self, segment: Segment, drawn: _Drawn, times: Rows, target: Rows, found: list[Spread]) -> None:
        """Count where connections went, by the version that the node went by."""
        order = np.argsort(times, kind="stable")
        version = order[np.searchsorted(times[order], drawn.arrival_us, "right") - 1]
        ready = np.zeros((len(segment.versions), len(segment.row)), bool)
        for number, one in enumerate(segment.versions):
            ready[number, segment.places(one)] = one.ready
        for place, spread in enumerate(found):
            mine = drawn.stream == place
            went = mine & (target >= 0)
            spread.refused += int((mine & (target < 0)).sum())
            as_ready = ready[version[went], target[went]]
            np.add.at(spread.ready, target[went][as_ready], 1)
            np.add.at(spread.draining, target[went][~as_ready], 1)

    def _fitted(self, old: _Session | None, rows: Rows) -> _Session:
        """Return a session with these rows of endpoints that goes on from another one."""
        count = len(rows)
        sizes = {
            "connection": 0, "node": 1, "destination": 1, "endpoint": count, "more": count + 1, "client": 0,
            "tree": 2 << max(count - 1, 0).bit_length(), "change": 0, "life": count, "server": 0,
        }  # fmt: skip
        needed = {name for names in self._entries.values() for name in names}
        given = inputs.endpoint_columns(inputs.Endpoints(np.full(count, -1)))
        given |= {"run_affinity_us": np.array([self._affinity_us]), "run_inactive_us": np.array([INACTIVE.value]),
                  "run_seed": self._generator.integers(0, 1 << 62, 1)}  # fmt: skip
        declared = (*COLUMNS, *self._algorithm.columns)
        columns = allocate(declared, needed, sizes, given)
        session = _Session(rows, columns, old.clients if old is not None else {})
        self._call("start", columns)
        if old is not None:
            _carry_over(old, session, [one for one in declared if one.name in columns])
            assert self._algorithm.overhead is not None
            overhead = plain(self._algorithm.overhead)
            loads = zip(columns["node_active"][0].tolist(), columns["node_inactive"][0].tolist(), strict=True)
            columns["tree_overhead"][0] = [overhead(active, inactive) for active, inactive in loads]
            self._call("resume", columns)
        return session

    def _call(self, entry: str, columns: dict[str, Any], *own: int) -> None:
        getattr(self._module, entry)(*own, *(columns[name] for name in self._entries[entry]))


#: Columns that hold endpoints; places of open and closed connections do as well, as there is one node.
_HOLDERS = ("cache_endpoint", "session_endpoint", "open_place", "closed_place")
#: Columns that follow from others when a list is noted anew, or are given for each run.
_MADE = ("tree_", "set_winner", "set_place", "usable", "run_usable", "connection_", "life_", "change_", "endpoint_life",
         "server_", "endpoint_server", "node_roomy", "run_seed")  # fmt: skip


def _carry_over(old: _Session, new: _Session, declared: Sequence[Any]) -> None:
    """Take over what a session held of the endpoints that are there yet."""
    place = np.searchsorted(new.rows, old.rows)
    kept = place < len(new.rows)
    kept[kept] = new.rows[place[kept]] == old.rows[kept]
    moved = np.append(np.where(kept, place, -1), -1)
    for one in declared:
        if one.name.startswith(_MADE) or one.name not in old.columns:
            continue
        before = old.columns[one.name]
        if one.name == "set_member":
            _carry_sets(old.columns, new.columns, moved)
        elif one.name in _HOLDERS:
            new.columns[one.name] = moved[before].astype(before.dtype)
        elif "endpoint" in one.shape:
            new.columns[one.name][..., place[kept]] = before[..., kept]
        elif one.name != "cache_size" or "set_member" not in old.columns:
            new.columns[one.name] = before
    if "cache_endpoint" in new.columns and new.columns["cache_endpoint"][0, 0] < 0:
        # Its endpoint is there no more: as if the only destination had never been known.
        new.columns["cache_entries"][0] -= new.columns["cache_size"][0, 0]
        new.columns["cache_size"][0, 0] = new.columns["cache_endpoint"][0, 0] = 0
    _drop_open(new.columns)


def _carry_sets(old: dict[str, Any], new: dict[str, Any], moved: Rows) -> None:
    """Take over the members of the only destination's set that are there yet, in order."""
    size = int(old["cache_size"][0, 0])
    members = moved[old["set_member"][0, 0, :size]]
    members = members[members >= 0]
    new["set_member"][0, 0, : len(members)] = members
    new["cache_size"][0, 0] = len(members)


def _drop_open(columns: dict[str, Any]) -> None:
    """Forget connections of endpoints that are there no more."""
    count = int(columns["run_open"][0])
    kept = columns["open_place"][:count] >= 0
    _order_open(columns, columns["open_end_us"][:count][kept], columns["open_place"][:count][kept])
    first, last = columns["run_closed"].tolist()
    kept = columns["closed_place"][first:last] >= 0
    for name in ("closed_us", "closed_place"):
        columns[name] = columns[name][first:last][kept]
    columns["run_closed"] = np.array([0, int(kept.sum())])


def _order_open(columns: dict[str, Any], end_us: Rows, place: Rows) -> None:
    """Make a heap of open connections: in order of their ends they are one."""
    order = np.argsort(end_us, kind="stable")
    columns["open_end_us"], columns["open_place"] = end_us[order], place[order]
    columns["run_open"] = np.array([len(order)])


def _end(columns: dict[str, Any], gone: Rows, now_us: int) -> None:
    """End the open connections of endpoints that do not answer any more."""
    count = int(columns["run_open"][0])
    end_us, place = columns["open_end_us"][:count], columns["open_place"][:count]
    over = gone[place] & (end_us > now_us)
    if over.any():
        _order_open(columns, np.where(over, now_us, end_us), place)


def _changes(times: Rows, used: Rows, weight: Rows) -> dict[str, Any]:
    """Return the changes of weights from the present ones on: 1 for what a version uses, 0 for the rest."""
    parts: list[tuple[Rows, Rows, Rows]] = []
    for number in np.argsort(times, kind="stable").tolist():
        if times[number] >= NEVER_US:
            break
        wanted = np.where(used[number], 1, 0)
        changed = np.flatnonzero(wanted != weight)
        parts.append((np.full(len(changed), times[number]), changed, wanted[changed]))
        weight = wanted
    time, endpoint, value = (np.concatenate([np.empty(0, np.int64), *one]) for one in zip(*parts, strict=True))
    return {"change_time_us": time, "change_endpoint": endpoint.astype(np.int32), "change_weight": value}


def _seat(session: _Session, client: Rows) -> None:
    """Give clients places among those whose endpoints are remembered."""
    for one in np.unique(client).tolist():
        session.clients.setdefault(one, len(session.clients))
    seats = np.array([session.clients[one] for one in client.tolist()], np.int32)
    session.columns["connection_session"] = seats
    for name, default in (("session_endpoint", -1), ("session_used_us", 0)):
        held = session.columns[name]
        more = np.full((1, len(session.clients) - held.shape[1]), default, held.dtype)
        session.columns[name] = np.concatenate([held, more], axis=1)


def _make_room(columns: dict[str, Any], more: int) -> None:
    """Make room for connections that open, and for all that close."""
    held = int(columns["run_open"][0])
    for name in ("open_end_us", "open_place"):
        columns[name] = np.concatenate([columns[name][:held], np.zeros(more, columns[name].dtype)])
    for name in ("closed_us", "closed_place"):
        columns[name] = np.concatenate([columns[name], np.zeros(held + more, columns[name].dtype)])


def _forget(columns: dict[str, Any]) -> None:
    """Let go of the places of closed connections that were forgotten."""
    first, last = columns["run_closed"].tolist()
    for name in ("closed_us", "closed_place"):
        columns[name] = columns[name][first:last].copy()
    columns["run_closed"] = np.array([0, last - first])
