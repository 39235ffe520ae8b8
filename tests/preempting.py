"""Preemption of the plain twin: whom a pod that found no node would evict, node by node."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Resident:
    """A pod that runs on a node; ``order`` is that of the bindings."""

    index: int
    spec: Any
    devices: tuple[int, ...]
    bound_us: int
    order: int

    @property
    def importance(self) -> tuple[int, int, int]:
        """The most important first: by priority, then who began first."""
        return -self.spec.priority, self.bound_us, self.order


def victims_on(
    state: Any, spec: Any, residents: Sequence[Resident], rejects: Callable[[], Any]
) -> list[Resident] | None:
    """Whom the pod would evict from the node; None if even all of lower priority are not enough.

    All of them go; then each comes back, the most important first, if the pod still fits beside it. The node is left
    as it was.
    """
    lower = sorted((r for r in residents if r.spec.priority < spec.priority), key=lambda r: r.importance)
    for resident in lower:
        state.give(resident.spec, resident.devices)
    victims = []
    enough = bool(lower) and not rejects()
    for resident in lower:
        state.take(resident.spec, resident.devices)
        if enough and rejects():
            state.give(resident.spec, resident.devices)
            victims.append(resident)
    for resident in victims:
        state.take(resident.spec, resident.devices)
    return victims if enough else None


def cost_of(victims: Sequence[Resident]) -> tuple[int, int, int, int]:
    """What is compared between nodes, the least first: no budgets are broken, there are none.

    The highest priority, the sum of priorities, how many, and, the later the better, when the first of the highest
    priority began. Each priority counts 2^31 more in the sum, so that fewer are better even where it is negative.
    """
    highest = max(victim.spec.priority for victim in victims)
    began = min(victim.bound_us for victim in victims if victim.spec.priority == highest)
    return highest, sum(victim.spec.priority + (1 << 31) for victim in victims), len(victims), -began


def helpless(state: Any, spec: Any, plugin: str, reasons: Sequence[str]) -> bool:
    """Whether no eviction helps: what is turned away by description, by model, or asks for more than the node has."""
    if plugin == "GpuShare":
        return reasons == ["node(s) had no allowed GPU model"]
    if plugin != "NodeResourcesFit":
        return True
    return any(spec.amount(name) > state.node.allocatable.get(name, 0) for name in spec.requests)
