"""``kscale compare``: two run folders side by side."""

from __future__ import annotations

import sys
from pathlib import Path

from kscale.cli.options import Output
from kscale.errors import InputError


def compare(first: Path, second: Path, /, *, out: Path | None = None, output: Output = "table") -> None:
    """Compare two run folders: what went in, the headline numbers, the first decision that differs.

    Differences are second minus first. Runs are the same when their fingerprints are. With GITHUB_STEP_SUMMARY set, the
    tables are appended to that file too.

    Parameters
    ----------
    first
        Run folder.
    second
        Run folder to hold against it.
    out
        HTML page to write as well: the same, with the figures of both runs on the same axes.
    output
        Form of the output.
    """
    from kscale.cli import step_summary
    from kscale.cli.tables import markdown, show
    from kscale.engine import runfolder
    from kscale.report import comparing

    if out is not None and any(folder.resolve() in out.resolve().parents for folder in (first, second)):
        raise InputError("is inside a run folder", file=out, field="--out", expected="a place of its own")
    runs = (runfolder.load(first), runfolder.load(second))
    found = comparing.compare((first, second), runs)
    if out is not None:
        from kscale.cli import files
        from kscale.report import comparing_page

        files.write(out, comparing_page.html((first, second), found.summaries, found))
    people = output in ("table", "wide")
    told = {} if people else {"fingerprints": found.fingerprints}
    tables = {"inputs that differ": found.inputs, "numbers": found.numbers, "first difference": found.divergence}
    same = f"the same: fingerprint {runs[0].fingerprint[:16]}" if found.equal else "not the same"
    filled = [markdown(title, table) for title, table in tables.items() if table.height]
    step_summary.add("\n".join([f"### two runs\n\nThe runs are {same}.\n", *filled]))
    show({**told, **tables}, output)
    if people:
        sys.stdout.write(f"the runs are {same}\n")
