"""Topology hints of one Service that shares its endpoints out, in plain Python: dicts by zone, endpoint by endpoint."""

from __future__ import annotations

import math
from dataclasses import dataclass, field


@dataclass
class Endpoint:
    zone: int
    ready: bool = True
    hint: int = -1


@dataclass
class Slice:
    """A slice; ``fixed`` ones change for hints alone."""

    fixed: bool
    endpoints: list[Endpoint] = field(default_factory=list)


def ratios(nodes: list[tuple[int, int]]) -> dict[int, float]:
    """The share of each zone, from (zone, cpu) of nodes; empty where there are no hints."""
    if not nodes or any(zone < 0 or cpu <= 0 for zone, cpu in nodes) or len({zone for zone, _ in nodes}) < 2:
        return {}
    total = float(sum(cpu for _, cpu in nodes))
    return {zone: float(sum(c for z, c in nodes if z == zone)) / total for zone in sorted({z for z, _ in nodes})}


def share(ratio: dict[int, float], slices: list[Slice]) -> bool:
    """Set the hints of all endpoints; return whether there are any."""
    ready = [one for slice_ in slices for one in slice_.endpoints if one.ready]
    wanted = _allocations(ratio, len(ready))
    if wanted is None:
        return _clear(slices)
    desired, most = wanted
    have: dict[int, int] = {}
    free, late = [slice_ for slice_ in slices if not slice_.fixed], []
    for slice_ in slices:
        if slice_.fixed:
            found = _counted(slice_, have, most)
            if found is None:
                late.append(slice_)
            else:
                for zone, count in found.items():
                    have[zone] = have.get(zone, 0) + count
    gone_through = [one for slice_ in free + late for one in slice_.endpoints]
    for one in gone_through:
        one.hint = -1
        if one.ready:
            if one.zone < 0:
                return _clear(slices)
            have[one.zone] = have.get(one.zone, 0) + 1
            one.hint = one.zone
    gives, gets = _exchange(desired, have)
    for one in gone_through:
        if one.ready and gives.get(one.zone, 0) > 0:
            getter = next((zone for zone in sorted(gets) if gets[zone] > 0), None)
            if getter is not None:
                one.hint = getter
                gives[one.zone] -= 1
                gets[getter] -= 1
    return True


def _clear(slices: list[Slice]) -> bool:
    for slice_ in slices:
        for one in slice_.endpoints:
            one.hint = -1
    return False


def _allocations(ratio: dict[int, float], count: int) -> tuple[dict[int, float], dict[int, int]] | None:
    if not ratio or len(ratio) > count:
        return None
    desired = {zone: share_ * float(count) for zone, share_ in ratio.items()}
    least = {zone: math.ceil(amount * (1 / 1.2)) for zone, amount in desired.items()}
    spare = count - sum(least.values())
    if spare < 0:
        return None
    return {z: max(desired[z], least[z]) for z in ratio}, {z: least[z] + spare for z in ratio}


def _counted(slice_: Slice, have: dict[int, int], most: dict[int, int]) -> dict[int, int] | None:
    found: dict[int, int] = {}
    for one in slice_.endpoints:
        if one.ready:
            if one.hint not in most:
                return None
            found[one.hint] = found.get(one.hint, 0) + 1
    return found if all(count + have.get(zone, 0) <= most[zone] for zone, count in found.items()) else None


def _exchange(desired: dict[int, float], have: dict[int, int]) -> tuple[dict[int, int], dict[int, int]]:
    off = {zone: have.get(zone, 0) - target for zone, target in desired.items()}
    giving = {zone: amount for zone, amount in off.items() if amount > 0}
    getting = {zone: -amount for zone, amount in off.items() if amount < 0}
    gives: dict[int, int] = {}
    gets: dict[int, int] = {}
    while giving and getting:
        giver = max(sorted(giving), key=lambda zone: giving[zone])
        getter = max(sorted(getting), key=lambda zone: getting[zone])
        surplus, need = giving[giver], getting[getter]
        if (surplus < 1.0 and need < 1.0) or surplus < 0.5 or need < 0.5:
            break
        gives[giver], gets[getter] = gives.get(giver, 0) + 1, gets.get(getter, 0) + 1
        giving[giver] -= 1.0
        getting[getter] -= 1.0
    return gives, gets
