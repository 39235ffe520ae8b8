"""A replay: read a trace and nodes, run, and write the run folder with its report."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from kscale import casting
from kscale.casting import Staged
from kscale.controllers.common.addresses import Ranges
from kscale.engine import runfolder
from kscale.engine.runfolder import Input, Run
from kscale.engine.scratch import Scratch
from kscale.errors import InputError
from kscale.network import proxies
from kscale.network.parameters import read as read_parameters
from kscale.networking import DEFAULT_MODE, Proxying
from kscale.report import budget
from kscale.scenario import read as read_scenario
from kscale.scheduler.configuration import SchedulerConfiguration, read_configuration
from kscale.scheduler.profile import DEFAULT
from kscale.settings import NodeChanges
from kscale.simulation import Settings, Simulation
from kscale.state.descriptions import DEFAULT_SCHEDULER
from kscale.state.manifests import ReadOptions
from kscale.traces import NODE_EVENT_KINDS, PODS, SPECS, Options, Trace
from kscale.traces.common import opening, transform
from kscale.traces.common.node_events import read_node_events
from kscale.traces.common.specs import conform_nodes
from kscale.writing import Stages, Told, configuration_notes, input_of, write_run

#: Pods per second of the real algorithm with its own sampling, by number of nodes (facts of v1.34.1, measured by CPU
#: time on two cores: adaptive percentage, parallelism 16). Between the sizes it is interpolated on logarithms.
REAL_RATES = ((100, 3195.0), (1000, 911.0), (5000, 757.0))
NOT_MODELLED = (
    "Not modelled: controllers, the API server's cost, kubelets and image pulls (a pod starts when bound).",
)
NOT_MODELLED_LIVING = (
    "Not modelled: the cost of the API server and etcd, failures of nodes, quotas, node autoscaling.",
)
#: How long a run with controllers goes on after the last that is known to come, where nobody says.
_REST_US = 3_600_000_000
#: Seconds: runs with controllers that plain Python is estimated to take so long are not compiled, which takes longer.
_PLAIN_SECONDS = 20.0


#: That the work of the nodes' kube-proxies is spread over; they change no result.
_THREADS = min(os.cpu_count() or 1, 8)
#: What ``node_events`` says where the trace's own are not to be replayed.
NO_EVENTS = "none"
#: Options that stand first in a command line.
_WRITTEN_FIRST = ("trace", "nodes", "out", "objects", "scenario", "client_limits")


@dataclass(frozen=True)
class Plan:
    """What to replay, and how; the fields are the options of ``kscale replay``."""

    trace: Path | None
    nodes: str | None
    out: Path
    objects: tuple[str, ...] = ()
    scenario: tuple[str, ...] = ()
    client_limits: bool = True
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
    workload: str | None = None
    max_input: int = 2 << 30
    config: Path | None = None
    budget: Path | None = None
    service_cluster_ip_range: str = Ranges.addresses
    service_node_port_range: str = Ranges.ports
    proxy_mode: str | None = None
    proxy_option: tuple[str, ...] = ()
    proxy_parameters: Path | None = None
    node_events: str | None = None
    on_node_leave: str = "requeue"

    def command(self) -> str:
        """Return the command line that repeats the run."""
        words = ["kscale", "replay"]
        words += [] if self.trace is None else [str(self.trace)]
        words += [word for path in self.objects for word in ("-f", path)]
        words += [word for path in self.scenario for word in ("--scenario", path)]
        words += ["--out", str(self.out)] if self.nodes is None else ["--nodes", self.nodes, "--out", str(self.out)]
        words += [] if self.client_limits else ["--no-client-limits"]
        default = Plan(self.trace, self.nodes, self.out)
        for name, value in vars(self).items():
            if value == getattr(default, name) or name in _WRITTEN_FIRST:
                continue
            if isinstance(value, tuple):
                words += [word for one in value for word in (f"--{name.replace('_', '-')}", one)]
                continue
            option = {"until_us": "until", "sample_us": "sample"}.get(name, name).replace("_", "-")
            text = _duration(value) if name.endswith("_us") else str(value)
            words += [f"--{option}"] if value is True else [f"--{option}", text]
        return shlex.join(words)

    def options(self) -> dict[str, Any]:
        """Return every option, as run.json holds them."""
        return {
            name: str(value) if isinstance(value, Path) else list(value) if isinstance(value, tuple) else value
            for name, value in vars(self).items()
        }

    @property
    def read(self) -> str:
        """What is read first."""
        return str(self.trace) if self.trace is not None else ", ".join([*self.objects, *self.scenario])[:200]

    @property
    def lives(self) -> bool:
        """Whether controllers and kubelets are at work."""
        return bool(self.objects or self.scenario)


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
    staged: Staged | None = None
    changes: NodeChanges | None = None


def prepare(plan: Plan, scratch: Scratch) -> Workload:
    """Read the plan's inputs and put them in the order and load asked for. Raises InputError.

    Pods that are replayed as the file has them stay there, if its format allows, and their numbers in ``scratch``.
    """
    options = Options(plan.lenient, plan.max_input, plan.machine_unit, plan.workload)
    inputs: list[Input] = []
    nodes = None if plan.nodes is None else opening.read_nodes(plan.nodes, options)
    if plan.trace is not None:
        inputs.append(input_of("trace", plan.trace))
        work = _prepare_trace(plan, plan.trace, nodes, options, scratch)
    else:
        work = Workload(_NOTHING, nodes if nodes is not None else _NOTHING.pods, _NOTHING, [], [], {})
    if plan.nodes is not None and Path(plan.nodes).is_file():
        inputs.append(input_of("nodes", Path(plan.nodes)))
    if plan.node_events not in (None, NO_EVENTS):
        inputs.append(input_of("node_events", Path(str(plan.node_events))))
    work.inputs[:0] = inputs
    if plan.config is not None:
        work.inputs.append(input_of("config", plan.config))
        work.configuration = _configuration(plan.config)
        work.notes += configuration_notes(work.configuration)
    if plan.lives:
        _bring_objects(plan, work, given=nodes is not None or plan.trace is not None)
    if work.trace.specs["priority"].n_unique() > 1:
        work.notes.append(_about_priorities(plan, work.configuration))
    work.notes += NOT_MODELLED_LIVING if plan.lives else NOT_MODELLED
    return work


def _prepare_trace(plan: Plan, path: Path, nodes: pl.DataFrame | None, options: Options, scratch: Scratch) -> Workload:
    """Read the trace, and change its order and load as the plan says; its own nodes serve where none are given."""
    inputs: list[Input] = []
    as_it_is = plan.pod_order is None and plan.load == plan.compress == 1.0 and not (plan.inflate or plan.lives)
    read = opening.open_trace(path, plan.format, options, scratch if as_it_is else None)
    read, nodes = _with_nodes(plan, path, read, nodes, options)
    read = opening.check_models(read, nodes, path, options)
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
            "has no times, so it cannot be replayed in time", file=path, expected="--inflate for this trace"
        )
    changes = _changes(plan, trace, nodes, notes)
    return Workload(trace, nodes, read, inputs, notes, dict(read.dropped), changes=changes)


def _with_nodes(
    plan: Plan, path: Path, read: Trace, nodes: pl.DataFrame | None, options: Options
) -> tuple[Trace, pl.DataFrame]:
    """Return the trace with the node events that are to be replayed, and the nodes. Raises InputError."""
    own = read.node_events if nodes is None else None
    if nodes is None and read.nodes is not None:
        nodes = conform_nodes(read.nodes)
    if nodes is None:
        raise InputError(
            "is missing, and the trace has no nodes of its own", file=path, field="--nodes",
            expected="a node file, or shapes such as 96cpu,512Gi:40",
        )  # fmt: skip
    if plan.node_events is not None:
        own = None if plan.node_events == NO_EVENTS else read_node_events(Path(plan.node_events), options)
    return replace(read, node_events=own), nodes


def _changes(plan: Plan, trace: Trace, nodes: pl.DataFrame, notes: list[str]) -> NodeChanges | None:
    """Return what happens to nodes in the run, and note it."""
    events = trace.node_events
    if events is None or not events.height:
        return None
    if plan.inflate or plan.lives:
        notes.append("What happens to the trace's nodes is not replayed with --inflate, -f or --scenario.")
        return None
    if plan.node_order is not None:
        events = events.filter(pl.col("node").is_in(nodes["name"].implode()))
    counts = dict(events["event"].value_counts().iter_rows())
    told = [f"{counts[kind]:,} {kind}" for kind in NODE_EVENT_KINDS if kind in counts]
    notes.append(f"Node events: {', '.join(told)}.")
    if "leave" in counts:
        again = " and others like them are tried in their place, from their start" * (plan.on_node_leave == "requeue")
        notes.append(f"When a node leaves, the pods on it are lost{again} (--on-node-leave).")
    return NodeChanges(events, plan.on_node_leave)


#: What is replayed where there is no trace.
_NOTHING = Trace("objects", pl.DataFrame(schema=PODS), pl.DataFrame(schema=SPECS))


def _bring_objects(plan: Plan, work: Workload, *, given: bool) -> None:
    """Put the plan's objects beside its trace; the nodes are theirs where none are ``given``."""
    options = ReadOptions(plan.max_input)
    gathering = casting.read_objects(plan.objects, options)
    scenario = read_scenario(plan.scenario, options) if plan.scenario else None
    trace = None if plan.trace is None else work.trace
    work.staged = casting.stage(
        gathering, trace, work.nodes if given else None, limited=plan.client_limits, where=", ".join(plan.objects),
        scenario=scenario, seed=plan.seed,
        ranges=Ranges(plan.service_cluster_ip_range, plan.service_node_port_range), proxying=_proxying(plan, work),
    )  # fmt: skip
    inventory = work.staged.inventory
    work.trace, work.nodes = work.staged.trace, work.staged.nodes
    if plan.trace is None:
        work.typical = work.trace
    work.inputs += [input_of("objects", Path(name)) for name in inventory.inputs]
    work.inputs += [input_of("scenario", Path(name)) for name in (scenario.inputs if scenario else ())]
    ignored = [f"ignored: {what} ({count:,})" for what, count in sorted(inventory.ignored.items())]
    work.notes += [*inventory.notes, *ignored]


def _proxying(plan: Plan, work: Workload) -> Proxying:
    """Return how the nodes' kube-proxies run. Raises InputError."""
    numbers = proxies.parameters()
    if plan.proxy_parameters is not None:
        numbers = read_parameters(plan.proxy_parameters, numbers)
        work.inputs.append(input_of("proxy_parameters", plan.proxy_parameters))
    options: dict[str, str] = {}
    for word in plan.proxy_option:
        name, equals, choice = word.partition("=")
        if not equals or not choice or name in options:
            problem = f"states {name} twice" if name in options else f"cannot be '{word}'"
            raise InputError(problem, field="--proxy-option", expected="NAME=CHOICE, each option once")
        options[name] = choice
    made = Proxying.of(plan.proxy_mode or DEFAULT_MODE, options, numbers=numbers, seed=plan.seed, threads=_THREADS)
    if made.mode is not None and made.mode.outlook:
        work.notes.append(f"{made.mode.outlook}.")
    return made


def _last_us(work: Workload) -> int:
    """Return when the last pod of the trace would end if none waited."""
    pods = work.trace.pods
    ends = pods["arrival_us"] + pods["duration_us"].fill_null(0)
    script = work.staged.cast.script if work.staged else None
    return max(int(ends.max() or 0), script.last_us() if script else 0)  # type: ignore[arg-type]


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


def _loading(simulation: Simulation) -> str:
    """Return what is told while the loop is made ready."""
    if not simulation.settings.compiled:
        return "making the loop as plain Python, which a small run is done with before the loop is compiled"
    return "loading the compiled loop (the first run of its kind compiles it: half a minute to a minute)"


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
        with stages.stage("read", f"reading {plan.read}"), runfolder.machine_errors(Path(plan.read)):
            scratch = Scratch(folder)
            work = prepare(plan, scratch)
        if plan.budget is not None:
            work.inputs.append(input_of("budget", plan.budget))
        until_us = plan.until_us
        if plan.lives and until_us is None:
            until_us = _last_us(work) + _REST_US
        settings = Settings(
            plan.policy, plan.inflate, plan.ends, until_us, plan.sample_us,
            scheduler_us(plan.scheduler_rate, work.nodes.height), plan.seed, plan.check,
            configuration=work.configuration,
        )  # fmt: skip
        with stages.stage("prepare", f"{work.trace.rows.height:,} pods on {work.nodes.height:,} nodes"):
            staged = work.staged
            simulation = Simulation(
                work.trace, work.nodes, settings, work.typical, scratch=scratch,
                objects=staged.objects if staged else None, cast=staged.cast if staged else None, changes=work.changes,
            )  # fmt: skip
        if staged and casting.plain_seconds(staged) < _PLAIN_SECONDS and not simulation.is_compiled():
            simulation.settings = replace(simulation.settings, compiled=False)
        with stages.stage("compile", _loading(simulation)):
            simulation.compile()
        with stages.stage("simulate", "simulating"):
            total = work.trace.rows.height
            simulation.run(None if progress is None else lambda now, arrived: progress(now, arrived, total))
        told = Told(
            plan.command(), work.inputs, plan.options(), plan.seed, work.notes, work.dropped, limits=limits
        )  # fmt: skip
        return write_run(folder, simulation, told, stages)
