"""``kscale check``: hold the headline numbers of a run folder against a budget."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from kscale.cli.options import Flag, Output
from kscale.errors import EXIT_GATE, InputError

if TYPE_CHECKING:
    import polars as pl

    from kscale.report.budget import Held


def check(
    run: Path,
    /,
    *,
    budget: Path,
    against: Path | None = None,
    init: Flag = False,
    junit: Path | None = None,
    output: Output = "table",
) -> int:
    """Hold the headline numbers of a run folder against a budget; exit with 1 when a limit is broken.

    A budget is a YAML map of metric to limits: ``unplaced_pods: {max: 0}``. A number that the run does not have
    breaks its limit. With GITHUB_STEP_SUMMARY set, the table is appended to that file too.

    Parameters
    ----------
    run
        Run folder.
    budget
        Budget file.
    against
        Second run folder, of the same machine: ``run_time_ratio`` is seconds of simulating per pod over its. Without
        it, it is seconds of simulating over those of a reference kernel, measured in the run itself.
    init
        Write the budget from the run, with a margin of 10 %, instead of checking; speed is left out.
    junit
        File to write JUnit XML to.
    output
        Form of the output.
    """
    from kscale import report as room
    from kscale.cli import files, step_summary
    from kscale.cli.tables import markdown, show
    from kscale.engine import runfolder
    from kscale.report import budget as budgets

    found = runfolder.load(run)
    numbers = room.headline(found, run)
    if init:
        if budget.exists():
            raise InputError("is there already", file=budget, expected="a new name for --init")
        files.write(budget, budgets.initial(numbers))
        sys.stderr.write(f"{budget}: a budget with a margin of 10 %\n")
        return 0
    if against is not None:
        numbers["run_time_ratio"] = budgets.time_ratio_against(found, runfolder.load(against))
    limits = budgets.read(budget, numbers)
    held = budgets.hold(limits, numbers)
    table = _table(held)
    if junit is not None:
        files.write(junit, budgets.junit(held))
    step_summary.add(markdown("budget", table))
    show({"budget": table}, output)
    return 0 if all(one.good for one in held) else EXIT_GATE


def _table(held: list[Held]) -> pl.DataFrame:
    import polars as pl

    rows = [(h.metric, "held" if h.good else "broken", h.side, h.limit, h.value, h.margin, h.unit) for h in held]
    texts, numbers = pl.String, pl.Float64
    schema = {"metric": texts, "result": texts, "side": texts, "limit": numbers, "value": numbers, "margin": numbers}
    return pl.DataFrame(rows, schema={**schema, "unit": texts}, orient="row")
