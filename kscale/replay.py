"""A replay: read a trace and nodes, run, and write the run folder with its report."""

from __future__ import annotations

import contextlib
import shlex
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

import kscale
from kscale import report
from kscale.engine import ledger, runfolder
from kscale.engine.runfolder import Input, Run
from kscale.errors import InputError
from kscale.scheduler.profile import DEFAULT
from kscale.simulation import Settings, Simulation
from kscale.templates import described_templates
from kscale.traces import Options, Trace
from kscale.traces.common import opening, transform

#: Pods per second of the real algorithm with its own sampling, by number of nodes (facts of v1.34.1, measured by CPU
#: time on two cores: adaptive percentage, parallelism 16). Between the sizes it is interpolated on logarithms.
REAL_RATES = ((100, 3195.0), (1000, 911.0), (5000, 757.0))
NOT_MODELLED = (
    "Not modelled: preemption, controllers, the API server's cost, kubelets and image pulls (a pod starts when bound).",
)


@dataclass(frozen=True)
class Plan:
    """What to replay, and how; the fields are the options of ``kscale replay``."""

    trace: Path
    nodes: str
    out: Path
    format: str | None = None
    policy: str = DEFAULT
    inflate: bool = False
    ends: str = "service"
    load: float = 1.0
    compress: float = 1.0
    seed: int = 0
    until_us: int | None = None
    sample_us: int | None = None
    scheduler_rate: str | None = None
    pod_order: Path | None = None
    node_order: Path | None = None
    check: bool = False
    lenient: bool = False
    machine_unit: str | None = None
    max_input: int = 2 << 30

    def command(self) -> str:
        """Return the command line that repeats the run."""
        words = ["kscale", "replay", str(self.trace), "--nodes", self.nodes, "--out", str(self.out)]
        default = Plan(self.trace, self.nodes, self.out)
        for name, value in vars(self).items():
            if value == getattr(default, name) or name in ("trace", "nodes", "out"):
                continue
            option = {"until_us": "until", "sample_us": "sample"}.get(name, name).replace("_", "-")
            text = _duration(value) if name.endswith("_us") else str(value)
            words += [f"--{option}"] if value is True else [f"--{option}", text]
        return shlex.join(words)


def _duration(us: int) -> str:
    """Return a duration exactly, in the largest unit that it is a multiple of."""
    units = (("d", 86_400_000_000), ("h", 3_600_000_000), ("m", 60_000_000), ("s", 1_000_000), ("ms", 1000), ("us", 1))
    return next(f"{us // size}{unit}" for unit, size in units if us % size == 0)


@dataclass
class Workload:
    """What a plan comes to: the trace and nodes as they are replayed, and how they were read."""

    trace: Trace
    nodes: pl.DataFrame
    typical: Trace
    inputs: list[Input]
    notes: list[str]
    dropped: dict[str, int]


@dataclass
class Stages:
    """Wall seconds by stage, and a place to tell what is going on."""

    tell: Callable[[str], None] = lambda line: None
    seconds: dict[str, float] = field(default_factory=dict)

    @contextlib.contextmanager
    def stage(self, name: str, line: str) -> Iterator[None]:
        """Time a stage, and tell that it begins."""
        self.tell(line)
        began = time.perf_counter()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - began


def prepare(plan: Plan) -> Workload:
    """Read the plan's inputs and put them in the order and load asked for. Raises InputError."""
    options = Options(plan.lenient, plan.max_input, plan.machine_unit)
    inputs = [_input("trace", plan.trace)]
    read = opening.open_trace(plan.trace, plan.format, options)
    nodes = opening.read_nodes(plan.nodes, options)
    if Path(plan.nodes).is_file():
        inputs.append(_input("nodes", Path(plan.nodes)))
    read = opening.check_models(read, nodes, plan.trace, options)
    notes = [*read.notes]
    read, nodes = _without_unstated_storage(read, nodes, notes)
    trace = read
    if plan.pod_order is not None:
        inputs.append(_input("pod_order", plan.pod_order))
        trace = transform.order_pods(trace, transform.read_order(plan.pod_order, "pods", options), file=plan.pod_order)
        notes.append("The pods are replayed in the order of --pod-order; a row that repeats is a clone, named ~1, ~2 …")
    if plan.node_order is not None:
        inputs.append(_input("node_order", plan.node_order))
        nodes = transform.order_nodes(
            nodes, transform.read_order(plan.node_order, "nodes", options), file=plan.node_order
        )
    if plan.load != 1.0:
        trace = transform.scale_load(trace, plan.load, np.random.default_rng([plan.seed, 1]))
    if plan.compress != 1.0:
        trace = transform.compress(trace, plan.compress)
    if plan.inflate:
        trace = transform.untimed(trace if plan.pod_order is not None else transform.by_arrival(trace))
        notes.append(
            "Inflation: pods arrive one a second in order, nothing ends, a pod that does not fit is dropped for good."
        )
    elif not trace.timed:
        raise InputError(
            "has no times, so it cannot be replayed in time", file=plan.trace, expected="--inflate for this trace"
        )
    elif trace.specs["priority"].n_unique() > 1:
        notes.append("Priorities order the queue; preemption is not modelled.")
    return Workload(trace, nodes, read, inputs, [*notes, *NOT_MODELLED], dict(read.dropped))


def _input(role: str, path: Path) -> Input:
    with runfolder.machine_errors(path):
        found = runfolder.digest_file(path) if path.is_file() else None
    return Input(role, str(path), found.sha256 if found else "", found.bytes if found else 0)


def _without_unstated_storage(trace: Trace, nodes: pl.DataFrame, notes: list[str]) -> tuple[Trace, pl.DataFrame]:
    """Leave ephemeral storage out of account where no node states how much it has."""
    name = "ephemeral_storage_bytes"
    if name in nodes.columns and nodes[name].null_count() < nodes.height:
        return trace, nodes
    if name in trace.specs.columns and (trace.specs[name].fill_null(0) > 0).any():
        notes.append("No node states its ephemeral storage: requests for it are not counted.")
    return replace(trace, specs=trace.specs.drop(name, strict=False)), nodes.drop(name, strict=False)


def scheduler_us(rate: str | None, nodes: int) -> int:
    """Return the virtual time of a decision for ``--scheduler-rate``: 0 without one, at least 1 µs with one.

    Raises InputError unless it is a positive number of pods per second, or ``real``.
    """
    if rate is None:
        return 0
    if rate == "real":
        sizes, rates = zip(*REAL_RATES, strict=True)
        pods_per_second = float(np.exp(np.interp(np.log(max(nodes, 1)), np.log(sizes), np.log(rates))))
    else:
        try:
            pods_per_second = float(rate)
        except ValueError:
            pods_per_second = 0.0
        if not 1e-3 <= pods_per_second <= 1e9:
            raise InputError(
                f"'{rate}' is no rate", field="--scheduler-rate", expected="pods per second (0.001 to 1e9), or real"
            )
    return max(round(1e6 / pods_per_second), 1)


def replay(
    plan: Plan, stages: Stages | None = None, progress: Callable[[int, int, int], None] | None = None
) -> tuple[Run, Any]:
    """Replay ``plan`` and write its run folder; return what run.json holds, and the report's summary.

    ``progress`` is told the virtual time, the pods that have arrived, and all pods. Raises InputError, MachineError,
    GateError (``check``).
    """
    stages = stages or Stages()
    with runfolder.create(plan.out) as folder:
        with stages.stage("read", f"reading {plan.trace}"), runfolder.machine_errors(plan.trace):
            work = prepare(plan)
        settings = Settings(
            plan.policy, plan.inflate, plan.ends, plan.until_us, plan.sample_us,
            scheduler_us(plan.scheduler_rate, work.nodes.height), plan.seed, plan.check,
        )  # fmt: skip
        with stages.stage("prepare", f"{work.trace.pods.height:,} pods on {work.nodes.height:,} nodes"):
            simulation = Simulation(work.trace, work.nodes, settings, typical=work.typical)
        with stages.stage("compile", "loading the compiled loop (the first run of its kind compiles it: about 20 s)"):
            simulation.compile()
        with stages.stage("simulate", "simulating"):
            total = work.trace.pods.height
            simulation.run(None if progress is None else lambda now, arrived: progress(now, arrived, total))
        with stages.stage("record", "writing the tables"):
            pods, counts, resources = write_tables(folder, simulation, work)
            fingerprint = ledger.fingerprint(pods)
        del pods
        run = _run(plan, work, simulation, stages, counts, resources, fingerprint)
        with stages.stage("report", "drawing the report"):
            summary = report.summarize(folder, run)
            report.write(folder, run, summary)
        runfolder.seal(folder, run)
    return run, summary


def write_tables(
    folder: Path, simulation: Simulation, work: Workload
) -> tuple[pl.DataFrame, dict[str, int], list[str]]:
    """Write every table of the run folder; return the pods, their counts, and the names of the resources."""
    cluster, intake = simulation.cluster, simulation.intake
    asked, offered = cluster.template_request.max(axis=0, initial=0), cluster.resource_allocatable
    kept = [
        row for row, name in enumerate(intake.resources)
        if name in ("cpu", "memory", "pods") or asked[row] > 0 or offered[row] > 0
    ]  # fmt: skip
    names = [intake.resources[row] for row in kept]
    pods = simulation.pods()
    devices = simulation.devices if simulation.with_devices else None
    timeline = simulation.ledger.timeline_frame(intake.resources, offered.tolist(), devices)
    unused = [name for name in intake.resources if name not in names]
    timeline = timeline.drop(
        [f"{kind}_{ledger.column_name(n)}" for n in unused for kind in ("allocatable", "requested")]
    )
    spec = work.trace.pods["spec"].to_numpy()
    stays = simulation.stays(spec, kept)
    tables = {
        "pods": pods, "timeline": timeline, "nodes": stays, "node_timeline": simulation.node_timeline.frame(kept),
        "templates": described_templates(simulation, work.trace, pods, kept),
    }  # fmt: skip
    for name, frame in tables.items():
        frame.write_parquet(folder / f"{name}.parquet")
    ledger.events(pods).write_parquet(folder / "events.parquet")
    status = dict(pods["status"].value_counts().iter_rows())
    counts = {
        word: int(status.get(word, 0)) for word in ("running", "succeeded", "failed", "waiting", "refused", "evicted")
    }
    counts = {
        "arrived": pods.height, **counts, "bound": int(pods["node"].count()),
        "attempts": int(cluster.cluster_attempts[0]),
        "nodes": len(intake.nodes), "templates": work.trace.specs.height, "rows_dropped": sum(work.dropped.values()),
    }  # fmt: skip
    return pods, counts, [ledger.column_name(name) for name in names]


def _run(
    plan: Plan, work: Workload, simulation: Simulation, stages: Stages, counts: dict[str, int], resources: list[str],
    fingerprint: str,
) -> Run:  # fmt: skip
    configuration = {name: str(value) if isinstance(value, Path) else value for name, value in vars(plan).items()}
    timing = dict(stages.seconds)
    timing["pods_per_second"] = counts["arrived"] / max(timing["simulate"], 1e-9)
    return Run(
        schema_version=runfolder.SCHEMA_VERSION,
        kscale_version=kscale.__version__,
        command=plan.command(),
        inputs=work.inputs,
        configuration=configuration,
        plugins=simulation.profile.listing(),
        seed=plan.seed,
        counts=counts,
        resources=resources,
        devices=simulation.with_devices,
        horizon_us=simulation.ended_us,
        sample_us=0 if plan.inflate else simulation.sample_us,
        scheduler_us_per_pod=float(simulation.cluster.cluster_scheduler_us[0]),
        notes=work.notes,
        dropped=work.dropped,
        invariants={"control_points": simulation.control_points, "violations": 0} if plan.check else {},
        timing=timing,
        fingerprint=fingerprint,
    )
