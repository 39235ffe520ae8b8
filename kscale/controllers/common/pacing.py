"""How fast a workload may be scaled (pkg/controller/podautoscaler): stabilisation, and rates by policies.

Pure, many at a time. Histories are matrices (autoscaler, entry), the newest first; an entry of no time is not there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Rows = np.ndarray[Any, Any]
#: The time of an entry that is not there.
NO_TIME = -(1 << 62)
#: Values of a policy's type.
NO_POLICY, PODS, PERCENT = range(3)
#: Values of selectPolicy.
MAX, MIN, DISABLED = range(3)
_MOST = (1 << 31) - 1


@dataclass(frozen=True)
class Rules:
    """One direction of ``behavior``: the window, the choice among policies, and these as matrices."""

    window_us: Rows
    select: Rows
    type: Rows
    value: Rows
    period_us: Rows

    def some(self, which: Rows) -> Rules:
        """Return the rules of some autoscalers."""
        return Rules(*(getattr(self, name)[which] for name in self.__dataclass_fields__))

    def longest_us(self) -> Rows:
        """Return the longest period of the policies."""
        return np.where(self.type != NO_POLICY, self.period_us, 0).max(axis=1, initial=0)


@dataclass(frozen=True)
class History:
    """Values and the times at which they were noted."""

    value: Rows
    time_us: Rows

    def some(self, which: Rows) -> History:
        """Return the histories of some autoscalers."""
        return History(self.value[which], self.time_us[which])

    def pushed(self, which: Rows, value: Rows, now_us: int, since_us: Rows) -> History:
        """Return the histories with an entry more for those of a mask, where older ones than ``since_us`` go."""
        there, width = which[:, None], self.value.shape[1]
        kept = self.time_us >= since_us[:, None]
        times = np.column_stack([np.full(len(value), now_us), np.where(kept, self.time_us, NO_TIME)])
        values = np.column_stack([value, np.where(kept, self.value, 0)])
        old = np.column_stack([self.value, np.zeros_like(value)])
        old_times = np.column_stack([self.time_us, np.full(len(value), NO_TIME)])
        values, times = np.where(there, values, old), np.where(there, times, old_times)
        used = int((times != NO_TIME).sum(axis=1).max(initial=0))
        width = max(width, used)
        return History(values[:, :width], times[:, :width])

    def change(self, now_us: int, period_us: Rows, sign: int) -> Rows:
        """Return the sum of what went up (1) or down (-1) after the start of periods (autoscaler, policy)."""
        size = np.where(self.value * sign > 0, np.abs(self.value), 0)
        recent = self.time_us[:, None, :] > now_us - period_us[:, :, None]
        return (size[:, None, :] * recent).sum(axis=2)


def stabilised(desired: Rows, recommendations: History, now_us: int, window_us: int) -> Rows:
    """Return the highest recommendation of the window, this one included: without ``behavior``, down only."""
    recent = recommendations.time_us >= now_us - window_us
    return np.maximum(desired, np.where(recent, recommendations.value, 0).max(axis=1, initial=0))


def stabilised_by_rules(
    current: Rows, desired: Rows, recommendations: History, now_us: int, up: Rules, down: Rules
) -> Rows:
    """Return the least recommendation of the window where it goes up, the highest where it goes down."""
    value, time = recommendations.value, recommendations.time_us
    low = np.where(time > (now_us - up.window_us)[:, None], value, _MOST).min(axis=1, initial=_MOST)
    high = np.where(time > (now_us - down.window_us)[:, None], value, 0).max(axis=1, initial=0)
    low, high = np.minimum(desired, low), np.maximum(desired, high)
    return np.minimum(np.maximum(current, low), high)


def clamped(current: Rows, desired: Rows, least: Rows, most: Rows) -> tuple[Rows, Rows, Rows]:
    """Return desired replicas without ``behavior``, and where too few, or too much at a time, was asked for.

    At most twice as many as there are, or four.
    """
    limit = np.minimum(np.maximum(2 * current, 4), most)
    result = np.where(desired < least, least, np.minimum(desired, limit))
    return result, desired < least, (desired >= least) & (desired > limit) & (limit < most)


def limits(current: Rows, events: History, now_us: int, rules: Rules, sign: int) -> Rows:
    """Return how far policies let the replicas go up (``sign`` 1) or down (-1)."""
    begun = current[:, None] - events.change(now_us, rules.period_us, 1) + events.change(now_us, rules.period_us, -1)
    factor = 1 + sign * (rules.value / 100)
    percent = np.ceil(begun * factor) if sign > 0 else np.trunc(begun * factor)
    proposed = np.where(rules.type == PODS, begun + sign * rules.value, np.clip(percent, -_MOST, _MOST))
    there = rules.type != NO_POLICY
    # The larger change is the higher limit on the way up, and the lower one on the way down.
    higher = (rules.select == MAX) == (sign > 0)
    highest = np.where(there, proposed, -_MOST - 1).max(axis=1, initial=-_MOST - 1)
    lowest = np.where(there, proposed, _MOST).min(axis=1, initial=_MOST)
    limit = np.where(higher, highest, lowest).astype(np.int64)
    limit = np.maximum(limit, current) if sign > 0 else np.minimum(limit, current)
    return np.where(rules.select == DISABLED, current, limit)


def clamped_by_rules(
    current: Rows, desired: Rows, least: Rows, most: Rows, events: History, now_us: int, up: Rules, down: Rules
) -> tuple[Rows, Rows, Rows]:
    """Return desired replicas as policies and the spec allow, and where it was a policy that held it back, up or down.

    With ``behavior``.
    """
    ceiling = limits(current, events, now_us, up, 1)
    floor = limits(current, events, now_us, down, -1)
    highest, lowest = np.minimum(most, ceiling), np.maximum(least, floor)
    rises, falls = desired > current, desired < current
    result = np.where(rises, np.minimum(desired, highest), np.where(falls, np.maximum(desired, lowest), desired))
    return result, rises & (desired > highest) & (most > ceiling), falls & (desired < lowest) & (least < floor)
