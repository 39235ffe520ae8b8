"""A small cluster of bare columns, and kernels called on it by the names of their parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kscale.kernels import parameters, plain_form
from kscale.scheduler import plugins
from kscale.state import schema
from kscale.state.tables import Cluster

ROWS = schema.full_names(schema.load(plugins.columns()))
#: Every dimension; those of lists and counters are four long.
SIZES = {
    **{dimension: 4 for table, column in ROWS.values() for dimension in column.dims or (table.name,)},
    "one": 1, "resource": 5, "node": 3, "template": 3, "pod": 8, "life": 8,
    "description": 2, "device": 2, "key": 1, "tag": 3,
    "queues": 6, "reason": 8, "memo": 2, "log": 8, "typical": 2, "level": 2, "profile": 2, "scorer": 3, "sieve": 3,
    "criteria": 6,
}  # fmt: skip


def small(**sizes: int) -> Cluster:
    """Return a cluster of default rows."""
    return Cluster({**SIZES, **sizes}, plugins.columns())


def call(function: Callable[..., Any], cluster: Cluster, *own: Any, compiled: bool = True) -> Any:
    """Call a kernel with its own arguments, and with the columns that its further parameters name."""
    columns = cluster.arguments(parameters(function)[len(own) :])
    return (function if compiled else plain_form(function))(*own, *columns)
