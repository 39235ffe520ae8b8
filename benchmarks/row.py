"""What a workload's row says, and what it expects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from benchmarks.making import Published, Source
from benchmarks.objects import Objects

#: What a limit is held against; the words are what tables print.
UNITS = {
    "seconds": "s", "pods_per_second": "pods/s", "ns_per_node_and_pod": "ns", "peak_mb": "MB",
    "rows_per_second": "rows/s", "growth_percent": "%", "ratio": "times",
}  # fmt: skip
#: Figures that are better the higher they are.
HIGHER = ("pods_per_second", "rows_per_second")


@dataclass(frozen=True)
class Network:
    """What is programmed.

    Attributes:
        mode: of kube-proxy.
        nodes, services, endpoints: how many there are; endpoints of each service port.
        changes_per_second: in the whole cluster.
        seconds: of virtual time.
    """

    mode: str = "iptables"
    nodes: int = 5_000
    services: int = 10_000
    endpoints: int = 50
    changes_per_second: int = 100
    seconds: int = 3_600


@dataclass(frozen=True)
class Expected:
    """What happens in a run: counts, and the fingerprint of the pods (``kscale.engine.ledger.fingerprint``)."""

    counts: Mapping[str, int]
    fingerprint: str = ""


@dataclass(frozen=True)
class Workload:
    """One benchmark.

    Attributes:
        name: as ``pytest benchmarks -k`` takes it.
        doc: one sentence.
        measure: ``run`` (the simulation, in this process), ``command`` (``kscale replay`` with its report, in a process
            of its own), ``read`` (a reader), ``place`` (Kubernetes objects, each pending pod once in the order given),
            ``dump`` (a dump of objects is read), ``network`` (nodes are programmed), ``help`` (``kscale --help``); at
            several sizes: ``growth`` (``run``), ``nodes`` (``place``), ``waiting`` (pods come and go in a full
            cluster).
        source: what it makes.
        sizes: what ``growth``, ``nodes`` and ``waiting`` make instead.
        objects: what ``place`` places, and the numbers of pods and nodes of a ``dump``.
        network: what is programmed.
        labels: words to choose rows by.
        policy, inflate, memo, sample_us: as in ``kscale.simulation.Settings``.
        expected: what happens.
        limits: the most that a figure may come to.
        rounds: runs, of which the least counts.
        cold: start with an empty cache of compiled code.
        full: only run with ``-m slow``.
        gate: pods per second that upstream holds scheduler_perf's workload of the name to.
    """

    name: str
    doc: str
    measure: Literal["run", "command", "read", "growth", "nodes", "waiting", "place", "dump", "network", "help"]
    source: Source | None = None
    sizes: tuple[Source | Objects, ...] = ()
    objects: Objects | None = None
    network: Network | None = None
    labels: tuple[str, ...] = ()
    policy: str = "default"
    inflate: bool = False
    memo: bool = True
    sample_us: int | None = None
    expected: Expected = Expected({})
    limits: Mapping[str, float] = field(default_factory=dict)
    rounds: int = 5
    cold: bool = False
    full: bool = False
    gate: float | None = None

    @property
    def published(self) -> bool:
        """Whether it needs the foreign data."""
        return isinstance(self.source, Published)
