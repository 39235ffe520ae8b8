"""The gate: speed as a ratio to a reference kernel, and counts, against stored ones. ``python -m benchmarks.gate``.

A workload and the reference are run in turn; the least of each gives the ratio. A ratio more than 30 % above the stored
one is measured once more before it fails, when all rows have been measured: what disturbs a machine lasts for a minute.
Counts do not depend on the machine: they may move by 15 %. ``--store`` writes the least times of three
passes as the new baseline. ``--plant 1.4`` makes the measured work 40 % slower, which
must fail; ``--repeat 10`` runs the gate ten times, which must pass. Rows may be named; without names all are run.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks import network
from benchmarks.making import made
from benchmarks.measuring import placed, simulation
from benchmarks.objects import Objects
from benchmarks.reference import reference_seconds
from benchmarks.row import Workload
from benchmarks.table import markdown, number
from benchmarks.workloads import WORKLOADS
from kscale.simulation import Simulation

BASELINE = Path(__file__).parent / "baseline.json"
#: Runs of a row: short ones are run more often, until they take so long together (seconds).
RUNS, MOST_RUNS, SECONDS = 11, 40, 0.5
#: Passes over all rows whose least times are stored.
PASSES = 3
TIME_MARGIN, COUNT_MARGIN = 1.30, 1.15
#: The rows that the gate looks at: made ones, so that it needs no foreign data.
ROWS = (
    "scan", "inflate-like-openb-FGD", "timed-like-openb", "growth-like-jobs", "place-20-small", "place-500-small",
    "place-own-small", "place-services-small", "place-node-affinity-small", "place-hard-spread-small",
    "place-soft-spread-small", "place-anti-affinity-small", "place-preferred-pods-small", "place-preemption-small",
    "network-small",
)  # fmt: skip
Pairs = list[tuple[float, float]]


@dataclass(frozen=True)
class Measured:
    """What a row gave: its ratio to the reference, and counts per pod (per change of a network), the work last."""

    ratio: float
    counts: dict[str, float]


@dataclass(frozen=True)
class Verdict:
    """What the gate says of a row; ``failures`` are empty when it holds."""

    row: str
    measured: Measured
    stored: Measured
    failures: tuple[str, ...]


def ratio(pairs: Sequence[tuple[float, float]]) -> float:
    """Return the least time of the workload over the least time of the reference."""
    return min(work for work, _ in pairs) / min(reference for _, reference in pairs)


def judge(row: str, stored: Measured, measure: Callable[[], tuple[Pairs, dict[str, float]]]) -> Verdict:
    """Measure a row, once more when it is too slow, and compare it with the stored one."""
    pairs, counts = measure()
    if ratio(pairs) > stored.ratio * TIME_MARGIN:
        pairs = [*pairs, *measure()[0]]
    found = Measured(ratio(pairs), counts)
    failures = []
    if found.ratio > stored.ratio * TIME_MARGIN:
        failures.append(f"{row} takes {found.ratio / stored.ratio - 1:+.0%} of its stored time")
    for name, value in stored.counts.items():
        if found.counts[name] > value * COUNT_MARGIN:
            failures.append(f"{row}: {name} is {found.counts[name] / value - 1:+.0%} of the stored {number(value)}")
    return Verdict(row, found, stored, tuple(failures))


def counted(run: Simulation | network.Run) -> dict[str, float]:
    """Run a simulation and return its counts per pod: tries, and units of work (nodes scored anew, among others)."""
    if isinstance(run, network.Run):
        run.run()
        return run.counts()
    work = 0
    call = run.entries.call

    def watched(entry: str, *arguments: object) -> object:
        nonlocal work
        result = call(entry, *arguments)
        work += int(run.cluster.cluster_work[0]) if entry == "run" else 0
        return result

    run.entries.call = watched  # type: ignore[method-assign]
    run.run()
    pods = run.trace.pods.height
    return {"attempts_per_pod": float(run.cluster.cluster_attempts[0]) / pods, "work_per_pod": work / pods}


def _ready(row: Workload) -> Simulation | network.Run:
    if row.network is not None:
        return network.Run(row.network)
    if row.objects is not None:
        return placed(row.objects)
    source = row.source or row.sizes[0]
    assert not isinstance(source, Objects)
    made(source)
    return simulation(row, source)


def plant(run: Simulation | network.Run, factor: float) -> None:
    """Make a run take ``factor`` times as long: it computes something else for the rest."""
    unchanged = run.run

    def slower(*arguments: object) -> None:
        began = time.process_time()
        unchanged(*arguments)  # type: ignore[arg-type]
        until = began + (time.process_time() - began) * factor
        while time.process_time() < until:
            reference_seconds(scans=1)

    run.run = slower  # type: ignore[method-assign]


def get_ready(names: Sequence[str]) -> None:
    """Compile what the rows need, in another process: one that has compiled runs up to a fifth slower afterwards."""
    subprocess.run([sys.executable, "-m", "benchmarks.gate", "--ready", *names], check=True)


def measure_row(row: Workload, slower: float = 1.0) -> tuple[Pairs, dict[str, float]]:
    """Return pairs of processor seconds of the row and of the reference, run in turn, and the row's counts.

    Processor seconds, since a row is long enough to be interrupted in every run, and the reference is not.
    """
    counts = counted(_ready(row))
    reference_seconds()
    pairs: Pairs = []
    while len(pairs) < RUNS or (len(pairs) < MOST_RUNS and sum(work for work, _ in pairs) < SECONDS):
        run = _ready(row)
        if slower != 1.0:
            plant(run, slower)
        began = time.process_time()
        run.run()
        pairs.append((time.process_time() - began, reference_seconds()))
    return pairs, counts


def stored() -> dict[str, Measured]:
    """Return what the rows are compared with."""
    known = json.loads(BASELINE.read_text())
    return {name: Measured(row["ratio"], row["counts"]) for name, row in known.items()}


def store(names: Sequence[str], rows: dict[str, Workload]) -> None:
    """Measure rows in ``PASSES`` passes and write the baseline; rows that are not named keep what is stored."""
    known = json.loads(BASELINE.read_text())
    found: dict[str, tuple[Pairs, dict[str, float]]] = {name: ([], {}) for name in names}
    for round_ in range(PASSES):
        for name in names:
            pairs, counts = measure_row(rows[name])
            found[name] = ([*found[name][0], *pairs], counts)
        print(f"pass {round_ + 1} of {PASSES}", file=sys.stderr)
    for name, (pairs, counts) in found.items():
        known[name] = {"ratio": round(ratio(pairs), 3), "counts": {k: round(v, 3) for k, v in counts.items()}}
    BASELINE.write_text(json.dumps({name: known[name] for name in ROWS if name in known}, indent=2) + "\n")


def held(names: Sequence[str], rows: dict[str, Workload], slower: float = 1.0) -> bool:
    """Judge rows and print what was found; return whether every one held."""
    began, known = time.perf_counter(), stored()
    first = {name: [measure_row(rows[name], slower)] for name in names}

    def measure(name: str) -> tuple[Pairs, dict[str, float]]:
        return first[name].pop() if first[name] else measure_row(rows[name], slower)

    verdicts = [judge(name, known[name], partial(measure, name)) for name in names]
    table = [
        [v.row, number(v.measured.ratio), number(v.stored.ratio), f"{v.measured.ratio / v.stored.ratio - 1:+.0%}",
         *(number([*counts.values()][-1]) for counts in (v.measured.counts, v.stored.counts)),
         "failed" if v.failures else "held"]
        for v in verdicts
    ]  # fmt: skip
    print("\n".join(markdown(("workload", "ratio", "stored", "change", "work", "stored", "gate"), table)))
    failures = [failure for verdict in verdicts for failure in verdict.failures]
    for failure in failures:
        print(failure, file=sys.stderr)
    print(f"{len(names)} rows in {time.perf_counter() - began:.0f} s", file=sys.stderr)
    return not failures


def main(arguments: Sequence[str]) -> int:
    """Measure rows of the gate; return 1 when one fails, 2 for a name that is none of its rows."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gate", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("rows", nargs="*", help="rows to look at; all of the gate's without one")
    parser.add_argument("--ready", action="store_true", help="compile what the rows need, and measure nothing")
    parser.add_argument("--store", action="store_true", help="write what is measured as the new baseline")
    parser.add_argument("--plant", type=float, default=1.0, metavar="FACTOR", help="make the work so much slower")
    parser.add_argument("--repeat", type=int, default=1, metavar="TIMES", help="run the gate so often")
    told = parser.parse_args(arguments)
    rows, names = {row.name: row for row in WORKLOADS if row.name in ROWS}, told.rows or ROWS
    if unknown := [name for name in names if name not in rows]:
        print(f"{', '.join(unknown)}: no row of the gate; expected some of {', '.join(ROWS)}", file=sys.stderr)
        return 2
    if told.ready:
        for name in names:
            _ready(rows[name])
        return 0
    get_ready(names)
    if told.store:
        store(names, rows)
        return 0
    results = [held(names, rows, told.plant) for _ in range(told.repeat)]
    if told.repeat > 1:
        print(f"{sum(results)} of {told.repeat} runs held")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
