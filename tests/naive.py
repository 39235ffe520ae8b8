"""The slow and obvious twin of the scheduler and of a pod's life, for tests: dicts, lists, plain integers.

``run`` plays a workload on a cluster; ``feasible``, ``scores`` and ``place`` answer for one pod on one state.
Nothing here is shared with the code under test but the parsing of written labels, taints and terms.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kscale.state.labels import parse_labels, parse_preferred_terms, parse_taints, parse_terms, parse_tolerations
from tests.preempting import Resident, cost_of, helpless, victims_on

SECOND = 1_000_000
LEFTOVER_PERIOD = 30 * SECOND
LEFTOVER_AGE = 300 * SECOND
BACKOFF_FIRST = SECOND
BACKOFF_MOST = 10 * SECOND
DEVICE = 1000
#: What a pod that states nothing counts in the book of the allocation scores.
NONZERO = {"cpu": 100, "memory": 200 * 1024 * 1024}
#: The plug-ins whose rejection the end of a pod may cure.
CURED_BY_AN_END = {"NodeResourcesFit", "GpuShare"}


# Input


@dataclass
class Node:
    """A node; ``allocatable`` holds cpu (milli), memory and ephemeral-storage (bytes), pods, extended resources.

    A resource that is missing is 0. Taints are anything with key, value and effect.
    """

    name: str
    allocatable: dict[str, int]
    labels: dict[str, str] = field(default_factory=dict)
    taints: Sequence[Any] = ()
    unschedulable: bool = False
    gpus: int = 0
    gpu_model: str | None = None


@dataclass
class Spec:
    """What a pod asks for. An amount that is missing or None is not stated.

    Terms are sequences of anything with key, operator and values; ``affinity`` None asks for nothing, while an empty
    sequence of terms matches nothing. ``nonzero`` gives the book of the allocation scores where it does not follow
    from ``requests`` (pods of several containers).
    """

    requests: dict[str, int | None] = field(default_factory=dict)
    gpu_count: int = 0
    gpu_milli: int = 0
    gpu_models: Collection[str] = ()
    priority: int = 0
    node_selector: dict[str, str] = field(default_factory=dict)
    affinity: Sequence[Sequence[Any]] | None = None
    preferred: Sequence[tuple[int, Sequence[Any]]] = ()
    tolerations: Sequence[Any] = ()
    node_name: str | None = None
    nonzero: dict[str, int] | None = None

    def amount(self, resource: str) -> int:
        """The true request."""
        return self.requests.get(resource) or 0

    def nonzero_amount(self, resource: str) -> int:
        """The request in the book of the allocation scores: a default where none is stated, 0 where 0 is stated."""
        if self.nonzero is not None:
            return self.nonzero[resource]
        stated = self.requests.get(resource)
        return NONZERO[resource] if stated is None else stated

    @property
    def shares(self) -> bool:
        """Whether it takes a part of one device."""
        return self.gpu_count == 1 and self.gpu_milli < DEVICE


@dataclass
class Pod:
    """A pod of the workload; ``duration_us`` None never ends, ``end_us`` None is unknown."""

    name: str
    spec: Spec
    arrival_us: int
    duration_us: int | None = None
    end_us: int | None = None


def node_of(row: Mapping[str, Any]) -> Node:
    """A node from a row of a trace's nodes."""
    return Node(
        name=row["name"],
        allocatable={**_amounts(row, 0), "pods": 110 if row.get("pods") is None else row["pods"]},
        labels=parse_labels(row.get("labels")),
        taints=parse_taints(row.get("taints")),
        unschedulable=bool(row.get("unschedulable")),
        gpus=row.get("gpu_count") or 0,
        gpu_model=row.get("gpu_model") or None,
    )


def spec_of(row: Mapping[str, Any]) -> Spec:
    """A spec from a row of a trace's specs; devices without a stated share are taken whole."""
    count = row.get("gpu_count") or 0
    milli = DEVICE if row.get("gpu_milli") is None else row["gpu_milli"]
    return Spec(
        requests=_amounts(row, None),
        gpu_count=count,
        gpu_milli=milli if count else 0,
        gpu_models=tuple(filter(None, (row.get("gpu_models") or "").split("|"))),
        priority=row.get("priority") or 0,
        node_selector=parse_labels(row.get("node_selector")),
        affinity=parse_terms(row.get("node_affinity")),
        preferred=parse_preferred_terms(row.get("preferred_node_affinity")),
        tolerations=parse_tolerations(row.get("tolerations")),
        node_name=row.get("node_name") or None,
    )


def pods_of(rows: Iterable[Mapping[str, Any]], specs: Sequence[Spec]) -> list[Pod]:
    """Pods from the rows of a trace's pods."""
    return [Pod(r["name"], specs[r["spec"]], r["arrival_us"], r.get("duration_us"), r.get("end_us")) for r in rows]


def _amounts(row: Mapping[str, Any], missing: int | None) -> dict[str, Any]:
    names = {"cpu": "cpu_milli", "memory": "memory_bytes", "ephemeral-storage": "ephemeral_storage_bytes"}
    names |= {column.removeprefix("resource."): column for column in row if column.startswith("resource.")}
    return {name: missing if row.get(column) is None else row[column] for name, column in names.items()}


# State


@dataclass
class NodeState:
    """A node and what is taken of it."""

    node: Node
    requested: Counter[str] = field(default_factory=Counter)
    nonzero: Counter[str] = field(default_factory=Counter)
    pods: int = 0
    devices: list[int] = field(init=False)  # free share of each
    tags: Counter[str] = field(default_factory=Counter)  # kinds of the device pods on it

    def __post_init__(self) -> None:
        self.devices = [DEVICE] * self.node.gpus

    def room(self, resource: str) -> int:
        """What is left of a resource."""
        return self.node.allocatable.get(resource, 0) - self.requested[resource]

    def take(self, spec: Spec, devices: Sequence[int] = ()) -> None:
        """Put a pod on the node."""
        self._book(spec, devices, 1)

    def give(self, spec: Spec, devices: Sequence[int] = ()) -> None:
        """Take a pod off the node."""
        self._book(spec, devices, -1)

    def _book(self, spec: Spec, devices: Sequence[int], sign: int) -> None:
        self.pods += sign
        for resource in spec.requests:
            self.requested[resource] += sign * spec.amount(resource)
        for resource in NONZERO:
            self.nonzero[resource] += sign * spec.nonzero_amount(resource)
        for device in devices:
            self.devices[device] -= sign * spec.gpu_milli
        if spec.gpu_count:
            self.tags[tag(spec)] += sign


# Matching


def tolerates(toleration: Any, key: str, value: str, effect: str) -> bool:
    """Whether a toleration covers a taint."""
    if toleration.effect not in ("", effect) or toleration.key not in ("", key):
        return False
    return toleration.operator == "Exists" or (toleration.operator in ("", "Equal") and toleration.value == value)


def tolerated(taint: Any, tolerations: Iterable[Any]) -> bool:
    """Whether any toleration covers a taint."""
    return any(tolerates(t, taint.key, taint.value, taint.effect) for t in tolerations)


def term_matches(term: Sequence[Any], labels: Mapping[str, str]) -> bool:
    """Whether labels meet all requirements of a term; an empty term matches nothing."""
    return bool(term) and all(_requirement_matches(r, labels) for r in term)


def _requirement_matches(requirement: Any, labels: Mapping[str, str]) -> bool:
    value = labels.get(requirement.key)
    match requirement.operator:
        case "In":
            return value in requirement.values
        case "NotIn":
            return value not in requirement.values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
    bound, number = _number(requirement.values[0]), _number(value or "")
    if bound is None or number is None:
        return False
    return number > bound if requirement.operator == "Gt" else number < bound


def _number(text: str) -> int | None:
    """The integer that Gt and Lt compare: a label value has no sign, and it must fit in 64 bits."""
    return int(text) if re.fullmatch("[0-9]+", text) and int(text) < 1 << 63 else None


# Filters: each gives the reasons of its rejection, none if the node passes


def node_unschedulable(state: NodeState, spec: Spec) -> list[str]:
    """A cordoned node needs a toleration of the taint that it would carry."""
    taint = ("node.kubernetes.io/unschedulable", "", "NoSchedule")
    if state.node.unschedulable and not any(tolerates(t, *taint) for t in spec.tolerations):
        return ["node(s) were unschedulable"]
    return []


def node_name(state: NodeState, spec: Spec) -> list[str]:
    """A pod may name its node."""
    wrong = spec.node_name and spec.node_name != state.node.name
    return ["node(s) didn't match the requested node name"] if wrong else []


def taint_toleration(state: NodeState, spec: Spec) -> list[str]:
    """The first taint that keeps pods out and is not tolerated."""
    for taint in state.node.taints:
        if taint.effect in ("NoSchedule", "NoExecute") and not tolerated(taint, spec.tolerations):
            return [f"node(s) had untolerated taint {{{taint.key}: {taint.value}}}"]
    return []


def node_affinity(state: NodeState, spec: Spec) -> list[str]:
    """The node selector and one of the terms."""
    labels = state.node.labels
    selected = all(labels.get(key) == value for key, value in spec.node_selector.items())
    if selected and (spec.affinity is None or any(term_matches(term, labels) for term in spec.affinity)):
        return []
    return ["node(s) didn't match Pod's node affinity/selector"]


def node_resources_fit(state: NodeState, spec: Spec) -> list[str]:
    """Every resource that is asked for, and one more pod."""
    reasons = ["Too many pods"] if state.pods + 1 > state.node.allocatable.get("pods", 0) else []
    for resource in sorted(spec.requests):
        if 0 < spec.amount(resource) > state.room(resource):
            reasons.append(f"Insufficient {resource}")
    return reasons


def gpu_share(state: NodeState, spec: Spec) -> list[str]:
    """Devices of an allowed model with room for the share."""
    if spec.gpu_count == 0:
        return []
    if state.node.gpus and spec.gpu_models and state.node.gpu_model not in spec.gpu_models:
        return ["node(s) had no allowed GPU model"]
    fitting = [free for free in state.devices if free >= spec.gpu_milli]
    return [] if len(fitting) >= spec.gpu_count else ["Insufficient gpu"]


FILTERS: dict[str, Callable[[NodeState, Spec], list[str]]] = {
    "NodeUnschedulable": node_unschedulable,
    "NodeName": node_name,
    "TaintToleration": taint_toleration,
    "NodeAffinity": node_affinity,
    "NodeResourcesFit": node_resources_fit,
    "GpuShare": gpu_share,
}


def rejection(state: NodeState, spec: Spec) -> tuple[str, list[str]] | None:
    """The first filter that rejects the node, with its reasons; None if the pod fits."""
    for plugin, rejects in FILTERS.items():
        reasons = rejects(state, spec)
        if reasons:
            return plugin, reasons
    return None


def feasible(state: NodeState, spec: Spec) -> list[str]:
    """Why the pod cannot go to the node; empty if it can."""
    found = rejection(state, spec)
    return found[1] if found else []


# Scores of kube-scheduler


def taint_score(state: NodeState, spec: Spec, typical: Sequence[Typical]) -> int:
    """How many taints that would rather keep pods out are not tolerated."""
    tolerations = [t for t in spec.tolerations if t.effect in ("", "PreferNoSchedule")]
    return sum(t.effect == "PreferNoSchedule" and not tolerated(t, tolerations) for t in state.node.taints)


def affinity_score(state: NodeState, spec: Spec, typical: Sequence[Typical]) -> int:
    """Sum of the weights of the preferred terms that match."""
    return sum(weight for weight, term in spec.preferred if term_matches(term, state.node.labels))


def least_allocated(state: NodeState, spec: Spec, typical: Sequence[Typical]) -> int:
    """More room is better."""
    return _allocation(state, spec, lambda used, most: 0 if used > most else (most - used) * 100 // most)


def most_allocated(state: NodeState, spec: Spec, typical: Sequence[Typical]) -> int:
    """Less room is better."""
    return _allocation(state, spec, lambda used, most: min(used, most) * 100 // most)


def _allocation(state: NodeState, spec: Spec, score: Callable[[int, int], int]) -> int:
    parts = []
    for resource in ("cpu", "memory"):
        most = state.node.allocatable.get(resource, 0)
        if most:
            parts.append(score(state.nonzero[resource] + spec.nonzero_amount(resource), most))
    return sum(parts) // len(parts) if parts else 0


def balanced_allocation(state: NodeState, spec: Spec, typical: Sequence[Typical]) -> int:
    """Equal shares of cpu and memory are better; a pod that asks for neither gets nothing anywhere."""
    if not spec.amount("cpu") and not spec.amount("memory"):
        return 0
    fractions = []
    for resource in ("cpu", "memory"):
        most = state.node.allocatable.get(resource, 0)
        if most:
            used = state.requested[resource] + spec.amount(resource)
            fractions.append(min(float(used) / float(most), 1.0))
    deviation = abs((fractions[0] - fractions[1]) / 2) if len(fractions) == 2 else 0.0
    return int((1 - deviation) * 100.0)


# Devices: the fragmentation measure and the policies of the FGD paper


@dataclass(frozen=True)
class Typical:
    """A kind of pod and its share of the workload."""

    cpu: int
    gpu_milli: int
    gpu_count: int
    models: tuple[str, ...]
    weight: float


def typical_pods(specs: Iterable[Spec]) -> list[Typical]:
    """The most frequent kinds, one spec given per pod, until they hold 95 % of the pods."""
    counts = Counter((s.amount("cpu"), s.gpu_milli, s.gpu_count, "|".join(sorted(s.gpu_models))) for s in specs)
    total = sum(counts.values())
    kept: list[tuple[int, tuple[int, int, int, str]]] = []
    covered = 0
    for kind, count in sorted(counts.items(), key=lambda item: (item[1], item[0]), reverse=True):
        if covered * 100 >= total * 95:
            break
        kept.append((count, kind))
        covered += count
    return [
        Typical(cpu, milli, gpus, tuple(filter(None, models.split("|"))), (count / total) / (covered / total))
        for count, (cpu, milli, gpus, models) in kept
    ]


def fragmentation(model: str | None, cpu: int, devices: Sequence[int], typical: Sequence[Typical]) -> float:
    """F of a node with so much free cpu and such free devices: what typical pods could not use of the devices.

    The classes are summed apart, then in this order: scores are truncated, so the last bit matters.
    """
    idle = sum(devices)
    classes = {"lacks both": 0.0, "lacks gpu": 0.0, "lacks cpu": 0.0, "cpu only": 0.0, "no cpu": 0.0, "model": 0.0}
    for kind in typical:
        enough_cpu = cpu >= kind.cpu
        enough_gpu = sum(free >= kind.gpu_milli for free in devices) >= kind.gpu_count
        if kind.gpu_milli == 0:
            classes["cpu only" if enough_cpu else "no cpu"] += kind.weight * float(idle)
        elif kind.models and model not in kind.models:
            classes["model"] += kind.weight * float(idle)
        elif enough_cpu and enough_gpu:
            classes["lacks gpu"] += kind.weight * float(sum(free for free in devices if free < kind.gpu_milli))
        elif enough_gpu:
            classes["lacks cpu"] += kind.weight * float(idle)
        else:
            classes["lacks gpu" if enough_cpu else "lacks both"] += kind.weight * float(idle)
    total = 0.0
    for amount in classes.values():  # not sum(), which newer Pythons compensate
        total += amount
    return total


def tag(spec: Spec) -> str:
    """The kind of a device pod, as GpuClustering sees it."""
    return "share" if spec.shares else f"{spec.gpu_count}-gpu"


def best_devices(state: NodeState, spec: Spec) -> tuple[int, ...]:
    """The devices that a pod takes: a sharing pod the fullest that fits, others the first that fit."""
    fitting = [index for index, free in enumerate(state.devices) if free >= spec.gpu_milli]
    if spec.shares:
        fitting.sort(key=lambda index: (state.devices[index], index))
    return tuple(fitting[: spec.gpu_count])


def fgd(state: NodeState, spec: Spec, typical: Sequence[Typical]) -> tuple[int, tuple[int, ...]]:
    """FGD's score of the node, and the devices that give it."""
    options = [best_devices(state, spec)]
    if spec.shares:
        options = [(index,) for index, free in enumerate(state.devices) if free >= spec.gpu_milli]
    model, cpu = state.node.gpu_model, state.room("cpu")
    before = fragmentation(model, cpu, state.devices, typical)
    scored = []
    for option in options:
        devices = [free - spec.gpu_milli * (index in option) for index, free in enumerate(state.devices)]
        after = fragmentation(model, cpu - spec.amount("cpu"), devices, typical)
        scored.append((int(1.0 / (1.0 + math.exp(-(before - after) / 1000)) * 100.0), option))
    return max(scored, key=lambda pair: pair[0])  # the first of equals


def fgd_score(state: NodeState, spec: Spec, typical: Sequence[Typical]) -> int:
    """Less new fragmentation is better."""
    return fgd(state, spec, typical)[0]


def best_fit(state: NodeState, spec: Spec, typical: Sequence[Typical]) -> int:
    """Less cpu and device share left is better."""
    cpu = (state.room("cpu") - spec.amount("cpu")) / 128000 * 0.5
    gpu = (sum(state.devices) - spec.gpu_milli * spec.gpu_count) / 8000 * 0.5
    return int((1.0 - (cpu + gpu)) * 100.0)


def dot_product(state: NodeState, spec: Spec, typical: Sequence[Typical]) -> int:
    """A smaller product of what is free and what is asked for is better."""
    cpu = (state.room("cpu") / 128000) * (spec.amount("cpu") / 128000)
    gpu = (sum(state.devices) / 8000) * (spec.gpu_milli * spec.gpu_count / 8000)
    return int(100.0 * (1 - (cpu + gpu) / 2))


def gpu_packing(state: NodeState, spec: Spec, typical: Sequence[Typical]) -> int:
    """Shared devices before idle devices of a used node, these before an idle node."""
    if spec.gpu_count == 0:
        return 0
    gpus = len(state.devices)
    if all(free == DEVICE for free in state.devices):
        return max(33 - gpus, gpus)
    taken = sorted(free for free in state.devices if free >= spec.gpu_milli)[: spec.gpu_count]
    idle = taken.count(DEVICE)
    if idle:
        return max(50 - idle, 33)
    return max(100 - sum(100 * free // DEVICE for free in taken) // 10, 50)


def gpu_clustering(state: NodeState, spec: Spec, typical: Sequence[Typical]) -> int:
    """Nodes that hold pods of the same kind are better."""
    if spec.gpu_count == 0:
        return 0
    used = 25 * (8000 - sum(state.devices))
    used = used // 8000 if used >= 0 else -(-used // 8000)
    tags = {kind for kind, count in state.tags.items() if count}
    if not tags:
        return used + 25
    if tag(spec) not in tags:
        return used
    return used + (75 if len(tags) == 1 else 50)


# Choosing

Raw = Callable[[NodeState, Spec, Sequence[Typical]], int]

#: Profile: its score plug-ins with their weights.
PROFILES: dict[str, dict[str, tuple[Raw, int]]] = {
    "default": {
        "TaintToleration": (taint_score, 3),
        "NodeAffinity": (affinity_score, 2),
        "NodeResourcesFit": (least_allocated, 1),
        "NodeResourcesBalancedAllocation": (balanced_allocation, 1),
    },
    "LeastAllocated": {"NodeResourcesFit": (least_allocated, 1)},
    "MostAllocated": {"NodeResourcesFit": (most_allocated, 1)},
    "NodeResourcesBalancedAllocation": {"NodeResourcesBalancedAllocation": (balanced_allocation, 1)},
    "DotProd": {"DotProd": (dot_product, 1)},
    "GpuClustering": {"GpuClustering": (gpu_clustering, 1)},
    "GpuPacking": {"GpuPacking": (gpu_packing, 1)},
    "BestFit": {"BestFit": (best_fit, 1)},
    "FGD": {"FGD": (fgd_score, 1)},
}


def normalised(plugin: str, raw: Mapping[int, int]) -> dict[int, int]:
    """Raw scores of the feasible nodes brought to 0 to 100 where the plug-in does so."""
    most = max(raw.values())
    if plugin == "TaintToleration":
        return {node: 100 - 100 * value // most if most else 100 for node, value in raw.items()}
    if plugin == "NodeAffinity":
        return {node: 100 * value // most if most else 0 for node, value in raw.items()}
    return dict(raw)


@dataclass
class Scores:
    """Scores of the feasible nodes, by node index: raw and normalised per plug-in, and the weighted sum."""

    raw: dict[str, dict[int, int]]
    norm: dict[str, dict[int, int]]
    total: dict[int, int]


def scores(
    states: Sequence[NodeState], spec: Spec, profile: str = "default", typical: Sequence[Typical] = ()
) -> Scores:
    """Score one pod on the nodes that it fits on."""
    nodes = [index for index, state in enumerate(states) if rejection(state, spec) is None]
    plugins = PROFILES[profile] if nodes else {}
    raw = {p: {n: score(states[n], spec, typical) for n in nodes} for p, (score, _) in plugins.items()}
    norm = {plugin: normalised(plugin, values) for plugin, values in raw.items()}
    total = {n: sum(weight * norm[p][n] for p, (_, weight) in plugins.items()) for n in nodes}
    return Scores(raw, norm, total)


def place(
    states: Sequence[NodeState], spec: Spec, profile: str = "default", typical: Sequence[Typical] = ()
) -> tuple[int, tuple[int, ...]] | None:
    """The node with the best sum, the first of equals, and the devices on it; None if the pod fits nowhere."""
    total = scores(states, spec, profile, typical).total
    if not total:
        return None
    best = max(total.values())
    node = min(n for n, value in total.items() if value == best)
    if profile == "FGD" and spec.shares:
        return node, fgd(states[node], spec, typical)[1]
    return node, best_devices(states[node], spec)


def message(states: Sequence[NodeState], spec: Spec) -> str:
    """Why the pod fits nowhere, in kube-scheduler's words."""
    return told([rejection(state, spec) for state in states])


def told(rejections: Sequence[tuple[str, list[str]] | None]) -> str:
    """What is said of all nodes, from why each rejects the pod."""
    if not rejections:
        return "no nodes available to schedule pods"
    reasons = Counter(reason for found in rejections if found for reason in found[1])
    parts = sorted(f"{count} {reason}" for reason, count in reasons.items())
    return f"0/{len(rejections)} nodes are available:" + (f" {', '.join(parts)}." if parts else "")


# The queue


@dataclass(eq=False)
class Entry:
    """A pod that waits."""

    index: int
    priority: int
    sequence: int = 0
    failures: int = 0  # consecutive
    failed_us: int = 0
    backoff_us: int = 0  # end of the back-off, in whole seconds
    cured_by_an_end: bool = False
    rejected_by: frozenset[str] = frozenset()  # the plug-ins that turned it away


class Queue:
    """Pods to try now, pods that back off, and pods that rest until something may help them."""

    def __init__(self) -> None:
        self.active: list[Entry] = []
        self.backoff: list[Entry] = []
        self.resting: list[Entry] = []
        self.sequence = 0

    def arrive(self, entry: Entry) -> None:
        """A new pod."""
        self._number(entry)
        self.active.append(entry)

    def pop(self) -> Entry | None:
        """The next pod to try; one that backs off only if no other is there."""
        if self.active:
            entry = min(self.active, key=lambda e: (-e.priority, e.sequence))
            self.active.remove(entry)
        elif self.backoff:
            entry = min(self.backoff, key=lambda e: (e.backoff_us, -e.priority, e.sequence))
            self.backoff.remove(entry)
        else:
            return None
        return entry

    def fail(self, entry: Entry, now: int, cured_by_an_end: bool, cured: bool) -> None:
        """A try found no node; ``cured`` says that something that may help happened during the try."""
        self._number(entry)
        entry.failures += 1
        entry.failed_us = now
        entry.cured_by_an_end = cured_by_an_end
        backoff = min(BACKOFF_FIRST * 2 ** (entry.failures - 1), BACKOFF_MOST)
        entry.backoff_us = (now + backoff) // SECOND * SECOND
        self.resting.append(entry)
        if cured:
            self._return([entry], now)

    def pod_ended(self, now: int) -> None:
        """Wake those whom the end of a pod may help."""
        self._return([e for e in self.resting if e.cured_by_an_end], now)

    def flush(self, now: int) -> None:
        """The timers: back-offs at whole seconds, those who rest too long at multiples of 30 seconds."""
        if now % SECOND == 0:
            for entry in [e for e in self.backoff if not self._backs_off(e, now)]:
                self.backoff.remove(entry)
                self.active.append(entry)
        if now % LEFTOVER_PERIOD == 0:
            self._return([e for e in self.resting if now - e.failed_us > LEFTOVER_AGE], now)

    def timers(self, now: int) -> list[int]:
        """When the timers have something to do next."""
        times = [(now // SECOND + 1) * SECOND] if self.backoff else []
        for entry in self.resting:
            times.append(((entry.failed_us + LEFTOVER_AGE) // LEFTOVER_PERIOD + 1) * LEFTOVER_PERIOD)
        return times

    def waiting(self) -> list[Entry]:
        """All pods in the queue."""
        return self.active + self.backoff + self.resting

    def remove(self, entry: Entry) -> None:
        """A pod leaves."""
        for part in (self.active, self.backoff, self.resting):
            if entry in part:
                part.remove(entry)

    def _number(self, entry: Entry) -> None:
        entry.sequence = self.sequence
        self.sequence += 1

    def _return(self, entries: list[Entry], now: int) -> None:
        for entry in entries:
            self.resting.remove(entry)
            (self.backoff if self._backs_off(entry, now) else self.active).append(entry)

    def _backs_off(self, entry: Entry, now: int) -> bool:
        return entry.backoff_us >= now // SECOND * SECOND


# The run


@dataclass
class Result:
    """What became of a pod; times are None where they did not come."""

    status: str = "waiting"
    node: int | None = None
    devices: tuple[int, ...] = ()
    decision: int | None = None  # order of binding
    arrived_us: int | None = None
    first_failed_us: int | None = None
    bound_us: int | None = None
    started_us: int | None = None
    ended_us: int | None = None
    attempts: int = 0
    reason: str | None = None  # of the last failed try
    victims: int = 0  # pods that were evicted for it
    preempted_by: int | None = None  # the pod it was evicted for


@dataclass
class Try:
    """A pod in the scheduler's hands until ``done_us``; what it needs is taken already."""

    entry: Entry
    done_us: int
    place: tuple[int, tuple[int, ...]] | None
    reason: str
    cured_by_an_end: bool
    rejected_by: frozenset[str] = frozenset()
    pod_ended: bool = False
    node_helps: bool = False
    left: bool = False


class Simulation:
    """A cluster, a workload and a clock."""

    def __init__(
        self, nodes: Sequence[Node], pods: Sequence[Pod], profile: str, ends: str, inflate: bool, cost: int,
        typical: Sequence[Typical],
    ) -> None:  # fmt: skip
        self.states = [NodeState(node) for node in nodes]
        self.pods = pods
        self.results = [Result() for _ in pods]
        self.profile, self.recorded, self.inflate = profile, ends == "recorded", inflate
        self.cost, self.typical = cost, typical
        self.arrivals = sorted(range(len(pods)), key=lambda index: pods[index].arrival_us)
        self.queue = Queue()
        self.trying: Try | None = None
        self.ends: list[tuple[int, int, int]] = []  # (time, decision, pod) of running pods that end
        self.decisions = 0
        self.now = 0
        self.preempts = not inflate and len({pod.spec.priority for pod in pods}) > 1
        self.nominated: dict[int, int] = {}  # pods that wait for a node that was cleared for them
        self.there = [True] * len(nodes)

    def next_time(self) -> int | None:
        """The time of the next event, None when all is over; those who rest do not keep the run going."""
        times = [self.pods[self.arrivals[0]].arrival_us] if self.arrivals else []
        times += [end for end, _, _ in self.ends]
        times += [end for entry in self.waiting() if (end := self.recorded_end(entry)) is not None]
        times += [self.trying.done_us] if self.trying else []
        times += self.node_times()
        if not times:
            return None
        return max(self.now, min(times + self.queue.timers(self.now)))

    def step(self, now: int) -> None:
        """One instant, phase by phase."""
        self.now = now
        self.end_pods()
        self.change_nodes()
        self.admit_pods()
        self.queue.flush(now)
        if self.trying and self.trying.done_us <= now:
            self.finish(self.trying)
        while self.trying is None and (entry := self.queue.pop()):
            self.attempt(entry)

    def end_pods(self) -> None:
        """Running pods end, in the order of their ends and bindings; pods that still wait at their end leave."""
        for end in sorted(end for end in self.ends if end[0] <= self.now):
            self.ends.remove(end)
            index = end[2]
            result = self.results[index]
            self.states[result.node].give(self.pods[index].spec, result.devices)
            result.status, result.ended_us = "succeeded", self.now
            self.queue.pod_ended(self.now)
            if self.trying:
                self.trying.pod_ended = True
        for entry in self.waiting():
            end_us = self.recorded_end(entry)
            if end_us is not None and end_us <= self.now:
                self.queue.remove(entry)
                self.nominated.pop(entry.index, None)
                result = self.results[entry.index]
                result.status, result.ended_us = "failed", self.now
                if self.trying and self.trying.entry is entry:
                    self.trying.left = True

    def node_times(self) -> list[int]:
        """When nodes change; see tests.turning."""
        return []

    def change_nodes(self) -> None:
        """Nodes change."""

    def waiting(self) -> list[Entry]:
        """Pods that wait, the one whose try fails included."""
        hopeless = self.trying and self.trying.place is None and not self.trying.left
        return self.queue.waiting() + ([self.trying.entry] if hopeless else [])

    def recorded_end(self, entry: Entry) -> int | None:
        """When a waiting pod gives up."""
        return self.pods[entry.index].end_us if self.recorded and not self.inflate else None

    def admit_pods(self) -> None:
        """Pods arrive: all that are due, or one at a time."""
        while self.arrivals and self.pods[self.arrivals[0]].arrival_us <= self.now:
            index = self.arrivals.pop(0)
            self.results[index].arrived_us = self.now
            self.queue.arrive(Entry(index, self.pods[index].spec.priority))
            if self.inflate:
                break

    def attempt(self, entry: Entry) -> None:
        """Try a pod; the result counts when the scheduler is done with it."""
        spec = self.pods[entry.index].spec
        self.results[entry.index].attempts += 1
        rejections = {node: self.rejects(node, entry.index) for node, there in enumerate(self.there) if there}
        fits = [node for node, found in rejections.items() if not found]
        if self.nominated.get(entry.index) in fits:  # whatever others score
            fits = [self.nominated[entry.index]]
        found = place([self.states[node] for node in fits], spec, self.profile, self.typical)
        where = (fits[found[0]], found[1]) if found else None
        rejected_by = frozenset(found[0] for found in rejections.values() if found)
        curable = bool(rejected_by & CURED_BY_AN_END)
        if where:
            self.states[where[0]].take(spec, where[1])
        elif self.preempts:
            self.preempt(entry.index, rejections)
        reason = "" if where else told(list(rejections.values()))
        self.trying = Try(entry, self.now + self.cost, where, reason, curable, rejected_by)
        if self.cost == 0:
            self.finish(self.trying)

    def rejects(self, node: int, index: int) -> tuple[str, list[str]] | None:
        """Why a pod cannot go to a node: first as if those were there that wait for it, and are no less important.

        Which devices these will take is not known yet: they take none.
        """
        spec, state = self.pods[index].spec, self.states[node]
        others = [
            self.pods[other].spec for other, wanted in self.nominated.items()
            if other != index and wanted == node and self.pods[other].spec.priority >= spec.priority
        ]  # fmt: skip
        for other in others:
            state.take(other)
        found = rejection(state, spec)
        for other in others:
            state.give(other)
        return found or rejection(state, spec)

    def preempt(self, index: int, rejections: Mapping[int, tuple[str, list[str]] | None]) -> None:
        """Evict others for the pod, on the node where that costs least, and let it wait for that node."""
        spec = self.pods[index].spec
        self.nominated.pop(index, None)
        residents: list[list[Resident]] = [[] for _ in self.states]
        for other, result in enumerate(self.results):
            if result.status == "running" and result.node is not None:
                assert result.bound_us is not None and result.decision is not None
                residents[result.node].append(
                    Resident(other, self.pods[other].spec, result.devices, result.bound_us, result.decision)
                )
        found = {}
        for node, rejected in rejections.items():
            if rejected and not helpless(self.states[node], spec, *rejected):
                victims = victims_on(self.states[node], spec, residents[node], lambda n=node: self.rejects(n, index))
                if victims:
                    found[node] = victims
        if not found:
            return
        cleared = min(found, key=lambda node: (cost_of(found[node]), node))
        for victim in found[cleared]:
            self.evict(victim, cleared, index)
        self.results[index].victims += len(found[cleared])
        for other, node in [*self.nominated.items()]:
            if node == cleared and self.pods[other].spec.priority < spec.priority:
                del self.nominated[other]
        self.nominated[index] = cleared

    def evict(self, victim: Resident, node: int, preemptor: int) -> None:
        """A running pod makes room."""
        self.states[node].give(victim.spec, victim.devices)
        self.ends = [end for end in self.ends if end[2] != victim.index]
        result = self.results[victim.index]
        result.status, result.ended_us, result.preempted_by = "evicted", self.now, preemptor
        self.queue.pod_ended(self.now)

    def finish(self, tried: Try) -> None:
        """The scheduler is done with a pod: bind it, or let it rest."""
        self.trying = None
        if tried.place:
            self.bind(tried.entry.index, tried.place)
        elif not tried.left:
            result = self.results[tried.entry.index]
            result.reason = tried.reason
            result.first_failed_us = self.now if result.first_failed_us is None else result.first_failed_us
            if self.inflate:
                result.status = "refused"
            else:
                cured = (tried.cured_by_an_end and tried.pod_ended) or tried.entry.index in self.nominated
                cured = cured or tried.node_helps
                tried.entry.rejected_by = tried.rejected_by
                self.queue.fail(tried.entry, self.now, tried.cured_by_an_end, cured)

    def bind(self, index: int, where: tuple[int, tuple[int, ...]]) -> None:
        """A pod is bound and starts."""
        pod, result = self.pods[index], self.results[index]
        self.nominated.pop(index, None)
        result.status, (result.node, result.devices) = "running", where
        result.decision, result.bound_us, result.started_us = self.decisions, self.now, self.now
        self.decisions += 1
        if self.inflate:
            return
        if self.recorded and pod.end_us is not None:
            self.ends.append((max(pod.end_us, self.now), result.decision, index))
        elif pod.duration_us is not None:
            self.ends.append((self.now + pod.duration_us, result.decision, index))


def run(
    nodes: Sequence[Node],
    pods: Sequence[Pod],
    *,
    profile: str = "default",
    ends: str = "service",
    inflate: bool = False,
    scheduler_us_per_pod: int = 0,
    until_us: int | None = None,
    typical: Sequence[Typical] | None = None,
) -> list[Result]:
    """Play the workload; one result per pod, in the order given.

    Args:
        nodes: the cluster.
        pods: the workload, in any order; equal arrivals keep the order given.
        profile: one of ``PROFILES``.
        ends: "service": a pod runs its duration from its start. "recorded": it ends at its recorded end.
        inflate: pods come one by one, nothing ends, a pod that does not fit is refused for good.
        scheduler_us_per_pod: how long a decision takes.
        until_us: events later than this do not happen.
        typical: the typical pods of FGD; by default those of ``pods``.
    """
    if typical is None:
        typical = typical_pods(pod.spec for pod in pods) if profile == "FGD" else ()
    simulation = Simulation(nodes, pods, profile, ends, inflate, scheduler_us_per_pod, typical)
    while (now := simulation.next_time()) is not None and (until_us is None or now <= until_us):
        simulation.step(now)
    return simulation.results
