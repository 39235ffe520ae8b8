"""What traffic over a Service costs, and what becomes of it: ``python -m benchmarks.traffic [ALGORITHM...]``.

Ten million connections of 1,000 clients on 100 nodes come to a Service with 1,000 endpoints within 100 s, and last for
200 ms with a heavy tail. Each second one endpoint is asked to go, and another takes its place: it runs for 0.5 s more,
and nodes know after 0.1 to 1.1 s. Code is compiled before; where the machine is busy, look at the seconds of CPU.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

import numpy as np

from benchmarks.table import markdown, number
from kscale.engine.flows import Flow
from kscale.engine.load import Constant
from kscale.network.balancing.common.running import algorithm_of
from kscale.network.traffic.choosing import RANDOM, Choice, compile_for
from kscale.network.traffic.clients import Clients
from kscale.network.traffic.endpoints import GONE, SERVES, TERMINATING
from kscale.network.traffic.outcome import Outcome
from kscale.network.traffic.service import Listing, Served
from kscale.network.traffic.views import BEFORE_US, Where

#: The most seconds for ten million connections, of algorithms that look at none that is open.
LIMIT = 2.0
ALGORITHMS = ("iptables", "rr", "sh", "mh", "lc")
NODES, ENDPOINTS, CLIENTS, SECONDS, CONNECTIONS = 100, 1000, 1000, 100, 10_000_000
_SECOND_US = 1_000_000
_HEADER = (
    "algorithm", "s", "limit, s", "CPU s", "most / mean", "variation", "Jain", "to terminating", "to gone", "cut off",
)  # fmt: skip


def run(name: str, connections: int, seconds: int = SECONDS, *, compiled: bool = True) -> Outcome:
    """Return what becomes of so many connections."""
    rng = np.random.default_rng(1)
    served = Served(
        Choice(algorithm_of(name), NODES, rng, compiled=compiled), Where(np.full(NODES, -1)), 10 * _SECOND_US
    )
    late = rng.integers(100_000, 1_100_000, (seconds, NODES))
    serial = np.arange(ENDPOINTS)
    served.list_endpoints(_listing(serial), 0, np.full(NODES, BEFORE_US))
    clients = Clients(np.arange(CLIENTS) + (1 << 40), np.arange(CLIENTS) % NODES)
    rate = Constant(round(1000 * connections / seconds))
    served.flow((None, ("Service", "default", "web")), Flow(rate, 200_000, 1.5), clients, 0)
    for second in range(1, seconds):
        now_us = second * _SECOND_US
        served.tell_states(serial[:1], np.array([TERMINATING]), now_us)
        served.tell_states(serial[:1], np.array([GONE]), now_us + _SECOND_US // 2)
        serial = np.append(serial[1:], ENDPOINTS + second)
        served.list_endpoints(_listing(serial), now_us, now_us + late[second])
        served.advance(now_us)
    return served.finish(seconds * _SECOND_US)


def _listing(serial: np.ndarray) -> Listing:
    count = len(serial)
    any_, ready = np.full(count, -1), np.ones(count, bool)
    return Listing(serial, serial % NODES, ready, ~ready, any_, any_, np.full(count, SERVES))


def line(name: str, connections: int) -> list[str]:
    """Return a row of the table."""
    compile_for(algorithm_of(name))
    began, cpu_began = time.perf_counter(), time.process_time()
    steps = run(name, connections).steps
    took, cpu_took = time.perf_counter() - began, time.process_time() - cpu_began
    even = [step for step in steps if step.even and step.shared]
    mean = [step.shared / step.even for step in even]
    most = [step.most / one for step, one in zip(even, mean, strict=True)]
    variation = [max(step.squares / step.even / one**2 - 1, 0) ** 0.5 for step, one in zip(even, mean, strict=True)]
    jain = [step.shared**2 / (step.even * step.squares) for step in even]
    sums = (sum(column) for column in zip(*((s.terminating, s.gone, s.cut) for s in steps), strict=True))
    limit = number(LIMIT) if algorithm_of(name).overhead is None else "–"
    return [
        name if name not in RANDOM else " / ".join(RANDOM), number(took), limit, number(cpu_took),
        *(f"{np.mean(column):.3f}" for column in (most, variation, jain)), *(f"{one:,}" for one in sums),
    ]  # fmt: skip


def main(arguments: Sequence[str]) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.traffic")
    parser.add_argument("algorithms", nargs="*", default=ALGORITHMS, metavar="ALGORITHM")
    parser.add_argument("--connections", type=int, default=CONNECTIONS)
    given = parser.parse_args(arguments)
    rows = []
    for name in given.algorithms:
        rows.append(line(name, given.connections))
        print(f"{name} …", file=sys.stderr)
    print("\n".join(markdown(_HEADER, rows)))


if __name__ == "__main__":
    main(sys.argv[1:])
