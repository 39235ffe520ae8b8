"""Shares: the arithmetic of the allocation scores, for one node and one pod; loops over nodes or pods inline it.

Rules: kube-scheduler v1.34.1. Doubles divide exactly while an allocatable is below 2^46 (then 100 * amount stays
below 2^53, and the quotient's floor is the integer quotient). From 2^46 on (``resource_wide`` 1) the quotient is set
right by its rest in int64; from 2^52 on (2) doubles do not even add exactly, and int64 is divided digit by digit, which
cannot overflow below 2^59.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from kscale.kernels import inlined

#: First row of ``resource`` that holds an extended resource (after cpu, memory, ephemeral-storage, pods).
FIRST_EXTENDED = 4
#: Row of the number of pods.
PODS = 3


@inlined
def hundredths(amount: int, capacity: int) -> int:
    """Return amount * 100 // capacity for 0 <= amount <= capacity < 2^59, without leaving int64."""
    if amount == capacity:
        return 100
    ten = amount * 10
    unit = (ten % capacity) * 10
    return ten // capacity * 10 + unit // capacity


@inlined
def corrected(guess: Any, amount: int, capacity: int) -> Any:
    """Return amount * 100 // capacity for 0 <= amount <= capacity < 2^52, from the quotient of doubles.

    The doubles are exact, and their quotient is at most one off, which its rest in int64 tells. Unlike a division of
    int64 this vectorises.
    """
    rest = 100 * amount - np.int64(guess) * capacity
    guess += np.int32(1) if rest >= capacity else np.int32(0)
    guess -= np.int32(1) if rest < 0 else np.int32(0)
    return guess


@inlined
def free_share(capacity: float, taken: float, asked: float) -> Any:
    """Return the hundredths of a capacity that stay free, truncated; all below 2^46."""
    return np.int32(100.0 * max(capacity - taken - asked, 0.0) / max(capacity, 1.0))


@inlined
def taken_share(capacity: float, taken: float, asked: float) -> Any:
    """Return the hundredths of a capacity that are taken, truncated; all below 2^46."""
    return np.int32(100.0 * min(taken + asked, capacity) / max(capacity, 1.0))


#: Below this capacity ``quick_share`` is exact.
QUICK = 2.0**44


@inlined
def quick_share(amount: float, inverse: float) -> Any:
    """Return the hundredths that an integer amount is of an integer capacity below ``QUICK``, from its inverse.

    The half keeps the quotient half a hundredth of a unit away from every integer, 2^-45 at least; inverse and product
    are off by less than 2^-45.3 together.
    """
    return np.int32((100.0 * amount + 0.5) * inverse)


@inlined
def balance(capacity_a: float, used_a: float, a: float, capacity_b: float, used_b: float, b: float) -> Any:
    """Return the balance of two resources; kube-scheduler takes half the difference of their fractions.

    A resource without capacity drops out.
    """
    fraction_a = min((used_a + a) / max(capacity_a, 1.0), 1.0)
    fraction_b = min((used_b + b) / max(capacity_b, 1.0), 1.0)
    deviation = abs((fraction_a - fraction_b) / 2.0)
    both = capacity_a > 0.0 and capacity_b > 0.0
    return np.int32((1.0 - (deviation if both else 0.0)) * 100.0)


@inlined
def balance_of_many(
    template: int, node: int, template_request: Any, node_allocatable: Any, node_requested: Any, balanced: Any
) -> Any:
    """Return 100 * (1 - the standard deviation of the fractions); of two resources, half the difference."""
    total, count = 0.0, 0
    for resource in range(len(balanced)):
        request = template_request[template, resource]
        if counts(resource, request, node_allocatable[resource, node], balanced):
            total += min(float(node_requested[resource, node] + request) / float(node_allocatable[resource, node]), 1.0)
            count += 1
    if count < 2:
        return np.int32(100)
    mean, squares = total / count, 0.0
    first, second = 0.0, 0.0
    for resource in range(len(balanced)):
        request = template_request[template, resource]
        if counts(resource, request, node_allocatable[resource, node], balanced):
            fraction = min(
                float(node_requested[resource, node] + request) / float(node_allocatable[resource, node]), 1.0
            )
            squares += (fraction - mean) * (fraction - mean)
            first, second = second, fraction
    deviation = abs((first - second) / 2.0) if count == 2 else np.sqrt(squares / count)
    return np.int32((1.0 - deviation) * 100.0)


@inlined
def counts(resource: int, request: int, allocatable: int, balanced: Any) -> bool:
    """Tell whether a resource counts in the balance."""
    return balanced[resource] != 0 and allocatable > 0 and (resource < FIRST_EXTENDED or request > 0)
