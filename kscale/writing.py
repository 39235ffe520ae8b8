"""Writing: a run as its folder: the tables, run.json and the report. Every command that runs something writes so."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

import kscale
from kscale import reference, report
from kscale.engine import ledger, runfolder
from kscale.engine.events import Events
from kscale.engine.recording import Stays
from kscale.engine.runfolder import Input, Run
from kscale.scheduler.configuration import SchedulerConfiguration
from kscale.simulation import Simulation
from kscale.templates import described_templates


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


@dataclass(frozen=True)
class Told:
    """What run.json holds beside what the run itself says.

    Attributes:
        command: the command line that repeats the run.
        inputs: what was read.
        configuration: every option, defaults included.
        seed: of every draw.
        notes: what was mapped, dropped, assumed; not modelled.
        dropped: rows left out, by reason.
        tried: pods that ``pods_per_second`` counts; None is all that arrived, 0 leaves it out.
        waiting: why the pods of a template wait, where it is not the scheduler that held them back.
        limits: of a budget that the report holds the run against.
    """

    command: str
    inputs: list[Input]
    configuration: dict[str, Any]
    seed: int = 0
    notes: list[str] = field(default_factory=list)
    dropped: dict[str, int] = field(default_factory=dict)
    tried: int | None = None
    waiting: dict[int, str] = field(default_factory=dict)
    limits: dict[str, dict[str, float]] = field(default_factory=dict)


def input_of(role: str, path: Path) -> Input:
    """Return an input with its digest; without one where it is no file."""
    with runfolder.machine_errors(path):
        found = runfolder.digest_file(path) if path.is_file() else None
    return Input(role, str(path), found.sha256 if found else "", found.bytes if found else 0)


def configuration_notes(configuration: SchedulerConfiguration | None) -> list[str]:
    """Return what of a scheduler configuration has no effect, and whether all nodes are scored."""
    notes = list(configuration.notes) if configuration else []
    if configuration is None or any(p.percentage_of_nodes_to_score is None for p in configuration.profiles):
        notes.append("scores all nodes: the configuration does not set percentageOfNodesToScore")
    return notes


def write_run(folder: Path, simulation: Simulation, told: Told, stages: Stages) -> tuple[Run, Any]:
    """Write a run that has ended into ``folder``; return what run.json holds, and the report's summary."""
    with stages.stage("record", "writing the tables"):
        fingerprint, counts, resources = write_tables(folder, simulation, told)
    run = _run(simulation, told, stages, counts, resources, fingerprint)
    with stages.stage("report", "drawing the report"):
        summary = report.summarize(folder, run)
        if told.limits:
            summary = report.hold(summary, told.limits)
        report.write(folder, run, summary)
    runfolder.seal(folder, run)
    return run, summary


def summarize_run(folder: Path, simulation: Simulation, told: Told, stages: Stages) -> tuple[Run, Any]:
    """Write only the tables of a run into ``folder``; return what run.json would hold, and the report's summary."""
    with stages.stage("record", "gathering the tables"):
        fingerprint, counts, resources = write_tables(folder, simulation, told)
        run = _run(simulation, told, stages, counts, resources, fingerprint)
    return run, report.summarize(folder, run)


def write_tables(folder: Path, simulation: Simulation, told: Told) -> tuple[str, dict[str, int], list[str]]:
    """Write every table of the run folder; return the fingerprint, the counts, and the names of the resources."""
    cluster, intake = simulation.cluster, simulation.intake
    asked, supply = cluster.template_request.max(axis=0, initial=0), simulation.supply()
    offered = supply.allocatable.max(axis=0)
    kept = [
        row for row, name in enumerate(intake.resources)
        if name in ("cpu", "memory", "pods") or asked[row] > 0 or offered[row] > 0
    ]  # fmt: skip
    names = [intake.resources[row] for row in kept]
    pods, coded = _Pods(simulation, told, kept), {"node": ledger.node_type(intake.nodes.names)}
    runfolder.write_table(folder, "pods", ledger.dtypes("pods"), pods.frames(), coded)
    if simulation.turnover is not None:
        pods.events.add_nodes(simulation.turnover.happened())
    runfolder.write_table(folder, "events", ledger.dtypes("events"), pods.events.frames(), coded)
    simulation.ledger.scratch.clear()
    timeline = simulation.ledger.timeline_frame(intake.resources, supply, devices=simulation.with_devices)
    unused = [name for name in intake.resources if name not in names]
    tables = {
        "timeline": timeline.drop(
            [f"{kind}_{ledger.column_name(n)}" for n in unused for kind in ("allocatable", "requested")]
        ),
        "nodes": pods.stays.frame(simulation.node_timeline, simulation.presence()),
        "node_timeline": simulation.node_timeline.frame(kept),
        "templates": described_templates(simulation, simulation.trace.specs, pods.asked, pods.placed, kept),
    }  # fmt: skip
    if simulation.living is not None:
        tables |= simulation.living.tables()
    for name, frame in tables.items():
        frame.write_parquet(folder / f"{name}.parquet")
    counts = {
        "arrived": int(pods.asked.sum()), **pods.counts, "bound": int(pods.placed.sum()),
        "attempts": int(cluster.cluster_attempts[0]), "nodes": len(intake.nodes),
        "templates": simulation.trace.specs.height, "rows_dropped": sum(told.dropped.values()),
    }  # fmt: skip
    return pods.fingerprint.text(), counts, [ledger.column_name(name) for name in names]


class _Pods:
    """Makes the table ``pods`` portion by portion, and gathers from each what other tables tell of the pods.

    That is done beside, on a thread: one portion is made and written while another is looked at.
    """

    def __init__(self, simulation: Simulation, told: Told, kept: list[int]) -> None:
        self._simulation, self._waiting = simulation, told.waiting
        self.stays = Stays(simulation.intake, simulation.ended_us, kept)
        self.events = Events(simulation.ledger.scratch, simulation.intake.nodes.names)
        self.fingerprint = ledger.Fingerprint()
        self.counts = dict.fromkeys(("running", "succeeded", "failed", "waiting", "refused", "evicted"), 0)
        templates = simulation.trace.specs.height
        self.asked, self.placed = np.zeros(templates, np.int64), np.zeros(templates, np.int64)

    def frames(self) -> Iterator[pl.DataFrame]:
        """Yield the table."""
        with ThreadPoolExecutor(1) as beside:
            gathered: Future[None] | None = None
            for fields, spec, frame in self._simulation.stretches():
                pods = _with_reasons(frame, self._simulation, self._waiting)
                if gathered is not None:
                    gathered.result()
                gathered = beside.submit(self._gather, fields, spec, pods)
                yield pods
            if gathered is not None:
                gathered.result()

    def _gather(self, fields: ledger.Fields, spec: np.ndarray[Any, Any], pods: pl.DataFrame) -> None:
        self.stays.add(fields, spec)
        self.events.add(pods)
        self.fingerprint.add(pods)
        for word, count in pods["status"].value_counts().iter_rows():
            self.counts[word] = self.counts.get(word, 0) + count
        template, bound = pods["template"].to_numpy(), pods["node"].is_not_null().to_numpy()
        self.asked += np.bincount(template, minlength=len(self.asked))
        self.placed += np.bincount(template[bound], minlength=len(self.placed))


def _with_reasons(pods: pl.DataFrame, simulation: Simulation, waiting: dict[int, str]) -> pl.DataFrame:
    """Return the pods with why those wait that never entered the queue."""
    held = np.flatnonzero(simulation.cluster.template_held).tolist()
    if not held:
        return pods
    why = {template: waiting.get(template) or simulation.messages.held_message(template) for template in held}
    reasons = pl.col("template").replace_strict(why, default=None, return_dtype=pl.String)
    return pods.with_columns(reason=pl.coalesce("reason", pl.when(pl.col("node").is_null()).then(reasons)))


def _run(
    simulation: Simulation, told: Told, stages: Stages, counts: dict[str, int], resources: list[str], fingerprint: str
) -> Run:
    settings, timing = simulation.settings, dict(stages.seconds)
    tried = counts["arrived"] if told.tried is None else told.tried
    if tried:
        timing["pods_per_second"] = tried / max(timing["simulate"], 1e-9)
        timing["reference"] = reference.seconds()
    checked = {"control_points": simulation.control_points, "violations": 0}
    return Run(
        schema_version=runfolder.SCHEMA_VERSION,
        kscale_version=kscale.__version__,
        command=told.command,
        inputs=told.inputs,
        configuration=told.configuration,
        plugins=simulation.profile.listing(),
        seed=told.seed,
        counts=counts,
        resources=resources,
        devices=simulation.with_devices,
        horizon_us=simulation.ended_us,
        sample_us=0 if settings.inflate else simulation.sample_us,
        scheduler_us_per_pod=float(simulation.cluster.cluster_scheduler_us[0]),
        notes=told.notes,
        dropped=told.dropped,
        invariants=checked if settings.check else {},
        timing=timing,
        fingerprint=fingerprint,
    )
