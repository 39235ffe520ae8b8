"""Which starts of CronJobs are due, for all of them at once (pkg/controller/cronjob/utils.go)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from kscale.controllers.common.cron import MINUTE, SECOND, Every, next_after, schedule

Rows = np.ndarray[Any, Any]
#: More missed starts than this are told as many.
MANY = 100
NONE_MISSED, FEW_MISSED, MANY_MISSED = range(3)


def most_recent(
    texts: Sequence[str], schedules: Rows, zones: Rows, earliest_us: Rows, now_us: int
) -> tuple[Rows, Rows]:
    """Return the last start of each after ``earliest_us`` and until now (-1 none), and how many were missed.

    ``schedules`` and ``zones`` are handles of ``texts``, zone -1 is UTC; times are microseconds since 1970.
    """

    def one(text: str, zone: str, earliest: int) -> tuple[int, ...]:
        return most_recent_of(text, zone, earliest, now_us)

    every = _every(texts, schedules)
    # What fires at even distances needs no search.
    between = np.maximum(every, SECOND)
    count = (now_us - earliest_us // SECOND * SECOND) // between
    recent = np.where(count > 0, earliest_us // SECOND * SECOND + count * between, -1)
    missed = np.select([count < 2, count > MANY], [NONE_MISSED, MANY_MISSED], FEW_MISSED)
    fields = np.flatnonzero(every < 0)
    recent[fields], missed[fields] = _by_distinct(one, texts, schedules[fields], zones[fields], earliest_us[fields], 2)
    return recent, missed


def nexts(texts: Sequence[str], schedules: Rows, zones: Rows, after_us: Rows) -> Rows:
    """Return the next start of each after its time."""

    def one(text: str, zone: str, after: int) -> tuple[int, ...]:
        return (next_after(text, zone, after),)

    every = _every(texts, schedules)
    following = after_us // SECOND * SECOND + every
    fields = np.flatnonzero(every < 0)
    following[fields] = _by_distinct(one, texts, schedules[fields], zones[fields], after_us[fields], 1)[0]
    return following


def _every(texts: Sequence[str], schedules: Rows) -> Rows:
    """Return the distance of the starts of each schedule, -1 for those of five fields."""
    distinct, place = np.unique(schedules, return_inverse=True)
    read = [schedule(texts[handle]) for handle in distinct.tolist()]
    return np.array([one.every_us if isinstance(one, Every) else -1 for one in read], np.int64)[place]


def _by_distinct(
    function: Callable[[str, str, int], tuple[int, ...]], texts: Sequence[str], schedules: Rows, zones: Rows,
    times_us: Rows, results: int,
) -> Rows:  # fmt: skip
    """Call ``function`` once for each distinct schedule, zone and minute: fields fire on whole minutes only."""
    distinct, place = np.unique(np.stack([schedules, zones, times_us // MINUTE]), axis=1, return_inverse=True)
    found = [function(texts[s], texts[z] if z >= 0 else "UTC", t * MINUTE) for s, z, t in distinct.T.tolist()]
    return np.array(found, np.int64).reshape(-1, results).T[:, place.reshape(-1)]


def most_recent_of(text: str, zone: str, earliest_us: int, now_us: int) -> tuple[int, int]:
    """Return the last start of one schedule after ``earliest_us`` and until now (-1 none), and how many were missed.

    Kubernetes does not count them: it divides the time that has passed by the time between the first two.
    """
    first = next_after(text, zone, earliest_us)
    if first < 0 or now_us < first:
        return -1, NONE_MISSED
    second = next_after(text, zone, first)
    if second < 0 or now_us < second:
        return first, NONE_MISSED
    between = round((second - first) / SECOND)
    missed = (now_us - first) // SECOND // between + 1
    recent, at = -1, next_after(text, zone, first + (missed - 2) * between * SECOND)
    while 0 <= at <= now_us:
        recent, at = at, next_after(text, zone, at)
    return recent, MANY_MISSED if missed > MANY else FEW_MISSED
