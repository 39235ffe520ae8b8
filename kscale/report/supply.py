"""Demand against supply: how full each resource was, over time or over arrivals."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from kscale.engine import runfolder
from kscale.engine.runfolder import Run
from kscale.report import reading
from kscale.report.reading import GPU, Resource
from kscale.report.waits import Waits

POINTS = 260


@dataclass(frozen=True)
class Axis:
    """What the figures of a run have from left to right.

    Attributes:
        kind: ``time`` (microseconds), ``gpu`` (arrived GPU share in % of all GPUs) or ``pods`` (arrived pods).
        label: for the axis, with its unit.
    """

    kind: str
    label: str


AXES = {
    "time": Axis("time", "virtual time since the start of the run"),
    "gpu": Axis("gpu", "GPU share that had arrived, in % of all GPUs"),
    "pods": Axis("pods", "pods that had arrived"),
}


@dataclass(frozen=True)
class Peak:
    """A resource at its fullest.

    Attributes:
        percent: of its allocatable amount that was requested.
        x: where on the run's axis.
        used: requested then.
        allocatable: then.
        mean: percent requested over the run (over its arrivals when it has no times).
        end: percent requested at the end of the run.
        demand: largest amount that bound and waiting pods asked for at once.
    """

    percent: float
    x: float
    used: float
    allocatable: float
    mean: float
    end: float
    demand: float


@dataclass(frozen=True)
class Supply:
    """The timeline, thinned to at most POINTS rows.

    Attributes:
        axis: of ``x``.
        frame: ``x``, ``allocatable:*``, ``used:*`` (largest of the rows merged), ``running_pods``, ``waiting_pods``.
        demand: ``x`` and ``demand:*``, what bound and waiting (or refused) pods ask for; None when it is not known.
        gpu: ``x``, ``used``, ``idle``, ``fragmented`` in milli; None without GPUs.
        peaks: by resource key.
        refused_at: x of the first refusal of an inflation run; None without one.
        moments: ``time_us`` and ``x`` of every row, to place other tables' moments on the axis.
    """

    axis: Axis
    frame: pl.DataFrame
    demand: pl.DataFrame | None
    gpu: pl.DataFrame | None
    peaks: dict[str, Peak]
    refused_at: float | None
    moments: pl.DataFrame


def measure(
    folder: Path, run: Run, found: tuple[Resource, ...], templates: pl.DataFrame, waits: Waits | None
) -> Supply:
    """Return demand and supply; ``waits`` is None for an inflation run."""
    inflate = reading.inflates(run)
    gpus = run.devices and any(r.key == GPU for r in found)
    axis = AXES["time" if not inflate else "gpu" if gpus else "pods"]
    x = {
        "time": pl.col("time_us"),
        "gpu": 100 * pl.col("arrived_gpu") / pl.col(f"allocatable:{GPU}"),
        "pods": pl.col("arrived_pods"),
    }[axis.kind]
    full = reading.timeline(folder, run, found).with_columns(x.cast(pl.Float64).alias("x")).collect()
    if inflate:
        demand = _asked_in_order(folder, found, templates, full)
    else:
        demand = _asked_at_instants(full, found, waits)
    peaks = {r.key: _peak(full, r.key, demand) for r in found} if full.height else {}
    refused = (
        full.filter(pl.col("running_pods") < pl.col("arrived_pods"))["x"]
        if inflate
        else pl.Series([], dtype=pl.Float64)
    )
    return Supply(
        axis,
        _thin(full.select("x", "running_pods", "waiting_pods", pl.col("^(allocatable|used):.*$")), pl.all().max()),
        _thin(demand, pl.all().max()) if demand is not None else None,
        _gpu(full) if gpus and full.height else None,
        peaks,
        float(refused[0]) if len(refused) else None,
        full.select("time_us", "x"),
    )


def _thin(frame: pl.DataFrame, how: pl.Expr) -> pl.DataFrame:
    """Merge neighbouring rows so that at most POINTS are left."""
    if frame.height <= POINTS:
        return frame
    each = -(-frame.height // POINTS)
    merged = frame.with_columns((pl.int_range(pl.len()) // each).alias("bin"))
    return merged.group_by("bin", maintain_order=True).agg(how).drop("bin")


def _gpu(full: pl.DataFrame) -> pl.DataFrame:
    used = pl.col(f"used:{GPU}")
    rows = full.select(
        "x", used.alias("used"), (pl.col(f"allocatable:{GPU}") - used).alias("idle"), "fragmented", "arrived_gpu"
    )
    # A row as it was, since its parts add up.
    return _thin(rows, pl.all().last())


def _asked_in_order(
    folder: Path, found: tuple[Resource, ...], templates: pl.DataFrame, full: pl.DataFrame
) -> pl.DataFrame | None:
    """Return what the pods that had arrived asked for at each arrival, the refused ones too."""
    order = (
        runfolder.table(folder, "pods")
        .filter(pl.col("arrived_us").is_not_null())
        .select("arrived_us", "template")
        .sort("arrived_us", maintain_order=True)
        .join(templates.lazy().select("template", pl.col("^ask:.*$")), on="template", how="left", maintain_order="left")
        .select(pl.col(f"ask:{r.key}").fill_null(0).cum_sum().alias(f"demand:{r.key}") for r in found)
        .collect()
    )
    if order.height != full.height:
        return None
    return pl.concat([full.select("x"), order], how="horizontal")


def _asked_at_instants(full: pl.DataFrame, found: tuple[Resource, ...], waits: Waits | None) -> pl.DataFrame | None:
    """Return what bound and waiting pods ask for together at the instants of the waits."""
    if waits is None or not waits.asks or full.is_empty():
        return None
    asks = pl.DataFrame({"time_us": waits.samples} | {f"ask:{key}": values for key, values in waits.asks.items()})
    joined = asks.join_asof(full, on="time_us", strategy="backward")
    return joined.select(
        pl.col("time_us").cast(pl.Float64).alias("x"),
        *((pl.col(f"used:{r.key}") + pl.col(f"ask:{r.key}")).alias(f"demand:{r.key}") for r in found),
    ).drop_nulls()


def _peak(full: pl.DataFrame, key: str, demand: pl.DataFrame | None) -> Peak:
    used, allocatable = full[f"used:{key}"].to_numpy(), full[f"allocatable:{key}"].to_numpy()
    share = np.divide(100 * used, allocatable, out=np.zeros_like(used), where=allocatable > 0)
    at = int(share.argmax())
    asked = float(demand[f"demand:{key}"].max() or 0) if demand is not None else 0.0  # type: ignore[arg-type]
    return Peak(
        float(share[at]),
        float(full["x"][at]),
        float(used[at]),
        float(allocatable[at]),
        float(100 * used.sum() / allocatable.sum()) if allocatable.sum() else 0.0,
        float(share[-1]),
        max(asked, float(used.max())),
    )
