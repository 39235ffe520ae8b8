"""``kscale demo``: the main job on the bundled trace."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from kscale.cli.options import Quiet

if TYPE_CHECKING:
    from kscale.replay import Plan


def demo(*, out: Path = Path("kscale-demo"), quiet: Quiet = False) -> int:
    """Replay the bundled trace (a day of 4,000 pods on 40 GPU nodes) and write its report.

    Parameters
    ----------
    out
        Run folder to write.
    quiet
        No progress on standard error.
    """
    from kscale.cli.replay import run

    return run(plan(out), quiet=quiet)


def plan(out: Path) -> Plan:
    """Return the plan of the demo: a day of arrivals and half a day more.

    A few pods run for weeks, which would squeeze the day into a corner of every figure.
    """
    from kscale.replay import Plan
    from kscale.traces.common.opening import bundled

    folder = bundled()
    return Plan(folder / "day.parquet", str(folder / "day-nodes.parquet"), out, until_us=36 * 3600 * 10**6)
