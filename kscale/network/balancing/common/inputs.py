"""What a run is given: connections, endpoints, changes of what proxies list, lives; checked once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kscale.errors import InputError
from kscale.network.balancing.common.columns import NEVER_US
from kscale.network.balancing.common.parameters import INACTIVE

#: The largest weight that IPVS takes (include/uapi/linux/ip_vs.h has it as an int; ipvsadm takes 0 to 65535).
MOST_WEIGHT = 65_535
#: Overheads are multiplied by weights in int64.
_MOST_CONNECTIONS = 1 << 31
#: Times and their sums stay below this, so that no sum can wrap.
_MOST_US = 1 << 60


def _none() -> Any:
    return np.zeros(0, np.int64)


@dataclass(frozen=True)
class Connections:
    """New connections, in the order in which they are balanced.

    Attributes:
        arrival_us: when each comes, us, ascending.
        duration_us: how long each is served, us.
        client: address of its client as a number (an IPv4 address, or any number that is not negative); one client
            for all without it.
        node: row of the node whose proxy balances it; one node without it.
        destination: row of its destination address; one without it, as for one ClusterIP.
    """

    arrival_us: Any
    duration_us: Any
    client: Any = None
    node: Any = None
    destination: Any = None


@dataclass(frozen=True)
class Endpoints:
    """The endpoints of a Service port.

    Attributes:
        weight: as proxies list each at the beginning: 1 in kube-proxy, 0 drains, -1 is not listed (yet).
        limit: connections that each serves at once, the others wait their turn; 0, and without it: any number.
    """

    weight: Any
    limit: Any = None


@dataclass(frozen=True)
class Changes:
    """What proxies learn, and when: all nodes at the same time.

    Attributes:
        time_us: us, ascending.
        endpoint: row of the endpoint.
        weight: its weight from then on; -1 takes it off the list.
    """

    time_us: Any = field(default_factory=_none)
    endpoint: Any = field(default_factory=_none)
    weight: Any = field(default_factory=_none)


@dataclass(frozen=True)
class Lives:
    """When endpoints are alive, whatever proxies list; an endpoint without a row lives always.

    Attributes:
        endpoint: row of the endpoint.
        born_us: when it begins to serve, us.
        dies_us: when it stops, us.
    """

    endpoint: Any = field(default_factory=_none)
    born_us: Any = field(default_factory=_none)
    dies_us: Any = field(default_factory=_none)


@dataclass(frozen=True)
class Settings:
    """How a run goes.

    Attributes:
        affinity_us: ClientIP affinity, us since a client's last connection (kube-proxy: ``CLIENT_AFFINITY``); 0: none.
        inactive_us: how long IPVS counts a closed connection as inactive, us.
        slow_start_us: how long an endpoint is slow after its birth, us.
        slow_start_milli: times longer that it then serves, in thousandths.
        compiled: run compiled, or as plain Python: the results are equal.
    """

    affinity_us: int = 0
    inactive_us: int = INACTIVE.whole
    slow_start_us: int = 0
    slow_start_milli: int = 1000
    compiled: bool = True


def column(values: Any, name: str, count: int | None, least: int, most: int, dtype: str = "int64") -> Any:
    """Return whole numbers as an array of their own dtype. Raises InputError."""
    array = np.asarray(values)
    if array.ndim != 1 or (array.dtype.kind not in "iu" and array.size):
        raise InputError("is no list of whole numbers", field=name, expected="integers")
    if count is not None and len(array) != count:
        raise InputError(f"has {len(array)} values", field=name, expected=f"{count}")
    if array.size and (int(array.min()) < least or int(array.max()) > most):
        raise InputError(
            f"holds {int(array.min())} to {int(array.max())}", field=name, expected=f"numbers from {least} to {most}"
        )
    return np.ascontiguousarray(array, dtype)


def ascending(array: Any, name: str) -> Any:
    """Return the array. Raises InputError where a time is before the one above it."""
    wrong = np.flatnonzero(array[1:] < array[:-1])
    if len(wrong):
        raise InputError("comes before the row above", field=name, row=int(wrong[0]) + 2, expected="ascending times")
    return array


def connection_columns(given: Connections, slow_milli: int) -> tuple[dict[str, Any], dict[str, int]]:
    """Return the arrays of connections by name, and the sizes that they give. Raises InputError."""
    arrival = ascending(column(given.arrival_us, "arrival_us", None, 0, _MOST_US), "arrival_us")
    count = len(arrival)
    if count >= _MOST_CONNECTIONS:
        raise InputError(f"{count} connections are too many", expected=f"fewer than {_MOST_CONNECTIONS}")
    duration = column(given.duration_us, "duration_us", count, 0, _MOST_US)
    last = int(arrival[-1]) if count else 0
    if last + float(duration.sum(dtype=np.float64)) * max(slow_milli, 1000) / 1000 > _MOST_US:
        raise InputError("all durations together are too long", field="duration_us", expected="less than 2^60 us")
    zeros = np.zeros(count, np.int32)
    rows = (1 << 31) - 1
    node = zeros if given.node is None else column(given.node, "node", count, 0, rows, "int32")
    place = zeros if given.destination is None else column(given.destination, "destination", count, 0, rows, "int32")
    client = zeros if given.client is None else column(given.client, "client", count, 0, (1 << 62) - 1)
    columns = {
        "connection_arrival_us": arrival, "connection_duration_us": duration, "connection_node": node,
        "connection_destination": place, "connection_client": client.astype(np.int64, copy=False),
    }  # fmt: skip
    sizes = {"connection": count, "node": int(node.max(initial=0)) + 1, "destination": int(place.max(initial=0)) + 1}
    return columns, sizes


def endpoint_columns(given: Endpoints) -> dict[str, Any]:
    """Return the arrays of endpoints by name. Raises InputError."""
    weight = column(given.weight, "weight", None, -1, MOST_WEIGHT)
    limits = np.zeros(len(weight), np.int64) if given.limit is None else given.limit
    limit = column(limits, "limit", len(weight), 0, 1 << 31)
    first = np.cumsum(limit) - limit
    return {
        "endpoint_weight": weight.copy(), "endpoint_last_weight": weight.copy(), "endpoint_limit": limit,
        "endpoint_server_first": first, "server_free_us": np.zeros(int(limit.sum()), np.int64),
    }  # fmt: skip


def change_columns(given: Changes, endpoints: int) -> dict[str, Any]:
    """Return the arrays of changes by name. Raises InputError."""
    time = ascending(column(given.time_us, "time_us", None, 0, _MOST_US), "time_us")
    return {
        "change_time_us": time,
        "change_endpoint": column(given.endpoint, "endpoint", len(time), 0, endpoints - 1, "int32"),
        "change_weight": column(given.weight, "weight", len(time), -1, MOST_WEIGHT),
    }


def life_columns(given: Lives, endpoints: int) -> dict[str, Any]:
    """Return the arrays of lives by name, by endpoint in order of time. Raises InputError."""
    endpoint = column(given.endpoint, "endpoint", None, 0, endpoints - 1)
    born = column(given.born_us, "born_us", len(endpoint), -NEVER_US, _MOST_US)
    dies = column(given.dies_us, "dies_us", len(endpoint), -NEVER_US, NEVER_US)
    if len(wrong := np.flatnonzero(dies <= born)):
        raise InputError("dies before it is born", field="dies_us", row=int(wrong[0]) + 1, expected="after born_us")
    always = np.setdiff1d(np.arange(endpoints), endpoint)
    endpoint = np.concatenate([endpoint, always])
    born = np.concatenate([born, np.full(len(always), -NEVER_US)])
    dies = np.concatenate([dies, np.full(len(always), NEVER_US)])
    order = np.lexsort((born, endpoint))
    endpoint, born, dies = endpoint[order], born[order], dies[order]
    overlap = np.flatnonzero((endpoint[1:] == endpoint[:-1]) & (born[1:] < dies[:-1]))
    if len(overlap):
        raise InputError(
            f"endpoint {endpoint[overlap[0]]} has two lives at once", field="born_us", expected="one after the other"
        )
    return {
        "endpoint_life_first": np.searchsorted(endpoint, np.arange(endpoints + 1)),
        "life_born_us": born, "life_dies_us": dies,
    }  # fmt: skip
