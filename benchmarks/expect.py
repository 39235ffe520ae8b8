"""Runs rows and stores what happened: ``python -m benchmarks.expect NAME...``; ``--new`` takes all that have nothing.

What is stored already stays, and a row that says otherwise is an error: placements do not change for speed's sake.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence

from benchmarks.jobs import job
from benchmarks.placements import STORED
from benchmarks.workloads import WORKLOADS

#: Measures whose rows keep what happens in the file.
_STORED = ("place", "nodes", "waiting", "command")


def main(arguments: Sequence[str]) -> int:
    """Run the rows named; return 1 when one differs from what is stored, 2 for an unknown name."""
    rows = {row.name: row for row in WORKLOADS}
    names = [name for name in arguments if name != "--new"]
    if "--new" in arguments:
        names += [row.name for row in WORKLOADS if row.measure in _STORED and not row.expected.counts]
    if unknown := [name for name in names if name not in rows]:
        print(f"no row is called {', '.join(unknown)}", file=sys.stderr)
        return 2
    code = 0
    for name in names:
        work = job(rows[name])
        began = time.perf_counter()
        work.once()
        work.finish()
        found = {"counts": dict(work.found.counts), "fingerprint": work.found.fingerprint}
        known = json.loads(STORED.read_text()) if STORED.exists() else {}
        verdict = "new" if name not in known else "same" if known[name] == found else "DIFFERS"
        print(f"{name}: {verdict}, {time.perf_counter() - began:.1f} s, {found}", flush=True)
        if verdict == "new":
            STORED.write_text(json.dumps({**known, name: found}, indent=1) + "\n")
        code |= verdict == "DIFFERS"
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
