"""The plug-ins of resources: NodeResourcesFit and NodeResourcesBalancedAllocation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tests.twin.objects import NodeState, Pod
from tests.twin.plugin import UNRESOLVABLE, UNSCHEDULABLE, Plugin, Skip, Verdict
from tests.twin.quantities import is_extended, is_scalar

CPU_AND_MEMORY: list[dict[str, Any]] = [{"name": "cpu", "weight": 1}, {"name": "memory", "weight": 1}]


class NodeResourcesFit(Plugin):
    """Every resource that is asked for, and one more pod; scores by how much of a node is taken."""

    def filter(self, state: Any, pod: Pod, node: NodeState) -> Verdict:
        ignored = self.arguments.get("ignoredResources") or ()
        ignored_groups = self.arguments.get("ignoredResourceGroups") or ()
        reasons, code = [], UNSCHEDULABLE
        if len(node.pods) + 1 > node.allocatable.get("pods", 0):
            reasons.append("Too many pods")
        for resource, request in pod.requests.items():
            if is_extended(resource) and (resource in ignored or resource.split("/")[0] in ignored_groups):
                continue
            total = node.allocatable.get(resource, 0)
            if 0 < request > total - node.requested[resource]:
                reasons.append(f"Insufficient {resource}")
                if request > total:
                    code = UNRESOLVABLE
        return (code, reasons) if reasons else None

    def score(self, state: Any, pod: Pod, node: NodeState) -> int:
        strategy = self.arguments.get("scoringStrategy") or {"type": "LeastAllocated"}
        parts = []  # weight, taken, allocatable
        for resource in strategy.get("resources") or CPU_AND_MEMORY:
            name = resource["name"]
            nonzero = name in ("cpu", "memory")
            request = pod.scored.get(name, 0)
            total = node.allocatable.get(name, 0)
            if total == 0 or (request == 0 and is_scalar(name)):
                continue
            taken = (node.nonzero if nonzero else node.requested)[name] + request
            parts.append((resource.get("weight") or 1, taken, total))
        match strategy["type"]:
            case "LeastAllocated":
                return _mean([(weight, _least(taken, total)) for weight, taken, total in parts])
            case "MostAllocated":
                return _mean([(weight, min(taken, total) * 100 // total) for weight, taken, total in parts])
        shape = strategy["requestedToCapacityRatio"]["shape"]
        points = [(point["utilization"], point["score"] * 10) for point in shape]
        return _rounded_mean([(weight, _broken_line(points, taken, total)) for weight, taken, total in parts])


def _least(taken: int, total: int) -> int:
    return 0 if taken > total else (total - taken) * 100 // total


def _mean(scores: list[tuple[int, int]]) -> int:
    if not scores:
        return 0
    return sum(weight * score for weight, score in scores) // sum(weight for weight, _ in scores)


def _rounded_mean(scores: list[tuple[int, int]]) -> int:
    """The mean of those above zero, halves rounded up."""
    scores = [(weight, score) for weight, score in scores if score > 0]
    if not scores:
        return 0
    return round_half_up(sum(weight * score for weight, score in scores) / sum(weight for weight, _ in scores))


def round_half_up(number: float) -> int:
    """The nearest whole number, halves away from zero."""
    whole = math.trunc(number)
    if abs(number - whole) >= 0.5:
        whole += 1 if number > 0 else -1
    return whole


def _broken_line(points: list[tuple[int, int]], taken: int, total: int) -> int:
    utilization = 100 if taken > total else taken * 100 // total
    before: tuple[int, int] | None = None
    for x, y in points:
        if utilization <= x:
            if before is None:
                return y
            rise, run = (y - before[1]) * (utilization - before[0]), x - before[0]
            return before[1] + (rise // run if rise >= 0 else -(-rise // run))
        before = x, y
    return points[-1][1]


class NodeResourcesBalancedAllocation(Plugin):
    """Equal shares of all resources are better."""

    def resources(self) -> list[str]:
        return [resource["name"] for resource in self.arguments.get("resources") or CPU_AND_MEMORY]

    def prescore(self, pod: Pod, nodes: Sequence[NodeState]) -> Any:
        if not any(pod.requests.get(name) for name in self.resources()):
            raise Skip

    def score(self, state: Any, pod: Pod, node: NodeState) -> int:
        fractions = []
        for name in self.resources():
            request, total = pod.requests.get(name, 0), node.allocatable.get(name, 0)
            if total == 0 or (request == 0 and is_scalar(name)):
                continue
            fractions.append(min(float(node.requested[name] + request) / float(total), 1.0))
        deviation = 0.0
        if len(fractions) == 2:
            deviation = abs((fractions[0] - fractions[1]) / 2)
        elif len(fractions) > 2:
            mean = added(fractions) / float(len(fractions))
            deviation = math.sqrt(added([(f - mean) * (f - mean) for f in fractions]) / float(len(fractions)))
        return int((1 - deviation) * 100.0)


def added(numbers: list[float]) -> float:
    """The sum, one number after the other: the built-in one may compensate rounding."""
    total = 0.0
    for number in numbers:
        total += number
    return total
