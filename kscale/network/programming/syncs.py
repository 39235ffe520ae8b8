"""Kernels of the programming of nodes: which syncs a node makes, and what each of them makes known.

Changes are a window of all that were ever fed: row ``c`` is number ``base + c``. ``upto`` is the number of the first
change that a sync did not see; ``end_us`` is when it was done. Every array is int64 unless it says otherwise.
"""

from __future__ import annotations

from typing import Any

from kscale.kernels import kernel

#: Later than anything.
NEVER = 1 << 62
#: Places of ``settings``, and of ``costs`` (float64).
UNTIL, BASE, MIN, RESYNC, BURST, MOST, DRAIN = range(7)
FIXED, SERVICE, ENDPOINT, AGAIN = range(4)


@kernel
def after(times: Any, first: int, when: int) -> int:
    """Return the first place from ``first`` on with a time after ``when``."""
    low, high = first, len(times)
    while low < high:
        middle = (low + high) // 2
        if times[middle] <= when:
            low = middle + 1
        else:
            high = middle
    return low


@kernel
def begins(written_us: Any, waiting: int, watch: int, ended: int, bucket: int, settings: Any) -> int:
    """Return when the next sync begins, for all that is known by now.

    Up to Kubernetes 1.33 there is a bucket of ``BURST`` syncs, full again at ``bucket``: each change asks anew for one,
    and what asked in vain is served ``minSyncPeriod`` after the end of the last sync. Without a burst, as from 1.34 on,
    a sync begins so long after the end of the last one at the earliest. The timer of the period begins at that end too.
    """
    rest = settings[MIN]
    due = ended + settings[RESYNC]
    asked = written_us[waiting] + watch if waiting < len(written_us) else NEVER
    if settings[BURST] == 0:
        return min(max(asked, ended + rest), due)
    asked = min(max(asked, ended), due)
    token = bucket - (settings[BURST] - 1) * rest
    if asked >= token:
        return asked
    later = after(written_us, waiting, token - 1 - watch)
    come = written_us[later] + watch if later < len(written_us) else NEVER
    return min(come, ended + rest)


@kernel
def advance(
    written_us: Any, before: Any, endpoints: Any, watch_us: Any, waiting: Any, ended_us: Any, bucket_us: Any,
    full_us: Any, syncs: Any, fulls: Any, cpu_us: Any, upto: Any, end_us: Any, held: Any, settings: Any, costs: Any,
) -> int:  # fmt: skip
    """Let nodes sync as far as what was written until ``UNTIL`` decides it; 1 where a node's list is full, else 0.

    With ``DRAIN`` a node stops when it knows all changes. ``before``: number of the last change of the same Service, -1
    without; ``endpoints``: sums up to each change, with a 0 in front. ``upto`` and ``end_us`` have the shape (node,
    place); ``held`` says how many are in use.
    """
    base, room = settings[BASE], upto.shape[1]
    full = 0
    for node in range(len(watch_us)):
        watch = watch_us[node]
        horizon = settings[UNTIL] + watch
        while True:
            first = waiting[node] - base
            if settings[DRAIN] and first == len(written_us):
                break
            begin = begins(written_us, first, watch, ended_us[node], bucket_us[node], settings)
            if begin > horizon:
                break
            last = after(written_us, first, begin - watch)
            if last > first and held[node] == room:
                full = 1
                break
            services = 0
            for change in range(first, last):
                services += before[change] < first + base
            cost = 0.0
            if services:
                changed = min(services, settings[MOST])
                cost = costs[FIXED] + costs[SERVICE] * (changed - 1)
                cost += costs[ENDPOINT] * (max(endpoints[last] - endpoints[first], 1) - 1)
            if services == 0 or begin - full_us[node] > settings[RESYNC]:
                cost = max(cost, costs[AGAIN])
                full_us[node] = begin
                fulls[node] += 1
            took = int(cost + 0.5)
            ended_us[node] = begin + took
            bucket_us[node] = max(bucket_us[node], begin) + settings[MIN]
            syncs[node] += 1
            cpu_us[node] += took
            if last > first:
                waiting[node] = last + base
                upto[node, held[node]] = last + base
                end_us[node, held[node]] = begin + took
                held[node] += 1
    return full


@kernel
def gather(upto: Any, end_us: Any, held: Any, nodes: Any, first: int, seen_us: Any) -> None:
    """Tell when nodes know the changes from number ``first`` on: ``seen_us`` has the shape (change, node)."""
    count = seen_us.shape[0]
    for place in range(len(nodes)):
        node = nodes[place]
        low, high = 0, held[node]
        while low < high:
            middle = (low + high) // 2
            if upto[node, middle] <= first:
                low = middle + 1
            else:
                high = middle
        for change in range(count):
            while low < held[node] and upto[node, low] <= first + change:
                low += 1
            seen_us[change, place] = end_us[node, low] if low < held[node] else NEVER


@kernel
def drop(upto: Any, end_us: Any, held: Any, known: int) -> None:
    """Forget the syncs that tell of no change from number ``known`` on."""
    for node in range(len(held)):
        gone = 0
        while gone < held[node] and upto[node, gone] <= known:
            gone += 1
        held[node] -= gone
        for place in range(held[node]):
            upto[node, place] = upto[node, place + gone]
            end_us[node, place] = end_us[node, place + gone]
