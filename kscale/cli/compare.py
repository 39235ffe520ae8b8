"""``kscale compare``: two run folders side by side."""

from __future__ import annotations

import sys
from pathlib import Path

from kscale.cli.options import Output


def compare(first: Path, second: Path, /, *, output: Output = "table") -> None:
    """Compare two run folders: what went in, the headline numbers, the first decision that differs.

    Differences are second minus first. Runs are the same when their fingerprints are.

    Parameters
    ----------
    first
        Run folder.
    second
        Run folder to hold against it.
    output
        Form of the output.
    """
    from kscale.cli.tables import show
    from kscale.engine import runfolder
    from kscale.report import comparing

    runs = (runfolder.load(first), runfolder.load(second))
    found = comparing.compare((first, second), runs)
    people = output in ("table", "wide")
    told = {} if people else {"fingerprints": found.fingerprints}
    tables = {"inputs that differ": found.inputs, "numbers": found.numbers, "first difference": found.divergence}
    show({**told, **tables}, output)
    if people:
        same = f"the same: fingerprint {runs[0].fingerprint[:16]}" if found.equal else "not the same"
        sys.stdout.write(f"the runs are {same}\n")
