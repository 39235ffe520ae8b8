"""A small cluster of bare columns, and kernels called on it by the names of their parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kscale.kernels import parameters, plain
from kscale.scheduler import plugins
from kscale.state.schema import NewTable
from kscale.state.tables import Cluster

#: The dimensions of the schema's own tables.
OWN = {
    "resource": 5, "node": 3, "template": 3, "pod": 8, "description": 2, "device": 2, "key": 1, "tag": 3, "queues": 5,
    "rest": 4, "arrival": 4, "ledger": 4, "timeline": 4, "diagnosis": 4, "reason": 8, "memo": 2, "log": 8, "typical": 2,
    "level": 2, "profile": 2, "scorer": 3, "sieve": 3, "point": 3, "criteria": 6, "event": 4, "topology": 4,
    "nodemask": 2, "counter": 4, "tally": 8, "counting": 6, "domain": 3, "budget": 2, "budget_of": 4, "nominated": 8,
}  # fmt: skip
#: The same, and the tables that plug-ins declare.
SIZES = {
    **{name: 4 for addition in plugins.columns() for name, new in addition.items() if isinstance(new, NewTable)},
    **OWN,
}


def small(**sizes: int) -> Cluster:
    """Return a cluster of default rows."""
    return Cluster({**SIZES, **sizes}, plugins.columns())


def call(function: Callable[..., Any], cluster: Cluster, *own: Any, compiled: bool = True) -> Any:
    """Call a kernel with its own arguments, and with the columns that its further parameters name."""
    columns = cluster.arguments(parameters(function)[len(own) :])
    return (function if compiled else plain(function))(*own, *columns)
