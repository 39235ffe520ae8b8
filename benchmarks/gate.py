"""The gate: speed as a ratio to a reference kernel, and counts, against stored ones. ``python -m benchmarks.gate``.

A workload and the reference are run in turn; the least of each gives the ratio. A ratio more than 30 % above the stored
one is measured once more before it fails. Counts do not depend on the machine: they may move by 15 %.
``--store`` writes what was measured as the new baseline.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.making import made
from benchmarks.measuring import placed, simulation
from benchmarks.reference import reference_seconds
from benchmarks.row import Workload
from benchmarks.table import markdown, number
from benchmarks.workloads import WORKLOADS
from kscale.simulation import Simulation

BASELINE = Path(__file__).parent / "baseline.json"
RUNS = 7
TIME_MARGIN, COUNT_MARGIN = 1.30, 1.15
#: The rows that the gate looks at: made ones, so that it needs no foreign data.
ROWS = (
    "scan", "inflate-like-openb-BestFit", "inflate-like-openb-FGD", "timed-like-openb", "growth-like-jobs",
    "place-simple", "place-deploy",
)  # fmt: skip


@dataclass(frozen=True)
class Measured:
    """What a row gave: its ratio to the reference, and counts per pod."""

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


def judge(
    row: str, stored: Measured, measure: Callable[[], tuple[list[tuple[float, float]], dict[str, float]]]
) -> Verdict:
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


def counted(run: Simulation) -> dict[str, float]:
    """Run a simulation and return its counts per pod: tries, and units of work (nodes scored anew, among others)."""
    work = 0
    call = run._call

    def watched(entry: str, *arguments: object) -> object:
        nonlocal work
        result = call(entry, *arguments)
        work += int(run.cluster.cluster_work[0]) if entry == "run" else 0
        return result

    run._call = watched  # type: ignore[method-assign]
    run.run()
    pods = run.trace.pods.height
    return {"attempts_per_pod": float(run.cluster.cluster_attempts[0]) / pods, "work_per_pod": work / pods}


def _ready(row: Workload) -> Simulation:
    if row.objects is not None:
        return placed(row.objects)
    source = row.source or row.sizes[0]
    made(source)
    return simulation(row, source)


def measure_row(row: Workload, runs: int = RUNS) -> tuple[list[tuple[float, float]], dict[str, float]]:
    """Return pairs of processor seconds of the row and seconds of the reference, and the row's counts."""
    counts = counted(_ready(row))
    reference_seconds()
    pairs = []
    for _ in range(runs):
        run = _ready(row)
        began = time.perf_counter()
        run.run()
        pairs.append((time.perf_counter() - began, reference_seconds()))
    return pairs, counts


def main(arguments: Sequence[str]) -> int:
    """Measure every row of the gate; return 1 when one fails."""
    rows = {row.name: row for row in WORKLOADS if row.name in ROWS}
    if "--store" in arguments:
        found = {}
        for name in ROWS:
            pairs, counts = measure_row(rows[name])
            found[name] = {"ratio": round(ratio(pairs), 3), "counts": {k: round(v, 3) for k, v in counts.items()}}
        BASELINE.write_text(json.dumps(found, indent=2) + "\n")
        return 0
    stored = {
        name: Measured(known["ratio"], known["counts"]) for name, known in json.loads(BASELINE.read_text()).items()
    }
    verdicts = [judge(name, stored[name], lambda row=rows[name]: measure_row(row)) for name in ROWS]  # type: ignore[misc]
    table = [
        [v.row, number(v.measured.ratio), number(v.stored.ratio), number(v.measured.counts["work_per_pod"]),
         number(v.stored.counts["work_per_pod"]), "failed" if v.failures else "held"]
        for v in verdicts
    ]  # fmt: skip
    print("\n".join(markdown(("workload", "ratio", "stored", "work per pod", "stored", "gate"), table)))
    failures = [failure for verdict in verdicts for failure in verdict.failures]
    for failure in failures:
        print(failure, file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
