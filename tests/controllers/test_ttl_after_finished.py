"""Jobs go some time after they have finished, by the figures of upstream's tests."""

from __future__ import annotations

import numpy as np
import pytest

from kscale.controllers.ttl_after_finished import time_left
from kscale.engine.objects import FOREGROUND
from tests.controllers.world import Hand

SECOND = 1_000_000


def test_time_left() -> None:
    hand = Hand("ttl-after-finished")
    job = hand.make("Job", "one", finished=1, finish_us=0, ttl_us=15 * SECOND)
    assert time_left(hand.world, np.array([job]), 10 * SECOND).tolist() == [5 * SECOND]


@pytest.mark.parametrize("columns", [{"finished": 0, "ttl_us": 15 * SECOND}, {"finished": 1, "ttl_us": -1}])
def test_no_time_is_left_of_what_has_none(columns: dict[str, int]) -> None:
    hand = Hand("ttl-after-finished")
    job = hand.make("Job", "one", **columns)
    with pytest.raises(ValueError, match="only a job that has finished"):
        time_left(hand.world, np.array([job]), 0)
    hand.wait(100 * SECOND)
    assert hand.cluster.object_deleted_us[job] == -1


@pytest.mark.parametrize("ttl", [0, 15 * SECOND])
def test_deleted_in_the_foreground_when_its_time_is_over(ttl: int) -> None:
    hand = Hand("job", "ttl-after-finished")
    job = hand.make("Job", "one", completions=1, ttl_us=ttl)
    hand.settle()
    hand.finish(hand.active(job)[0])
    hand.wait(SECOND)
    assert hand.read(job, "finish_us") == SECOND
    hand.restart("ttl-after-finished")
    if ttl:
        hand.wait(ttl - 1)
        assert hand.cluster.object_deleted_us[job] == -1
        hand.wait(1)
    assert hand.cluster.object_deleted_us[job] == SECOND + ttl
    assert hand.cluster.object_finalizer[job] == FOREGROUND
    # It is read live, and deleted.
    assert hand.manager.reconcilers["ttl-after-finished"].calls == 2
