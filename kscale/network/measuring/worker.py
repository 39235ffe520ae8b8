"""The child process that measures: ``python -m kscale.network.measuring.worker PARENT PLAN``, rows on standard output.

The plan is JSON: what to measure, for how long. Each line that it writes is JSON: a row of the table, a note, or why a
backend was left out. All that it makes belongs to it: when it ends, or its parent does, everything is gone.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import re
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kscale.network.measuring import backends, layout, namespaces, programs, traffic
from kscale.network.measuring.backends import Backend, Command
from kscale.network.measuring.layout import Load
from kscale.network.measuring.namespaces import Namespaces

#: Most rounds of packets for one case, most repetitions of one load; a load that takes longer is not repeated.
ROUNDS, REPEATS, _QUICK_S = 2_000, 5, 0.25
#: Part of a case's time that is for packets.
_PACKETS = 0.6
#: Fewer bytes of the kernel's memory are lost in what else the machine does.
_LEAST_HELD = 4 * 2**20
#: Two Services: one rule for connections, one for datagrams.
_BASE = Load(2, 1)


def _tell(**words: Any) -> None:
    sys.stdout.write(json.dumps(words) + "\n")
    sys.stdout.flush()


def links(spaces: Namespaces) -> None:
    """Join client, gateway and server, and let the gateway forward. Raises Failed, OSError."""
    with spaces.within("gateway"):
        batch = (
            f"link add c type veth peer name e netns {spaces.path('client')}\n"
            f"link add s type veth peer name e netns {spaces.path('server')}\n"
            f"addr add {layout.GATEWAY_OF_CLIENT}/{layout.PREFIX} dev c\n"
            f"addr add {layout.GATEWAY_OF_SERVER}/{layout.PREFIX} dev s\n"
            "link set lo up\nlink set c up\nlink set s up\n"
            f"route add {layout.PODS} via {layout.SERVER}\n"
        )
        programs.run(("ip", "-batch", "-"), batch)
        namespaces.set_number("net/ipv4/ip_forward", 1)
    for name, own, gateway, more in (
        ("client", layout.CLIENT, layout.GATEWAY_OF_CLIENT, ""),
        # Every pod's address is the server's own.
        ("server", layout.SERVER, layout.GATEWAY_OF_SERVER, f"route add local {layout.PODS} dev lo\n"),
    ):
        with spaces.within(name):
            up = f"addr add {own}/{layout.PREFIX} dev e\nlink set lo up\nlink set e up\n"
            up += f"route add default via {gateway}\n"
            programs.run(("ip", "-batch", "-"), up + more)


def _kernel_bytes(field: str) -> int:
    found = re.search(rf"^{field}:\s+(\d+) kB$", Path("/proc/meminfo").read_text(), re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def _run(commands: Sequence[Command], until: float) -> tuple[float, int]:
    """Run commands in the gateway; return CPU seconds in all and the largest peak."""
    cpu_s, peak = 0.0, 0
    for command in commands:
        done = programs.run(command.words, command.text, until - time.monotonic())
        cpu_s, peak = cpu_s + done.cpu_s, max(peak, done.peak_bytes)
    return cpu_s, peak


class Case:
    """One backend with one load, and the rows that come of it."""

    def __init__(self, backend: Backend, load: Load, until: float, last: float) -> None:
        """``until``: when the case should be over; ``last``: when it must be, both of the monotonic clock."""
        self.backend, self.load, self.until, self.last = backend, load, until, last

    @property
    def name(self) -> str:
        """For people."""
        if not self.backend.mode:
            return self.backend.name
        return f"{self.backend.name}, {self.load.services:,} Services with {self.load.endpoints:,} each"

    def _row(self, kind: str, what: str, value: float, unit: str, samples: int, position: int | None = None) -> None:
        _tell(row={
            "kind": kind, "what": what, "backend": self.backend.name,
            "services": self.load.services if self.backend.mode or self.backend.name == "dnat" else 0,
            "endpoints": self.load.endpoints, "position": position, "cache": "warm" if kind == "latency" else None,
            "value": value, "unit": unit, "samples": samples,
        })  # fmt: skip

    def measure(self) -> None:
        """Load, send packets, load again. Raises Failed, Unreached, OSError."""
        took = []
        with Namespaces() as spaces:
            took.append(self._load(spaces))
            self._packets(spaces)
            self._changes(spaces)
        while self.backend.mode and len(took) < REPEATS and took[-1] <= _QUICK_S and time.monotonic() < self.until:
            with contextlib.suppress(programs.TooLong), Namespaces() as spaces:
                took.append(self._load(spaces, again=True))
        if self.backend.mode:
            self._row("load", "full", statistics.median(took), "s", len(took))

    def _load(self, spaces: Namespaces, *, again: bool = False) -> float:
        """Write everything into an empty gateway; return CPU seconds."""
        links(spaces)
        with spaces.within("gateway"):
            _run(self.backend.prepare(self.load), self.last)
            commands = self.backend.full(self.load)
            before = _kernel_bytes(self.backend.memory)
            cpu_s, peak = _run(commands, self.last)
            held = _kernel_bytes(self.backend.memory) - before
        if self.backend.memory and not again and held >= _LEAST_HELD:
            self._row("memory", "kernel", held, "bytes", 1)
            if peak:
                self._row("memory", "client", peak, "bytes", 1)
        return cpu_s

    def _packets(self, spaces: Namespaces) -> None:
        targets = {protocol: self.load.targets(protocol) for protocol in layout.PORTS}
        if self.backend.name == "dnat":
            # One of the two rules is for each protocol: what the other costs is lost in what an address takes.
            targets = {protocol: [(1, known[1][1])] for protocol, known in targets.items()}
        elif not self.backend.mode:
            targets = {protocol: known[:1] for protocol, known in targets.items()}
        now = time.monotonic()
        until = min(now + max(_PACKETS * (self.until - now), 0.1), self.last)
        # Caches, neighbours and branch predictors settle first.
        traffic.measure(spaces, targets, 50, until)
        gc.disable()
        for found in traffic.measure(spaces, targets, ROUNDS, until):
            for place, times in found.by_place.items():
                self._row("latency", found.what, statistics.median(times) / 1000, "us", len(times), place)
        gc.enable()

    def _changes(self, spaces: Namespaces) -> None:
        if self.backend.change is None:
            return
        with spaces.within("gateway"):
            changes = [self.backend.change(self.load, turn) for turn in range(REPEATS)]
            self._repeat("change", changes)
            for what, commands in self.backend.timed(self.load).items():
                self._repeat(what, [commands] * REPEATS)

    def _repeat(self, what: str, turns: list[list[Command]]) -> None:
        took: list[float] = []
        for commands in turns:
            try:
                took.append(_run(commands, self.last)[0])
            except programs.TooLong:
                break
            if time.monotonic() > self.until or took[-1] > _QUICK_S:
                break
        if took:
            self._row("load", what, statistics.median(took), "s", len(took))
        else:
            _tell(late=f"{self.name}, {what}")


def run(plan: dict[str, Any]) -> None:
    """Measure a plan, backend by backend from the least number of Services to the most; what fails is told."""
    found, last = backends.found(), time.monotonic() + plan["seconds"]
    cases = [(found[name], _BASE) for name in ("none", "conntrack", "dnat")]
    cases += [
        (found[name], Load(services, endpoints))
        for endpoints in sorted(plan["endpoints"])
        for services in sorted(plan["services"])
        for name in plan["backends"]
    ]  # fmt: skip
    failed: set[str] = set()
    for place, (backend, load) in enumerate(cases):
        now = time.monotonic()
        case = Case(backend, load, now + (last - now) / (len(cases) - place), last)
        if backend.name in failed:
            continue
        if now >= last:
            _tell(late=case.name)
            continue
        _tell(begun=case.name)
        try:
            case.measure()
        except programs.TooLong:
            _tell(late=case.name)
        except (programs.Failed, traffic.Unreached, OSError) as error:
            failed.add(backend.name)
            _tell(failed=backend.name, why=str(error.strerror if isinstance(error, OSError) else error))


def main() -> None:
    """Measure the plan that the command line states, as a child of the process that it states."""
    namespaces.die_with(int(sys.argv[1]))
    # One processor, the last that there is: the first ones take the interrupts.
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    run(json.loads(sys.argv[2]))


if __name__ == "__main__":
    main()
