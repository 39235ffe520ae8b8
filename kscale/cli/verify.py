"""``kscale verify``: decisions recorded from kube-scheduler, made again and compared."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kscale.cli.options import Output, Quiet
from kscale.cli.terminal import console, tell
from kscale.errors import EXIT_GATE
from kscale.verify import Engine

if TYPE_CHECKING:
    import polars as pl
    from rich.progress import Progress

    from kscale.verify import Comparison

#: Heads of the table of families, and the counts that each stands for.
_HEADS = {
    "node": ("nodes",), "status": ("statuses",), "filter": ("verdicts", "masks"),
    "score": ("raw", "normalised", "totals"), "ties": ("ties",), "victim": ("candidates", "victims"),
}  # fmt: skip
_MEANINGS = {
    "nodes": "the node that a pod is placed on", "statuses": "scheduled, preempted, unschedulable …",
    "verdicts": "the first filter to reject a node, code and reasons", "masks": "every filter, run alone",
    "raw": "scores of plug-ins", "normalised": "the same from 0 to 100", "totals": "weighted sums",
    "ties": "the nodes with the highest total", "candidates": "who would be evicted on each node",
    "victims": "who is evicted",
}  # fmt: skip
#: Seconds before a bar appears, and between lines where there is no terminal.
_PATIENCE, _LINE_EVERY = 2.0, 10.0


class _Bar:
    """Tells how many files are done: a bar in a terminal, lines elsewhere; nothing when it is quick."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet, self._console = quiet, console(stderr=True)
        self._began = self._last = time.monotonic()
        self._progress: Progress | None = None

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *_: object) -> None:
        if self._progress is not None:
            self._progress.stop()

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if self._quiet or now - self._began < _PATIENCE:
            return
        if self._console.is_terminal:
            if self._progress is None:
                from rich.progress import Progress

                self._progress = Progress(console=self._console, transient=True)
                self._task = self._progress.add_task("files", total=total)
                self._progress.start()
            self._progress.update(self._task, completed=done)
        elif now - self._last >= _LINE_EVERY:
            self._last = now
            tell(f"{done:,} of {total:,} files", stderr=True)


def verify(recordings: Path, /, *, engine: Engine = "index", output: Output = "table", quiet: Quiet = False) -> int:
    """Make decisions that were recorded from the real kube-scheduler again, and compare every one of them.

    Compared are nodes, statuses, the verdict of every filter on every node, every score, the nodes that tie, and who is
    evicted; of recordings that are marked compact, placements only. A family is a folder of recordings. The exit code
    is 1 if anything differs, and the first difference is told.

    Parameters
    ----------
    recordings
        A recording, or a folder of them: ``{"scenario": …, "result": …}`` as JSON, gzipped or not.
    engine
        How kscale decides: ``index`` asks the class index as far as it serves the pods, the rest is scanned; ``scan``
        scores every node for every pod.
    output
        Form of the output; ``json`` gives the counts of what was compared and what was equal.
    quiet
        No progress on standard error.
    """
    from kscale import verify as room
    from kscale.cli.progress import Reporter

    with Reporter(quiet=quiet) as reporter, _Bar(quiet=quiet) as bar:
        reporter.stage(f"comparing {recordings} (the first run compiles the loop: about a minute)")
        families = room.verify(recordings, engine=engine, progress=bar)
    total = room.total(families)
    if output == "json":
        sys.stdout.write(json.dumps(data(families, total), indent=2) + "\n")
    elif output == "yaml":
        from kscale.cli.yamls import yaml_text

        sys.stdout.write(yaml_text(data(families, total)))
    else:
        _tables(families, total, output)
    if total.agrees:
        return 0
    tell(f"the first difference: {total.first}", stderr=True)
    return EXIT_GATE


def data(families: dict[str, Comparison], total: Comparison) -> dict[str, Any]:
    """Return all counts as JSON has them."""
    return {
        "families": {family: _counts(comparison) for family, comparison in families.items()}, "total": _counts(total),
        "agrees": total.agrees, "first_difference": total.first or None,
    }  # fmt: skip


def _counts(comparison: Comparison) -> dict[str, Any]:
    counts = {
        name: {"compared": compared, "equal": comparison.equal[name]} for name, compared in comparison.compared.items()
    }
    return {"files": comparison.files, "pods": comparison.pods, "found": comparison.found, **counts}


def _share(comparison: Comparison, names: tuple[str, ...]) -> str | None:
    """Return how much of some counts is equal; never 100 % when something is not."""
    compared = sum(comparison.compared[name] for name in names)
    equal = sum(comparison.equal[name] for name in names)
    if not compared:
        return None
    return "100%" if equal == compared else f"{min(100 * equal / compared, 99.9):.1f}%"


def _tables(families: dict[str, Comparison], total: Comparison, form: Output) -> None:
    import polars as pl

    from kscale.cli.tables import show

    kinds = [
        {"compared": name, "values": compared, "equal": total.equal[name], "differ": compared - total.equal[name],
         "what": _MEANINGS[name]}
        for name, compared in total.compared.items()
    ]  # fmt: skip
    show({"families": _frame(families), "in all": pl.DataFrame(kinds)}, form)
    if form not in ("table", "wide"):
        return
    values, equal = sum(total.compared.values()), sum(total.equal.values())
    differ = "all are equal" if total.agrees else f"{values - equal:,} differ"
    files = f"{total.files:,} recording{'' if total.files == 1 else 's'}"
    tell(f"{files}, {total.pods:,} pods, {values:,} values compared: {differ}")
    if total.found:
        tell(f"{total.found:,} pods placed by the class index, the others by the scan")
    if total.decided:
        tell(f"compact recordings: {total.decided:,} pods decided at {total.decided / total.seconds:,.0f} pods/s")


def _frame(families: dict[str, Comparison]) -> pl.DataFrame:
    import polars as pl

    rows = [
        {"family": family, "pods": comparison.pods}
        | {head: _share(comparison, names) for head, names in _HEADS.items()}
        for family, comparison in families.items()
    ]
    return pl.DataFrame(rows, schema={"family": pl.String, "pods": pl.Int64, **dict.fromkeys(_HEADS, pl.String)})
