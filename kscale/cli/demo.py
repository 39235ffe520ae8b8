"""``kscale demo``: the main job on the bundled trace."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def demo(
    *, out: Path = Path("kscale-demo"), quiet: Annotated[bool, Parameter(name=["-q", "--quiet"], negative="")] = False
) -> int:
    """Replay the bundled trace (a day of 4,000 pods on 40 GPU nodes) and write its report.

    Parameters
    ----------
    out
        Run folder to write.
    quiet
        No progress on standard error.
    """
    from kscale.cli.replay import run
    from kscale.replay import Plan
    from kscale.traces.common.opening import bundled

    folder = bundled()
    # A day of arrivals and half a day more: a few pods run for weeks, which would squeeze the day into a corner.
    plan = Plan(folder / "day.parquet", str(folder / "day-nodes.parquet"), out, until_us=36 * 3600 * 10**6)
    return run(plan, quiet=quiet)
