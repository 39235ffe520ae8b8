"""Felix: when a change that reaches a node is in effect there.

Two throttles stand in a row. The calculation graph flushes at once while its leaky bucket has tokens, else at its next
tick of 10 ms. The dataplane takes up to 100 messages, and applies them if its throttle has a token: ten at once, then
one each 100 ms, so at most 10 applies a second go on. (The real ticks are a little off; these are exact.)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kscale.errors import InputError
from kscale.network.calico.compiled import passes
from kscale.network.calico.parameters import values

Ints = npt.NDArray[np.int64]
#: What Felix looks through again and again, and repairs.
RESYNCED = ("iptables", "nftables", "ipsets", "routes", "interfaces")


@dataclass(frozen=True)
class Effects:
    """When changes take effect; every array is int64 us of shape (changes,).

    Attributes:
        flushed_us: when the calculation graph handed it on.
        begun_us: when the apply that it is part of began: equal times of a node are one apply.
        effect_us: when that apply was done.
    """

    flushed_us: Ints
    begun_us: Ints
    effect_us: Ints


def effects(
    change_us: Ints, first: Ints, overrides: Mapping[str, int] | None = None, *, compiled: bool = True
) -> Effects:
    """Return when each change is in effect on its node.

    Args:
        change_us: when a change reaches a node's Felix, int64 us from 0 on, ascending within a node, shape (changes,).
        first: where a node's changes begin, shape (nodes + 1,).
        overrides: values of parameters by name.
        compiled: whether kernels run compiled or as plain Python, with equal results.

    Raises InputError where times are negative or out of order, or a period or batch is 0.
    """
    number = values(overrides)
    for name in ("felix_flush_us", "felix_apply_refill_us", "felix_batch"):
        if not number[name]:
            raise InputError("is 0", field=name, expected="at least 1")
    change_us, first = np.ascontiguousarray(change_us, np.int64), np.ascontiguousarray(first, np.int64)
    inside = np.ones(max(len(change_us) - 1, 0), bool)
    borders = first[(first > 0) & (first < len(change_us))]
    inside[borders - 1] = False
    if (change_us < 0).any() or (np.diff(change_us)[inside] < 0).any():
        raise InputError("are not in order", field="change_us", expected="times from 0 on, ascending within a node")
    flushed, begun, effect = (np.empty(len(change_us), np.int64) for _ in range(3))
    graph = np.array([number["felix_flush_us"], number["felix_flush_tokens"]], np.int64)
    plane = np.array(
        [number[f"felix_{name}"] for name in ("apply_refill_us", "apply_tokens", "batch", "apply_us")], np.int64
    )
    found = passes(compiled)
    found.flush(change_us, first, flushed, graph)
    found.apply(flushed, first, begun, effect, plane)
    return Effects(flushed, begun, effect)


def everywhere(change_us: Ints, nodes: int) -> tuple[Ints, Ints]:
    """Return the changes of a cluster as those of each node: all reach all; ``effects`` takes both arrays."""
    many = len(change_us)
    return np.tile(change_us, nodes), np.arange(nodes + 1, dtype=np.int64) * many


def repaired_us(broken_us: Ints, what: str, overrides: Mapping[str, int] | None = None) -> Ints:
    """Return when Felix sees what somebody else changed: at its next resync of it, counted from 0; int64 us.

    Raises InputError where ``what`` is not one of ``RESYNCED``.
    """
    if what not in RESYNCED:
        raise InputError(f"'{what[:80]}' is not known", field="what", expected=f"one of {', '.join(RESYNCED)}")
    period = values(overrides)[f"felix_resync_{what}_us"]
    return -(-np.asarray(broken_us, np.int64) // period) * period


def retried_us(failed_us: Ints, times: int, overrides: Mapping[str, int] | None = None) -> Ints:
    """Return when an operation that failed so many times in a row is tried once more, int64 us."""
    return np.asarray(failed_us, np.int64) + times * values(overrides)["felix_retry_us"]
