"""Verify: decisions recorded from kube-scheduler, made again and compared.

A recording is a JSON file, gzipped or not: ``{"scenario": {name, objects, pending, config?}, "result": {...}}``. Every
verdict, score and placement of the result is compared; one marked compact carries placements only.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np

from kscale.errors import InputError
from kscale.placing import choose_form, outcomes, simulation_of
from kscale.scheduler.configuration import parse_configuration
from kscale.simulation import Settings, Simulation
from kscale.state.manifests import Inventory, inventory_of
from kscale.state.manifests.recording import RecordedPod, RecordedResult, Recording, read_recording
from kscale.verdicts import Status, Verdicts

#: What is counted, in the order it is told.
COUNTS = (
    "nodes", "statuses", "verdicts", "masks", "raw", "normalised", "totals", "ties", "candidates", "victims",
)  # fmt: skip
#: How decisions are made: by the class index as far as it serves the pods, or by scoring every node for every pod.
Engine = Literal["index", "scan"]
_SUFFIXES = (".json", ".json.gz")
_SECOND_US = 1_000_000
#: So many recordings are not worth compiling for, unless they are large.
_FEW = 4
_Value = TypeVar("_Value")


@dataclass
class Comparison:
    """Counts of what was compared and what was equal, and the first difference.

    Attributes:
        found: how many nodes the class index found; pods that it does not serve are left to the scan.
        seconds: that the decisions took, and ``decided``: how many pods were decided on in them; of compact recordings,
            where nothing else is done meanwhile.
    """

    pods: int = 0
    files: int = 0
    compared: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTS, 0))
    equal: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTS, 0))
    first: str = ""
    found: int = 0
    decided: int = 0
    seconds: float = 0.0

    def add(self, other: Comparison) -> None:
        """Add the counts of another comparison."""
        self.pods += other.pods
        self.files += other.files
        self.found += other.found
        self.decided += other.decided
        self.seconds += other.seconds
        self.first = self.first or other.first
        for name in COUNTS:
            self.compared[name] += other.compared[name]
            self.equal[name] += other.equal[name]

    @property
    def agrees(self) -> bool:
        """Whether all that was compared is equal."""
        return self.compared == self.equal


def recordings(folder: Path) -> list[Path]:
    """Return the recordings of a folder and its folders, in order. Raises InputError when there is none."""
    if not folder.is_dir():
        return [folder]
    found = sorted(p for p in folder.rglob("*") if p.is_file() and p.name.endswith(_SUFFIXES))
    if not found:
        raise InputError("holds no recordings", file=folder, expected="files that end in .json or .json.gz")
    return found


def verify(
    folder: Path, *, engine: Engine = "index", compiled: bool | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Comparison]:  # fmt: skip
    """Compare every recording below ``folder``; return the counts per family. Raises InputError.

    The family is the name of the folder that holds a recording. ``progress`` is told the files that are done, and all.
    Where ``compiled`` is not given, plain Python decides on few small recordings, which is done sooner.
    """
    files = recordings(folder)
    compiled = True if compiled is None and len(files) > _FEW else compiled
    result: dict[str, Comparison] = {}
    for done, file in enumerate(files):
        family = file.absolute().parent.name
        result.setdefault(family, Comparison()).add(verify_file(file, engine=engine, compiled=compiled))
        if progress is not None:
            progress(done + 1, len(files))
    return result


def total(families: dict[str, Comparison]) -> Comparison:
    """Return the counts of all families together."""
    result = Comparison()
    for comparison in families.values():
        result.add(comparison)
    return result


def verify_file(file: Path, *, engine: Engine = "index", compiled: bool | None = None) -> Comparison:
    """Compare one recording. Raises InputError."""
    recording = read_recording(file)
    try:
        return _compare(recording, engine, compiled, f"{file.absolute().parent.name}/{file.name}")
    except InputError as error:
        where = str(file) if error.file is None or str(error.file) == str(file) else f"{file}, {error.file}"
        raise InputError(error.problem, file=where, row=error.row, field=error.field, expected=error.expected) from None


def _compare(recording: Recording, engine: Engine, compiled: bool | None, name: str) -> Comparison:
    scenario, result = recording.scenario, recording.result
    inventory = inventory_of(scenario.objects, scenario.pending)
    _check(inventory, result)
    settings = Settings(
        every=True, compiled=compiled is not False, detailed=not result.compact, memo=engine == "index",
        configuration=parse_configuration(scenario.config) if scenario.config else None,
    )  # fmt: skip
    settings = choose_form(inventory, settings, given=True) if compiled is None else settings
    simulation = simulation_of(inventory, settings, given=True)
    simulation.compile()
    simulation.open_lanes()
    comparing = _Comparing(simulation, inventory, result, name)
    began = time.perf_counter()
    if result.compact:
        simulation.run()
        comparing.counts.decided, comparing.counts.seconds = len(result.pods), time.perf_counter() - began
    else:
        for number, pod in _stepped(simulation, result):
            comparing.pod(number, pod)
    comparing.outcomes()
    comparing.counts.found = int(simulation.cluster.cluster_found[0])
    return comparing.counts


def _check(inventory: Inventory, result: RecordedResult) -> None:
    """Refuse a result that is not one of these objects. Raises InputError."""
    names = [node.name for node in inventory.nodes]
    if result.nodes and result.nodes != names:
        raise InputError("are not those of the objects", field="result.nodes", expected=f"{', '.join(names)[:100]} …")
    if len(inventory.pending) != len(result.pods):
        raise InputError("has pods that have ended", field="scenario.pending", expected="pods that can be scheduled")
    for number, (row, pod) in enumerate(zip(inventory.pending.tolist(), result.pods, strict=True)):
        found = f"{inventory.pods.namespaces[row]}/{inventory.pods.names[row]}"
        if pod.pod != found:
            raise InputError(f"is '{pod.pod[:200]}'", field=f"result.pods[{number}].pod", expected=found)


def _stepped(simulation: Simulation, result: RecordedResult) -> Iterator[tuple[int, RecordedPod]]:
    """Yield each pending pod as it is about to be tried."""
    simulation.start()
    for number, pod in enumerate(result.pods):
        simulation.advance(number * _SECOND_US)
        yield number, pod
    last = len(result.pods) * _SECOND_US
    simulation.advance(last)
    simulation.finish(last)


class _Comparing:
    """Compares one recording, pod by pod."""

    def __init__(self, simulation: Simulation, inventory: Inventory, result: RecordedResult, name: str) -> None:
        self.simulation, self.inventory, self.result, self.name = simulation, inventory, result, name
        self.counts = Comparison(pods=len(result.pods), files=1)
        self._first_pod = len(result.pods)
        # Reasons of resources come in no order of their own.
        self.statuses = [Status(s.plugin, s.code, tuple(sorted(s.reasons))) for s in result.statuses]

    def count(
        self, what: str, number: int, recorded: Sequence[_Value], found: Sequence[_Value],
        tell: Callable[[int, _Value, _Value], str],
    ) -> None:  # fmt: skip
        """Count values that were compared; ``tell`` says in words how two of them differ, by their index."""
        self.counts.compared[what] += len(recorded)
        if recorded == found:
            self.counts.equal[what] += len(recorded)
            return
        differing = [index for index, (a, b) in enumerate(zip(recorded, found, strict=True)) if a != b]
        self.counts.equal[what] += len(recorded) - len(differing)
        # Pods are gone through twice, but what matters is the first pod: others may differ because it does.
        if differing and number < self._first_pod:
            self._first_pod, index = number, differing[0]
            pod, words = self.result.pods[number].pod, tell(index, recorded[index], found[index])
            self.counts.first = f"{self.name}, pod {pod}: {words}"

    def one(self, what: str, number: int, recorded: _Value, found: _Value, words: str) -> None:
        """Count one value; ``words`` say what it is."""
        self.count(what, number, [recorded], [found], lambda _, a, b: f"{words} {_said(a)}, kscale says {_said(b)}")

    def outcomes(self) -> None:
        """Compare what became of each pod."""
        found = outcomes(self.simulation, self.inventory)
        for number, (pod, outcome) in enumerate(zip(self.result.pods, found, strict=True)):
            self.one("nodes", number, pod.node, outcome.node, "its recorded node is")
            self.one("statuses", number, pod.status, outcome.status, "its recorded status is")
            if pod.evicted or outcome.victims:
                self.one("victims", number, pod.evicted, list(outcome.victims), "the recorded victims are")

    def pod(self, number: int, pod: RecordedPod) -> None:
        """Compare all that is said of a pod that is about to be tried."""
        template = int(self.inventory.pods.template[self.inventory.pending[number]])
        held = int(self.simulation.cluster.template_held[template])
        expected = self.statuses[pod.prefilter] if pod.prefilter is not None else Status()
        if held:
            found = Status("SchedulingGates", expected.code, (self.simulation.messages.held_message(template),))
            if pod.prefilter is not None:
                self.one("verdicts", number, expected, found, "the recorded verdict before any node is")
            return
        if pod.filter is None and pod.prefilter is None:
            return
        verdicts = Verdicts(self.simulation, template)
        if pod.prefilter is not None or verdicts.bar is not None:
            found = verdicts.bar or Status()
            self.one("verdicts", number, expected, found, "the recorded verdict before any node is")
        if pod.filter is not None:
            self._filters(number, pod, verdicts)
        if isinstance(pod.feasible, list):
            self._scores(number, pod, verdicts)
        if pod.preemption is not None and pod.prefilter is None:
            self._candidates(number, pod, verdicts)

    def _filters(self, number: int, pod: RecordedPod, verdicts: Verdicts) -> None:
        assert pod.filter is not None and pod.mask is not None
        names = self.result.profiles[pod.profile].filter
        recorded, found = [self.statuses[index] for index in pod.filter], verdicts.statuses
        self.count(
            "verdicts", number, recorded, found,
            lambda node, a, b: f"on node {self._node(node)} the recorded verdict is {_said(a)}, kscale says {_said(b)}",
        )  # fmt: skip
        bits = {name: 1 << place for place, name in enumerate(names)}
        rejecting = np.zeros(len(pod.filter), np.int64)
        for plugin in verdicts.filters:
            rejecting |= np.where(verdicts.rejects(plugin), bits.get(plugin.name, 0), 0)
        masks = np.where(verdicts.left_out, -1, rejecting).tolist()

        def alone(mask: int) -> str:
            said = [name for place, name in enumerate(names) if mask >> place & 1]
            return "left out by the pod's own terms" if mask < 0 else f"rejected by {' and '.join(said) or 'none'}"

        self.count(
            "masks", number, pod.mask, masks,
            lambda node, a, b: f"node {self._node(node)} is recorded as {alone(a)}, each filter run alone; "
            f"kscale says {alone(b)}",
        )  # fmt: skip

    def _scores(self, number: int, pod: RecordedPod, verdicts: Verdicts) -> None:
        recorded, feasible = pod.feasible, verdicts.feasible.tolist()
        assert isinstance(recorded, list) and isinstance(pod.ties, list) and pod.total is not None
        self.one("verdicts", number, self._nodes(recorded), self._nodes(feasible), "the recorded feasible nodes are")
        if recorded != feasible:
            return
        zeros = [0] * len(feasible)
        for place, (what, stated) in enumerate((("raw", pod.raw), ("normalised", pod.norm))):
            # What kube-scheduler skipped must add nothing.
            scores = {name: (raw.tolist(), points.tolist()) for name, (raw, points, _) in verdicts.scores.items()}
            for name in [*stated, *sorted(scores.keys() - stated.keys())]:
                found = scores[name][place] if name in scores else zeros
                self.count(what, number, stated.get(name, zeros), found, self._telling(f"{what} score of {name}", pod))
        self.count("totals", number, pod.total, verdicts.totals.tolist(), self._telling("total", pod))
        self.one("ties", number, self._nodes(pod.ties), self._nodes(verdicts.ties), "the recorded best nodes are")

    def _telling(self, what: str, pod: RecordedPod) -> Callable[[int, int, int], str]:
        feasible = pod.feasible
        assert isinstance(feasible, list)
        return lambda place, a, b: f"on node {self._node(feasible[place])} the recorded {what} is {a}, kscale says {b}"

    def _candidates(self, number: int, pod: RecordedPod, verdicts: Verdicts) -> None:
        """Compare, node by node, who would have to go; what is not told of a node is that nobody could."""
        assert pod.preemption is not None
        stated = {
            candidate.node: (candidate.victims, candidate.pdb_violations) for candidate in pod.preemption.candidates
        }
        none: tuple[list[str], int] = ([], 0)
        pods = self.inventory.pods
        found = []
        for node in range(len(self.result.nodes)):
            eviction = verdicts.eviction(node) if verdicts.may_evict else None
            names = [f"{pods.namespaces[row]}/{pods.names[row]}" for row in eviction.victims] if eviction else []
            found.append((names, eviction.broken if eviction else 0))

        def told(said: tuple[list[str], int]) -> str:
            return f"{_said(said[0])} ({said[1]} against a disruption budget)" if said[0] else "nobody"

        self.count(
            "candidates", number, [stated.get(name, none) for name in self.result.nodes], found,
            lambda node, a, b: f"on node {self._node(node)} the recorded victims would be {told(a)}, "
            f"kscale says {told(b)}",
        )  # fmt: skip

    def _node(self, node: int) -> str:
        return self.result.nodes[node]

    def _nodes(self, nodes: list[int]) -> list[str]:
        return [self.result.nodes[node] for node in nodes]


def _said(value: object) -> str:
    """Return a value as a person is told it."""
    if value is None:
        return "none"
    if isinstance(value, Status):
        if value == Status():
            return "that it fits"
        return f"{value.plugin or 'of no plug-in'}: {', '.join(value.reasons)} ({value.code})"[:400]
    text = ", ".join(map(str, value)) or "none" if isinstance(value, list) else str(value)
    return text if len(text) <= 300 else text[:299] + "…"
