"""Workloads with the shapes of load generators: clusterloader2 (kubernetes/perf-tests) and kube-burner-ocp.

Group sizes, rates and requests are those of their configurations; what is "chosen" has no published source.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from kscale.errors import InputError
from kscale.traces import Trace
from kscale.traces.common import specs
from kscale.traces.common.shapes import MAX_NODES, parse_shapes

_SECOND = 10**6
_MB, _MIB = 10**6, 1 << 20
# clusterloader2, published: nodes of a namespace, pods of a node, sizes of groups, pods a second.
_NODES_PER_NAMESPACE, _PODS_PER_NODE = 100, 30
_LOAD_RATE, _DENSITY_RATE, _LATENCY_RATE, _THROUGHPUT_RATE = 10, 20, 5, 500
_LEAST_LATENCY_PODS, _THROUGHPUT_PODS = 500, 5000
#: Size, share of pods (as a divisor), and the kinds of owners of which there is one; all others are Deployments.
_GROUPS = (
    ("big", 250, 4, ("job",)),
    ("medium", 30, 4, ("statefulset", "job")),
    ("small", 5, 2, ("statefulset", "job")),
)
# kube-burner-ocp, published: objects a second; replaced namespaces, pause between rounds, how long; pods of a node.
_OBJECT_RATE = 20
_CHURN_SHARE, _CHURN_DELAY_US, _CHURN_US = 10, 120 * _SECOND, 3600 * _SECOND
_DENSE_PODS = 245
#: Iterations (namespaces) of cluster-density for each node; chosen, it is what OpenShift's tests run.
_ITERATIONS_PER_NODE = 9
#: Nodes: one core and 4 GB is what clusterloader2's requests are made for; workers of OpenShift are chosen.
_SMALL_NODE, _WORKER = "1cpu,4G", "16cpu,64Gi,250pods"
Make = Callable[[int, int | None, np.random.Generator], pl.DataFrame]


@dataclass(frozen=True)
class Generator:
    """A load generator: ``make`` gives groups of pods for so many nodes and, where it is stated, so many pods.

    Attributes:
        doc: what it is like, in a sentence.
        node: the shape of its nodes.
        make: returns a row a group: namespace, owner (null: bare pods), prefix of names, size, at_us (the first
            arrival), gap_us between arrivals, lasts_us (null: never ends), cpu_milli, memory_bytes, tolerations.
    """

    doc: str
    node: str
    make: Make


def generate(name: str, rng: np.random.Generator, *, nodes: int, pods: int | None = None) -> Trace:
    """Return the workload of a generator of ``GENERATORS`` on ``nodes`` nodes, pods in the order of arrival.

    ``pods`` says about how many in place of the generator's own number: groups are whole. Raises InputError when a
    number is out of range.
    """
    generator = GENERATORS[name]
    for option, value, low, high in (("--nodes", nodes, 1, MAX_NODES), ("--pods", pods or 0, 0, specs.MAX_PODS)):
        if not low <= value <= high:
            raise InputError(f"{value} is out of range", field=option, expected=f"{low:,} to {high:,}")
    groups = generator.make(nodes, pods, rng)
    frame, index = specs.repeated(groups, groups["size"], specs.MAX_PODS)
    arrival = pl.col("at_us") + index * pl.col("gap_us")
    made = frame.select(
        "namespace",
        "owner",
        name=pl.concat_str("prefix", pl.lit("-"), index),
        arrival_us=arrival,
        duration_us=pl.col("lasts_us"),
        end_us=arrival + pl.col("lasts_us"),
        **{name: pl.col(name) for name in ("cpu_milli", "memory_bytes", "tolerations") if name in frame.columns},
    ).sort("arrival_us", maintain_order=True)
    notes = (f"synth: {generator.doc} {made.height:,} pods, {nodes:,} nodes.",)
    return specs.build("synth", made, nodes=parse_shapes(f"{generator.node}:{nodes}"), notes=notes)


def _groups(**columns: Any) -> pl.DataFrame:
    """Return groups; columns that are not given say: at once, never ends, no owner."""
    frame = pl.select(**columns)
    defaults = {"gap_us": pl.lit(0, pl.Int64), "lasts_us": pl.lit(None, pl.Int64), "owner": pl.lit(None, pl.String)}
    return frame.with_columns(**{name: value for name, value in defaults.items() if name not in frame.columns})


def _namespaces(nodes: int) -> int:
    return max(nodes // _NODES_PER_NAMESPACE, 1)


def _load(nodes: int, pods: int | None, rng: np.random.Generator) -> pl.DataFrame:
    """Return clusterloader2's load: owners come at random times, their pods at once."""
    total, namespaces = _PODS_PER_NODE * nodes if pods is None else pods, _namespaces(nodes)
    owners, sizes = [], []
    for size_name, size, divisor, kinds in _GROUPS:
        count = total // namespaces // (divisor * size)
        named = [*kinds, *(f"deployment-{i}" for i in range(count - len(kinds)))][:count]
        owners += [
            f"{size_name}-{kind}" if kind.startswith("deployment") else f"{size_name}-{kind}-0" for kind in named
        ]
        sizes += [size] * count
    rows = len(owners) * namespaces
    # Whole milliseconds, as of the other presets.
    at = np.floor(rng.random(rows) * total / _LOAD_RATE * 1000).astype(np.int64) * 1000
    owner = pl.Series(owners * namespaces, dtype=pl.String)
    space = np.repeat(np.arange(1, namespaces + 1), len(owners))
    return _groups(
        namespace=pl.lit("load-") + pl.Series(space, dtype=pl.Int64).cast(pl.String),
        owner=owner, prefix=owner, size=pl.Series(sizes * namespaces, dtype=pl.Int64), at_us=pl.Series(at),
        cpu_milli=pl.lit(5, pl.Int64), memory_bytes=pl.lit(20 * _MB, pl.Int64),
    )  # fmt: skip


def _density(nodes: int, pods: int | None, rng: np.random.Generator) -> pl.DataFrame:
    """Return clusterloader2's density: a Deployment a namespace fills it, then single pods come and go again."""
    total, namespaces = _PODS_PER_NODE * nodes if pods is None else pods, _namespaces(nodes)
    space = pl.int_range(namespaces, dtype=pl.Int64, eager=True)
    named = pl.lit("density-") + (space + 1).cast(pl.String)
    gap = _SECOND // _DENSITY_RATE
    saturation = _groups(
        namespace=named, owner=pl.lit("saturation-deployment-0"), prefix=pl.lit("saturation-deployment-0"),
        size=pl.lit(total // namespaces, pl.Int64), at_us=space * gap, gap_us=pl.lit(namespaces * gap, pl.Int64),
        cpu_milli=pl.lit(1, pl.Int64), memory_bytes=pl.lit(10 * _MB, pl.Int64),
    )  # fmt: skip
    replicas = max(_LEAST_LATENCY_PODS, nodes) // namespaces
    count = replicas * namespaces
    number = pl.int_range(count, dtype=pl.Int64, eager=True)
    gap = _SECOND // _LATENCY_RATE
    owner = pl.lit("latency-deployment-") + (number % replicas).cast(pl.String)
    latency = _groups(
        namespace=pl.lit("density-") + (number // replicas + 1).cast(pl.String), owner=owner, prefix=owner,
        size=pl.lit(1, pl.Int64), at_us=total * _SECOND // _DENSITY_RATE + number * gap,
        lasts_us=pl.lit(count * gap, pl.Int64),
        cpu_milli=pl.lit(100, pl.Int64), memory_bytes=pl.lit(350 * _MB, pl.Int64),
    )  # fmt: skip
    return pl.concat([saturation, latency], how="diagonal")


def _throughput(nodes: int, pods: int | None, rng: np.random.Generator) -> pl.DataFrame:
    """Return clusterloader2's scheduler throughput: bare pods, as fast as it makes them."""
    return _bare("scheduler-throughput", _THROUGHPUT_PODS if pods is None else pods, _THROUGHPUT_RATE, 1, 10 * _MB)


def _bare(name: str, pods: int, rate: int, cpu_milli: int, memory_bytes: int, **more: Any) -> pl.DataFrame:
    """Return bare pods that arrive evenly, so many a second."""
    return _groups(
        namespace=pl.lit(name), prefix=pl.lit(name), size=pl.lit(pods, pl.Int64), at_us=pl.lit(0, pl.Int64),
        gap_us=pl.lit(_SECOND // rate, pl.Int64), cpu_milli=pl.lit(cpu_milli, pl.Int64),
        memory_bytes=pl.lit(memory_bytes, pl.Int64), **more,
    )  # fmt: skip


def _node_density(nodes: int, pods: int | None, rng: np.random.Generator) -> pl.DataFrame:
    """Return kube-burner's node-density: bare pods until every node is full."""
    count = _DENSE_PODS * nodes if pods is None else pods
    return _bare("node-density", count, _OBJECT_RATE, 10, 10 * _MIB, tolerations=pl.lit("os=Windows:NoSchedule"))


def _cluster_density(name: str, objects: int, first: int, deployments: tuple[tuple[str, int, int], ...]) -> Make:
    """Return kube-burner's cluster-density: namespaces of ``objects`` objects, Deployments of two pods among them.

    ``deployments`` (name, cpu in milli, memory in bytes) are made one after another, from place ``first`` on. For an
    hour after all is made, a tenth of the namespaces is replaced again and again.
    """

    def make(nodes: int, pods: int | None, rng: np.random.Generator) -> pl.DataFrame:
        each = 2 * len(deployments)
        iterations = _ITERATIONS_PER_NODE * nodes if pods is None else pods // each
        number, generation, start, end = _lives(iterations, objects * _SECOND // _OBJECT_RATE, rng)
        lives = pl.DataFrame({"number": number, "generation": generation, "start": start, "end": end})
        made = pl.DataFrame(deployments, schema=["owner", "cpu_milli", "memory_bytes"], orient="row")
        made = made.with_row_index("place").with_columns(pl.col("place").cast(pl.Int64) + first)
        at = pl.col("start") + pl.col("place") * (_SECOND // _OBJECT_RATE)
        return lives.join(made, how="cross", maintain_order="left_right").select(
            "owner", "cpu_milli", "memory_bytes",
            namespace=pl.lit(f"{name}-") + pl.col("number").cast(pl.String),
            prefix=pl.concat_str("owner", pl.lit("-"), "generation"),
            size=pl.lit(2, pl.Int64), at_us=at, gap_us=pl.lit(0, pl.Int64),
            lasts_us=pl.when(pl.col("end") >= 0).then(pl.col("end") - at),
        )  # fmt: skip

    return make


def _lives(iterations: int, each_us: int, rng: np.random.Generator) -> tuple[np.ndarray[Any, Any], ...]:
    """Return number, generation, start and end (-1: none) of every namespace and of those that take its place."""
    start = np.arange(iterations) * each_us
    generation = np.zeros(iterations, np.int64)
    done = []
    churned = max(1, iterations * _CHURN_SHARE // 100)
    now = began = iterations * each_us
    while iterations and now - began < _CHURN_US:
        first = int(rng.integers(0, iterations - churned + 1))
        chosen = np.arange(first, first + churned)
        done.append((chosen, generation[chosen], start[chosen], np.full(churned, now)))
        start[chosen], generation[chosen] = now + np.arange(churned) * each_us, generation[chosen] + 1
        now += churned * each_us + _CHURN_DELAY_US
    done.append((np.arange(iterations), generation, start, np.full(iterations, -1)))
    return tuple(np.concatenate(parts).astype(np.int64) for parts in zip(*done, strict=True))


_PAUSE = (10, 10 * _MIB)
_SERVER = (25, 25 * _MIB)
#: The load generators by name.
GENERATORS = {
    "clusterloader2-load": Generator(
        "clusterloader2's load: 30 pods a node in groups of 250, 30 and 5, 10 pods a second.", _SMALL_NODE, _load
    ),
    "clusterloader2-density": Generator(
        "clusterloader2's density: 30 pods a node at 20 a second, then 500 larger ones at 5 a second.",
        _SMALL_NODE, _density,
    ),
    "clusterloader2-scheduler-throughput": Generator(
        "clusterloader2's scheduler throughput: 5,000 bare pods at 500 a second.", _SMALL_NODE, _throughput
    ),
    "kube-burner-cluster-density-ms": Generator(
        "kube-burner's cluster-density-ms: 4 Deployments of 2 pods a namespace, 20 objects a second, an hour of churn.",
        _WORKER,
        _cluster_density(
            "cluster-density-ms", 38, 34, tuple((f"cluster-density-{i}", *_PAUSE) for i in range(1, 5))
        ),
    ),
    "kube-burner-cluster-density-v2": Generator(
        "kube-burner's cluster-density-v2: 5 Deployments of 2 pods a namespace, 20 objects a second, an hour of churn.",
        _WORKER,
        _cluster_density(
            "cluster-density-v2", 37, 2,
            (*((f"server-{i}", *_SERVER) for i in range(1, 4)), *((f"client-{i}", *_PAUSE) for i in range(1, 3))),
        ),
    ),
    "kube-burner-node-density": Generator(
        "kube-burner's node-density: 245 bare pods a node, 20 a second.", _WORKER, _node_density
    ),
}  # fmt: skip
