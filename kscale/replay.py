"""A replay: read a trace and nodes, run, and write the run folder with its report."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from kscale.engine import runfolder
from kscale.engine.runfolder import Input, Run
from kscale.engine.scratch import Scratch
from kscale.errors import InputError
from kscale.report import budget
from kscale.scheduler.configuration import SchedulerConfiguration, read_configuration
from kscale.scheduler.profile import DEFAULT
from kscale.simulation import Settings, Simulation
from kscale.state.descriptions import DEFAULT_SCHEDULER
from kscale.traces import Options, Trace
from kscale.traces.common import opening, transform
from kscale.writing import Stages, Told, configuration_notes, input_of, write_run

#: Pods per second of the real algorithm with its own sampling, by number of nodes (facts of v1.34.1, measured by CPU
#: time on two cores: adaptive percentage, parallelism 16). Between the sizes it is interpolated on logarithms.
REAL_RATES = ((100, 3195.0), (1000, 911.0), (5000, 757.0))
NOT_MODELLED = (
    "Not modelled: controllers, the API server's cost, kubelets and image pulls (a pod starts when bound).",
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
    config: Path | None = None
    budget: Path | None = None

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

    def options(self) -> dict[str, Any]:
        """Return every option, as run.json holds them."""
        return {name: str(value) if isinstance(value, Path) else value for name, value in vars(self).items()}


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
    configuration: SchedulerConfiguration | None = None


def prepare(plan: Plan, scratch: Scratch) -> Workload:
    """Read the plan's inputs and put them in the order and load asked for. Raises InputError.

    Pods that are replayed as the file has them stay there, if its format allows, and their numbers in ``scratch``.
    """
    options = Options(plan.lenient, plan.max_input, plan.machine_unit)
    inputs = [input_of("trace", plan.trace)]
    as_it_is = plan.pod_order is None and plan.load == plan.compress == 1.0 and not plan.inflate
    read = opening.open_trace(plan.trace, plan.format, options, scratch if as_it_is else None)
    nodes = opening.read_nodes(plan.nodes, options)
    if Path(plan.nodes).is_file():
        inputs.append(input_of("nodes", Path(plan.nodes)))
    read = opening.check_models(read, nodes, plan.trace, options)
    notes = [*read.notes]
    read, nodes = _without_unstated_storage(read, nodes, notes)
    trace = read
    if plan.pod_order is not None:
        inputs.append(input_of("pod_order", plan.pod_order))
        trace = transform.order_pods(trace, transform.read_order(plan.pod_order, "pods", options), file=plan.pod_order)
        notes.append("The pods are replayed in the order of --pod-order; a row that repeats is a clone, named ~1, ~2 …")
    if plan.node_order is not None:
        inputs.append(input_of("node_order", plan.node_order))
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
    configuration = None
    if plan.config is not None:
        inputs.append(input_of("config", plan.config))
        configuration = _configuration(plan.config)
        notes += configuration_notes(configuration)
    if trace.specs["priority"].n_unique() > 1:
        notes.append(_about_priorities(plan, configuration))
    return Workload(trace, nodes, read, inputs, [*notes, *NOT_MODELLED], dict(read.dropped), configuration)


def _about_priorities(plan: Plan, configuration: SchedulerConfiguration | None) -> str:
    """Return what is to be said where the priorities of pods differ."""
    if plan.inflate:
        return "Preemption is not modelled with --inflate: no pod is evicted for one of higher priority."
    if configuration and not any("DefaultPreemption" in p.points["postFilter"] for p in configuration.profiles):
        return "Priorities order the queue; the configuration disables DefaultPreemption."
    return "Priorities order the queue, and pods are evicted for others of higher priority; they do not come back."


def _configuration(path: Path) -> SchedulerConfiguration:
    """Return the configuration of a file that has a profile for the pods of a trace. Raises InputError."""
    found = read_configuration(path)
    names = [profile.name for profile in found.profiles]
    if DEFAULT_SCHEDULER not in names:
        raise InputError(
            f"has no profile for the pods of a trace, only {', '.join(names)[:200]}", file=path,
            field="profiles[0].schedulerName", expected=DEFAULT_SCHEDULER,
        )  # fmt: skip
    return found


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
    limits = budget.read(plan.budget) if plan.budget is not None else {}
    with runfolder.create(plan.out, plan.command()) as folder:
        with stages.stage("read", f"reading {plan.trace}"), runfolder.machine_errors(plan.trace):
            scratch = Scratch(folder)
            work = prepare(plan, scratch)
        if plan.budget is not None:
            work.inputs.append(input_of("budget", plan.budget))
        settings = Settings(
            plan.policy, plan.inflate, plan.ends, plan.until_us, plan.sample_us,
            scheduler_us(plan.scheduler_rate, work.nodes.height), plan.seed, plan.check,
            configuration=work.configuration,
        )  # fmt: skip
        with stages.stage("prepare", f"{work.trace.rows.height:,} pods on {work.nodes.height:,} nodes"):
            simulation = Simulation(work.trace, work.nodes, settings, work.typical, scratch=scratch)
        with stages.stage("compile", "loading the compiled loop (the first run of its kind compiles it: about 20 s)"):
            simulation.compile()
        with stages.stage("simulate", "simulating"):
            total = work.trace.rows.height
            simulation.run(None if progress is None else lambda now, arrived: progress(now, arrived, total))
        told = Told(
            plan.command(), work.inputs, plan.options(), plan.seed, work.notes, work.dropped, limits=limits
        )  # fmt: skip
        return write_run(folder, simulation, told, stages)
