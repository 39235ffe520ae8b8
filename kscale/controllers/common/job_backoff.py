"""How long a Job waits before it replaces pods that failed (pkg/controller/job/backoff_utils.go)."""

from __future__ import annotations

from typing import Any

import numpy as np

Rows = np.ndarray[Any, Any]
#: DefaultJobPodFailureBackOff and MaxJobPodFailureBackOff. The documentation says six minutes, the code ten.
BASE_US, MOST_US = 10_000_000, 600_000_000


def consecutive(
    stored: Rows, stored_us: Rows, failures: tuple[Rows, Rows], successes: tuple[Rows, Rows]
) -> tuple[Rows, Rows]:
    """Return the failures since the last success, and when the last failure was (-1 never), of each job.

    ``stored`` is what was counted before, ``stored_us`` the last failure of these; ``failures`` and ``successes`` are
    places of jobs and times.
    """
    since = np.full(len(stored), np.iinfo(np.int64).min)
    np.maximum.at(since, *successes)
    count = np.where(np.bincount(successes[0], minlength=len(stored)) > 0, 0, stored)
    place, at = failures
    last_us = stored_us.copy()
    np.maximum.at(last_us, place, at)
    # A success at the time of a failure counts as the later one.
    np.add.at(count, place[at > since[place]], 1)
    return count, last_us


def remaining(failures: Rows, last_us: Rows, now_us: int, base_us: int = BASE_US, most_us: int = MOST_US) -> Rows:
    """Return how long is still to be waited after so many failures, the last at ``last_us``."""
    # Doubled more than 40 times, every base is past every cap.
    delay = np.minimum(base_us * (1 << np.clip(failures - 1, 0, 40)), most_us)
    return np.where(failures > 0, np.maximum(last_us + delay - now_us, 0), 0)
