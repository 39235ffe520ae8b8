"""Work queues: each key once, workers, limits, back-off and what is due; on made-up controllers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from kscale.engine.clock import NEVER
from kscale.engine.reconcile import Controller, Reconciler
from kscale.engine.requests import SECOND, Requests
from kscale.engine.world import World
from tests.controllers.world import Hand


def play(step: Callable[[World, np.ndarray, int], Requests], count: int, limited: bool = True, **fields: object):
    """Return a hand with ``count`` objects, and a reconciler of a made-up controller that looks at them."""
    hand = Hand("replicaset")
    hand.manager.reconcilers.clear()
    found = Controller("made-up", "ReplicaSet", step, **fields)  # type: ignore[arg-type]
    one = Reconciler(found, limited)
    hand.manager.reconcilers["made-up"] = one
    objects = [hand.make("ReplicaSet", f"o{row}", replicas=0) for row in range(count)]
    return hand, one, objects


def test_a_key_that_changes_twice_is_looked_at_once() -> None:
    seen: list[list[int]] = []

    def step(world: World, keys: np.ndarray, now_us: int) -> Requests:
        seen.append(keys.tolist())
        return Requests()

    hand, _, objects = play(step, 3)
    hand.world.note(np.array(objects), 0)
    hand.world.note(np.array(objects[:1]), 0)
    hand.settle()
    assert seen == [objects]


def create(calls: int) -> Callable[[World, np.ndarray, int], Requests]:
    def step(world: World, keys: np.ndarray, now_us: int) -> Requests:
        requests = Requests()
        have = world.cluster.object_pods[keys]
        place = np.repeat(np.arange(len(keys)), np.where(have == 0, calls, 0))
        requests.create_pods(place, keys[place], np.zeros(len(place), int))
        return requests

    return step


def test_keys_whose_calls_wait_hold_their_workers() -> None:
    hand, one, objects = play(create(10), 10, workers=2, qps=10.0, burst=15)
    hand.wait(0)
    # The first key's ten calls pass, half of the second's; the second and the third hold the two workers.
    assert [len(hand.pods(o)) for o in objects[:4]] == [10, 5, 0, 0]
    # The first two changed by what they created, and stand in the queue again.
    assert one.waiting.tolist() == [*objects[3:], *objects[:2]]
    hand.wait(SECOND)
    assert [len(hand.pods(o)) for o in objects[:4]] == [10, 10, 5, 0]
    hand.wait(9 * SECOND)
    assert [len(hand.pods(o)) for o in objects] == [10] * 10
    assert one.calls == 100


def test_without_limits_everything_passes_at_once() -> None:
    hand, one, _ = play(create(10), 50, limited=False, workers=2, qps=10.0, burst=15)
    hand.wait(0)
    assert len(hand.pods()) == 500
    assert one.due_us() == NEVER


def test_a_key_that_fails_comes_again_after_a_back_off_that_doubles() -> None:
    times: list[int] = []

    def step(world: World, keys: np.ndarray, now_us: int) -> Requests:
        requests = Requests()
        times.append(now_us)
        if len(times) < 8:
            requests.fail(np.arange(len(keys)))
        return requests

    hand, one, objects = play(step, 1, base_us=5_000, cap_us=100_000)
    hand.wait(2 * SECOND)
    assert np.diff(times).tolist() == [5_000, 10_000, 20_000, 40_000, 80_000, 100_000, 100_000]
    assert one.errors == 7
    times.clear()
    hand.world.note(np.array(objects), hand.now)
    hand.wait(12_000)
    # What went well is forgotten: the next failure waits the first back-off again.
    assert np.diff(times).tolist()[:1] == [5_000]


def test_the_figures_of_the_exponential_work_queue() -> None:
    """TestItemExponentialFailureRateLimiter: base 1 ms, 1, 2, 4, 8, 16 ms; forgotten, 1 ms; never above the cap."""
    failing = True

    def step(world: World, keys: np.ndarray, now_us: int) -> Requests:
        requests = Requests()
        times.append(now_us)
        if failing:
            requests.fail(np.arange(len(keys)))
        return requests

    times: list[int] = []
    hand, _, objects = play(step, 1, base_us=1_000, cap_us=1_000 * SECOND)
    hand.wait(31_000)
    assert np.diff(times).tolist() == [1_000, 2_000, 4_000, 8_000, 16_000]
    failing = False
    hand.wait(SECOND)
    failing, times[:] = True, []
    hand.world.note(np.array(objects), hand.now)
    hand.wait(1_000)
    assert np.diff(times).tolist() == [1_000]
    hand.wait(5_000 * SECOND)
    assert max(np.diff(times)) == 1_000 * SECOND


@pytest.mark.parametrize("fails", range(1, 30))
def test_the_default_back_off_is_capped_at_1000_seconds(fails: int) -> None:
    """Work queue exponential: 5 ms doubled for each failure (facts B0)."""
    waits: list[int] = []
    hand, one, objects = play(lambda world, keys, now_us: Requests(), 1)
    hand.settle()
    key = np.array(objects)
    now = 0
    for _ in range(fails):
        one._back_off(key, now)
        waits.append(one._timers.pop()[0] - now)
        now += waits[-1]
    assert waits[-1] == min(5_000 * 2 ** (fails - 1), 1_000 * SECOND)


def test_a_key_that_fails_again_while_it_is_held_back_has_one_timer() -> None:
    """client-go's delaying queue: what changes lets it be looked at meanwhile, and its wait doubles all the same."""
    times: list[int] = []

    def step(world: World, keys: np.ndarray, now_us: int) -> Requests:
        requests = Requests()
        times.append(now_us)
        requests.fail(np.arange(len(keys)))
        return requests

    hand, _, objects = play(step, 1, base_us=10_000, cap_us=1_000 * SECOND)
    hand.settle()
    for _ in range(3):
        hand.wait(1_000)
        hand.world.note(np.array(objects), hand.now)
        hand.settle()
    hand.wait(300_000)
    # Once it had failed four times, it is looked at at 10 ms, and then after 160 ms.
    assert times == [0, 1_000, 2_000, 3_000, 10_000, 170_000]


def test_a_key_comes_again_when_it_asked_to() -> None:
    times: list[int] = []

    def step(world: World, keys: np.ndarray, now_us: int) -> Requests:
        requests = Requests()
        times.append(now_us)
        requests.again(np.arange(len(keys)), np.full(len(keys), now_us + 7_000_001))
        return requests

    hand, _, _ = play(step, 1)
    hand.wait(20 * SECOND)
    assert times == [0, 7_000_001, 14_000_002]


def test_a_controller_with_a_period_looks_at_its_keys_each_time() -> None:
    times: list[int] = []

    def step(world: World, keys: np.ndarray, now_us: int) -> Requests:
        times.append(now_us)
        return Requests()

    hand, _, _ = play(step, 1, period_us=15 * SECOND)
    hand.wait(50 * SECOND)
    assert times == [0, 15 * SECOND, 30 * SECOND, 45 * SECOND]


def test_what_is_stopped_sees_nothing_until_it_starts_anew() -> None:
    hand, one, objects = play(create(1), 2)
    one.stopped = True
    hand.settle()
    assert len(hand.pods()) == 0
    hand.restart("made-up")
    hand.settle()
    assert len(hand.pods()) == 2
    assert [len(hand.pods(o)) for o in objects] == [1, 1]


def test_a_look_costs_by_what_changed() -> None:
    """The keys that a step gets are those that changed, however many there are."""
    sizes: list[int] = []

    def step(world: World, keys: np.ndarray, now_us: int) -> Requests:
        sizes.append(len(keys))
        return Requests()

    hand, _, objects = play(step, 500)
    hand.settle()
    sizes.clear()
    hand.world.note(np.array(objects[:7]), 0)
    hand.settle()
    assert sizes == [7]
