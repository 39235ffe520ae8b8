"""``kscale report``: check a run folder and print what it says; or report on a cluster as it stands."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from kscale.cli.options import Objects, Output, Quiet
from kscale.errors import InputError

if TYPE_CHECKING:
    from kscale.report.summary import Summary


def report(
    run: Path | None = None,
    /,
    *,
    filename: Objects = (),
    out: Path | None = None,
    budget: Path | None = None,
    max_input: str = "2Gi",
    output: Output = "table",
    quiet: Quiet = False,
) -> int:
    """Check every file of a run folder against its digest, and print the run's summary.

    With ``-f``, report on Kubernetes objects as they stand instead: bound pods on their nodes, pending ones waiting;
    nothing is scheduled. ``-o json``, ``yaml`` and ``csv`` give the headline numbers by name; ``-o markdown`` gives
    report.md.

    Parameters
    ----------
    run
        Run folder.
    filename
        File or folder of Kubernetes objects, JSON or YAML; ``-`` is standard input. May be given several times.
    out
        With ``-f``: run folder to write, with report.html; an older run folder of this name is replaced.
    budget
        Budget file: report.html and report.md of RUN are written again with its limits among the checks, and a broken
        one ends the command with 1. With GITHUB_STEP_SUMMARY set, verdict, checks and key figures are appended to that
        file.
    max_input
        With ``-f``: most bytes of a file, unpacked.
    output
        Form of the output.
    quiet
        No notes on standard error.
    """
    if (run is None) == (not filename):
        raise InputError(
            "RUN and -f are both given" if filename else "RUN is missing",
            expected="kscale report RUN, or kscale report -f OBJECTS",
        )
    if run is None:
        if budget is not None:
            raise InputError("holds a run folder only", field="--budget", expected="kscale report RUN --budget FILE")
        _dump(filename, out, max_input, output, quiet=quiet)
        return 0
    if out is not None:
        raise InputError("says nothing of a run folder, which has its report", field="--out", expected="-f OBJECTS")
    from kscale import report as room
    from kscale.cli import step_summary
    from kscale.cli.replay import exit_code
    from kscale.engine import runfolder

    found = runfolder.load(run)
    summary = None
    if budget is not None:
        from kscale.report import budget as budgets

        summary = room.summarize(run, found)
        summary = room.hold(summary, budgets.read(budget, summary.headline))
        room.rewrite(run, found, summary)
    if output == "markdown":
        sys.stdout.write((run / "report.md").read_text(encoding="utf-8"))
    else:
        summary = summary or room.summarize(run, found)
        _print(summary, run, output)
    if summary is None:
        return 0
    step_summary.add_report(summary)
    return exit_code(summary)


def _dump(filename: tuple[str, ...], out: Path | None, max_input: str, output: Output, *, quiet: bool) -> None:
    from kscale.cli.progress import Reporter
    from kscale.cli.replay import check_out, parsed
    from kscale.cli.schedule import tell_notes
    from kscale.schedule import Plan, stand
    from kscale.state.quantities import parse_quantity
    from kscale.writing import Stages

    plan = Plan(filename, out=out, max_input=parsed("--max-input", parse_quantity, max_input) or 0)
    if out is not None:
        check_out(out, *(Path(name) for name in filename))
    with Reporter(quiet=quiet) as reporter:
        placed = stand(plan, Stages(reporter.stage), page=output == "markdown")
    if not quiet:
        tell_notes(placed.notes)
    if output == "markdown":
        sys.stdout.write(placed.page)
        return
    _print(placed.summary, out, output)


def _print(summary: Summary, folder: Path | None, output: Output) -> None:
    """Print a summary; its page stands in ``folder``."""
    import polars as pl

    from kscale.cli.tables import show
    from kscale.report import terminal

    if output in ("table", "wide"):
        sys.stdout.write("\n".join(terminal.lines(summary, folder)) + "\n")
        return
    names, values = list(summary.headline), [None if v is None else float(v) for v in summary.headline.values()]
    schema = {"metric": pl.String, "value": pl.Float64}
    show({"headline": pl.DataFrame({"metric": names, "value": values}, schema=schema)}, output)
