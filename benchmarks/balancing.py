"""What balancing costs, and what comes of it: ``python -m benchmarks.balancing [NAME...] [--connections N]``.

Every row makes the same connections: durations of a heavy tail (Pareto, 1.5, cut at 100 s), a hundred thousand clients,
one destination. Endpoints serve a few at once and are busy for seven tenths of the time on average. The machine may be
busy: the least of several runs counts, by the time of this thread alone.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.table import markdown, number
from kscale.network.balancing.common.inputs import Connections, Endpoints, Settings
from kscale.network.balancing.common.measures import evenness, wait_quantiles
from kscale.network.balancing.common.running import Balanced, balance

#: The most seconds for ten million connections over a thousand endpoints: of constant cost, and of those that look at
#: all endpoints.
CONSTANT, LINEAR = 2.0, 10.0
CONNECTIONS, ENDPOINTS, SERVED_AT_ONCE, BUSY, CLIENTS = 10_000_000, 1_000, 8, 0.7, 100_000
ROUNDS = 3
_HEADER = (
    "algorithm", "s", "limit, s", "most / mean", "variation", "Jain", "most at once", "wait p50, ms", "p99, ms",
    "p99.9, ms",
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One algorithm.

    Attributes:
        name: of the algorithm.
        limit: seconds at the most, at the full size.
        most: connections of the endpoint that has the most of 3,000 over 20.
        fingerprint: of where those go.
    """

    name: str
    limit: float
    most: int
    fingerprint: str


ROWS = (
    Row("iptables", CONSTANT, 174, "3c91d351ed472daf"),
    Row("nftables", CONSTANT, 174, "3c91d351ed472daf"),
    Row("userspace", CONSTANT, 150, "ae63a6a726243f78"),
    Row("rr", CONSTANT, 150, "ae63a6a726243f78"),
    Row("wrr", CONSTANT, 150, "ae63a6a726243f78"),
    Row("sh", CONSTANT, 178, "ca4446433d1c0743"),
    Row("dh", CONSTANT, 3000, "900a3cf6eea9827c"),
    Row("mh", CONSTANT, 182, "f82023591f1d6a2a"),
    Row("lc", LINEAR, 181, "5559d0d9c25ea4ad"),
    Row("wlc", LINEAR, 181, "5559d0d9c25ea4ad"),
    Row("sed", LINEAR, 180, "b5dfcedf3df4fb07"),
    Row("nq", LINEAR, 180, "b5dfcedf3df4fb07"),
    Row("lblc", LINEAR, 278, "84821c36c14b3598"),
    Row("lblcr", LINEAR, 172, "4a525dab04e7c763"),
)


def made(connections: int, endpoints: int) -> tuple[Connections, Endpoints]:
    """Return the connections and the endpoints of a size."""
    rng = np.random.default_rng(1)
    duration = np.minimum((1 + rng.pareto(1.5, connections)) * 20_000, 100_000_000).astype(np.int64)
    gap = duration.mean() / (endpoints * SERVED_AT_ONCE * BUSY)
    arrival = np.cumsum(rng.exponential(gap, connections)).astype(np.int64)
    clients = rng.integers(0, CLIENTS, connections) + (10 << 24)
    ones = np.ones(endpoints, np.int64)
    return Connections(arrival, duration, client=clients), Endpoints(ones, ones * SERVED_AT_ONCE)


def once(name: str, world: tuple[Connections, Endpoints], compiled: bool = True) -> Balanced:
    """Balance once."""
    return balance(name, *world, np.random.default_rng(1), settings=Settings(compiled=compiled))


def fingerprint(balanced: Balanced) -> str:
    """Return a digest of where connections went and how long they waited."""
    return hashlib.sha256(balanced.endpoint.tobytes() + balanced.wait_us.tobytes()).hexdigest()[:16]


def line(row: Row, world: tuple[Connections, Endpoints], rounds: int) -> list[str]:
    """Return a row of the table."""
    once(row.name, (Connections([0], [1]), Endpoints([1])))  # compiled, or taken from the cache
    seconds = []
    for _ in range(rounds):
        began = time.thread_time()
        balanced = once(row.name, world)
        seconds.append(time.thread_time() - began)
    shares = evenness(balanced.connections)
    waits = [f"{wait / 1000:,.1f}" for wait in wait_quantiles(balanced, (0.5, 0.99, 0.999))]
    return [
        row.name, number(min(seconds)), number(row.limit), f"{shares.most_over_mean:.3f}", f"{shares.variation:.3f}",
        f"{shares.jain:.3f}", f"{balanced.most_active.max():,}", *waits,
    ]  # fmt: skip


def main(arguments: Sequence[str]) -> int:
    """Print the table; return 2 for an unknown name."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.balancing")
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--connections", type=int, default=CONNECTIONS)
    parser.add_argument("--endpoints", type=int, default=ENDPOINTS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    given = parser.parse_args(arguments)
    known = {row.name: row for row in ROWS}
    if unknown := [name for name in given.names if name not in known]:
        print(f"no row is called {', '.join(unknown)}", file=sys.stderr)
        return 2
    world = made(given.connections, given.endpoints)
    rows = []
    for name in given.names or known:
        rows.append(line(known[name], world, given.rounds))
        print(name, rows[-1][1], "s", file=sys.stderr, flush=True)
    print("\n".join(markdown(_HEADER, rows)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
