"""Creations that fail: slow start by the figures of upstream's tests, and against batches that are sent one by one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kscale.engine.creating import slow_start


def by_batches(fails: list[bool]) -> list[bool]:
    """Send batches of 1, 2, 4 … calls as slowStartBatch does; return which calls were made."""
    made, size = [False] * len(fails), 1
    begin = 0
    while begin < len(fails):
        end = min(begin + size, len(fails))
        made[begin:end] = [True] * (end - begin)
        if any(fails[begin:end]):
            return made
        begin, size = end, 2 * size
    return made


@pytest.mark.parametrize(("count", "after", "successes", "calls"), [(10, 0, 0, 1), (10, 10, 10, 10), (10, 5, 5, 7)])
def test_slow_start(count: int, after: int, successes: int, calls: int) -> None:
    """TestSlowStartBatch: so many calls, all of which fail after some."""
    fails = np.arange(count) >= after
    made = slow_start(np.zeros(count, np.int64), fails)
    assert (int((made & ~fails).sum()), int(made.sum())) == (successes, calls)
    assert made.tolist() == by_batches(fails.tolist())


def test_ten_that_may_be_created_of_a_hundred() -> None:
    """TestControllerSyncJob: the batches of 1, 2 and 4 do well, three of the next eight, and no more are tried."""
    fails = np.arange(100) >= 10
    made = slow_start(np.zeros(100, np.int64), fails)
    assert (int((made & ~fails).sum()), int(made.sum())) == (10, 15)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from([False, False, False, True])), max_size=60))
def test_each_key_by_itself(calls: list[tuple[int, bool]]) -> None:
    """Calls of many keys, in any order, are those of each key alone."""
    key, fails = np.array([one[0] for one in calls], np.int64), np.array([one[1] for one in calls], bool)
    made = slow_start(key, fails)
    for one in range(4):
        mine = key == one
        assert made[mine].tolist() == by_batches(fails[mine].tolist())
