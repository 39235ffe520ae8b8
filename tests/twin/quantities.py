"""Quantities and the amounts that a pod asks for."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

#: What a container that states no cpu or memory counts in the book of the allocation scores, in thousandths.
NONZERO = {"cpu": 100, "memory": 200 * 1024 * 1024 * 1000}
POD_LEVEL = ("cpu", "memory")

_SUFFIXES = {"n": Fraction(1, 10**9), "u": Fraction(1, 10**6), "m": Fraction(1, 1000), "": Fraction(1)}
_SUFFIXES |= {letter: Fraction(1000**power) for power, letter in enumerate("kMGTPE", 1)}
_SUFFIXES |= {f"{letter}i": Fraction(1024**power) for power, letter in enumerate("KMGTPE", 1)}


@functools.cache
def thousandths(written: str) -> int:
    """A written quantity in thousandths, rounded up."""
    number = written.rstrip("numkKMGTPEi")
    suffix = written[len(number) :]
    exact = Fraction(number) * _SUFFIXES[suffix]
    return -(-exact * 1000 // 1)


def amount(resource: str, milli: int) -> int:
    """An amount as the scheduler keeps it: cpu in thousandths, all else in whole units, rounded up."""
    return milli if resource == "cpu" else -(-milli // 1000)


def amounts(written: Mapping[str, Any] | None) -> dict[str, int]:
    """A list of resources in thousandths."""
    return {resource: thousandths(str(quantity)) for resource, quantity in (written or {}).items()}


def is_scalar(resource: str) -> bool:
    """Whether a resource is none of cpu, memory, ephemeral storage and pods, but counted like them."""
    return is_extended(resource) or resource.startswith(("hugepages-", "attachable-volumes-")) or _is_prefixed(resource)


def is_extended(resource: str) -> bool:
    """Whether a resource has a domain of its own."""
    return "/" in resource and not _is_prefixed(resource) and not resource.startswith("requests.")


def _is_prefixed(resource: str) -> bool:
    return "kubernetes.io/" in resource


def kept(milli: Mapping[str, int]) -> dict[str, int]:
    """The amounts that the scheduler's books know."""
    known = ("cpu", "memory", "ephemeral-storage", "pods")
    return {name: amount(name, value) for name, value in milli.items() if name in known or is_scalar(name)}


def container_requests(container: Mapping[str, Any]) -> dict[str, int]:
    """Requests of a container in thousandths; what only has a limit requests the limit."""
    resources = container.get("resources") or {}
    return amounts(resources.get("limits")) | amounts(resources.get("requests"))


def pod_requests(spec: Mapping[str, Any], missing: Mapping[str, int], *, pod_level: bool = True) -> dict[str, int]:
    """What a pod requests, in thousandths; ``missing`` is what a container that states nothing counts.

    Requests of the pod as a whole replace the sum of its containers', unless ``pod_level`` is false.
    """
    total: dict[str, int] = {}
    for container in spec["containers"]:
        _add(total, {**missing, **container_requests(container)})
    sidecars: dict[str, int] = {}
    most: dict[str, int] = {}
    for container in spec.get("initContainers") or []:
        step = {**missing, **container_requests(container)}
        if container.get("restartPolicy") == "Always":
            _add(total, step)
            _add(sidecars, step)
            step = sidecars
        else:
            _add(step, sidecars)
        _most(most, step)
    _most(total, most)
    whole = amounts((spec.get("resources") or {}).get("requests")) if pod_level else {}
    for resource, value in whole.items():
        if resource in POD_LEVEL or resource.startswith("hugepages-"):
            total[resource] = value
    _add(total, amounts(spec.get("overhead")))
    return total


def nonzero_requests(spec: Mapping[str, Any]) -> dict[str, int]:
    """What a pod requests in the book of the allocation scores, in thousandths."""
    missing = NONZERO
    if (spec.get("resources") or {}).get("requests"):
        stated = pod_requests(spec, {})
        missing = {resource: value for resource, value in NONZERO.items() if resource not in stated}
    return pod_requests(spec, missing)


def _add(total: dict[str, int], more: Mapping[str, int]) -> None:
    for resource, value in more.items():
        total[resource] = total.get(resource, 0) + value


def _most(total: dict[str, int], other: Mapping[str, int]) -> None:
    for resource, value in other.items():
        total[resource] = max(total.get(resource, 0), value)
