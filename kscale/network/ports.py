"""Service ports as columns: what a kube-proxy sees of a cluster's Services and endpoints, one row a service port."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np

from kscale.errors import InputError, nearest

Rows = np.ndarray[Any, Any]
#: Values of ``protocol``.
TCP, UDP, SCTP = range(3)
PROTOCOLS = ("TCP", "UDP", "SCTP")
#: Most endpoints of a service port, and most addresses or ranges of one: sums over all rows stay far from 2^63.
_MOST = 10_000_000


@dataclass(frozen=True, eq=False)
class Ports:
    """Service ports as seen from one node: numpy columns of one length, one row a Service and port of it.

    A row is what kube-proxy calls a service port name: a Service with three ports has three rows. Services of the type
    ExternalName have none; kube-proxy looks at headless ones and writes nothing for them.

    Attributes:
        endpoints: int64, ready endpoints that the node may use (after topology), local ones included.
        local_endpoints: int64, those of them on this node.
        node_port: bool, whether the port is open on the node's addresses.
        external_ips: int64, number of ``spec.externalIPs``.
        load_balancer_ips: int64, number of addresses of the load balancer.
        source_ranges: int64, number of ``spec.loadBalancerSourceRanges``.
        node_allowed: bool, whether an address of this node lies in one of the source ranges.
        affinity: bool, whether ``spec.sessionAffinity`` is ClientIP.
        internal_local: bool, whether ``spec.internalTrafficPolicy`` is Local.
        external_local: bool, whether ``spec.externalTrafficPolicy`` is Local.
        health_check: bool, whether the Service has a ``spec.healthCheckNodePort``.
        headless: bool, whether it has no ClusterIP.
        protocol: uint8, a place in ``PROTOCOLS``.
        service: int64, number of the Service: rows with one number share their addresses.
    """

    endpoints: Rows
    local_endpoints: Rows
    node_port: Rows
    external_ips: Rows
    load_balancer_ips: Rows
    source_ranges: Rows
    node_allowed: Rows
    affinity: Rows
    internal_local: Rows
    external_local: Rows
    health_check: Rows
    headless: Rows
    protocol: Rows
    service: Rows

    def __len__(self) -> int:
        return len(self.endpoints)

    @classmethod
    def of(cls, endpoints: Any, **columns: Any) -> Ports:
        """Return ports from columns; a column that is left out is 0 or False, and a scalar holds for all rows.

        ``service`` that is left out numbers the rows: each port is a Service of its own. Arrays are copied, and cannot
        be written to. Raises InputError where a column is unknown, has another length, or holds what cannot be.
        """
        unknown = columns.keys() - _TYPES.keys()
        if unknown:
            name = sorted(unknown)[0]
            raise InputError(f"there is no column '{name}'{nearest(name, _TYPES)}", expected=f"of {', '.join(_TYPES)}")
        count = np.size(endpoints)
        given: Mapping[str, Any] = {"service": np.arange(count), **columns, "endpoints": endpoints}
        made = {name: _column(name, given.get(name, 0), count) for name in _TYPES}
        if (made["local_endpoints"] > made["endpoints"]).any():
            row = int(np.argmax(made["local_endpoints"] > made["endpoints"]))
            raise InputError(
                "are more than the endpoints", row=row + 1, field="local_endpoints", expected="as many at most"
            )
        return cls(**made)

    @classmethod
    def uniform(cls, services: int, endpoints: int, **columns: Any) -> Ports:
        """Return ``services`` service ports with ``endpoints`` ready endpoints each; other columns as in ``of``.

        Raises InputError where a number is negative or too large.
        """
        if not 0 <= services <= _MOST:
            raise InputError(f"is {services}", field="services", expected=f"0 to {_MOST:,}")
        return cls.of(np.full(services, endpoints, np.int64), **columns)

    @cached_property
    def has_cluster_ip(self) -> Rows:
        """Bool, one a row: whether kube-proxy writes anything for it."""
        return ~self.headless

    @cached_property
    def external_addresses(self) -> Rows:
        """Int64, one a row: external addresses, those of the load balancer included; none of a headless Service."""
        return np.where(self.headless, 0, self.external_ips + self.load_balancer_ips)

    @cached_property
    def open_node_port(self) -> Rows:
        """Bool, one a row: whether a node port is open; none of a headless Service is."""
        return self.node_port & ~self.headless

    @cached_property
    def externally_accessible(self) -> Rows:
        """Bool, one a row: whether traffic from outside has a way in: a node port or an external address."""
        return self.open_node_port | (self.external_addresses > 0)

    @cached_property
    def uses_cluster(self) -> Rows:
        """Bool, one a row: whether endpoints of all nodes are used. External traffic short-circuits to them always."""
        return self.has_cluster_ip & (~self.internal_local | self.externally_accessible)

    @cached_property
    def uses_local(self) -> Rows:
        """Bool, one a row: whether endpoints of this node alone are used, by one of the two traffic policies."""
        return self.has_cluster_ip & (self.internal_local | (self.external_local & self.externally_accessible))

    @cached_property
    def reachable(self) -> Rows:
        """Int64, one a row: endpoints that something is written for: all, or local ones where only these are used."""
        return np.where(self.uses_cluster, self.endpoints, np.where(self.uses_local, self.local_endpoints, 0))

    @cached_property
    def internal_endpoints(self) -> Rows:
        """Int64, one a row: endpoints for connections to the ClusterIP."""
        return np.where(self.headless, 0, np.where(self.internal_local, self.local_endpoints, self.endpoints))

    @cached_property
    def external_endpoints(self) -> Rows:
        """Int64, one a row: endpoints for connections to a node port or an external address."""
        chosen = np.where(self.external_local, self.local_endpoints, self.endpoints)
        return np.where(self.externally_accessible, chosen, 0)

    def per_service(self, values: Rows) -> Rows:
        """Return the largest value among the rows of each Service, in the order of their numbers."""
        if not len(self):
            return np.zeros(0, np.int64)
        order, first = self._by_service
        return np.asarray(np.maximum.reduceat(values[order].astype(np.int64), first))

    @cached_property
    def _by_service(self) -> tuple[Rows, Rows]:
        """Return the rows in the order of their Services, and where each begins."""
        order = np.argsort(self.service, kind="stable")
        numbers = self.service[order]
        return order, np.flatnonzero(np.concatenate([[True], numbers[1:] != numbers[:-1]]))


_TYPES = {
    field.name: np.int64
    if field.name in ("endpoints", "local_endpoints", "external_ips", "load_balancer_ips", "source_ranges", "service")
    else np.uint8
    if field.name == "protocol"
    else np.bool_
    for field in fields(Ports)
}


def _column(name: str, given: Any, count: int) -> Rows:
    """Return a column that nobody can write to. Raises InputError."""
    values = np.asarray(given)
    if values.ndim > 1 or (values.ndim == 1 and len(values) != count):
        raise InputError(f"has the shape {values.shape}", field=name, expected=f"one value, or {count:,}")
    if values.dtype.kind not in "biu":
        raise InputError(f"holds {values.dtype}", field=name, expected="whole numbers, or true and false")
    wanted = np.dtype(_TYPES[name])
    most = {"b": 1, "u": len(PROTOCOLS) - 1}.get(wanted.kind, _MOST)
    if values.size and name != "service" and (values.min() < 0 or values.max() > most):
        raise InputError(f"holds {values.min():,} to {values.max():,}", field=name, expected=f"0 to {most:,}")
    column = np.empty(count, wanted)
    column[:] = values
    column.setflags(write=False)
    return column
