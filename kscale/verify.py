"""Verify: decisions recorded from kube-scheduler, made again and compared.

A recording is a JSON file, gzipped or not: ``{"scenario": {name, objects, pending, config?}, "result": {...}}``. Every
verdict, score and placement of the result is compared; one marked compact carries placements only.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kscale.errors import InputError
from kscale.placing import Outcome, outcomes, simulation_of
from kscale.scheduler.configuration import parse_configuration
from kscale.simulation import Settings, Simulation
from kscale.state.manifests import Inventory, inventory_of
from kscale.state.manifests.recording import read_recording
from kscale.verdicts import Status, Verdicts

#: What is counted, in the order it is told.
COUNTS = ("nodes", "statuses", "verdicts", "masks", "raw", "normalised", "totals", "ties", "victims")
ENGINES = ("scan",)


@dataclass
class Comparison:
    """Counts of what was compared and what was equal, and the first difference."""

    pods: int = 0
    files: int = 0
    compared: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTS, 0))
    equal: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTS, 0))
    first: str = ""
    seconds: float = 0.0

    def count(self, what: str, recorded: object, found: object, where: str, times: int = 1, same: int = 0) -> None:
        """Count a comparison; ``times`` values of which ``same`` are equal, where they are not all."""
        good = recorded == found
        self.compared[what] += times
        self.equal[what] += times if good else min(same, times - 1)
        if not good and not self.first:
            self.first = f"{where}: {what} recorded {_short(recorded)}, kscale says {_short(found)}"

    def add(self, other: Comparison) -> None:
        """Add the counts of another comparison."""
        self.pods += other.pods
        self.files += other.files
        self.seconds += other.seconds
        self.first = self.first or other.first
        for name in COUNTS:
            self.compared[name] += other.compared[name]
            self.equal[name] += other.equal[name]

    @property
    def agrees(self) -> bool:
        """Whether all that was compared is equal."""
        return self.compared == self.equal


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 300 else text[:297] + "…"


def recordings(folder: Path) -> list[Path]:
    """Return the recordings of a folder and its folders, in order. Raises InputError when there is none."""
    if folder.is_file():
        return [folder]
    found = sorted(p for p in folder.rglob("*") if p.is_file() and p.name.endswith((".json", ".json.gz")))
    if not found:
        raise InputError("holds no recordings", file=folder, expected="files ending in .json or .json.gz")
    return found


def verify(
    folder: Path, *, compiled: bool = True, progress: Callable[[int, int], None] | None = None
) -> dict[str, Comparison]:
    """Compare every recording below ``folder``; return the counts per family. Raises InputError.

    The family is the name of the folder that holds a recording. ``progress`` is told the files that are done, and all.
    """
    files = recordings(folder)
    result: dict[str, Comparison] = {}
    for done, file in enumerate(files):
        family = file.parent.name if folder.is_dir() else "recording"
        result.setdefault(family, Comparison()).add(verify_file(file, compiled=compiled))
        if progress is not None:
            progress(done + 1, len(files))
    return result


def verify_file(file: Path, *, compiled: bool = True) -> Comparison:
    """Compare one recording. Raises InputError."""
    scenario, result = read_recording(file)
    inventory = inventory_of(scenario["objects"], scenario["pending"])
    config = scenario.get("config")
    settings = Settings(
        every=True, compiled=compiled, detailed=not result.get("compact"),
        configuration=parse_configuration(config, file) if config else None,
    )  # fmt: skip
    simulation = simulation_of(inventory, settings, given=True)
    simulation.compile()
    comparison = Comparison(pods=len(result["pods"]), files=1)
    began = time.perf_counter()
    if result.get("compact"):
        simulation.run()
    else:
        for number, recorded in _stepped(simulation, inventory, result):
            _compare_detail(comparison, simulation, inventory, number, recorded, result)
    comparison.seconds = time.perf_counter() - began
    for number, found in enumerate(outcomes(simulation, inventory)):
        _compare_outcome(comparison, result["pods"][number], found, scenario.get("name", file.name))
    return comparison


def _stepped(
    simulation: Simulation, inventory: Inventory, result: dict[str, Any]
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield each pending pod as it is about to be tried."""
    simulation.start()
    for number in range(len(inventory.pending)):
        simulation.advance(number * 1_000_000)
        yield number, result["pods"][number]
    last = len(inventory.pending) * 1_000_000
    simulation.advance(last)
    simulation.finish(last)


def _compare_outcome(comparison: Comparison, recorded: dict[str, Any], found: Outcome, name: str) -> None:
    where = f"{name} {recorded['pod']}"
    if recorded["pod"] != f"{found.namespace}/{found.name}":
        raise InputError(f"{where} is not the pod in its place, {found.namespace}/{found.name}", expected="one order")
    comparison.count("nodes", recorded.get("node"), found.node, where)
    comparison.count("statuses", recorded["status"], found.status, where)
    expected = recorded.get("victims", recorded.get("preemption", {}).get("victims", []))
    if expected or found.victims:
        comparison.count("victims", expected, list(found.victims), where)


def _compare_detail(
    comparison: Comparison, simulation: Simulation, inventory: Inventory, number: int, recorded: dict[str, Any],
    result: dict[str, Any],
) -> None:  # fmt: skip
    template = int(inventory.pods.template[inventory.pending[number]])
    where = f"{result['name']} {recorded['pod']}"
    statuses = [Status(s["plugin"], s["code"], tuple(s["reasons"])) for s in result["statuses"]]
    held = int(simulation.cluster.template_held[template])
    if "prefilter" in recorded:
        expected = statuses[recorded["prefilter"]]
        if held:
            said = Status("SchedulingGates", expected.code, (simulation.held_message(template),))
        else:
            said = Verdicts(simulation, template).bar or Status()
        comparison.count("verdicts", expected, said, where)
    if "filter" not in recorded or held:
        return
    verdicts = Verdicts(simulation, template)
    profile = result["profiles"][recorded.get("profile", "default-scheduler")]
    _compare_filters(comparison, verdicts, recorded, statuses, profile["filter"], where)
    if "feasible" in recorded:
        _compare_scores(comparison, verdicts, recorded, where)


def _compare_filters(
    comparison: Comparison, verdicts: Verdicts, recorded: dict[str, Any], statuses: list[Status], names: list[str],
    where: str,
) -> None:  # fmt: skip
    expected = [statuses[index] for index in recorded["filter"]]
    # Reasons of scalar resources come in no order of their own.
    said = [verdicts.status(node) for node in range(len(expected))]
    same = sum(Status(e.plugin, e.code, tuple(sorted(e.reasons))) == s for e, s in zip(expected, said, strict=True))
    comparison.count(
        "verdicts", [Status(e.plugin, e.code, tuple(sorted(e.reasons))) for e in expected], said, where,
        len(expected), same,
    )  # fmt: skip
    bits = {name: 1 << place for place, name in enumerate(names)}
    rejects = [(bits[plugin.name], verdicts.rejects(plugin)) for plugin in verdicts.filters if plugin.name in bits]
    masks = [
        -1 if verdicts.left_out[node] else sum(bit for bit, rejected in rejects if rejected[node])
        for node in range(len(expected))
    ]
    same = sum(e == m for e, m in zip(recorded["mask"], masks, strict=True))
    comparison.count("masks", recorded["mask"], masks, where, len(masks), same)


def _compare_scores(comparison: Comparison, verdicts: Verdicts, recorded: dict[str, Any], where: str) -> None:
    feasible = verdicts.feasible.tolist()
    comparison.count("verdicts", recorded["feasible"], feasible, f"{where} feasible nodes")
    if recorded["feasible"] != feasible:
        return
    zeros = [0] * len(feasible)
    for place, (what, key) in enumerate((("raw", "raw"), ("normalised", "norm"))):
        stated = recorded.get(key, {})
        for name, values in stated.items():
            found = verdicts.scores[name][place].tolist() if name in verdicts.scores else zeros
            same = sum(a == b for a, b in zip(values, found, strict=True))
            comparison.count(what, values, found, f"{where} {name}", len(values), same)
        for name in verdicts.scores.keys() - stated.keys():
            # kube-scheduler skipped it: it must add nothing.
            comparison.count(what, zeros, verdicts.scores[name][place].tolist(), f"{where} {name}", len(zeros))
    totals = verdicts.totals.tolist()
    same = sum(a == b for a, b in zip(recorded["total"], totals, strict=True))
    comparison.count("totals", recorded["total"], totals, where, len(totals), same)
    comparison.count("ties", recorded["ties"], verdicts.ties, where)
