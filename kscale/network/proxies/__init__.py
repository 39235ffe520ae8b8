"""kube-proxy's modes: each module here says what one mode writes into a node, and what that costs.

To add a mode (eBPF, say), add a module that declares a ``Mode``, and its test,
``tests/network/proxies/test_<module>.py``; one that lives outside the package is an entry point of the group
``kscale.network.proxies``. A mode brings its own options and parameters; what several share is in ``common``.

Every function of a mode takes a ``Case``: the service ports that kube-proxy sees, the mode's options and parameters. It
must be vectorised over the rows of ``Ports``, and depend on nothing but the case. Costs are CPU time of one core.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any, Protocol

import numpy as np

from kscale import shelf
from kscale.errors import InputError, nearest
from kscale.network.parameters import Parameter, Parameters
from kscale.network.ports import Ports
from kscale.network.proxies.common.paths import FORWARD, Path, Step
from kscale.network.proxies.common.rows import SHARED

__all__ = [
    "AFFINITY_NEW", "AFFINITY_STUCK", "HIT", "NODE_PORT", "OTHER", "PACKETS",
    "Case", "Change", "Memory", "Mode", "Option", "Path", "Platform", "Programming", "Since", "Step", "Structure",
    "Versions", "case", "found", "parameters",
]  # fmt: skip

#: First packets of connections: to a ClusterIP, to an address that is no Service's, to a node port, to a ClusterIP with
#: session affinity from a client that is new, or that sticks to an endpoint.
HIT, OTHER, NODE_PORT, AFFINITY_NEW, AFFINITY_STUCK = "hit", "other", "node-port", "affinity-new", "affinity-stuck"
PACKETS = (HIT, OTHER, NODE_PORT, AFFINITY_NEW, AFFINITY_STUCK)


@dataclass(frozen=True)
class Option:
    """A choice among variants of a mode: its name, its words, which one holds unless another is asked for, and why."""

    name: str
    choices: tuple[str, ...]
    default: str
    about: str


@dataclass(frozen=True)
class Case:
    """What a mode is asked about. Make it with ``case``, which checks the options.

    Attributes:
        mode: the mode that is asked.
        ports: the service ports.
        options: the mode's options, each with a choice.
        parameters: the numbers of the model.
        connections: entries of the connection table, at the time of the packet.
        node_addresses: addresses of the node on which node ports are open.
        cpus: processors of the node: counters of rules are kept for each.
        weights: float64, one a row of ``ports``: how many connections go to it; all alike without it.
    """

    mode: Mode
    ports: Ports
    options: Mapping[str, str]
    parameters: Parameters
    connections: int = 0
    node_addresses: int = 1
    cpus: int = 2
    weights: Any = field(default=None, compare=False)

    @property
    def name(self) -> str:
        """The mode and the choices that are not the usual ones: ``iptables nft``."""
        usual = {option.name: option.default for option in self.mode.options}
        return " ".join([self.mode.name, *(choice for name, choice in self.options.items() if choice != usual[name])])

    @property
    def most_connections(self) -> int:
        """Entries that the connection table takes, as kube-proxy sets it; when it is full, new ones are dropped."""
        each, least = self.parameters["conntrack_per_core"], self.parameters["conntrack_least"]
        return int(max(each * self.cpus, least))

    @cached_property
    def served(self) -> int:
        """Service ports for which something is written: those with an address and an endpoint."""
        return int(np.count_nonzero(self.ports.reachable))

    @cached_property
    def endpoints(self) -> int:
        """Endpoints of these, each as often as service ports have it."""
        return int(self.ports.reachable.sum())

    @cached_property
    def external(self) -> int:
        """External addresses and load balancers' addresses of these, port by port."""
        return int(self.ports.external_addresses[self.ports.endpoints > 0].sum())


@dataclass(frozen=True)
class Structure:
    """What a mode has written into the node: exact counts.

    Attributes:
        rules: by table.
        chains: by table.
        lists: rules that a packet may have to pass one by one, by the chain they stand in.
        elements: entries of each named set or map.
        anonymous_maps: maps that stand within a rule.
        anonymous_elements: entries of these.
        affinity_sets: sets of clients that stick to an endpoint.
        addresses: on the device ``kube-ipvs0``.
        virtual_servers: of IPVS.
        real_servers: of IPVS, each as often as virtual servers have it.
        listeners: sockets on which kube-proxy itself accepts connections.
    """

    rules: Mapping[str, int]
    chains: Mapping[str, int]
    lists: Mapping[str, int] = field(default_factory=dict)
    elements: Mapping[str, int] = field(default_factory=dict)
    anonymous_maps: int = 0
    anonymous_elements: int = 0
    affinity_sets: int = 0
    addresses: int = 0
    virtual_servers: int = 0
    real_servers: int = 0
    listeners: int = 0


@dataclass(frozen=True)
class Change:
    """What is new at a sync: service ports whose endpoints or addresses changed, and endpoints that came or went."""

    services: int = 1
    endpoints: int = 1


@dataclass(frozen=True)
class Programming:
    """What a sync costs, in seconds of CPU; about its wall time on an idle core.

    Attributes:
        full_s: writing everything, as after a start.
        incremental_s: writing one change.
        build_full_s: kube-proxy's own work before a full one.
        build_incremental_s: and before one change.
        periodic_s: what is done again from time to time though nothing changed; without kube-proxy's own work.
    """

    full_s: float
    incremental_s: float
    build_full_s: float
    build_incremental_s: float
    periodic_s: float


@dataclass(frozen=True)
class Memory:
    """Memory in bytes: in the kernel, of the client program at its peak (full sync), and resident in kube-proxy."""

    kernel_bytes: float
    client_peak_bytes: float
    kube_proxy_bytes: float


@dataclass(frozen=True)
class Versions:
    """Kubernetes versions as (major, minor): when a mode came and when it goes; None: not known to.

    Attributes:
        stable: general availability.
        deprecated: from here on its use is warned of.
        gate: from here on it needs a feature gate, which is on.
        off: from here on that gate is off unless it is turned on.
        removed: from here on there is no such mode.
        fallback: the mode that takes its place where the node lacks what it needs.
        fallback_until: from here on kube-proxy ends with an error instead.
        kernel: the oldest Linux kernel, as (major, minor), on which kube-proxy runs it.
        source: of these.
    """

    stable: tuple[int, int] | None
    source: str
    deprecated: tuple[int, int] | None = None
    gate: tuple[int, int] | None = None
    off: tuple[int, int] | None = None
    removed: tuple[int, int] | None = None
    fallback: str = ""
    fallback_until: tuple[int, int] | None = None
    kernel: tuple[int, int] | None = None

    def status(self, version: tuple[int, int]) -> str:
        """Return ``available``, ``deprecated``, ``gated``, ``off`` or ``removed`` for a version of Kubernetes."""
        since = (("removed", self.removed), ("off", self.off), ("gated", self.gate), ("deprecated", self.deprecated))
        return next((word for word, first in since if first is not None and version >= first), "available")

    def falls_back(self, version: tuple[int, int], policy: str = "version") -> str:
        """Return the mode that runs where the node lacks what this one needs; ``error`` where kube-proxy ends.

        ``policy``: ``error`` or a mode's name holds for all versions; ``version`` is what that version does.
        """
        if policy != "version":
            return policy
        known = self.fallback and self.fallback_until is not None and version < self.fallback_until
        return self.fallback if known else "error"


@dataclass(frozen=True)
class Platform:
    """What a node runs: versions of Kubernetes and of its Linux kernel, as (major, minor).

    Without others said, those of the sources that modes were read from, and of Ubuntu 24.04.
    """

    kubernetes: tuple[int, int] = (1, 34)
    kernel: tuple[int, int] = (6, 8)


@dataclass(frozen=True)
class Since:
    """An option of a mode is another one from a version on; of several rows about an option the last one holds.

    Attributes:
        what: whose version, ``kubernetes`` or ``kernel``.
        version: the first with it, as (major, minor).
        option, choice: what is so from here on.
        source: where that is from.
    """

    what: str
    version: tuple[int, int]
    option: str
    choice: str
    source: str


class Later(Protocol):
    """What a later packet passes, of a connection that began with such a ``packet``."""

    def __call__(self, case: Case, packet: str = HIT) -> Path:
        """Return the path."""


@dataclass(frozen=True)
class Mode:
    """One mode of kube-proxy.

    Attributes:
        name: as kube-proxy's option ``--proxy-mode`` has it.
        about: one line.
        options: variants.
        parameters: the rows that it brings, beside the shared ones.
        structure: exact counts of what it writes.
        first: what the first packet of a connection passes, and how long that takes; None where no port is of its kind.
        later: what a later packet passes.
        programming: what syncs cost.
        memory: what it takes.
        balancing: names of the algorithms that choose an endpoint.
        versions: of Kubernetes.
        min_sync: name of the parameter for ``minSyncPeriod``: syncs are at least so far apart.
        resync: name of the parameter for the time after which it is all looked at or written again.
        variants: choices that a curve shows beside each other.
        since: options that follow from what a node runs, in the order of versions.
        onward: where in netfilter what was sent to a Service goes on to its endpoint, and policies stand: forwarded, or
            sent by the node; empty where kube-proxy itself opens another connection.
    """

    name: str
    about: str
    options: tuple[Option, ...]
    parameters: tuple[Parameter, ...]
    structure: Callable[[Case], Structure]
    first: Callable[[Case, str], Path | None]
    later: Later
    programming: Callable[[Case, Change], Programming]
    memory: Callable[[Case], Memory]
    balancing: tuple[str, ...]
    versions: Versions
    min_sync: str
    resync: str
    variants: tuple[Mapping[str, str], ...] = ({},)
    since: tuple[Since, ...] = ()
    onward: str = FORWARD

    @property
    def outlook(self) -> str:
        """One sentence about a mode that is on its way out, or gone; empty for others."""
        words = {"deprecated": "deprecated since", "gate": "behind a gate from", "off": "off by default from",
                 "removed": "removed in"}  # fmt: skip
        found = {text: getattr(self.versions, name) for name, text in words.items()}
        told = [f"{text} {version[0]}.{version[1]}" for text, version in found.items() if version is not None]
        return f"Kubernetes' mode {self.name}: {', '.join(told)}; {self.versions.source}" if told else ""

    def suiting(self, platform: Platform) -> dict[str, str]:
        """Return the options that follow from what a node runs."""
        return {row.option: row.choice for row in self.since if getattr(platform, row.what) >= row.version}

    def chosen(self, given: Mapping[str, str]) -> dict[str, str]:
        """Return a choice for every option. Raises InputError where an option or a choice is unknown."""
        known = {option.name: option for option in self.options}
        for name, choice in given.items():
            if name not in known:
                raise InputError(
                    f"the mode {self.name} has no option '{name}'{nearest(name, known)}",
                    expected=f"one of {', '.join(known)}" if known else "none",
                )
            choices = known[name].choices
            if choice not in choices:
                raise InputError(
                    f"there is no '{choice}'{nearest(choice, choices)}",
                    field=name,
                    expected=f"one of {', '.join(choices)}",
                )
        return {name: given.get(name, option.default) for name, option in known.items()}


@cache
def found() -> dict[str, Mode]:
    """Return every mode, by its name."""
    return shelf.declared(__name__, Mode)


@cache
def parameters() -> Parameters:
    """Return every parameter: the shared ones, then those of each mode."""
    return Parameters([*SHARED, *(row for mode in found().values() for row in mode.parameters)])


def case(
    mode: Mode, ports: Ports, options: Mapping[str, str] | None = None, numbers: Parameters | None = None, **rest: Any
) -> Case:
    """Return what ``mode`` is asked about; ``rest`` are further attributes of ``Case``. Raises InputError."""
    weights = rest.get("weights")
    if weights is not None:
        weights = rest["weights"] = np.asarray(weights, np.float64)
        if weights.shape != (len(ports),) or not (np.isfinite(weights).all() and (weights >= 0).all()):
            raise InputError("are no weights of the ports", field="weights", expected="a number of 0 or more for each")
    for name in ("connections", "node_addresses", "cpus"):
        if rest.get(name, 0) < 0:
            raise InputError(f"is {rest[name]}", field=name, expected="0 or more")
    made = Case(mode, ports, mode.chosen(options or {}), numbers if numbers is not None else parameters(), **rest)
    if made.connections > made.most_connections:
        most = f"{made.most_connections:,} at most with {made.cpus} processors: in a full table new ones are dropped"
        raise InputError(f"is {made.connections:,}", field="connections", expected=most)
    return made
