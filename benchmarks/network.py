"""What the programming of nodes costs, and what comes of it: ``python -m benchmarks.network [MODE...] [--seconds N]``.

Service ports have as many endpoints each; those of random ones change at random times, and every change goes to every
node. It is fed in intervals, as a run feeds it. A row is the whole of it: syncs of every node, the latency of each
change over nodes, histograms. Code is compiled before; where the machine is busy, look at the seconds of CPU.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from benchmarks.row import Network
from benchmarks.table import markdown, number
from kscale.network import proxies
from kscale.network.ports import Ports
from kscale.network.programming import Changes, Cost, Nodes, Proxies
from kscale.network.programming.outcome import Outcome
from kscale.report.text import duration

#: The most seconds for a virtual hour at the full size.
LIMIT = 60.0
MODES = ("iptables", "nftables", "ipvs")
_INTERVAL_US, _SECOND_US = 10_000_000, 1_000_000
_HEADER = (
    "mode", "s", "limit, s", "CPU s", "syncs of a node", "of everything", "cores of a node", "latency p50", "p99",
    "longest",
)  # fmt: skip


class Run:
    """The programming of a network, ready to run once."""

    def __init__(self, network: Network, *, compiled: bool = True, threads: int = 1) -> None:
        self.network = network
        rng = np.random.default_rng(1)
        case = proxies.case(proxies.found()[network.mode], Ports.uniform(network.services, network.endpoints))
        cost = Cost.of(case)
        count = network.changes_per_second * network.seconds
        written = np.sort(rng.integers(0, network.seconds * _SECOND_US, count))
        self.changes = Changes.of(written, rng.integers(0, network.services, count))
        nodes = Nodes.drawn(network.nodes, cost, (5_000, 110_000), rng)
        self.proxies = Proxies(nodes, cost, compiled=compiled, threads=threads)
        self.outcome = Outcome(self.proxies, _INTERVAL_US, compiled=compiled, threads=threads)
        self._digest = hashlib.sha256()

    def run(self) -> None:
        """Program the nodes."""
        told, end = 0, self.network.seconds * _SECOND_US
        for until in range(_INTERVAL_US - 1, end + _INTERVAL_US - 1, _INTERVAL_US):
            upto = int(np.searchsorted(self.changes.written_us, until, "right"))
            quantiles, total = self.outcome.take(self.proxies.advance(self.changes[told:upto], until))
            self._digest.update(quantiles.tobytes() + total.tobytes())
            told = upto
        quantiles, total = self.outcome.take(self.proxies.finish(end))
        self._digest.update(quantiles.tobytes() + total.tobytes())
        self.outcome.close()

    def happened(self) -> tuple[dict[str, int], str]:
        """Return counts of a run that is over, and a digest of each change's latencies."""
        counts = {"changes": len(self.changes), "syncs": int(self.proxies.syncs.sum()),
                  "full_syncs": int(self.proxies.fulls.sum())}  # fmt: skip
        return counts, self._digest.hexdigest()

    def counts(self) -> dict[str, float]:
        """Return syncs of a node, and units of work: latencies that were weighed, for each change."""
        nodes, weighed = self.network.nodes, float(self.outcome.buckets[0].sum())
        syncs = float(self.proxies.syncs.sum())
        return {"syncs_per_node": syncs / nodes, "work_per_change": weighed / len(self.changes)}


def line(network: Network, threads: int) -> list[str]:
    """Return a row of the table."""
    ready = Run(network, threads=threads)
    began, cpu_began = time.perf_counter(), time.process_time()
    ready.run()
    took, cpu_took = time.perf_counter() - began, time.process_time() - cpu_began
    syncs, fulls, cpu = (float(one.mean()) for one in (ready.proxies.syncs, ready.proxies.fulls, ready.proxies.cpu_us))
    spread = [duration(one) for one in ready.outcome.quantiles_us((0.5, 0.99, 1.0)).tolist()]
    cores = cpu / (network.seconds * _SECOND_US)
    mine = [network.mode, *(number(one) for one in (took, LIMIT, cpu_took, syncs, fulls, cores))]
    return [*mine, *spread]


def main(arguments: Sequence[str]) -> int:
    """Print the table; return 2 for an unknown mode."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.network")
    parser.add_argument("modes", nargs="*", metavar="MODE")
    whole = Network()
    for name in ("nodes", "services", "endpoints", "changes_per_second", "seconds"):
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=getattr(whole, name))
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args(arguments)
    if unknown := [mode for mode in given.modes if mode not in proxies.found()]:
        print(f"there is no mode {', '.join(unknown)}", file=sys.stderr)
        return 2
    sizes = {name: value for name, value in vars(given).items() if name not in ("modes", "threads")}
    Run(replace(whole, nodes=2, seconds=1), threads=given.threads).run()  # compiled, or taken from the cache
    rows = []
    for mode in given.modes or MODES:
        rows.append(line(Network(mode, **sizes), given.threads))
        print(mode, rows[-1][1], "s", file=sys.stderr, flush=True)
    print("\n".join(markdown(_HEADER, rows)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
