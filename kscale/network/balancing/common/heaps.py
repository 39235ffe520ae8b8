"""Binary heaps of times in the arrays of the caller: the least on top, in ``times[first]``."""

from __future__ import annotations

from typing import Any

from kscale.kernels import kernel


@kernel
def push(times: Any, first: int, count: int, time_us: int) -> None:
    """Add a time to the heap of ``count`` times that begins at ``first``."""
    place = count
    while place > 0:
        parent = (place - 1) >> 1
        if times[first + parent] <= time_us:
            break
        times[first + place] = times[first + parent]
        place = parent
    times[first + place] = time_us


@kernel
def replace_least(times: Any, first: int, count: int, time_us: int) -> None:
    """Put a time in the place of the least one."""
    place = 0
    child = 1
    while child < count:
        if child + 1 < count and times[first + child + 1] < times[first + child]:
            child += 1
        if times[first + child] >= time_us:
            break
        times[first + place] = times[first + child]
        place = child
        child = 2 * place + 1
    times[first + place] = time_us


@kernel
def push_pair(times: Any, payload: Any, count: int, time_us: int, carried: int) -> None:
    """Add a time and what it carries to a heap of ``count`` times."""
    place = count
    while place > 0:
        parent = (place - 1) >> 1
        if times[parent] <= time_us:
            break
        times[place] = times[parent]
        payload[place] = payload[parent]
        place = parent
    times[place] = time_us
    payload[place] = carried


@kernel
def pop_pair(times: Any, payload: Any, count: int) -> None:
    """Take the least time out of a heap of ``count`` times.

    The hole goes down to a leaf first and the last time up from there: it mostly belongs there.
    """
    last = count - 1
    time_us, carried = times[last], payload[last]
    place = 0
    child = 1
    while child < last:
        if child + 1 < last and times[child + 1] < times[child]:
            child += 1
        times[place] = times[child]
        payload[place] = payload[child]
        place = child
        child = 2 * place + 1
    while place > 0:
        parent = (place - 1) >> 1
        if times[parent] <= time_us:
            break
        times[place] = times[parent]
        payload[place] = payload[parent]
        place = parent
    times[place] = time_us
    payload[place] = carried
