"""Kernels of ``felix``: a change after a change through the two throttles of a node's Felix.

Every array is int64, times are us. ``first`` says where a node's changes begin, shape (nodes + 1,). Where a tick and
a change, or a tick and a flush, fall on one time, the tick comes first.
"""

from __future__ import annotations

from typing import Any

from kscale.kernels import inlined, kernel

#: Places of ``settings``.
TICK, TOKENS, BATCH, APPLY = 0, 1, 2, 3


@inlined
def refilled(tokens: int, since_us: int, until_us: int, tick_us: int, most: int) -> int:
    """Return the tokens of a bucket at a time, ticks after ``since_us`` up to ``until_us`` counted."""
    return min(most, tokens + until_us // tick_us - since_us // tick_us)


@kernel
def flush(change_us: Any, first: Any, flush_us: Any, settings: Any) -> None:
    """Tell when the calculation graph flushes each change: at once while it has tokens, else at its next tick."""
    tick, most = settings[TICK], settings[TOKENS]
    for node in range(len(first) - 1):
        tokens, since = most, 0
        waits_until = -1
        for change in range(first[node], first[node + 1]):
            now = change_us[change]
            if now < waits_until:
                flush_us[change] = waits_until
                continue
            if waits_until >= 0:
                # The tick's own token went to the flush at it.
                tokens, since = 0, waits_until
                waits_until = -1
            tokens = refilled(tokens, since, now, tick, most)
            since = now
            if tokens > 0:
                tokens -= 1
                flush_us[change] = now
            else:
                waits_until = (now // tick + 1) * tick
                flush_us[change] = waits_until


@kernel
def apply(flush_us: Any, first: Any, begin_us: Any, effect_us: Any, settings: Any) -> None:
    """Tell when the dataplane takes each message in, and when it is in effect.

    Free, it takes what has come, up to a batch, and applies it if its throttle has a token. Without one it takes in
    all that comes until the next refill, and applies that.
    """
    tick, most, batch, long = settings[TICK], settings[TOKENS], settings[BATCH], settings[APPLY]
    for node in range(len(first) - 1):
        tokens, since = most, 0
        free = 0
        message, end = first[node], first[node + 1]
        while message < end:
            now = max(free, flush_us[message])
            last = message
            while last < end and last - message < batch and flush_us[last] <= now:
                last += 1
            tokens = refilled(tokens, since, now, tick, most)
            since = now
            if tokens == 0:
                now = (now // tick + 1) * tick
                while last < end and flush_us[last] < now:
                    last += 1
                tokens, since = 1, now
            tokens -= 1
            free = now + long
            for taken in range(message, last):
                begin_us[taken] = now
                effect_us[taken] = free
            message = last
