"""Load-balancing algorithms of kube-proxy's modes: one leaf per family, each declares ``Algorithm`` rows.

To add one, add a module here and its test; its name is what ``balance`` knows it by
(``kscale.network.balancing.common.running``). What its kernels share and how a run goes stands in ``common``.

An algorithm sees what the proxy of one node sees: the endpoints that it lists with their weights, and, if it declares
``overhead``, its own connections to them. Nothing is shared across nodes. An endpoint of weight 0 drains: it keeps its
connections and gets no new ones.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from kscale import shelf


@dataclass(frozen=True)
class Column:
    """An array that kernels name as a parameter.

    Attributes:
        name: the parameter.
        dtype: numpy's name of its type.
        shape: its dimensions: names of ``kscale.network.balancing.common.columns.DIMENSIONS``, or numbers.
        doc: what it holds, with its unit.
        default: what it is filled with; None leaves memory untouched until it is written.
    """

    name: str
    dtype: str
    shape: tuple[str | int, ...]
    doc: str
    default: int | None = 0


@dataclass(frozen=True)
class Algorithm:
    """How the proxy of a node chooses the endpoint of a new connection.

    Attributes:
        name: as people call it; IPVS schedulers by their kernel's name.
        mode: the mode of kube-proxy that has it: iptables, nftables, ipvs or userspace.
        doc: its rule, in a sentence.
        choose: kernel ``(connection, node, now_us)`` and columns; returns the endpoint, or -1 where none is to be had.
        changed: kernel of columns alone; called once at the start and after each change of what proxies list.
        overhead: inlined kernel ``(active, inactive)``: what it takes an endpoint's load to be before it divides by the
            weight. With it, a tournament tree per node (``tree_winner[node, 1]``) holds the endpoint of least load per
            weight, the first row on ties.
        weighted: whether ``overhead`` is divided by the weight.
        weighed: kernel ``(node, endpoint)`` and columns; called after ``tree_overhead[node, endpoint]`` has changed.
        delays: whether ``choose`` writes ``connection_reached_us``.
        columns: arrays of its own.
    """

    name: str
    mode: str
    doc: str
    choose: Callable[..., Any]
    changed: Callable[..., Any] | None = None
    overhead: Callable[..., Any] | None = None
    weighted: bool = True
    weighed: Callable[..., Any] | None = None
    delays: bool = False
    columns: tuple[Column, ...] = ()


@cache
def found() -> dict[str, Algorithm]:
    """Return every algorithm, by its name."""
    return shelf.declared(__name__, Algorithm)
