"""Run folders for the report's tests: every table of a made-up run, held to the data dictionary."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from kscale.engine import runfolder
from kscale.engine.outputs import LIVING_OUTPUTS, OUTPUTS
from kscale.engine.runfolder import Run
from tests.report.play import RESOURCES, Cluster, Play, Recorder, Story


def make(folder: Path, story: Story, *, seal: bool = True) -> Run:
    """Write the run folder that ``story`` leads to and return its Run."""
    folder.mkdir(parents=True, exist_ok=True)
    play = Play(story)
    play.run()
    cluster, recorder = play.cluster, play.recorder
    pods, events = _pods(story, cluster, play.rec), _events(play.events)
    devices = any(p.gpus for p in story.pools)
    frames = {
        "pods": pods,
        "timeline": _timeline(recorder, devices),
        "nodes": _nodes(recorder, devices, story),
        "node_timeline": _node_timeline(recorder, devices),
        "events": events,
        "templates": _templates(story, cluster, pods, devices),
    }
    for name, frame in frames.items():
        check_columns(name, frame, RESOURCES, devices)
        frame.write_parquet(folder / f"{name}.parquet")
    for name, frame in story.living.items():
        assert dict(frame.schema) == {o.name: _made(o.dtype) for o in LIVING_OUTPUTS[name]}, name
        frame.write_parquet(folder / f"{name}.parquet")
    run = _run(story, pods, cluster, devices)
    if seal:
        runfolder.seal(folder, run)
    return run


def check_columns(table: str, frame: pl.DataFrame, resources: tuple[str, ...], devices: bool) -> None:
    """Hold a fabricated table to the data dictionary."""
    expected = {}
    for out in OUTPUTS[table]:
        for name in [out.name.replace("*", r) for r in resources] if "*" in out.name else [out.name]:
            if devices or not ("gpu" in name or name in ("devices", "device_model")) or table == "pods":
                expected[name] = out.dtype
    assert dict(frame.schema) == {k: _made(v) for k, v in expected.items()}, table


def _made(dtype: Any) -> pl.DataType:
    return dtype() if isinstance(dtype, type) else dtype


def _pods(story: Story, cluster: Cluster, rec: list[dict]) -> pl.DataFrame:
    columns = {
        "name": [p.name for p in story.pods],
        "namespace": [p.namespace for p in story.pods],
        "status": [r["status"] for r in rec],
        "node": [None if r["node"] is None else cluster.names[r["node"]] for r in rec],
        "devices": [r["devices"] for r in rec],
        "decision": [r["decision"] for r in rec],
        **{k: [r[k] for r in rec] for k in ("arrived_us", "bound_us", "started_us", "ended_us", "attempts", "reason")},
        "first_failed_us": [r["first"] for r in rec],
        "template": [p.template for p in story.pods],
        "preempted_by": [None] * len(rec),
        "victims": [0] * len(rec),
    }
    return pl.DataFrame(columns, schema={o.name: o.dtype for o in OUTPUTS["pods"]})


def _events(events: list[tuple]) -> pl.DataFrame:
    rows = [(t, kind, f"{p.namespace}/{p.name}", node, why) for t, kind, p, node, why in events]
    return pl.DataFrame(rows, schema={o.name: o.dtype for o in OUTPUTS["events"]}, orient="row")


def _timeline(recorder: Recorder, devices: bool) -> pl.DataFrame:
    names = ["time_us", "arrived_pods", "running_pods", "waiting_pods"]
    names += [f"allocatable_{r}" for r in RESOURCES] + [f"requested_{r}" for r in RESOURCES]
    schema: dict = dict.fromkeys(names, pl.Int64)
    gpu = dict.fromkeys(["arrived_gpu_milli", "used_gpu_milli", "idle_gpu_milli"], pl.Int64)
    schema |= gpu | {"fragmented_gpu_milli": pl.Float64}
    frame = pl.DataFrame(recorder.timeline, schema=schema, orient="row")
    return frame if devices else frame.drop(*gpu, "fragmented_gpu_milli")


def _nodes(recorder: Recorder, devices: bool, story: Story) -> pl.DataFrame:
    c, n = recorder.cluster, len(recorder.cluster.alloc)
    rows = max(1, len(recorder.timeline))
    used = c.alloc - c.free
    columns: dict = {"name": c.names, "group": c.group, "joined_us": [0] * n, "left_us": [None] * n}
    columns |= {"present_us": [story.horizon_us] * n}
    columns |= {"device_model": c.model, "devices": c.devices} if devices else {}
    columns |= {"pods_bound": recorder.bound_ever}
    columns |= {f"allocatable_{r}": c.alloc[:, k] for k, r in enumerate(RESOURCES)}
    columns |= {f"requested_mean_{r}": recorder.sum[:, k] / rows for k, r in enumerate(RESOURCES)}
    columns |= {f"requested_peak_{r}": recorder.peak[:, k] for k, r in enumerate(RESOURCES)}
    columns |= {f"requested_end_{r}": used[:, k] for k, r in enumerate(RESOURCES)}
    if devices:
        columns |= {
            "used_gpu_milli_mean": recorder.gpu_sum / rows,
            "used_gpu_milli_end": c.devices * 1000 - c.device_free.sum(1),
            "fragmented_gpu_milli_end": c.fragmented(),
        }
    columns |= {"idle_share": recorder.idle / rows}
    times = dict.fromkeys(("joined_us", "left_us", "present_us"), pl.Int64)
    types = {"name": pl.String, "device_model": pl.String} | times
    return pl.DataFrame(columns, schema_overrides={k: v for k, v in types.items() if k in columns})


def _node_timeline(recorder: Recorder, devices: bool) -> pl.DataFrame:
    frame = pl.concat(recorder.groups) if recorder.groups else _no_groups()
    order = ["time_us", "group", "pool", "nodes", "bound_pods"]
    order += [f"allocatable_{r}" for r in RESOURCES] + [f"requested_{r}" for r in RESOURCES]
    return frame.select(order + (["allocatable_gpu_milli", "used_gpu_milli"] if devices else []))


def _no_groups() -> pl.DataFrame:
    schema: dict = {"time_us": pl.Int64, "group": pl.Int32, "pool": pl.String, "nodes": pl.Int32}
    names = ["bound_pods", *(f"{a}_{r}" for a in ("allocatable", "requested") for r in RESOURCES)]
    return pl.DataFrame(schema=schema | dict.fromkeys(names, pl.Int64))


def _templates(story: Story, cluster: Cluster, pods: pl.DataFrame, devices: bool) -> pl.DataFrame:
    rows = []
    for k, t in enumerate(story.templates):
        mine = pods.filter(pl.col("template") == k, pl.col("arrived_us").is_not_null())
        placed = mine["bound_us"].is_not_null().sum()
        unplaced = mine.height - placed
        why = near = lacks = None
        if unplaced:
            why = cluster.fit(t)[1]
            if why and len(cluster.alloc):
                gap = np.maximum(cluster.need(t) - cluster.free, 0)
                best = int((gap / np.maximum(cluster.alloc, 1)).sum(1).argmin())
                near, lacks = cluster.names[best], f"{gap[best][0] / 1000:g} cpu"
        gpu = (t.gpu_count, t.gpu_milli) if devices else ()
        rows.append((k, t.spec, t.cpu, t.memory, 1, *gpu, mine.height, placed, unplaced, why, near, lacks))
    schema: dict = {"template": pl.Int32, "spec": pl.String} | {f"request_{r}": pl.Int64 for r in RESOURCES}
    schema |= {"gpu_count": pl.Int64, "gpu_milli": pl.Int64} if devices else {}
    schema |= dict.fromkeys(["pods", "placed", "unplaced"], pl.Int64)
    schema |= dict.fromkeys(["reason", "nearest_node", "nearest_lacks"], pl.String)
    return pl.DataFrame(rows, schema=schema, orient="row")


def _run(story: Story, pods: pl.DataFrame, cluster: Cluster, devices: bool) -> Run:
    statuses = pods.filter(pl.col("arrived_us").is_not_null())["status"].cast(pl.String).to_list()
    counts = {s: statuses.count(s) for s in ("running", "succeeded", "failed", "waiting", "refused", "evicted")}
    counts |= {"arrived": len(statuses), "bound": pods["bound_us"].is_not_null().sum()}
    counts |= {"attempts": int(pods["attempts"].sum()), "nodes": len(cluster.alloc), "rows_dropped": 0}
    return Run(
        schema_version=runfolder.SCHEMA_VERSION,
        kscale_version="0.1.0",
        command=story.command,
        inputs=story.inputs,
        configuration={"inflate": story.inflate, "policy": "default", "load": 1.0, "out": "run"},
        plugins=[{"name": "NodeResourcesFit", "points": ["filter", "score"], "weight": 1}],
        seed=42,
        counts=counts | {"templates": len(story.templates)},
        resources=list(RESOURCES),
        devices=devices,
        horizon_us=story.horizon_us,
        sample_us=0 if story.inflate else max(1, -(-story.horizon_us // story.samples)),
        scheduler_us_per_pod=story.scheduler_us_per_pod,
        notes=story.notes,
        dropped=story.dropped,
        invariants={"control_points": 120, "violations": 0},
        timing={
            "read": 0.1,
            "compile": 0.0,
            "simulate": 0.21,
            "record": 0.05,
            "pods_per_second": 41234.5,
            "reference": 0.006,
        },
        fingerprint="5f" * 32,
    )
