"""Run folders for the report's tests: a small first-fit scheduler that writes every table of a run."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl

from kscale.engine import runfolder
from kscale.engine.outputs import OUTPUTS
from kscale.engine.runfolder import Input, Run

SECOND = 10**6
HOUR = 3600 * SECOND
GIB = 1 << 30
RESOURCES = ("cpu", "memory", "pods")


@dataclass
class Pool:
    """Nodes of one shape."""

    shape: str
    count: int
    cpu: int
    memory: int
    pods: int = 110
    gpus: int = 0
    model: str | None = None
    prefix: str = "node"


@dataclass
class Template:
    """What a pod asks for."""

    spec: str
    cpu: int
    memory: int
    gpu_count: int = 0
    gpu_milli: int = 0


@dataclass
class Pod:
    """A pod of the trace; ``runs_us`` None runs for ever."""

    name: str
    template: int
    arrives_us: int
    runs_us: int | None = None
    namespace: str = "default"


@dataclass
class Story:
    """Everything that a fabricated run is made of."""

    pools: list[Pool]
    templates: list[Template]
    pods: list[Pod]
    horizon_us: int = 10 * HOUR
    samples: int = 100
    inflate: bool = False
    scheduler_us_per_pod: float = 0.0
    notes: list[str] = field(default_factory=lambda: ["Gangs and task order are not modelled."])
    command: str = "kscale replay trace.csv --nodes nodes.csv --out run"
    dropped: dict[str, int] = field(default_factory=dict)
    group_size: int = 8
    inputs: list[Input] = field(default_factory=lambda: [Input("trace", "trace.csv", "ab" * 32, 1234)])


class _Cluster:
    """Free room per node and device."""

    def __init__(self, pools: list[Pool], group_size: int) -> None:
        rows = [(p, i) for p in pools for i in range(p.count)]
        self.pool = [p.shape for p, _ in rows]
        self.names = [f"{p.prefix}-{k}" for k, (p, _) in enumerate(rows)]
        self.model = [p.model for p, _ in rows]
        self.alloc = np.array([[p.cpu, p.memory, p.pods] for p, _ in rows], np.int64).reshape(-1, 3)
        self.devices = np.array([p.gpus for p, _ in rows], np.int64)
        self.free = self.alloc.copy()
        self.device_free = np.array([[1000] * p.gpus + [0] * (8 - p.gpus) for p, _ in rows], np.int64).reshape(-1, 8)
        self.group = np.array([k for g, k in _groups(pools, group_size)], np.int32)
        self.bound = np.zeros(len(rows), np.int64)

    def need(self, t: Template) -> np.ndarray:
        return np.array([t.cpu, t.memory, 1], np.int64)

    def fit(self, t: Template) -> tuple[int, str | None]:
        if not len(self.alloc):
            return -1, "no nodes available to schedule pods"
        lacks = self.free < self.need(t)
        gpu = (self.device_free >= max(t.gpu_milli, 1)).sum(1) < t.gpu_count
        ok = ~(lacks.any(1) | gpu)
        if ok.any():
            return int(ok.argmax()), None
        words = ["Insufficient cpu", "Insufficient memory", "Too many pods"]
        counts = [(int(lacks[:, r].sum()), w) for r, w in enumerate(words)] + [(int(gpu.sum()), "Insufficient gpu")]
        parts = ", ".join(f"{n} {w}" for n, w in sorted(counts, key=lambda c: c[1]) if n)
        return -1, f"0/{len(self.alloc)} nodes are available: {parts}."

    def bind(self, node: int, t: Template) -> list[int]:
        self.free[node] -= self.need(t)
        self.bound[node] += 1
        held = [d for d in range(8) if self.device_free[node, d] >= max(t.gpu_milli, 1)][: t.gpu_count]
        self.device_free[node, held] -= t.gpu_milli
        return held

    def release(self, node: int, t: Template, held: list[int]) -> None:
        self.free[node] += self.need(t)
        self.bound[node] -= 1
        self.device_free[node, held] += t.gpu_milli

    def fragmented(self) -> np.ndarray:
        small = np.where(self.device_free < 500, self.device_free, 0).sum(1)
        return small + 0.1366 * (self.device_free.sum(1) - small)


def _groups(pools: list[Pool], size: int) -> list[tuple[str, int]]:
    out, group = [], -1
    for pool in pools:
        for i in range(pool.count):
            group += i % size == 0
            out.append((pool.shape, group))
    return out


class _Recorder:
    """Collects timeline and node_timeline rows, and the means of the nodes."""

    def __init__(self, cluster: _Cluster, story: Story) -> None:
        self.c, self.story = cluster, story
        self.timeline: list[tuple] = []
        self.groups: list[pl.DataFrame] = []
        n = len(cluster.alloc)
        self.sum = np.zeros((n, 3))
        self.gpu_sum, self.idle = np.zeros(n), np.zeros(n)
        self.peak = np.zeros((n, 3), np.int64)
        self.bound_ever = np.zeros(n, np.int64)

    def sample(self, now: int, arrived: int, running: int, waiting: int, arrived_gpu: int, *, groups: bool) -> None:
        c = self.c
        used = c.alloc - c.free
        gpu_used = c.devices * 1000 - c.device_free.sum(1)
        self.sum += used
        self.gpu_sum += gpu_used
        self.idle += c.bound == 0
        row = [now, arrived, running, waiting, *c.alloc.sum(0).tolist(), *used.sum(0).tolist()]
        frag = float(c.fragmented().sum())
        self.timeline.append((*row, arrived_gpu, int(gpu_used.sum()), int(c.device_free.sum()), frag))
        if groups and len(c.alloc):
            frame = pl.DataFrame(
                {"group": c.group, "pool": c.pool, "bound_pods": c.bound}
                | {f"allocatable_{r}": c.alloc[:, k] for k, r in enumerate(RESOURCES)}
                | {f"requested_{r}": used[:, k] for k, r in enumerate(RESOURCES)}
                | {"allocatable_gpu_milli": c.devices * 1000, "used_gpu_milli": gpu_used}
            )
            each = [pl.len().cast(pl.Int32).alias("nodes"), pl.exclude("group", "pool").sum()]
            self.groups.append(
                frame.group_by("group", "pool", maintain_order=True)
                .agg(each)
                .select(pl.lit(now, pl.Int64).alias("time_us"), pl.all())
            )


def make(folder: Path, story: Story, *, seal: bool = True) -> Run:
    """Write the run folder that ``story`` leads to and return its Run."""
    folder.mkdir(parents=True, exist_ok=True)
    cluster = _Cluster(story.pools, story.group_size)
    recorder = _Recorder(cluster, story)
    pods, events = _play(story, cluster, recorder)
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
    assert dict(frame.schema) == {k: (v() if isinstance(v, type) else v) for k, v in expected.items()}, table


def _play(story: Story, cluster: _Cluster, recorder: _Recorder) -> tuple[pl.DataFrame, pl.DataFrame]:
    n = len(story.pods)
    order = sorted(range(n), key=lambda i: story.pods[i].arrives_us)
    rec: list[dict] = [
        dict.fromkeys(("node", "decision", "arrived_us", "bound_us", "started_us", "ended_us", "reason", "first"))
        | {"devices": [], "attempts": 0, "status": "waiting"}
        for _ in range(n)
    ]
    waiting: list[int] = []
    ends: list[tuple[int, int, int]] = []
    events: list[tuple] = []
    state = {"arrived": 0, "running": 0, "gpu": 0, "decision": 0}
    step = max(1, -(-story.horizon_us // story.samples))
    due = [*range(0, story.horizon_us, step), story.horizon_us]

    def attempt(i: int, now: int) -> bool:
        t = story.templates[story.pods[i].template]
        r = rec[i]
        r["attempts"] += 1
        node, why = cluster.fit(t)
        if node < 0:
            r["reason"] = why
            r["first"] = now if r["first"] is None else r["first"]
            return False
        held = cluster.bind(node, t)
        recorder.bound_ever[node] += 1
        recorder.peak[node] = np.maximum(recorder.peak[node], (cluster.alloc - cluster.free)[node])
        r.update(node=node, devices=held, bound_us=now, started_us=now, status="running", decision=state["decision"])
        state["decision"] += 1
        state["running"] += 1
        events.append((now, "Scheduled", story.pods[i], cluster.names[node], None))
        if story.pods[i].runs_us is not None and not story.inflate:
            heapq.heappush(ends, (now + story.pods[i].runs_us, i, node))
        return True

    every = max(1, n // 100) if story.inflate else 1

    def sample(now: int) -> None:
        recorder.sample(
            now, state["arrived"], state["running"], len(waiting), state["gpu"], groups=state["arrived"] % every == 0
        )

    def until(now: int) -> None:
        while True:
            next_end = ends[0][0] if ends else now + 1
            while due and not story.inflate and due[0] < min(next_end, now + 1):
                sample(due.pop(0))
            if next_end > now:
                return
            when, i, node = heapq.heappop(ends)
            cluster.release(node, story.templates[story.pods[i].template], rec[i]["devices"])
            rec[i].update(ended_us=when, status="succeeded")
            state["running"] -= 1
            failed: set[int] = set()
            for j in list(waiting):
                template = story.pods[j].template
                if template not in failed:
                    if attempt(j, when):
                        waiting.remove(j)
                    else:
                        failed.add(template)

    for i in order:
        pod = story.pods[i]
        if pod.arrives_us > story.horizon_us:
            break
        until(pod.arrives_us)
        t = story.templates[pod.template]
        rec[i]["arrived_us"] = pod.arrives_us
        state["arrived"] += 1
        state["gpu"] += t.gpu_count * t.gpu_milli
        events.append((pod.arrives_us, "Arrived", pod, None, None))
        if not attempt(i, pod.arrives_us):
            events.append((pod.arrives_us, "FailedScheduling", pod, None, rec[i]["reason"]))
            if story.inflate:
                rec[i]["status"] = "refused"
            else:
                waiting.append(i)
        if story.inflate:
            sample(pod.arrives_us)
    until(story.horizon_us)
    if story.inflate:
        recorder.sample(story.horizon_us, state["arrived"], state["running"], 0, state["gpu"], groups=True)
        recorder.timeline.pop()
    return _pods(story, cluster, rec), _events(events)


def _pods(story: Story, cluster: _Cluster, rec: list[dict]) -> pl.DataFrame:
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
    }
    return pl.DataFrame(columns, schema={o.name: o.dtype for o in OUTPUTS["pods"]})


def _events(events: list[tuple]) -> pl.DataFrame:
    rows = [(t, kind, f"{p.namespace}/{p.name}", node, why) for t, kind, p, node, why in events]
    return pl.DataFrame(rows, schema={o.name: o.dtype for o in OUTPUTS["events"]}, orient="row")


def _timeline(recorder: _Recorder, devices: bool) -> pl.DataFrame:
    names = ["time_us", "arrived_pods", "running_pods", "waiting_pods"]
    names += [f"allocatable_{r}" for r in RESOURCES] + [f"requested_{r}" for r in RESOURCES]
    schema: dict = dict.fromkeys(names, pl.Int64)
    gpu = dict.fromkeys(["arrived_gpu_milli", "used_gpu_milli", "idle_gpu_milli"], pl.Int64)
    schema |= gpu | {"fragmented_gpu_milli": pl.Float64}
    frame = pl.DataFrame(recorder.timeline, schema=schema, orient="row")
    return frame if devices else frame.drop(*gpu, "fragmented_gpu_milli")


def _nodes(recorder: _Recorder, devices: bool, story: Story) -> pl.DataFrame:
    c, n = recorder.c, len(recorder.c.alloc)
    rows = max(1, len(recorder.timeline))
    used = c.alloc - c.free
    columns: dict = {"name": c.names, "group": c.group, "joined_us": [0] * n, "left_us": [None] * n}
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
    types = {"name": pl.String, "left_us": pl.Int64, "joined_us": pl.Int64, "device_model": pl.String}
    return pl.DataFrame(columns, schema_overrides={k: v for k, v in types.items() if k in columns})


def _node_timeline(recorder: _Recorder, devices: bool) -> pl.DataFrame:
    frame = pl.concat(recorder.groups) if recorder.groups else _no_groups()
    order = ["time_us", "group", "pool", "nodes", "bound_pods"]
    order += [f"allocatable_{r}" for r in RESOURCES] + [f"requested_{r}" for r in RESOURCES]
    return frame.select(order + (["allocatable_gpu_milli", "used_gpu_milli"] if devices else []))


def _no_groups() -> pl.DataFrame:
    schema: dict = {"time_us": pl.Int64, "group": pl.Int32, "pool": pl.String, "nodes": pl.Int32}
    names = ["bound_pods", *(f"{a}_{r}" for a in ("allocatable", "requested") for r in RESOURCES)]
    return pl.DataFrame(schema=schema | dict.fromkeys(names, pl.Int64))


def _templates(story: Story, cluster: _Cluster, pods: pl.DataFrame, devices: bool) -> pl.DataFrame:
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


def _run(story: Story, pods: pl.DataFrame, cluster: _Cluster, devices: bool) -> Run:
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
        invariants={"checked": 120, "violated": 0},
        timing={"read": 0.1, "compile": 0.0, "simulate": 0.21, "record": 0.05, "pods_per_second": 41234.5},
        fingerprint="5f" * 32,
    )
