"""Schedule: Kubernetes objects read, their pending pods placed, and where it is asked for, a run folder written."""

from __future__ import annotations

import shlex
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from kscale.engine import runfolder
from kscale.engine.runfolder import Input, Run
from kscale.placing import Outcome, choose_form, hold_pending, outcomes, run, simulation_of
from kscale.scheduler.configuration import read_configuration
from kscale.simulation import Settings, Simulation
from kscale.state.manifests import Inventory, ReadOptions, take_inventory
from kscale.templates import MOST_EXPLAINED
from kscale.writing import Stages, Told, configuration_notes, input_of, summarize_run, write_run

NOT_MODELLED = (
    "Not modelled: controllers, the API server's cost, kubelets and image pulls; pods run on and never end, and those "
    "that are evicted are gone at once."
)
STANDS_STILL = "Everything happens at one instant; the hour after it is there for shares of time and node-hours."
#: Scheduled in virtual time by the queue's rules, each once in the order of the input, or not at all.
Order = Literal["queue", "given", "none"]


@dataclass(frozen=True)
class Plan:
    """What to place, and how; the fields are the options of ``kscale schedule``, and of ``kscale report -f``."""

    objects: tuple[str, ...]
    config: Path | None = None
    order: Order = "queue"
    out: Path | None = None
    max_input: int = ReadOptions.max_input

    def command(self) -> str:
        """Return the command line that repeats the run."""
        words = ["kscale", "report" if self.order == "none" else "schedule"]
        words += [word for path in self.objects for word in ("-f", path)]
        words += ["--config", str(self.config)] if self.config is not None else []
        words += ["--order", self.order] if self.order == "given" else []
        words += ["--out", str(self.out)] if self.out is not None else []
        words += ["--max-input", str(self.max_input)] if self.max_input != ReadOptions.max_input else []
        return shlex.join(words)

    def options(self) -> dict[str, Any]:
        """Return every option, as run.json holds them."""
        return {
            "objects": list(self.objects), "config": None if self.config is None else str(self.config),
            "order": self.order, "out": None if self.out is None else str(self.out), "max_input": self.max_input,
        }  # fmt: skip


@dataclass
class Placed:
    """What became of a plan.

    Attributes:
        outcomes: of each pending pod, in input order.
        notes: what was filled in, is ignored or has no effect.
        seconds: of wall time that the run took.
        run: what run.json holds; None where no folder was asked for.
        summary: what the report says.
        page: the report as Markdown.
    """

    inventory: Inventory
    simulation: Simulation
    outcomes: list[Outcome]
    notes: list[str]
    seconds: float = 0.0
    run: Run | None = None
    summary: Any = None
    page: str = ""


def notes_of(inventory: Inventory) -> list[str]:
    """Return what was filled in when the objects were read, and what of them is ignored, with how often it was met."""
    ignored = [f"ignored: {what} ({count:,})" for what, count in sorted(inventory.ignored.items())]
    return [*inventory.notes, *ignored]


def schedule(
    plan: Plan, stages: Stages | None = None, progress: Callable[[int, int, int], None] | None = None
) -> Placed:
    """Place the pending pods of a plan's objects; write the run folder where it names one.

    Raises InputError, MachineError.
    """
    stages = stages or Stages()
    if plan.out is None:
        return _place(plan, stages, progress)[0]
    with runfolder.create(plan.out, plan.command()) as folder:
        placed, told = _place(plan, stages, progress)
        placed.run, placed.summary = write_run(folder, placed.simulation, told, stages)
    return placed


def stand(plan: Plan, stages: Stages | None = None, *, page: bool = False) -> Placed:
    """Report on a plan's objects as they stand: nothing is scheduled. ``page`` asks for the report as Markdown.

    Raises InputError, MachineError.
    """
    plan, stages = replace(plan, order="none"), stages or Stages()
    if plan.out is not None:
        placed = schedule(plan, stages)
        placed.page = (plan.out / "report.md").read_text(encoding="utf-8")
        return placed
    with tempfile.TemporaryDirectory(prefix="kscale-") as name, runfolder.machine_errors(Path(name), writing=True):
        folder = Path(name)
        placed, told = _place(plan, stages, None)
        write = write_run if page else summarize_run
        placed.run, placed.summary = write(folder, placed.simulation, told, stages)
        placed.page = (folder / "report.md").read_text(encoding="utf-8") if page else ""
    return placed


def _place(plan: Plan, stages: Stages, progress: Callable[[int, int, int], None] | None) -> tuple[Placed, Told]:
    """Read the objects and let the scheduler run over them."""
    idle = plan.order == "none"
    with stages.stage("read", f"reading {', '.join(plan.objects)[:200]}"):
        configuration = None if plan.config is None else read_configuration(plan.config)
        inventory = take_inventory(plan.objects, ReadOptions(plan.max_input))
    pending = len(inventory.pending)
    # Without pending pods the orders are the same, and a run of nothing but arrivals would have none.
    given = plan.order == "given" and pending > 0
    with stages.stage("prepare", f"{pending:,} pending pods on {len(inventory.nodes):,} nodes"):
        kinds = len(set(inventory.pods.template[inventory.pending].tolist()))
        tries = min(kinds, MOST_EXPLAINED) if idle else None
        settings = choose_form(inventory, Settings(configuration=configuration), given=given, tries=tries)
        simulation = simulation_of(inventory, settings, given=given)
        waiting = hold_pending(simulation, inventory) if idle else {}
    if settings.compiled:
        line = "loading the compiled loop (the first run of its kind compiles it: up to a minute)"
        with stages.stage("compile", line):
            simulation.compile()
    else:
        with stages.stage("compose", "making the loop as plain Python"):
            simulation.compile()
    with stages.stage("simulate", "placing the pending pods"):
        total = len(inventory.pods)
        run(simulation, None if progress is None else lambda now, arrived: progress(now, arrived, total))
    notes = [*notes_of(inventory), *([] if idle else configuration_notes(configuration))]
    about = [NOT_MODELLED] if given else [STANDS_STILL, NOT_MODELLED]
    told = Told(
        plan.command(), _inputs(plan, inventory), plan.options(), notes=[*notes, *about],
        tried=0 if idle else None, waiting=waiting,
    )  # fmt: skip
    found = [] if idle else outcomes(simulation, inventory)
    return Placed(inventory, simulation, found, notes, stages.seconds["simulate"]), told


def _inputs(plan: Plan, inventory: Inventory) -> list[Input]:
    """Return what was read; only a run folder has a use for the digests."""
    if plan.out is None:
        return []
    found = [input_of("objects", Path(name)) for name in inventory.inputs]
    return [*found, *([] if plan.config is None else [input_of("config", plan.config)])]
