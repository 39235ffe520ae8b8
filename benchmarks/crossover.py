"""When a full pass is cheaper than scoring changed nodes one by one: ``python -m benchmarks.crossover``.

Prints, by number of nodes, what one node costs alone and in a full pass. Their ratio is what
``kscale.scheduler.cycle._ONE_BY_ONE_CHEAP`` should be near: one in so many nodes changed makes both ways cost the same.
"""

from __future__ import annotations

import time

import numpy as np

from benchmarks.making import Made, made
from benchmarks.table import markdown, number
from kscale import kernels
from kscale.composer import Composer
from kscale.scheduler import cycle
from kscale.simulation import Settings, Simulation

_ONE_BY_ONE = "for node in range(count):\n    score_range(template, node, node + 1, scan_total)"
_FULL = "for turn in range(count):\n    score_range(template, 0, len(scan_total), scan_total)"


def costs(nodes: int) -> tuple[float, float]:
    """Return the nanoseconds of a node alone, and of a node in a full pass, for the default profile."""
    trace, frame = made(Made("uniform", pods=2_000, nodes=nodes, days=0.1))
    run = Simulation(trace, frame, Settings())
    composer = Composer(run.cluster.columns)
    cycle.define(composer, run.profile, devices=run.with_devices)
    composer.define("alone", "template, count", _ONE_BY_ONE, entry=True)
    composer.define("full", "template, count", _FULL, entry=True)
    module = kernels.load(composer.source())
    found = []
    for name, count in (("alone", nodes), ("full", 200)):
        function, columns = getattr(module, name), run.cluster.arguments(composer.columns_of(name))
        function(np.int64(0), 1, *columns)
        least = float("inf")
        for _ in range(7):
            began = time.perf_counter()
            function(np.int64(0), count, *columns)
            least = min(least, time.perf_counter() - began)
        found.append(least / count / (nodes if name == "full" else 1) * 1e9)
    return found[0], found[1]


def main() -> None:
    """Print the table."""
    rows = []
    for nodes in (1_000, 5_000, 20_000):
        alone, full = costs(nodes)
        rows.append([f"{nodes:,} nodes", number(alone), number(full), number(alone / full)])
    print("\n".join(markdown(("cluster", "a node alone, ns", "in a full pass, ns", "ratio"), rows)))


if __name__ == "__main__":
    main()
