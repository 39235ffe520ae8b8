"""Parts of objects: as many as asked for, kept when there are more, and room that is used again."""

from __future__ import annotations

import numpy as np

from tests.controllers.world import Hand


def test_parts_grow_and_room_is_used_again() -> None:
    hand = Hand("job")
    cluster, world = hand.cluster, hand.world
    first = hand.make("Job", "a", part_count=3)
    second = hand.make("Job", "b", part_count=2)
    assert (hand.read(first, "part_first"), hand.read(first, "part_room")) == (0, 4)
    assert (hand.read(second, "part_first"), hand.read(second, "part_room")) == (4, 2)
    cluster.jobindex_state[:3] = [1, 2, 1]
    hand.write(first, part_count=6)
    at = hand.read(first, "part_first")
    assert cluster.jobindex_state[at : at + 8].tolist() == [1, 2, 1, 0, 0, 0, 0, 0]
    assert cluster.jobindex_failed_us[at : at + 8].tolist() == [-1] * 8
    third = hand.make("Job", "c", part_count=4)
    assert hand.read(third, "part_first") == 0
    assert cluster.jobindex_state[:4].tolist() == [0, 0, 0, 0]
    world.cluster.object_live[second] = 2
    world.cluster.object_changed[second] = 0
    world.release(np.array([second]))
    assert hand.read(hand.make("Job", "d", part_count=2), "part_first") == 4
