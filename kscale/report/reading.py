"""The run folder's tables with one name per thing: ``allocatable:<resource>`` and ``used:<resource>``.

The tables name a resource's columns in their own ways, GPUs (devices with shares) in another; here they are alike,
so that everything after this file can loop over resources. GPU amounts are in milli, cpu too, memory in bytes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from kscale.engine import runfolder
from kscale.engine.outputs import LIVING_OUTPUTS
from kscale.engine.runfolder import Run
from kscale.report import text

GPU = "gpu"


@dataclass(frozen=True)
class Resource:
    """A resource that the run's nodes have.

    Attributes:
        key: its name in columns; ``gpu`` for devices with shares.
        label: its name for people, untrusted.
        slug: its name in headline keys.
    """

    key: str
    label: str
    slug: str


def inflates(run: Run) -> bool:
    """Whether the run only lets pods arrive (``--inflate``): one timeline row per arrival, no waits, no ends."""
    return bool(run.configuration.get("inflate")) or (run.sample_us == 0 and run.horizon_us > 0)


def stands(run: Run) -> bool:
    """Whether the run is of a cluster as it stands (``kscale report -f``): nothing was scheduled."""
    return run.configuration.get("order") == "none"


def resources(folder: Path, run: Run) -> tuple[Resource, ...]:
    """Return the resources of which the nodes have any, in the order of the tables, GPUs last."""
    lazy = runfolder.table(folder, "timeline")
    names = lazy.collect_schema().names()
    keys = [key for key in run.resources if f"allocatable_{key}" in names]
    most = [pl.col(f"allocatable_{key}").max().alias(key) for key in keys]
    if "idle_gpu_milli" in names:
        most.append((pl.col("used_gpu_milli") + pl.col("idle_gpu_milli")).max().alias("devices:"))
    if not most:
        return ()
    row = lazy.select(most).collect().row(0, named=True)
    found = [key for key, value in row.items() if value]
    device_key = GPU if GPU not in keys else "gpu share"
    return tuple(_resource(device_key if key == "devices:" else key) for key in found)


def _resource(key: str) -> Resource:
    return Resource(key, text.label(key), re.sub(r"[^a-z0-9]+", "_", key.lower()).strip("_") or "resource")


def _is_devices(resource: Resource, run: Run) -> bool:
    return run.devices and resource.key not in run.resources


def _amounts(
    found: tuple[Resource, ...], run: Run, devices: dict[str, pl.Expr], plain: dict[str, str]
) -> list[pl.Expr]:
    """Return the columns ``<what>:<resource>``: ``devices`` gives those of GPUs, ``plain`` the prefix of all others."""
    out = []
    for resource in found:
        for what, prefix in plain.items():
            column = devices[what] if _is_devices(resource, run) else pl.col(f"{prefix}_{resource.key}")
            out.append(column.cast(pl.Float64).alias(f"{what}:{resource.key}"))
    return out


def timeline(folder: Path, run: Run, found: tuple[Resource, ...]) -> pl.LazyFrame:
    """Return timeline with ``allocatable:*`` and ``used:*``, ``row`` from 1, and ``fragmented`` with GPUs."""
    used, idle = pl.col("used_gpu_milli"), pl.col("idle_gpu_milli")
    columns = _amounts(
        found, run, {"allocatable": used + idle, "used": used}, {"allocatable": "allocatable", "used": "requested"}
    )
    if run.devices:
        columns += [
            pl.col("arrived_gpu_milli").cast(pl.Float64).alias("arrived_gpu"),
            pl.col("fragmented_gpu_milli").alias("fragmented"),
        ]
    return runfolder.table(folder, "timeline").select(
        pl.int_range(1, pl.len() + 1).alias("row"), "time_us", "arrived_pods", "running_pods", "waiting_pods", *columns
    )


def groups(folder: Path, run: Run, found: tuple[Resource, ...]) -> pl.LazyFrame:
    """Return node_timeline with ``allocatable:*`` and ``used:*``."""
    devices = {"allocatable": pl.col("allocatable_gpu_milli"), "used": pl.col("used_gpu_milli")}
    columns = _amounts(found, run, devices, {"allocatable": "allocatable", "used": "requested"})
    return runfolder.table(folder, "node_timeline").select("time_us", "group", "pool", "nodes", "bound_pods", *columns)


def nodes(folder: Path, run: Run, found: tuple[Resource, ...]) -> pl.LazyFrame:
    """Return nodes with ``pool``, ``allocatable:*``, ``mean:*`` and ``end:*``; GPUs have no peak of their own.

    ``stay_us`` is how long a node was there, ``there`` whether it is so at the end of the run.
    """
    devices = {"mean": pl.col("used_gpu_milli_mean"), "end": pl.col("used_gpu_milli_end")} if run.devices else {}
    if run.devices:
        devices["allocatable"] = pl.col("devices") * 1000
    columns = _amounts(
        found, run, devices, {"allocatable": "allocatable", "mean": "requested_mean", "end": "requested_end"}
    )
    pools = runfolder.table(folder, "node_timeline").select("group", "pool").unique(subset=["group"], keep="first")
    known = runfolder.table(folder, "nodes").collect_schema().names()
    stay = pl.col("present_us") if "present_us" in known else pl.lit(run.horizon_us)
    return (
        runfolder.table(folder, "nodes")
        .join(pools, on="group", how="left", maintain_order="left")
        .select(
            "name",
            "group",
            pl.col("pool").fill_null("nodes"),
            "pods_bound",
            "idle_share",
            stay.alias("stay_us"),
            (pl.col("joined_us").is_not_null() & pl.col("left_us").is_null()).alias("there"),
            *columns,
        )
    )


def templates(folder: Path, run: Run, found: tuple[Resource, ...]) -> pl.DataFrame:
    """Return templates with ``ask:*`` per pod, and ``hopeless``: it asks for a resource that no node has.

    ``gpu_count`` and ``gpu_milli`` are 0 where there are no GPUs.
    """
    lazy = runfolder.table(folder, "templates")
    names = lazy.collect_schema().names()
    gpu = {
        c: pl.col(c).fill_null(0) if c in names else pl.lit(0, pl.Int64).alias(c) for c in ("gpu_count", "gpu_milli")
    }
    asks = []
    for resource in found:
        if _is_devices(resource, run):
            ask = gpu["gpu_count"] * gpu["gpu_milli"]
        elif f"request_{resource.key}" in names:
            ask = pl.col(f"request_{resource.key}").fill_null(0)
        else:
            ask = pl.lit(0)
        # Every pod takes a slot, whether its spec counts it or not.
        ask = pl.max_horizontal(ask, pl.lit(1)) if resource.key == "pods" else ask
        asks.append(ask.cast(pl.Float64).alias(f"ask:{resource.key}"))
    keys = {resource.key for resource in found}
    missing = [pl.col(f"request_{k}") > 0 for k in run.resources if k not in keys and f"request_{k}" in names]
    missing += [gpu["gpu_count"] > 0] if not any(_is_devices(r, run) for r in found) else []
    missing += [pl.lit(True)] if "pods" in run.resources and "pods" not in keys else []
    hopeless = pl.any_horizontal(pl.lit(False), *missing).fill_null(False).alias("hopeless")
    keep = ("template", "spec", "pods", "placed", "unplaced", "reason", "nearest_node", "nearest_lacks")
    return lazy.select(*keep, *gpu.values(), *asks, hopeless).collect()


def lives(folder: Path) -> bool:
    """Whether the run had controllers: it wrote tables of them."""
    return any((folder / f"{name}.parquet").exists() for name in LIVING_OUTPUTS)


def living(folder: Path, name: str) -> pl.LazyFrame:
    """Return a table of a run with controllers; an empty one where the run wrote none."""
    if (folder / f"{name}.parquet").exists():
        return runfolder.table(folder, name)
    return pl.LazyFrame(schema={output.name: output.dtype for output in LIVING_OUTPUTS[name]})
