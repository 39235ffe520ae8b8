"""How long a kind of run takes to start: ``python -m benchmarks.compiling``."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile

from benchmarks.table import markdown, number

_START = """
import time
from benchmarks.making import made
from benchmarks.workloads import LIKE_OPENB_TIMED
from kscale.composition import compose
from kscale.simulation import Settings, Simulation
trace, nodes = made(LIKE_OPENB_TIMED)
run = Simulation(trace, nodes, Settings())
began = time.perf_counter()
compose(frozenset(run.cluster.columns), "default", True, False, True)
composed = time.perf_counter() - began
run.compile()
print(composed, time.perf_counter() - began)
"""


def main() -> None:
    """Print the seconds to compose, to compile for the first time, and to load what was compiled."""
    with tempfile.TemporaryDirectory() as cache:
        rows = []
        for what in ("first, compiling", "second, from the cache"):
            environment = os.environ | {"KSCALE_CACHE": cache}
            done = subprocess.run(
                [sys.executable, "-c", _START], env=environment, capture_output=True, text=True, check=True
            )
            composed, whole = map(float, done.stdout.split())
            rows.append([what, number(composed), number(whole)])
    print("\n".join(markdown(("start", "composing, s", "in all, s"), rows)))


if __name__ == "__main__":
    main()
