"""Tables of runs with controllers for the report's tests, written out by small rules."""

from __future__ import annotations

from itertools import pairwise

import polars as pl

from kscale.engine.outputs import LIVING_OUTPUTS
from tests.report.play import SECOND

Row = tuple


def table(name: str, rows: list[Row]) -> pl.DataFrame:
    """Return a table of the data dictionary with these rows; columns that a row leaves out at its end are null."""
    rows = [(*row, *[None] * (len(LIVING_OUTPUTS[name]) - len(row))) for row in rows]
    return pl.DataFrame(rows, schema={o.name: o.dtype for o in LIVING_OUTPUTS[name]}, orient="row")


def tables(**rows: list[Row]) -> dict[str, pl.DataFrame]:
    """Return all tables; those that are not named are empty."""
    return {name: table(name, rows.get(name, [])) for name in LIVING_OUTPUTS}


def shown(at: float, name: str, counts: tuple[int, ...], kind: str = "Deployment", space: str = "default") -> Row:
    """Return a row of rollouts at a second: wanted, pods, updated, ready, available, most, least."""
    return (round(at * SECOND), kind, space, name, *counts, 0)


def rolling(
    name: str, start: float, wanted: int = 10, *, pace: float = 20, stops_at: int | None = None, **rest: str
) -> list[Row]:
    """Return the rows of a rolling update of at most two more pods and at least all but one available.

    ``stops_at`` is how many updated pods become available; the rest never do.
    """
    bounds = (wanted + 2, wanted - 1)
    rows = [shown(start - 5, name, (wanted, wanted, wanted, wanted, wanted, *bounds), **rest)]
    rows.append(shown(start, name, (wanted, wanted, 0, wanted, wanted, *bounds), **rest))
    at, old, updated, ready = start, wanted, 0, 0
    last = wanted if stops_at is None else stops_at
    while ready < last:
        updated = min(wanted, wanted + 2 - old)
        rows.append(shown(at + 1, name, (wanted, old + updated, updated, old + ready, old + ready, *bounds), **rest))
        ready, at = min(updated, last), at + pace
        old = max(wanted - 1 - ready, 0)
        rows.append(shown(at, name, (wanted, old + updated, updated, old + ready, old + ready, *bounds), **rest))
    return rows


def created(name: str, at: float, wanted: int = 5, **rest: str) -> list[Row]:
    """Return the rows of a workload that is created and comes up pod by pod."""
    bounds = (wanted + 1, max(wanted - 1, 0))
    return [
        shown(at + 2 * k, name, (wanted, wanted if k else 0, wanted if k else 0, k, k, *bounds), **rest)
        for k in range(wanted + 1)
    ]


def broken(name: str, start: float, wanted: int = 8, **rest: str) -> list[Row]:
    """Return a rollout in which too few pods are available for a while, and too many are there."""
    bounds = (wanted + 2, wanted - 2)
    rows = [(wanted, wanted, wanted, wanted, wanted), (wanted, wanted + 2, 2, wanted, wanted)]
    rows += [(wanted, wanted + 4, 4, wanted - 3, wanted - 4), (wanted, wanted + 1, 6, wanted - 1, wanted - 1)]
    rows += [(wanted,) * 5]
    return [shown(start + 30 * k, name, (*row, *bounds), **rest) for k, row in enumerate(rows)]


def autoscaler(name: str, loads: list[int], each: float = 900, space: str = "default") -> list[Row]:
    """Return the rows of an autoscaler from 2 to 12 pods; a pod does 500 milli cpu, and pods follow a step later."""
    rows, there = [], 2
    for k, load in enumerate(loads):
        wanted = min(max(-(-load // 500), 2), 12)
        counts = (wanted, there, there, there, there, 12, 2, load)
        rows.append((round(k * each * SECOND), "HorizontalPodAutoscaler", space, name, *counts))
        there = wanted
    return rows


#: Pods below 1 ms, from 1 to 2 ms, from 2 to 4 ms …
STARTUP = [
    ("scheduled to seen", 400, 400 * 30_000, [0, 0, 0, 0, 0, 350, 50]),
    ("sandbox", 400, 400 * 420_000, [0, 0, 0, 0, 0, 0, 0, 0, 100, 250, 50]),
    ("volumes", 150, 150 * 700_000, [0] * 10 + [140, 10]),
    ("image pull", 220, 220 * 6_500_000, [0] * 11 + [40, 100, 60, 15, 4, 1]),
    ("init containers", 40, 40 * 2_000_000, [0] * 10 + [10, 25, 5]),
    ("containers", 400, 400 * 250_000, [0] * 7 + [200, 200]),
    ("status seen", 400, 400 * 500_000, [0] * 9 + [300, 100]),
    ("readiness", 390, 390 * 4_000_000, [0] * 11 + [100, 250, 40]),
]


def programmed(slow: int = 1, service: str = "web", space: str = "default") -> dict[str, list[Row]]:
    """Return the tables of kube-proxies on three nodes: four changes in two of five intervals of 1,000 s.

    Each change took 0.1, 0.2 and 0.9 s on the nodes, ``slow`` times as long.
    """
    took = [round(slow * part * SECOND) for part in (0.1, 0.2, 0.9)]
    told = (sum(took) // 3, took[1], took[2], took[2], took[2])
    rows = [(k * 1000 * SECOND, "iptables", *((2, *told) if k in (1, 3) else (0, *[None] * 5)), 6, 0, 30 * SECOND)
            for k in range(5)]  # fmt: skip
    changes = [
        (k * 1000 * SECOND, k * 1000 * SECOND, space, f"{service}{part}", part, part == 1, took[1], took[2], took[2],
         sum(took) // 3)
        for k in (1, 3) for part in (0, 1)
    ]  # fmt: skip
    bounds = [0, SECOND // 4, SECOND // 2, *(s * SECOND for s in range(1, 60)), None]
    counted = [sum(below < one <= bound for one in took) for below, bound in pairwise([-1, *bounds[:-1]])]
    counts = [[4 * one for one in counted], [2 * one for one in counted]]
    latencies = [(bound, *(column[k] if bound is not None else len(took) * whole - sum(column)
                           for column, whole in zip(counts, (4, 2), strict=True)))
                 for k, bound in enumerate(bounds)]  # fmt: skip
    shares = [*(percent / 100 for percent in range(1, 100)), 0.995, 0.999, 0.9999, 1.0]
    return {
        "network": rows, "network_changes": changes, "network_latencies": latencies,
        "network_nodes": [(f"node-{k}", 5000, 10, 1, (40 + 10 * k) * SECOND) for k in range(3)],
        "network_quantiles": [(share, took[min(int(share * 3 - 1e-9), 2)]) for share in shares],
    }  # fmt: skip


def travelled(service: str = "web", space: str = "default") -> dict[str, list[Row]]:
    """Return the tables of traffic over two Services: five steps of 1,000 s, a pod that goes in the second."""
    calm = (0, 0, 0, 0, 0)
    steps = [(k * 1000 * SECOND, space, service, 10_000, *((100, 20, 5, 30, 7) if k == 1 else calm), 12,
              0 if k == 1 else 4, *((None, None, None) if k == 1 else (1.1 + k / 10, 0.05, 0.99)))
             for k in range(5)]  # fmt: skip
    steps += [(k * 1000 * SECOND, space, f"{service}2", 1000, *calm, 0, 2, 1.5, 0.5, 0.8) for k in range(5)]
    pods = [(space, service, f"{space}/{service}-{k}", 0, None if k else 1002 * SECOND, 12_000, 20 - 20 * (k > 0), 0,
             30 - 30 * (k > 0), 7 - 7 * (k > 0)) for k in range(4)]  # fmt: skip
    stale = [
        (space, service, f"{space}/{service}-0", "terminating", 1000 * SECOND, 1002 * SECOND, 3, 20, 0, 30, 7),
        (space, service, f"{space}/{service}-1", "not ready", 1500 * SECOND, 1500 * SECOND + 400_000, 2, 0, 5, 0, 0),
    ]
    return {"traffic": steps, "traffic_endpoints": pods, "traffic_stale": stale}
