"""What never fitted, the nearest thing to a fit, and how many more nodes would have held it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from kscale.engine import runfolder
from kscale.engine.runfolder import Run
from kscale.report import reading, waits
from kscale.report.reading import GPU, Resource

ROWS = 12


@dataclass(frozen=True)
class Shape:
    """The nodes of one kind.

    Attributes:
        pool: their name.
        nodes: how many there are.
        allocatable: by resource key.
    """

    pool: str
    nodes: int
    allocatable: dict[str, float]


@dataclass(frozen=True)
class Unplaced:
    """Pods that were never bound.

    Attributes:
        rows: by template, most pods first, at most ROWS: ``spec``, ``pods``, ``unplaced``, ``pod_hours``, ``reason``,
            ``sample`` (a pod), ``nearest_node``, ``nearest_lacks``, ``oversized`` (no node could hold one, even empty).
        templates: how many templates have such pods.
        pods: how many pods.
        oversized: how many of them no node could hold.
        pod_hours: waited by them in all.
        longest_us: longest wait of a pod that still waits; None when none does.
        reasons: (reason in kube-scheduler's words, pods), most first.
        shape: nodes like which more could be bought; None when none would do.
        more_nodes: how many of them would hold the pods that are not placed, each beside its like; an upper estimate.
    """

    rows: pl.DataFrame
    templates: int
    pods: int
    oversized: int
    pod_hours: float
    longest_us: int | None
    reasons: list[tuple[str, int]]
    shape: Shape | None
    more_nodes: int


def measure(folder: Path, run: Run, found: tuple[Resource, ...], templates: pl.DataFrame) -> Unplaced:
    """Return what was never placed; ``templates`` carries ``ask:*`` columns."""
    kinds = shapes(folder, run, found)
    left = templates.filter(pl.col("unplaced") > 0)
    held = per_node(left, kinds)
    none = (held == 0).all(1) if kinds else np.ones(left.height, bool)
    left = left.with_columns((pl.Series(none) | pl.col("hopeless")).alias("oversized"))
    left = left.join(_from_pods(folder, run), on="template", how="left").with_columns(
        pl.coalesce("reason", "last_reason").fill_null("No reason recorded").alias("reason"),
        pl.col("pod_hours").fill_null(0.0),
    )
    left = left.with_columns(waits.plain_reason(pl.col("reason")).alias("plain")).sort(
        ["unplaced", "template"], descending=[True, False]
    )
    by_reason = (
        left.group_by("plain").agg(pl.col("unplaced").sum()).sort(["unplaced", "plain"], descending=[True, False])
    )
    shape, more = _more_nodes(left, kinds)
    longest = left["longest_us"].max()
    return Unplaced(
        left.head(ROWS),
        left.height,
        int(left["unplaced"].sum()),
        int(left.filter("oversized")["unplaced"].sum()),
        float(left["pod_hours"].sum()),
        int(longest) if longest is not None else None,  # type: ignore[arg-type]
        [(reason, int(pods)) for reason, pods in by_reason.iter_rows()],
        shape,
        more,
    )


def shapes(folder: Path, run: Run, found: tuple[Resource, ...]) -> list[Shape]:
    """Return the kinds of nodes there are, most nodes first: same pool and same allocatable amounts."""
    keys = [f"allocatable:{r.key}" for r in found]
    rows = (
        reading.nodes(folder, run, found)
        .group_by("pool", *keys)
        .agg(pl.len().alias("nodes"))
        .sort(["nodes", "pool", *keys], descending=[True] + [False] * (len(keys) + 1))
        .collect()
    )
    return [
        Shape(row["pool"], row["nodes"], {r.key: row[f"allocatable:{r.key}"] for r in found})
        for row in rows.iter_rows(named=True)
    ]


def per_node(templates: pl.DataFrame, kinds: list[Shape]) -> np.ndarray:
    """Return how many pods of each template an empty node of each shape could hold (template × shape)."""
    out = np.zeros((templates.height, len(kinds)))
    for k, shape in enumerate(kinds):
        room = np.full(templates.height, np.inf)
        for key, amount in shape.allocatable.items():
            ask = templates[f"ask:{key}"].to_numpy()
            if key == GPU:
                count, milli = templates["gpu_count"].to_numpy(), templates["gpu_milli"].to_numpy()
                shares = np.where(milli > 0, 1000 // np.maximum(milli, 1), 0) * (amount // 1000)
                fits = np.where(count > 0, np.where(count <= amount // 1000, shares // np.maximum(count, 1), 0), np.inf)
            else:
                fits = np.where(ask > 0, amount // np.maximum(ask, 1), np.inf)
            room = np.minimum(room, fits)
        out[:, k] = room
    return out


def _more_nodes(left: pl.DataFrame, kinds: list[Shape]) -> tuple[Shape | None, int]:
    """Return the shape that holds what is left with the fewest nodes, pods that no shape holds left aside."""
    wanted = left.filter(~pl.col("oversized"))
    if wanted.is_empty():
        return None, 0
    held = per_node(wanted, kinds)
    pods = wanted["unplaced"].to_numpy()
    best: tuple[int, int] | None = None
    for k in range(len(kinds)):
        if (held[:, k] > 0).all():
            nodes = int(np.ceil(pods / held[:, k]).sum()) if np.isfinite(held[:, k]).all() else 1
            best = min(best or (nodes, k), (nodes, k))
    return (kinds[best[1]], best[0]) if best else (None, 0)


def _from_pods(folder: Path, run: Run) -> pl.DataFrame:
    """Return of the pods that were never bound, by template: a sample, its reason, the time they waited."""
    end = pl.coalesce("ended_us", pl.lit(run.horizon_us))
    waited = pl.when(pl.col("status") == "refused").then(0).otherwise(end - pl.col("arrived_us"))
    return (
        runfolder.table(folder, "pods")
        .filter(pl.col("arrived_us").is_not_null(), pl.col("bound_us").is_null())
        .select(
            "name",
            "namespace",
            "template",
            "reason",
            waited.alias("waited"),
            pl.col("ended_us").is_null().alias("open"),
            "status",
        )
        .group_by("template", maintain_order=True)
        .agg(
            (pl.col("namespace").first() + "/" + pl.col("name").first()).alias("sample"),
            pl.col("reason").drop_nulls().first().alias("last_reason"),
            (pl.col("waited").cast(pl.Float64).sum() / 3.6e9).alias("pod_hours"),
            pl.col("waited").filter(pl.col("open"), pl.col("status") == "waiting").max().alias("longest_us"),
        )
        .collect()
    )
