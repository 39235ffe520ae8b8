"""Nodes by pool and by group: headroom, what is stranded, who stood idle, and what it cost in node-hours."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from kscale.engine import runfolder
from kscale.engine.runfolder import Run
from kscale.report import reading
from kscale.report.reading import Resource
from kscale.report.supply import Supply

#: A resource of a node counts as full from here, in % requested: what is left of the others is stranded.
FULL = 95.0
COLUMNS = 240
ALL_NODES = "all nodes"
HOUR_US = 3.6e9
_AMOUNTS = ("nodes", "peak", "mean", "free", "spare")


@dataclass(frozen=True)
class Heat:
    """Fullest resource of every group of nodes over time.

    Attributes:
        percent: group × time, 0 to 100; NaN where a group had no nodes.
        edges: of the columns, on the run's axis.
        pools: (pool, first row, one after its last row), in the order of the rows.
        largest_group: most nodes in a row.
    """

    percent: np.ndarray
    edges: np.ndarray
    pools: list[tuple[str, int, int]]
    largest_group: int


@dataclass(frozen=True)
class Stranded:
    """The nodes at one moment, and what is free on them but blocked by another resource that is full.

    Attributes:
        at: the moment, in microseconds; None for the end of an inflation run.
        percent: of the allocatable amount, by resource key.
        amounts: the same in the resource's unit.
        blocker: key of the resource whose fullness strands most; None when nothing is stranded.
        pair: the two resources of ``points``; empty when the nodes have only one.
        points: ``x``, ``y`` (% requested of the pair) and ``nodes``.
    """

    at: int | None
    percent: dict[str, float]
    amounts: dict[str, float]
    blocker: str | None
    pair: tuple[Resource, ...]
    points: pl.DataFrame


@dataclass(frozen=True)
class Pools:
    """Everything by pool.

    Attributes:
        headroom: ``pool``, ``nodes``, ``resource``, ``peak``, ``mean`` (% requested), ``free``, ``spare`` (% that may
            be requested so that the largest node can be lost; null in a pool of one); smallest headroom first.
        together: the same for all nodes as one pool.
        heat: None when there are too few samples.
        stranded: None without nodes.
        fill: ``from`` (lower edge in %, 10 wide; -1 for nodes that no pod used) and ``nodes``.
        hours: ``pool``, ``nodes``, ``requested``, ``free``, ``idle`` in node-hours (in nodes for an inflation run).
        largest: the largest node's allocatable amount, by resource key.
        nodes, nodes_used: how many, and how many of them ever held a pod.
        idle_percent: of all node time (of all nodes for an inflation run).
        namespaces: ``namespace``, ``pods``, ``placed`` and ``hours:*``; at most 10 rows, largest first.
        namespace_count: how many there are.
    """

    headroom: pl.DataFrame
    together: pl.DataFrame
    heat: Heat | None
    stranded: Stranded | None
    fill: pl.DataFrame
    hours: pl.DataFrame
    largest: dict[str, float]
    nodes: int
    nodes_used: int
    idle_percent: float
    namespaces: pl.DataFrame
    namespace_count: int


def measure(folder: Path, run: Run, found: tuple[Resource, ...], templates: pl.DataFrame, supply: Supply) -> Pools:
    """Return what the nodes say; ``supply`` gives the run's axis and the peaks of all nodes together."""
    inflate = reading.inflates(run)
    nodes = reading.nodes(folder, run, found).collect()
    groups = reading.groups(folder, run, found).collect()
    idle = pl.when(pl.col("pods_bound") > 0).then(0.0).otherwise(1.0) if inflate else pl.col("idle_share")
    weight = pl.lit(1.0) if inflate else pl.col("stay_us") / HOUR_US
    held = "end" if inflate else "mean"
    longest = float(nodes["stay_us"].max() or 0)  # type: ignore[arg-type]
    nodes = nodes.with_columns(
        pl.col("stay_us") / longest if longest else pl.lit(1.0).alias("stay_us"),
        weight.cast(pl.Float64).alias("weight"),
        idle.alias("idle"),
        _fullest(found, held).alias("fullest"),
    )
    total = float(nodes["weight"].sum())
    several = nodes["pool"].n_unique() > 1
    together = _together(nodes, groups, found, supply, inflate)
    namespaces, count = _namespaces(folder, run, found, templates)
    return Pools(
        _headroom(nodes, groups, found, inflate) if several else together,
        together,
        _heat(groups, found, supply.moments),
        _stranded(nodes, groups, found, inflate),
        _fill(nodes),
        _hours(nodes),
        {r.key: float(nodes[f"allocatable:{r.key}"].max() or 0) for r in found},  # type: ignore[arg-type]
        nodes.height,
        int((nodes["pods_bound"] > 0).sum()),
        100 * float((nodes["weight"] * nodes["idle"]).sum()) / total if total else 0.0,
        namespaces,
        count,
    )


def _share(used: pl.Expr, allocatable: pl.Expr) -> pl.Expr:
    return pl.when(allocatable > 0).then(100.0 * used / allocatable).otherwise(0.0)


def _fullest(found: tuple[Resource, ...], what: str) -> pl.Expr:
    shares = [_share(pl.col(f"{what}:{r.key}"), pl.col(f"allocatable:{r.key}")) for r in found]
    return pl.max_horizontal(shares) if shares else pl.lit(0.0)


def _headroom(nodes: pl.DataFrame, groups: pl.DataFrame, found: tuple[Resource, ...], inflate: bool) -> pl.DataFrame:
    sums = groups.group_by("pool", "time_us").agg(pl.col("^(allocatable|used):.*$").sum())
    rows = []
    for r in found:
        allocatable, end = pl.col(f"allocatable:{r.key}"), pl.col(f"end:{r.key}")
        there, stay = pl.col("there"), pl.col("stay_us")
        base = nodes.group_by("pool").agg(
            there.sum().alias("nodes"),
            allocatable.filter(there).sum().alias("allocatable"),
            allocatable.filter(there).max().alias("largest"),
            _share(end.sum(), allocatable.filter(there).sum()).alias("end"),
            _share((pl.col(f"mean:{r.key}") * stay).sum(), (allocatable * stay).sum()).alias("mean"),
        )
        share = _share(pl.col(f"used:{r.key}"), allocatable)
        over = sums.group_by("pool").agg(share.max().alias("seen"))
        peak = pl.col("end") if inflate else pl.max_horizontal("seen", "end")
        rows.append(
            base.join(over, on="pool", how="left")
            .filter(pl.col("allocatable") > 0)
            .select(
                "pool",
                "nodes",
                pl.lit(r.key).alias("resource"),
                peak.alias("peak"),
                "mean",
                (pl.col("allocatable") * (1 - peak / 100)).alias("free"),
                pl.when(pl.col("nodes") > 1).then(100 * (1 - pl.col("largest") / pl.col("allocatable"))).alias("spare"),
            )
        )
    if not rows:
        return pl.DataFrame(schema=dict.fromkeys(("pool", "resource"), pl.String) | dict.fromkeys(_AMOUNTS, pl.Float64))
    return pl.concat(rows).sort(["peak", "nodes", "pool", "resource"], descending=[True, True, False, False])


def _together(
    nodes: pl.DataFrame, groups: pl.DataFrame, found: tuple[Resource, ...], supply: Supply, inflate: bool
) -> pl.DataFrame:
    """Return the headroom of all nodes as one pool, its peaks from the timeline, which has more samples."""
    one = nodes["pool"].n_unique() == 1
    name = pl.lit(nodes["pool"][0] if one else ALL_NODES).alias("pool")
    rows = _headroom(nodes.with_columns(name), groups.with_columns(name), found, inflate)
    peaks = [(key, p.percent, p.allocatable - p.used) for key, p in supply.peaks.items()]
    schema = {"resource": pl.String, "peak": pl.Float64, "free": pl.Float64}
    seen = pl.DataFrame(peaks, schema=schema, orient="row")
    return rows.update(seen, on="resource").sort(["peak", "resource"], descending=[True, False])


def _heat(groups: pl.DataFrame, found: tuple[Resource, ...], moments: pl.DataFrame) -> Heat | None:
    times = groups["time_us"].unique().sort().to_numpy()
    if len(times) < 5 or not found or moments.is_empty():
        return None
    columns = min(COLUMNS, len(times))
    rows = groups.group_by("group").agg(pl.col("pool").first(), pl.col("nodes").max()).sort("pool", "group")
    row_of = dict(zip(rows["group"].to_list(), range(rows.height), strict=True))
    row = groups["group"].replace_strict(row_of, return_dtype=pl.Int64).to_numpy()
    column = np.searchsorted(times, groups["time_us"].to_numpy()) * columns // len(times)
    fill = groups.select(_fullest(found, "used").alias("fill"))["fill"].to_numpy()
    total, count = np.zeros((rows.height, columns)), np.zeros((rows.height, columns))
    np.add.at(total, (row, column), fill)
    np.add.at(count, (row, column), 1)
    percent = np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)
    starts = times[-(-np.arange(columns) * len(times) // columns)]
    places = pl.DataFrame({"time_us": np.append(starts, times[-1])})
    edges = places.join_asof(moments.sort("time_us"), on="time_us")["x"].fill_null(0.0).to_numpy()
    bands: list[tuple[str, int, int]] = []
    for k, pool in enumerate(rows["pool"].to_list()):
        if bands and bands[-1][0] == pool:
            bands[-1] = (pool, bands[-1][1], k + 1)
        else:
            bands.append((pool, k, k + 1))
    return Heat(percent, edges, bands, int(rows["nodes"].max() or 0))  # type: ignore[arg-type]


def _stranded(nodes: pl.DataFrame, groups: pl.DataFrame, found: tuple[Resource, ...], inflate: bool) -> Stranded | None:
    if not found or nodes.is_empty():
        return None
    at = None
    if inflate or groups.is_empty():
        rows = nodes.select(
            pl.lit(1).alias("nodes"),
            *(pl.col(f"allocatable:{r.key}") for r in found),
            *(pl.col(f"end:{r.key}").alias(f"used:{r.key}") for r in found),
        )
    else:
        sums = groups.group_by("time_us").agg(pl.col("^(allocatable|used):.*$").sum())
        fullest = sums.select("time_us", _fullest(found, "used").alias("fill"))
        at = int(fullest.sort(["fill", "time_us"], descending=[True, False])["time_us"][0])
        rows = groups.filter(pl.col("time_us") == at)
    percent, amounts, blocked = {}, {}, {r.key: 0.0 for r in found}
    full = {r.key: _share(pl.col(f"used:{r.key}"), pl.col(f"allocatable:{r.key}")) >= FULL for r in found}
    for r in found:
        others = [full[o.key] for o in found if o.key != r.key]
        free = pl.col(f"allocatable:{r.key}") - pl.col(f"used:{r.key}")
        lost = rows.filter(pl.any_horizontal(others), ~full[r.key]) if others else rows.clear()
        total = float(rows[f"allocatable:{r.key}"].sum())
        amounts[r.key] = float(lost.select(free.sum()).item() or 0)
        percent[r.key] = 100 * amounts[r.key] / total if total else 0.0
        for o in found:
            if o.key != r.key and total:
                blocked[o.key] += float(lost.filter(full[o.key]).select(free.sum()).item() or 0) / total
    blocker = max(blocked, key=lambda key: blocked[key])
    pair = _pair(found)
    return Stranded(
        at, percent, amounts, blocker if blocked[blocker] > 0 else None, pair, _points(rows, pair) if pair else rows
    )


def _pair(found: tuple[Resource, ...]) -> tuple[Resource, ...]:
    by_key = {r.key: r for r in found}
    if "cpu" in by_key and "memory" in by_key:
        return by_key["cpu"], by_key["memory"]
    return found[:2] if len(found) > 1 else ()


def _points(rows: pl.DataFrame, pair: tuple[Resource, ...]) -> pl.DataFrame:
    x, y = (_share(pl.col(f"used:{r.key}"), pl.col(f"allocatable:{r.key}")) for r in pair)
    return rows.select(x.alias("x"), y.alias("y"), "nodes").group_by("x", "y").agg(pl.col("nodes").sum()).sort("x", "y")


def _fill(nodes: pl.DataFrame) -> pl.DataFrame:
    lower = pl.when(pl.col("pods_bound") == 0).then(-1).otherwise((pl.col("fullest") // 10 * 10).clip(0, 90))
    return nodes.group_by(lower.cast(pl.Int64).alias("from")).agg(pl.len().alias("nodes")).sort("from")


def _hours(nodes: pl.DataFrame) -> pl.DataFrame:
    idle, used = pl.col("weight") * pl.col("idle"), pl.col("weight") * pl.col("fullest") / 100
    return (
        nodes.with_columns(idle.alias("i"), used.alias("u"))
        .with_columns((pl.col("weight") - pl.col("i") - pl.col("u")).clip(0).alias("f"))
        .group_by("pool")
        .agg(
            pl.len().alias("nodes"),
            pl.col("u").sum().alias("requested"),
            pl.col("f").sum().alias("free"),
            pl.col("i").sum().alias("idle"),
        )
        .sort([pl.sum_horizontal("requested", "free", "idle"), "pool"], descending=[True, False])
    )


def _namespaces(
    folder: Path, run: Run, found: tuple[Resource, ...], templates: pl.DataFrame
) -> tuple[pl.DataFrame, int]:
    """Return pods and resource-hours of the ten namespaces that asked for most, and how many there are."""
    shown = [r for r in found if r.key != "pods"]
    bound = pl.col("bound_us").is_not_null()
    span = (
        pl.lit(1.0)
        if reading.inflates(run)
        else (pl.coalesce("ended_us", pl.lit(run.horizon_us)) - pl.col("bound_us")) / HOUR_US
    )
    held = pl.when(bound).then(span).otherwise(0.0).cast(pl.Float64)
    by_template = (
        runfolder.table(folder, "pods")
        .filter(pl.col("arrived_us").is_not_null())
        .group_by("namespace", "template")
        .agg(pl.len().alias("pods"), bound.sum().alias("placed"), held.sum().alias("held"))
        .collect(engine="streaming")
        .sort("namespace", "template")
    )
    out = (
        by_template.join(templates, on="template", how="left", maintain_order="left", suffix=":t")
        .group_by("namespace", maintain_order=True)
        .agg(
            pl.col("pods").sum(),
            pl.col("placed").sum(),
            *((pl.col("held") * pl.col(f"ask:{r.key}")).sum().alias(f"hours:{r.key}") for r in shown),
        )
    )
    keys = [f"hours:{r.key}" for r in shown[-1:]] + ["pods", "namespace"]
    ranked = out.sort(keys, descending=[True] * (len(keys) - 1) + [False])
    return ranked.head(10), out.height
