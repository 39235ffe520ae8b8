"""A run: connections are balanced over endpoints by an algorithm, and served."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from kscale import kernels
from kscale.errors import InputError, nearest
from kscale.network.balancing import Algorithm, found
from kscale.network.balancing.common.columns import COLUMNS, allocate
from kscale.network.balancing.common.inputs import (
    Changes,
    Connections,
    Endpoints,
    Lives,
    Settings,
    change_columns,
    column,
    connection_columns,
    endpoint_columns,
    life_columns,
)
from kscale.network.balancing.common.loop import compose
from kscale.network.balancing.common.parameters import DIAL_TIMEOUTS

#: Connections (or those of some endpoints) that one call handles: less than 0.1 s.
_BATCH = 1 << 18
#: The most values of a table by node and client or destination.
_MOST_CELLS = 1 << 30


@dataclass(frozen=True)
class Balanced:
    """What came of a run; arrays by connection or endpoint.

    Attributes:
        endpoint: where each connection went; -1: refused, there was none.
        wait_us: from a connection's arrival until it was served, us; -1: it never was.
        connections: of each endpoint: that reached it alive.
        busy_us: of each endpoint: time that it served, summed over connections, us.
        most_active: of each endpoint: most connections at once, waiting ones included.
        lost: of each endpoint: connections sent to it while it was dead.
        lost_first_us, lost_last_us: when the first and the last of them came, us; without any, -1.
        broken: of each endpoint: connections that its death cut off.
        retried: of each endpoint: dials that it did not answer (userspace).
    """

    endpoint: Any
    wait_us: Any
    connections: Any
    busy_us: Any
    most_active: Any
    lost: Any
    lost_first_us: Any
    lost_last_us: Any
    broken: Any
    retried: Any

    @property
    def refused(self) -> int:
        """Connections for which there was no endpoint."""
        return int((self.endpoint < 0).sum())


def algorithm_of(name: str) -> Algorithm:
    """Return an algorithm by its name. Raises InputError."""
    known = found()
    if name not in known:
        raise InputError(
            f"no algorithm is called '{name}'{nearest(name, known)}", field="algorithm", expected=", ".join(known)
        )
    return known[name]


def balance(
    algorithm: str | Algorithm,
    connections: Connections,
    endpoints: Endpoints,
    rng: np.random.Generator,
    *,
    changes: Changes | None = None,
    lives: Lives | None = None,
    settings: Settings | None = None,
) -> Balanced:
    """Balance connections over endpoints and let them be served.

    At one instant, connections end first, then proxies learn of changes, then connections come in the order of their
    rows; endpoints of positive weight get new ones. ``rng`` gives the seed that chance follows from: the same generator
    state gives the same result, compiled or plain. Raises InputError.
    """
    settings = settings or Settings()
    chosen = algorithm_of(algorithm) if isinstance(algorithm, str) else algorithm
    given, sizes = _given(connections, endpoints, changes or Changes(), lives or Lives(), settings)
    given["run_seed"] = rng.integers(0, 1 << 62, 1)
    affinity = settings.affinity_us > 0
    if affinity:
        clients, session = np.unique(given["connection_client"], return_inverse=True)
        given["connection_session"], sizes["client"] = session.astype(np.int32), len(clients)
    text, entries = compose(chosen, affinity)
    needed = {name for names in entries.values() for name in names} | set(_RESULTS)
    rows = (*COLUMNS, *chosen.columns)
    _check_sizes(rows, needed, sizes)
    given["connection_wait_us"] = np.full(sizes["connection"], -1, np.int64)
    if not chosen.delays:
        given["connection_reached_us"] = given["connection_arrival_us"]
    columns = allocate(rows, needed, sizes, given)
    _run(kernels.load(text, compiled=settings.compiled), entries, columns, sizes, chosen)
    columns["endpoint_lost_first_us"][columns["endpoint_lost"] == 0] = -1
    return Balanced(*(columns[name] for name in _RESULTS))


_RESULTS = (
    "connection_endpoint", "connection_wait_us", "endpoint_connections", "endpoint_busy_us", "endpoint_most_active",
    "endpoint_lost", "endpoint_lost_first_us", "endpoint_lost_last_us", "endpoint_broken", "endpoint_retried",
)  # fmt: skip


def _given(
    connections: Connections, endpoints: Endpoints, changes: Changes, lives: Lives, settings: Settings
) -> tuple[dict[str, Any], dict[str, int]]:
    """Return the arrays that follow from the input by name, and the sizes of dimensions. Raises InputError."""
    most = 1 << 60
    for name in ("affinity_us", "inactive_us", "slow_start_us"):
        column([getattr(settings, name)], name, 1, 0, most)
    column([settings.slow_start_milli], "slow_start_milli", 1, 0, 1_000_000)
    columns, sizes = connection_columns(connections, settings.slow_start_milli)
    columns |= endpoint_columns(endpoints)
    count = len(columns["endpoint_weight"])
    columns |= change_columns(changes, count) | life_columns(lives, count)
    columns |= {
        "run_affinity_us": np.array([settings.affinity_us]), "run_inactive_us": np.array([settings.inactive_us]),
        "run_slow_start_us": np.array([settings.slow_start_us]),
        "run_slow_start_milli": np.array([settings.slow_start_milli]),
        "run_dial_timeouts_us": np.array([row.whole for row in DIAL_TIMEOUTS]),
    }  # fmt: skip
    return columns, sizes | {
        "endpoint": count, "more": count + 1, "tree": 2 << max(count - 1, 0).bit_length(),
        "change": len(columns["change_time_us"]), "life": len(columns["life_born_us"]),
        "server": len(columns["server_free_us"]),
    }  # fmt: skip


def _check_sizes(rows: Any, needed: set[str], sizes: dict[str, int]) -> None:
    """Raise InputError where a table of the run would be larger than memory is likely to be."""
    for row in rows:
        if row.name in needed and len(row.shape) > 1:
            cells = np.prod([float(sizes[size] if isinstance(size, str) else size) for size in row.shape])
            if cells > _MOST_CELLS:
                dimensions = " x ".join(str(size) for size in row.shape)
                raise InputError(
                    f"{dimensions} come to {cells:.3g} values ({row.doc})", expected=f"{_MOST_CELLS} at the most"
                )


def _run(
    module: ModuleType, entries: dict[str, list[str]], columns: dict[str, Any], sizes: dict[str, int], chosen: Algorithm
) -> None:
    """Call the entries, batch by batch."""
    count = sizes["connection"]

    def call(entry: str, *own: int) -> int:
        returned: int = getattr(module, entry)(*own, *(columns[name] for name in entries[entry]))
        return returned

    # Bits are made of products that wrap, which plain numpy scalars warn of.
    with np.errstate(over="ignore"):
        call("start")
        for first in range(0, count, _BATCH):
            call("run", first, min(first + _BATCH, count))
        if chosen.overhead is not None:
            return
        if chosen.delays:
            columns["order"][:] = np.argsort(columns["connection_reached_us"], kind="stable")
        columns["room_first"][:] = np.arange(sizes["endpoint"])
        first = 0
        while first < count:
            batch = min(first + _BATCH, count)
            first = call("deliver", first, batch)
            if first < batch:
                _make_room(columns)


def _make_room(columns: dict[str, Any]) -> None:
    """Double the room of endpoints that have filled more than half of theirs."""
    active, size, first = columns["endpoint_active"], columns["room_size"], columns["room_first"]
    wanted = np.where(active * 2 > size, size * 2, size)
    begin = np.cumsum(wanted) - wanted
    ends = np.empty(int(wanted.sum()), np.int64)
    # Where each end stands among all, and among those of its endpoint.
    ordinal = np.arange(active.sum()) - np.repeat(np.cumsum(active) - active, active)
    ends[np.repeat(begin, active) + ordinal] = columns["room_end_us"][np.repeat(first, active) + ordinal]
    columns["room_end_us"] = ends
    size[:], first[:] = wanted, begin
