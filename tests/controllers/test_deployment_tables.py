"""The Deployment controller by the figures of its upstream tests."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kscale.controllers.common import rollout
from kscale.controllers.deployment import step
from tests.controllers.world import Hand

SCALE = [
    ("10 to 12", 10, 12, [10], [12]),
    ("10 to 5", 10, 5, [10], [5]),
    ("5 to 10", 5, 10, [2, 3], [4, 6]),
    ("5 to 3", 5, 3, [2, 3], [1, 2]),
    ("9 to 4", 9, 4, [8, 1], [4, 0]),
    ("7 to 10", 7, 10, [2, 3, 2], [3, 4, 3]),
    ("13 to 8", 13, 8, [2, 8, 3], [1, 5, 2]),
    ("3 to 4", 3, 4, [1, 1, 1], [2, 1, 1]),
    ("3 to 2", 3, 2, [1, 1, 1], [1, 1, 0]),
    ("from zero", 6, 6, [0, 0, 0], [6, 0, 0]),
    ("6 to 0", 6, 0, [3, 2, 1], [0, 0, 0]),
]


def array(*values: int) -> Any:
    return np.array(values, np.int64)


def deployment(
    hand: Hand, replicas: int, sets: list[dict[str, int]], *, current: bool = True, **columns: int
) -> tuple[int, list[int]]:
    """Make a Deployment with ReplicaSets, the newest first; ``current``: the newest is of its template."""
    top = hand.make(
        "Deployment", "web", replicas=replicas, content=0 if current else 99,
        **{"surge": 0, "surge_percent": 0, "unavailable": 0, "unavailable_percent": 0, **columns},
    )  # fmt: skip
    made: list[int] = []
    for age, one in reversed(list(enumerate(sets))):
        hand.now += 1
        found = hand.make(
            "ReplicaSet", f"web-{age}", owner=top, content=age, revision=len(sets) - age,
            **{"status_replicas": one["replicas"], **one},
        )  # fmt: skip
        hand.cluster.object_observed[found] = 1
        made.insert(0, found)
    return top, made


def sizes(hand: Hand, sets: list[int]) -> list[int]:
    return [hand.read(one, "replicas") for one in sets]


def scaled(
    old: int,
    new: int,
    before: list[int],
    *,
    surge: tuple[int, int] = (0, 0),
    desired: list[int] | None = None,
    **columns: Any,
) -> list[int]:
    """Return sizes after one look at a paused Deployment, which only scales."""
    hand = Hand("deployment")
    sets = [
        {"replicas": size, "desired": noted, "most": noted + surge[0]}
        for size, noted in zip(before, desired or [old] * len(before), strict=True)
    ]
    top, made = deployment(hand, new, sets, paused=1, surge=surge[1], status_replicas=sum(before), **columns)
    hand.settle()
    for one in made:
        if hand.read(one, "replicas") and len(before) > 1:
            assert (hand.read(one, "desired"), hand.read(one, "most")) == (new, new + surge[1])
    assert hand.read(top, "paused") == 1
    return sizes(hand, made)


@pytest.mark.parametrize(("old", "new", "before", "after"), [row[1:] for row in SCALE], ids=[row[0] for row in SCALE])
def test_scale(old: int, new: int, before: list[int], after: list[int]) -> None:
    assert scaled(old, new, before) == after


def test_scale_without_a_new_replica_set() -> None:
    assert scaled(4, 5, [2, 2], current=False) == [3, 2]
    assert scaled(10, 14, [7, 3], current=False) == [10, 4]


def test_scale_after_an_update_of_one_had_failed() -> None:
    assert scaled(5, 5, [2, 1, 1], desired=[5, 3, 5]) == [2, 2, 1]


def test_scale_with_a_surge() -> None:
    assert scaled(10, 20, [6, 6], surge=(2, 2)) == [11, 11]
    assert scaled(10, 50, [5, 8], surge=(3, 6)) == [22, 34]


def test_old_pods_stay_while_a_saturated_new_replica_set_is_not_available() -> None:
    assert scaled(2, 2, [2, 1], surge=(1, 1), unavailable=1) == [2, 1]


def test_old_pods_go_when_the_new_replica_set_is_saturated() -> None:
    hand = Hand("deployment")
    _, made = deployment(
        hand, 2, [{"replicas": 2, "desired": 2, "most": 3, "available_replicas": 2}, {"replicas": 1}], paused=1
    )
    hand.look()
    assert sizes(hand, made) == [2, 0]


def test_a_scaling_event_is_told_by_the_annotation() -> None:
    """Without a pause, too: scaled first, in proportion, and the rollout goes on after that."""
    hand = Hand("deployment")
    _, made = deployment(
        hand, 15, [{"replicas": 5, "desired": 10, "most": 13}, {"replicas": 8, "desired": 10, "most": 13}], surge=3
    )
    hand.look()
    assert sizes(hand, made) == [7, 11]


@pytest.mark.parametrize(
    ("desired", "size", "surge", "most", "status", "expected"),
    [
        (0, 10, 0, -1, 10, -10), (10, 5, 0, -1, 0, 0), (10, 5, 0, 0, 0, 0), (120, 50, 0, -1, 100, 10),
        (120, 50, 0, 0, 100, 10), (120, 50, 0, 100, 100, 10), (120, 50, 10, 110, 100, 9), (10, 6, 0, 12, 0, -1),
        (100, 50, 10, 130, 0, -8),
    ],
)  # fmt: skip
def test_fraction(desired: int, size: int, surge: int, most: int, status: int, expected: int) -> None:
    found = rollout.fraction(array(size), array(most), array(desired), array(surge), array(status))
    assert found.tolist() == [expected]


@pytest.mark.parametrize(
    ("surge", "unavailable", "replicas", "expected"),
    [
        ((0, 1), (0, 1), 0, (0, 1)), ((39, 1), (39, 1), 10, (4, 3)), ((0, 0), (39, 1), 10, (0, 3)),
        ((39, 1), (0, 0), 10, (4, 0)), ((0, 0), (0, 0), 10, (0, 1)), ((2, 0), (3, 0), 10, (2, 3)),
    ],
)  # fmt: skip
def test_fenceposts(
    surge: tuple[int, int], unavailable: tuple[int, int], replicas: int, expected: tuple[int, int]
) -> None:
    found = rollout.fenceposts(
        array(surge[0]), array(surge[1]), array(unavailable[0]), array(unavailable[1]), array(replicas)
    )
    assert (int(found[0][0]), int(found[1][0])) == expected


@pytest.mark.parametrize(
    ("replicas", "value", "percent", "rolling", "expected"),
    [
        (10, 5, 0, True, 5), (10, 10, 0, True, 10), (5, 10, 0, True, 5), (0, 10, 0, True, 0), (5, 3, 0, False, 0),
        (10, 50, 1, True, 5), (10, 100, 1, True, 10), (5, 100, 1, True, 5), (10, 60, 1, True, 6), (10, 10, 0, False, 0),
    ],
)  # fmt: skip
def test_most_unavailable(replicas: int, value: int, percent: int, rolling: bool, expected: int) -> None:
    """MaxUnavailable; MinAvailable is the rest of the replicas."""
    _, below = rollout.fenceposts(array(1), array(0), array(value), array(percent), array(replicas))
    assert rollout.most_unavailable(below, array(replicas), np.array([rolling])).tolist() == [expected]


@pytest.mark.parametrize(
    ("replicas", "new", "surge", "rolling", "expected"), [(1, 5, 1, True, 5), (6, 2, 10, True, 6), (3, 1, 3, False, 3)]
)
def test_new_replicas(replicas: int, new: int, surge: int, rolling: bool, expected: int) -> None:
    found = rollout.new_replicas(array(replicas), array(surge), array(5 + new), array(new), np.array([rolling]))
    assert found.tolist() == [expected]


def stepped(hand: Hand, top: int, made: list[int]) -> list[int]:
    """Return sizes after one step."""
    for request in step(hand.world, np.array([top]), hand.now).asked:
        hand.world.apply(request, hand.now)
    return sizes(hand, made)


@pytest.mark.parametrize(
    ("surge", "old", "new", "expected"),
    [(0, 10, 0, 0), (2, 10, 0, 2), (2, 5, 0, 7), (2, 10, 2, 2), (2, 2, 11, 10)],
)
def test_reconcile_new(surge: int, old: int, new: int, expected: int) -> None:
    hand = Hand("deployment")
    top, made = deployment(hand, 10, [{"replicas": new}, {"replicas": old}], surge=surge)
    assert stepped(hand, top, made)[0] == expected


@pytest.mark.parametrize(
    ("unavailable", "old", "new", "ready", "expected"),
    [(0, 10, 0, 10, 9), (2, 10, 0, 10, 8), (2, 10, 0, 8, 8), (2, 10, 0, 9, 8), (2, 8, 2, 8, 8)],
)
def test_reconcile_old(unavailable: int, old: int, new: int, ready: int, expected: int) -> None:
    hand = Hand("deployment")
    sets = [{"replicas": new}, {"replicas": old, "ready_replicas": ready, "available_replicas": ready}]
    top, made = deployment(hand, 10, sets, unavailable=unavailable)
    assert stepped(hand, top, made) == [new, expected]


def test_only_broken_pods_go_where_the_others_are_needed() -> None:
    """Of two old ReplicaSets the one whose pods are broken is emptied, the other stays."""
    hand = Hand("deployment")
    sets = [{"replicas": 0}, {"replicas": 8, "available_replicas": 8}, {"replicas": 2}]
    top, made = deployment(hand, 10, sets, unavailable=2)
    assert stepped(hand, top, made) == [0, 8, 0]


def test_an_old_replica_set_with_a_stale_status_stops_the_step() -> None:
    """More are available than asked for: its controller has yet to see the last change."""
    hand = Hand("deployment")
    sets = [{"replicas": 0}, {"replicas": 6, "available_replicas": 3}, {"replicas": 4, "available_replicas": 7}]
    top, made = deployment(hand, 10, sets, unavailable=2)
    assert stepped(hand, top, made) == [0, 6, 4]


@pytest.mark.parametrize(
    ("ready", "most", "expected"), [(8, 1, 1), (8, 3, 2), (8, 0, 0), (10, 3, 0)]
)  # fmt: skip
def test_clean_unhealthy(ready: int, most: int, expected: int) -> None:
    taken, gave_up = rollout.clean_unhealthy(array(0), array(10), array(ready), array(most))
    assert (taken.tolist(), gave_up.tolist()) == ([expected], [False])


@pytest.mark.parametrize(
    ("unavailable", "old", "ready", "expected"), [(1, 10, 10, 9), (2, 10, 10, 8), (2, 10, 8, 10), (2, 0, 10, 0),
                                                  (2, 10, 1, 10)]
)  # fmt: skip
def test_scale_down_old(unavailable: int, old: int, ready: int, expected: int) -> None:
    """Of 10 replicas; where no pod may be missing and none may be on top, one may be missing."""
    above = max(ready - (10 - unavailable), 0)
    assert (old - rollout.scale_down(array(0), array(old), array(above))).tolist() == [expected]
