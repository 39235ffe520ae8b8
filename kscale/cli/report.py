"""``kscale report``: check a run folder and print what it says."""

from __future__ import annotations

import sys
from pathlib import Path

from kscale.cli.options import Output


def report(run: Path, /, *, output: Output = "table") -> None:
    """Check every file of a run folder against its digest, and print the run's summary.

    ``-o json``, ``yaml`` and ``csv`` give the headline numbers by name; ``-o markdown`` gives report.md.

    Parameters
    ----------
    run
        Run folder.
    output
        Form of the output.
    """
    import polars as pl

    from kscale import report as room
    from kscale.cli.tables import show
    from kscale.engine import runfolder
    from kscale.report import terminal

    found = runfolder.load(run)
    if output == "markdown":
        sys.stdout.write((run / "report.md").read_text(encoding="utf-8"))
        return
    summary = room.summarize(run, found)
    if output in ("table", "wide"):
        sys.stdout.write("\n".join(terminal.lines(summary, run)) + "\n")
        return
    names, values = list(summary.headline), [None if v is None else float(v) for v in summary.headline.values()]
    show(
        {
            "headline": pl.DataFrame(
                {"metric": names, "value": values}, schema={"metric": pl.String, "value": pl.Float64}
            )
        },
        output,
    )
