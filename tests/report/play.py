"""A small first-fit scheduler that makes up runs for the report's tests."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from kscale.engine.runfolder import Input

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
    living: dict[str, pl.DataFrame] = field(default_factory=dict)


class Cluster:
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


class Recorder:
    """Collects timeline and node_timeline rows, and the means of the nodes."""

    def __init__(self, cluster: Cluster, story: Story) -> None:
        self.cluster = cluster
        self.timeline: list[tuple] = []
        self.groups: list[pl.DataFrame] = []
        n = len(cluster.alloc)
        self.sum = np.zeros((n, 3))
        self.gpu_sum, self.idle = np.zeros(n), np.zeros(n)
        self.peak = np.zeros((n, 3), np.int64)
        self.bound_ever = np.zeros(n, np.int64)

    def bound(self, node: int) -> None:
        """Note that a pod was bound to a node."""
        self.bound_ever[node] += 1
        self.peak[node] = np.maximum(self.peak[node], (self.cluster.alloc - self.cluster.free)[node])

    def sample(self, now: int, arrived: int, running: int, waiting: int, arrived_gpu: int, *, groups: bool) -> None:
        c = self.cluster
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


class Play:
    """One run: pods in order of arrival, first fit, the waiting tried again whenever one ends."""

    def __init__(self, story: Story) -> None:
        self.story, self.cluster = story, Cluster(story.pools, story.group_size)
        self.recorder = Recorder(self.cluster, story)
        nothing = dict.fromkeys(
            ("node", "decision", "arrived_us", "bound_us", "started_us", "ended_us", "reason", "first")
        )
        self.rec: list[dict] = [nothing | {"devices": [], "attempts": 0, "status": "waiting"} for _ in story.pods]
        self.waiting: list[int] = []
        self.ends: list[tuple[int, int, int]] = []
        self.events: list[tuple] = []
        self.arrived = self.running = self.gpu = self.decision = 0
        step = max(1, -(-story.horizon_us // story.samples))
        self.due = [] if story.inflate else [*range(0, story.horizon_us, step), story.horizon_us]
        self.every = max(1, len(story.pods) // 100) if story.inflate else 1

    def run(self) -> None:
        story = self.story
        for i in sorted(range(len(story.pods)), key=lambda i: story.pods[i].arrives_us):
            if story.pods[i].arrives_us > story.horizon_us:
                break
            self._until(story.pods[i].arrives_us)
            self._arrive(i)
        self._until(story.horizon_us)
        if story.inflate:
            # Only for the groups of nodes: the timeline has one row per arrival.
            self.recorder.sample(story.horizon_us, self.arrived, self.running, 0, self.gpu, groups=True)
            self.recorder.timeline.pop()

    def _arrive(self, i: int) -> None:
        pod = self.story.pods[i]
        t = self.story.templates[pod.template]
        self.rec[i]["arrived_us"] = pod.arrives_us
        self.arrived += 1
        self.gpu += t.gpu_count * t.gpu_milli
        self.events.append((pod.arrives_us, "Arrived", pod, None, None))
        if not self._attempt(i, pod.arrives_us):
            self.events.append((pod.arrives_us, "FailedScheduling", pod, None, self.rec[i]["reason"]))
            if self.story.inflate:
                self.rec[i]["status"] = "refused"
            else:
                self.waiting.append(i)
        if self.story.inflate:
            self._sample(pod.arrives_us)

    def _attempt(self, i: int, now: int) -> bool:
        pod, r = self.story.pods[i], self.rec[i]
        t = self.story.templates[pod.template]
        r["attempts"] += 1
        node, why = self.cluster.fit(t)
        if node < 0:
            r["reason"] = why
            r["first"] = now if r["first"] is None else r["first"]
            return False
        held = self.cluster.bind(node, t)
        self.recorder.bound(node)
        r.update(node=node, devices=held, bound_us=now, started_us=now, status="running", decision=self.decision)
        self.decision += 1
        self.running += 1
        self.events.append((now, "Scheduled", pod, self.cluster.names[node], None))
        if pod.runs_us is not None and not self.story.inflate:
            heapq.heappush(self.ends, (now + pod.runs_us, i, node))
        return True

    def _sample(self, now: int) -> None:
        waiting, groups = len(self.waiting), self.arrived % self.every == 0
        self.recorder.sample(now, self.arrived, self.running, waiting, self.gpu, groups=groups)

    def _until(self, now: int) -> None:
        while True:
            next_end = self.ends[0][0] if self.ends else now + 1
            while self.due and self.due[0] < min(next_end, now + 1):
                self._sample(self.due.pop(0))
            if next_end > now:
                return
            self._end()

    def _end(self) -> None:
        when, i, node = heapq.heappop(self.ends)
        self.cluster.release(node, self.story.templates[self.story.pods[i].template], self.rec[i]["devices"])
        self.rec[i].update(ended_us=when, status="succeeded")
        self.running -= 1
        failed: set[int] = set()
        for j in list(self.waiting):
            template = self.story.pods[j].template
            if template not in failed:
                if self._attempt(j, when):
                    self.waiting.remove(j)
                else:
                    failed.add(template)
