"""What kube-proxy costs by the number of Services: every mode and variant, point by point, as one table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from kscale.errors import InputError
from kscale.network import proxies
from kscale.network.parameters import Parameters
from kscale.network.ports import Ports
from kscale.network.proxies import PACKETS, Case, Change, Mode, Programming

if TYPE_CHECKING:
    import polars as pl

#: Quantiles of the first packet's time.
QUANTILES = {"p01": 0.01, "p50": 0.5, "p95": 0.95, "p99": 0.99}
#: The most service ports and endpoints of a point.
MOST_SERVICES, MOST_ENDPOINTS = 1_000_000, 100_000
_MICRO = 1e-6


@dataclass(frozen=True)
class Rates:
    """What goes on at a node, each per second.

    Attributes:
        connections: new connections to Services.
        packets: later packets, both ways.
        changes: changes of Services and their endpoints, in the whole cluster.
    """

    connections: float = 1_000
    packets: float = 10_000
    changes: float = 1.0


@dataclass(frozen=True)
class Cores:
    """CPU of kube-proxy's doing, in cores, by cause: first packets, later ones, syncs, and periodic ones."""

    first: float
    later: float
    sync: float
    periodic: float

    @property
    def total(self) -> float:
        """All of it."""
        return self.first + self.later + self.sync + self.periodic


def cores(case: Case, rates: Rates, cost: Programming | None = None) -> Cores:
    """Return what the rates cost a node.

    A new connection costs its first packet's time above a later packet's; a later packet costs its part that is
    kube-proxy's doing. Changes are taken together: there is a sync each ``minSyncPeriod``, or one after the other where
    a sync takes longer.
    """
    cost = cost or case.mode.programming(case, Change())
    later, first = case.mode.later(case), case.mode.first(case, proxies.HIT)
    more = max(first.mean_us - later.mean_us, 0.0) if first is not None else 0.0
    took, again = cost.incremental_s + cost.build_incremental_s, cost.periodic_s + cost.build_full_s
    often, period = min(rates.changes, 1 / _apart(case, took)), case.parameters[case.mode.resync]
    return Cores(
        rates.connections * more * _MICRO, rates.packets * later.proxy_us * _MICRO, often * took,
        again / max(period, again),
    )  # fmt: skip


def _apart(case: Case, took: float) -> float:
    """Return the seconds from one sync to the next when there is always something to do."""
    return max(case.parameters[case.mode.min_sync], took, 1e-9)


def reaction_s(case: Case, rates: Rates, cost: Programming | None = None) -> float:
    """Return the mean seconds from a pod's readiness to the node's rules.

    That is batching and watching, the wait for the next sync, and the sync. A change waits only where one came shortly
    before: half the time between syncs, weighted with how busy they are.
    """
    cost = cost or case.mode.programming(case, Change())
    took = cost.incremental_s + cost.build_incremental_s
    apart = _apart(case, took)
    return case.parameters["endpoint_batching_s"] + min(rates.changes * apart, 1.0) * apart / 2 + took


def cases(
    ports: Ports, modes: Sequence[Mode], options: Mapping[str, str], numbers: Parameters | None = None, **rest: Any
) -> list[Case]:
    """Return every variant of the modes as a case; ``options`` hold for all that have them.

    Raises InputError where no mode has an option, or none a choice.
    """
    for name, choice in options.items():
        having = [o for mode in modes for o in mode.options if o.name == name]
        if not having:
            raise InputError(f"none of these modes has it: {', '.join(m.name for m in modes)}", field=_field(name))
        if not any(choice in option.choices for option in having):
            known = dict.fromkeys(word for option in having for word in option.choices)
            raise InputError(f"there is no '{choice}'", field=_field(name), expected=f"one of {', '.join(known)}")
    made: dict[str, Case] = {}
    for mode in modes:
        fitting = {o.name: options[o.name] for o in mode.options if options.get(o.name) in o.choices}
        for variant in mode.variants:
            case = proxies.case(mode, ports, {**variant, **fitting}, numbers, **rest)
            made.setdefault(case.name, case)
    return list(made.values())


def _field(option: str) -> str:
    """Return how an option is stated on the command line: two have flags of their own."""
    return f"--{option}" if option in ("backend", "cache") else f"--option {option}"


def points(least: int, most: int, count: int) -> list[int]:
    """Return ``count`` numbers of Services from ``least`` to ``most``, evenly on a log scale, each once.

    Raises InputError.
    """
    if not 1 <= least <= most <= MOST_SERVICES:
        raise InputError(f"are {least:,} to {most:,}", field="--services", expected=f"1 to {MOST_SERVICES:,}, rising")
    if not 1 <= count <= 1000:
        raise InputError(f"is {count:,}", field="--points", expected="1 to 1,000")
    return sorted({round(value) for value in np.geomspace(least, most, count)})


def curve(
    services: Sequence[int],
    endpoints: Sequence[int],
    modes: Sequence[Mode],
    options: Mapping[str, str] | None = None,
    rates: Rates | None = None,
    numbers: Parameters | None = None,
    columns: Mapping[str, Any] | None = None,
    **rest: Any,
) -> pl.DataFrame:
    """Return one row for each number of Services, of endpoints, and each variant of the modes.

    ``columns`` are further columns of ``Ports``, the same for all rows. Times of packets are in microseconds, syncs in
    CPU seconds, CPU in cores. What no packet can be is null. Raises InputError.
    """
    import polars as pl

    for count in endpoints:
        if not 1 <= count <= MOST_ENDPOINTS:
            raise InputError(f"are {count:,}", field="--endpoints", expected=f"1 to {MOST_ENDPOINTS:,}")
    rows = []
    for each in endpoints:
        for count in services:
            ports = Ports.uniform(count, each, **(columns or {}))
            head = {"services": count, "endpoints": each}
            rows += [{**head, **row(c, rates or Rates())} for c in cases(ports, modes, options or {}, numbers, **rest)]
    return pl.DataFrame(rows, infer_schema_length=None)


def row(case: Case, rates: Rates) -> dict[str, Any]:
    """Return the columns of one case."""
    mode, cost, took = case.mode, case.mode.programming(case, Change()), case.mode.memory(case)
    paths = {packet: mode.first(case, packet) for packet in PACKETS}
    hit, used, made = paths[proxies.HIT], cores(case, rates, cost), mode.structure(case)
    quantiles = hit.quantiles_us(list(QUANTILES.values())).tolist() if hit is not None else [None] * len(QUANTILES)
    times = {f"first_us_{name}": value for name, value in zip(QUANTILES, quantiles, strict=True)}
    means = {
        "first_us_mean" if packet == proxies.HIT else f"{packet.replace('-', '_')}_us_mean": path and path.mean_us
        for packet, path in paths.items()
    }
    return {
        "variant": case.name, "mode": mode.name, **times, **means, "later_us_mean": mode.later(case).mean_us,
        "full_sync_s": cost.full_s, "full_build_s": cost.build_full_s,
        "change_sync_s": cost.incremental_s, "change_build_s": cost.build_incremental_s,
        "reaction_s": reaction_s(case, rates, cost),
        "cores_first": used.first, "cores_later": used.later, "cores_sync": used.sync,
        "cores_periodic": used.periodic, "cores": used.total,
        "kernel_bytes": took.kernel_bytes, "client_peak_bytes": took.client_peak_bytes,
        "kube_proxy_bytes": took.kube_proxy_bytes,
        "rules": sum(made.rules.values()), "chains": sum(made.chains.values()),
        "set_elements": sum(made.elements.values()), "anonymous_maps": made.anonymous_maps,
        "virtual_servers": made.virtual_servers, "real_servers": made.real_servers, "addresses": made.addresses,
    }  # fmt: skip
