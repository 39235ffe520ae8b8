"""What NetworkPolicies cost to answer: ``python -m benchmarks.netpol`` prints CPU seconds, the least of several runs.

Pods of 20 applications over 50 namespaces on 500 nodes; each policy selects an application of its namespace and allows
others of it and of other namespaces on a port, and a block of addresses. ``--own`` gives every pod a label of its own
that policies read, so that no two are alike: the worst case.
"""

from __future__ import annotations

import argparse
import ipaddress
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.table import markdown, number
from kscale.network.policy.ends import Pod, Port, ends_of
from kscale.network.policy.policies import Peer, Policy, Ports, Rule
from kscale.network.policy.reach import Reach
from kscale.network.policy.rules import Question, rules_of
from kscale.state.descriptions import Selector
from kscale.state.labels import Requirement

NAMESPACES, APPS, TIERS, NODES, TEAMS = 50, 20, 5, 500, 10
_FIRST = int(ipaddress.IPv4Address("10.0.0.5"))


def selector(**labels: str) -> Selector:
    return Selector(tuple(Requirement(key, "In", (value,)) for key, value in sorted(labels.items())))


def pods_of(count: int, rng: np.random.Generator) -> list[Pod]:
    ports = (Port("web", "TCP", 80),)
    return [
        Pod(
            f"ns{row % NAMESPACES}", f"p{row}",
            {"app": f"a{rng.integers(APPS)}", "tier": f"t{rng.integers(TIERS)}", "pod": f"p{row}"},
            (ipaddress.IPv4Address(_FIRST + row),), f"n{row % NODES}", False, ports,
        )
        for row in range(count)
    ]  # fmt: skip


def policies_of(count: int, rng: np.random.Generator, *, own: bool = False) -> list[Policy]:
    def rules() -> tuple[Rule, ...]:
        app, team = selector(app=f"a{rng.integers(APPS)}"), selector(team=f"x{rng.integers(TEAMS)}")
        peers = Peer(app, team), Peer(selector(tier=f"t{rng.integers(TIERS)}"))
        block = ipaddress.IPv4Network((int(rng.integers(60)) * 256 + _FIRST - 5, 24))
        return Rule(peers, (Ports("TCP", 80, 80),)), Rule((Peer(block=block),))

    found = []
    for row in range(count):
        whom = selector(pod=f"p{row}") if own else selector(app=f"a{rng.integers(APPS)}")
        found.append(Policy(f"ns{row % NAMESPACES}", f"q{row}", whom, rules(), rules() if row % 2 else None))
    return found


def namespaces() -> dict[str, dict[str, str]]:
    return {f"ns{row}": {"team": f"x{row % TEAMS}"} for row in range(NAMESPACES)}


def steps(pods: list[Pod], policies: list[Policy]) -> dict[str, float]:
    """Return the CPU seconds of each step, from pods and policies as they were read to the matrix."""
    seconds: dict[str, float] = {}

    def timed(name: str, step: Callable[[], Any]) -> Any:
        began = time.process_time()
        result = step()
        seconds[name] = time.process_time() - began
        return result

    ends = timed("ends", lambda: ends_of(pods, namespaces(), policies))
    rules = timed("rules", lambda: rules_of(policies, ends))
    reach = timed("who is allowed what", lambda: Reach(rules, ends, Question()))
    timed("matrix", reach.matrix)
    seconds["in all"] = sum(seconds.values())
    timed("counts by namespaces", lambda: reach.counts(ends.namespace, ends.namespace, len(ends.namespaces)))
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pods", type=int, default=10_000)
    parser.add_argument("--policies", type=int, default=1_000)
    parser.add_argument("--own", action="store_true")
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    rng = np.random.default_rng(1)
    pods, policies = pods_of(options.pods, rng), policies_of(options.policies, rng, own=options.own)
    least: dict[str, float] = {}
    for _ in range(options.runs):
        for name, seconds in steps(pods, policies).items():
            least[name] = min(least.get(name, seconds), seconds)
    print(f"{options.pods:,} pods under {options.policies:,} policies, CPU seconds, the least of {options.runs} runs\n")
    print("\n".join(markdown(["step", "s"], [[name, number(seconds)] for name, seconds in least.items()])))


if __name__ == "__main__":
    main()
